"""Entries of PyTorch's databases of modules and of optimizers."""

from __future__ import annotations

from typing import Any

import torch

import twofold as tf

from .check_op import _gradient, _tensors, spread
from .convert import Converter, difference
from .outcome import Outcome, text_of

RANDOM_MODULES = ("Dropout", "RReLU", "FractionalMaxPool")
N_SAMPLES, N_STEPS = 6, 5


class _Sample:
    """A module's forward input as a sample of the checks on ops."""

    def __init__(self, forward: Any) -> None:
        self.input: Any = None
        self.args, self.kwargs = forward.args, forward.kwargs

    @staticmethod
    def output_process_fn_grad(result: Any) -> Any:
        """The result as it is."""
        return result


def check_module(entry: Any) -> dict[str, Outcome]:
    """Outputs, gradients and state of a module's samples."""
    found = {"forward": Outcome()}
    for training in (True, False):
        torch.manual_seed(0)
        inputs = list(entry.module_inputs_func(entry, "cpu", torch.float32, True, training))
        for each in spread(inputs, N_SAMPLES):
            _check_module_input(entry, each, training, found)
    return found


def _check_module_input(entry: Any, each: Any, training: bool, found: dict[str, Outcome]) -> None:
    made = each.constructor_input
    if each.forward_input is None:
        return
    sample = _Sample(each.forward_input)
    try:
        torch.manual_seed(0)
        theirs = entry.module_cls(*made.args, **made.kwargs).train(training)
        state = {k: v.detach().clone() for k, v in theirs.state_dict().items()}
        expected = theirs(*sample.args, **sample.kwargs)
    except Exception:
        return
    random = training and any(n in entry.module_cls.__name__ for n in RANDOM_MODULES)
    random = random or "Fractional" in entry.module_cls.__name__
    convert = Converter()
    got = None
    try:
        args, kwargs = convert(list(made.args)), convert(dict(made.kwargs))
        mine = getattr(tf.nn, entry.module_cls.__name__)(*args, **kwargs).train(training)
        mine.load_state_dict({k: Converter()(v) for k, v in state.items()})
        if list(mine.state_dict()) != list(state):
            raise KeyError(f"state_dict has {list(mine.state_dict())}")
        args, kwargs = convert(list(sample.args)), convert(dict(sample.kwargs))
        got = mine(*args, **kwargs)
        text = difference(expected, got, not random)
        parameters = zip(theirs.parameters(), mine.parameters())
        convert.pairs.extend((a, b) for a, b in parameters if a.requires_grad)
    except Exception as error:
        text = text_of(error)
    found["forward"].add(text, sample)
    if random:
        return
    if text:
        convert.pairs = [(torch.ones(1, requires_grad=True), None)]
    outcome = _gradient(sample, expected, got, convert, text)
    if outcome is not None and any(y.requires_grad for y in _tensors(expected)):
        found.setdefault("gradient", Outcome()).add(outcome or None, sample)


def check_optimizer(entry: Any) -> dict[str, Outcome]:
    """The parameters after a few steps, for each set of options."""
    found = {"forward": Outcome()}
    name = entry.optim_cls.__name__
    for each in entry.optim_inputs_func(device="cpu"):
        options = dict(each.kwargs)
        try:
            expected = _train(torch, torch.optim, name, options)
        except Exception:
            continue
        try:
            convert = Converter()
            got = _train(tf, tf.optim, name, {k: convert(v) for k, v in options.items()})
            text = difference(expected, got)
        except Exception as error:
            text = text_of(error)
        found["forward"].add(text and f"{text} <- {options}")
    return found


def _train(side: Any, optim: Any, name: str, options: dict[str, Any]) -> list[Any]:
    """Parameters of a small regression after some steps."""
    data = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    start = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    x, w = (Converter()(v) if side is tf else v for v in (data, start.clone()))
    w.requires_grad_()
    parameters = [w]
    sparse = name == "SparseAdam"
    if not sparse and name != "Muon":
        b = side.zeros(4)
        b.requires_grad_()
        parameters.append(b)
    optimizer = getattr(optim, name)(parameters, **options)

    def closure() -> Any:
        optimizer.zero_grad()
        if sparse:
            index = side.tensor([0, 2, 2])
            y = side.nn.functional.embedding(index, w, sparse=True)
        else:
            y = x @ w.t() if name == "Muon" else x @ w.t() + parameters[1]
        loss = ((y - 1) ** 2).mean()
        loss.backward()
        return loss

    for _ in range(N_STEPS):
        optimizer.step(closure)
    return [p.detach() for p in parameters]

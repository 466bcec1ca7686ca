"""One entry of PyTorch's database of ops: its samples on both sides."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch

import twofold as tf

from .convert import Converter, NotConvertible, difference, function, resolve
from .outcome import Outcome, text_of

RANDOM = frozenset(
    "bernoulli cauchy exponential geometric log_normal multinomial normal rand rand_like randint "
    "randint_like randn randn_like uniform empty empty_like empty_strided empty_permuted new_empty "
    "new_empty_strided native_dropout_backward nn.functional.alpha_dropout nn.functional.dropout "
    "nn.functional.dropout2d nn.functional.dropout3d nn.functional.feature_alpha_dropout "
    "nn.functional.rrelu nn.functional.fractional_max_pool2d nn.functional.fractional_max_pool3d "
    "nn.functional.multi_head_attention_forward svd_lowrank pca_lowrank bernoulli_ resize_ "
    "resize_as_".split()
)
"""Entries whose values are drawn, or undefined: shapes and dtypes are compared alone."""

SAMPLES = {torch.float32: 10, torch.int64: 3, torch.bool: 2, torch.complex64: 3}
PROCESSED = ("linalg.", "svd", "qr", "lu", "geqrf", "symeig", "cholesky", "triangular_solve")
"""Entries whose results are settled up to a sign or phase, which PyTorch's own entry takes out."""


TIED = frozenset("kthvalue topk mode median nanmedian sort argsort msort".split())
"""Entries that give places: of equal values, which integers and bools have, any may be named."""


def spread(items: list[Any], n: int) -> list[Any]:
    """At most n of the items, the first and the last among them, evenly apart."""
    if len(items) <= n:
        return items
    return [items[i * (len(items) - 1) // (n - 1)] for i in range(n)]


def check(op: Any) -> dict[str, Outcome]:
    """What came of each kind of check, by its name."""
    found: dict[str, Outcome] = {}
    for dtype, n in SAMPLES.items():
        if not op.supports_dtype(dtype, "cpu"):
            continue
        gradient = op.supports_autograd and (dtype.is_floating_point or dtype.is_complex)
        prefix = "complex " if dtype is torch.complex64 else ""
        samples = list(op.sample_inputs("cpu", dtype, requires_grad=gradient))
        chosen = [s for s in spread(samples, n) if _is_dense(s)]
        for sample in chosen:
            _check_sample(op, sample, gradient, found, prefix)
        if not prefix:
            for sample in chosen[:2]:
                _check_forms(op, sample, found)
    _check_errors(op, found)
    return found


def _is_dense(sample: Any) -> bool:
    try:
        Converter()((sample.input, sample.args, sample.kwargs))
    except NotConvertible:
        return False
    except Exception:
        return True
    return True


def counterpart(op: Any) -> Callable[..., Any]:
    """Twofold's function for an entry. AttributeError if there is none."""
    f = op.op
    try:
        named = resolve(op.name, torch)
    except AttributeError:
        named = None
    if named is f or (f is not None and getattr(f, "__name__", "") == op.name.rpartition(".")[2]):
        return resolve(op.name) if named is not None else function(f)
    return function(f)


def _settled(expected: Any, got: Any) -> tuple[Any, Any]:
    """The values without the places where they were found."""
    if isinstance(expected, tuple):
        return expected[:1], got[:1]
    return tuple(expected.shape), tuple(got.shape)


def _process(op: Any, sample: Any, result: Any) -> Any:
    if op.name.startswith(PROCESSED):
        return sample.output_process_fn_grad(result)
    return result


def _check_sample(
    op: Any, sample: Any, gradient: bool, found: dict[str, Outcome], prefix: str
) -> None:
    forward = found.setdefault(prefix + "forward", Outcome())
    try:
        torch.manual_seed(0)
        expected = op.op(sample.input, *sample.args, **sample.kwargs)
    except Exception:
        return  # PyTorch's own entry does not run this sample
    values = op.name not in RANDOM and not sample.kwargs.get("dropout_p")
    convert = Converter()
    try:
        args, kwargs = convert((sample.input, *sample.args)), convert(sample.kwargs)
        got = counterpart(op)(*args, **kwargs)
        if op.name in TIED and not gradient:
            expected, got = _settled(expected, got)
        compared = _process(op, sample, got) if values else got
        text = difference(_process(op, sample, expected), compared, values)
    except Exception as error:
        text = text_of(error)
    forward.add(text, sample)
    if gradient and values:
        outcome = _gradient(sample, expected, None if text else got, convert, text)
        if outcome is not None:
            found.setdefault(prefix + "gradient", Outcome()).add(outcome or None, sample)


def _tensors(result: Any) -> Iterator[Any]:
    if isinstance(result, (torch.Tensor, tf.Tensor)):
        yield result
    elif isinstance(result, (list, tuple)):
        for x in result:
            yield from _tensors(x)


def _gradient(
    sample: Any, expected: Any, got: Any, convert: Converter, failed: str | None
) -> str | None:
    """ "" if the gradients agree, how they differ, or None where PyTorch gives none."""
    ys = [y for y in _tensors(sample.output_process_fn_grad(expected)) if y.requires_grad]
    xs = [x for x, _ in convert.pairs if x.requires_grad] if not failed else [None]
    if not ys or not xs:
        return None
    if failed:
        return failed
    generator = torch.Generator().manual_seed(7)
    weights = [torch.randn(y.shape, dtype=y.dtype, generator=generator) for y in ys]
    try:
        wanted = torch.autograd.grad(ys, xs, weights, allow_unused=True)
    except (RuntimeError, NotImplementedError):
        return None  # PyTorch has no gradient here
    try:
        own = [y for y in _tensors(sample.output_process_fn_grad(got)) if y.requires_grad]
        if len(own) != len(ys):
            return f"{len(own)} outputs require a gradient for {len(ys)}"
        inputs = [x for t, x in convert.pairs if t.requires_grad]
        gradients = tf.autograd.grad(
            own, inputs, [Converter()(w) for w in weights], allow_unused=True
        )
        for i, (a, b) in enumerate(zip(wanted, gradients)):
            if a is None and b is None:
                continue
            a = torch.zeros_like(xs[i]) if a is None else a
            b = tf.zeros_like(inputs[i]) if b is None else b
            if (text := difference(a, b)) is not None:
                return f"gradient {i}: {text}"
    except Exception as error:
        return text_of(error)
    return ""


def _check_forms(op: Any, sample: Any, found: dict[str, Outcome]) -> None:
    """The method, in-place and `out=` forms, and the aliases, on a sample without gradients."""
    sample = copy.copy(sample)
    sample.input, sample.args, sample.kwargs = _detached((sample.input, sample.args, sample.kwargs))
    if not isinstance(sample.input, torch.Tensor):
        return
    values = op.name not in RANDOM
    forms: list[tuple[str, Callable[..., Any], Callable[[], Callable[..., Any]]]] = []
    for kind, variant in (("method", op.method_variant), ("inplace", op.inplace_variant)):
        name = getattr(variant, "__name__", "<lambda>")
        if variant is not None and name != "<lambda>" and hasattr(torch.Tensor, name):
            forms.append((kind, variant, lambda name=name: getattr(tf.Tensor, name)))
    for alias in op.aliases:
        path = alias.name
        if "." in path or hasattr(torch, path):
            forms.append(("alias", resolve(path, torch), lambda path=path: resolve(path)))
    for kind, theirs, mine in forms:
        try:
            given = _detached((sample.input, *sample.args))
            expected = theirs(*given, **sample.kwargs)
        except Exception:
            continue
        convert = Converter()
        try:
            args, kwargs = convert((sample.input, *sample.args)), convert(sample.kwargs)
            got = mine()(*args, **kwargs)
            if op.name in TIED:
                expected, got = _settled(expected, got)
            text = difference(expected, got, values)
            if text is None and kind == "inplace":
                text = difference(given[0], args[0], values)
        except Exception as error:
            text = text_of(error)
        found.setdefault(kind, Outcome()).add(text, sample)
    if op.supports_out:
        _check_out(op, sample, found, values)


def _detached(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(_detached, value))
    if isinstance(value, dict):
        return {k: _detached(v) for k, v in value.items()}
    return value


def _check_out(op: Any, sample: Any, found: dict[str, Outcome], values: bool) -> None:
    try:
        expected = op.op(sample.input, *sample.args, **sample.kwargs)
        theirs = [torch.empty_like(x) for x in _tensors(expected)]
        op.op(sample.input, *sample.args, **sample.kwargs,
              out=theirs[0] if len(theirs) == 1 else tuple(theirs))  # fmt: skip
    except Exception:
        return
    convert = Converter()
    try:
        args, kwargs = convert((sample.input, *sample.args)), convert(sample.kwargs)
        outs = [tf.zeros(tuple(x.shape), dtype=convert(x.dtype)) for x in theirs]
        counterpart(op)(*args, **kwargs, out=outs[0] if len(outs) == 1 else tuple(outs))
        text = difference(theirs, outs, values and not op.name.startswith(PROCESSED))
    except Exception as error:
        text = text_of(error)
    found.setdefault("out", Outcome()).add(text, sample)


def _check_errors(op: Any, found: dict[str, Outcome]) -> None:
    """Whether what PyTorch refuses is refused, by an error of the same class."""
    if op.error_inputs_func is None:
        return
    outcome = found.setdefault("errors", Outcome())
    for case in op.error_inputs("cpu"):
        sample = case.sample_input
        try:
            op.op(sample.input, *sample.args, **sample.kwargs)
            continue
        except Exception as error:
            expected = error
        convert = Converter()
        try:
            args, kwargs = convert((sample.input, *sample.args)), convert(sample.kwargs)
            f = counterpart(op)
        except Exception:
            continue
        try:
            for x in _tensors(f(*args, **kwargs)):
                x.tolist()
            text = f"no error for {type(expected).__name__}: {str(expected)[:80]}"
        except Exception as error:
            same = isinstance(error, type(expected)) or isinstance(expected, type(error))
            text = None if same else f"{text_of(error)} for {type(expected).__name__}"
        outcome.add(text, sample)

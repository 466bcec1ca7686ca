"""`twofold time MODEL`: how long a network's forward and backward pass take."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from .. import config, engine, machine, nn
from ..autograd_api import grad, no_grad
from ..capture import compile as capture
from ..functions.random import manual_seed, randn
from ..models import get_model, list_models
from ..tensor import Tensor
from .errors import UserError
from .parser import Parser, whole_number
from .terminal import styled, waiting

SIZES = {"inception_v3": 299}
"""Height and width of the images of models that are not for 224 x 224."""

_SUM = "all layers alone"


@dataclass(frozen=True)
class Times:
    """Medians in seconds. The backward pass gives the gradients of all parameters."""

    name: str
    output: str
    forward: float
    backward: float


@dataclass(frozen=True)
class Layer:
    """A layer that the model calls, with the shape of its input and, as text, of its output."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    output: str


def add_arguments(parser: Parser) -> None:
    """The arguments of `twofold time`."""
    parser.description = (
        "Time the forward and the backward pass of a model of twofold.models, with new weights,\n"
        "on random images. The backward pass gives the gradients of all parameters; its time is\n"
        "that of both passes, run as one program, without the forward pass alone. Medians are\n"
        "given, the time to compile is told apart.\n\n"
        "With --layers, each layer is also timed alone, with the gradient of its input: what is\n"
        "fused with its neighbours in the whole network is then not, so the sum is larger."
    )
    parser.epilog = (
        "examples:\n  twofold time resnet18 --batch 16\n  twofold time vgg16 --batch 8 --layers"
    )
    parser.add_argument("model", metavar="MODEL", help=f"one of {', '.join(list_models())}")
    parser.add_argument("--batch", type=whole_number(1), default=16, help="images (16)")
    parser.add_argument("--size", type=whole_number(1), help="height and width (the model's own)")
    parser.add_argument("--repeat", type=whole_number(1), default=10, help="times (10)")
    parser.add_argument("--layers", action="store_true", help="time each layer, too")


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    name = options.model.lower()
    if name not in list_models():
        raise UserError(f"there is no model {options.model!r}; see twofold time --help")
    size = options.size or SIZES.get(name, 224)
    manual_seed(0)
    model = get_model(name).train()
    images = _random((options.batch, 3, size, size))
    threads, target = config.current().threads, machine.target_for(config.current().target).name
    shape = f"{options.batch} x 3 x {size} x {size}"
    print(f"{name}, {shape}, float32, {threads} thread{'s' * (threads != 1)}, {target}")
    try:
        layers = _layers(model, images) if options.layers else []
        _print_table(name, model, images, layers, options.repeat)
    except (RuntimeError, ValueError) as error:  # as of images too small for the model
        raise UserError(error) from None
    return 0


def _print_table(
    name: str, model: nn.Module, images: Tensor, layers: Sequence[Layer], repeat: int
) -> None:
    """A row for each layer, then one for the whole model."""
    names = max(len(_SUM), len(name), *(len(layer.name) for layer in layers), 0)
    shapes = max((len(layer.output) for layer in layers), default=0)

    def row(times: Times, style: str = "") -> None:
        cells = (times.forward, times.backward, times.forward + times.backward)
        numbers = "".join(f"{1e3 * seconds:>14,.2f}" for seconds in cells)
        text = f"{times.name:<{names}}  {times.output:<{shapes}}{numbers}"
        print(styled(text, style) if style else text, flush=True)

    head = "".join(f"{text:>14}" for text in ("forward ms", "backward ms", "total ms"))
    print(styled(f"{'':<{names}}  {'':<{shapes}}{head}", "dim"), flush=True)
    found = []
    for number, layer in enumerate(layers, 1):
        with waiting(lambda n=number, of=layer.name: f"layer {n} of {len(layers)}: {of}"):  # type: ignore[misc]
            given = _random(layer.shape, layer.shape != tuple(images.shape))
            times, _ = _timed(layer.module, given, layer.name, layer.output, repeat)
        found.append(times)
        row(times)
    if found:
        forward, backward = sum(t.forward for t in found), sum(t.backward for t in found)
        row(Times(_SUM, "", forward, backward))
    with waiting(lambda: f"{name}: compiling, then {repeat} runs"):
        whole, first = _timed(model, images, name, "", repeat)
    row(whole, "bold")
    print(f"first runs of both, compiling included: {first:.2f} s")


def _random(shape: tuple[int, ...], requires_grad: bool = False) -> Tensor:
    """Random numbers, drawn at once."""
    x = randn(*shape)
    engine.realize([x._node()])
    return x.requires_grad_(requires_grad)


def _layers(model: nn.Module, images: Tensor) -> list[Layer]:
    """The layers without parts of their own that turn one tensor into one, in the order in which
    the model calls them; what it computes between them is left out."""
    found: list[Layer] = []

    def note(name: str, module: nn.Module, args: tuple, output: Any) -> None:
        if len(args) == 1 and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            shape = " x ".join(map(str, output.shape))
            found.append(
                Layer(f"{name} {type(module).__name__}", module, tuple(args[0].shape), shape)
            )

    handles = [
        module.register_forward_hook(partial(note, name))
        for name, module in model.named_modules()
        if not list(module.children())
    ]
    try:
        with no_grad():
            model(images)  # only shapes are asked for: nothing runs
    finally:
        for handle in handles:
            handle.remove()
    return found


def _timed(
    module: nn.Module, given: Tensor, name: str, output: str, repeat: int
) -> tuple[Times, float]:
    """The module's times, and the seconds of the first run of both functions."""
    wanted = [p for p in module.parameters() if p.requires_grad]
    wanted += [given] if given.requires_grad else []

    def forward(x: Tensor) -> Any:
        with no_grad():
            return _first(module(x.clone()))

    def both(x: Tensor) -> Any:
        y = _first(module(x.clone()))
        return y.detach(), grad(y.sum(), wanted)

    begin = time.perf_counter()
    runs = [capture(forward), capture(both)] if wanted else [capture(forward)]
    for run in runs:
        _finish(run(given))
    first = time.perf_counter() - begin
    seconds = [median(_seconds(run, given) for _ in range(repeat)) for run in runs]
    backward = max(seconds[-1] - seconds[0], 0.0)
    return Times(name, output, seconds[0], backward), first


def _first(output: Any) -> Tensor:
    """The main output of a model that has more than one in training."""
    return output if isinstance(output, Tensor) else output[0]


def _seconds(run: Callable[[Tensor], Any], given: Tensor) -> float:
    begin = time.perf_counter()
    _finish(run(given))
    return time.perf_counter() - begin


def _finish(result: Any) -> None:
    """Wait until all tensors of a result have their values."""
    tensors = [result] if isinstance(result, Tensor) else [result[0], *result[1]]
    engine.realize([t._node() for t in tensors])

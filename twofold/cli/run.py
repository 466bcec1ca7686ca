"""`twofold run MODEL`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .. import onnx
from ..creation import from_numpy
from ..deploy import Program, load_program
from ..serialization import FormatError
from ..tensor import Tensor
from .errors import UserError
from .parser import Parser, whole_number
from .terminal import label


def add_arguments(parser: Parser) -> None:
    """The arguments of `twofold run`."""
    parser.description = (
        "Run a model on arrays: an ONNX file (.onnx, by the package onnx) or a program that\n"
        "twofold.save_program wrote."
    )
    parser.epilog = (
        "examples:\n"
        "  twofold run net.onnx --input x.npy\n"
        "  twofold run net.onnx --input tokens=a.npy --input mask=b.npy --output result.npz"
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="an ONNX file, or a program")
    parser.add_argument(
        "--input", action="append", default=[], metavar="[NAME=]FILE.npy", dest="inputs",
        help="an array for each input, in order or by name",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="FILE.npz", help="keep the outputs there, by name"
    )
    parser.add_argument(
        "--repeat", type=whole_number(1), default=1, metavar="N",
        help="run it so many times, and tell the median (default 1)",
    )  # fmt: skip


def _arrays(given: list[str], names: list[str]) -> dict[str, np.ndarray]:
    """The inputs by name. UserError for one that is missing, unknown, or no array."""
    found: dict[str, np.ndarray] = {}
    free = iter(names)
    for text in given:
        name, _, path = text.rpartition("=")
        name = name or next((n for n in free if n not in found), "")
        if name not in names or name in found:
            raise UserError(f"the model takes {', '.join(names)}; got {len(given)} inputs, {text}")
        try:
            array = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise UserError(f"{path}: no array that numpy.save wrote: {error}") from None
        if not isinstance(array, np.ndarray):
            raise UserError(f"{path}: several arrays; try a file of numpy.save's")
        found[name] = array
    missing = [n for n in names if n not in found]
    if missing:
        raise UserError(f"input {missing[0]!r} is missing; try --input {missing[0]}=FILE.npy")
    return found


def _named(result: Any, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of a program's result, with names."""
    if isinstance(result, Tensor):
        yield prefix or "output", result.numpy()
        return
    pairs = result.items() if isinstance(result, dict) else enumerate(result)
    for key, value in pairs:
        yield from _named(value, f"{prefix}.{key}" if prefix else str(key))


def run(options: argparse.Namespace) -> int:
    """Run the model; gives 0."""
    try:
        model: Any
        if options.model.suffix == ".onnx":
            model = onnx.load(options.model)
            names = model.input_names
        else:
            model = load_program(options.model)
            names = [i.name for i in model.inputs]
        arrays = _arrays(options.inputs, names)
        times = []
        for _ in range(options.repeat):
            begin = time.perf_counter()
            outputs = _outputs(model, arrays)
            times.append(time.perf_counter() - begin)
    except (FormatError, onnx.UnsupportedOperator, RuntimeError, TypeError, IndexError) as error:
        raise UserError(error) from None
    except ModuleNotFoundError as error:
        raise UserError(error) from None
    print(f"{label('model')}{model!r}")
    for name, array in arrays.items():
        print(f"{label('input')}{name}: {array.dtype}{list(array.shape)}")
    for name, array in outputs.items():
        print(f"{label('output')}{name}: {array.dtype}{list(array.shape)}{_look(array)}")
    print(f"{label('time')}{1e3 * sorted(times)[len(times) // 2]:.3g} ms")
    if options.output is not None:
        kept: dict[str, Any] = dict(outputs)
        np.savez(options.output, **kept)
        print(f"{label('saved')}{options.output}")
    return 0


def _outputs(model: Any, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if isinstance(model, Program):
        return dict(_named(model(**{n: from_numpy(a) for n, a in arrays.items()})))
    return dict(zip(model.output_names, model.run(None, arrays), strict=True))


def _look(array: np.ndarray) -> str:
    """A few of the numbers, or how they are spread."""
    if array.size <= 8:
        return f" = {np.array2string(array, precision=4, separator=', ')}"
    return f", from {array.min():.4g} to {array.max():.4g}, mean {array.mean():.4g}"

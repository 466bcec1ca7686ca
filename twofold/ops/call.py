"""Calls into the host's libraries: NumPy functions that are run between the kernels of a plan.

Each is a primitive like any other, save that its `compute`, a function of arrays, is what runs,
compiled or not. It takes and gives dense arrays, in one work item, and is not fused with anything;
the kernels around it stay machine code. A function with several results packs them side by side
along one last axis (`packed`), from which `unpacked` cuts views, so that a node has one value.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

import numpy as np

from ..errors import BadValue
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import movement as mv
from .base import Op

Shape = tuple[int, ...]

_faults: dict[int, BaseException] = {}
_numbers = itertools.count(1)


class Call(Op):
    """The family. The last `core` axes of the inputs are the function's own; those before are a
    batch. `compute` raises `LinAlgError` for values that it cannot work with."""

    kind = "call"
    locates = True
    complex_rule = "mixed"
    core = 2

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        """The result, of the shape and dtype of `out`."""
        raise NotImplementedError

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        y = np.empty(out.shape, out.dtype.storage)
        number = self.run(arrays, attrs, out, y)
        if number:
            raise BadValue(number)
        return y

    def run(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type, into: np.ndarray) -> int:
        """Write the result to `into`; gives 0, or the number of what was raised, for `fault`."""
        try:
            with np.errstate(all="ignore"):
                into[...] = self.compute(arrays, attrs, out)
        except BaseException as error:  # there is no Python below this to raise it in
            number = next(_numbers)
            _faults[number] = error
            return number
        return 0

    def fault(self, node: Node, value: int) -> BaseException:
        """What was raised under this number, with the line that asked for it."""
        error = _faults.pop(value)
        if isinstance(error, np.linalg.LinAlgError) and node.location is not None:
            file, line, function = node.location
            return type(error)(f"{error}; asked for in {file}, line {line}, in {function}")
        return error

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        """The functions work on stacks: the batch becomes their first axis."""
        whole = tuple(
            x if is_batched else mv.expand(x, (size, *x.shape))
            for x, is_batched in zip(inputs, batched)
        )
        return make_node(self, whole, attrs)


def packed(parts: Sequence[np.ndarray], batch: Shape, out: Type) -> np.ndarray:
    """Arrays (*batch, ...) side by side as (*batch, total)."""
    y = np.empty(out.shape, out.dtype.storage)
    start = 0
    for part in parts:
        n = prod(part.shape[len(batch) :])
        y[..., start : start + n] = part.reshape(*batch, n)
        start += n
    return y


def unpacked(y: Node, shapes: Sequence[Shape]) -> list[Node]:
    """The parts of these shapes, without the batch, of a packed value (*batch, total)."""
    batch = y.shape[:-1]
    parts, start = [], 0
    for shape in shapes:
        n = prod(shape)
        bounds = (*((0, m, 1) for m in batch), (start, n, 1))
        parts.append(mv.reshape(mv.slice_(y, bounds), (*batch, *shape)))
        start += n
    return parts

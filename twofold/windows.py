"""Windows: chains of movement steps through which a tensor looks at a storage.

A step is (op, attributes) of one movement op, or of `detach`. `read` applies a window to a value,
`write` gives the value that the storage must hold for the window to show something else, and
`layout` tells the strides that PyTorch would give, which decide whether a reshape can be a view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .graph.node import Node, make
from .ops.base import get
from .ops.movement import (
    EXPAND,
    PERMUTE,
    RESHAPE,
    SLICE,
    inverse_permutation,
    numpy_slices,
    permute,
    reshape,
    slice_put,
)

Step = tuple[Any, tuple]
Window = tuple[Step, ...]

DETACH = get("detach")
DETACH_STEP: Step = (DETACH, ())


def read(base: Node, window: Window) -> Node:
    """What `window` shows of `base`."""
    for op, attrs in window:
        if op is not DETACH or base.structure.requires_grad:
            base = make(op, (base,), attrs)
    return base


def write(base: Node, window: Window, value: Node) -> Node:
    """The value of the storage, now `base`, once `window` shows `value`."""
    before = [base]
    for op, attrs in window[:-1]:
        before.append(before[-1] if op is DETACH else make(op, (before[-1],), attrs))
    for (op, attrs), whole in zip(reversed(window), reversed(before)):
        if op is RESHAPE:
            value = reshape(value, whole.shape)
        elif op is PERMUTE:
            value = permute(value, inverse_permutation(attrs[0]))
        elif op is SLICE:
            value = slice_put(whole, value, attrs[0])
        elif op is EXPAND and math.prod(attrs[0]) == math.prod(whole.shape):
            value = reshape(value, whole.shape)
        elif op is EXPAND:
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor refers to "
                "a single memory location. Please clone() the tensor before performing the "
                "operation."
            )
    return value


def is_detached(window: Window) -> bool:
    """Whether no gradient passes through `window`."""
    return DETACH_STEP in window


def numpy_view(array: np.ndarray, window: Window) -> np.ndarray:
    """`window` on an array, sharing its memory."""
    for op, attrs in window:
        if op is RESHAPE:
            array = array.reshape(attrs[0])
        elif op is PERMUTE:
            array = array.transpose(attrs[0])
        elif op is SLICE:
            array = array[numpy_slices(attrs[0])]
        elif op is EXPAND:
            array = np.broadcast_to(array, attrs[0])
    return array


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides, in elements, of a dense row-major array.

    >>> contiguous_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(extent, 1)
    return tuple(reversed(strides))


def layout(shape: tuple[int, ...], window: Window) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Shape, strides and offset, in elements, of `window` on a dense storage of `shape`."""
    strides, offset = contiguous_strides(shape), 0
    for op, attrs in window:
        if op is RESHAPE:
            strides = view_strides(shape, strides, attrs[0]) or ()
            shape = attrs[0]
        elif op is PERMUTE:
            shape = tuple(shape[a] for a in attrs[0])
            strides = tuple(strides[a] for a in attrs[0])
        elif op is SLICE:
            offset += sum(start * s for (start, size, _), s in zip(attrs[0], strides) if size)
            strides = tuple(s * step for (_, _, step), s in zip(attrs[0], strides))
            shape = tuple(size for _, size, _ in attrs[0])
        elif op is EXPAND:
            lead = len(attrs[0]) - len(shape)
            strides = (0,) * lead + tuple(
                0 if n == 1 and m != 1 else s for n, m, s in zip(shape, attrs[0][lead:], strides)
            )
            shape = attrs[0]
    return shape, strides, offset


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether elements lie row-major and dense; axes of one element do not count.

    >>> is_contiguous((2, 1, 3), (3, 99, 1))
    True
    """
    if 0 in shape:
        return True
    step = 1
    for extent, stride in zip(reversed(shape), reversed(strides)):
        if extent != 1:
            if stride != step:
                return False
            step *= extent
    return True


def view_strides(
    shape: Sequence[int], strides: Sequence[int], new: Sequence[int]
) -> tuple[int, ...] | None:
    """Strides of the same elements under the shape `new`, or None where only a copy can have it.

    Runs of axes that lie dense in one another are merged; each run must then be cut by whole new
    axes.

    >>> view_strides((2, 3), (3, 1), (6,)), view_strides((3, 2), (1, 3), (6,))
    ((1,), None)
    """
    if 0 in shape:
        return contiguous_strides(new)
    runs: list[list[int]] = []  # [elements, stride of the innermost]
    for extent, stride in zip(shape, strides):
        if extent == 1:
            continue
        if runs and runs[-1][1] == extent * stride:
            runs[-1][0] *= extent
            runs[-1][1] = stride
        else:
            runs.append([extent, stride])
    if not runs:
        return contiguous_strides(new)
    result = [0] * len(new)
    left, step = runs[-1]
    for axis in range(len(new) - 1, -1, -1):
        result[axis] = step
        extent = new[axis]
        if extent == 1:
            continue
        if left == 1:
            runs.pop()
            if not runs:
                return None
            left, step = runs[-1]
            result[axis] = step
        if left % extent:
            return None
        left //= extent
        step *= extent
    if left != 1 or math.prod(new) != math.prod(shape):
        return None
    return tuple(result)

"""Windows: chains of movement steps through which a tensor looks at a storage.

A step is (op, attributes) of one movement op, or of `detach`. `read` applies a window to a value,
`write` gives the value that the storage must hold for the window to show something else, and
`layout` tells the strides that PyTorch would give, which decide whether a reshape can be a view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .graph.node import Node, make
from .ops.base import get
from .ops.complex import AS_COMPLEX, AS_REAL, IMAG, REAL, as_complex, as_real, complex_, imag, real
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
        elif op is REAL:
            value = complex_(value, imag(whole))
        elif op is IMAG:
            value = complex_(real(whole), value)
        elif op is AS_REAL:
            value = as_complex(value)
        elif op is AS_COMPLEX:
            value = as_real(value)
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
        elif op is REAL:
            array = array.real
        elif op is IMAG:
            array = array.imag
        elif op is AS_REAL:
            array = array[..., None].view(array.real.dtype)
        elif op is AS_COMPLEX:
            array = array.view(np.result_type(array, np.complex64))[..., 0]
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
        elif op in (REAL, IMAG, AS_REAL):
            strides, offset = tuple(2 * s for s in strides), 2 * offset + (op is IMAG)
            if op is AS_REAL:
                shape, strides = (*shape, 2), (*strides, 1)
        elif op is AS_COMPLEX:
            shape, strides, offset = shape[:-1], tuple(s // 2 for s in strides[:-1]), offset // 2
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


def strided(n: int, offset: int, shape: Sequence[int], strides: Sequence[int]) -> Window | None:
    """The window on a flat storage of `n` elements that has this layout, or None where no chain of
    movement steps has it (elements that overlap, or rows that wrap around others').

    The storage is cut into blocks of the largest stride, these into blocks of the next, and so on;
    each axis then is a slice of the blocks of its stride.

    >>> [(op.name, *attrs) for op, attrs in strided(12, 1, (3, 2), (4, 1))]
    [('reshape', (3, 4)), ('slice', ((0, 3, 1), (1, 2, 1)))]
    """
    axes = [a for a, (extent, step) in enumerate(zip(shape, strides)) if extent > 1 and step]
    axes.sort(key=lambda a: -strides[a])
    sizes, steps = [shape[a] for a in axes], [strides[a] for a in axes]
    window: list[Step] = []

    def add(op: Any, attrs: Any, is_needed: bool) -> None:
        if is_needed:
            window.append((op, (attrs,)))

    if len(axes) < 2:
        bounds = (offset, sizes[0] if axes else 1, steps[0] if axes else 1)
        add(SLICE, (bounds,), bounds != (0, n, 1))
    else:
        if any(a % b for a, b in pairwise(steps)):
            return None
        radices = [*(a // b for a, b in pairwise(steps)), steps[-1]]
        span = sizes[0] * steps[0]
        for lead in (offset % steps[0], 0, max(0, offset + span - n)):
            start = offset - lead
            if lead >= steps[0] or start < 0 or start + span > n:
                continue
            digits = [(lead // b) % q for b, q in zip([*steps[1:], 1], radices)]
            if all(d + m <= q for d, m, q in zip(digits, [*sizes[1:], 1], radices)):
                break
        else:
            return None
        inner = tuple(zip(digits, [*sizes[1:], 1], (1,) * len(digits)))
        blocks = (sizes[0], *radices)
        if radices[-1] == 1:
            inner, blocks = inner[:-1], blocks[:-1]
        kept = (sizes[0], *(m for _, m, _ in inner))
        add(SLICE, ((start, span, 1),), span != n)
        add(RESHAPE, blocks, True)
        add(SLICE, ((0, sizes[0], 1), *inner), blocks != kept)
        add(RESHAPE, tuple(sizes), len(kept) != len(sizes))
        order = sorted(range(len(axes)), key=lambda i: axes[i])
        add(PERMUTE, tuple(order), order != list(range(len(axes))))
    seen = tuple(shape[a] for a in sorted(axes)) if axes else (1,)
    wide = tuple(m if a in axes else 1 for a, m in enumerate(shape))
    add(RESHAPE, wide, wide != seen)
    add(EXPAND, tuple(shape), wide != tuple(shape))
    return tuple(window)

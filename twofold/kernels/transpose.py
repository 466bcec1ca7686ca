"""Transposed copies: squares of vectors turned in registers, so that both sides move whole
vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from .. import dtypes
from ..abi import ALIGNMENT
from ..dtypes import DType
from ..machine import Target
from .build import Built
from .launch import Array, Launch

BLOCKS = (128, 64)
"""Elements of each row of the result that one work item writes: the more, the longer the runs in
memory; fewer where there would be few items."""

VECTORS_AHEAD = 2
"""How many vectors further on in each row of the source memory is asked for."""


@dataclass(frozen=True)
class TransposeSpec:
    """y[*o, i, j] = x[*o, j, i], where i is adjacent in x and j in y. A `streamed` result is
    written past the caches, whole aligned vectors at a time."""

    dtype: DType
    streamed: bool = False


LEAST = 4
"""Elements along both turned axes from which turning squares pays."""

Strides = Sequence[int]


def schedule(
    outer: tuple[int, int],
    rows: int,
    columns: int,
    x: tuple[Array, Strides],
    y: tuple[Array, Strides],
    dtype: DType,
    threads: int,
    target: Target | None = None,
) -> list[Launch]:
    """The launch of y[*o, i, j] = x[*o, j, i] for i < rows, j < columns, and two outer axes.
    Strides, in elements, are those of x over (*o, j) and of y over (*o, i). With a target, a large
    result is written past its caches."""
    fits = (b for b in BLOCKS if prod(outer) * (columns // b) >= threads * 4)
    block = next(fits, BLOCKS[-1])
    blocks = -(-columns // block)
    items = prod(outer) * blocks
    if not items * rows:
        return []
    n_bytes = prod(outer) * rows * columns * dtype.itemsize
    whole = ALIGNMENT // dtype.itemsize
    aligned = y[0].is_aligned and not any(s % whole for s in y[1])
    large = target is not None and 2 * n_bytes > target.l3_bytes
    streamed = large and aligned and target is not None and target.vector_bytes == ALIGNMENT
    return [
        Launch(
            TransposeSpec(dtype, streamed),
            [x[0], y[0], rows, columns, block, blocks, outer[1], *x[1], *y[1]],
            items=items,
            grain=items if n_bytes < 100_000 else max(1, items // (threads * 8)),
            reads=(x[0].buffer,),
            writes=(y[0].buffer,),
            n_bytes=2 * n_bytes,
            label="transpose",
        )
    ]


def is_supported(dtype: DType, target: Target) -> bool:
    """Whether vectors of the target hold several elements, as plain numbers."""
    return dtype in (dtypes.float32, dtypes.float64) and target.vector_bytes >= 2 * dtype.itemsize


def of_copy(
    built: Built, arrays: Sequence[tuple[Array, Strides]], target: Target, threads: int
) -> list[Launch] | None:
    """The launch of a kernel that only copies, with another axis adjacent in its source than in its
    result; None if the kernel is none such."""
    kernel = built.kernel
    if len(kernel.stages) != 1 or len(kernel.stages[0].stores) != 1 or kernel.n_inner:
        return None
    (store,) = kernel.stages[0].stores
    dtype = kernel.operands[store.access.operand]
    if store.value.op != "load" or store.value.args or store.guard or len(kernel.operands) != 2:
        return None
    if store.value.dtype is not dtype or not is_supported(dtype, target):
        return None
    (x, x_strides), (y, y_strides) = arrays[store.value.attr.operand], arrays[store.access.operand]
    axes = _merged(built.extents, x_strides, y_strides)
    row = [a for a in axes if a[1] == 1 and a[2] != 1]
    column = [a for a in axes if a[2] == 1 and a[1] != 1]
    rest = [a for a in axes if 1 not in a[1:]]
    if len(row) != 1 or len(column) != 1 or len(rest) > 2 or len(axes) != len(rest) + 2:
        return None
    if row[0][0] < LEAST or column[0][0] < LEAST:
        return None
    rest = [(1, 0, 0)] * (2 - len(rest)) + rest
    return schedule(
        (rest[0][0], rest[1][0]),
        row[0][0],
        column[0][0],
        (x, (rest[0][1], rest[1][1], column[0][1])),
        (y, (rest[0][2], rest[1][2], row[0][2])),
        dtype,
        threads,
        target,
    )


def _merged(
    extents: Sequence[int], x_strides: Strides, y_strides: Strides
) -> list[tuple[int, int, int]]:
    """(extent, stride in x, stride in y) of each axis, with axes joined that both walk as one."""
    axes: list[tuple[int, int, int]] = []
    for n, x, y in zip(extents, x_strides, y_strides):
        if n == 1:
            continue
        if axes and axes[-1][1] == n * x and axes[-1][2] == n * y:
            axes[-1] = (axes[-1][0] * n, x, y)
        else:
            axes.append((n, x, y))
    return axes

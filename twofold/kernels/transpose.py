"""Transposed copies: squares of vectors turned in registers, so that both sides move whole
vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dtypes import DType
from ..machine import Target
from .launch import Array, Launch

ROW_BLOCK = 64
"""Rows of the source that one work item takes."""


@dataclass(frozen=True)
class TransposeSpec:
    """y[o, i, j] = x[o, j, i], where i is adjacent in x and j in y."""

    dtype: DType


def schedule(
    outer: int,
    rows: int,
    columns: int,
    x: Array,
    x_strides: Sequence[int],
    y: Array,
    y_strides: Sequence[int],
    dtype: DType,
    threads: int,
) -> list[Launch]:
    """The launch of y[o, i, j] = x[o, j, i] for i < rows, j < columns; strides in elements are
    those of x over (o, j) and of y over (o, i)."""
    if not outer * rows * columns:
        return []
    blocks = -(-rows // ROW_BLOCK)
    items = outer * blocks
    n_bytes = outer * rows * columns * dtype.itemsize
    return [
        Launch(
            TransposeSpec(dtype),
            [x, y, rows, columns, blocks, *x_strides, *y_strides],
            items=items,
            grain=items if n_bytes < 100_000 else max(1, items // (threads * 8)),
            reads=(x.buffer,),
            writes=(y.buffer,),
            n_bytes=2 * n_bytes,
            label="transpose",
        )
    ]


def is_supported(dtype: DType, target: Target) -> bool:
    """Whether elements are of a size that vectors of several hold as numbers."""
    return dtype.itemsize in (4, 8) and target.vector_bytes >= 2 * dtype.itemsize

"""Scatters: values added to, or put in, rows that are data.

A work item owns part of the output (a batch, a block of columns, a range of rows) and walks all
values in order, taking those that fall into its part. So every element sees its values in their
order, whatever the threads. Single values that fall elsewhere go into a cell that nobody reads, as
a branch would be guessed wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dtypes import DType
from .launch import Array, Launch, Scratch

SMALL = 16 * 1024
"""Elements to scatter below which one thread does it."""

NARROW = 64
"""Rows of fewer elements are one thread's work: to pass one over, when its turn was guessed wrong,
takes as long as to add it."""


@dataclass(frozen=True)
class ScatterSpec:
    """y[b, i[b, s], r] = f(y[b, i[b, s], r], v[b, s, r]). `step` is v's stride along r: 0, 1, or
    "s" for a run-time one; `single` says that r takes one value."""

    function: str
    dtype: DType
    step: int | str
    single: bool


def schedule(
    function: str,
    dtype: DType,
    sizes: tuple[int, int, int, int],
    out: Array,
    values: tuple[Array, Sequence[int]],
    positions: tuple[Array, Sequence[int]],
    threads: int,
) -> list[Launch]:
    """The launch for sizes (B, N, R, S); `out` holds the start already."""
    b, n, r, s = sizes
    (v_at, v_strides), (i_at, i_strides) = values, positions
    is_one = b * s * r < SMALL or b >= 4 * threads or r < NARROW
    split = 1 if is_one else threads
    columns = -(-r // (64 * split)) * 64 if r >= 64 * split else r
    column_items = -(-r // columns)
    row_items = split if column_items == 1 else 1
    rows = -(-n // row_items)
    items = b * row_items * column_items
    step: int | str = v_strides[2] if v_strides[2] in (0, 1) else "s"
    return [
        Launch(
            ScatterSpec(function, dtype, step, r == 1),
            [
                out, v_at, i_at, Scratch(64), n, r, s, *v_strides, *i_strides,
                rows, row_items, columns, column_items,
            ],
            items=items,
            grain=items if b * s * r < SMALL else 1,
            reads=(v_at.buffer, i_at.buffer, out.buffer),
            writes=(out.buffer,),
            flops=b * s * r,
            n_bytes=b * s * (8 + 3 * r * dtype.itemsize),
            label=f"scatter {function}",
        )
    ]  # fmt: skip

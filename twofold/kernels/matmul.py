"""Matrix products: blocks of rows and columns as work items, register tiles within.

Each output element is one sum over k in order, whatever the layout, the blocking and the threads. B
is read where it lies if its columns are adjacent and few rows use it, else from panels of
`tile_columns` columns packed by a launch of its own. A is read where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ..dtypes import DType
from ..machine import Target
from .launch import Array, Buffer, Launch

K_BLOCK = 256
"""Steps of k that a register tile takes between loads and stores of C."""

PACK_ROWS = 96
"""Rows of A from which packing B pays."""


@dataclass(frozen=True)
class PackSpec:
    """Copies B (k, n) into panels: panel, k, column. `rows` says that b's columns are adjacent."""

    dtype: DType
    columns: int
    rows: bool


@dataclass(frozen=True)
class MatmulSpec:
    """C = A B. `columns` and `rows` are the register tile's; `packed` tells where B comes from."""

    dtype: DType
    rows: int
    columns: int
    packed: bool


def tile(dtype: DType, target: Target) -> tuple[int, int]:
    """Rows and columns of the register tile: all accumulators, a row of B and one of A fit."""
    lanes = max(1, target.vector_bytes // dtype.compute.itemsize)
    return (14 if target.vector_registers >= 32 else 6), 2 * lanes


def schedule(
    dtype: DType,
    m: int,
    n: int,
    k: int,
    batch: Sequence[int],
    a: tuple[Array, Sequence[int]],
    b: tuple[Array, Sequence[int]],
    c: tuple[Array, Sequence[int]],
    target: Target,
    threads: int,
) -> list[Launch]:
    """Launches of C = A B for each of a batch; strides in elements: (*batch, row, column)."""
    batch, strides = _merge(batch, [list(x[1]) for x in (a, b, c)])
    if len(batch) > 1:
        launches = []
        for i in range(batch[0]):
            parts = [
                (Array(x.buffer, x.offset + i * s[0] * dtype.itemsize), s[1:])
                for (x, _), s in zip((a, b, c), strides)
            ]
            launches += schedule(
                dtype, m, n, k, batch[1:], parts[0], parts[1], parts[2], target, threads
            )
        return launches
    count = batch[0] if batch else 1
    steps = [s[0] if batch else 0 for s in strides]
    (a_at, b_at, c_at) = (x[0] for x in (a, b, c))
    (a_row, a_k), (b_k, b_column), (c_row, c_column) = (s[-2:] for s in strides)
    rows, columns = tile(dtype, target)
    panels = -(-n // columns)
    launches = []
    pack = b_column != 1 or (m >= PACK_ROWS and k * n * dtype.itemsize > target.l1_bytes)
    if pack:
        panel = k * columns
        packed = Buffer(count * panels * panel * dtype.itemsize, "temp", "packed")
        shared = steps[1] == 0 and count > 1
        copies = 1 if shared else count
        launches.append(
            Launch(
                PackSpec(dtype, columns, b_column == 1),
                [b_at, Array(packed), n, k, steps[1], b_k, b_column, panels],
                items=copies * panels,
                grain=max(1, copies * panels // (threads * 4)),
                reads=(b_at.buffer,),
                writes=(packed,),
                n_bytes=2 * copies * n * k * dtype.itemsize,
                label="pack",
            )
        )
        b_at, b_step, b_panel, b_k = Array(packed), 0 if shared else panels * panel, panel, columns
    else:
        b_step, b_panel = steps[1], columns
    row_block, panel_block = _blocks(m, panels, count, rows, threads)
    row_items, panel_items = -(-m // row_block), -(-panels // panel_block)
    items = count * row_items * panel_items
    flops = 2 * count * m * n * k
    # Narrow types are rounded when they are stored, so their sums stay in registers throughout.
    k_block = K_BLOCK if dtype.compute is dtype else max(k, 1)
    launches.append(
        Launch(
            MatmulSpec(dtype, rows, columns, pack),
            [
                a_at, b_at, c_at, m, n, k, steps[0], a_row, a_k, b_step, b_k, b_panel,
                steps[2], c_row, c_column, row_block, panel_block, row_items, panel_items, k_block,
            ],
            items=items,
            grain=items if flops < 200_000 else max(1, items // (threads * 8)),
            reads=(a_at.buffer, b_at.buffer),
            writes=(c_at.buffer,),
            flops=flops,
            n_bytes=count * (m * k + k * n + m * n) * dtype.itemsize,
            label="matmul",
        )
    )  # fmt: skip
    return launches


def _merge(batch: Sequence[int], strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Drop batch axes of one element and join neighbours that all three walk as one."""
    sizes = list(batch)
    a = 0
    while a < len(sizes):
        if sizes[a] == 1:
            del sizes[a]
            for s in strides:
                del s[a]
        elif a and all(s[a - 1] == s[a] * sizes[a] for s in strides):
            sizes[a - 1 : a + 1] = [sizes[a - 1] * sizes[a]]
            for s in strides:
                del s[a - 1]
        else:
            a += 1
    return sizes, strides


def _blocks(m: int, panels: int, count: int, rows: int, threads: int) -> tuple[int, int]:
    """Rows and panels of one work item: a block of A that stays in the second cache, and items
    enough for the threads."""
    row_block = min(-(-m // rows) * rows, 16 * rows)
    panel_block = min(panels, 64)
    wanted = threads * 4 if threads > 1 else 1
    while count * -(-m // row_block) * -(-panels // panel_block) < wanted:
        if panel_block > 4 and panel_block * 4 >= row_block // rows:
            panel_block = -(-panel_block // 2)
        elif row_block > 2 * rows:
            row_block = -(-row_block // (2 * rows)) * rows
        elif panel_block > 1:
            panel_block = -(-panel_block // 2)
        else:
            break
    return row_block, panel_block


def node_launches(
    shape: Sequence[int],
    a: tuple[Array, Sequence[int]],
    b: tuple[Array, Sequence[int]],
    c: Array,
    k: int,
    dtype: DType,
    target: Target,
    threads: int,
) -> list[Launch]:
    """Launches for a dense result of `shape` (*batch, m, n)."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    *batch, m, n = shape
    if prod(batch) * m * n == 0:
        return []
    return schedule(dtype, m, n, k, batch, a, b, (c, strides), target, threads)

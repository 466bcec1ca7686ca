"""Matrix products: blocks of rows and columns as work items, register tiles within.

Each output element is one sum over k in order, whatever the layout, the blocking, the edges and the
threads (but see `k_parts`). A work item owns a block of C and walks k in blocks; for each it packs its
rows of A once, then panel by panel packs B's columns and runs the register tile down the rows:

    item: for each block of k: pack A;  for each panel of columns: pack B;  for each tile of rows: C += A B

So what the tile reads lies in the first and second cache, packing needs no launch and no barrier of its
own, and each thread packs what it uses. Operands that are already as the tile wants them are read where
they lie. float16 and bfloat16 are widened and narrow integers extended while they are packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from .. import dtypes
from ..dtypes import DType
from ..machine import Target
from .launch import Array, Buffer, Launch, Scratch
from .loops import LoopKernel

K_BLOCK = 512
"""Steps of k in one block, at most a quarter more: sums are then seldom loaded and stored."""

SMALL_FLOPS = 200_000
"""Products of fewer operations run on one thread."""


@dataclass(frozen=True)
class MatmulSpec:
    """C = A B. `rows` is the height of the register tile, which is two vectors wide; sums are of
    `sums`.

    `a` and `b` say how the operands are read: "place" where they lie (a's rows far apart, b's columns
    adjacent), "unit" where they lie (a's rows adjacent), or packed: "across" (k is adjacent), "along" (a's
    rows or b's columns are) or "any" (strided both ways). With `direct` the sums go to an array of type
    `sums`; without, they stay in the thread's scratch for `finish`, a map over (copy, row, column) that
    reads them as operand 0.
    """

    dtype: DType
    sums: DType
    rows: int
    a: str
    b: str
    direct: bool
    finish: LoopKernel | None = None


@dataclass(frozen=True)
class Tile:
    """The register tile: rows, columns, and the rows of one step of k in packed A."""

    rows: int
    columns: int
    depth: int
    unit: int

    @property
    def heights(self) -> tuple[int, ...]:
        """Rows of the tiles that exist: a block is cut into multiples of `unit`, its last tile may
        lack some rows. More heights would waste less at the edges and take longer to compile."""
        return (1, *range(self.unit, self.rows + 1, self.unit))


def sums_dtype(dtype: DType) -> DType:
    """What a product accumulates in: narrow integers wrap around when they are stored."""
    if dtype.kind == "float":
        return dtype.compute
    return dtype if dtype.itemsize > 4 else dtypes.int32


def tile(sums: DType, target: Target) -> Tile:
    """All accumulators, a row of B and one of A fit into the registers."""
    lanes = max(1, target.vector_bytes // sums.itemsize)
    rows, unit = (12, 4) if target.vector_registers >= 32 else (6, 2)
    depth = rows if rows <= lanes else -(-rows // lanes) * lanes
    return Tile(rows, 2 * lanes, depth, unit)


@dataclass(frozen=True)
class Blocks:
    """Rows, panels and steps of k that one work item takes at a time."""

    rows: int
    panels: int
    k: int


Strided = tuple[Array, Sequence[int]]


def schedule(
    dtype: DType,
    m: int,
    n: int,
    k: int,
    batch: Sequence[int],
    a: Strided,
    b: Strided,
    c: Strided,
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
            launches += schedule(dtype, m, n, k, batch[1:], *parts, target, threads)
        return launches
    count = batch[0] if batch else 1
    steps = [s[0] if batch else 0 for s in strides]
    (a_at, b_at, c_at) = (x[0] for x in (a, b, c))
    (a_row, a_k), (b_k, b_column), (c_row, c_column) = (s[-2:] for s in strides)
    sums = sums_dtype(dtype)
    shape = tile(sums, target)
    a_mode, b_mode = _modes(dtype, sums, m, n, k, (a_row, a_k), (b_k, b_column), shape, target)
    blocks = _blocks(m, n, k, count, a_mode, b_mode, shape, sums, target, threads)
    row_items = -(-m // blocks.rows)
    panel_items = -(-(-(-n // shape.columns)) // blocks.panels)
    items = count * row_items * panel_items
    flops = 2 * count * m * n * k
    deep = -(-blocks.k // shape.columns) * shape.columns
    tiles = -(-blocks.rows // shape.rows)
    packed_a = tiles * (shape.depth * deep + shape.columns) if a_mode not in ("place", "unit") else 0
    scratch = Scratch(sums.itemsize * (shape.columns * (shape.rows + deep) + packed_a))
    return [
        Launch(
            MatmulSpec(dtype, sums, shape.rows, a_mode, b_mode, True),
            [
                a_at, b_at, c_at, scratch, m, n, k, steps[0], a_row, a_k, steps[1], b_k, b_column,
                steps[2], c_row, blocks.rows, blocks.panels, row_items, panel_items, blocks.k, deep,
            ],
            items=items,
            grain=items if flops < SMALL_FLOPS else 1,
            reads=(a_at.buffer, b_at.buffer),
            writes=(c_at.buffer,),
            flops=flops,
            n_bytes=count * (m * k + k * n + m * n) * dtype.itemsize,
            label="matmul",
        )
    ]  # fmt: skip


def _modes(
    dtype: DType,
    sums: DType,
    m: int,
    n: int,
    k: int,
    a: tuple[int, int],
    b: tuple[int, int],
    shape: Tile,
    target: Target,
) -> tuple[str, str]:
    """How A and B are read: packed where they must be, or where enough columns (rows) use them."""
    (a_row, a_k), (b_k, b_column) = a, b
    a_pack = "across" if a_k == 1 else "along" if a_row == 1 else "any"
    b_pack = "along" if b_column == 1 else "across" if b_k == 1 else "any"
    if dtype is not sums:
        return a_pack, b_pack
    far = (b_k * sums.itemsize) % 2048 == 0 or n * k * sums.itemsize > target.l2_bytes // 2
    b_mode = b_pack if b_column != 1 or m > (2 if far else 8) * shape.rows else "place"
    near = "unit" if a_row == 1 else "place"
    crowded = (a_row if a_row != 1 else a_k) * sums.itemsize % 2048 == 0 and m > 1
    a_mode = a_pack if n >= (2 if crowded else 6) * shape.columns else near
    return a_mode, b_mode


def _blocks(
    m: int,
    n: int,
    k: int,
    count: int,
    a_mode: str,
    b_mode: str,
    shape: Tile,
    sums: DType,
    target: Target,
    threads: int,
) -> Blocks:
    """Blocks of which the packed A about fills the second cache, and as many as keep the threads busy
    at the least cost: where columns are split A is packed more than once, where rows are, B."""
    n_k = max(1, -(-k // (K_BLOCK + K_BLOCK // 4)))
    k_block = max(1, -(-k // n_k))
    panels = -(-n // shape.columns)
    if b_mode == "place" and m <= 8 and n_k * panels > 8:
        # Few sums: rows of B are read in order, many panels of few steps.
        k_block = min(k_block, 32)
    most = max(shape.rows, target.l2_bytes // (k_block * sums.itemsize))
    packs_a = a_mode not in ("place", "unit")
    best, best_cost = Blocks(m, panels, k_block), float("inf")
    unit = shape.unit
    for row_items in range(-(-m // most) if packs_a else 1, -(-m // unit) + 1):
        rows = unit * -(-m // (unit * row_items))
        if -(-m // rows) != row_items:
            continue
        for panel_items in range(1, panels + 1):
            block = -(-panels // panel_items)
            if -(-panels // block) != panel_items:
                continue
            items = count * row_items * panel_items
            tiles = -(-rows // shape.rows)
            # In cycles per step of k, of which a vector of sums takes one.
            cost = 2.0 * rows * block + 2 * tiles * block
            cost += 8 * tiles if packs_a else 0
            cost += (4 if b_mode in ("place", "along") else 16) * block
            total = -(-items // threads) * cost
            if total < best_cost * 0.99:
                best, best_cost = Blocks(rows, block, k_block), total
            if items >= 4 * threads:
                break
        if count * row_items >= 4 * threads:
            break
    return best


def _merge(batch: Sequence[int], strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Drop batch axes of one element and join neighbours that all walk as one."""
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


def node_launches(
    shape: Sequence[int],
    a: Strided,
    b: Strided,
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

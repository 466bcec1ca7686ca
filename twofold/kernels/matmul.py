"""Matrix products: blocks of rows and columns as work items, register tiles within.

Each output element is one sum over k in order, whatever the layout, the blocking, the edges and the
threads. A work item owns a block of C and walks k in blocks; for each it packs its rows of
A once, then panel by panel packs B's columns and runs the register tile down the rows:

    item: for each block of k: pack A;  for each panel of columns: pack B;  for each tile of rows: C
    += A B

So what the tile reads lies in the first and second cache, packing needs no launch and no barrier of
its own, and each thread packs what it uses. Operands that are already as the tile wants them are
read where they lie. float16 and bfloat16 are widened and narrow integers extended while they are
packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from .. import dtypes
from ..dtypes import DType
from ..machine import Target
from . import matvec
from .affine import contiguous
from .finish import Finish, Strided
from .launch import Array, Buffer, Launch
from .loops import LoopKernel
from .product import Product

K_BLOCK = 512
"""Steps of k in one block, at most a quarter more: sums are then seldom loaded and stored. Twice as
many where few rows use a panel of B, which then need not stay in the first cache."""

ROW_STEPS = 32
"""Steps of k in one block where there are few rows: those of B are best read in order, many panels
of few steps."""

SMALL_FLOPS = 200_000
"""Products of fewer operations run on one thread."""

TURN_FLOPS = 50_000
"""Operations that a thread takes at a time where items are smaller: threads that ask for each of
many small products wait for one another longer than they work."""


@dataclass(frozen=True)
class MatmulSpec:
    """C = A B. `rows` is the height of the register tile, which is two vectors wide; sums are of
    `sums`.

    `a` and `b` say how the operands are read: "place" where they lie (a's rows far apart, b's
    columns adjacent), "unit" where they lie (a's rows adjacent), or packed: "across" (k is
    adjacent), "along" (a's rows or b's columns are) or "any" (strided both ways). With `direct` the
    sums go to an array of type `sums`; without, they stay in the thread's scratch. `finish` is a
    map over (copy, row, column) that reads them as operand 0 when they are complete. `widths` are
    the tiles that panels of columns may take, (vectors, lanes), widest first.
    """

    dtype: DType
    sums: DType
    rows: int
    a: str
    b: str
    direct: bool
    finish: LoopKernel | None = None
    widths: tuple[tuple[int, int], ...] = ()


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


def all_widths(lanes: int, target: Target) -> tuple[tuple[int, int], ...]:
    """Widths of tiles. Half of a vector of 64 bytes takes half of the time of a whole one."""
    half = ((1, lanes // 2),) if target.vector_bytes == 64 else ()
    return ((2, lanes), (1, lanes), *half)


def _widths(n: int, lanes: int, target: Target) -> tuple[tuple[int, int], ...]:
    """The widths that n columns take: that of whole panels, and the least for those that are left
    over."""
    widths = all_widths(lanes, target)
    whole, left = divmod(n, 2 * lanes)
    if n == 0:
        return widths[:1]
    least = [w for w in widths if w[0] * w[1] >= left][-1]
    return tuple(w for w in widths if (whole and w == widths[0]) or (left and w == least))


_first_widths: dict[tuple[MatmulSpec, Target], tuple[tuple[int, int], ...]] = {}


def _of_few(spec: MatmulSpec, lanes: int, target: Target) -> MatmulSpec:
    """`spec`, with more widths where there is a kernel that has them: a kernel's first use fixes
    its widths, and one with all of them serves all others. So a number of columns that varies
    takes two kernels, and one that does not, as that of a layer's outputs, a small one."""
    first = _first_widths.setdefault((replace(spec, widths=()), target), spec.widths)
    enough = set(spec.widths) <= set(first)
    return replace(spec, widths=first if enough else all_widths(lanes, target))


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


def schedule(
    dtype: DType,
    sizes: tuple[int, int, int],
    batch: Sequence[int],
    a: Strided,
    b: Strided,
    c: Strided | None,
    finish: Finish | None,
    target: Target,
    threads: int,
) -> list[Launch]:
    """Launches of C = A B for each of a batch, then `finish`; strides in elements: (*batch, row,
    column). `sizes` are m, n, k. Without `c` the sums are not kept."""
    m, n, k = sizes
    if n == 1 and m > 1:
        # As a product of one row, whose sums lie along the vector lanes.
        a, b = _turned(b), _turned(a)
        c = _turned(c) if c else None
        if finish:
            finish = replace(finish, arrays=[_turned(x) for x in finish.arrays])
        return schedule(dtype, (n, m, k), batch, a, b, c, finish, target, threads)
    sums = sums_dtype(dtype)
    k_block = _k_block(m, n, k, b[1][-1] == 1, tile(sums, target))
    few = matvec.fits(m, b)
    if c is None and k > k_block and not few:
        shape = (*batch, m, n)
        c = Array(Buffer(prod(shape) * sums.itemsize, "temp", "sums")), contiguous(shape)
    arrays = [a, b, *((c,) if c else ()), *(finish.arrays if finish else ())]
    widths = [dtype.itemsize] * 2 + [sums.itemsize] * (c is not None)
    widths += [d.itemsize for d in finish.kernel.operands[1:]] if finish else []
    batch, strides = _merge(batch, [list(x[1]) for x in arrays])
    launches = []
    for i in range(prod(batch[:-1])):
        starts = []
        for (x, _), own, width in zip(arrays, strides, widths):
            offset, rest = x.offset, i
            for size, stride in zip(reversed(batch[:-1]), reversed(own[: len(batch) - 1])):
                rest, at = divmod(rest, size)
                offset += at * stride * width
            inner = own[-3:] if batch else [0, *own]
            starts.append((Array(x.buffer, offset), inner))
        a, b, *others = starts
        own_c = others.pop(0) if c else None
        work = Finish(finish.kernel, others, finish.words) if finish else None
        copies = batch[-1] if batch else 1
        product = Product(dtype, sums, (copies, *sizes), a, b, own_c, work)
        launches.append(
            matvec.launch(product, target, threads)
            if few
            else _launch(product, k_block, target, threads)
        )
    return launches


def _turned(x: Strided) -> Strided:
    """The transposed matrices."""
    start, (*batch, row, column) = x
    return start, (*batch, column, row)


def _launch(product: Product, k_block: int, target: Target, threads: int) -> Launch:
    """The launch of a product by register tiles."""
    (copies, m, n, k), dtype, sums = product.sizes, product.dtype, product.sums
    shape = tile(sums, target)
    strides = product.a[1][1:], product.b[1][1:]
    modes = _modes(dtype, sums, (m, n, k), *strides, shape, target)
    blocks = _blocks((copies, m, n), k_block, modes, shape, sums, target, threads)
    row_items = -(-m // blocks.rows)
    panels = -(-n // shape.columns)
    panel_items = -(-panels // blocks.panels)
    items = copies * row_items * panel_items
    deep = -(-blocks.k // shape.columns) * shape.columns
    tiles = -(-blocks.rows // shape.rows)
    panel = shape.depth * deep + shape.columns
    packed_a = 0 if modes[0] in ("place", "unit") else tiles * panel
    turn = min(items // (4 * threads), TURN_FLOPS * items // max(1, product.flops))
    lanes = shape.columns // 2
    widths = _widths(n, lanes, target)
    spec = MatmulSpec(dtype, sums, shape.rows, *modes, product.c is not None, None, widths)
    launch = product.launch(
        spec,
        scratch=shape.columns * (shape.rows + deep) + packed_a,
        row=shape.columns,
        words=(blocks.rows, blocks.panels, row_items, panel_items, blocks.k, deep),
        items=items,
        grain=items if product.flops < SMALL_FLOPS else max(1, turn),
    )
    launch.spec = _of_few(launch.spec, lanes, target)
    return launch


def _modes(
    dtype: DType,
    sums: DType,
    sizes: tuple[int, int, int],
    a: Sequence[int],
    b: Sequence[int],
    shape: Tile,
    target: Target,
) -> tuple[str, str]:
    """How A and B are read: packed where they must be, or where enough columns (rows) use them."""
    (a_row, a_k), (b_k, b_column), (m, n, k) = a, b, sizes
    a_pack = "across" if a_k == 1 else "along" if a_row == 1 else "any"
    b_pack = "along" if b_column == 1 else "across" if b_k == 1 else "any"
    if dtype is not sums:
        return a_pack, b_pack
    far = (b_k * sums.itemsize) % 2048 == 0 or n * k * sums.itemsize > target.l2_bytes // 2
    b_mode = b_pack if b_column != 1 or m > (2 if far else 8) * shape.rows else "place"
    near = "unit" if a_row == 1 else "place"
    apart = (a_row if a_row != 1 else a_k) * sums.itemsize
    crowded = apart % 2048 == 0 and m > shape.unit
    a_mode = a_pack if n >= (shape.unit if crowded else 6 * shape.columns) else near
    return a_mode, b_mode


def _k_block(m: int, n: int, k: int, in_rows: bool, shape: Tile) -> int:
    """Steps of k in a block. `in_rows` says that B's columns are adjacent."""
    if in_rows and m <= shape.unit and n > 8 * shape.columns and k > 2 * ROW_STEPS:
        return ROW_STEPS
    most = K_BLOCK if m > 8 * shape.rows else 2 * K_BLOCK
    return max(1, -(-k // max(1, -(-k // (most + most // 4)))))


def _blocks(
    sizes: tuple[int, int, int],
    k_block: int,
    modes: tuple[str, str],
    shape: Tile,
    sums: DType,
    target: Target,
    threads: int,
) -> Blocks:
    """Blocks of which the packed A about fills the second cache, and as many as keep the threads
    busy at the least cost: where columns are split A is packed more than once, where rows are,
    B."""
    copies, m, n = sizes
    panels, unit = -(-n // shape.columns), shape.unit
    most = max(shape.rows, target.l2_bytes // (k_block * sums.itemsize))
    packs_a = modes[0] not in ("place", "unit")
    best, best_cost = Blocks(m, panels, k_block), float("inf")
    for row_items in range(-(-m // most) if packs_a else 1, -(-m // unit) + 1):
        rows = unit * -(-m // (unit * row_items))
        if -(-m // rows) != row_items:
            continue
        for panel_items in range(1, panels + 1):
            block = -(-panels // panel_items)
            if -(-panels // block) != panel_items:
                continue
            items = copies * row_items * panel_items
            tiles = -(-rows // shape.rows)
            # In cycles per step of k, of which a vector of sums takes one.
            cost = 2.0 * rows * block + 2 * tiles * block
            cost += 8 * tiles if packs_a else 0
            cost += (4 if modes[1] in ("place", "along") else 16) * block
            total = -(-items // threads) * cost
            if total < best_cost * 0.99:
                best, best_cost = Blocks(rows, block, k_block), total
            if items >= 4 * threads:
                break
        if copies * row_items >= 4 * threads:
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

"""Schedule loop kernels: fewer axes, strides that the code can rely on, work items, and splits of
long reductions.

The words of a launch: two for each operand, then the extents, then the run-time strides operand by
operand, then the size of a block (or of a chunk), then the kernel's own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from .. import dtypes
from ..machine import Target
from ..ops import scalar
from ..ops.scalar import Expr, postorder
from .affine import contiguous
from .launch import Array, Buffer, Launch, Scratch
from .loop_memory import Operand, ahead, keep_dear, may_be_late, streamed, turn
from .loop_transform import exprs, lane_axis, transform, written
from .loops import (
    TURN_LANES,
    TURN_ROWS,
    Access,
    LoopKernel,
    Reduce,
    Stage,
    Store,
    chunk_rows,
    joined,
)

WIDEST = 256
"""The most elements along the lanes that a work item reduces side by side."""

SMALL_BYTES = 32 << 10
"""Kernels that touch fewer bytes run on one thread."""


def schedule(
    kernel: LoopKernel,
    extents: Sequence[int],
    arrays: Sequence[Operand],
    words: Sequence[int],
    target: Target,
    threads: int,
) -> list[Launch]:
    """The launches of `kernel` over `extents` (outer, then inner) on `arrays` (start, strides)."""
    extents, arrays = tuple(extents), list(arrays)
    if prod(extents[: kernel.n_outer]) == 0:
        return []
    kernel, extents, arrays = _drop_ones(kernel, extents, arrays)
    kernel, extents, arrays = _merge(kernel, extents, arrays)
    inner = extents[kernel.n_outer :]
    if _splits(kernel, inner):
        return _split(kernel, extents, arrays, words, target, threads)
    return [_launch(kernel, extents, arrays, words, target, threads)]


def _renumber(kernel: LoopKernel, axes: list[int | None], n_outer: int) -> LoopKernel:
    """`kernel` with axis a made axis axes[a] (None: gone, its index is 0)."""
    kept = [a for a, new in enumerate(axes) if new is not None]

    def index(e: Expr) -> Expr:
        new = axes[e.attr]
        if new is None:
            return scalar.const(0, dtypes.int64)
        return scalar.make("index", (), e.dtype, new)

    kernel = transform(
        kernel, lambda old: Access(old.operand, tuple(old.strides[a] for a in kept)), index
    )
    return replace(kernel, n_outer=n_outer, n_inner=len(kept) - n_outer)


def _drop_ones(
    kernel: LoopKernel, extents: tuple[int, ...], arrays: list[Operand]
) -> tuple[LoopKernel, tuple[int, ...], list[Operand]]:
    """Drop axes of one element, but for the one that lanes lie along."""
    n = kernel.n_outer
    outer = [a for a in range(n) if extents[a] != 1]
    inner = [a for a in range(n, len(extents)) if extents[a] != 1]
    if kernel.vector == "outer" and not outer:
        if not n:
            kernel = _add_axis(kernel)
            extents = (1, *extents)
            arrays = [(a, (0, *strides)) for a, strides in arrays]
            return _drop_ones(kernel, extents, arrays)
        outer = [n - 1]
    if kernel.n_inner and not inner:
        inner = [len(extents) - 1]
    kept = [*outer, *inner]
    if len(kept) == len(extents):
        return kernel, extents, arrays
    axes: list[int | None] = [kept.index(a) if a in kept else None for a in range(len(extents))]
    kernel = _renumber(kernel, axes, len(outer))
    narrow = [(a, tuple(strides[k] for k in kept)) for a, strides in arrays]
    return kernel, tuple(extents[a] for a in kept), narrow


def _add_axis(kernel: LoopKernel) -> LoopKernel:
    """A kernel with a new first axis that nothing varies along."""
    grown = transform(
        kernel,
        lambda old: Access(old.operand, (0, *old.strides)),
        lambda e: scalar.make("index", (), e.dtype, e.attr + 1),
    )
    return replace(grown, n_outer=kernel.n_outer + 1)


def _merge(
    kernel: LoopKernel, extents: tuple[int, ...], arrays: list[Operand]
) -> tuple[LoopKernel, tuple[int, ...], list[Operand]]:
    """Make one of neighbouring axes that every operand walks as one; of the inner axes those that
    are `joined`, which a partition makes sure of."""
    inner = extents[kernel.n_outer :]
    frozen = len(extents) - joined(inner, kernel.vector == "inner", kernel.run)
    indexed = {e.attr for e in postorder(*exprs(kernel)) if e.op == "index"}
    a = 0
    while a + 1 < len(extents):
        border = a + 1 == kernel.n_outer or kernel.n_outer <= a < frozen
        joins = not border and not indexed & {a, a + 1}
        if joins and all(s[a] == s[a + 1] * extents[a + 1] for _, s in arrays):
            axes: list[int | None] = []
            for k in range(len(extents)):
                axes.append(None if k == a else k - (k > a))
            kernel = _renumber(kernel, axes, kernel.n_outer - (a + 1 < kernel.n_outer))
            frozen -= a < kernel.n_outer
            extents = (*extents[:a], extents[a] * extents[a + 1], *extents[a + 2 :])
            arrays = [(x, (*s[:a], *s[a + 1 :])) for x, s in arrays]
            indexed = {k - (k > a) for k in indexed}
            a = max(0, a - 1)
        else:
            a += 1
    return replace(kernel, run=0), extents, arrays


def _specialise(
    kernel: LoopKernel, arrays: Sequence[Operand], n_axes: int
) -> tuple[LoopKernel, list[int]]:
    """Write into the accesses which strides are 0, and which are 1 along the lanes; gives the
    kernel and the other strides in order."""
    lane = lane_axis(kernel, n_axes)
    kinds: list[tuple[int | str, ...]] = []
    run_time: list[int] = []
    for _, strides in arrays:
        kind = tuple(
            0 if s == 0 else 1 if s == 1 and axis == lane else "s" for axis, s in enumerate(strides)
        )
        kinds.append(kind)
        run_time += [s for s, k in zip(strides, kind) if k == "s"]
    special = transform(kernel, lambda old: Access(old.operand, kinds[old.operand]))
    return special, run_time


def _splits(kernel: LoopKernel, inner: tuple[int, ...]) -> bool:
    """Whether the reductions take more than one chunk; then they are split, whatever the
    threads."""
    if not kernel.n_inner or not kernel.stages[0].reductions:
        return False
    walks = [s for s in kernel.stages if s.over_inner]
    plain = len(walks) == 1
    whole = all(not r.op.startswith("arg") for r in walks[0].reductions)
    return plain and whole and inner[0] > chunk_rows(inner, kernel.vector)


def _split(
    kernel: LoopKernel,
    extents: tuple[int, ...],
    arrays: list[Operand],
    words: Sequence[int],
    target: Target,
    threads: int,
) -> list[Launch]:
    """A kernel that reduces each chunk of the first inner axis, and one that reduces the chunks."""
    n = kernel.n_outer
    outer, inner = extents[:n], extents[n:]
    rows = chunk_rows(inner, kernel.vector)
    chunks = -(-inner[0] // rows)
    first = kernel.stages[0]
    partial = _add_axis(replace(kernel, stages=(first,)))
    base = len(arrays)
    stores, operands, buffers = [], list(kernel.operands), []
    partial_strides = contiguous((chunks, *outer))
    for i, reduce in enumerate(first.reductions):
        dtype = reduce.value.dtype.compute
        buffers.append(Buffer(chunks * prod(outer) * dtype.itemsize, "temp", "partial"))
        access = Access(base + i, (*("s",) * (n + 1), *(0,) * len(inner)))
        acc = scalar.make("acc", (), dtype, (0, i))
        stores.append(Store(access, acc))
        operands.append(dtype)
    partial = replace(
        partial,
        name=f"{kernel.name} partial",
        operands=tuple(operands),
        stages=(partial.stages[0], Stage(False, (), tuple(stores))),
        split="partial",
    )
    wide = [(a, (0, *s)) for a, s in arrays]
    wide += [(Array(b), (*partial_strides, *(0,) * len(inner))) for b in buffers]
    partial, wide = _prune(partial, wide)
    launch = _launch(partial, (chunks, *extents), wide, words, target, threads, chunk=rows)
    # The second half: the outer axes as before, the chunks as the one inner axis.
    axes: list[int | None] = [*range(n), *([None] * len(inner))]
    rest = _renumber(replace(kernel, stages=kernel.stages[1:]), axes, n)
    rest = transform(rest, lambda old: Access(old.operand, (*old.strides, 0)))
    combined = []
    for i, reduce in enumerate(first.reductions):
        dtype = reduce.value.dtype.compute
        access = Access(base + i, ("s",) * (n + 1))
        combined.append(Reduce(reduce.op, scalar.make("load", (), dtype, access)))
    final = replace(
        rest,
        name=f"{kernel.name} combine",
        operands=tuple(operands),
        n_inner=1,
        vector="outer",
        stages=(Stage(True, tuple(combined)), *rest.stages),
    )
    narrow = [(a, (*s[:n], 0)) for a, s in arrays]
    narrow += [(Array(b), (*partial_strides[1:], partial_strides[0])) for b in buffers]
    final, narrow = _prune(final, narrow)
    kernel2, extents2, arrays2 = _drop_ones(final, (*outer, chunks), narrow)
    return [launch, _launch(kernel2, extents2, arrays2, words, target, threads)]


def _prune(kernel: LoopKernel, arrays: list[Operand]) -> tuple[LoopKernel, list[Operand]]:
    """Drop operands that no access names."""
    used = {e.attr.operand for e in postorder(*exprs(kernel)) if e.op == "load"}
    used |= {t.access.operand for s in kernel.stages for t in s.stores}
    kept = sorted(used)
    new = {old: i for i, old in enumerate(kept)}
    pruned = transform(kernel, lambda old: Access(new[old.operand], old.strides))
    operands = tuple(kernel.operands[i] for i in kept)
    return replace(pruned, operands=operands), [arrays[i] for i in kept]


def _launch(
    kernel: LoopKernel,
    extents: tuple[int, ...],
    arrays: list[Operand],
    words: Sequence[int],
    target: Target,
    threads: int,
    chunk: int = 0,
) -> Launch:
    """One launch: operands, extents, strides, block, words; items and grain."""
    kernel = turn(kernel, extents, arrays)
    kernel, arrays = keep_dear(kernel, extents, arrays)
    kernel, strides = _specialise(kernel, arrays, len(extents))
    n = kernel.n_outer
    n_bytes = 0
    for (at, own), dtype in zip(arrays, kernel.operands):
        if isinstance(at, Scratch):
            continue
        touched = prod(e for e, s in zip(extents, own) if s != 0)
        n_bytes += touched * dtype.itemsize
    ops = sum(1 for e in postorder(*exprs(kernel)) if e.args)
    n_points = prod(extents) // (extents[0] if chunk else 1)
    block = chunk
    if kernel.vector == "outer":
        last = extents[n - 1]
        prefix = prod(extents[: n - 1])
        size = _block(last, prefix, kernel, n_points, threads)
        items = prefix * -(-last // size)
        if kernel.turned:
            turned = extents[kernel.turn_axis]
            size, block = min(TURN_LANES, last), min(TURN_ROWS, turned)
            items = prefix // turned * -(-turned // block) * -(-last // size)
    else:
        size, items = 0, prod(extents[:n])
    kernel = replace(
        kernel,
        streamed=streamed(kernel, extents, arrays, size, n_bytes, target),
        ahead=ahead(kernel, extents, n_bytes, target),
        late=may_be_late(kernel, extents, n_bytes, target),
    )
    small = n_bytes < SMALL_BYTES and n_points * ops < 64 * 1024
    grain = items if small or threads == 1 else max(1, -(-items // (threads * 4)))
    results = written(kernel)
    args: list = [a for a, _ in arrays]
    args += [*extents, *strides, size, block, *words]
    buffers = {i: a.buffer for i, (a, _) in enumerate(arrays) if isinstance(a, Array)}
    return Launch(
        spec=kernel,
        args=args,
        items=items,
        grain=grain,
        reads=tuple(b for i, b in buffers.items() if i not in results),
        writes=tuple(b for i, b in buffers.items() if i in results),
        flops=ops * n_points,
        n_bytes=n_bytes,
    )


def _block(last: int, prefix: int, kernel: LoopKernel, n_points: int, threads: int) -> int:
    """Elements of the last outer axis in one work item."""
    if kernel.n_inner:
        wide = next((w for w in (WIDEST, 128, 64) if prefix * last >= w * threads * 4), 32)
        return min(wide, max(1, last))
    if last <= 4096 or prefix >= threads * 8:
        return max(1, min(last, 16384))
    per = -(-last // (threads * 4))
    return max(2048, min(16384, -(-per // 64) * 64))

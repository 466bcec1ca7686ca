"""How a loop kernel moves what it reads and writes: inputs turned in squares, outputs past the
caches, dear values kept for later stages, reads asked for ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from ..abi import ALIGNMENT
from ..machine import Target
from ..ops import scalar
from ..ops.scalar import Expr, postorder
from .affine import contiguous
from .launch import Array, Scratch
from .loop_transform import exprs, lane_axis, roots_of, varying, written
from .loops import CHUNK, DEAR, Access, LoopKernel, Reduce, Stage, Store

LATE_LEAST = 1024
"""Elements of a row from which on its last walk may be put off."""

Operand = tuple[Array | Scratch, tuple[int, ...]]

TURN_LEAST = 8
"""Elements along both axes from which a transposed input is read in squares."""

KEPT_BYTES = 128 << 10
"""Bytes of values of one point that are kept for later stages rather than computed again."""


def turn(kernel: LoopKernel, extents: tuple[int, ...], arrays: Sequence[Operand]) -> LoopKernel:
    """`kernel` with the inputs of a map named that lie along another axis than its lanes do."""
    lane = kernel.n_outer - 1
    if kernel.n_inner or kernel.vector != "outer" or extents[lane] < TURN_LEAST:
        return kernel
    barred = written(kernel)
    for e in postorder(*exprs(kernel)):
        if e.op == "load" and (e.args or e.attr.displaced):
            barred.add(e.attr.operand)
    found: dict[int, list[int]] = {}
    for i, (_, strides) in enumerate(arrays):
        if i in barred or strides[lane] in (0, 1):
            continue
        for axis in range(lane):
            if strides[axis] == 1 and extents[axis] >= TURN_LEAST:
                found.setdefault(axis, []).append(i)
    if not found:
        return kernel
    axis = max(found, key=lambda a: len(found[a]))
    return replace(kernel, turned=tuple(found[axis]), turn_axis=axis)


def streamed(
    kernel: LoopKernel,
    extents: tuple[int, ...],
    arrays: Sequence[Operand],
    block: int,
    n_bytes: int,
    target: Target,
) -> tuple[int, ...]:
    """The outputs too large to be found in a cache again: to fetch what they overwrite is waste."""
    if n_bytes < target.l3_bytes:
        return ()
    lane, found = lane_axis(kernel, len(extents)), []
    for stage in kernel.stages:
        if kernel.n_inner and not stage.over_inner:
            continue
        for t in stage.stores:
            at, strides = arrays[t.access.operand]
            if isinstance(at, Scratch):
                continue
            whole = ALIGNMENT // kernel.operands[t.access.operand].itemsize
            steps = [s for a, (s, e) in enumerate(zip(strides, extents)) if a != lane and e > 1]
            aligned = at.is_aligned and all(s % whole == 0 for s in steps)
            in_blocks = kernel.vector == "inner" or not block % whole or block >= extents[lane]
            if strides[lane] == 1 and aligned and in_blocks and t.guard is None:
                found.append(t.access.operand)
    return tuple(found)


def keep_dear(
    kernel: LoopKernel, extents: tuple[int, ...], arrays: list[Operand]
) -> tuple[LoopKernel, list[Operand]]:
    """Values of many instructions that two walks over a row compute are kept from the first.

    sum(exp(x - m)); store exp(x - m) / acc  ->  e = exp(x - m), sum(e); store e / acc
    """
    inner = extents[kernel.n_outer :]
    if kernel.vector != "inner" or kernel.split:
        return kernel, arrays
    stages, arrays = list(kernel.stages), list(arrays)
    operands, scratch = list(kernel.operands), list(kernel.scratch)
    room = KEPT_BYTES
    for first in range(len(stages)):
        if not stages[first].over_inner:
            continue
        there = _dear_below(roots_of(stages[first]), lane_axis(kernel, len(extents)))
        kept: dict[Expr, Expr] = {}
        for later in range(first + 1, len(stages)):
            if not stages[later].over_inner:
                continue
            for e in _largest(roots_of(stages[later]), there):
                n_bytes = prod(inner) * e.dtype.itemsize
                if e not in kept and n_bytes <= room:
                    room -= n_bytes
                    strides = (*(0,) * kernel.n_outer, *contiguous(inner))
                    kinds = tuple("s" if s else 0 for s in strides)
                    access = Access(len(operands), kinds)
                    kept[e] = scalar.make("load", (), e.dtype, access)
                    scratch.append(len(operands))
                    operands.append(e.dtype)
                    arrays.append((Scratch(n_bytes + ALIGNMENT), strides))
                    store = Store(access, e)
                    held = stages[first]
                    stages[first] = replace(held, stores=(*held.stores, store))
            stages[later] = _with_values(stages[later], kept)
    changed = replace(
        kernel, stages=tuple(stages), operands=tuple(operands), scratch=tuple(scratch)
    )
    return changed, arrays


def _dear_below(roots: Sequence[Expr], lane: int) -> set[Expr]:
    """The parts of `roots` that hold a dear operation and vary along the lanes."""
    varies, dear = varying(roots, lane), set[Expr]()
    for e in postorder(*roots):
        if e.op in DEAR or any(a in dear for a in e.args):
            dear.add(e)
    return dear & varies


def _largest(roots: Sequence[Expr], wanted: set[Expr]) -> list[Expr]:
    """The parts of `roots` among `wanted` that lie in no other such part."""
    found: dict[Expr, None] = {}
    stack, seen = list(roots), set()
    while stack:
        e = stack.pop()
        if e in seen:
            continue
        seen.add(e)
        if e in wanted:
            found[e] = None
        else:
            stack.extend(e.args)
    return list(found)


def _with_values(stage: Stage, values: dict[Expr, Expr]) -> Stage:
    """`stage` with each key of `values` replaced by its value."""
    done: dict[Expr, Expr] = {}

    def new(root: Expr) -> Expr:
        stack = [root]
        while stack:
            e = stack[-1]
            if e in values:
                done[e] = values[e]
            waiting = [a for a in e.args if a not in done] if e not in done else []
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if e not in done:
                args = tuple(done[a] for a in e.args)
                done[e] = scalar.make(e.op, args, e.dtype, e.attr) if args else e
        return done[root]

    return Stage(
        stage.over_inner,
        tuple(Reduce(r.op, new(r.value)) for r in stage.reductions),
        tuple(
            Store(t.access, new(t.value), None if t.guard is None else new(t.guard))
            for t in stage.stores
        ),
    )


def ahead(
    kernel: LoopKernel, extents: tuple[int, ...], n_bytes: int, target: Target
) -> tuple[str, int]:
    """What to ask memory for before it is needed, and in which stage.

    "row": the next row, in the last walk that reads this one. "walk": places some steps further on
    a walk of long steps. "lanes": places some steps further along the lanes. ("", 0) where the
    caches or the processor's own foresight do.
    """
    if n_bytes < target.l3_bytes:
        return "", 0
    if not kernel.n_inner:
        return "lanes", 0
    walks = []
    for k, stage in enumerate(kernel.stages):
        loads = {e.attr.operand for e in postorder(*roots_of(stage)) if e.op == "load"}
        if stage.over_inner and loads - set(kernel.scratch):
            walks.append(k)
    if kernel.vector == "outer":
        return ("walk", walks[0]) if walks else ("", 0)
    row = prod(extents[kernel.n_outer :]) * max(d.itemsize for d in kernel.operands)
    if len(walks) == 1:
        return "lanes", walks[0]
    return ("row", walks[-1]) if walks and row <= KEPT_BYTES else ("", 0)


def may_be_late(kernel: LoopKernel, extents: tuple[int, ...], n_bytes: int, target: Target) -> bool:
    """Whether the last walk of each row is done block by block amid the walk before it of the next
    row, which meanwhile asks for the row after that: so writing, reading and computing overlap.

    Not where an earlier walk writes: its stores, and those past the caches, would wait for one
    another.
    """
    is_row = kernel.vector == "inner" and not kernel.split and kernel.n_inner == 1
    if not is_row or n_bytes < target.l3_bytes or not LATE_LEAST <= extents[-1] <= CHUNK:
        return False
    *others, last = [stage for stage in kernel.stages if stage.over_inner]
    writes_early = any(stage.stores for stage in others)
    return bool(others and last.stores and not last.reductions and not writes_early)

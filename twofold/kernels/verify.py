"""Check launches and their memory before they become machine code.

A loop kernel names only operands and axes that it has, and results of earlier stages. A launch
reads only what was given or written before. Launches that may run at once (no barrier between them)
do not touch what one of them writes. Values that live at once do not share memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InternalError
from ..ops.scalar import Expr, postorder
from .launch import Array, Buffer, Scratch
from .loops import Access, LoopKernel
from .memory import ARENA_SLOT, MemoryPlan, PlannedLaunch


def verify_launches(plan: MemoryPlan) -> None:
    """InternalError, naming the launch, if a rule is broken."""
    for k, p in enumerate(plan.launches):
        if isinstance(p.spec, LoopKernel):
            _verify_loops(p.spec, f"launch {k} ({p.source.label})")
    _verify_order(plan)
    _verify_memory(plan)


def _broken(where: str, rule: str, got: object) -> InternalError:
    return InternalError(f"[verify] {where}: {rule}; got {got}")


def _verify_loops(kernel: LoopKernel, where: str) -> None:
    n_axes = kernel.n_outer + kernel.n_inner

    def check(access: Access) -> None:
        if not 0 <= access.operand < len(kernel.operands):
            raise _broken(where, f"the kernel has {len(kernel.operands)} operands", access)
        if len(access.strides) != n_axes:
            raise _broken(where, f"the kernel has {n_axes} axes", access)

    for number, stage in enumerate(kernel.stages):
        roots: list[Expr] = [r.value for r in stage.reductions]
        for store in stage.stores:
            check(store.access)
            roots.append(store.value)
            if store.guard is not None:
                roots.append(store.guard)
        for e in postorder(*roots):
            if e.op == "load":
                check(e.attr)
            elif e.op == "acc":
                at, i = e.attr
                made = at < len(kernel.stages) and i < len(kernel.stages[at].reductions)
                if not made or at > number:
                    raise _broken(where, "results come from stages before", e.attr)
            elif e.op == "index" and e.attr >= n_axes:
                raise _broken(where, f"the kernel has {n_axes} axes", e.attr)


def _verify_order(plan: MemoryPlan) -> None:
    ever: set[int] = set()
    written: dict[int, int] = {}
    read: dict[int, int] = {}
    for k, p in enumerate(plan.launches):
        where = f"launch {k} ({p.source.label})"
        for b in p.source.reads:
            if b.kind == "temp" and not p.source.directs and b.n_bytes and id(b) not in ever:
                raise _broken(where, "what it reads must be written before", b.name)
            if written.get(id(b), k) != k:
                raise _broken(where, f"it must wait for launch {written[id(b)]}", b.name)
        for b in p.source.writes:
            other = written.get(id(b), read.get(id(b), k))
            if other != k:
                raise _broken(where, f"it must wait for launch {other}", b.name)
        ever.update(map(id, p.source.writes))
        written.update((id(b), k) for b in p.source.writes)
        read.update((id(b), k) for b in p.source.reads)
        if p.barrier_after:
            written, read = {}, {}


@dataclass
class _Life:
    """Where a block of the arena lies, and from which phase to which it is in use."""

    name: str
    begin: int
    end: int
    first: int
    last: int


def _verify_memory(plan: MemoryPlan) -> None:
    lives: dict[object, _Life] = {}
    phase = 0
    for k, p in enumerate(plan.launches):
        for key, name, offset, n_bytes in _blocks(p, k):
            life = lives.setdefault(key, _Life(name, offset, offset + n_bytes, phase, phase))
            life.last = phase
            if offset + n_bytes > plan.arena_bytes or offset < 0:
                where = f"launch {k} ({p.source.label})"
                raise _broken(where, f"the arena has {plan.arena_bytes} bytes", life)
        phase += p.barrier_after
    found = sorted(lives.values(), key=lambda life: life.begin)
    for i, a in enumerate(found):
        for b in found[i + 1 :]:
            if b.begin >= a.end:
                break
            if a.first <= b.last and b.first <= a.last and b.begin < b.end:
                raise _broken("memory", "values that live at once lie apart", f"{a} and {b}")


def _blocks(p: PlannedLaunch, k: int) -> list[tuple[object, str, int, int]]:
    """(key, name, offset, bytes) of each block of the arena that a launch touches."""
    found: list[tuple[object, str, int, int]] = []
    at = 0
    for i, arg in enumerate(p.source.args):
        if isinstance(arg, Array):
            slot, offset = p.words[at : at + 2]
            at += 2
            buffer: Buffer = arg.buffer
            if slot == ARENA_SLOT:
                found.append((id(buffer), buffer.name, offset - arg.offset, buffer.n_bytes))
        elif isinstance(arg, Scratch):
            slot, offset, _ = p.words[at : at + 3]
            at += 3
            if slot == ARENA_SLOT:
                found.append(((k, i), "scratch", offset, arg.n_bytes))
        else:
            at += 1
    return found

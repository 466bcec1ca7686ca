"""Loop kernels rewritten as data: what every step of scheduling them uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..ops import scalar
from ..ops.scalar import Expr, postorder
from .loops import Access, LoopKernel, Reduce, Stage, Store


def lane_axis(kernel: LoopKernel, n_axes: int) -> int:
    """The axis that lies along the lanes."""
    return kernel.n_outer - 1 if kernel.vector == "outer" else n_axes - 1


def exprs(kernel: LoopKernel) -> list[Expr]:
    """Every expression of a kernel."""
    return [e for stage in kernel.stages for e in roots_of(stage)]


def roots_of(stage: Stage) -> list[Expr]:
    """Every expression of a stage."""
    roots = [r.value for r in stage.reductions] + [t.value for t in stage.stores]
    return roots + [t.guard for t in stage.stores if t.guard is not None]


def transform(
    kernel: LoopKernel,
    access: Callable[[Access], Access],
    index: Callable[[Expr], Expr] = lambda e: e,
) -> LoopKernel:
    """`kernel` with every access and every index leaf put through a function."""
    done: dict[Expr, Expr] = {}
    for e in postorder(*exprs(kernel)):
        args = tuple(done[a] for a in e.args)
        if e.op == "load":
            attr = access(e.attr)
            if attr.displaced != e.attr.displaced:
                attr = replace(attr, displaced=e.attr.displaced)
            done[e] = scalar.make("load", args, e.dtype, attr)
        elif e.op == "index":
            done[e] = index(e)
        else:
            done[e] = scalar.make(e.op, args, e.dtype, e.attr) if args else e
    stages = tuple(
        Stage(
            stage.over_inner,
            tuple(Reduce(r.op, done[r.value]) for r in stage.reductions),
            tuple(
                Store(access(t.access), done[t.value], None if t.guard is None else done[t.guard])
                for t in stage.stores
            ),
        )
        for stage in kernel.stages
    )
    return replace(kernel, stages=stages)


def varying(roots: Sequence[Expr], lane: int) -> set[Expr]:
    """The parts of `roots` that vary along axis `lane`."""
    found: set[Expr] = set()
    for e in postorder(*roots):
        own = (e.op == "load" and e.attr.strides[lane] != 0) or (e.op == "index" and e.attr == lane)
        if own or any(a in found for a in e.args):
            found.add(e)
    return found


def written(kernel: LoopKernel) -> set[int]:
    """The operands that a kernel writes."""
    return {t.access.operand for stage in kernel.stages for t in stage.stores}

"""Kernels as text: a loop nest as indented lines, any other kernel as its description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops.scalar import Expr, postorder
from .loops import Access, LoopKernel

INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_AXES = "ijklmnpqrstuvw"


def kernel_text(spec: Any, extents: Sequence[int] = ()) -> str:
    """The text of any kernel. `extents` are those of a launch, where they are known."""
    return loop_text(spec, extents) if isinstance(spec, LoopKernel) else repr(spec)


def loop_text(kernel: LoopKernel, extents: Sequence[int] = ()) -> str:
    """A loop kernel as a nest: outer axes first, then its stages in order.

    Operands are a, b, ...; an access shows the axes that it varies along, `:` marks a run-time
    stride, and the axis that lanes lie along has a star.
    """
    n_axes = kernel.n_outer + kernel.n_inner
    lane = kernel.n_outer - 1 if kernel.vector == "outer" else n_axes - 1
    axes = [_AXES[a] for a in range(n_axes)]
    operands = ", ".join(f"{_operand(k)}: {d.name}" for k, d in enumerate(kernel.operands))
    lines = [f"{kernel.name}({operands})"]
    indent = "  "
    for a in range(kernel.n_outer):
        lines.append(f"{indent}for {axes[a]}{_range(extents, a)}{' *lanes' * (a == lane)}:")
        indent += "  "
    for number, stage in enumerate(kernel.stages):
        inner = indent
        if stage.over_inner:
            for a in range(kernel.n_outer, n_axes):
                lines.append(f"{inner}for {axes[a]}{_range(extents, a)}{' *lanes' * (a == lane)}:")
                inner += "  "
        names: dict[Expr, str] = {}
        roots = [r.value for r in stage.reductions] + [t.value for t in stage.stores]
        lines += [f"{inner}{line}" for line in _shared(roots, names, axes)]
        for i, reduce in enumerate(stage.reductions):
            value = expr_text(reduce.value, names, axes)
            lines.append(f"{inner}acc{number}_{i} = {reduce.op}({value})")
        for store in stage.stores:
            target = _access(store.access, axes)
            guard = ""
            if store.guard is not None:
                guard = f"  if {expr_text(store.guard, names, axes)}"
            lines.append(f"{inner}{target} = {expr_text(store.value, names, axes)}{guard}")
    return "\n".join(lines)


def _operand(k: int) -> str:
    return chr(ord("a") + k) if k < 26 else f"a{k}"


def _range(extents: Sequence[int], axis: int) -> str:
    return f" < {extents[axis]}" if axis < len(extents) else ""


def _access(access: Access, axes: Sequence[str]) -> str:
    parts = [axes[a] + (":" if s == "s" else "") for a, s in enumerate(access.strides) if s != 0]
    return f"{_operand(access.operand)}[{', '.join(parts)}]"


def _shared(roots: Sequence[Expr], names: dict[Expr, str], axes: Sequence[str]) -> list[str]:
    """Lines for what is used more than once; their names go into `names`."""
    uses: dict[Expr, int] = {}
    order = postorder(*roots)
    for e in order:
        for x in e.args:
            uses[x] = uses.get(x, 0) + 1
    for root in roots:
        uses[root] = uses.get(root, 0) + 1
    lines = []
    for e in order:
        if e.args and uses[e] > 1:
            text = expr_text(e, names, axes)
            names[e] = f"t{len(names)}"
            lines.append(f"{names[e]} = {text}")
    return lines


def expr_text(root: Expr, names: dict[Expr, str], axes: Sequence[str]) -> str:
    """An expression, with what is in `names` by its name."""
    done: dict[Expr, str] = {}
    for e in postorder(root):
        if e in names:
            done[e] = names[e]
            continue
        done[e] = _one(e, [done[x] for x in e.args], axes)
    return done[root]


def _one(e: Expr, args: list[str], axes: Sequence[str]) -> str:
    if e.op == "load":
        text = _access(e.attr, axes)
        return f"({text} if {args[0]} else 0)" if args else text
    if e.op == "index":
        return axes[e.attr]
    if e.op == "word":
        return f"word{e.attr}"
    if e.op == "acc":
        return f"acc{e.attr[0]}_{e.attr[1]}"
    if e.op == "const":
        return f"{e.attr:g}" if isinstance(e.attr, float) else str(e.attr)
    if e.op in INFIX and len(args) == 2:
        return f"({args[0]} {INFIX[e.op]} {args[1]})"
    if e.op == "cast":
        return f"{e.dtype.name}({args[0]})"
    attr = "" if e.attr is None else f"; {e.attr}"
    return f"{e.op}({', '.join(args)}{attr})"

"""Simplify: what does nothing goes, and chains of movement become one.

    permute(permute(x))  =>  permute(x)          detach(x), variable(x)  =>  x
    x * 1, x / 1         =>  x                   cast(x, x's dtype)      =>  x

Rules that could change a bit are not here: x + 0 is not x where x is -0.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops import movement as mv
from .rewrite import Rule, rewrite


def simplify(roots: Sequence[Node]) -> list[Node]:
    """The roots with the rules above applied everywhere, and equal nodes made one."""
    return rewrite(roots, RULES, merge=True)


def tidy(roots: Sequence[Node]) -> list[Node]:
    """The roots with the rules above applied to what other passes left."""
    return rewrite(roots, RULES)


def _forward(node: Node) -> Node:
    """detach(x) = variable(x) = x as values."""
    return node.inputs[0]


def _same_type(node: Node) -> Node | None:
    """A cast, reshape or expand to what x already is."""
    x = node.inputs[0]
    return x if x.structure.type == node.structure.type else None


def _is_constant(node: Node, value: float) -> bool:
    while node.structure.op.name in ("expand", "reshape") and node.value is None:
        node = node.inputs[0]
    s = node.structure
    return s.op is ew.CONSTANT and ew.CONSTANT.value(s.attrs) == value


def _times_one(node: Node) -> Node | None:
    """x * 1 = 1 * x = x."""
    a, b = node.inputs
    if _is_constant(b, 1) and a.shape == node.shape:
        return a
    if _is_constant(a, 1) and b.shape == node.shape:
        return b
    return None


def _over_one(node: Node) -> Node | None:
    """x / 1 = x."""
    a, b = node.inputs
    return a if _is_constant(b, 1) and a.shape == node.shape else None


def _negative_twice(node: Node) -> Node | None:
    """-(-x) = x."""
    x = node.inputs[0]
    return x.inputs[0] if x.structure.op.name == "neg" and x.value is None else None


def _merge_reshape(node: Node) -> Node | None:
    """reshape(reshape(x, s), t) = reshape(x, t); a reshape of a scalar's expand is an expand."""
    x = node.inputs[0]
    if x.value is not None:
        return None
    if x.structure.op.name == "reshape":
        return mv.reshape(x.inputs[0], node.shape)
    if x.structure.op.name == "expand" and x.inputs[0].shape == ():
        return mv.expand(x.inputs[0], node.shape)
    return None


def _merge_permute(node: Node) -> Node | None:
    """permute(permute(x, p), q) = permute(x, p[q])."""
    x = node.inputs[0]
    axes = node.structure.attrs[0]
    if x.value is None and x.structure.op.name == "permute":
        inner = x.structure.attrs[0]
        return mv.permute(x.inputs[0], tuple(inner[a] for a in axes))
    return x if axes == tuple(range(len(axes))) else None


def _permute_as_reshape(node: Node) -> Node | None:
    """A permute that moves only axes of one element is a reshape."""
    x, axes = node.inputs[0], node.structure.attrs[0]
    moved = [a for a in axes if x.shape[a] != 1]
    return mv.reshape(x, node.shape) if moved == sorted(moved) else None


def _merge_expand(node: Node) -> Node | None:
    """expand(expand(x)) = expand(x)."""
    x = node.inputs[0]
    if x.value is None and x.structure.op.name == "expand":
        return mv.expand(x.inputs[0], node.shape)
    return None


def _merge_slice(node: Node) -> Node | None:
    """slice(slice(x)): starts add up, steps multiply."""
    x = node.inputs[0]
    if x.value is not None or x.structure.op.name != "slice":
        return None
    bounds = tuple(
        (start + first * step, size, step * stride)
        for (start, _, step), (first, size, stride) in zip(
            x.structure.attrs[0], node.structure.attrs[0]
        )
    )
    return mv.slice_(x.inputs[0], bounds)


def _slice_of_pad(node: Node) -> Node | None:
    """slice(pad(x)) = slice(x) where it reads nothing of the padding."""
    padded = node.inputs[0]
    if padded.value is not None or padded.structure.op.name != "pad":
        return None
    x, bounds = padded.inputs[0], []
    for n, (lo, _), (start, size, step) in zip(
        x.shape, padded.structure.attrs[0], node.structure.attrs[0]
    ):
        last = start + (size - 1) * step
        if not size or min(start, last) < lo or max(start, last) >= lo + n:
            return None
        bounds.append((start - lo, size, step))
    return mv.slice_(x, tuple(bounds))


def _reduce_nothing(node: Node) -> Node | None:
    """A reduction over no axes is x."""
    return None if node.structure.attrs[0] else node.inputs[0]


def _position_of_one(node: Node) -> Node | None:
    """The position of the extreme of one value is 0."""
    x, axes = node.inputs[0], node.structure.attrs[0]
    if any(x.shape[a] != 1 for a in axes):
        return None
    return mv.expand(ew.constant(0, node.dtype), node.shape)


RULES: dict[str, list[Rule]] = {
    **{name: [_reduce_nothing] for name in ("sum", "prod", "max", "min", "any", "all")},
    "argmax": [_position_of_one],
    "argmin": [_position_of_one],
    "detach": [_forward],
    "variable": [_forward],
    "cast": [_same_type],
    "mul": [_times_one],
    "div": [_over_one],
    "neg": [_negative_twice],
    "reshape": [_same_type, _merge_reshape],
    "permute": [_merge_permute, _permute_as_reshape],
    "expand": [_same_type, _merge_expand],
    "slice": [_merge_slice, _slice_of_pad],
}

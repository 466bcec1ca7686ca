"""Join parts that are added on zeros: the gradient of a tensor that was cut into pieces.

    slice_put(0, a, [:n]) + slice_put(0, b, [n:])  =>  concatenate(a + 0, b + 0)

What no part covers is a part of zeros. a + 0 is what the sum gives where the others are 0 (it is
not a where a is -0), so no bit changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops import movement as mv
from .rewrite import rewrite

Parts = list[tuple[int, int, Node]]
"""(start, size, value) of each part along an axis, those of zeros left out."""


def join(roots: Sequence[Node]) -> list[Node]:
    """The roots with parts on zeros, and sums of such, made concatenations."""
    return rewrite(roots, {"slice_put": (_spread,), "add": (_join,)})


def _is_zero(node: Node) -> bool:
    """Whether a node is +0 throughout."""
    while node.structure.op.name in ("expand", "reshape") and node.value is None:
        node = node.inputs[0]
    s = node.structure
    return s.op is ew.CONSTANT and s.attrs[1] == bytes(len(s.attrs[1]))


def _spread(node: Node) -> Node | None:
    """slice_put(0, v, [a:b] of one axis) = concatenate(0, v, 0)."""
    x, v = node.inputs
    bounds = node.structure.attrs[0]
    cut = [a for a, (b, n) in enumerate(zip(bounds, node.shape)) if b != (0, n, 1)]
    if len(cut) != 1 or bounds[cut[0]][2] != 1 or not v.type.size or not _is_zero(x):
        return None
    start, size, _ = bounds[cut[0]]
    return _laid_out(node, cut[0], [(start, size, v)])


def _parts(node: Node) -> tuple[int, Parts] | None:
    """The axis along which `node` is made of parts, and these; None if it is not."""
    s = node.structure
    if node.value is not None or s.op is not mv.CONCATENATE:
        return None
    axis, start, found = s.attrs[0], 0, []
    for x in node.inputs:
        if not _is_zero(x):
            found.append((start, x.shape[axis], x))
        start += x.shape[axis]
    return axis, found


def _join(node: Node) -> Node | None:
    a, b = node.inputs
    if a.shape != b.shape or node.dtype.kind != "float":
        return None
    left, right = _parts(a), _parts(b)
    if left is None or right is None or left[0] != right[0]:
        return None
    merged = sorted([*left[1], *right[1]], key=lambda part: part[:2])
    if any(p[0] + p[1] > q[0] for p, q in pairwise(merged)):
        return None
    return _laid_out(node, left[0], [(start, n, _plus_zero(x)) for start, n, x in merged])


def _laid_out(node: Node, axis: int, parts: Parts) -> Node:
    """A value of node's type with `parts` along an axis, zeros elsewhere."""

    def zeros(size: int) -> list[Node]:
        shape = (*node.shape[:axis], size, *node.shape[axis + 1 :])
        return [mv.expand(ew.constant(0, node.dtype), shape)] if size else []

    found, end = [], 0
    for start, size, x in parts:
        found += [*zeros(start - end), x]
        end = start + size
    return mv.concatenate([*found, *zeros(node.shape[axis] - end)], axis)


def _plus_zero(x: Node) -> Node:
    """x + 0."""
    if x.value is None and x.structure.op.name == "add" and _is_zero(x.inputs[1]):
        return x
    return ew.add(x, mv.expand(ew.const_like(x, 0), x.shape))

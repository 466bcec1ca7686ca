"""Pull permutes towards the roots, where they cancel one another.

Convolution and pooling work channels last; programs hold images channels first, so each is wrapped
in permutes. Moving a permute over what lies between lets it meet the next one's inverse:

    permute(relu(permute(x, 0312) + bias), 0231)  =>  relu(x + bias')

A permute moves over an elementwise op if every other large operand is permuted alike (small ones,
such as a bias, are permuted back at no cost), over pads and slices always, and over reductions if
the elements are still added in the same order.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from math import prod

from ..graph import node as graph
from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops.base import registry
from ..ops.reduce import order_of
from .rewrite import Rule, rewrite
from .simplify import RULES


def pull_permutes(roots: Sequence[Node]) -> list[Node]:
    """The roots with permutes as near to them as they get."""
    return rewrite(roots, _rules(len(registry)))


@functools.lru_cache(1)
def _rules(n_ops: int) -> dict[str, list[Rule]]:
    """The rules by op, of which there are `n_ops`."""
    rules: dict[str, list[Rule]] = {name: list(some) for name, some in RULES.items()}
    for name, op in registry.items():
        if op.kind == "elementwise" and op is not ew.CONSTANT:
            rules.setdefault(name, []).append(_over_elementwise)
        elif op.kind == "reduce" and not name.startswith("arg"):
            rules.setdefault(name, []).append(_over_reduction)
    rules["slice"].append(_over_slice)
    rules.setdefault("pad", []).append(_over_pad)
    return rules


def _permuted(x: Node) -> tuple[Node, tuple[int, ...]] | None:
    if x.value is None and x.structure.op.name == "permute":
        return x.inputs[0], x.structure.attrs[0]
    return None


def _over_elementwise(node: Node) -> Node | None:
    """f(permute(x, p), permute(y, p), small) = permute(f(x, y, permute(small, inverse of p)),
    p)."""
    shape = node.structure.shape
    rank, size = len(shape), prod(shape)
    axes: tuple[int, ...] | None = None
    for x in node.inputs:
        found = _permuted(x)
        large = x.structure.shape == shape and size > 1
        if found is not None and large:
            if axes is not None and axes != found[1]:
                return None
            axes = found[1]
        elif large and not _is_filled(x):
            return None
    if axes is None:
        return None
    back = mv.inverse_permutation(axes)
    inputs = []
    for x in node.inputs:
        found = _permuted(x)
        if found is not None and x.structure.shape == shape:
            inputs.append(found[0])
        elif not x.structure.shape:
            inputs.append(x)
        elif _is_filled(x) and x.structure.shape == shape:
            inputs.append(mv.expand(x.inputs[0], tuple(shape[a] for a in back)))
        else:
            own = x.structure.shape
            full = mv.reshape(x, ((1,) * (rank - len(own)) + own))
            inputs.append(mv.permute(full, back))
    moved = graph.make(node.structure.op, tuple(inputs), node.structure.attrs)
    return mv.permute(moved, axes)


def _is_filled(x: Node) -> bool:
    """Whether x is one number everywhere."""
    return x.value is None and x.structure.op.name == "expand" and not x.inputs[0].shape


def _over_reduction(node: Node) -> Node | None:
    """reduce(permute(x, p), axes) = permute(reduce(x, p[axes]), what is left of p), unless that
    would change bits."""
    found = _permuted(node.inputs[0])
    if found is None:
        return None
    x, axes = found
    op, given = node.structure.op, node.structure.attrs[0]
    reduced = tuple(sorted(axes[a] for a in given))
    if op.rounds and node.dtype.is_floating_point:
        before, after = order_of(node.inputs[0].shape, given), order_of(x.shape, reduced)
        if replace(before, axes=tuple(axes[a] for a in before.axes)) != after:
            return None
    result = graph.make(op, (x,), (reduced,))
    kept = [a for a in range(len(axes)) if a not in reduced]
    order = [axes[a] for a in range(len(axes)) if axes[a] not in reduced]
    return mv.permute(result, tuple(kept.index(a) for a in order))


def _over_slice(node: Node) -> Node | None:
    """slice(permute(x, p), b) = permute(slice(x, b'), p)."""
    found = _permuted(node.inputs[0])
    if found is None:
        return None
    x, axes = found
    back = mv.inverse_permutation(axes)
    return mv.permute(mv.slice_(x, tuple(node.structure.attrs[0][a] for a in back)), axes)


def _over_pad(node: Node) -> Node | None:
    """pad(permute(x, p), w) = permute(pad(x, w'), p)."""
    found = _permuted(node.inputs[0])
    if found is None:
        return None
    x, axes = found
    back = mv.inverse_permutation(axes)
    widths = tuple(node.structure.attrs[0][a] for a in back)
    return mv.permute(mv.pad(x, widths, node.inputs[1]), axes)

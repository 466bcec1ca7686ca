"""Graphs from files, made safe to run.

An op's rule checks types and attributes, but the positions that a gather reads and a scatter writes
are values: the functions that record those ops put a `checked` before them, and a file may not have
done so. Here every position that is not known to be in range gets one.

    before   gather(x, i)
    after    gather(x, checked(i, size=len(x), dim=0, style="gather"))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..graph.node import PARAMETER, Node, is_given, postorder
from ..graph.node import make as make_node
from ..ops.body import Body, Env, interned
from ..ops.bundle import PART
from ..ops.index import CHECKED, STYLES

_REFUSED = ("nonzero", "masked_select")
"""Ops whose sizes depend on values; no function that can be saved records them."""

_MOVES = ("reshape", "permute", "expand", "slice")
_SCATTERS = ("scatter_add", "scatter_set", "scatter_mul", "scatter_max", "scatter_min")


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _all(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: isinstance(values, tuple) and all(map(rule, values))


def _positive(value: Any) -> bool:
    return _count(value) and value > 0


_RULES: dict[str, Callable[[Any], bool]] = {
    "axis": _count,
    "batch_rank": _count,
    "dilation": _all(_positive),
    "groups": _positive,
    "k": _count,
    "kernel": _all(_positive),
    "low": _all(_count),
    "n": _count,
    "padding": _all(_all(_count)),
    "size": _count,
    "spatial": _all(_count),
    "steps": _count,
    "stride": _all(_positive),
    "style": STYLES.__contains__,
}
"""What attributes of these names may be, where the op's own rule trusts whoever records it."""


def hardened(roots: Sequence[Node]) -> list[Node]:
    """The same graph with all positions checked. ValueError for ops that a program may not have,
    and for attributes out of their range."""
    env: Env = {}
    limits: dict[int, int] = {}
    for node in postorder(roots):
        made = _hardened(node, [env[id(x)] for x in node.inputs], limits)
        env[id(node)] = made
        limit = _limit(made, limits)
        if limit is not None:
            limits[id(made)] = limit
    return [env[id(r)] for r in roots]


def _hardened(node: Node, inputs: list[Node], limits: dict[int, int]) -> Node:
    op, attrs = node.structure.op, node.structure.attrs
    if is_given(node) or op is PARAMETER:
        return node
    if op.name in _REFUSED:
        raise ValueError(f"[program] a program may not have {op.name}")
    if len(inputs) != getattr(op, "arity", len(inputs)):
        raise ValueError(f"[program] {op.name} takes {op.arity} inputs; got {len(inputs)}")
    for name, value in zip(op.params, attrs):
        rule = _RULES.get(name)
        if rule is not None and not rule(value):
            raise ValueError(f"[program] {op.name}: {name} cannot be {value!r}")
    if op.name == "concatenate" and attrs[0] >= len(inputs[0].shape):
        raise ValueError(f"[program] concatenate: no axis {attrs[0]} in {inputs[0].shape}")
    if op.name == "gather":
        rank, shape = attrs[0], inputs[0].shape
        inputs[1:] = [_checked(i, shape[rank + k], k, limits) for k, i in enumerate(inputs[1:])]
    elif op.name in _SCATTERS:
        inputs[2] = _checked(inputs[2], inputs[0].shape[1], 0, limits)
    elif op.has_body:
        body = attrs[0]
        safe = Body(body.parameters, hardened(body.outputs))
        if safe.key != body.key:
            attrs = (interned(safe), *attrs[1:])
    elif op is PART and not PART.fits(node):
        raise ValueError(f"[program] {attrs} is no part of {node.inputs[0]!r}")
    if attrs is node.structure.attrs and all(a is b for a, b in zip(inputs, node.inputs)):
        return node
    return make_node(op, tuple(inputs), attrs)


def _checked(i: Node, size: int, dim: int, limits: dict[int, int]) -> Node:
    """`i`, known to be below `size`."""
    limit = limits.get(id(i))
    if limit is not None and limit <= size:
        return i
    made = make_node(CHECKED, (i,), (size, dim, "gather"))
    limits[id(made)] = size
    return made


def _limit(node: Node, limits: dict[int, int]) -> int | None:
    """What a node's integers, none below 0, are below; None if that is not known."""
    name, attrs = node.structure.op.name, node.structure.attrs
    if name in ("checked", "iota"):
        return attrs[0]
    if name in ("argsort", "argtop"):
        return node.inputs[0].shape[-1]
    if name in ("argmax", "argmin"):
        return math.prod(node.inputs[0].shape)
    found = [limits.get(id(x)) for x in node.inputs]
    if name in _MOVES:
        return found[0]
    if name == "ravel_index" and len(found) == len(attrs[0]):
        fit = all(f is not None and f <= n for f, n in zip(found, attrs[0]))
        return math.prod(attrs[0]) if fit else None
    return None

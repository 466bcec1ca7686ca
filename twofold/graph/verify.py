"""Check the rules that every stage may rely on, and name the stage that broke one.

A graph has no way round in it; each op is a registered one, with as many attributes as it has
parameters; each node's type is what its op's own rule gives for its inputs' types; and a pass keeps
the types of the roots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InternalError
from .node import Node, is_given
from .text import Graph, call_text
from .types import Type


def verify(
    roots: Sequence[Node],
    ops: Mapping[str, Any],
    stage: str,
    types: Sequence[Type] | None = None,
) -> None:
    """InternalError, naming `stage`, if a rule is broken. `types` are what the roots must have."""
    order = _acyclic(roots, stage)
    for node in order:
        if not is_given(node):
            _verify_node(node, ops, stage, roots)
    for k, (root, type_) in enumerate(zip(roots, types or [])):
        if root.type != type_:
            raise InternalError(
                f"[verify] after {stage}: root {k} must keep its type; got {root.type!r}, "
                f"it was {type_!r}"
            )


def _acyclic(roots: Sequence[Node], stage: str) -> list[Node]:
    """Every node below `roots`, inputs before users; InternalError if one is below itself."""
    order: list[Node] = []
    state: dict[int, str] = {}
    stack: list[tuple[Node, bool]] = [(root, False) for root in roots]
    while stack:
        node, through = stack.pop()
        if through:
            state[id(node)] = "done"
            order.append(node)
            continue
        if id(node) in state:
            continue
        state[id(node)] = "open"
        stack.append((node, True))
        if node.value is not None:
            continue
        for x in node.inputs:
            if state.get(id(x)) == "open":
                raise InternalError(f"[verify] after {stage}: {node!r} is an input of itself")
            stack.append((x, False))
    return order


def _verify_node(node: Node, ops: Mapping[str, Any], stage: str, roots: Sequence[Node]) -> None:
    s = node.structure
    op: Any = s.op

    def broken(rule: str, got: object) -> InternalError:
        try:
            where = call_text(node, Graph(list(roots)).names())
        except ValueError:
            where = repr(node)
        return InternalError(f"[verify] after {stage}: {where}: {rule}; got {got}")

    if op.name not in ops or ops[op.name] is not op:
        raise broken("the op must be a registered one", op)
    if len(s.attrs) != len(op.params):
        raise broken(f"the op's parameters are {op.params}", s.attrs)
    try:
        expected = op.infer([x.type for x in node.inputs], s.attrs)
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        raise broken("the op refuses its inputs", error) from error
    if op.name == "part" and not op.fits(node):
        raise broken("a part must be one of its bundle's", node.inputs[0])
    if expected != s.type:
        raise broken(f"the op's rule gives {expected!r}", repr(s.type))

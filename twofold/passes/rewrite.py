"""The driver of rewrites: one walk from inputs to roots, with equal nodes made one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..graph import node as graph
from ..graph.node import Node, postorder

Rule = Callable[[Node], Node | None]
"""Gives what a node (whose inputs are rewritten) is replaced with, or None to leave it."""


def rewrite(
    roots: Sequence[Node],
    rules: Mapping[str, Sequence[Rule]],
    uses: dict[int, int] | None = None,
    merge: bool = False,
) -> list[Node]:
    """`roots` with the rules of each op applied until none applies.

    A rule must make the graph smaller, or move an op one way only, so that this ends. `uses`, where
    given (see `count_uses`), is kept up to date by giving a new node the count of the one it
    replaces. A graph to which no rule applies is left as it is, unless `merge` asks that equal
    nodes be made one there, too.
    """
    order = postorder(roots, pending_only=True)
    if not merge and not _applies(order, rules):
        return list(roots)
    unique: dict[tuple, Node] = {}
    done: dict[int, Node] = {}
    keep: list[Node] = []
    enabled = graph.recorder.grad_enabled
    graph.recorder.grad_enabled = False
    try:
        for node in order:
            if node.value is not None:
                done[id(node)] = node
                continue
            inputs = tuple(done[id(x)] for x in node.inputs)
            if all(a is b for a, b in zip(inputs, node.inputs)):
                new = node
            else:
                new = graph.make(node.structure.op, inputs, node.structure.attrs)
                new.location = node.location
            new = _settle(new, rules, unique)
            done[id(node)] = new
            if uses is not None and new is not node:
                uses[id(new)] = uses.get(id(node), 0)
            keep.append(new)
        return [done[id(r)] for r in roots]
    finally:
        graph.recorder.grad_enabled = enabled


def _applies(order: Sequence[Node], rules: Mapping[str, Sequence[Rule]]) -> bool:
    """Whether a rule applies to a node as it is."""
    enabled = graph.recorder.grad_enabled
    graph.recorder.grad_enabled = False
    try:
        for node in order:
            if node.value is None:
                for rule in rules.get(node.structure.op.name, ()):
                    if rule(node) not in (None, node):
                        return True
        return False
    finally:
        graph.recorder.grad_enabled = enabled


def count_uses(roots: Sequence[Node]) -> dict[int, int]:
    """How often each node below `roots` is read, by id; once more for each time that it is a
    root."""
    uses: dict[int, int] = {}
    for node in postorder(roots, pending_only=True):
        if node.value is None:
            for x in node.inputs:
                uses[id(x)] = uses.get(id(x), 0) + 1
    for root in roots:
        uses[id(root)] = uses.get(id(root), 0) + 1
    return uses


def _settle(node: Node, rules: Mapping[str, Sequence[Rule]], unique: dict[tuple, Node]) -> Node:
    """Apply the rules to `node`, and to the new nodes they make, until none applies."""
    changed = True
    while changed and node.value is None:
        changed = False
        for rule in rules.get(node.structure.op.name, ()):
            new = rule(node)
            if new is not None and new is not node:
                node = _settle_new(new, rules, unique)
                changed = True
                break
    if node.value is not None:
        return node
    key = (node.structure.op, node.structure.attrs, *map(id, node.inputs))
    return unique.setdefault(key, node)


def _settle_new(node: Node, rules: Mapping[str, Sequence[Rule]], unique: dict[tuple, Node]) -> Node:
    """Rewrite the inputs that a rule made afresh, which no walk has seen."""
    if node.value is not None or not node.inputs:
        return node
    inputs = []
    for x in node.inputs:
        if x.value is None and x.inputs:
            key = (x.structure.op, x.structure.attrs, *map(id, x.inputs))
            x = unique[key] if key in unique else _settle(x, rules, unique)
        inputs.append(x)
    if all(a is b for a, b in zip(inputs, node.inputs)):
        return node
    return graph.make(node.structure.op, tuple(inputs), node.structure.attrs)

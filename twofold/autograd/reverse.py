"""Reverse mode: cotangents from outputs to leaves, as new nodes of the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..graph.node import Node, recorder
from ..ops import elementwise as ew


class Link:
    """How gradients go on from a node that starts anew for the compiler: its inputs, and a
    function from its cotangent to theirs (None where there is none). Held as the node's
    `target`."""

    __slots__ = ("function", "inputs")

    def __init__(
        self, inputs: Sequence[Node], function: Callable[[Node], Sequence[Node | None]]
    ) -> None:
        self.inputs = tuple(inputs)
        self.function = function


def _order(roots: Sequence[Node]) -> list[Node]:
    """The nodes that gradients pass through, inputs first."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(r, False) for r in roots if r.structure.requires_grad]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.released:
            raise RuntimeError(
                "[backward] Trying to backward through the graph a second time (or directly access "
                "saved tensors after they have already been freed); try retain_graph=True in the "
                "first backward or autograd.grad call"
            )
        stack.append((node, True))
        if type(node.target) is Link:
            before: Sequence[Node] = node.target.inputs
        elif node.structure.op.starts_gradient:
            continue
        else:
            before = node.inputs
        for x in before:
            if x.structure.requires_grad and id(x) not in seen:
                stack.append((x, False))
    return order


def cotangents(
    outputs: Sequence[Node],
    seeds: Sequence[Node],
    hook: Callable[[Node, Node], Node] | None = None,
    release: bool = True,
) -> dict[int, tuple[Node, Node]]:
    """The cotangent of every node that `outputs` depend on and that requires a gradient.

    Gives {id(node): (node, cotangent)} for leaves that require a gradient and for all nodes
    between.
    `seeds` are the cotangents of the outputs. `hook(node, cotangent)`, where given, may replace
    each
    cotangent before it is passed on. With `release`, no other pass may go through these nodes.
    """
    order = _order(outputs)
    sums: dict[int, Node] = {}
    for node, seed in zip(outputs, seeds, strict=True):
        _accumulate(sums, node, seed)
    result: dict[int, tuple[Node, Node]] = {}
    for node in reversed(order):
        g = sums.pop(id(node), None)
        if g is None:
            continue
        if hook is not None:
            g = hook(node, g)
        result[id(node)] = (node, g)
        link = node.target
        if type(link) is Link:
            before, partials = link.inputs, link.function(g)
        elif not node.inputs or node.structure.op.starts_gradient:
            continue
        else:
            before, partials = node.inputs, node.structure.op.gradient(node, g)
        for x, partial in zip(before, partials, strict=True):
            if partial is not None and x.structure.requires_grad:
                _accumulate(sums, x, partial)
        if release:
            node.released = True
    return result


def _accumulate(sums: dict[int, Node], node: Node, g: Node) -> None:
    if not node.structure.requires_grad:
        return
    before = sums.get(id(node))
    sums[id(node)] = g if before is None else ew.add(before, g)


class grad_mode:
    """Set whether nodes made from now on record gradients; a context manager."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __enter__(self) -> None:
        self.before = recorder.grad_enabled
        recorder.grad_enabled = self.enabled

    def __exit__(self, *details: object) -> None:
        recorder.grad_enabled = self.before

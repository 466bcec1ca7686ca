"""Reverse mode: cotangents from outputs to leaves, as new nodes of the graph."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from heapq import heappop, heappush

from ..graph.node import Node, recorder
from ..ops import elementwise as ew
from ..ops.complex import conj


class Link:
    """How gradients go on from a node that starts anew for the compiler: its inputs, and a
    function from its cotangent to theirs (None where there is none). Held as the node's
    `target`. `call` is the user's function that it belongs to, for who builds the graph anew."""

    __slots__ = ("call", "function", "inputs")

    def __init__(
        self,
        inputs: Sequence[Node],
        function: Callable[[Node], Sequence[Node | None]],
        call: object = None,
    ) -> None:
        self.inputs = tuple(inputs)
        self.function = function
        self.call = call


def _no_inputs(g: Node) -> Sequence[Node | None]:
    return ()


_RELEASED = Link((), _no_inputs)


def cotangents(
    outputs: Sequence[Node],
    seeds: Sequence[Node],
    wanted: Container[int] = (),
    hook: Callable[[Node, Node], Node] | None = None,
    release: bool = True,
) -> list[tuple[Node, Node]]:
    """(node, cotangent) for what `outputs` depend on: nodes that have a target (leaves, tensors
    with hooks), and nodes whose `id` is `wanted`.

    `seeds` are the cotangents of the outputs. `hook(node, cotangent)`, where given, may replace the
    cotangents of nodes that have a target before they are passed on. With `release`, no other pass
    may go through these nodes, and they let go of what only a backward needs. Nodes are visited by
    falling serial, which is after all of their users. RuntimeError for a second pass through
    released nodes.
    """
    sums: dict[int, Node] = {}
    nodes: dict[int, Node] = {}
    heap: list[int] = []
    for node, seed in zip(outputs, seeds, strict=True):
        if node.structure.requires_grad:
            serial = node.serial
            if serial in sums:
                sums[serial] = ew.add(sums[serial], seed)
            else:
                sums[serial], nodes[serial] = seed, node
                heappush(heap, -serial)
    result: list[tuple[Node, Node]] = []
    visited: list[Node] = []
    while heap:
        serial = -heappop(heap)
        node, g = nodes.pop(serial), sums.pop(serial)
        target = node.target
        if node.released:
            raise RuntimeError(
                "[backward] Trying to backward through the graph a second time (or directly access "
                "saved tensors after they have already been freed); try retain_graph=True in the "
                "first backward or autograd.grad call"
            )
        if target is not None and hook is not None:
            g = hook(node, g)
        if target is not None or id(node) in wanted:
            result.append((node, g))
        if target.__class__ is Link:
            before, partials = target.inputs, target.function(g)
        else:
            before = node.inputs
            if not before or node.structure.op.starts_gradient:
                continue
            if node.location is None:
                partials = _partials(node, g)
            else:
                partials = _located_partials(node, g)
        visited.append(node)
        for x, partial in zip(before, partials, strict=True):
            if partial is not None and x.structure.requires_grad:
                serial = x.serial
                known = sums.get(serial)
                if known is None:
                    sums[serial], nodes[serial] = partial, x
                    heappush(heap, -serial)
                else:
                    sums[serial] = ew.add(known, partial)
    if release:
        for node in visited:
            node.released = True
            if node.target.__class__ is Link:
                node.target = _RELEASED
            if node.value is not None:
                node.inputs = ()
    return result


def _partials(node: Node, g: Node) -> Sequence[Node | None]:
    """The partials of a node, by its op's rule."""
    if node.structure.dtype.kind == "complex":
        return _conjugated(node, g)
    return node.structure.op.gradient(node, g)


def _conjugated(node: Node, g: Node) -> Sequence[Node | None]:
    """The partials of a complex node. With y = f(x) holomorphic, g = dL/dRe(y) + i dL/dIm(y) is
    passed on as g conj(f'(x)): the rule for real numbers gives conj(g) f'(x), the conjugate."""
    op = node.structure.op
    if op.complex_rule not in ("product", "holomorphic"):
        return op.gradient(node, g)
    return [None if p is None else conj(p) for p in op.gradient(node, conj(g))]


def _located_partials(node: Node, g: Node) -> Sequence[Node | None]:
    """The partials of a node, whose nodes are said to come from the line of the op."""
    before = recorder.site
    recorder.site = node.location
    try:
        return _partials(node, g)
    finally:
        recorder.site = before


class grad_mode:
    """Set whether nodes made from now on record gradients; a context manager."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __enter__(self) -> None:
        self.before = recorder.grad_enabled
        recorder.grad_enabled = self.enabled

    def __exit__(self, *details: object) -> None:
        recorder.grad_enabled = self.before

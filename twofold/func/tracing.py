"""Graphs made by a user's function on stand-ins, rebuilt on other nodes.

`vmap` runs a function on placeholders that stand for one example each; the graph that comes of it
is then built anew, op by op, on the whole batch. `rebuild` does the same on nodes of equal type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from ..autograd.reverse import Link
from ..errors import InternalError
from ..graph.node import Node, leaf, make, recorder
from ..graph.types import Type
from ..ops import elementwise as ew
from ..tensor import Tensor, wrap


class Placeholder:
    """The op of nodes that stand for a value which is not there: one example of a batch."""

    name = "placeholder"
    kind = "placeholder"
    differentiable = False
    locates = False

    def __init__(self, starts_gradient: bool) -> None:
        self.starts_gradient = starts_gradient

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        """The type it was made for."""
        return attrs[0]


_PLAIN, _DIFFERENTIABLE = Placeholder(False), Placeholder(True)


def placeholder(type_: Type, requires_grad: bool) -> Node:
    """A node of a type with no value."""
    return make(_DIFFERENTIABLE if requires_grad else _PLAIN, (), (type_,))


def _before(node: Node) -> Iterable[Node]:
    """What a node is made of: its inputs, and those of a user's function that ended in it."""
    link = node.target
    return (*node.inputs, *link.inputs) if link.__class__ is Link else node.inputs


def dependents(roots: Sequence[Node], known: dict[int, Node]) -> list[Node]:
    """The nodes between those whose ids are `known` and the roots, inputs first.

    `known` gives the nodes by their ids. What was made before the first of them is not looked at.
    """
    if not known:
        return []
    first = min(node.serial for node in known.values())
    order: list[Node] = []
    depends: dict[int, bool] = dict.fromkeys(known, True)
    stack: list[tuple[Node, bool]] = [(root, False) for root in roots]
    while stack:
        node, ready = stack.pop()
        if ready:
            if any(depends[id(x)] for x in _before(node)):
                depends[id(node)] = True
                order.append(node)
            continue
        if id(node) in depends:
            continue
        depends[id(node)] = False
        if node.serial <= first:
            continue
        stack.append((node, True))
        stack.extend((x, False) for x in _before(node) if id(x) not in depends)
    return order


def rebuild(roots: Sequence[Node], pairs: Sequence[tuple[Node, Node]]) -> list[Node]:
    """The roots with the second node of each pair in the place of the first."""
    made = {id(old): new for old, new in pairs}
    for node in dependents(roots, {id(old): old for old, _ in pairs}):
        link = node.target
        inputs = tuple(made.get(id(x), x) for x in node.inputs)
        if node.inputs:
            new = recorded(node, partial(make, node.op, inputs, node.attrs))
        else:
            new = leaf(node.value, node.type, node.requires_grad, scalar=True)
        if link.__class__ is Link:
            new.target = Link([made.get(id(x), x) for x in link.inputs], link.function, link.call)
        elif node.value is not None and node.inputs and not new.requires_grad:
            new = ew.detach(node)
        made[id(node)] = new
    return [made.get(id(root), root) for root in roots]


def recorded(like: Node, make_it: Callable[[], Node]) -> Node:
    """What `make_it` makes, with gradients recorded if they were for the node `like`."""
    before = recorder.grad_enabled
    recorder.grad_enabled = like.requires_grad
    try:
        return make_it()
    finally:
        recorder.grad_enabled = before


class _Pending(list):
    """What the next flush looks at while placeholders are about: nothing that depends on one."""

    def __iter__(self) -> Iterator[Any]:
        known = {id(p): p for p in tracing_placeholders()}
        for reference in list.__iter__(self):
            storage = reference()
            if storage is None:
                continue
            node = storage.node
            if id(node) in known or dependents([node], known)[-1:] == [node]:
                continue
            yield reference


_stack: list[Trace] = []

_BY_VMAP = (
    "vmap: It looks like you're calling .item() on a Tensor (or looking at its values in another "
    "way). We don't support vmap over calling .item() on a Tensor, please try to rewrite what "
    "you're doing with other operations."
)


def tracing_placeholders() -> list[Node]:
    """The placeholders of all traces that are under way."""
    return [p for trace in _stack for p in trace.placeholders]


class Trace:
    """While it is open, a user's function runs on placeholders. Looking at a value that depends on
    one is a RuntimeError; the outermost trace says with which words (`refusal`)."""

    def __init__(self, refusal: str = _BY_VMAP) -> None:
        self.placeholders: list[Node] = []
        self.refusal = refusal

    def stand_in(self, like: Node, shape: tuple[int, ...]) -> Tensor:
        """A tensor of a placeholder for a part of `like` of this shape."""
        return self.of(Type(shape, like.dtype), like.requires_grad)

    def of(self, type_: Type, requires_grad: bool = False) -> Tensor:
        """A tensor of a placeholder of this type."""
        node = placeholder(type_, requires_grad)
        self.placeholders.append(node)
        return wrap(node)

    def __enter__(self) -> Trace:
        _stack.append(self)
        if len(_stack) == 1:
            recorder.pending = _Pending(list.__iter__(recorder.pending))
            recorder.tracing = refuse_values
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        if len(_stack) == 1:
            recorder.pending = list(recorder.pending)
            recorder.tracing = None
        if _stack.pop() is not self:
            raise InternalError("[vmap] traces end in another order than they began")


def refuse_values(nodes: Sequence[Node]) -> None:
    """RuntimeError if a node that is to be run depends on a placeholder."""
    known = {id(p): p for p in tracing_placeholders()}
    if any(id(n) in known for n in nodes) or dependents(nodes, known):
        raise RuntimeError(_stack[0].refusal)

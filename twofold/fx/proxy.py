"""Stand-ins for values: what is done with them is recorded."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .node import CONSTANTS, Node, Target, map_aggregate

if TYPE_CHECKING:
    from .graph import Graph


class TraceError(ValueError):
    """A program needs the value of a stand-in."""


class TracerBase:
    """Records calls on stand-ins as nodes of `graph`."""

    graph: Graph

    def create_node(
        self, kind: str, target: Target, args: tuple, kwargs: dict, name: str | None = None,
        type_expr: Any = None,
    ) -> Node:  # fmt: skip
        """A node at the end of the graph."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node: Node) -> Proxy:
        """The stand-in for a node's value."""
        return Proxy(node, self)

    def create_proxy(
        self, kind: str, target: Target, args: tuple, kwargs: dict, name: str | None = None,
        type_expr: Any = None, proxy_factory_fn: Any = None,
    ) -> Proxy:  # fmt: skip
        """Record a call and give the stand-in for its value."""
        args = map_aggregate(args, self.create_arg)
        kwargs = map_aggregate(kwargs, self.create_arg)
        return self.proxy(self.create_node(kind, target, args, kwargs, name, type_expr))

    def create_arg(self, a: Any) -> Any:
        """A value as an argument of a node. NotImplementedError for what cannot be one."""
        if isinstance(a, Proxy):
            return a.node
        if isinstance(a, (Node, *CONSTANTS)) or callable(a) or type(a).__name__ == "Device":
            return a
        if isinstance(a, range):
            return a
        raise NotImplementedError(f"argument of type: {type(a)}")

    def to_bool(self, obj: Proxy) -> bool:
        """TraceError: a branch needs a value."""
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj: Proxy) -> Iterator[Any]:
        """TraceError: the number of items is not known."""
        raise TraceError(
            "Proxy object cannot be iterated. This can be attempted when the Proxy is used in a "
            "loop or as a *args or **kwargs function argument."
        )

    def keys(self, obj: Proxy) -> Any:
        """The keys, as a recorded call."""
        return Attribute(obj, "keys")()


class GraphAppendingTracer(TracerBase):
    """Records calls at the end of a given graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


class Proxy:
    """Stands for the value of `node`; calls, operators and attributes are recorded."""

    def __init__(self, node: Node, tracer: TracerBase | None = None) -> None:
        self.tracer = GraphAppendingTracer(node.graph) if tracer is None else tracer
        self.node = node

    def __repr__(self) -> str:
        return f"Proxy({self.node.name})"

    def __getattr__(self, name: str) -> Attribute:
        if name.startswith("_"):
            raise AttributeError(f"a Proxy has no attribute {name!r}")
        return Attribute(self, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self) -> Iterator[Any]:
        return self.tracer.iter(self)

    def __bool__(self) -> bool:
        return self.tracer.to_bool(self)

    def __len__(self) -> int:
        raise RuntimeError(
            "'len' is not supported in symbolic tracing by default. If you want this call to be "
            "recorded, please call torch.fx.wrap('len') at module scope"
        )

    def keys(self) -> Any:
        """The keys, as a recorded call."""
        return self.tracer.keys(self)


class Attribute(Proxy):
    """An attribute of a stand-in: a method if it is called, a value if it is used."""

    def __init__(self, root: Proxy, attr: str) -> None:
        self.root, self.attr, self.tracer = root, attr, root.tracer
        self._node: Node | None = None

    @property
    def node(self) -> Node:  # type: ignore[override]
        """The node of the value, made when it is first asked for."""
        if self._node is None:
            made = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {})
            self._node = made.node
        return self._node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


def _operator(name: str, function: Any, swapped: bool) -> None:
    def apply(self: Proxy, *others: Any) -> Any:
        args = (*others, self) if swapped else (self, *others)
        return self.tracer.create_proxy("call_function", function, args, {})

    setattr(Proxy, name, apply)


OPERATORS = (
    "add sub mul truediv floordiv mod pow matmul lshift rshift and_ or_ xor".split()
)  # fmt: skip
for _name in OPERATORS:
    _operator(f"__{_name.rstrip('_')}__", getattr(operator, _name), swapped=False)
    _operator(f"__r{_name.rstrip('_')}__", getattr(operator, _name), swapped=True)
for _name in "lt le gt ge eq ne neg pos invert abs getitem".split():
    _operator(f"__{_name}__", getattr(operator, _name), swapped=False)
Proxy.__hash__ = object.__hash__  # type: ignore[method-assign]

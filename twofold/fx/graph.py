"""A program's calls in order."""

from __future__ import annotations

import contextlib
import keyword
import re
from collections.abc import Callable, Iterator
from typing import Any

from .node import Node, Target, map_arg, walk
from .python_code import PythonCode, python_code


class CodeGen:
    """How a graph becomes Python; there is one way."""


class _NodeList:
    """The nodes of a graph: can be walked both ways while nodes are added and erased."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __iter__(self) -> Iterator[Node]:
        return walk(self.graph._root)

    def __reversed__(self) -> Iterator[Node]:
        node = self.graph._root._prev
        while node is not self.graph._root:
            before = node._prev
            if not node._erased:
                yield node
            node = before

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Graph:
    """Calls in the order in which they are made. New ones go to the insertion point, which is the
    end unless `inserting_before` or `inserting_after` moved it."""

    def __init__(self, owning_module: Any = None, tracer_cls: Any = None) -> None:
        self.owning_module, self._tracer_cls = owning_module, tracer_cls
        self._root = Node.__new__(Node)
        self._root._prev = self._root._next = self._root
        self._root._erased = False
        self._insert: Callable[[Node], None] = self._root.prepend
        self._names: dict[str, int] = {}
        self._codegen = CodeGen()

    @property
    def nodes(self) -> _NodeList:
        """The nodes in order."""
        return _NodeList(self)

    def _name(self, wished: str) -> str:
        """A name that no node of this graph has."""
        name = re.sub(r"\W", "_", wished) or "_"
        if name[0].isdigit():
            name = f"_{name}"
        base = re.sub(r"_\d+$", "", name) or name
        if name not in self._names and not keyword.iskeyword(name):
            self._names.setdefault(name, 0)
            return name
        n = self._names.get(base, 0)
        while True:
            n += 1
            name = f"{base}_{n}"
            if name not in self._names:
                self._names[base], self._names[name] = n, 0
                return name

    def create_node(
        self, op: str, target: Target, args: tuple | None = None, kwargs: dict | None = None,
        name: str | None = None, type_expr: Any = None,
    ) -> Node:  # fmt: skip
        """A new node at the insertion point."""
        wished = name or (target if isinstance(target, str) else target.__name__)
        if not name:
            wished = _snake_case(wished.strip("_").split(".")[-1] if op != "get_attr" and
                                 op != "call_module" else wished)  # fmt: skip
        node = Node(self, self._name(wished), op, target, args or (), kwargs or {}, type_expr)
        self._insert(node)
        return node

    def placeholder(self, name: str, type_expr: Any = None, default_value: Any = ...) -> Node:
        """An argument of the forward function."""
        args = () if default_value is ... else (default_value,)
        return self.create_node("placeholder", name, args, type_expr=type_expr)

    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """An attribute of the module."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_function(
        self, the_function: Callable[..., Any], args: tuple | None = None,
        kwargs: dict | None = None, type_expr: Any = None, name: str | None = None,
    ) -> Node:  # fmt: skip
        """A call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name, type_expr)

    def call_method(
        self, method_name: str, args: tuple | None = None, kwargs: dict | None = None,
        type_expr: Any = None,
    ) -> Node:  # fmt: skip
        """A call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, None, type_expr)

    def call_module(
        self, module_name: str, args: tuple | None = None, kwargs: dict | None = None,
        type_expr: Any = None,
    ) -> Node:  # fmt: skip
        """A call of a module below the one that owns the graph."""
        return self.create_node("call_module", module_name, args, kwargs, None, type_expr)

    def output(self, result: Any, type_expr: Any = None) -> Node:
        """What the forward function gives."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def output_node(self) -> Node:
        """The node of the result."""
        return next(n for n in reversed(self.nodes) if n.op == "output")

    def find_nodes(self, *, op: str, target: Target | None = None, sort: bool = True) -> list[Node]:
        """The nodes of a kind and target."""
        return [n for n in self.nodes if n.op == op and (target is None or n.target == target)]

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Any] = lambda n: n) -> Node:
        """A copy of another graph's node, with arg_transform(n) for each node among its
        arguments."""
        args, kwargs = map_arg(node.args, arg_transform), map_arg(node.kwargs, arg_transform)
        copy = self.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        copy.meta = dict(node.meta)
        return copy

    def graph_copy(self, g: Graph, val_map: dict[Node, Node]) -> Any:
        """Copy all of g but its output; gives what the output is made of."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                return map_arg(node.args[0], lambda n: val_map[n])
            val_map[node] = self.node_copy(node, lambda n: val_map[n])
        return None

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        copy = Graph(tracer_cls=self._tracer_cls)
        val_map: dict[Node, Node] = {}
        result = copy.graph_copy(self, val_map)
        if any(n.op == "output" for n in self.nodes):
            copy.output(result)
        return copy

    @contextlib.contextmanager
    def _inserting(self, insert: Callable[[Node], None]) -> Iterator[None]:
        before, self._insert = self._insert, insert
        try:
            yield
        finally:
            self._insert = before

    def inserting_before(self, n: Node | None = None) -> Any:
        """A block in which new nodes go before n; before all without n."""
        return self._inserting((n or self._root._next).prepend)

    def inserting_after(self, n: Node | None = None) -> Any:
        """A block in which new nodes go behind n, in their order."""
        return self._inserting((n._next if n is not None else self._root._next).prepend)

    def erase_node(self, to_erase: Node) -> None:
        """Take a node out. RuntimeError if it is used."""
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in "
                f"the graph: {to_erase.users}!"
            )
        to_erase._unlink()
        to_erase._erased = True
        to_erase._set((), {})

    def eliminate_dead_code(self, is_impure_node: Callable[[Node], bool] | None = None) -> bool:
        """Take out what nobody uses; whether there was such."""
        changed = False
        for node in reversed(self.nodes):
            impure = is_impure_node(node) if is_impure_node else node.is_impure()
            if not impure and not node.users:
                self.erase_node(node)
                changed = True
        return changed

    def lint(self) -> None:
        """RuntimeError if a node is used before it is made, or a name is there twice."""
        made: set[Node] = set()
        names: set[str] = set()
        for node in self.nodes:
            for used in node.all_input_nodes:
                if used not in made:
                    raise RuntimeError(
                        f"Argument '{used}' of Node '{node}' was used before it has been defined!"
                    )
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            made.add(node)
            names.add(node.name)

    def python_code(self, root_module: str = "self") -> PythonCode:
        """The forward function as Python."""
        return python_code(self, root_module)

    def __str__(self) -> str:
        return "\n".join(["graph():", *[f"    {n.format_node()}" for n in self.nodes]])

    def print_tabular(self) -> None:
        """Print the nodes as a table."""
        head = ("opcode", "name", "target", "args", "kwargs")
        rows = [(n.op, n.name, n.told(), str(n.args), str(n.kwargs)) for n in self.nodes]
        wide = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        for row in (head, tuple("-" * w for w in wide), *rows):
            print("  ".join(x.ljust(w) for x, w in zip(row, wide, strict=True)).rstrip())


def _snake_case(name: str) -> str:
    """`BatchNorm2d` as `batch_norm2d`, dots as underscores."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.replace(".", "_")).lower()

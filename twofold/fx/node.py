"""One call in a graph of a program's calls."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..dtypes import DType
from ..tensor import Tensor

if TYPE_CHECKING:
    from .graph import Graph

Target = Callable[..., Any] | str
Argument = Any

KINDS = ("placeholder", "get_attr", "call_function", "call_method", "call_module", "output")


def map_aggregate(value: Any, function: Callable[[Any], Any]) -> Any:
    """A nest of tuples, lists, dicts and slices with function(x) in the place of each x."""
    if isinstance(value, tuple):
        made = [map_aggregate(v, function) for v in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    if isinstance(value, list):
        return [map_aggregate(v, function) for v in value]
    if isinstance(value, dict):
        return {k: map_aggregate(v, function) for k, v in value.items()}
    if isinstance(value, slice):
        parts = (value.start, value.stop, value.step)
        return slice(*[map_aggregate(v, function) for v in parts])
    return function(value)


def map_arg(value: Any, function: Callable[[Node], Any]) -> Any:
    """A nest with function(node) in the place of each node; what is no node stays."""
    return map_aggregate(value, lambda v: function(v) if isinstance(v, Node) else v)


class Node:
    """One call: what kind (`op`), of what (`target`), on what (`args`, `kwargs`), called `name`.

    A target is the name of an argument (placeholder), the path of an attribute (get_attr) or of a
    module (call_module), a function, or the name of a method.
    """

    def __init__(
        self, graph: Graph, name: str, op: str, target: Target, args: tuple, kwargs: dict,
        return_type: Any = None,
    ) -> None:  # fmt: skip
        if op not in KINDS:
            raise ValueError(f"[fx] an unknown kind of node; got {op!r}; try one of {KINDS}")
        self.graph, self.name, self.op, self.target, self.type = (
            graph,
            name,
            op,
            target,
            return_type,
        )
        self.users: dict[Node, None] = {}
        self.meta: dict[str, Any] = {}
        self._args: tuple = ()
        self._kwargs: dict[str, Any] = {}
        self._prev = self._next = self
        self._erased = False
        self._set(args, kwargs)

    def _set(self, args: tuple, kwargs: dict[str, Any]) -> None:
        for node in self.all_input_nodes:
            node.users.pop(self, None)
        self._args, self._kwargs = tuple(args), dict(kwargs)
        for node in self.all_input_nodes:
            node.users[self] = None

    @property
    def args(self) -> tuple:
        """The positional arguments: nodes, constants, nests of them."""
        return self._args

    @args.setter
    def args(self, value: tuple) -> None:
        self._set(value, self._kwargs)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments by name."""
        return self._kwargs

    @kwargs.setter
    def kwargs(self, value: dict[str, Any]) -> None:
        self._set(self._args, value)

    @property
    def all_input_nodes(self) -> list[Node]:
        """The nodes among the arguments, each once."""
        found: dict[Node, None] = {}
        map_arg((self._args, self._kwargs), lambda n: found.setdefault(n))
        return list(found)

    @property
    def next(self) -> Node:
        """The node after this one."""
        return self._next

    @property
    def prev(self) -> Node:
        """The node before this one."""
        return self._prev

    def prepend(self, x: Node) -> None:
        """Move x before this node."""
        x._unlink()
        x._prev, x._next = self._prev, self
        self._prev._next = self._prev = x

    def append(self, x: Node) -> None:
        """Move x behind this node."""
        self._next.prepend(x)

    def _unlink(self) -> None:
        self._prev._next, self._next._prev = self._next, self._prev

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Use new_input where old_input was an argument."""
        swap = lambda n: new_input if n is old_input else n  # noqa: E731
        self._set(map_arg(self._args, swap), map_arg(self._kwargs, swap))

    def replace_all_uses_with(
        self, replace_with: Node, delete_user_cb: Callable[[Node], bool] = lambda user: True,
        propagate_meta: bool = False,
    ) -> list[Node]:  # fmt: skip
        """Use another node wherever this one is an argument; gives the nodes that were changed."""
        changed = [user for user in self.users if delete_user_cb(user)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    def is_impure(self) -> bool:
        """Whether the node does more than give a value."""
        return self.op in ("placeholder", "output") or self.target is operator.setitem

    def __repr__(self) -> str:
        return self.name

    def format_node(self) -> str:
        """The node as a line of the graph's text."""
        if self.op == "output":
            return f"return {self.args[0]}"
        text = f"%{self.name} : [num_users={len(self.users)}] = {self.op}[target={self.told()}]"
        if self.op == "placeholder":
            return text + (f"(default={self.args[0]!r})" if self.args else "")
        if self.op == "get_attr":
            return text
        return f"{text}(args = {_told(self.args)}, kwargs = {_told(self.kwargs)})"

    def told(self) -> str:
        """The target as text."""
        return self.target if isinstance(self.target, str) else qualified_name(self.target)


def _told(value: Any) -> str:
    """Arguments as text, nodes with a percent sign."""

    class Name(str):
        __slots__ = ()

        def __repr__(self) -> str:
            return str(self)

    return repr(map_arg(value, lambda n: Name(f"%{n.name}")))


PLACES: dict[str, str] = {
    "_operator": "operator", "math": "math", "builtins": "",
}  # fmt: skip
"""Modules of functions that code may name, and how."""


def qualified_name(function: Callable[..., Any]) -> str:
    """A function's name in generated code."""
    found = getattr(function, "_fx_name", None)
    if found:
        return found
    name, module = getattr(function, "__name__", repr(function)), function.__module__ or ""
    if getattr(builtins, name, None) is function:
        return name
    if module.startswith(__name__.split(".")[0] + ".nn.functional"):
        return f"torch.nn.functional.{name}"
    if module.startswith(__name__.split(".")[0] + "."):
        return f"torch.{name}"
    return f"{PLACES.get(module, module)}.{name}"


CONSTANTS = (int, float, complex, bool, str, bytes, type(None), type(...), DType, Tensor)
"""What may be an argument without being a node."""


def walk(root: Node) -> Iterator[Node]:
    """The nodes from the root of the list on."""
    node = root._next
    while node is not root:
        following = node._next
        if not node._erased:
            yield node
        node = following if node._erased else node._next

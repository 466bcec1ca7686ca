"""Graphs of calls as Python."""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..dtypes import DType
from .node import Node, map_arg, qualified_name

if TYPE_CHECKING:
    from .graph import Graph

_BINARY = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/",
    operator.floordiv: "//", operator.mod: "%", operator.pow: "**", operator.matmul: "@",
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=",
    operator.eq: "==", operator.ne: "!=", operator.and_: "&", operator.or_: "|",
    operator.xor: "^", operator.lshift: "<<", operator.rshift: ">>",
}  # fmt: skip


@dataclass(frozen=True)
class PythonCode:
    """Source of a forward function, and the names that it needs."""

    src: str
    globals: dict[str, Any]


class _Text(str):
    """Text that is its own repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _Names:
    """The globals of generated code: a name for each function or value that is not spelled out."""

    def __init__(self) -> None:
        self.globals: dict[str, Any] = {
            "operator": operator, "math": math, "inf": math.inf, "nan": math.nan,
            "torch": sys.modules[__name__.split(".")[0]], "device": _device,
        }  # fmt: skip

    def function(self, f: Callable[..., Any]) -> str:
        """A name under which the code finds f."""
        name = qualified_name(f)
        if eval_or_none(name, self.globals) is f:
            return name
        plain = base = re.sub(r"\W", "_", name)
        n = 0
        while plain in self.globals and self.globals[plain] is not f:
            n += 1
            plain = f"{base}_{n}"
        self.globals[plain] = f
        return plain

    def value(self, x: Any) -> Any:
        """A constant as what prints as its code."""
        if isinstance(x, Node):
            return _Text(x.name)
        if isinstance(x, DType):
            return _Text(f"torch.{x.name}".replace("bool_", "bool"))
        if callable(x):
            return _Text(self.function(x))
        return x


def _device(*, type: str, index: int | None = None) -> Any:
    """A device, as its repr spells it."""
    return sys.modules[__name__.split(".")[0]].device(type, index)


def eval_or_none(name: str, names: dict[str, Any]) -> Any:
    """What a dotted name means, None where it means nothing."""
    first, *rest = name.split(".")
    builtins = vars(sys.modules["builtins"])
    found = names.get(first, builtins.get(first))
    for part in rest:
        found = getattr(found, part, None)
    return found


def python_code(graph: Graph, root: str) -> PythonCode:
    """The forward function of a graph, of a module called `root`."""
    names = _Names()
    arguments, lines = [root], []
    for node in graph.nodes:
        if node.op == "placeholder":
            target = str(node.target)
            default = f"={_values(names, node.args)[0]!r}" if node.args else ""
            arguments.append(f"{target}{default}")
            if target.lstrip("*") != node.name:
                lines.append(f"{node.name} = {target.lstrip('*')}")
        elif node.op == "output":
            lines.append(f"return {_values(names, node.args[0])!r}")
        else:
            lines.append(f"{node.name} = {_call(names, node, root)}")
    body = "\n    ".join(lines or ["pass"])
    return PythonCode(f"\ndef forward({', '.join(arguments)}):\n    {body}\n", names.globals)


def _values(names: _Names, nest: Any) -> Any:
    """A nest of arguments as what prints as its code."""
    if isinstance(nest, (tuple, list)) and not hasattr(nest, "_fields"):
        return type(nest)([_values(names, x) for x in nest])
    if isinstance(nest, dict):
        return {k: _values(names, v) for k, v in nest.items()}
    if isinstance(nest, slice):
        return slice(*[_values(names, x) for x in (nest.start, nest.stop, nest.step)])
    return names.value(map_arg(nest, lambda n: n))


def _call(names: _Names, node: Node, root: str) -> str:
    args = [repr(_values(names, a)) for a in node.args]
    given = ", ".join([*args, *[f"{k} = {_values(names, v)!r}" for k, v in node.kwargs.items()]])
    if node.op == "get_attr":
        return _attribute(root, str(node.target))
    if node.op == "call_module":
        return f"{_attribute(root, str(node.target))}({given})"
    if node.op == "call_method":
        return f"{args[0]}.{node.target}({given.partition(', ')[2]})"
    if node.target in _BINARY and len(args) == 2:
        return f"{args[0]} {_BINARY[node.target]} {args[1]}"
    if node.target is operator.getitem:
        return f"{args[0]}[{args[1]}]"
    if node.target is operator.neg:
        return f"-{args[0]}"
    if node.target is getattr and str(node.args[1]).isidentifier() and len(args) == 2:
        return f"{args[0]}.{node.args[1]}"
    return f"{names.function(node.target)}({given})"  # type: ignore[arg-type]


def _attribute(root: str, path: str) -> str:
    """`a.0.b` below root, with getattr for what is no name."""
    text = root
    for part in path.split("."):
        text = f"{text}.{part}" if part.isidentifier() else f'getattr({text}, "{part}")'
    return text

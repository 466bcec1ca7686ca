"""A graph as text in Python's syntax, and back.

    def graph(x0: float32[2, 3], x1: float32):
        v0: float32[2, 3] = mul(x0, x1)
        v1: float32[2] = sum(v0, axes=(1,))
        return v1

A parameter is a leaf: `number(float32)` for a Python number that is given with each run. A line is
an op with its inputs, its attributes by name, and its type; `float32(0.5)` is a constant. Values of
leaves are not written, nor what requires a gradient: a gradient is nodes like any other. What
`parse` gives has the same structure, and the types on the lines are checked against the ops' own
rules.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from . import node as graph
from .node import LEAF, Node, is_given, postorder
from .types import Type

_NUMBER = ("dtype", "data")
"""Parameters of the op that holds a constant: its dtype, and its bytes as float64, int64 or
complex128."""


class Given:
    """Stands for the value of a leaf that was read from text."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<given {self.name}>"


@dataclass
class Graph:
    """Nodes that something is computed for, with everything below them.

    >>> from twofold import engine
    >>> from twofold.ops import base, elementwise
    >>> x = engine.from_numpy(np.zeros((2, 3), np.float32))
    >>> print(Graph([elementwise.exp(x)]))
    def graph(x0: float32[2, 3]):
        v0: float32[2, 3] = exp(x0)
        return v0
    >>> same(parse(str(Graph([elementwise.exp(x)])), base.registry).roots, [elementwise.exp(x)])
    True
    """

    roots: list[Node]
    name: str = "graph"
    locations: bool = False
    arguments: list[Node] = field(default_factory=list, compare=False)
    """The leaves of a graph that was read, in the order of its parameters."""

    def names(self) -> dict[int, str]:
        """The name of each node, by its id: x for leaves, v for the others, in order of use."""
        found: dict[int, str] = {}
        counts = {"x": 0, "v": 0}
        for node in postorder(self.roots, pending_only=True):
            if _is_constant(node):
                continue
            kind = "x" if is_given(node) else "v"
            found[id(node)] = f"{kind}{counts[kind]}"
            counts[kind] += 1
        return found

    @property
    def leaves(self) -> list[Node]:
        """The given nodes, in order of use."""
        return [n for n in postorder(self.roots, pending_only=True) if is_given(n)]

    def __str__(self) -> str:
        names = self.names()
        parameters, lines = [], []
        for node in postorder(self.roots, pending_only=True):
            if id(node) not in names:
                continue
            name = names[id(node)]
            if is_given(node):
                parameters.append(f"{name}: {_leaf_text(node)}")
            else:
                line = f"    {name}: {type_text(node.type)} = {call_text(node, names)}"
                if self.locations and node.location is not None:
                    line += f"  # {node.location[0]}:{node.location[1]}"
                lines.append(line)
        results = [names.get(id(r)) or call_text(r, names) for r in self.roots]
        head = f"def {self.name}({', '.join(parameters)}):"
        return "\n".join([head, *lines, f"    return {', '.join(results)}"])


def type_text(type_: Type) -> str:
    """A type as an expression: `float32[2, 3]`, and `float32` for a type without axes."""
    if not type_.shape:
        return type_.dtype.name
    return f"{type_.dtype.name}[{', '.join(map(str, type_.shape))}]"


def call_text(node: Node, names: Mapping[int, str]) -> str:
    """`op(inputs, attribute=value)`."""
    s = node.structure
    if _is_constant(node):
        return f"{s.attrs[0].name}({_value_text(_constant_value(s.attrs))})"
    inputs = [names.get(id(x)) or call_text(x, names) for x in node.inputs]
    attributes = [f"{p}={_value_text(v)}" for p, v in zip(s.op.params, s.attrs, strict=True)]
    return f"{_call_name(s.op.name)}({', '.join(inputs + attributes)})"


def _call_name(op: str) -> str:
    """The op's name as Python takes it: `and_` for `and`."""
    return f"{op}_" if iskeyword(op) else op


def _is_constant(node: Node) -> bool:
    return not is_given(node) and node.structure.op.params == _NUMBER


def _leaf_text(node: Node) -> str:
    s = node.structure
    scalar = s.op is LEAF and s.attrs[0]
    return f"number({type_text(s.type)})" if scalar else type_text(s.type)


def _constant_value(attrs: tuple) -> Any:
    return np.frombuffer(attrs[1], attrs[0].widest)[0].item()


def _value_text(value: Any) -> str:
    if isinstance(value, DType):
        return value.name
    if isinstance(value, tuple):
        inner = ", ".join(map(_value_text, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def parse(text: str, ops: Mapping[str, Any]) -> Graph:
    """The graph that `text` describes, of the ops called so in `ops`. Its leaves hold a `Given`.

    Errors: ValueError, with the line, for text that is no graph or whose types do not hold.
    """
    try:
        module = ast.parse(text.strip())
    except SyntaxError as error:
        raise ValueError(f"[graph] not a graph: {error.msg}, line {error.lineno}") from error
    if len(module.body) != 1 or not isinstance(module.body[0], ast.FunctionDef):
        raise ValueError("[graph] expected one function, def graph(...)")
    return _Parser(ops).graph(module.body[0])


class _Parser:
    def __init__(self, ops: Mapping[str, Any]) -> None:
        self.ops = ops
        self.nodes: dict[str, Node] = {}

    def graph(self, function: ast.FunctionDef) -> Graph:
        """The whole function."""
        arguments = [self._leaf(argument) for argument in function.args.args]
        self.nodes.update(zip([a.arg for a in function.args.args], arguments))
        before = graph.recorder.grad_enabled
        graph.recorder.grad_enabled = False
        try:
            roots = self._statements(function)
            return Graph(roots, function.name, arguments=arguments)
        finally:
            graph.recorder.grad_enabled = before

    def _statements(self, function: ast.FunctionDef) -> list[Node]:
        for statement in function.body:
            if isinstance(statement, ast.Return) and statement.value is not None:
                value = statement.value
                parts = value.elts if isinstance(value, ast.Tuple) else [value]
                return [self._node(p) for p in parts]
            self._assignment(statement)
        raise ValueError(f"[graph] line {function.lineno}: the function returns nothing")

    def _assignment(self, statement: ast.stmt) -> None:
        named = isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        if not named or statement.value is None:  # type: ignore[attr-defined]
            raise _error(statement, "expected NAME: TYPE = OP(...)")
        assert isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        assert statement.value is not None
        node = self._node(statement.value)
        declared = _type(statement.annotation)
        if node.type != declared:
            raise _error(statement, f"{node.op.name} gives {node.type!r}, not {declared!r}")
        self.nodes[statement.target.id] = node

    def _leaf(self, argument: ast.arg) -> Node:
        annotation = argument.annotation
        if annotation is None:
            raise _error(argument, f"{argument.arg} has no type")
        scalar = isinstance(annotation, ast.Call)
        if isinstance(annotation, ast.Call):
            annotation = annotation.args[0]
        return graph.leaf(Given(argument.arg), _type(annotation), scalar=scalar)

    def _node(self, expression: ast.expr) -> Node:
        """A name, or a call."""
        if isinstance(expression, ast.Name):
            if expression.id not in self.nodes:
                raise _error(expression, f"{expression.id} is not defined")
            return self.nodes[expression.id]
        if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Name):
            raise _error(expression, "expected a name or OP(...)")
        name = expression.func.id
        if name.endswith("_") and iskeyword(name[:-1]):
            name = name[:-1]
        if name in _DTYPES:
            return self._constant(_DTYPES[name], expression)
        if name not in self.ops:
            raise _error(expression, f"no op is called {name}")
        op = self.ops[name]
        given = {str(k.arg): _value(k.value) for k in expression.keywords}
        for attribute, before in op.added.items():
            if attribute not in given and len(given) + 1 == len(op.params):
                given[attribute] = before(given)
        if sorted(given) != sorted(op.params):
            raise _error(expression, f"{name} has the attributes {op.params}; got {tuple(given)}")
        inputs = tuple(self._node(a) for a in expression.args)
        return graph.make(op, inputs, op.read(tuple(given[p] for p in op.params)))

    def _constant(self, dtype: DType, expression: ast.Call) -> Node:
        op = next(op for op in self.ops.values() if op.params == _NUMBER)
        data = dtype.widest(_value(expression.args[0])).tobytes()
        return graph.make(op, (), (dtype, data))


_DTYPES = {dtype.name: dtype for dtype in dtypes.ALL}


def _error(at: Any, what: str) -> ValueError:
    return ValueError(f"[graph] line {at.lineno}: {what}")


def _type(expression: ast.expr) -> Type:
    """`float32` or `float32[2, 3]`."""
    shape: tuple[int, ...] = ()
    name = expression
    if isinstance(expression, ast.Subscript):
        name = expression.value
        inner = _value(expression.slice)
        shape = inner if isinstance(inner, tuple) else (inner,)
    if not isinstance(name, ast.Name) or name.id not in _DTYPES:
        raise _error(expression, f"{ast.unparse(expression)} is no type")
    return Type(shape, _DTYPES[name.id])


def _value(expression: ast.expr) -> Any:
    """An attribute's value: a literal, a dtype, inf, nan, or a tuple of these."""
    if isinstance(expression, ast.Name):
        if expression.id in _DTYPES:
            return _DTYPES[expression.id]
        if expression.id in ("inf", "nan"):
            return getattr(math, expression.id)
    if isinstance(expression, ast.Tuple):
        return tuple(_value(e) for e in expression.elts)
    if isinstance(expression, ast.UnaryOp) and isinstance(expression.op, ast.USub):
        return -_value(expression.operand)
    try:
        return ast.literal_eval(expression)
    except ValueError:
        raise _error(expression, f"{ast.unparse(expression)} is no value") from None


def same(a: Sequence[Node], b: Sequence[Node]) -> bool:
    """Whether two graphs have one structure: op for op, attribute for attribute, leaf for leaf."""
    return str(Graph(list(a))) == str(Graph(list(b)))

"""Syntax that rewriting makes, and questions that it asks of syntax; see `rewrite.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from . import decide
from .decide import NotRewritable

HELPER = "twofold_decide"
"""The name under which rewritten code finds `decide.py`."""


def load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def ask(name: str, *args: ast.expr) -> ast.Call:
    """`decide.name(*args)`."""
    return ast.Call(ast.Attribute(load(HELPER), name, ast.Load()), list(args), [])


def place(statements: Sequence[ast.stmt], line: int) -> None:
    """Say of all new syntax that it stands in a line."""
    for statement in statements:
        for part in ast.walk(statement):
            if isinstance(part, (ast.stmt, ast.expr, ast.arg)) and not hasattr(part, "lineno"):
                part.lineno = part.end_lineno = line
                part.col_offset = part.end_col_offset = 0


def constant(value: Any) -> ast.Constant:
    return ast.Constant(value)


def define(name: str, parameters: Sequence[str], body: list[ast.stmt]) -> ast.FunctionDef:
    """`def name(*parameters): body`."""
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(p) for p in parameters], kwonlyargs=[], kw_defaults=[],
        defaults=[],
    )  # fmt: skip
    made = ast.FunctionDef(name=name, args=arguments, body=body, decorator_list=[])
    made.type_params = []  # type: ignore[attr-defined]  # which Python 3.12 asks for
    return made


def lambda_(body: ast.expr) -> ast.Lambda:
    none = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(none, body)


_SCOPES = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


def own_nodes(statements: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All syntax of statements but for what lies within scopes of their own."""
    stack = list(statements)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, _SCOPES):
            stack.extend(ast.iter_child_nodes(node))


def has(statements: Sequence[ast.AST], *kinds: type[ast.AST]) -> bool:
    return any(isinstance(n, kinds) for n in own_nodes(statements))


def reads(statements: Sequence[ast.AST]) -> Iterator[ast.Name]:
    """Where names are read, in scopes within, too."""
    for node in (n for s in statements for n in ast.walk(s)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            yield node.target


def shared_names(statements: Sequence[ast.AST]) -> set[str]:
    """Names of functions within that are not their own: these see what a name holds later, and may
    bind it. A generator that is passed to a call is run there."""
    found: set[str] = set()
    called = {
        id(a) for s in statements for n in ast.walk(s) if isinstance(n, ast.Call) for a in n.args
    }
    for node in (n for s in statements for n in ast.walk(s)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            body = node.body if isinstance(node.body, list) else [node.body]
            own = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
            inside = [n for s in body for n in ast.walk(s)]
            nonlocals = {x for n in inside if isinstance(n, ast.Nonlocal) for x in n.names}
            names = [n for n in inside if isinstance(n, ast.Name)]
            own |= {n.id for n in names if isinstance(n.ctx, ast.Store)} - nonlocals
            found |= ({n.id for n in names} - own) | nonlocals
        elif isinstance(node, ast.GeneratorExp) and id(node) not in called:
            found |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return found


def jumps_out(statements: Sequence[ast.AST]) -> bool:
    """Whether a `break` or `continue` belongs to a loop around the statements."""
    stack = list(statements)
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.Break, ast.Continue)):
            return True
        if isinstance(node, (ast.For, ast.While)):
            stack.extend(node.orelse)
        elif not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            stack.extend(ast.iter_child_nodes(node))
    return False


class Assigned:
    """What statements do: names that they `bind`, names whose tensor they change in place, and the
    first thing that is no value, as text (`effect`)."""

    def __init__(self, statements: Sequence[ast.stmt]) -> None:
        bound: dict[str, None] = {}
        changed: dict[str, None] = {}
        self.effect = ""
        targets = {id(n.target) for n in own_nodes(statements) if isinstance(n, ast.AugAssign)}
        for node in own_nodes(statements):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                if id(node) not in targets:
                    bound[node.id] = None
            elif isinstance(node, _NAMED) and node.name:
                bound[node.name] = None
            elif isinstance(node, ast.MatchMapping) and node.rest:
                bound[node.rest] = None
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                changed[node.target.id] = None
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                if _is_local(node.value):
                    changed[node.value.id] = None  # type: ignore[attr-defined]
                else:
                    self._effect(node, "an element of what is no local name is set")
            elif isinstance(node, ast.Expr):
                self._expression(node, changed)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)):
                self._effect(node, f"the attribute {node.attr} is set")
            elif isinstance(node, _COMPREHENSIONS) and _calls(node, decide.CHANGES_ALONE):
                self._effect(node, "a call is made for its effect")
            elif isinstance(node, _EFFECTS):
                self._effect(node, f"{type(node).__name__.lower()} has an effect")
        self.names = sorted({*bound, *changed})
        self.changed = sorted(set(changed) - set(bound))
        self.touched = sorted(changed)

    def _expression(self, node: ast.Expr, changed: dict[str, None]) -> None:
        value = node.value
        if isinstance(value, ast.Constant):
            return
        method = value.func if isinstance(value, ast.Call) else None
        if (
            isinstance(method, ast.Attribute)
            and _is_local(method.value)
            and method.attr.endswith("_")
            and not method.attr.startswith("_")
        ):
            changed[method.value.id] = None  # type: ignore[attr-defined]
        else:
            self._effect(node, "a call is made for its effect")

    def _effect(self, node: ast.AST, what: str) -> None:
        if not self.effect:
            self.effect = f"{what} in line {node.lineno}"  # type: ignore[attr-defined]


_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _calls(node: ast.AST, names: frozenset[str]) -> bool:
    """Whether something of one of these names is called."""
    called = [n.func for n in ast.walk(node) if isinstance(n, ast.Call)]
    found = {f.attr for f in called if isinstance(f, ast.Attribute)}
    return not names.isdisjoint(found | {f.id for f in called if isinstance(f, ast.Name)})


def _is_local(node: ast.AST) -> bool:
    """Whether this is a name of the function's own; one of another scope cannot be bound anew."""
    return isinstance(node, ast.Name) and not getattr(node, "outer", False)


_NAMED = (ast.FunctionDef, ast.ClassDef, ast.MatchAs, ast.MatchStar)

_EFFECTS = (
    ast.Raise, ast.Assert, ast.Delete, ast.With, ast.Try, ast.Import, ast.ImportFrom, ast.Return,
)  # fmt: skip


def without_returns(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Statements, of which the returns at the ends of all paths are left out."""
    found: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.Return):
            continue
        if getattr(statement, "returns", False):
            assert isinstance(statement, ast.If)
            found += [*without_returns(statement.body), *without_returns(statement.orelse)]
        else:
            found.append(statement)
    return found


def set_flag(name: str, value: bool) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))


def flagged(body: Sequence[ast.stmt], left: str, skipped: str) -> list[ast.stmt]:
    """Statements in which `break` and `continue` set flags that those after them ask."""
    found: list[ast.stmt] = []
    for k, statement in enumerate(body):
        if isinstance(statement, ast.Break):
            return [*found, set_flag(left, True)]
        if isinstance(statement, ast.Continue):
            return [*found, set_flag(skipped, True)]
        found.append(statement)
        if isinstance(statement, ast.If) and jumps_out([statement]):
            statement.body = flagged(statement.body, left, skipped)
            statement.orelse = flagged(statement.orelse, left, skipped)
            rest = flagged(body[k + 1 :], left, skipped)
            if rest:
                either = ast.BoolOp(ast.Or(), [load(left), load(skipped)])
                found.append(ast.If(ast.UnaryOp(ast.Not(), either), rest, []))
            return found
    return found


def placed(made: ast.expr, at: ast.expr) -> ast.expr:
    """New syntax, in the line of what it replaces."""
    place([ast.Expr(made)], at.lineno)
    return made


def as_test(node: ast.expr) -> ast.expr:
    """`node`, of which nothing but its truth is asked for."""
    stack = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, ast.BoolOp):
            part.is_test = True  # type: ignore[attr-defined]
            stack += part.values
        elif isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.Not):
            stack.append(part.operand)
    return node


class Expressions(ast.NodeTransformer):
    """`and`, `or`, `not`, chains of comparisons, `a if c else b` and calls, as calls."""

    def __init__(self, file: str) -> None:
        self.file = file

    def _later(self, value: ast.expr) -> ast.Lambda:
        """An expression that is evaluated where it is asked for."""
        if any(isinstance(n, ast.Name) and n.id == "super" for n in ast.walk(value)):
            raise NotRewritable(f"line {value.lineno} asks for super() in part of an expression")
        return lambda_(value)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        names = ("all_of", "any_of") if hasattr(node, "is_test") else ("last_of", "first_of")
        name = names[isinstance(node.op, ast.Or)]
        return placed(ask(name, *map(self._later, node.values)), node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.Not):
            as_test(node)
        self.generic_visit(node)
        if isinstance(node.op, ast.Not):
            return placed(ask("not_", node.operand), node)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        as_test(node.test)
        self.generic_visit(node)
        site = constant((self.file, node.lineno, ("value",), (), "", (), ()))
        call = ask(
            "choice", node.test, self._later(node.body), self._later(node.orelse), site
        )  # fmt: skip
        return placed(call, node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        names = tuple(type(op).__name__ for op in node.ops)
        if len(names) == 1 or not set(names) <= set(decide.COMPARISONS):
            return node
        operands = map(self._later, [node.left, *node.comparators])
        return placed(ask("chain", constant(names), *operands), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        at = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        if isinstance(at, ast.Name) and at.id in ("range", "super", HELPER):
            return node
        asked = "called_on_own" if hasattr(node, "is_on_own") else "called"
        node.func = placed(ask(asked, node.func), node)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        return node

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        raise NotRewritable(f"line {node.lineno} binds a name within an expression")

    def _stay(self, node: Any) -> Any:
        for part in ast.walk(node):
            if isinstance(part, ast.NamedExpr):
                self.visit_NamedExpr(part)
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _stay

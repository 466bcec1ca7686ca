"""Statements rewritten, one kind after the other; see `rewrite.py`."""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence
from typing import Any

from .decide import NotRewritable
from .syntax import (
    Assigned,
    Expressions,
    as_test,
    ask,
    constant,
    define,
    flagged,
    has,
    jumps_out,
    lambda_,
    load,
    own_nodes,
    place,
    reads,
    set_flag,
    shared_names,
    without_returns,
)

MAX_COPIED = 4000
"""Nodes of syntax that a function may have after what follows an early return was copied."""


class Statements:
    """Rewrites one function."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0
        self.declared: set[str] = set()
        self.made: set[str] = set()
        self.given: set[str] = set()
        self.shared: set[str] = set()
        self.reads: dict[str, set[int]] = {}

    def rewrite(self, definition: ast.FunctionDef) -> None:
        """In place."""
        for node in own_nodes(definition.body):
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                self.declared.update(node.names)
            elif isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await)):
                raise NotRewritable("generators and coroutines are not rewritten")
            elif isinstance(node, ast.Assign) and isinstance(node.value, (ast.List, ast.Dict)):
                self.made.update(t.id for t in node.targets if isinstance(t, ast.Name))
        self.shared = shared_names(definition.body)
        for k, name in enumerate(reads(definition.body)):
            name.origin = k  # type: ignore[attr-defined]  # which copies keep
            self.reads.setdefault(name.id, set()).add(k)
        own = {a.arg for a in ast.walk(definition.args) if isinstance(a, ast.arg)}
        self.given = set(own)
        names = [n for n in own_nodes(definition.body) if isinstance(n, ast.Name)]
        own |= {n.id for n in names if isinstance(n.ctx, ast.Store)} - self.declared
        for node in own_nodes(definition.body):
            if isinstance(node, ast.Assign) and isinstance(
                node.value, (ast.Name, ast.Attribute, ast.Subscript)
            ):
                self.given.update(t.id for t in node.targets if isinstance(t, ast.Name))
            elif isinstance(node, ast.For) and isinstance(node.target, ast.Name):
                self.given.add(node.target.id)
        for name in names:
            name.outer = name.id not in own  # type: ignore[attr-defined]
        body = self._ended(definition.body)
        place(body, definition.body[-1].lineno)
        if sum(1 for s in body for _ in ast.walk(s)) > MAX_COPIED:
            raise NotRewritable("it has too many ways out")
        definition.body = self._block(body)

    def _new(self, name: str) -> str:
        self.count += 1
        return f"twofold_{name}_{self.count}"

    def _ended(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Statements of which every path ends in a return."""
        found: list[ast.stmt] = []
        for k, statement in enumerate(body):
            found.append(statement)
            if isinstance(statement, (ast.Return, ast.Raise)):
                return found
            if isinstance(statement, ast.If) and has([statement], ast.Return):
                rest = list(body[k + 1 :])
                statement.body = self._ended([*statement.body, *copy.deepcopy(rest)])
                statement.orelse = self._ended([*statement.orelse, *rest])
                statement.returns = True  # type: ignore[attr-defined]
                return found
        found.append(ast.Return(ast.Constant(None)))
        return found

    def _block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        return [made for statement in body for made in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.If):
            made = self._if(node)
        elif isinstance(node, ast.While):
            made = self._while(node)
        elif isinstance(node, ast.For):
            made = self._for(node)
        else:
            effect = self._effect(node)
            self._inside(node)
            made = [*effect, node]
        place(made, node.lineno)
        return made

    def _effect(self, node: ast.stmt) -> list[ast.stmt]:
        """A call that says of a simple statement that it has an effect, for who records a branch
        around it."""
        if not isinstance(node, (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
            return []
        assigned = Assigned([node])
        what = assigned.effect
        outer = self.declared & set(assigned.names)
        if outer:
            what = f"{min(outer)}, of another scope, is set in line {node.lineno}"
        call = node.value if isinstance(node, ast.Expr) else None
        method = call.func if isinstance(call, ast.Call) else None
        at = method.value if isinstance(method, ast.Attribute) else None
        if not what:
            return [
                ast.Expr(ask("changes", load(n), constant(f"{n} is changed in line {node.lineno}")))
                for n in assigned.touched if n in self.given
            ]  # fmt: skip
        if isinstance(at, ast.Name) and at.id in self.made:
            call.is_on_own = True  # type: ignore[union-attr]
            return []
        return [ast.Expr(ask("effect", constant(what)))]

    def _inside(self, node: ast.stmt) -> None:
        """Rewrite what a statement that stays consists of."""
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return
        for name, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                setattr(node, name, self._block(value))
            elif isinstance(value, list):
                setattr(node, name, [self._part(v) for v in value])
            else:
                setattr(node, name, self._part(value))

    def _part(self, value: Any) -> Any:
        if isinstance(value, ast.expr):
            return Expressions(self.file).visit(value)
        if isinstance(value, ast.ExceptHandler):
            value.body = self._block(value.body)
        elif isinstance(value, ast.withitem):
            value.context_expr = Expressions(self.file).visit(value.context_expr)
        return value

    def _stays(self, statements: Sequence[ast.stmt], assigned: Assigned) -> bool:
        """Whether statements cannot become functions: they leave a loop, or bind names that another
        scope has, too."""
        return (
            jumps_out(statements)
            or bool((self.declared | self.shared) & set(assigned.names))
            or has(statements, ast.Delete, ast.Import, ast.ImportFrom)
            or any(isinstance(n, ast.Name) and n.id == "super" for n in own_nodes(statements))
        )

    def _shares(self, statements: Sequence[ast.stmt]) -> bool:
        """Whether statements bind a name that another scope has, too."""
        return bool(self.shared & set(Assigned(statements).names))

    def _site(
        self, node: ast.AST, assigned: Assigned, statements: Sequence[ast.AST]
    ) -> ast.expr:  # fmt: skip
        """See `decide.Site`."""
        line = node.lineno  # type: ignore[attr-defined]
        inside = {getattr(name, "origin", -1) for name in reads(statements)}
        kept = tuple(name for name in assigned.names if self.reads.get(name, set()) - inside)
        site = (
            self.file, line, tuple(assigned.names), tuple(assigned.changed), assigned.effect, kept,
            tuple(assigned.touched),
        )  # fmt: skip
        return constant(site)

    def _values(self, names: Sequence[str]) -> list[ast.expr]:
        return [lambda_(load(n)) for n in names]

    def _results(self, names: Sequence[str]) -> ast.stmt:
        """`return (a, b)`, of which some may not be bound."""
        parts: list[ast.expr] = [ask("value", lambda_(load(n))) for n in names]
        return ast.Return(ast.Tuple(parts, ast.Load()))

    def _bind(self, names: Sequence[str], call: ast.expr) -> list[ast.stmt]:
        """`(a, b) = call`."""
        if not names:
            return [ast.Expr(call)]
        targets: list[ast.expr] = [ast.Name(n, ast.Store()) for n in names]
        bound: list[ast.stmt] = [ast.Assign([ast.Tuple(targets, ast.Store())], call)]
        return bound + self._unbind(names)

    def _unbind(self, names: Sequence[str]) -> list[ast.stmt]:
        """Delete the names that hold nothing, so that reading one is Python's error."""
        return [
            ast.If(ask("is_unbound", load(n)), [ast.Delete([ast.Name(n, ast.Del())])], [])
            for n in names
        ]

    def _if(self, node: ast.If) -> list[ast.stmt]:
        test = Expressions(self.file).visit(as_test(node.test))
        returns = getattr(node, "returns", False)
        branches = [node.body, node.orelse]
        assigned = Assigned([*without_returns(node.body), *without_returns(node.orelse)])
        if self._stays([*node.body, *node.orelse], assigned) or (
            not returns and has([*node.body, *node.orelse], ast.Return)
        ):
            node.test = test
            node.body, node.orelse = self._block(node.body), self._block(node.orelse)
            return [node]
        made: list[ast.stmt] = []
        names = assigned.names
        site = self._site(node, assigned, [*node.body, *node.orelse])
        functions: list[ast.expr] = []
        for part, kind in zip(branches, ("then", "else")):
            name = self._new(kind)
            body = [*self._unbind(names), *self._block(part)]
            if not returns:
                body.append(self._results(names))
            made.append(define(name, names, body))
            functions.append(load(name))
        kind = "branch_returning" if returns else "branch"
        call = ask(kind, test, *functions, site, *self._values(names))
        return [*made, *([ast.Return(call)] if returns else self._bind(names, call))]

    def _while(self, node: ast.While) -> list[ast.stmt]:
        if node.orelse or has(node.body, ast.Return) or self._shares(node.body):
            self._inside(node)
            return [node]
        return self._loop(node, node.test, node.body, [])

    def _for(self, node: ast.For) -> list[ast.stmt]:
        """`for i in range(...)` as a `while`."""
        call = node.iter
        is_range = (
            isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
            and call.func.id == "range" and not call.keywords and 1 <= len(call.args) <= 3
            and not any(isinstance(a, ast.Starred) for a in call.args)
        )  # fmt: skip
        simple = isinstance(node.target, ast.Name) and not node.orelse
        if not is_range or not simple or has(node.body, ast.Return) or self._shares([node]):
            self._inside(node)
            if isinstance(node.iter, ast.Name):
                node.iter = ask("iterated", node.iter)
            return [node]
        assert isinstance(call, ast.Call) and isinstance(node.target, ast.Name)
        span, at = self._new("range"), self._new("at")
        bounds = [Expressions(self.file).visit(a) for a in call.args]
        start = ast.Assign([ast.Name(span, ast.Store())], ask("span", load("range"), *bounds))
        first = ast.Assign(
            [ast.Name(at, ast.Store())], ast.Attribute(load(span), "first", ast.Load())
        )
        goes = ast.Call(ast.Attribute(load(span), "holds", ast.Load()), [load(at)], [])
        step: list[ast.stmt] = [
            ast.Assign([ast.Name(node.target.id, ast.Store())], load(at)),
            ast.Assign(
                [ast.Name(at, ast.Store())],
                ast.Call(ast.Attribute(load(span), "after", ast.Load()), [load(at)], []),
            ),
        ]
        return [start, first, *self._loop(node, goes, [*step, *node.body], [span])]

    def _loop(
        self, node: ast.stmt, test: ast.expr, body: list[ast.stmt], spans: list[str]
    ) -> list[ast.stmt]:
        before: list[ast.stmt] = []
        if jumps_out(body):
            left, skipped = self._new("left"), self._new("skipped")
            before = [set_flag(left, False)]
            body = [set_flag(skipped, False), *flagged(body, left, skipped)]
            test = ast.BoolOp(ast.And(), [ast.UnaryOp(ast.Not(), load(left)), test])
        place([*before, *body, ast.Expr(test)], node.lineno)
        assigned = Assigned(body)
        if self._stays(body, assigned):
            raise NotRewritable(f"the loop in line {node.lineno} cannot be a function")
        names = assigned.names
        site = self._site(node, assigned, body)
        go, step = self._new("go"), self._new("step")
        condition = Expressions(self.file).visit(as_test(test))
        inner = [*self._unbind(names), *self._block(body), self._results(names)]
        call = ask(
            "loop", load(go), load(step), site,
            load(spans[0]) if spans else ast.Constant(None), *self._values(names),
        )  # fmt: skip
        return [
            *before,
            define(go, names, [*self._unbind(names), ast.Return(condition)]),
            define(step, names, inner),
            *self._bind(names, call),
        ]

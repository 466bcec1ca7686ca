"""Rewrite a function's source so that its decisions are calls.

    if x.sum() > 0:            def then(y): y = x * 2; return (y,)
        y = x * 2              def other(y): y = -x; return (y,)
    else:               ->     (y,) = decide.branch(x.sum() > 0, then, other, site, lambda: y)
        y = -x

Names that a block assigns are passed in and out; others are read where they are. A `return` within
an `if` moves what follows into its branches, so that all paths end in one; `break` and `continue`
become flags that later statements ask. Blocks that do what is no value (a call for its effect, an
attribute that is set, an exception that is raised) say so, and are never recorded as a branch.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import sysconfig
import textwrap
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from . import decide

HELPER = "twofold_decide"
"""The name under which rewritten code finds `decide.py`."""

MAX_COPIED = 4000
"""Nodes of syntax that a function may have after what follows an early return was copied."""

_known: WeakKeyDictionary[types.CodeType, types.CodeType | str] = WeakKeyDictionary()


class NotRewritable(Exception):
    """Why a function stays as it is."""


def rewritten(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, or a module, with its decisions rewritten. NotRewritable where it has no source,
    or is a generator."""
    if hasattr(function, "forward"):
        return functools.partial(_call_module, function)
    if isinstance(function, functools.partial):
        return functools.partial(rewritten(function.func), *function.args, **function.keywords)
    if isinstance(function, types.MethodType):
        return types.MethodType(rewritten(function.__func__), function.__self__)
    if not isinstance(function, types.FunctionType):
        call = type(function).__dict__.get("__call__")
        if isinstance(call, types.FunctionType) and is_users(call):
            return types.MethodType(rewritten(call), function)
        if isinstance(call, types.FunctionType):  # of Twofold's own, which knows what it calls
            return function
        raise NotRewritable(f"{type(function).__name__} has no Python source")
    made = _known.get(function.__code__)
    if made is None:
        try:
            made = _rewritten_code(function)
        except NotRewritable as error:
            made = str(error)
        _known[function.__code__] = made
    if isinstance(made, str):
        raise NotRewritable(made)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    cells[HELPER] = types.CellType(decide)
    closure = tuple(cells.get(name) or types.CellType() for name in made.co_freevars)
    result = types.FunctionType(
        made, function.__globals__, function.__name__, function.__defaults__, closure
    )
    result.__kwdefaults__ = function.__kwdefaults__
    result.__qualname__ = function.__qualname__
    return result


def is_users(function: Any) -> bool:
    """Whether a function is a program's own: neither Twofold's nor an installed package's."""
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    name = function.__globals__.get("__name__", "")
    if name.partition(".")[0] == __name__.partition(".")[0]:
        return False
    file = Path(code.co_filename)
    return not any(file.is_relative_to(root) for root in _INSTALLED)


def _called(function: Any) -> Any:
    """What is called in place of `function` by a rewritten one: a user's functions and modules are
    rewritten, too."""
    if isinstance(function, (types.MethodType, types.FunctionType)):
        plain = getattr(function, "__func__", function)
        if not is_users(plain) or HELPER in plain.__code__.co_freevars:
            return function
        try:
            return rewritten(function)
        except NotRewritable:
            return function
    if hasattr(function, "forward") and hasattr(function, "modules"):
        return functools.partial(_call_module, function)
    if isinstance(function, functools.partial):
        return functools.partial(_called(function.func), *function.args, **function.keywords)
    call = type(function).__dict__.get("__call__")
    if isinstance(call, types.FunctionType) and is_users(call):
        return _called(types.MethodType(call, function))
    return function


def _call_module(module: Any, *args: Any, **kwargs: Any) -> Any:
    """A module called while those of a user's in it have a rewritten `forward`, so that hooks are
    run."""
    changed = []
    try:
        for part in module.modules():
            forward = type(part).forward
            own = isinstance(forward, types.FunctionType) and is_users(forward)
            if own and "forward" not in part.__dict__:
                part.__dict__["forward"] = _called(types.MethodType(forward, part))
                changed.append(part)
        return module(*args, **kwargs)
    finally:
        for part in changed:
            del part.__dict__["forward"]


decide.rewriting.append(_called)

_INSTALLED = [Path(p) for p in {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")}]


def _rewritten_code(function: types.FunctionType) -> types.CodeType:
    """The code of the rewritten function, with `HELPER` among its free variables."""
    code = function.__code__
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise NotRewritable("generators and coroutines are not rewritten")
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError) as error:
        raise NotRewritable(f"its source is not at hand ({error})") from None
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
        raise NotRewritable("only functions made by def are rewritten")
    definition = tree.body[0]
    ast.increment_lineno(definition, first - 1)
    definition.decorator_list = []
    definition.returns = None
    for argument in ast.walk(definition.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    definition.args.defaults = [ast.Constant(None) for _ in definition.args.defaults]
    definition.args.kw_defaults = [
        None if d is None else ast.Constant(None) for d in definition.args.kw_defaults
    ]
    _Function(code.co_filename).rewrite(definition)
    free = [*code.co_freevars, HELPER]
    factory = _define("factory", free, [definition, ast.Return(_load(definition.name))])
    module = ast.Module([factory], [])
    ast.fix_missing_locations(module)
    outer = compile(module, code.co_filename, "exec").co_consts[0]
    return next(
        c for c in outer.co_consts
        if isinstance(c, types.CodeType) and c.co_name == definition.name
    )  # fmt: skip


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _call(name: str, *args: ast.expr) -> ast.Call:
    """`decide.name(*args)`."""
    return ast.Call(ast.Attribute(_load(HELPER), name, ast.Load()), list(args), [])


def _place(statements: Sequence[ast.stmt], line: int) -> None:
    """Say of all new syntax that it stands in a line."""
    for statement in statements:
        for part in ast.walk(statement):
            if isinstance(part, (ast.stmt, ast.expr, ast.arg)) and not hasattr(part, "lineno"):
                part.lineno = part.end_lineno = line
                part.col_offset = part.end_col_offset = 0


def _constant(value: Any) -> ast.Constant:
    return ast.Constant(value)


def _define(name: str, parameters: Sequence[str], body: list[ast.stmt]) -> ast.FunctionDef:
    """`def name(*parameters): body`."""
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(p) for p in parameters], kwonlyargs=[], kw_defaults=[],
        defaults=[],
    )  # fmt: skip
    made = ast.FunctionDef(name=name, args=arguments, body=body, decorator_list=[])
    made.type_params = []  # type: ignore[attr-defined]  # which Python 3.12 asks for
    return made


def _lambda(body: ast.expr) -> ast.Lambda:
    none = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(none, body)


_SCOPES = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp,
)  # fmt: skip


def _own_nodes(statements: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """All syntax of statements but for what lies within scopes of their own."""
    stack = list(statements)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, _SCOPES):
            stack.extend(ast.iter_child_nodes(node))


def _has(statements: Sequence[ast.AST], *kinds: type[ast.AST]) -> bool:
    return any(isinstance(n, kinds) for n in _own_nodes(statements))


def _jumps_out(statements: Sequence[ast.AST]) -> bool:
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


class _Assigned:
    """What statements do: names that they `bind`, names whose tensor they change in place, and the
    first thing that is no value, as text (`effect`)."""

    def __init__(self, statements: Sequence[ast.stmt]) -> None:
        bound: dict[str, None] = {}
        changed: dict[str, None] = {}
        self.effect = ""
        targets = {id(n.target) for n in _own_nodes(statements) if isinstance(n, ast.AugAssign)}
        for node in _own_nodes(statements):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                if id(node) not in targets:
                    bound[node.id] = None
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                bound[node.name] = None
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                changed[node.target.id] = None
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name):
                    changed[node.value.id] = None
                else:
                    self._effect(node, "an element of what is no local name is set")
            elif isinstance(node, ast.Expr):
                self._expression(node, changed)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)):
                self._effect(node, f"the attribute {node.attr} is set")
            elif isinstance(node, _EFFECTS):
                self._effect(node, f"{type(node).__name__.lower()} has an effect")
        self.names = sorted({*bound, *changed})
        self.changed = sorted(set(changed) - set(bound))

    def _expression(self, node: ast.Expr, changed: dict[str, None]) -> None:
        value = node.value
        if isinstance(value, ast.Constant):
            return
        method = value.func if isinstance(value, ast.Call) else None
        if (
            isinstance(method, ast.Attribute)
            and isinstance(method.value, ast.Name)
            and method.attr.endswith("_")
            and not method.attr.startswith("_")
        ):
            changed[method.value.id] = None
        else:
            self._effect(node, "a call is made for its effect")

    def _effect(self, node: ast.AST, what: str) -> None:
        if not self.effect:
            self.effect = f"{what} in line {node.lineno}"  # type: ignore[attr-defined]


_EFFECTS = (
    ast.Raise, ast.Assert, ast.Delete, ast.With, ast.Try, ast.Import, ast.ImportFrom, ast.Return,
)  # fmt: skip


class _Function:
    """Rewrites one function."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0
        self.declared: set[str] = set()
        self.made: set[str] = set()

    def rewrite(self, definition: ast.FunctionDef) -> None:
        """In place."""
        for node in _own_nodes(definition.body):
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                self.declared.update(node.names)
            elif isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await)):
                raise NotRewritable("generators and coroutines are not rewritten")
            elif isinstance(node, ast.Assign) and isinstance(node.value, (ast.List, ast.Dict)):
                self.made.update(t.id for t in node.targets if isinstance(t, ast.Name))
        body = self._ended(definition.body)
        _place(body, definition.body[-1].lineno)
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
            if isinstance(statement, ast.If) and _has([statement], ast.Return):
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
        _place(made, node.lineno)
        return made

    def _effect(self, node: ast.stmt) -> list[ast.stmt]:
        """A call that says of a simple statement that it has an effect, for who records a branch
        around it."""
        if not isinstance(node, (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete)):
            return []
        assigned = _Assigned([node])
        what = assigned.effect
        outer = self.declared & set(assigned.names)
        if outer:
            what = f"{min(outer)}, of another scope, is set in line {node.lineno}"
        call = node.value if isinstance(node, ast.Expr) else None
        method = call.func if isinstance(call, ast.Call) else None
        at = method.value if isinstance(method, ast.Attribute) else None
        if not what or (isinstance(at, ast.Name) and at.id in self.made):
            return []
        return [ast.Expr(_call("effect", _constant(what)))]

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
            return _Expressions(self.file).visit(value)
        if isinstance(value, ast.ExceptHandler):
            value.body = self._block(value.body)
        elif isinstance(value, ast.withitem):
            value.context_expr = _Expressions(self.file).visit(value.context_expr)
        return value

    def _stays(self, statements: Sequence[ast.stmt], assigned: _Assigned) -> bool:
        """Whether statements cannot become functions: they leave a loop, or bind names of another
        scope."""
        return (
            _jumps_out(statements)
            or bool(self.declared & set(assigned.names))
            or _has(statements, ast.Delete, ast.Import, ast.ImportFrom)
            or any(isinstance(n, ast.Name) and n.id == "super" for n in _own_nodes(statements))
        )

    def _site(self, node: ast.AST, assigned: _Assigned) -> ast.expr:
        """(file, line, names, names changed in place, what stands against recording it)."""
        line = node.lineno  # type: ignore[attr-defined]
        site = (self.file, line, tuple(assigned.names), tuple(assigned.changed), assigned.effect)
        return _constant(site)

    def _values(self, names: Sequence[str]) -> list[ast.expr]:
        return [_lambda(_load(n)) for n in names]

    def _results(self, names: Sequence[str]) -> ast.stmt:
        """`return (a, b)`, of which some may not be bound."""
        parts: list[ast.expr] = [_call("value", _lambda(_load(n)), ast.Constant(n)) for n in names]
        return ast.Return(ast.Tuple(parts, ast.Load()))

    def _bind(self, names: Sequence[str], call: ast.expr) -> ast.stmt:
        """`(a, b) = call`."""
        if not names:
            return ast.Expr(call)
        targets: list[ast.expr] = [ast.Name(n, ast.Store()) for n in names]
        return ast.Assign([ast.Tuple(targets, ast.Store())], call)

    def _if(self, node: ast.If) -> list[ast.stmt]:
        test = _Expressions(self.file).visit(node.test)
        returns = getattr(node, "returns", False)
        branches = [node.body, node.orelse]
        assigned = _Assigned([*_without_returns(node.body), *_without_returns(node.orelse)])
        if self._stays([*node.body, *node.orelse], assigned) or (
            not returns and _has([*node.body, *node.orelse], ast.Return)
        ):
            node.test = test
            node.body, node.orelse = self._block(node.body), self._block(node.orelse)
            return [node]
        made: list[ast.stmt] = []
        names = assigned.names
        functions: list[ast.expr] = []
        for part, kind in zip(branches, ("then", "else")):
            name = self._new(kind)
            body = self._block(part)
            if not returns:
                body.append(self._results(names))
            made.append(_define(name, names, body))
            functions.append(_load(name))
        site = self._site(node, assigned)
        kind = "branch_returning" if returns else "branch"
        call = _call(kind, test, *functions, site, *self._values(names))
        made.append(ast.Return(call) if returns else self._bind(names, call))
        return made

    def _while(self, node: ast.While) -> list[ast.stmt]:
        if node.orelse or _has(node.body, ast.Return):
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
        if not is_range or not simple or _has(node.body, ast.Return):
            self._inside(node)
            return [node]
        assert isinstance(call, ast.Call) and isinstance(node.target, ast.Name)
        span, at = self._new("range"), self._new("at")
        bounds = [_Expressions(self.file).visit(a) for a in call.args]
        start = ast.Assign([ast.Name(span, ast.Store())], _call("span", _load("range"), *bounds))
        first = ast.Assign(
            [ast.Name(at, ast.Store())], ast.Attribute(_load(span), "first", ast.Load())
        )
        goes = ast.Call(ast.Attribute(_load(span), "holds", ast.Load()), [_load(at)], [])
        step: list[ast.stmt] = [
            ast.Assign([ast.Name(node.target.id, ast.Store())], _load(at)),
            ast.Assign(
                [ast.Name(at, ast.Store())],
                ast.Call(ast.Attribute(_load(span), "after", ast.Load()), [_load(at)], []),
            ),
        ]
        return [start, first, *self._loop(node, goes, [*step, *node.body], [span])]

    def _loop(
        self, node: ast.stmt, test: ast.expr, body: list[ast.stmt], spans: list[str]
    ) -> list[ast.stmt]:
        before: list[ast.stmt] = []
        if _jumps_out(body):
            left, skipped = self._new("left"), self._new("skipped")
            before = [_set(left, False)]
            body = [_set(skipped, False), *_flagged(body, left, skipped)]
            test = ast.BoolOp(ast.And(), [ast.UnaryOp(ast.Not(), _load(left)), test])
        _place([*before, *body, ast.Expr(test)], node.lineno)
        assigned = _Assigned(body)
        if self._stays(body, assigned):
            raise NotRewritable(f"the loop in line {node.lineno} cannot be a function")
        names = assigned.names
        go, step = self._new("go"), self._new("step")
        condition = _Expressions(self.file).visit(test)
        inner = [*self._block(body), self._results(names)]
        call = _call(
            "loop", _load(go), _load(step), self._site(node, assigned),
            _load(spans[0]) if spans else ast.Constant(None), *self._values(names),
        )  # fmt: skip
        return [
            *before,
            _define(go, names, [ast.Return(condition)]),
            _define(step, names, inner),
            self._bind(names, call),
        ]


def _without_returns(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Statements, of which the returns at the ends of all paths are left out."""
    found: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.Return):
            continue
        if getattr(statement, "returns", False):
            assert isinstance(statement, ast.If)
            found += [*_without_returns(statement.body), *_without_returns(statement.orelse)]
        else:
            found.append(statement)
    return found


def _set(name: str, value: bool) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))


def _flagged(body: Sequence[ast.stmt], left: str, skipped: str) -> list[ast.stmt]:
    """Statements in which `break` and `continue` set flags that those after them ask."""
    found: list[ast.stmt] = []
    for k, statement in enumerate(body):
        if isinstance(statement, ast.Break):
            return [*found, _set(left, True)]
        if isinstance(statement, ast.Continue):
            return [*found, _set(skipped, True)]
        found.append(statement)
        if isinstance(statement, ast.If) and _jumps_out([statement]):
            statement.body = _flagged(statement.body, left, skipped)
            statement.orelse = _flagged(statement.orelse, left, skipped)
            rest = _flagged(body[k + 1 :], left, skipped)
            if rest:
                either = ast.BoolOp(ast.Or(), [_load(left), _load(skipped)])
                found.append(ast.If(ast.UnaryOp(ast.Not(), either), rest, []))
            return found
    return found


def _placed(made: ast.expr, at: ast.expr) -> ast.expr:
    """New syntax, in the line of what it replaces."""
    _place([ast.Expr(made)], at.lineno)
    return made


class _Expressions(ast.NodeTransformer):
    """`and`, `or`, `not`, chains of comparisons, `a if c else b` and calls, as calls."""

    def __init__(self, file: str) -> None:
        self.file = file

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        name = "all_of" if isinstance(node.op, ast.And) else "any_of"
        return _placed(_call(name, *map(_lambda, node.values)), node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not):
            return _placed(_call("not_", node.operand), node)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        site = _constant((self.file, node.lineno, ("value",), (), ""))
        call = _call("choice", node.test, _lambda(node.body), _lambda(node.orelse), site)
        return _placed(call, node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        names = tuple(type(op).__name__ for op in node.ops)
        if len(names) == 1 or not set(names) <= set(decide.COMPARISONS):
            return node
        operands = map(_lambda, [node.left, *node.comparators])
        return _placed(_call("chain", _constant(names), *operands), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        at = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        if isinstance(at, ast.Name) and at.id in ("range", "super", HELPER):
            return node
        node.func = _placed(_call("called", node.func), node)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        return node

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        raise NotRewritable(f"line {node.lineno} binds a name within an expression")

    def _stay(self, node: Any) -> Any:
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _stay

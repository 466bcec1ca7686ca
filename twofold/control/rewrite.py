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
import functools
import inspect
import sysconfig
import textwrap
import types
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from . import decide
from .decide import NotRewritable
from .statements import Statements
from .syntax import HELPER, define, load

_known: WeakKeyDictionary[types.CodeType, types.CodeType | str] = WeakKeyDictionary()


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
        lines, first = inspect.getsourcelines(code)  # not of what it wraps
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError) as error:
        raise NotRewritable(f"its source is not at hand ({error})") from None
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
        raise NotRewritable("only functions made by def are rewritten")
    definition = tree.body[0]
    if definition.name != code.co_name:  # the source of a lambda is the whole statement
        raise NotRewritable("only functions made by def are rewritten")
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
    Statements(code.co_filename).rewrite(definition)
    free = [*code.co_freevars, HELPER]
    factory = define("factory", free, [definition, ast.Return(load(definition.name))])
    module = ast.Module([_in_class(function, factory)], [])
    ast.fix_missing_locations(module)
    outer = _code_of(compile(module, code.co_filename, "exec"), "factory")
    return _code_of(outer, definition.name)


def _in_class(function: types.FunctionType, definition: ast.stmt) -> ast.stmt:
    """The definition within a class of the name of the one around the function, of which Python
    makes names such as `__x`."""
    parts = function.__qualname__.split(".")
    classes = [a for a, b in pairwise(parts) if "<locals>" not in (a, b)]
    if not classes:
        return definition
    made = ast.ClassDef(classes[-1], [], [], [definition], [])
    made.type_params = []  # type: ignore[attr-defined]  # which Python 3.12 asks for
    return made


def _code_of(code: types.CodeType, name: str) -> types.CodeType:
    """The code of a function of a name that is defined within."""
    found = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    own = next((c for c in found if c.co_name == name), None)
    return own if own is not None else _code_of(found[0], name)

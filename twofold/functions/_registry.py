"""How functions become methods of `Tensor` and names of the package."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from ..graph.node import is_ours
from ..tensor import Tensor

functions: dict[str, Callable[..., Any]] = {}
"""Every public function by its name in `twofold`."""


class NeedsDense(NotImplementedError):
    """A function of dense tensors was given one of another layout. If `rules` has another function
    of its name, that is called instead."""

    rules: ClassVar[dict[str, Callable[..., Any]]] = {}


def method(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Attach a function to `Tensor` under `names`, else under its own name."""

    def attach(f: Callable[..., Any]) -> Callable[..., Any]:
        for name in names or (f.__name__,):
            setattr(Tensor, name, f)
        return f

    return attach


def function(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function public as `twofold.NAME`; with `out=` to write the result to a tensor."""

    def attach(f: Callable[..., Any]) -> Callable[..., Any]:
        for name in names or (f.__name__.rstrip("_"),):
            functions[name] = with_out(f)
        return f

    return attach


def both(*names: str, inplace: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function public and a method; with `inplace`, `NAME_` writes the result to the
    tensor."""

    def attach(f: Callable[..., Any]) -> Callable[..., Any]:
        for name in names or (f.__name__.rstrip("_"),):
            setattr(Tensor, name, f)
            functions[name] = with_out(f)
            if inplace:
                setattr(Tensor, name + "_", in_place(f, name + "_"))
        return f

    return attach


def by_name(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let what a function takes one by one come as one argument of this name, as in
    zeros(size=(2, 3))."""

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(f)
        def apply(*args: Any, **kwargs: Any) -> Any:
            if name in kwargs:
                args = (*args, kwargs.pop(name))
            return f(*args, **kwargs)

        return apply

    return decorate


def in_place(f: Callable[..., Any], name: str) -> Callable[..., Tensor]:
    """The method that writes f's result to its first argument."""

    def apply(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._assign(f(self, *args, **kwargs))

    apply.__name__ = name
    apply.__doc__ = f"`{name[:-1]}`, written to this tensor."
    return apply


def not_a_tensor(
    error: AttributeError, f: Callable[..., Any], args: tuple, kwargs: dict[str, Any]
) -> TypeError | None:
    """PyTorch's error for an argument of f that is no tensor, if it is what lacks an attribute that
    Twofold's own code asked for."""
    trace, name = error.__traceback__, getattr(f, "__name__", type(f).__name__)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not is_ours(trace.tb_frame) or isinstance(error.obj, Tensor):
        return None
    kind = type(error.obj)
    got = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    given = [*enumerate(args), *kwargs.items()]
    for k, value in given:
        if value is error.obj:
            names = list(inspect.signature(f).parameters)
            if isinstance(k, int) and k < len(names):
                return TypeError(
                    f"{name}(): argument '{names[k]}' (position {k + 1}) must be Tensor, not "
                    f"{got}; try twofold.tensor(...)"
                )
            return TypeError(f"{name}(): argument {k!r} must be Tensor, not {got}")
        if isinstance(value, (list, tuple)):
            for j, part in enumerate(value):
                if part is error.obj:
                    return TypeError(
                        f"expected Tensor as element {j} in argument {k} of {name}, but got {got}"
                    )
    return None


def with_out(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` with `out=`: a tensor, or a tuple of them, that the result is written to."""
    name = f.__name__.rstrip("_")

    @functools.wraps(f)
    def apply(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        try:
            result = f(*args, **kwargs)
        except AttributeError as error:
            wrong = not_a_tensor(error, f, args, kwargs)
            if wrong is None:
                raise
            raise wrong from None
        except NeedsDense as error:
            rule = error.rules.get(name)
            if rule is None:
                raise
            result = rule(*args, **kwargs)
        if out is None:
            return result
        if isinstance(out, Tensor):
            return out._store(result)
        for to, value in zip(out, result, strict=True):
            to._store(value)
        return type(result)(*out) if hasattr(result, "_fields") else tuple(out)

    return apply

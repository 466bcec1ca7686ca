"""How functions become methods of `Tensor` and names of the package."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..tensor import Tensor

functions: dict[str, Callable[..., Any]] = {}
"""Every public function by its name in `twofold`."""


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


def in_place(f: Callable[..., Any], name: str) -> Callable[..., Tensor]:
    """The method that writes f's result to its first argument."""

    def apply(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._assign(f(self, *args, **kwargs))

    apply.__name__ = name
    apply.__doc__ = f"`{name[:-1]}`, written to this tensor."
    return apply


def with_out(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` with `out=`: a tensor, or a tuple of them, that the result is written to."""

    @functools.wraps(f)
    def apply(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = f(*args, **kwargs)
        if out is None:
            return result
        if isinstance(out, Tensor):
            return out._store(result)
        for to, value in zip(out, result, strict=True):
            to._store(value)
        return type(result)(*out) if hasattr(result, "_fields") else tuple(out)

    return apply

"""`_foreach_*`: an operation on each of several tensors, as optimizers of other libraries call it.

All of a step's operations run as one plan in any case, so these are loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..tensor import Tensor
from ._registry import functions

_UNARY = (
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 "
    "neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
).split()
_OTHERS = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "pow": "pow", "lerp": "lerp",
    "addcmul": "addcmul", "addcdiv": "addcdiv", "clamp_min": "clamp_min", "clamp_max": "clamp_max",
    "maximum": "clamp_min", "minimum": "clamp_max",
}  # fmt: skip
"""By PyTorch's name the method that is called on each tensor."""


def _each(arguments: Sequence[Any], i: int) -> list[Any]:
    """The arguments for the i-th tensor: lists give their element, all else itself."""
    return [a[i] if isinstance(a, (list, tuple)) else a for a in arguments]


def _define(name: str, method: str) -> None:
    def apply(tensors: Sequence[Tensor], *args: Any, **kwargs: Any) -> list[Tensor]:
        values = kwargs.pop("scalars", None)
        return [
            _called(x, method, _each(args, i), kwargs, values, i) for i, x in enumerate(tensors)
        ]

    def write(tensors: Sequence[Tensor], *args: Any, **kwargs: Any) -> None:
        for x, y in zip(tensors, apply(tensors, *args, **kwargs)):
            x.copy_(y)

    apply.__name__, write.__name__ = f"_foreach_{name}", f"_foreach_{name}_"
    apply.__doc__ = f"`{name}` of each tensor."
    write.__doc__ = f"`{name}` of each tensor, written to it."
    functions[apply.__name__], functions[write.__name__] = apply, write


def _called(
    x: Tensor, method: str, args: list[Any], kwargs: dict[str, Any], values: Any, i: int
) -> Tensor:
    if method in ("addcmul", "addcdiv") and len(args) == 3:
        return getattr(x, method)(args[0], args[1], value=args[2])
    if values is not None:
        return getattr(x, method)(*args, value=values[i])
    return getattr(x, method)(*args, **kwargs)


for _name in _UNARY:
    _define(_name, _name)
for _name, _method in _OTHERS.items():
    _define(_name, _method)


def foreach_norm(tensors: Sequence[Tensor], ord: Any = 2, dtype: Any = None) -> list[Tensor]:
    """The norm of each tensor."""
    return [x.norm(ord) if dtype is None else x.to(dtype).norm(ord) for x in tensors]


def foreach_zero_(tensors: Sequence[Tensor]) -> None:
    """Let all elements of each tensor be 0."""
    for x in tensors:
        x.zero_()


def foreach_copy_(
    tensors: Sequence[Tensor], sources: Sequence[Tensor], non_blocking: bool = False
) -> None:
    """Copy each source to its tensor."""
    for x, y in zip(tensors, sources, strict=True):
        x.copy_(y)


_found: dict[str, Callable[..., Any]] = {
    "_foreach_norm": foreach_norm, "_foreach_zero_": foreach_zero_,
    "_foreach_copy_": foreach_copy_,
}  # fmt: skip
functions.update(_found)

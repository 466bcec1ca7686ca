"""What methods of tensors meant in PyTorch 0.1, where that differs from today.

Each change holds for calls from the program alone: Twofold's own modules call the same methods and
mean what they mean today.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from ...dtypes import bool_, uint8
from ...functions import functions
from ...functions.arithmetic import div as _div
from ...nn import Module
from ...optim import Optimizer
from ...tensor import Tensor

KEEP_DIM = (
    "sum mean prod max min median mode kthvalue std var norm"  # 0.2 made keepdim=False the default
).split()
SCALED = {"add": "alpha", "sub": "alpha", "addcmul": "value", "addcdiv": "value"}
"""Functions whose factor stood before their last tensors, and its name today."""

PRODUCTS = "addmm addmv addbmm baddbmm addr".split()

_PACKAGE = __name__.split(".")[0]


def _from_program(depth: int = 2) -> bool:
    """Whether the function that called ours is the program's own."""
    name = sys._getframe(depth).f_globals.get("__name__", "")
    return not name.startswith(f"{_PACKAGE}.")


def _keep_dim(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, which keeps the axis that it reduces: f(x, dim)."""

    @functools.wraps(f)
    def apply(*args: Any, **kwargs: Any) -> Any:
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        at_end = isinstance(dim, int) and not isinstance(dim, bool) and len(args) <= 2
        if at_end and "keepdim" not in kwargs and _from_program():
            kwargs["keepdim"] = True
        return f(*args, **kwargs)

    return apply


def _keep_dim_of_norm(f: Callable[..., Any]) -> Callable[..., Any]:
    """norm(x, p, dim), which keeps the axis."""

    @functools.wraps(f)
    def apply(*args: Any, **kwargs: Any) -> Any:
        if (len(args) == 3 or "dim" in kwargs) and "keepdim" not in kwargs and _from_program():
            kwargs["keepdim"] = True
        return f(*args, **kwargs)

    return apply


def _scaled(f: Callable[..., Any], name: str) -> Callable[..., Any]:
    """f(x, factor, *tensors) beside f(x, *tensors, name=factor)."""

    @functools.wraps(f)
    def apply(x: Any, *args: Any, **kwargs: Any) -> Any:
        n_tensors = 1 if name == "alpha" else 2
        if len(args) == n_tensors + 1 and not isinstance(args[0], Tensor):
            kwargs[name] = args[0]
            args = args[1:]
        return f(x, *args, **kwargs)

    return apply


def _product(f: Callable[..., Any]) -> Callable[..., Any]:
    """f(beta, x, alpha, a, b) and f(x, alpha, a, b) beside f(x, a, b, beta=, alpha=). A method has
    its tensor first, and beta after it."""

    @functools.wraps(f)
    def apply(*args: Any, **kwargs: Any) -> Any:
        tensors = [a for a in args if isinstance(a, Tensor)]
        numbers = [a for a in args if not isinstance(a, Tensor)]
        if len(tensors) == 3 and len(numbers) == 2:
            kwargs["beta"], kwargs["alpha"] = numbers
        elif len(tensors) == 3 and len(numbers) == 1:
            kwargs["alpha" if args.index(numbers[0]) else "beta"] = numbers[0]
        else:
            tensors = list(args)
        return f(*tensors, **kwargs)

    return apply


def _getitem(f: Callable[..., Any]) -> Callable[..., Any]:
    """x[0] of a tensor without axes: its number, or x itself where a gradient is recorded."""

    def apply(self: Tensor, index: Any) -> Any:
        if index == 0 and index.__class__ is int and not self.shape:
            return self if self.requires_grad else self.item()
        return f(self, index)

    return apply


def _text(f: Callable[[Tensor], str]) -> Callable[[Tensor], str]:
    """A tensor without axes prints as the number it stands for."""

    def apply(self: Tensor) -> str:
        return f(self) if self.shape else repr(self.item())

    return apply


def _quotient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Integers divided by integers are integers, cut towards zero, as in C."""

    def apply(self: Tensor, other: Any) -> Any:
        whole = not self.dtype.is_floating_point and (
            isinstance(other, int) or (isinstance(other, Tensor) and not other.is_floating_point())
        )
        if whole and _from_program():
            return _div(self, other, rounding_mode="trunc")
        return f(self, other)

    return apply


def _of_bytes(f: Callable[..., Any]) -> Callable[..., Any]:
    """Results of comparisons, which were bytes, in arithmetic."""

    def apply(self: Tensor, other: Any) -> Any:
        if self.dtype is bool_ and _from_program():
            self = self.to(uint8)
        return f(self, other)

    return apply


class _Gradient:
    """`grad` of a leaf, which is there from the start, as zeros."""

    def __get__(self, tensor: Tensor | None, owner: type) -> Any:
        if tensor is None:
            return None
        found = tensor.__dict__.get("grad")
        if found is None and _from_program() and tensor.is_leaf and tensor.requires_grad:
            found = tensor.__dict__["grad"] = functions["zeros_like"](tensor.detach())
        return found

    def __set__(self, tensor: Tensor, value: Tensor | None) -> None:
        tensor.__dict__["grad"] = value


def _zero_grad(f: Callable[..., None]) -> Callable[..., None]:
    """Gradients become zeros, and stay where they are."""

    def apply(self: Any) -> None:
        f(self, set_to_none=False)

    return apply


def apply() -> None:
    """Let the methods of tensors mean what they meant in 0.1, in this process."""
    wrap_all(KEEP_DIM[:-1], _keep_dim)
    wrap_all(["norm"], _keep_dim_of_norm)
    for name, keyword in SCALED.items():
        wrap_all([name, name + "_"], functools.partial(_scaled, name=keyword))
    wrap_all([*PRODUCTS, *[name + "_" for name in PRODUCTS]], _product)
    for name, change in {
        "__getitem__": _getitem,
        "__repr__": _text,
        "__truediv__": _quotient,
        "__sub__": _of_bytes,
        "__rsub__": _of_bytes,
        "__add__": _of_bytes,
    }.items():
        setattr(Tensor, name, change(getattr(Tensor, name)))
    Tensor.__str__ = Tensor.__repr__  # type: ignore[method-assign]
    Tensor.grad = _Gradient()  # type: ignore[assignment]
    Tensor.volatile = False  # type: ignore[attr-defined]
    for cls in (Module, Optimizer):
        cls.zero_grad = _zero_grad(cls.zero_grad)  # type: ignore[method-assign]


def wrap_all(names: list[str], change: Callable[..., Any]) -> None:
    """Change functions and methods of these names, as far as there are both."""
    for name in names:
        if hasattr(Tensor, name):
            setattr(Tensor, name, change(getattr(Tensor, name)))
        if name in functions:
            functions[name] = change(functions[name])
            setattr(sys.modules[_PACKAGE], name, functions[name])

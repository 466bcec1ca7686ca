"""Elementwise functions of the standard by their names; operands are brought to one dtype first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..dtypes import DType
from ..errors import message
from ..functions import functions
from ..tensor import Tensor
from .types import common, iinfo

_UNARY = {
    name: name
    for name in (
        "abs acos acosh asin asinh atan atanh ceil conj cos cosh exp expm1 floor imag isfinite "
        "isinf isnan log log1p log2 log10 logical_not positive real reciprocal signbit sin "
        "sinh square sqrt tan tanh trunc round"
    ).split()
} | {"bitwise_invert": "bitwise_not", "negative": "neg"}

_BINARY = {
    name: name
    for name in (
        "add atan2 bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift "
        "copysign hypot logaddexp logical_and logical_or logical_xor maximum minimum "
        "nextafter pow remainder"
    ).split()
} | {
    "divide": "div", "equal": "eq", "greater": "gt", "greater_equal": "ge", "less": "lt",
    "less_equal": "le", "multiply": "mul", "not_equal": "ne", "subtract": "sub",
}  # fmt: skip

_KEEPS_INTEGERS = ("ceil", "floor", "round", "trunc")


def _unary(name: str, ours: str) -> Callable[[Tensor], Tensor]:
    function = functions[ours]

    def apply(x: Tensor, /) -> Tensor:
        if name in _KEEPS_INTEGERS and x.dtype.kind in ("int", "uint"):
            return x.clone()
        return function(x)

    return named(apply, name, f"`{name}` of each element.")


def _binary(name: str, ours: str) -> Callable[[Any, Any], Tensor]:
    function = functions[ours]

    def apply(x1: Any, x2: Any, /) -> Tensor:
        return function(*common(name, x1, x2))

    return named(apply, name, f"`{name}` of the elements of two arrays, broadcast.")


def named(f: Any, name: str, text: str) -> Any:
    """A function that was made by another one, under a name and with a docstring of its own."""
    f.__name__ = f.__qualname__ = name
    f.__doc__ = text
    return f


def sign(x: Tensor, /) -> Tensor:
    """-1, 0 or 1 by the sign of each element; x / |x| of complex numbers; NaN of NaN."""
    if x.dtype.kind == "complex":
        return functions["sgn"](x)
    if x.dtype.kind != "float":
        return functions["sign"](x)
    return functions["where"](x != x, x, functions["sign"](x))


def floor_divide(x1: Any, x2: Any, /) -> Tensor:
    """The quotient's largest integer below, of infinite operands too."""
    x1, x2 = common("floor_divide", x1, x2)
    result = functions["floor_divide"](x1, x2)
    if result.dtype.kind != "float":
        return result
    limit = functions["floor"](x1 / x2)
    is_finite = functions["logical_and"](functions["isfinite"](x1), functions["isfinite"](x2))
    return functions["where"](is_finite, result, limit)


def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Tensor:
    """The elements, where they are less than `min` or more than `max` replaced by that."""
    result = x
    for bound, function in ((min, functions["maximum"]), (max, functions["minimum"])):
        if bound is None:
            continue
        if not isinstance(bound, Tensor):
            if x.dtype.kind in ("int", "uint") and not isinstance(bound, int):
                raise TypeError(message("clip", "bounds of integers are integers", bound))
            low, high = _range_of(x.dtype)
            if (bound <= low and bound is min) or (bound >= high and bound is max):
                continue
            bound = functions["full"]((), bound, dtype=x.dtype)
        result = function(result, bound.to(x.dtype))
    return result.clone() if result is x else result


def _range_of(dtype: DType) -> tuple[float, float]:
    """The numbers that no bound beyond them changes anything for."""
    if dtype.kind not in ("int", "uint"):
        return -math.inf, math.inf
    limits = iinfo(dtype)
    return limits.min, limits.max


elementwise: dict[str, Callable[..., Any]] = {
    **{name: _unary(name, ours) for name, ours in _UNARY.items()},
    **{name: _binary(name, ours) for name, ours in _BINARY.items()},
    "clip": clip,
    "floor_divide": floor_divide,
    "sign": sign,
}
"""All of them by name."""

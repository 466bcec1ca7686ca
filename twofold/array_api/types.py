"""Data types in the standard's terms: promotion, kinds, limits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, settings
from ..creation import full
from ..dtypes import DType
from ..errors import message
from ..functions.shape import broadcast_to as _broadcast_to
from ..tensor import Tensor

_NUMBERS = {bool: ("bool",), int: ("int", "uint", "float", "complex"), float: ("float", "complex"),
            complex: ("complex",)}  # fmt: skip


def as_array(name: str, x: Any, like: DType) -> Tensor:
    """A Python number as a 0-d array of the type of what it is combined with."""
    if isinstance(x, Tensor):
        return x
    kinds = _NUMBERS.get(type(x))
    if kinds is None:
        raise TypeError(message(name, "operands are arrays and numbers", type(x).__name__))
    if like.kind not in kinds:
        raise TypeError(message(name, f"{x!r} cannot be combined with {like}"))
    return full((), x, dtype=like)


def common(name: str, x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """Two operands, one of them perhaps a Python number, in one dtype."""
    if not isinstance(x1, Tensor) and not isinstance(x2, Tensor):
        raise TypeError(message(name, "one of the operands must be an array", f"{x1!r} and {x2!r}"))
    if not isinstance(x1, Tensor):
        x1 = as_array(name, x1, x2.dtype)
    x2 = as_array(name, x2, x1.dtype)
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    return x1.to(dtype), x2.to(dtype)


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that all of these promote to."""
    found: DType | None = None
    for x in arrays_and_dtypes:
        if isinstance(x, (Tensor, DType)):
            dtype = x.dtype if isinstance(x, Tensor) else x
            found = dtype if found is None else dtypes.promote(found, dtype)
    if found is None:
        raise ValueError(message("result_type", "one argument must be an array or a dtype"))
    for x in arrays_and_dtypes:
        if not isinstance(x, (Tensor, DType)):
            as_array("result_type", x, found)
    return found


def can_cast(from_: Any, to: DType, /) -> bool:
    """Whether values of `from_`, a dtype or an array, become `to` by promotion."""
    dtype = from_.dtype if isinstance(from_, Tensor) else from_
    return dtypes.promote(dtype, to) is to


_KINDS: dict[str, tuple[str, ...]] = {
    "bool": ("bool",),
    "signed integer": ("int",),
    "unsigned integer": ("uint",),
    "integral": ("int", "uint"),
    "real floating": ("float",),
    "complex floating": ("complex",),
    "numeric": ("int", "uint", "float", "complex"),
}


def isdtype(dtype: DType, kind: Any) -> bool:
    """Whether a dtype is another one, or of a kind such as "integral", or of one of several."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, DType):
        return dtype is kind
    if kind not in _KINDS:
        known = ", ".join(_KINDS)
        raise ValueError(message("isdtype", f"the kinds are {known}", repr(kind)))
    return dtype.kind in _KINDS[kind]


def astype(x: Tensor, dtype: DType, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """The elements as another dtype."""
    if dtype is x.dtype and not copy:
        return x
    if x.dtype.kind == "complex" and dtype.kind != "complex":
        raise TypeError(message("astype", "complex numbers stay complex; try real or imag", dtype))
    return x.to(dtype, copy=copy)


class FInfo(NamedTuple):
    """The limits of a floating-point dtype."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class IInfo(NamedTuple):
    """The limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


def finfo(type: Any, /) -> FInfo:
    """The limits of a floating-point or complex dtype, or of an array's."""
    found = settings.finfo(type.dtype if isinstance(type, Tensor) else type)
    real = dtypes.by_name(found.dtype)
    return FInfo(found.bits, found.eps, found.max, found.min, found.smallest_normal, real)


def iinfo(type: Any, /) -> IInfo:
    """The limits of an integer dtype, or of an array's."""
    dtype = type.dtype if isinstance(type, Tensor) else type
    found = settings.iinfo(dtype)
    return IInfo(found.bits, found.max, found.min, dtype)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all of these broadcast to. ValueError if there is none."""
    return np.broadcast_shapes(*shapes)


def broadcast_to(x: Tensor, /, shape: Any) -> Tensor:
    """The array repeated to a shape."""
    return _broadcast_to(x, tuple(shape))


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """The arrays repeated to one shape."""
    shape = broadcast_shapes(*(tuple(x.shape) for x in arrays))
    return [broadcast_to(x, shape) for x in arrays]

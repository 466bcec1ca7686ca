"""Complex tensors: making them, their parts, conjugates and angles."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..dtypes import DType
from ..graph.node import Node
from ..ops import complex as cx
from ..ops import elementwise as ew
from ..ops.custom import identity
from ..tensor import NAMES, Tensor, wrap
from ._registry import both, function, method
from .arithmetic import to_float
from .casting import in_float32


def magnitude(x: Node) -> Node:
    """|x| of complex numbers, without overflow; its gradient at 0 is 0."""
    a, b = cx.real(x), cx.imag(x)
    zero = ew.const_like(a, 0)
    if not x.requires_grad:
        return ew.hypot(a, b)
    is_zero = ew.and_(ew.eq(a, zero), ew.eq(b, zero))
    return ew.where(is_zero, zero, ew.hypot(ew.where(is_zero, ew.const_like(a, 1), a), b))


def squared_magnitude(x: Node) -> Node:
    """|x|^2; x^2 of real numbers."""
    if not x.dtype.is_complex:
        return ew.mul(x, x)
    a, b = cx.real(x), cx.imag(x)
    return ew.add(ew.mul(a, a), ew.mul(b, b))


def direction(x: Node) -> Node:
    """x / |x|, 0 at 0: the sign of complex numbers."""
    size = magnitude(x)
    zero = ew.eq(size, ew.const_like(size, 0))
    safe = ew.where(zero, ew.const_like(size, 1), size)
    return ew.div(x, ew.cast(safe, x.dtype))


def angle_node(x: Node) -> Node:
    """The angle of complex numbers; 0 or pi of real ones, NaN of NaN."""
    if x.dtype.is_complex:
        return ew.atan2(cx.imag(x), cx.real(x))
    x = to_float(x)
    turned = ew.where(ew.lt(x, ew.const_like(x, 0)), ew.const_like(x, math.pi), ew.const_like(x, 0))
    return ew.where(ew.isnan(x), x, turned)


@both("abs", "absolute", inplace=True)
def abs_(input: Tensor) -> Tensor:
    """|x|; of bools, the bools themselves."""
    x = input._node()
    if x.dtype is dtypes.bool_:
        return wrap(identity(x))
    return wrap(magnitude(x) if x.dtype.is_complex else ew.abs_(x))


method("__abs__")(abs_)


@function("complex")
def complex_(real: Tensor, imag: Tensor) -> Tensor:
    """real + i imag, of two float32 or float64 tensors.

    >>> import twofold as tf
    >>> tf.complex(tf.tensor([1.0, 2.0]), tf.tensor([3.0, -4.0]))
    tensor([1.+3.j, 2.-4.j])
    """
    a, b = real._node(), imag._node()
    for x in (a, b):
        if not x.dtype.is_floating_point:
            raise RuntimeError(
                "Expected both inputs to be Half, Float or Double tensors but got "
                f"{NAMES[a.dtype]} and {NAMES[b.dtype]}"
            )
    return wrap(cx.complex_(a, b))


@function()
@in_float32
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """abs (cos angle + i sin angle), of two float32 or float64 tensors."""
    a, b = abs._node(), angle._node()
    if not a.dtype.is_floating_point or not b.dtype.is_floating_point:
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{NAMES[a.dtype]} and {NAMES[b.dtype]}"
        )
    return wrap(cx.complex_(ew.mul(a, ew.cos(b)), ew.mul(a, ew.sin(b))))


@function()
def view_as_real(input: Tensor) -> Tensor:
    """The parts of complex numbers along a new last axis, in the same memory: (*S,) to (*S, 2)."""
    return input._view(cx.AS_REAL, ())


@function()
@in_float32
def view_as_complex(input: Tensor) -> Tensor:
    """Pairs along the last axis as complex numbers, in the same memory: (*S, 2) to (*S,)."""
    return input._view(cx.AS_COMPLEX, ())


@function("real")
def real(input: Tensor) -> Tensor:
    """The real part, in the same memory; a real tensor itself."""
    return input._view(cx.REAL, ()) if input.dtype.is_complex else input


@function("imag")
def imag(input: Tensor) -> Tensor:
    """The imaginary part, in the same memory. RuntimeError for real tensors."""
    if not input.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return input._view(cx.IMAG, ())


def _set_real(self: Tensor, value: Any) -> None:
    real(self).copy_(value)


def _set_imag(self: Tensor, value: Any) -> None:
    imag(self).copy_(value)


Tensor.real = property(real, _set_real)  # type: ignore[attr-defined]
Tensor.imag = property(imag, _set_imag)  # type: ignore[attr-defined]


@both("conj")
def conj(input: Tensor) -> Tensor:
    """Re x - i Im x; a real tensor itself."""
    return wrap(cx.conj(input._node())) if input.dtype.is_complex else input


@both("conj_physical", inplace=True)
def conj_physical(input: Tensor) -> Tensor:
    """Re x - i Im x, in memory of its own."""
    x = input._node()
    return wrap(cx.conj(x)) if x.dtype.is_complex else input.clone()


@both("resolve_conj", "resolve_neg")
def resolve(input: Tensor) -> Tensor:
    """The tensor itself: conjugates and negatives are values here, never flags."""
    return input


@both("is_conj", "is_neg")
def is_lazy(input: Tensor) -> bool:
    """False: conjugates and negatives are values here, never flags."""
    return False


@both("adjoint")
def adjoint(input: Tensor) -> Tensor:
    """The conjugate of the matrices with their axes exchanged."""
    if input.dim() < 2:
        raise RuntimeError("tensor.adjoint() is only supported on matrices or batches of matrices")
    return conj(input.transpose(-2, -1))


Tensor.H = property(  # type: ignore[attr-defined]
    lambda self: adjoint(self), doc="The conjugate of a matrix with its axes exchanged."
)
Tensor.mH = property(  # type: ignore[attr-defined]
    lambda self: adjoint(self), doc="The conjugate of matrices with their axes exchanged."
)


@both("angle")
def angle(input: Tensor) -> Tensor:
    """The angle in radians: 0 or pi of real numbers."""
    return wrap(angle_node(input._node()))


@both("sgn", inplace=True)
def sgn(input: Tensor) -> Tensor:
    """x / |x|, 0 at 0; the sign of real numbers."""
    x = input._node()
    return wrap(direction(x)) if x.dtype.is_complex else input.sign()


@function()
def is_complex(input: Tensor) -> bool:
    """Whether the elements are complex numbers."""
    return input.dtype.is_complex


def _caster(name: str, dtype: DType) -> None:
    def apply(self: Tensor, memory_format: object = None) -> Tensor:
        return self.to(dtype)

    apply.__doc__ = f"This tensor as {dtype.name}."
    method(name)(apply)


_caster("cfloat", dtypes.complex64)
_caster("cdouble", dtypes.complex128)

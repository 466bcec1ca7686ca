"""Arithmetic of whole numbers, powers of two, and further functions of two numbers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..graph.node import Node
from ..ops import elementwise as ew
from ..tensor import Tensor, from_held, number, wrap
from ._registry import both, function
from .arithmetic import pair, to_float
from .pointwise import where


def _by_numpy(name: str, rule: Any, doc: str) -> None:
    """A function of two integers that NumPy has: the values are looked at."""

    def apply(input: Tensor, other: Tensor) -> Tensor:
        a, b = pair(input, other, name)
        dtype = a.structure.dtype
        if dtype.kind not in ("int", "uint"):
            raise RuntimeError(f"\"{name}_cpu\" not implemented for '{dtype}'; try integers")
        result = rule(wrap(a)._held(), wrap(b)._held())
        return from_held(np.asarray(result), dtype)

    apply.__name__, apply.__doc__ = name, doc
    both(name, inplace=True)(apply)


_by_numpy("gcd", np.gcd, "The greatest common divisor of integers.")
_by_numpy("lcm", np.lcm, "The least common multiple of integers.")


@both(inplace=True)
def ldexp(input: Tensor, other: Any) -> Tensor:
    """input * 2^other."""
    a, b = pair(input, other, "ldexp")
    power = wrap(ew.exp2(to_float(other._node() if isinstance(other, Tensor) else b)))
    return wrap(to_float(a)) * power if a.dtype.kind != "float" else input * power


class MantissaExponent(NamedTuple):
    """x = mantissa * 2^exponent."""

    mantissa: Tensor
    exponent: Tensor


@both()
def frexp(input: Tensor) -> MantissaExponent:
    """Mantissas in [0.5, 1) and exponents with input = mantissa * 2^exponent."""
    if input.dtype.kind != "float":
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    _, exponent = np.frexp(input.detach()._held())
    half = exponent // 2
    # In two steps, so that no factor overflows.
    steps = [np.ldexp(1.0, -part) for part in (half, exponent - half)]
    mantissa = input
    for step in steps:
        mantissa = mantissa * from_held(step, dtypes.float64).to(input.dtype)
    return MantissaExponent(mantissa, from_held(exponent.astype(np.int32), dtypes.int32))


@both()
def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2^input + 2^other)."""
    a, b = (to_float(x) for x in pair(input, other, "logaddexp2"))
    top = ew.maximum(a, b)
    gap = ew.exp2(ew.neg(ew.abs_(ew.sub(a, b))))
    factor = ew.const_like(gap, 1 / math.log(2))
    both_infinite = ew.and_(ew.isinf(a), ew.eq(a, b))
    return wrap(ew.where(both_infinite, a, ew.add(top, ew.mul(ew.log1p(gap), factor))))


@both()
def isreal(input: Tensor) -> Tensor:
    """Whether the imaginary part is 0."""
    if input.is_complex():
        return input.imag == 0
    return wrap(_all_true(input._node()))


def _all_true(x: Node) -> Node:
    return ew.eq(ew.cast(x, dtypes.bool_), ew.cast(x, dtypes.bool_))


@function("range")
def range_(
    start: float = 0, end: float | None = None, step: float = 1, *, dtype: Any = None
) -> Tensor:
    """start, start + step, ... up to end, which is included."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    n = math.floor((end - start) / step) + 1
    dtype = dtype or dtypes.get_default()
    values = start + np.arange(n) * step
    return from_held(values.astype(np.float64), dtypes.float64).to(dtype)


@both()
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """input where |input| > lambd, else 0."""
    kept = (input > lambd) | (input < -lambd) | (input != input)
    return where(kept, input, wrap(number(0, input.dtype)))

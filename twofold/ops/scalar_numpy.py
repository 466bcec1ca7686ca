"""The scalar language read by NumPy: the oracle of elementwise ops.

Values of float16 and bfloat16 are held as float32 and rounded after each operation, as compiled
code does it. All other types are held as themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from . import philox
from .scalar import Expr, postorder

_NORMAL = NormalDist()


def held_dtype(dtype: DType) -> np.dtype:
    """NumPy's type for values of `dtype` while they are computed with."""
    return dtype.compute.storage


def to_held(stored: np.ndarray, dtype: DType) -> np.ndarray:
    """Stored elements (bfloat16 as its 16 bits) as values to compute with."""
    if dtype is dtypes.bfloat16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(held_dtype(dtype), copy=False)


def to_stored(held: np.ndarray, dtype: DType) -> np.ndarray:
    """Values as they lie in memory. Rounds to nearest even."""
    if dtype is dtypes.bfloat16:
        return _bfloat16_bits(np.asarray(held, np.float32))
    with np.errstate(all="ignore"):
        return np.asarray(held).astype(dtype.storage, copy=False)


def _bfloat16_bits(x: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(x).view(np.uint32).reshape(x.shape)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1)).astype(np.uint32)) >> 16
    return np.where(np.isnan(x), np.uint32(0x7FC0), rounded).astype(np.uint16)


def rounded(held: np.ndarray, dtype: DType) -> np.ndarray:
    """`held` rounded to what `dtype` can represent, still held."""
    if dtype.compute is dtype:
        return held
    return to_held(to_stored(held, dtype), dtype)


def evaluate(root: Expr, operands: list[np.ndarray]) -> np.ndarray:
    """The value of a body on held operands (arrays that broadcast)."""
    values: dict[Expr, Any] = {}
    with np.errstate(all="ignore"):
        for expr in postorder(root):
            if expr.op == "operand":
                values[expr] = operands[expr.attr]
            elif expr.op == "const":
                values[expr] = np.asarray(expr.attr, held_dtype(expr.dtype))
            else:
                args = [values[a] for a in expr.args]
                values[expr] = _apply(expr, args)
    return values[root]


def _apply(expr: Expr, args: list[np.ndarray]) -> np.ndarray:
    held = held_dtype(expr.dtype)
    if expr.op == "cast":
        return _cast(args[0], expr.args[0].dtype, expr.dtype)
    if expr.op == "bitcast":
        stored = to_stored(args[0], expr.args[0].dtype)
        bits = np.ascontiguousarray(stored).view(expr.dtype.storage).reshape(stored.shape)
        return to_held(bits, expr.dtype)
    if expr.op == "nextafter" and expr.dtype.compute is not expr.dtype:
        return _next_after_narrow(args[0], args[1], expr.dtype)
    if expr.op in _COMPLEX and expr.dtype.is_complex:
        result = _COMPLEX[expr.op](*args)
    elif expr.op in _FLOAT_AND_INTEGER and expr.args[0].dtype.is_floating_point:
        result = _FLOAT_AND_INTEGER[expr.op](*args)
    else:
        result = FUNCTIONS[expr.op](*args)
    result = np.asarray(result)
    if result.dtype != held:
        result = result.astype(held)
    return rounded(result, expr.dtype)


def _cast(x: np.ndarray, source: DType, to: DType) -> np.ndarray:
    if to.kind == "bool":
        return np.asarray(x != 0)
    if source.is_complex and not to.is_complex:
        x, source = np.real(x), source.to_real()
    if source.is_floating_point and not to.is_inexact:
        # As compiled code does it: saturating in 32 bits (64 for int64); the low ones stay.
        bits = 63 if to is dtypes.int64 else 31
        limit = 2.0**bits
        inside = np.where(np.abs(x) < limit, x, 0).astype(np.int64)
        outside = np.where(x < 0, -(2**bits), 2**bits - 1)
        return np.where(np.abs(x) >= limit, outside, inside).astype(to.storage)
    return rounded(np.asarray(x).astype(held_dtype(to)), to)


def _next_after_narrow(x: np.ndarray, towards: np.ndarray, dtype: DType) -> np.ndarray:
    """The neighbour among 16-bit floats: one step of the bits, which are ordered by magnitude."""
    bits = to_stored(x, dtype).view(np.uint16).astype(np.int64)
    negative = bits >= 0x8000
    place = np.where(negative, 0x8000 - bits, bits) + np.sign(towards - x).astype(np.int64)
    up = (towards > x) | ((towards == x) & ~negative)
    moved = np.where(place < 0, 0x8000 - place, place)
    moved = np.where((place == 0) & ~up, 0x8000, moved)
    moved = np.where((x == 0) & (towards != 0), np.where(towards > 0, 1, 0x8001), moved)
    result = to_held(moved.astype(np.uint16).view(dtype.storage), dtype)
    result = np.where(x == towards, towards, result)
    return np.where(np.isnan(x) | np.isnan(towards), x + towards, result)


def _trunc_div(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    safe = np.where(b == 0, 1, b)
    quotient = np.floor_divide(a, safe)
    inexact = (quotient * safe != a) & ((a < 0) != (safe < 0))
    return np.where(b == 0, 0, quotient + inexact)


def _trunc_mod(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(b == 0, 0, a - _trunc_div(a, b) * b)


def _shift(left: bool) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def apply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        bits = a.dtype.itemsize * 8
        inside = (b >= 0) & (b < bits)
        safe = np.where(inside, b, 0).astype(a.dtype)
        if left:
            return np.where(inside, np.left_shift(a, safe), 0)
        fill = np.where(a < 0, -1, 0)
        return np.where(inside, np.right_shift(a, safe), fill)

    return apply


def _each(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    vectorized = np.vectorize(function, otypes=[np.float64])

    def apply(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        return vectorized(x).astype(x.dtype) if x.size else x.copy()

    return apply


def _lgamma(x: float) -> float:
    if math.isnan(x):
        return x
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    try:
        return math.lgamma(x)
    except OverflowError:
        return math.inf


def _digamma(x: float) -> float:
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x == math.inf:
        return x
    if x == 0:
        return -math.copysign(math.inf, x)
    if x < 0:
        if x == math.floor(x):
            return math.nan
        return _digamma(1 - x) - math.pi / math.tan(math.pi * (x - math.floor(x)))
    shift = 0.0
    while x < 12:
        shift -= 1 / x
        x += 1
    y = 1 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132)))))
    return shift + math.log(x) - 0.5 / x - series


def _erfinv(y: float) -> float:
    """Solve erf(x) = y: the normal quantile, polished by Newton's iteration."""
    if math.isnan(y) or abs(y) > 1:
        return math.nan
    if abs(y) == 1:
        return math.copysign(math.inf, y)
    if abs(y) < 1e-9:
        return y * math.sqrt(math.pi) / 2
    size = abs(y)
    x = -_NORMAL.inv_cdf((1 - size) / 2) / math.sqrt(2)
    for _ in range(2):
        error = math.erf(x) - size if size < 0.5 else (1 - size) - math.erfc(x)
        x -= error * math.sqrt(math.pi) / 2 * math.exp(x * x)
    return math.copysign(x, y)


def _ndtr(x: float) -> float:
    return 0.5 * math.erfc(-x * math.sqrt(0.5))


def _gelu(x: float) -> float:
    return x * _ndtr(x) if x != -math.inf else 0.0


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _float_sign(x: np.ndarray) -> np.ndarray:
    return (
        np.where(np.isnan(x), np.asarray(x).dtype.type(0), np.sign(x))
        if (np.asarray(x).dtype.kind == "f")
        else np.sign(x)
    )


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x),
    "cbrt": np.cbrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "erf": _each(math.erf),
    "erfc": _each(math.erfc), "erfinv": _each(_erfinv),
    "ndtr": _each(_ndtr), "gelu": _each(_gelu), "lgamma": _each(_lgamma),
    "digamma": _each(_digamma), "sigmoid": _sigmoid, "floor": np.floor, "ceil": np.ceil,
    "trunc": np.trunc, "round": np.rint, "div": np.divide, "pow": np.power,
    "atan2": np.arctan2, "hypot": np.hypot, "fmod": np.fmod, "copysign": np.copysign,
    "nextafter": np.nextafter, "add": np.add, "sub": np.subtract, "mul": np.multiply,
    "min": lambda a, b: np.where((b < a) | np.isnan(b), b, a),
    "max": lambda a, b: np.where((b > a) | np.isnan(b), b, a), "truncdiv": _trunc_div,
    "truncmod": _trunc_mod,
    "floordiv": lambda a, b: np.where(b == 0, 0, np.floor_divide(a, np.where(b == 0, 1, b))),
    "floormod": lambda a, b: np.where(b == 0, 0, np.mod(a, np.where(b == 0, 1, b))),
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "shl": _shift(True),
    "shr": _shift(False), "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "neg": lambda x: np.subtract(np.zeros((), x.dtype), x) if x.dtype.kind in "iu" else -x,
    "abs": np.abs, "sign": _float_sign, "not": np.invert, "isnan": np.isnan, "isinf": np.isinf,
    "isfinite": np.isfinite, "signbit": np.signbit, "select": np.where,
    "fma": lambda a, b, c: a * b + c, "random_bits": philox.random_bits,
}  # fmt: skip
"""What NumPy computes for each operation on held values."""

_FLOAT_AND_INTEGER: dict[str, Callable[..., Any]] = {
    "floordiv": np.floor_divide,
    "floormod": np.mod,
}
"""Operations whose meaning on floats differs from that on integers."""


def _complex_expm1(x: np.ndarray) -> np.ndarray:
    """e^x - 1: NumPy's where x is finite, elsewhere from e^x, whose special values are C99's."""
    y = np.array(np.exp(x))
    y.real -= 1
    return np.where(np.isfinite(x), np.expm1(x), y)


_COMPLEX: dict[str, Callable[..., Any]] = {
    "exp2": lambda x: np.exp(x * math.log(2)),
    "expm1": _complex_expm1,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
"""Operations that NumPy has not, or that differ, for complex numbers."""

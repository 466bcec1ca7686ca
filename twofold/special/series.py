"""Chebyshev series of functions that have no formula, fitted when first needed to values computed
by power series in long double and by integrals.

On (0, inf) the Bessel, Hankel and Airy functions are an exponential or a wave (DLMF 9.6, 10.9.25,
10.32.8) times

    F(v, c) = 1 / Gamma(v + 1/2) times the integral of e^-u u^(v - 1/2) (1 + c u)^(v - 1/2), u > 0,

which with u = s^m is the integral over the line of an even analytic function that decays like
e^(-s^m): the trapezoidal rule converges to it exponentially.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev

from .. import dtypes
from ..functions import functions
from ..tensor import Tensor

where = functions["where"]
Values = Callable[[np.ndarray], np.ndarray]


def integral(v: float, c: np.ndarray) -> np.ndarray:
    """F(v, c) for real or complex c, v a multiple of 1/6 from 0 on."""
    m = 2 if float(2 * v).is_integer() else 6
    h = 0.02 if m == 2 else 0.01
    s = np.arange(-(7.0 if m == 2 else 2.0), 7.0 if m == 2 else 2.0, h)
    u = s**m
    weight = m / 2 * h * np.exp(-u) * np.abs(s) ** (m * (v + 0.5) - 1) / math.gamma(v + 0.5)
    return ((1 + np.multiply.outer(c, u)) ** (v - 0.5) * weight).sum(-1)


def power_series(first: float, ratio: Callable[[int], float], x: np.ndarray, n: int) -> np.ndarray:
    """first (1 + r(1) x (1 + r(2) x (...))), in long double."""
    y = np.ones(x.shape, np.longdouble)
    x = x.astype(np.longdouble)
    for k in range(n, 0, -1):
        y = 1 + x * np.longdouble(ratio(k)) * y
    return y * np.longdouble(first)


def fit(values: Values, low: float, high: float, degree: int = 48) -> tuple[float, ...]:
    """The coefficients of the Chebyshev series of a function on [low, high], as many as count."""
    middle, half = (high + low) / 2, (high - low) / 2

    def scaled(t: np.ndarray) -> np.ndarray:
        return np.asarray(values(middle + half * t), np.float64)

    found: np.ndarray = chebyshev.chebinterpolate(scaled, degree)
    counted = np.nonzero(np.abs(found) > 2e-17 * np.abs(found).max())[0]
    return tuple(found[: counted[-1] + 1].tolist())


def evaluate(coefficients: tuple[float, ...], x: Tensor, low: float, high: float) -> Tensor:
    """The series at x, clamped to [low, high] (Clenshaw's recurrence)."""
    t = (x.clamp(low, high) - (high + low) / 2) * (2 / (high - low))
    twice = t * 2
    b1, b2 = t * 0 + coefficients[-1], t * 0
    for c in reversed(coefficients[1:-1]):
        b1, b2 = twice * b1 - b2 + c, b1
    return t * b1 - b2 + coefficients[0]


def wide(x: Tensor) -> tuple[Tensor, dtypes.DType]:
    """x as float64, and the dtype of the result."""
    if x.dtype.is_complex:
        raise RuntimeError(f"[special] takes real numbers; got {x.dtype}")
    dtype = x.dtype if x.dtype.is_floating_point else dtypes.get_default()
    return x.to(dtypes.float64), dtype

"""The error function's relatives and the normal distribution; entropies and logarithms."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from ..functions import functions
from ..tensor import Tensor
from .gamma import _pair
from .series import evaluate, fit, where, wide

_HALF = math.sqrt(0.5)


@cache
def _scaled_erfc() -> tuple[float, ...]:
    """e^(x^2) erfc(x) for x >= 0, times 1 + 2 x, of t = 4 / (4 + x): values by the continued
    fraction (DLMF 7.9.4) from 2 on, and by long double below."""

    def values(t: np.ndarray) -> np.ndarray:
        x = 4 / np.maximum(t, 1e-9) - 4
        return _erfcx_values(x) * (1 + 2 * x)

    return fit(values, 0.0, 1.0, 60)


def _erfcx_values(x: np.ndarray) -> np.ndarray:
    y = np.zeros(x.shape, np.longdouble)
    wide_x = x.astype(np.longdouble)
    for k in range(400, 0, -1):
        y = np.longdouble(k) / 2 / (wide_x + y)
    large = 1 / (wide_x + y) / math.sqrt(math.pi)
    small = np.minimum(wide_x, 2)
    term = total = small
    for k in range(1, 80):  # erf: x e^(-x^2) 2 / sqrt(pi) sum of (2 x^2)^k / (2 k + 1)!!
        term = term * 2 * small * small / (2 * k + 1)
        total = total + term
    near = np.exp(small * small) - total * 2 / np.sqrt(np.longdouble(math.pi))
    return np.where(x < 2, near, large).astype(np.float64)


def erfcx(input: Tensor) -> Tensor:
    """e^(x^2) erfc(x), without overflow for large x.

    >>> import twofold as tf
    >>> erfcx(tf.tensor([0.0, 100.0]))
    tensor([1.0000, 0.0056])
    """
    x, dtype = wide(input)
    size = x.abs()
    y = evaluate(_scaled_erfc(), 4 / (4 + size), 0.0, 1.0) / (1 + 2 * size)
    negative = where(x < 0, x, 0.0)
    y = where(x < 0, 2 * (negative * negative).exp() - y, y)
    return where(x.isnan(), x, where(x == math.inf, 0.0, y)).to(dtype)


def ndtr(input: Tensor) -> Tensor:
    """The normal distribution's integral up to x: erfc(-x / sqrt 2) / 2."""
    x = _floating(input)
    return (x * -_HALF).erfc() / 2


def _floating(x: Tensor) -> Tensor:
    return x if x.dtype.is_floating_point else x.to(wide(x)[1])


def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of `ndtr`, exact far below 0."""
    x, dtype = wide(input)
    low = x < -1
    below, above = where(low, x, -1.0), where(low, 0.0, x)
    far = (erfcx(below * -_HALF) / 2).log() - below * below / 2
    return where(low, far, (-(above * _HALF).erfc() / 2).log1p()).to(dtype)


def ndtri(input: Tensor) -> Tensor:
    """The inverse of `ndtr`: x with ndtr(x) = input, by Newton's iteration on the logarithm of the
    smaller tail; infinite at 0 and 1, NaN outside."""
    p, dtype = wide(input)
    inside = (p > 0) & (p < 1)
    tail = where(inside, p.minimum(1 - p), 0.5)
    log_tail = tail.log()
    r = (-2 * log_tail).sqrt()
    x = -(r - (2.515517 + r * (0.802853 + r * 0.010328))
          / (1 + r * (1.432788 + r * (0.189269 + r * 0.001308))))  # fmt: skip
    for _ in range(3):
        ratio = erfcx(x * -_HALF) * math.sqrt(math.pi / 2)  # ndtr / density
        x = x - (log_ndtr(x) - log_tail) * ratio
    x = where(p > 0.5, -x, x)
    x = where(p == 0, -math.inf, where(p == 1, math.inf, where(inside, x, math.nan)))
    return x.to(dtype)


def entr(input: Tensor) -> Tensor:
    """-x log x; 0 at 0, -inf below."""
    x = _floating(input)
    inside = x > 0
    y = -x * where(inside, x, 1.0).log()
    return where(x.isnan(), x, where(inside, y, where(x == 0, 0.0, -math.inf)))


def xlog1py(input: Any, other: Any) -> Tensor:
    """input log(1 + other), 0 where input is 0."""
    x, y = _pair("xlog1py", input, other)
    zero = (x == 0) & ~y.isnan()
    return where(zero, 0.0, x * where(zero, 0.0, y).log1p())


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """x - log(sum e^x) along `dim`."""
    return functions["log_softmax"](input, dim, dtype)


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """e^x / sum e^x along `dim`."""
    return functions["softmax"](input, dim, dtype)

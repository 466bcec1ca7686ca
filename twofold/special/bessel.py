"""Bessel functions of order 0 and 1, and Airy's function."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from ..tensor import Tensor
from .series import evaluate, fit, integral, power_series, where, wide

_SPLIT = 8.0
"""Below, series in x^2; above, in 1 / x."""

_GAMMA = 0.57721566490153286060651209008240243


def _power(order: int, sign: int, y: np.ndarray) -> np.ndarray:
    """J (sign -1) or I (+1) of x over (x / 2)^order, of y = x^2."""
    return power_series(1.0, lambda k: sign / (4 * k * (k + order)), y, 60)


def _second(order: int, sign: int, y: np.ndarray) -> np.ndarray:
    """The regular part of Y or K (DLMF 10.8.1, 10.31.1): sum over k of (psi(k + 1) + psi(k + order
    + 1)) (sign y / 4)^k / (k! (k + order)!)."""
    y = np.asarray(y, np.longdouble) * sign / 4
    total: np.ndarray = np.zeros(y.shape, np.longdouble)
    term: np.ndarray = np.ones(y.shape, np.longdouble)
    harmonic: Any = np.longdouble(0)
    for k in range(60):
        if k:
            harmonic += 1 / np.longdouble(k)
            term = term * y / (k * (k + order))
        more = harmonic + (1 / np.longdouble(k + 1) if order else 0)
        total += term * (harmonic + more - 2 * np.longdouble(_GAMMA))
    return total


@cache
def _near(order: int, sign: int, second: bool, split: float = _SPLIT) -> tuple[float, ...]:
    f = _second if second else _power
    return fit(lambda y: f(order, sign, y), 0.0, split**2)


@cache
def _far(order: float, kind: str, top: float = 1 / _SPLIT, degree: int = 48) -> tuple[float, ...]:
    """Of t in [0, top]: F(order, t / 2) for the kind "k", and the parts "p" and "q" of
    F(order, i t / 2), which are those of Hankel's functions of 1 / t."""

    def values(t: np.ndarray) -> np.ndarray:
        if kind == "k":
            return integral(order, t / 2)
        y = integral(order, 0.5j * t)
        return y.real if kind == "p" else y.imag

    return fit(values, 0.0, top, degree)


def _reciprocal(x: Tensor) -> Tensor:
    return 1 / x.clamp_min(_SPLIT)


def _hankel(x: Tensor, order: int, second: bool) -> Tensor:
    """J or Y for x > 8: sqrt(2 / (pi x)) (P cos a - Q sin a), a = x - (order + 1/2) pi / 2."""
    t = _reciprocal(x)
    p, q = (evaluate(_far(order, kind), t, 0.0, 1 / _SPLIT) for kind in ("p", "q"))
    # The angle by the sine and cosine of x itself, which lose no digits of a large x.
    sine, cosine = x.sin(), x.cos()
    turn = math.sqrt(0.5)
    if order == 0:
        cos_a, sin_a = (cosine + sine) * turn, (sine - cosine) * turn
    else:
        cos_a, sin_a = (sine - cosine) * turn, -(sine + cosine) * turn
    wave = p * sin_a + q * cos_a if second else p * cos_a - q * sin_a
    return wave * (t * (2 / math.pi)).sqrt()


def _bessel_j(x: Tensor, order: int) -> Tensor:
    x, dtype = wide(x)
    size = x.abs()
    small = size.clamp_max(_SPLIT)
    near = evaluate(_near(order, -1, False), small * small, 0.0, _SPLIT**2)
    far = _hankel(size.clamp_min(_SPLIT), order, False)
    y = where(size <= _SPLIT, near * small / 2 if order else near, far)
    if order:
        y = y * where(x < 0, -1.0, 1.0)
    y = where(size.isinf(), 0.0, where(x.isnan(), x, y))
    return y.to(dtype)


def bessel_j0(input: Tensor) -> Tensor:
    """The Bessel function J of order 0."""
    return _bessel_j(input, 0)


def bessel_j1(input: Tensor) -> Tensor:
    """The Bessel function J of order 1."""
    return _bessel_j(input, 1)


def _bessel_y(x: Tensor, order: int) -> Tensor:
    x, dtype = wide(x)
    small = x.clamp(1e-300, _SPLIT)
    square = small * small
    j = evaluate(_near(order, -1, False), square, 0.0, _SPLIT**2)
    regular = evaluate(_near(order, -1, True), square, 0.0, _SPLIT**2)
    near = (2 * (small / 2).log() * j - regular) / math.pi
    if order:
        near = near * small / 2 - 2 / (math.pi * small)
    y = where(x <= _SPLIT, near, _hankel(x.clamp_min(_SPLIT), order, True))
    y = where(x == 0, -math.inf, where((x < 0) | x.isnan(), math.nan, y))
    return where(x == math.inf, 0.0, y).to(dtype)


def bessel_y0(input: Tensor) -> Tensor:
    """The Bessel function Y of order 0: NaN below 0, -inf at 0."""
    return _bessel_y(input, 0)


def bessel_y1(input: Tensor) -> Tensor:
    """The Bessel function Y of order 1: NaN below 0, -inf at 0."""
    return _bessel_y(input, 1)


_I_SPLIT = 20.0


@cache
def _near_i(order: int) -> tuple[float, ...]:
    """e^-x I(x) / (x / 2)^order on [0, 20]."""

    def values(x: np.ndarray) -> np.ndarray:
        return _power(order, 1, x.astype(np.longdouble) ** 2) * np.exp(-x.astype(np.longdouble))

    return fit(values, 0.0, _I_SPLIT, 64)


@cache
def _far_i(order: int) -> tuple[float, ...]:
    """sqrt(x) e^-x I(x) of t = 1 / x, by the trapezoidal rule over a period of
    e^(x (cos a - 1)) cos(order a)."""

    def values(t: np.ndarray) -> np.ndarray:
        found = []
        for one in np.maximum(t, 1e-7):
            x = 1 / one
            # Of s = a sqrt(x): the part beyond 9 is below 1e-17.
            s = np.linspace(0, min(9.0, math.pi * math.sqrt(x)), 2000)
            a = s / math.sqrt(x)
            y = np.exp(-2 * x * np.sin(a / 2) ** 2) * np.cos(order * a)
            found.append((y.sum() - (y[0] + y[-1]) / 2) * (s[1] - s[0]) / math.pi)
        return np.array(found)

    return fit(values, 0.0, 1 / _I_SPLIT, 24)


def _modified_i(x: Tensor, order: int, scaled: bool) -> Tensor:
    x, dtype = wide(x)
    size = x.abs()
    near = evaluate(_near_i(order), size, 0.0, _I_SPLIT)
    t = 1 / size.clamp_min(_I_SPLIT)
    far = evaluate(_far_i(order), t, 0.0, 1 / _I_SPLIT) * t.sqrt()
    if order:
        sign = where(x < 0, -1.0, 1.0)
        near, far = near * x.clamp(-_I_SPLIT, _I_SPLIT) / 2, far * sign
    y = where(size <= _I_SPLIT, near, far)
    if not scaled:
        half = (size / 2).exp()  # twice, so that it overflows no earlier than the result
        y = y * half * half
    return where(x.isnan(), x, y).to(dtype)


def i0(input: Tensor) -> Tensor:
    """The modified Bessel function I of order 0.

    >>> import twofold as tf
    >>> i0(tf.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """
    return _modified_i(input, 0, False)


def i0e(input: Tensor) -> Tensor:
    """e^-|x| I0(x)."""
    return _modified_i(input, 0, True)


def i1(input: Tensor) -> Tensor:
    """The modified Bessel function I of order 1."""
    return _modified_i(input, 1, False)


def i1e(input: Tensor) -> Tensor:
    """e^-|x| I1(x)."""
    return _modified_i(input, 1, True)


modified_bessel_i0, modified_bessel_i1 = i0, i1

_K_SPLIT = 2.0


def _modified_k(x: Tensor, order: int, scaled: bool) -> Tensor:
    """-log(x / 2) I + ... near 0 (DLMF 10.31); sqrt(pi / (2 x)) e^-x F far from it."""
    x, dtype = wide(x)
    small = x.clamp(1e-300, _K_SPLIT)
    square = small * small
    i = evaluate(_near(order, 1, False, _K_SPLIT), square, 0.0, _K_SPLIT**2)
    regular = evaluate(_near(order, 1, True, _K_SPLIT), square, 0.0, _K_SPLIT**2)
    logarithm = (small / 2).log()
    if order:
        near = 1 / small + small / 2 * (logarithm * i - regular / 2)
    else:
        near = regular / 2 - logarithm * i
    t = 1 / x.clamp_min(_K_SPLIT)
    far = (
        evaluate(_far(order, "k", 1 / _K_SPLIT, 60), t, 0.0, 1 / _K_SPLIT)
        * (t * (math.pi / 2)).sqrt()
    )
    near = near * small.exp() if scaled else near
    far = far if scaled else far * (-x.clamp_min(_K_SPLIT)).exp()
    y = where(x <= _K_SPLIT, near, far)
    return where(x == 0, math.inf, where((x < 0) | x.isnan(), math.nan, y)).to(dtype)


def modified_bessel_k0(input: Tensor) -> Tensor:
    """The modified Bessel function K of order 0: NaN below 0, inf at 0."""
    return _modified_k(input, 0, False)


def modified_bessel_k1(input: Tensor) -> Tensor:
    """The modified Bessel function K of order 1: NaN below 0, inf at 0."""
    return _modified_k(input, 1, False)


def scaled_modified_bessel_k0(input: Tensor) -> Tensor:
    """e^x K0(x)."""
    return _modified_k(input, 0, True)


def scaled_modified_bessel_k1(input: Tensor) -> Tensor:
    """e^x K1(x)."""
    return _modified_k(input, 1, True)


def spherical_bessel_j0(input: Tensor) -> Tensor:
    """sin x / x, 1 at 0."""
    x, dtype = wide(input)
    zero = x == 0
    y = x.sin() / where(zero, 1.0, x)
    return where(x.isinf(), 0.0, where(zero, 1.0, y)).to(dtype)


_AIRY = 4.0


@cache
def _airy_near() -> tuple[float, ...]:
    """Ai on [-4, 4] by its power series (DLMF 9.4.1)."""

    def values(x: np.ndarray) -> np.ndarray:
        cube = x**3
        f = power_series(1.0, lambda k: 1 / (3 * k * (3 * k - 1)), cube, 60)
        g = power_series(1.0, lambda k: 1 / (3 * k * (3 * k + 1)), cube, 60)
        at_zero = 1 / (3 ** (2 / 3) * math.gamma(2 / 3))
        slope = 1 / (3 ** (1 / 3) * math.gamma(1 / 3))
        return at_zero * f - slope * x * g

    return fit(values, -_AIRY, _AIRY, 60)


def airy_ai(input: Tensor) -> Tensor:
    """Airy's function Ai: the solution of y'' = x y that decays."""
    x, dtype = wide(input)
    near = evaluate(_airy_near(), x, -_AIRY, _AIRY)
    size = x.abs().clamp_min(_AIRY)
    z = size * size.sqrt() * (2 / 3)
    t, limit = 1 / z, 1.5 / _AIRY**1.5
    k, p, q = (evaluate(_far(1 / 3, kind, limit, 60), t, 0.0, limit) for kind in ("k", "p", "q"))
    height = 1 / (size.sqrt().sqrt() * math.sqrt(math.pi))
    decaying = k * (-z).exp() * height / 2
    angle = z - math.pi / 4
    waving = (p * angle.cos() - q * angle.sin()) * height
    y = where(x.abs() <= _AIRY, near, where(x > 0, decaying, waving))
    return where(x.isnan(), x, y).to(dtype)

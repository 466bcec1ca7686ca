"""The gamma function's relatives: zeta, polygamma, incomplete gamma functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..functions import functions
from ..functions.arithmetic import pair, to_float
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type, broadcast_shapes
from ..ops import elementwise as ew
from ..ops.base import register, require_same_dtype
from ..ops.call import Call
from ..tensor import Tensor, broadcast_to, wrap
from .series import where, wide

_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798,
    -174611 / 330, 854513 / 138,
)  # fmt: skip
_DIRECT = 10
"""Terms of zeta that are added one by one."""


def _pair(name: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Both as floating point of one dtype."""
    x, y = (to_float(v) for v in pair(a, b, name))
    return wrap(x), wrap(y)


def zeta(input: Any, other: Any) -> Tensor:
    """Hurwitz's zeta function: the sum over k >= 0 of (other + k)^-input, for input > 1 (inf at 1,
    NaN below) and other > 0, by the Euler-Maclaurin formula (DLMF 25.11.28)."""
    a, b = _pair("zeta", input, other)
    (s, dtype), (q, _) = wide(a), wide(b)
    y = _zeta(s, q)
    whole = (q <= 0) & (q == q.floor())
    y = where(whole, math.inf, where((q <= 0) & (s != s.floor()), math.nan, y))
    return where(s == 1, math.inf, where(s < 1, math.nan, y)).to(dtype)


def _zeta(s: Tensor, q: Tensor) -> Tensor:
    """The sum, for s > 1 and q that is no integer below 1."""
    total = q.pow(-s)
    for k in range(1, _DIRECT):
        total = total + (q + k).pow(-s)
    w = q + _DIRECT
    power = w.pow(-s)
    total = total + power * w / (s - 1) + power / 2
    rising, over = s * power / w, 1 / (w * w)
    for k, b in enumerate(_BERNOULLI, 1):
        total = total + rising * (b / math.factorial(2 * k))
        rising = rising * (s + (2 * k - 1)) * (s + 2 * k) * over
    return total


def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma: (-1)^(n + 1) n! zeta(n + 1, x); below 1/2 by reflection for n
    = 1.

    >>> import twofold as tf
    >>> polygamma(1, tf.tensor([1.0]))
    tensor([1.6449])
    """
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    if n == 0:
        return functions["digamma"](input)
    x, dtype = wide(input)
    s = x * 0 + (n + 1)
    sign = (-1) ** (n + 1) * math.factorial(n)
    if n == 1:
        left = x < 0.5
        other = _zeta(s, where(left, 1 - x, x))
        sine = (where(left, x, 0.5) * math.pi).sin()
        reflected = (math.pi / sine) ** 2 - other
        whole = (x <= 0) & (x == x.floor())
        y = where(whole, math.inf, where(left, reflected, other))
    else:
        y = sign * zeta(s, x)
    return y.to(dtype)


def multigammaln(input: Tensor, p: int) -> Tensor:
    """log of the multivariate gamma function: p (p - 1) / 4 log pi + sum over i < p of
    log Gamma(x - i / 2)."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    x = input if input.dtype.is_floating_point else input.to(dtypes.get_default())
    total = x * 0 + p * (p - 1) / 4 * math.log(math.pi)
    for i in range(p):
        total = total + (x - i / 2).lgamma()
    return total


class GammaIncomplete(Call):
    """y = P(a, x), the integral of t^(a - 1) e^-t from 0 to x over Gamma(a), or with `upper` Q =
    1 - P. float64; a, x, y of one shape. Gradient, for x alone: x^(a - 1) e^-x / Gamma(a).

    By the series for x < a + 1 (DLMF 8.11.4), else by the continued fraction (8.9.2, Lentz).
    """

    name = "gamma_incomplete"
    params = ("upper",)

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        require_same_dtype(self.name, types)
        shape = broadcast_shapes(self.name, [t.shape for t in types])
        return types[0].with_shape(shape)

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        a, x = (np.ravel(v) for v in np.broadcast_arrays(*arrays))
        lower = x < a + 1
        y = np.where(lower, 0.0, 1.0) if attrs[0] is False else np.where(lower, 1.0, 0.0)
        valid = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
        scale = np.zeros_like(x)
        gammas = np.array([math.lgamma(v) for v in a[valid]])
        scale[valid] = np.exp(a[valid] * np.log(x[valid]) - x[valid] - gammas)
        small, large = np.nonzero(valid & lower)[0], np.nonzero(valid & ~lower)[0]
        p = _series(a[small], x[small]) * scale[small]
        q = _fraction(a[large], x[large]) * scale[large]
        y[small] = 1 - p if attrs[0] else p
        y[large] = q if attrs[0] else 1 - q
        y[(a < 0) | (x < 0) | np.isnan(a) | np.isnan(x) | ((a == 0) & (x == 0))] = np.nan
        y[(x == 0) & (a > 0)] = 1.0 if attrs[0] else 0.0
        y[(a == 0) & (x > 0)] = 0.0 if attrs[0] else 1.0
        y[np.isinf(a) & np.isfinite(x) & (x >= 0)] = 1.0 if attrs[0] else 0.0
        return y.reshape(out.shape)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        a, x = node.inputs
        if a.requires_grad:
            raise RuntimeError(
                "the derivative for 'self' of igamma is not implemented; try a.detach()"
            )
        one = ew.const_like(x, 1)
        power = ew.sub(ew.sub(ew.mul(ew.sub(a, one), ew.log(x)), x), ew.lgamma(a))
        slope = ew.exp(power)
        slope = ew.mul(g, ew.neg(slope) if node.attrs[0] else slope)
        return None, ew.sum_to(slope, x.shape)


def _series(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    total = term = 1 / a
    k = 0
    while np.any(term > total * 1e-17):
        k += 1
        term = term * x / (a + k)
        total = total + term
    return total


def _fraction(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    b = x + 1 - a
    c, d = np.full_like(x, 1e300), 1 / np.where(b == 0, 1e-300, b)
    y = d
    done = np.zeros(x.shape, bool)
    for k in range(1, 100_000):
        an = -k * (k - a)
        b = b + 2
        d = 1 / _nonzero(an * d + b)
        c = _nonzero(b + an / c)
        step = c * d
        y = np.where(done, y, y * step)
        done |= np.abs(step - 1) < 3e-16
        if done.all():
            break
    return y


def _nonzero(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 1e-300, 1e-300, x)


GAMMA_INCOMPLETE = register(GammaIncomplete())


def _incomplete(name: str, a: Any, x: Any, upper: bool) -> Tensor:
    first, second = _pair(name, a, x)
    (one, dtype), (two, _) = wide(first), wide(second)
    lead = broadcast_shapes(name, [one.shape, two.shape])
    nodes = tuple(broadcast_to(v._node(), lead) for v in (one, two))
    return wrap(make_node(GAMMA_INCOMPLETE, nodes, (upper,))).to(dtype)


def gammainc(input: Any, other: Any) -> Tensor:
    """The regularized lower incomplete gamma function P(input, other)."""
    return _incomplete("gammainc", input, other, False)


def gammaincc(input: Any, other: Any) -> Tensor:
    """The regularized upper incomplete gamma function Q(input, other)."""
    return _incomplete("gammaincc", input, other, True)

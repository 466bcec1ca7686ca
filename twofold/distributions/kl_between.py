"""Kullback-Leibler divergences between kinds of distributions: KL(p || q) = -H(p) - E log q(x).

-E log q(x) asks only means under p of a few functions of x, which `_MEAN_LOG` and
`_MEAN_EXPONENTIAL` have by the class of p.
"""

from __future__ import annotations

import math
from typing import Any

from ..functions._registry import functions
from ..functions.pointwise import where
from ..tensor import Tensor
from .continuous import EULER, Exponential, Gumbel, Laplace, Normal, Uniform
from .discrete import Bernoulli, Binomial, Poisson
from .gammas import Beta, Gamma
from .kl import Rule, register_kl
from .pushforwards import (
    Pareto,
)
from .relaxed import ContinuousBernoulli


def _uniform_mean_log(p: Any) -> Tensor:
    """(high log high - low log low) / (high - low) - 1."""
    ends = functions["xlogy"](p.high, p.high) - functions["xlogy"](p.low, p.low)
    return ends / (p.high - p.low) - 1


def _uniform_mean_exponential(p: Any, beta: Tensor) -> Tensor:
    return ((-p.low / beta).exp() - (-p.high / beta).exp()) * beta / (p.high - p.low)


_MEAN_LOG: dict[type, Any] = {
    Beta: lambda p: p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma(),
    Exponential: lambda p: -EULER - p.rate.log(),
    Pareto: lambda p: p.scale.log() + p.alpha.reciprocal(),
    Uniform: _uniform_mean_log,
}
"""E log x."""

_MEAN_EXPONENTIAL: dict[type, Any] = {
    Exponential: lambda p, beta: p.rate / (p.rate + beta.reciprocal()),
    Gamma: lambda p, beta: (1 + (beta * p.rate).reciprocal()) ** -p.concentration,
    Normal: lambda p, beta: (-p.loc / beta + 0.5 * (p.scale / beta) ** 2).exp(),
    Uniform: _uniform_mean_exponential,
}
"""E e^(-x / beta)."""


def _kind(p: Any, table: dict[type, Any]) -> type:
    return next(kind for kind in type(p).__mro__ if kind in table)


def _register(kinds: tuple[type, ...], q: type, rule: Rule) -> None:
    for kind in kinds:
        register_kl(kind, q)(rule)


def _to_normal(p: Any, q: Any) -> Tensor:
    spread = p.variance + (p.mean - q.loc) ** 2
    logs = q.scale.log() + 0.5 * math.log(2 * math.pi)
    return -p.entropy() + logs + spread / (2 * q.scale**2)


_register(
    (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform),
    Normal,
    _to_normal,
)


def _to_exponential(p: Any, q: Any) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


_register((Beta, ContinuousBernoulli, Gamma, Pareto), Exponential, _to_exponential)


def _to_gamma(p: Any, q: Any) -> Tensor:
    a, b = q.concentration, q.rate
    norm = a.lgamma() - a * b.log()
    return -p.entropy() + norm - (a - 1) * _MEAN_LOG[_kind(p, _MEAN_LOG)](p) + b * p.mean


_register((Beta, Exponential, Pareto), Gamma, _to_gamma)


def _to_gumbel(p: Any, q: Any) -> Tensor:
    mean = _MEAN_EXPONENTIAL[_kind(p, _MEAN_EXPONENTIAL)](p, q.scale)
    near = (p.mean - q.loc) / q.scale
    return -p.entropy() + q.scale.log() + near + (q.loc / q.scale).exp() * mean


_register((Exponential, Gamma, Normal, Uniform), Gumbel, _to_gumbel)


def _to_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    return -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._log_norm()


register_kl(Beta, ContinuousBernoulli)(_to_continuous_bernoulli)


@register_kl(Beta, Uniform)
@register_kl(ContinuousBernoulli, Uniform)
def _unit_interval_to_uniform(p: Any, q: Any) -> Tensor:
    inside = -p.entropy() + (q.high - q.low).log()
    return where((q.low > 0) | (q.high < 1), math.inf, inside)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_to_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    return where((p.low < 0) | (p.high > 1), math.inf, _to_continuous_bernoulli(p, q))


@register_kl(Uniform, Exponential)
def _uniform_to_exponential(p: Any, q: Any) -> Tensor:
    return where(p.low < 0, math.inf, _to_exponential(p, q))


@register_kl(Uniform, Gamma)
def _uniform_to_gamma(p: Any, q: Any) -> Tensor:
    return where(p.low < 0, math.inf, _to_gamma(p, q))


@register_kl(Uniform, Pareto)
def _uniform_to_pareto(p: Any, q: Any) -> Tensor:
    norm = q.alpha.log() + q.alpha * q.scale.log()
    inside = -p.entropy() - norm + (q.alpha + 1) * _uniform_mean_log(p)
    return where(p.low < q.scale, math.inf, inside)


@register_kl(Uniform, Beta)
def _uniform_to_beta(p: Any, q: Any) -> Tensor:
    a, b = q.concentration1, q.concentration0
    norm = a.lgamma() + b.lgamma() - (a + b).lgamma()
    turned = Uniform(1 - p.high, 1 - p.low, validate_args=False)
    means = (a - 1) * _uniform_mean_log(p) + (b - 1) * _uniform_mean_log(turned)
    return where((p.low < 0) | (p.high > 1), math.inf, -p.entropy() + norm - means)


@register_kl(Normal, Laplace)
def _normal_to_laplace(p: Any, q: Any) -> Tensor:
    """The mean of |x - m| is that of a folded normal."""
    gap = p.loc - q.loc
    near = gap / p.scale
    folded = (
        p.scale * (math.sqrt(2 / math.pi) * (-0.5 * near**2).exp())
        + gap * (near / math.sqrt(2)).erf()
    )
    return -p.entropy() + (2 * q.scale).log() + folded / q.scale


@register_kl(Bernoulli, Poisson)
def _bernoulli_to_poisson(p: Any, q: Any) -> Tensor:
    """log x! is 0 at 0 and 1."""
    return -p.entropy() + q.rate - p.probs * q.rate.log()


def _infinite(p: Any, q: Any) -> Tensor:
    """p has samples where q has none."""
    return functions["full_like"](p.mean, math.inf)


_LINE = (Gumbel, Laplace, Normal)
_INFINITE: tuple[tuple[tuple[type, ...], tuple[type, ...]], ...] = (
    ((*_LINE, Exponential, Gamma), (Beta, ContinuousBernoulli, Pareto, Uniform)),
    (_LINE, (Exponential, Gamma)),
    ((Pareto,), (Beta, ContinuousBernoulli, Uniform)),
    ((Beta, ContinuousBernoulli), (Pareto,)),
    ((Poisson,), (Bernoulli, Binomial)),
)
for _kinds, _others in _INFINITE:
    for _other in _others:
        _register(_kinds, _other, _infinite)

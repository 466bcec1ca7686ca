"""Gamma distributions and what is made of them: chi-squared, beta, Dirichlet, Student's t, F."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..custom_function import Function
from ..functions._registry import functions
from ..functions.pointwise import where
from ..functions.random import host_generator
from ..special.gamma import gammainc
from ..tensor import Tensor, from_held
from . import constraints
from .distribution import Distribution, ExponentialFamily, broadcast_all


def _sample_slope(a: Tensor, x: Tensor) -> Tensor:
    """dx/da of a sample at a fixed probability: -(dP/da) / (dP/dx), in float64."""
    x = x.clamp_min(1e-300)
    step = 1e-5 * a.clamp_min(1e-3)
    change = (gammainc(a + step, x) - gammainc(a - step, x)) / (2 * step)
    density = ((a - 1) * x.log() - x - a.lgamma()).exp()
    slope = -change / density
    # Where both vanish, a small x goes as x^(1/a) of its probability.
    return where(slope.isfinite() & (density > 1e-290), slope, -x * x.log() / a)


class _StandardGamma(Function):
    """Samples with rate 1, with the gradient of the draw."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor) -> Tensor:
        held = concentration._held().astype(np.float64)
        drawn = np.asarray(host_generator().standard_gamma(held))
        sample = from_held(drawn.astype(concentration._held().dtype), concentration.dtype)
        ctx.save_for_backward(concentration, sample)
        return sample

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        concentration, sample = (t.detach().double() for t in ctx.saved_tensors)
        return g * _sample_slope(concentration, sample).to(g.dtype)


def standard_gamma(concentration: Tensor) -> Tensor:
    """Samples of the gamma distribution with rate 1."""
    return _StandardGamma.apply(concentration)


def _tiny(x: Tensor) -> float:
    return 2.0**-126 if x.dtype.itemsize < 8 else 2.0**-1022


class Gamma(ExponentialFamily):
    """The gamma distribution."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp_min(0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        value = standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        return value + (value.detach().clamp_min(_tiny(value)) - value.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        value = functions["as_tensor"](value, dtype=self.rate.dtype)
        self._validate_sample(value)
        a, b = self.concentration, self.rate
        return functions["xlogy"](a, b) + functions["xlogy"](a - 1, value) - b * value - a.lgamma()

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1.0 - a) * a.digamma()

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return gammainc(self.concentration, self.rate * value)


class Chi2(Gamma):
    """The chi-squared distribution."""

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    @property
    def df(self) -> Tensor:
        """The degrees of freedom."""
        return self.concentration * 2


class Dirichlet(ExponentialFamily):
    """The Dirichlet distribution, over the last axis of `concentration`."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        less = (self.concentration - 1).clamp_min(0.0)
        mode = less / less.sum(-1, True)
        flat = (self.concentration < 1).all(-1, keepdim=True)
        place = functions["one_hot"](mode.argmax(-1), mode.shape[-1]).to(mode.dtype)
        return where(flat, place, mode)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        parts = standard_gamma(self.concentration.expand(self._extended_shape(sample_shape)))
        parts = parts + (parts.detach().clamp_min(_tiny(parts)) - parts.detach())
        return parts / parts.sum(-1, True)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        a = self.concentration
        powers = functions["xlogy"](a - 1.0, value).sum(-1)
        return powers + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Tensor:
        a = self.concentration
        k, total = a.shape[-1], a.sum(-1)
        return (
            a.lgamma().sum(-1) - total.lgamma() - (k - total) * total.digamma()
            - ((a - 1.0) * a.digamma()).sum(-1)
        )  # fmt: skip


class Beta(ExponentialFamily):
    """The beta distribution."""

    arg_constraints = {
        "concentration1": constraints.positive, "concentration0": constraints.positive,
    }  # fmt: skip
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        a, b = broadcast_all(concentration1, concentration0)
        self._dirichlet = Dirichlet(functions["stack"]([a, b], -1), validate_args=validate_args)
        super().__init__(self._dirichlet._batch_shape, validate_args=validate_args)

    @property
    def concentration1(self) -> Tensor:
        """What pulls towards 1."""
        return self._dirichlet.concentration[..., 0]

    @property
    def concentration0(self) -> Tensor:
        """What pulls towards 0."""
        return self._dirichlet.concentration[..., 1]

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Tensor:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total**2 * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._dirichlet.rsample(sample_shape)[..., 0]

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        return self._dirichlet.log_prob(functions["stack"]([value, 1.0 - value], -1))

    def entropy(self) -> Tensor:
        return self._dirichlet.entropy()


class StudentT(Distribution):
    """Student's t distribution."""

    arg_constraints = {
        "df": constraints.positive, "loc": constraints.real, "scale": constraints.positive,
    }  # fmt: skip
    support = constraints.real
    has_rsample = True

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return where(self.df <= 1, math.nan, self.loc)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        above = self.scale**2 * self.df / (self.df - 2)
        between = where(self.df > 1, math.inf, math.nan)
        return where(self.df > 2, above, between)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        x = self._draw("randn", sample_shape, self.df)
        z = Chi2(self.df, False).rsample(sample_shape)
        return self.loc + self.scale * x * (z / self.df).rsqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        y = (value - self.loc) / self.scale
        z = (
            self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi)
            + (0.5 * self.df).lgamma() - (0.5 * (self.df + 1.0)).lgamma()
        )  # fmt: skip
        return -0.5 * (self.df + 1.0) * (y**2.0 / self.df).log1p() - z

    def entropy(self) -> Tensor:
        n = self.df
        log_beta = (0.5 * n).lgamma() + math.lgamma(0.5) - (0.5 * (n + 1)).lgamma()
        return (
            self.scale.log() + 0.5 * (n + 1) * ((0.5 * (n + 1)).digamma() - (0.5 * n).digamma())
            + 0.5 * n.log() + log_beta
        )  # fmt: skip


class FisherSnedecor(Distribution):
    """The F distribution."""

    arg_constraints = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = broadcast_all(df1, df2)
        super().__init__(self.df1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)

    @property
    def mode(self) -> Tensor:
        value = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return where(self.df1 <= 2, math.nan, value)

    @property
    def variance(self) -> Tensor:
        a, b = self.df1, self.df2
        value = 2 * b**2 * (a + b - 2) / (a * (b - 2) ** 2 * (b - 4))
        return where(b > 4, value, math.nan)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        first = Gamma(self.df1 * 0.5, self.df1, False).rsample(sample_shape)
        second = Gamma(self.df2 * 0.5, self.df2, False).rsample(sample_shape)
        return first / second.clamp_min(_tiny(second))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        a, b = self.df1 * 0.5, self.df2 * 0.5
        ratio = self.df1 / self.df2
        return (
            (a + b).lgamma() - a.lgamma() - b.lgamma() + a * ratio.log()
            + (a - 1) * value.log() - (a + b) * (ratio * value).log1p()
        )  # fmt: skip

"""Continuous relaxations of distributions of choices."""

from __future__ import annotations

import math
from typing import Any

from ..functions._registry import functions
from ..functions.pointwise import where
from ..tensor import Tensor
from . import constraints
from .categorical import CategoryVectors
from .discrete import BinaryDistribution, clamp_probs, softplus_loss
from .distribution import ExponentialFamily, broadcast_all
from .transformed import TransformedDistribution
from .transforms import ExpTransform, SigmoidTransform, softplus


class _Relaxed(TransformedDistribution):
    """A relaxed choice, whose parameters are those of the distribution it is made of."""

    @property
    def temperature(self) -> Any:
        """How soft the choice is."""
        return self.base_dist.temperature

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self.base_dist.probs

    @property
    def logits(self) -> Tensor:
        """Logits of the probabilities."""
        return self.base_dist.logits


class ContinuousBernoulli(BinaryDistribution, ExponentialFamily):
    """The continuous Bernoulli distribution on [0, 1], of density c p^x (1 - p)^(1 - x)."""

    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        if probs is not None:
            (probs,) = broadcast_all(probs)
            outside = not bool(((probs >= 0) & (probs <= 1)).all())
            if outside and (validate_args is None or validate_args):
                raise ValueError("The parameter probs has invalid values")
            probs = clamp_probs(probs)
        self._lims = lims
        super().__init__(probs, logits, validate_args)

    def _off_half(self) -> Tensor:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self) -> Tensor:
        return where(self._off_half(), self.probs, self._lims[0])

    def _log_norm(self) -> Tensor:
        """log of the constant 2 atanh(1 - 2 p) / (1 - 2 p); near 1/2 its series."""
        cut = self._cut_probs()
        below = where(cut <= 0.5, cut, 0.0)
        above = where(cut >= 0.5, cut, 1.0)
        log_norm = ((-cut).log1p() - cut.log()).abs().log() - where(
            cut <= 0.5, (-2.0 * below).log1p(), (2.0 * above - 1.0).log()
        )
        x = (self.probs - 0.5) ** 2
        return where(self._off_half(), log_norm, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self) -> Tensor:
        cut = self._cut_probs()
        mus = cut / (2.0 * cut - 1.0) + 1.0 / ((-cut).log1p() - cut.log())
        x = self.probs - 0.5
        return where(self._off_half(), mus, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x**2) * x)

    @property
    def variance(self) -> Tensor:
        cut = self._cut_probs()
        value = cut * (cut - 1.0) / (1.0 - 2.0 * cut) ** 2 + 1.0 / ((-cut).log1p() - cut.log()) ** 2
        x = (self.probs - 0.5) ** 2
        return where(self._off_half(), value, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(clamp_probs(self._draw("rand", sample_shape, self.probs)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -softplus_loss(logits, value) + self._log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        cut = self._cut_probs()
        curved = (cut**value * (1.0 - cut) ** (1.0 - value) + cut - 1.0) / (2.0 * cut - 1.0)
        inside = where(self._off_half(), curved, value)
        return where(value <= 0.0, 0.0, where(value >= 1.0, 1.0, inside))

    def icdf(self, value: Tensor) -> Tensor:
        cut = self._cut_probs()
        top = (-cut + value * (2.0 * cut - 1.0)).log1p() - (-cut).log1p()
        return where(self._off_half(), top / (cut.log() - (-cut).log1p()), value)

    def entropy(self) -> Tensor:
        rest = (-self.probs).log1p()
        return self.mean * (rest - self.probs.log()) - self._log_norm() - rest


class LogitRelaxedBernoulli(BinaryDistribution):
    """The logits of a relaxed Bernoulli sample."""

    support = constraints.real
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(probs, logits, validate_args)
        (self.temperature,) = broadcast_all(temperature)
        self.temperature = self.temperature.expand(self._param.shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        probs = clamp_probs(self.probs.expand(shape))
        u = clamp_probs(functions["rand"](*shape, dtype=probs.dtype))
        noise = u.log() - (-u).log1p()
        return (noise + probs.log() - (-probs).log1p()) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        gap = logits - value * self.temperature
        return self.temperature.log() + gap - 2 * softplus(gap)


class RelaxedBernoulli(_Relaxed):
    """A Bernoulli sample relaxed to (0, 1), the harder the lower the temperature."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)


class ExpRelaxedCategorical(CategoryVectors):
    """The logarithms of a relaxed one-hot sample."""

    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(probs, logits, validate_args)
        self._temperature = temperature

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._temperature = self._temperature
        return new

    @property
    def temperature(self) -> Any:
        """How soft the choice is."""
        return self._temperature

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = clamp_probs(self._draw("rand", sample_shape, self.probs))
        scores = (self.logits - (-u.log()).log()) / self.temperature
        return scores - scores.logsumexp(-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        k = self._categorical._num_events
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        t = functions["as_tensor"](self.temperature, dtype=value.dtype)
        scale = t.log() * (k - 1) + math.lgamma(k)
        score = logits - value * t
        return (score - score.logsumexp(-1, keepdim=True)).sum(-1) + scale


class RelaxedOneHotCategorical(_Relaxed):
    """A one-hot sample relaxed to the simplex, the harder the lower the temperature."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

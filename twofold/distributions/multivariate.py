"""Distributions of vectors and matrices: normal, Wishart, Cholesky factors of correlations."""

from __future__ import annotations

import functools
import math
from typing import Any

from ..functions._registry import functions
from ..linalg import cholesky
from ..special.gamma import multigammaln
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution, ExponentialFamily
from .gammas import Beta, Gamma
from .matrices import (
    inverse_of,
    log_diagonal,
    precision_to_scale_tril,
    squared_distance,
)


def _only_one(**given: Any) -> tuple[str, Tensor]:
    named = [(k, v) for k, v in given.items() if v is not None]
    if len(named) != 1:
        raise ValueError(f"Exactly one of {' or '.join(given)} may be specified.")
    name, value = named[0]
    if value.dim() < 2:
        raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch "
                         "dimensions")  # fmt: skip
    return name, value


def _scale_tril_of(name: str, value: Tensor) -> Tensor:
    if name == "scale_tril":
        return value
    return cholesky(value) if name == "covariance_matrix" else precision_to_scale_tril(value)


class MultivariateNormal(Distribution):
    """The normal distribution of vectors, by its covariance, its inverse, or a Cholesky factor.

    >>> import twofold as tf
    >>> MultivariateNormal(tf.zeros(2), tf.eye(2)).log_prob(tf.zeros(2))
    tensor(-1.8379)
    """

    arg_constraints = {
        "loc": constraints.real_vector, "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }  # fmt: skip
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Tensor, covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None, scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        name, matrix = _only_one(
            covariance_matrix=covariance_matrix, precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )  # fmt: skip
        shape = functions["broadcast_shapes"](matrix.shape[:-2], loc.shape[:-1])
        self.__dict__[name] = matrix.expand(*shape, *matrix.shape[-2:])
        self.loc = loc.expand(*shape, *loc.shape[-1:])
        super().__init__(shape, self.loc.shape[-1:], validate_args)
        self._unbroadcasted_scale_tril = _scale_tril_of(name, matrix)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = object.__new__(type(self)) if _instance is None else _instance
        n = self._event_shape[0]
        new.loc = self.loc.expand(*batch_shape, n)
        for name in ("covariance_matrix", "precision_matrix", "scale_tril"):
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name].expand(*batch_shape, n, n)
        # The factor stays as narrow as it was given: products broadcast it.
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril
        Distribution.__init__(new, batch_shape, self._event_shape, False)
        new._validate_args = self._validate_args
        return new

    @functools.cached_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        n = self._event_shape[0]
        return self._unbroadcasted_scale_tril.expand(*self._batch_shape, n, n)

    @functools.cached_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        return self.scale_tril @ self.scale_tril.transpose(-1, -2)

    @functools.cached_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        return inverse_of(self.scale_tril)

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        return (self._unbroadcasted_scale_tril**2).sum(-1).expand(self._extended_shape())

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = self._draw("randn", sample_shape, self.loc)
        return self.loc + (self._unbroadcasted_scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        lower = self._unbroadcasted_scale_tril
        distance = squared_distance(lower, value - self.loc)
        n = self._event_shape[0]
        return -0.5 * (n * math.log(2 * math.pi) + distance) - log_diagonal(lower)

    def entropy(self) -> Tensor:
        n = self._event_shape[0]
        half = log_diagonal(self._unbroadcasted_scale_tril)
        return (0.5 * n * (1.0 + math.log(2 * math.pi)) + half).expand(self._batch_shape)


class LowRankMultivariateNormal(Distribution):
    """The normal distribution of vectors with the covariance W W^T + D, D diagonal."""

    arg_constraints = {
        "loc": constraints.real_vector, "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }  # fmt: skip
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        n = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading "
                             "batch dimensions")  # fmt: skip
        if cov_factor.shape[-2:-1] != n:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {n[0]} x m")
        if cov_diag.shape[-1:] != n:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {n}")
        shape = functions["broadcast_shapes"](
            loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1]
        )
        self.loc = loc.expand(*shape, *n)
        self.cov_factor = cov_factor.expand(*shape, *cov_factor.shape[-2:])
        self.cov_diag = cov_diag.expand(*shape, *n)
        super().__init__(shape, n, validate_args)

    def _capacitance(self) -> Tensor:
        """The Cholesky factor of I + W^T D^-1 W."""
        w = self.cov_factor
        scaled = w.transpose(-1, -2) / self.cov_diag.unsqueeze(-2)
        rank = w.shape[-1]
        return cholesky(scaled @ w + functions["eye"](rank, dtype=w.dtype))

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        return (self.cov_factor**2).sum(-1) + self.cov_diag

    @property
    def covariance_matrix(self) -> Tensor:
        """W W^T + D."""
        return self.cov_factor @ self.cov_factor.transpose(-1, -2) + self.cov_diag.diag_embed()

    @property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        return cholesky(self.covariance_matrix)

    @property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        return inverse_of(self.scale_tril)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        rank = self.cov_factor.shape[-1]
        inner = functions["randn"](*shape[:-1], rank, dtype=self.loc.dtype)
        own = functions["randn"](*shape, dtype=self.loc.dtype)
        mixed = (self.cov_factor @ inner.unsqueeze(-1)).squeeze(-1)
        return self.loc + mixed + self.cov_diag.sqrt() * own

    def _half_log_determinant(self) -> Tensor:
        return log_diagonal(self._capacitance()) + 0.5 * self.cov_diag.log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        off = value - self.loc
        scaled = off / self.cov_diag
        inner = (self.cov_factor.transpose(-1, -2) @ scaled.unsqueeze(-1)).squeeze(-1)
        distance = (off * scaled).sum(-1) - squared_distance(self._capacitance(), inner)
        n = self._event_shape[0]
        return -0.5 * (n * math.log(2 * math.pi) + distance) - self._half_log_determinant()

    def entropy(self) -> Tensor:
        n = self._event_shape[0]
        half = self._half_log_determinant()
        return (0.5 * n * (1.0 + math.log(2 * math.pi)) + half).expand(self._batch_shape)


class Wishart(ExponentialFamily):
    """The Wishart distribution of positive definite matrices."""

    arg_constraints = {
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky, "df": constraints.greater_than(0),
    }  # fmt: skip
    support = constraints.positive_definite
    has_rsample = True

    def __init__(
        self, df: Any, covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None, scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        name, matrix = _only_one(
            covariance_matrix=covariance_matrix, precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )  # fmt: skip
        df = functions["as_tensor"](df, dtype=matrix.dtype)
        shape = functions["broadcast_shapes"](matrix.shape[:-2], df.shape)
        n = matrix.shape[-1]
        if bool((df <= n - 1).any()):
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {n - 1}.")
        self.df = df.expand(shape)
        self.__dict__[name] = matrix.expand(*shape, n, n)
        super().__init__(shape, (n, n), validate_args)
        self._lower = _scale_tril_of(name, matrix).expand(*shape, n, n)

    @functools.cached_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the scale matrix."""
        return self._lower

    @functools.cached_property
    def covariance_matrix(self) -> Tensor:
        """The scale matrix."""
        return self._lower @ self._lower.transpose(-1, -2)

    @functools.cached_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the scale matrix."""
        return inverse_of(self._lower)

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self._event_shape[0] - 1
        factor = functions["where"](factor <= 0, math.nan, factor)
        return factor[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        d = v.diagonal(0, -2, -1)
        return self.df[..., None, None] * (v**2 + d.unsqueeze(-1) * d.unsqueeze(-2))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        n = self._event_shape[0]
        shape = self._extended_shape(sample_shape)
        steps = functions["arange"](n, dtype=self.df.dtype)
        chi = Gamma(0.5 * (self.df.unsqueeze(-1) - steps), 0.5, False).rsample(sample_shape)
        noise = functions["randn"](*shape, dtype=self.df.dtype).tril(-1)
        bartlett = self._lower @ (noise + chi.clamp_min(1e-30).sqrt().diag_embed())
        return bartlett @ bartlett.transpose(-1, -2)

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        n, nu = self._event_shape[0], self.df
        trace = (inverse_of(self._lower) * value.transpose(-1, -2)).sum((-2, -1))
        return (
            -nu * (n * math.log(2) / 2 + log_diagonal(self._lower)) - multigammaln(nu / 2, n)
            + (nu - n - 1) * log_diagonal(cholesky(value)) - trace / 2
        )  # fmt: skip

    def entropy(self) -> Tensor:
        n, nu = self._event_shape[0], self.df
        steps = functions["arange"](n, dtype=nu.dtype) / 2
        slope = ((nu / 2).unsqueeze(-1) - steps).digamma().sum(-1)
        return (
            (n + 1) * (n * math.log(2) / 2 + log_diagonal(self._lower)) + multigammaln(nu / 2, n)
            - (nu - n - 1) / 2 * slope + nu * n / 2
        )  # fmt: skip


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices with density det(R)^(concentration - 1)."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        if not isinstance(concentration, Tensor):
            concentration = functions["tensor"](float(concentration))
        self.concentration = concentration
        super().__init__(concentration.shape, (dim, dim), validate_args)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """By the onion method: each row adds a direction on the sphere."""
        d = self.dim
        c = self.concentration.detach()
        offset = functions["cat"](
            [functions["zeros"](1), functions["arange"](d - 1, dtype=c.dtype)]
        )
        first = offset + 0.5
        second = (c + 0.5 * (d - 2)).unsqueeze(-1) - 0.5 * offset
        y = Beta(first, second, False).sample(sample_shape).unsqueeze(-1)
        u = functions["randn"](*self._extended_shape(sample_shape), dtype=c.dtype).tril(-1)
        length = (u * u).sum(-1, keepdim=True).sqrt()
        directions = u / functions["where"](length == 0, 1.0, length)
        w = y.sqrt() * directions
        mask = functions["ones"](d, 1)
        mask[0] = 0
        w = w * mask
        diagonal = (1 - (w * w).sum(-1)).clamp_min(2.0**-126).sqrt()
        return w + diagonal.diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        self._validate_sample(value)
        d = self.dim
        diagonal = value.diagonal(0, -1, -2)[..., 1:]
        order = functions["arange"](2, d + 1, dtype=self.concentration.dtype)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + d - order
        total = (order * diagonal.log()).sum(-1)
        alpha = self.concentration + 0.5 * (d - 1)
        top = (d - 1) * alpha.lgamma()
        bottom = multigammaln(alpha - 0.5, d - 1)
        pi = 0.5 * (d - 1) * math.log(math.pi)
        return total - (pi + bottom - top)

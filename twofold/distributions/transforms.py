"""The maps by name: of each element, of vectors, of matrices."""

from __future__ import annotations

import math
from typing import Any

from ..functions._registry import functions
from ..linalg import cholesky
from ..nn.functional.activation import softplus_stable as softplus
from ..tensor import Tensor
from . import constraints
from .distribution import sum_rightmost
from .transform import (  # noqa: F401
    CatTransform,
    ComposeTransform,
    IndependentTransform,
    ReshapeTransform,
    StackTransform,
    Transform,
    identity_transform,
)


class ExpTransform(Transform):
    """y = e^x."""

    codomain = constraints.positive
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class PowerTransform(Transform):
    """y = x^exponent."""

    domain = codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = functions["as_tensor"](exponent)

    @property
    def sign(self) -> Any:
        return self.exponent.sign()

    def _call(self, x: Tensor) -> Tensor:
        return x.pow(self.exponent)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.exponent * y / x).abs().log()

    def _key(self) -> Any:
        return self.exponent.tolist()


class SigmoidTransform(Transform):
    """y = 1 / (1 + e^-x)."""

    codomain = constraints.unit_interval
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return x.sigmoid().clamp(2.0**-126, 1 - 2.0**-23)

    def _inverse(self, y: Tensor) -> Tensor:
        y = y.clamp(2.0**-126, 1 - 2.0**-23)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x) - softplus(x)


class SoftplusTransform(Transform):
    """y = log(1 + e^x)."""

    codomain = constraints.positive
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x)


class TanhTransform(Transform):
    """y = tanh x."""

    codomain = constraints.interval(-1.0, 1.0)
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))


class AbsTransform(Transform):
    """y = |x|."""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class AffineTransform(Transform):
    """y = loc + scale x."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim
        if event_dim:
            self.domain = self.codomain = constraints.independent(constraints.real, event_dim)

    @property
    def sign(self) -> Any:
        if isinstance(self.scale, Tensor):
            return self.scale.sign()
        return (self.scale > 0) - (self.scale < 0)

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if isinstance(self.scale, Tensor):
            change = self.scale.abs().log()
        else:
            change = functions["full_like"](x, math.log(abs(self.scale)))
        change = change.expand(functions["broadcast_shapes"](x.shape, change.shape))
        return sum_rightmost(change, self._event_dim)

    def _key(self) -> Any:
        return [v.tolist() if isinstance(v, Tensor) else v for v in (self.loc, self.scale)]


class SoftmaxTransform(Transform):
    """y = softmax(x), which many x share."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return x.softmax(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()


class StickBreakingTransform(Transform):
    """From vectors to the simplex of one element more, by breaking pieces off a stick."""

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def _offset(self, x: Tensor, n: int) -> Tensor:
        return n + 1 - functions["ones"](n, dtype=x.dtype).cumsum(-1)

    def _call(self, x: Tensor) -> Tensor:
        offset = self._offset(x, x.shape[-1])
        z = (x - offset.log()).sigmoid().clamp(2.0**-126, 1 - 2.0**-23)
        rest = (1 - z).cumprod(-1)
        one = functions["ones_like"](x[..., :1])
        return functions["cat"]([z, one], -1) * functions["cat"]([one, rest], -1)

    def _inverse(self, y: Tensor) -> Tensor:
        cut = y[..., :-1]
        offset = self._offset(y, cut.shape[-1])
        rest = (1 - cut.cumsum(-1)).clamp_min(2.0**-126)
        return cut.log() - rest.log() + offset.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x = x - self._offset(x, x.shape[-1]).log()
        return (-x + (-softplus(-x)) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> tuple[int, ...]:
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: Any) -> tuple[int, ...]:
        return (*shape[:-1], shape[-1] - 1)


class LowerCholeskyTransform(Transform):
    """From matrices to lower triangular ones with a positive diagonal."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(0, -2, -1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(0, -2, -1).log().diag_embed()


class PositiveDefiniteTransform(Transform):
    """From matrices to positive definite ones, L L^T of `LowerCholeskyTransform`'s L."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        lower = LowerCholeskyTransform()(x)
        return lower @ lower.transpose(-1, -2)

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(cholesky(y))


def _vector_to_tril(x: Tensor, diagonal: int) -> Tensor:
    """The elements of vectors row by row in lower triangles."""
    count = x.shape[-1]
    n = round((math.sqrt(8 * count + 1) - 1) / 2) - diagonal
    places = functions["tril_indices"](n, n, diagonal)
    wide = x.new_zeros(*x.shape[:-1], n * n)
    at = (places[0] * n + places[1]).expand(x.shape)
    return wide.scatter(-1, at, x).reshape(*x.shape[:-1], n, n)


class CorrCholeskyTransform(Transform):
    """From vectors to Cholesky factors of correlation matrices: rows of unit length."""

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        eps = 2.0**-23
        r = _vector_to_tril(x.tanh().clamp(-1 + eps, 1 - eps), -1)
        rest = (1 - r**2).sqrt().cumprod(-1)
        r = r + functions["eye"](r.shape[-1], dtype=r.dtype)
        first = functions["ones_like"](rest[..., :1])
        return r * functions["cat"]([first, rest[..., :-1]], -1)

    def _inverse(self, y: Tensor) -> Tensor:
        rest = 1 - (y * y).cumsum(-1)
        first = functions["ones_like"](rest[..., :1])
        before = functions["cat"]([first, rest[..., :-1]], -1)
        n = y.shape[-1]
        places = functions["tril_indices"](n, n, -1)
        at = places[0] * n + places[1]
        flat = y.reshape(*y.shape[:-2], n * n).index_select(-1, at)
        left = before.reshape(*y.shape[:-2], n * n).index_select(-1, at).sqrt()
        t = flat / left
        return (t.log1p() - (-t).log1p()) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        n = y.shape[-1]
        rest = 1 - (y * y).cumsum(-1)
        places = functions["tril_indices"](n, n, -2)
        at = places[0] * n + places[1]
        left = rest.reshape(*y.shape[:-2], n * n).index_select(-1, at)
        stick = 0.5 * left.log().sum(-1)
        tanh = -2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)
        return stick + tanh

    def forward_shape(self, shape: Any) -> tuple[int, ...]:
        n = round(0.5 + math.sqrt(0.25 + 2 * shape[-1]))
        return (*shape[:-1], n, n)

    def inverse_shape(self, shape: Any) -> tuple[int, ...]:
        n = shape[-1]
        return (*shape[:-2], n * (n - 1) // 2)


class CumulativeDistributionTransform(Transform):
    """y = the probability of a sample at or below x."""

    codomain = constraints.unit_interval
    bijective = True
    sign = 1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        return self.distribution.support

    def _call(self, x: Tensor) -> Tensor:
        return self.distribution.cdf(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.distribution.log_prob(x)

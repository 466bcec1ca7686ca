"""Invertible maps of values with the logarithm of their volume change, and maps made of maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..functions._registry import functions
from ..tensor import Tensor
from . import constraints
from .distribution import sum_rightmost


def _with_dims(constraint: Any, dims: int) -> Any:
    more = dims - constraint.event_dim
    return constraints.independent(constraint, more) if more > 0 else constraint


class Transform:
    """A map from `domain` to `codomain`.

    Subclasses give `_call`, `_inverse` and `log_abs_det_jacobian(x, y)`. With `cache_size` 1 the
    last pair (x, y) is kept, so that the inverse of what was just computed is exact.
    """

    bijective = False
    domain: Any = constraints.real
    codomain: Any = constraints.real

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size = cache_size
        self._last: tuple[Any, Any] = (None, None)

    @property
    def event_dim(self) -> int:
        """The number of axes that make one value."""
        if self.domain.event_dim == self.codomain.event_dim:
            return self.domain.event_dim
        raise ValueError("Please use either .domain.event_dim or .codomain.event_dim")

    @property
    def inv(self) -> Transform:
        """The inverse map."""
        return _Inverse(self)

    @property
    def sign(self) -> Any:
        """1 if rising, -1 if falling."""
        raise NotImplementedError

    def with_cache(self, cache_size: int = 1) -> Transform:
        """This map with another cache."""
        if self._cache_size == cache_size:
            return self
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new._cache_size, new._last = cache_size, (None, None)
        return new

    def __call__(self, x: Tensor) -> Tensor:
        if self._cache_size and x is self._last[0]:
            return self._last[1]
        y = self._call(x)
        if self._cache_size:
            self._last = (x, y)
        return y

    def _inv_call(self, y: Tensor) -> Tensor:
        if self._cache_size and y is self._last[1]:
            return self._last[0]
        x = self._inverse(y)
        if self._cache_size:
            self._last = (x, y)
        return x

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |dy/dx|."""
        raise NotImplementedError

    def forward_shape(self, shape: Any) -> tuple[int, ...]:
        """The shape of y for a shape of x."""
        return tuple(shape)

    def inverse_shape(self, shape: Any) -> tuple[int, ...]:
        """The shape of x for a shape of y."""
        return tuple(shape)

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self._key() == other._key())

    def _key(self) -> Any:
        return ()

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """A map turned round."""

    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._inv = transform

    @property
    def domain(self) -> Any:
        return self._inv.codomain

    @property
    def codomain(self) -> Any:
        return self._inv.domain

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return self._inv.bijective

    @property
    def sign(self) -> Any:
        return self._inv.sign

    @property
    def inv(self) -> Transform:
        return self._inv

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self._inv.with_cache(cache_size).inv

    def __call__(self, x: Tensor) -> Tensor:
        return self._inv._inv_call(x)

    def _inv_call(self, y: Tensor) -> Tensor:
        return self._inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self._inv.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> tuple[int, ...]:
        return self._inv.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> tuple[int, ...]:
        return self._inv.forward_shape(shape)

    def _key(self) -> Any:
        return self._inv


class ComposeTransform(Transform):
    """Maps one after the other."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = [p.with_cache(cache_size) if cache_size else p for p in parts]

    @property
    def domain(self) -> Any:
        if not self.parts:
            return constraints.real
        return _with_dims(self.parts[0].domain, self._dims("domain"))

    @property
    def codomain(self) -> Any:
        if not self.parts:
            return constraints.real
        return _with_dims(self.parts[-1].codomain, self._dims("codomain"))

    def _dims(self, side: str) -> int:
        """The axes of a value, at least those of every part's."""
        parts = self.parts if side == "codomain" else list(reversed(self.parts))
        first, last = ("domain", "codomain") if side == "codomain" else ("codomain", "domain")
        dims = getattr(parts[0], first).event_dim
        for p in parts:
            dims += getattr(p, last).event_dim - getattr(p, first).event_dim
            dims = max(dims, getattr(p, last).event_dim)
        return dims

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(p.bijective for p in self.parts)

    @property
    def sign(self) -> Any:
        result: Any = 1
        for p in self.parts:
            result = result * p.sign
        return result

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self if self._cache_size == cache_size else ComposeTransform(self.parts, cache_size)

    def _call(self, x: Tensor) -> Tensor:
        for p in self.parts:
            x = p(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        for p in reversed(self.parts):
            y = p._inv_call(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if not self.parts:
            return functions["zeros_like"](x)
        points = [x]
        for p in self.parts[:-1]:
            points.append(p(points[-1]))
        points.append(y)
        total: Any = 0
        dims = self.domain.event_dim
        for p, before, after in zip(self.parts, points, points[1:]):
            change = p.log_abs_det_jacobian(before, after)
            total = total + sum_rightmost(change, dims - p.domain.event_dim)
            dims += p.codomain.event_dim - p.domain.event_dim
        return total

    def forward_shape(self, shape: Any) -> tuple[int, ...]:
        for p in self.parts:
            shape = p.forward_shape(shape)
        return tuple(shape)

    def inverse_shape(self, shape: Any) -> tuple[int, ...]:
        for p in reversed(self.parts):
            shape = p.inverse_shape(shape)
        return tuple(shape)

    def _key(self) -> Any:
        return self.parts


class IndependentTransform(Transform):
    """A map whose last axes count as parts of one value."""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.bijective = base_transform.bijective
        self.domain = _with_dims(
            base_transform.domain, base_transform.domain.event_dim + reinterpreted_batch_ndims
        )
        self.codomain = _with_dims(
            base_transform.codomain, base_transform.codomain.event_dim + reinterpreted_batch_ndims
        )

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform._inv_call(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        change = self.base_transform.log_abs_det_jacobian(x, y)
        return sum_rightmost(change, self.reinterpreted_batch_ndims)


class ReshapeTransform(Transform):
    """The last axes in another shape."""

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = tuple(in_shape), tuple(out_shape)
        if math.prod(self.in_shape) != math.prod(self.out_shape):
            raise ValueError("in_shape, out_shape have different numbers of elements")
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[: x.dim() - len(self.in_shape)], *self.out_shape)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(*y.shape[: y.dim() - len(self.out_shape)], *self.in_shape)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x.new_zeros(x.shape[: x.dim() - len(self.in_shape)])

    def forward_shape(self, shape: Any) -> tuple[int, ...]:
        return (*shape[: len(shape) - len(self.in_shape)], *self.out_shape)

    def inverse_shape(self, shape: Any) -> tuple[int, ...]:
        return (*shape[: len(shape) - len(self.out_shape)], *self.in_shape)


class CatTransform(Transform):
    """Maps of parts that lie one after the other along `dim`."""

    def __init__(
        self, tseq: Sequence[Transform], dim: int = 0, lengths: Any = None, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.transforms = list(tseq)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        self.dim = dim
        self.domain = constraints.cat([t.domain for t in tseq], dim, self.lengths)
        self.codomain = constraints.cat([t.codomain for t in tseq], dim, self.lengths)
        self.bijective = all(t.bijective for t in tseq)

    def _call(self, x: Tensor) -> Tensor:
        parts = x.split(self.lengths, self.dim)
        return functions["cat"]([t(v) for t, v in zip(self.transforms, parts)], self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        parts = y.split(self.lengths, self.dim)
        return functions["cat"]([t.inv(v) for t, v in zip(self.transforms, parts)], self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        pairs = zip(x.split(self.lengths, self.dim), y.split(self.lengths, self.dim))
        changes = [
            sum_rightmost(t.log_abs_det_jacobian(a, b), self.domain.event_dim - t.domain.event_dim)
            for t, (a, b) in zip(self.transforms, pairs)
        ]
        dim = self.dim if self.dim < 0 else self.dim - x.dim()
        if dim + self.domain.event_dim < 0:
            return functions["cat"](changes, dim + self.domain.event_dim)
        total = changes[0]
        for c in changes[1:]:
            total = total + c
        return total


class StackTransform(Transform):
    """Maps of the places along `dim`."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim
        self.domain = constraints.stack([t.domain for t in tseq], dim)
        self.codomain = constraints.stack([t.codomain for t in tseq], dim)
        self.bijective = all(t.bijective for t in tseq)

    def _call(self, x: Tensor) -> Tensor:
        parts = x.unbind(self.dim)
        return functions["stack"]([t(v) for t, v in zip(self.transforms, parts)], self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        parts = y.unbind(self.dim)
        return functions["stack"]([t.inv(v) for t, v in zip(self.transforms, parts)], self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        pairs = zip(x.unbind(self.dim), y.unbind(self.dim))
        changes = [t.log_abs_det_jacobian(a, b) for t, (a, b) in zip(self.transforms, pairs)]
        return functions["stack"](changes, self.dim)


identity_transform = ComposeTransform([])
"""y = x."""

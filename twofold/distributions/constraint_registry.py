"""Maps from all real numbers to the regions of parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import constraints
from .transforms import (
    AffineTransform,
    CatTransform,
    ComposeTransform,
    CorrCholeskyTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    SigmoidTransform,
    SoftmaxTransform,
    StackTransform,
    StickBreakingTransform,
    Transform,
    identity_transform,
)

Factory = Callable[[Any], Transform]


class ConstraintRegistry:
    """For each kind of region the map that leads into it."""

    def __init__(self) -> None:
        self._factories: dict[type, Factory] = {}

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Make `factory` give the maps for a region's kind; without it, a decorator."""
        if factory is None:
            return lambda f: self.register(constraint, f)
        kind = constraint if isinstance(constraint, type) else type(constraint)
        if not issubclass(kind, constraints.Constraint):
            raise TypeError(
                f"Expected constraint to be either a Constraint subclass or instance, but got "
                f"{constraint}"
            )
        self._factories[kind] = factory
        return factory

    def __call__(self, constraint: Any) -> Transform:
        """The map into a region. NotImplementedError if none is known."""
        factory = self._factories.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _both(kind: Any) -> Callable[[Factory], Factory]:
    def attach(factory: Factory) -> Factory:
        biject_to.register(kind, factory)
        return transform_to.register(kind, factory)

    return attach


_both(constraints.real)(lambda c: identity_transform)


@_both(constraints.greater_than_eq)
@_both(constraints.greater_than)
def _above(c: Any) -> Transform:
    if isinstance(c.lower_bound, (int, float)) and c.lower_bound == 0:
        return ExpTransform()
    return ComposeTransform([ExpTransform(), AffineTransform(c.lower_bound, 1)])


@_both(constraints.less_than)
def _below(c: Any) -> Transform:
    return ComposeTransform([ExpTransform(), AffineTransform(c.upper_bound, -1)])


@_both(constraints.half_open_interval)
@_both(constraints.interval)
def _within(c: Any) -> Transform:
    low, high = c.lower_bound, c.upper_bound
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and (low, high) == (0, 1):
        return SigmoidTransform()
    return ComposeTransform([SigmoidTransform(), AffineTransform(low, high - low)])


biject_to.register(
    constraints.independent,
    lambda c: IndependentTransform(biject_to(c.base_constraint), c.reinterpreted_batch_ndims),
)
transform_to.register(
    constraints.independent,
    lambda c: IndependentTransform(transform_to(c.base_constraint), c.reinterpreted_batch_ndims),
)
biject_to.register(constraints.simplex, lambda c: StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda c: LowerCholeskyTransform())
transform_to.register(constraints.positive_definite, lambda c: PositiveDefiniteTransform())
transform_to.register(constraints.positive_semidefinite, lambda c: PositiveDefiniteTransform())
_both(constraints.corr_cholesky)(lambda c: CorrCholeskyTransform())
biject_to.register(
    constraints.cat, lambda c: CatTransform([biject_to(x) for x in c.cseq], c.dim, c.lengths)
)
transform_to.register(
    constraints.cat, lambda c: CatTransform([transform_to(x) for x in c.cseq], c.dim, c.lengths)
)
biject_to.register(
    constraints.stack, lambda c: StackTransform([biject_to(x) for x in c.cseq], c.dim)
)
transform_to.register(
    constraints.stack, lambda c: StackTransform([transform_to(x) for x in c.cseq], c.dim)
)

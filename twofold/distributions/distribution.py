"""The base of all distributions."""

from __future__ import annotations

from typing import Any

from ..autograd_api import no_grad
from ..creation import tensor as make_tensor
from ..functions._registry import functions
from ..functions.shape import broadcast_tensors
from ..tensor import Size, Tensor
from . import constraints


def broadcast_all(*values: Any) -> list[Tensor]:
    """Numbers and tensors as tensors of one shape; numbers take the dtype of the tensors."""
    for v in values:
        if not isinstance(v, (int, float, Tensor)):
            raise ValueError(
                "Input arguments must all be instances of Number, torch.Tensor or objects "
                f"implementing __torch_function__; got {type(v).__name__}"
            )
    tensors = [v for v in values if isinstance(v, Tensor)]
    dtype = tensors[0].dtype if tensors else None
    made = [
        v if isinstance(v, Tensor) else make_tensor(float(v) if dtype is None else v, dtype=dtype)
        for v in values
    ]
    return list(broadcast_tensors(*made))


def sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` axes."""
    if dim == 0:
        return value
    return value.reshape(*value.shape[:-dim], -1).sum(-1)


class Distribution:
    """A batch of distributions: `batch_shape` of them, whose samples have `event_shape`.

    ValueError for parameters or values outside of their regions, unless `validate_args` is False.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: dict[str, constraints.Constraint] = {}
    support: Any = constraints.dependent
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether parameters and values are checked where nothing is said."""
        if value not in (True, False):
            raise ValueError(f"[set_default_validate_args] takes a bool; got {value}")
        Distribution._validate_args = value

    def __init__(
        self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if not self._validate_args:
            return
        for name, constraint in self.arg_constraints.items():
            if constraints.is_dependent(constraint) or name not in self.__dict__:
                continue
            value = self.__dict__[name]
            if not bool(constraint.check(value).all()):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                    f"{constraint!r}, but found invalid values:\n{value}"
                )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distributions, repeated to another batch shape."""
        new = object.__new__(type(self)) if _instance is None else _instance
        batch_shape = tuple(batch_shape)
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                dims = value.dim() - len(self._batch_shape)
                value = value.expand(*batch_shape, *value.shape[value.dim() - dims :])
            elif isinstance(value, Distribution):
                lead = len(value._batch_shape) - len(self._batch_shape)
                shape = value._batch_shape[len(value._batch_shape) - lead :] if lead else ()
                value = value.expand((*batch_shape, *shape))
            new.__dict__[name] = value
        new._batch_shape = Size(batch_shape)
        return new

    @property
    def batch_shape(self) -> Size:
        """How many distributions there are."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one sample."""
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Samples, through which no gradient flows."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples whose gradient with respect to the parameters is that of the draw."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """n samples."""
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability (density) of values."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a sample at or below values."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The value at or below which samples lie with a probability."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution, along a new first axis."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy, in nats."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """e to the power of the entropy."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Any = ()) -> tuple[int, ...]:
        if isinstance(sample_shape, int):
            sample_shape = (sample_shape,)
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def _validate_sample(self, value: Any) -> None:
        if not self._validate_args:
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        lead = value.dim() - len(self._event_shape)
        if tuple(value.shape[lead:]) != tuple(self._event_shape):
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{value.shape} vs {self._event_shape}."
            )
        for n, m in zip(reversed(value.shape), reversed(self._extended_shape())):
            if n != 1 and m != 1 and n != m:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{value.shape} vs {self._extended_shape()}."
                )
        support = self.support
        if constraints.is_dependent(support):
            return
        if not bool(support.check(value).all()):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) of the distribution {self!r}, but found "
                f"invalid values:\n{value}"
            )

    def _draw(self, name: str, sample_shape: Any, like: Tensor) -> Tensor:
        """Numbers of `rand` or `randn` in the shape of samples."""
        return functions[name](*self._extended_shape(sample_shape), dtype=like.dtype)

    def _whole_numbers(self, n: int, dtype: Any, expand: bool) -> Tensor:
        """0 to n - 1 along a new first axis, for each of the batch or for all of it at once."""
        values = functions["arange"](n, dtype=dtype).reshape(n, *(1,) * len(self._batch_shape))
        return values.expand(n, *self._batch_shape) if expand else values

    def __repr__(self) -> str:
        parts = []
        for name in self.arg_constraints:
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                parts.append(f"{name}: {value if value.numel() == 1 else value.shape}")
        return f"{type(self).__name__}({', '.join(parts)})"


class ExponentialFamily(Distribution):
    """Distributions p(x) = h(x) exp(eta . t(x) - A(eta))."""

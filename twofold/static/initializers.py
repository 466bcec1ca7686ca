"""What variables begin with: functions from a shape to a tensor."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from . import arrays, draws
from . import operations as ops
from .graph import Tensor, as_dtype


class Initializer:
    """Called with a shape and a dtype."""

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        """A tensor of this shape."""
        raise NotImplementedError


class Constant(Initializer):
    """One value in every place, or an array."""

    def __init__(
        self, value: Any = 0, dtype: Any = dtypes.float32, verify_shape: bool = False
    ) -> None:
        self.value, self.dtype = value, dtype

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        """The value in this shape."""
        return ops.constant(self.value, dtype or self.dtype, shape)


class Zeros(Constant):
    """Zeros."""

    def __init__(self, dtype: Any = dtypes.float32) -> None:
        super().__init__(0, dtype)


class Ones(Constant):
    """Ones."""

    def __init__(self, dtype: Any = dtypes.float32) -> None:
        super().__init__(1, dtype)


class RandomNormal(Initializer):
    """Numbers of the normal distribution."""

    draw = staticmethod(draws.random_normal)

    def __init__(
        self, mean: float = 0.0, stddev: float = 1.0, seed: int | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:  # fmt: skip
        self.mean, self.stddev, self.seed, self.dtype = mean, stddev, seed, dtype

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        """Numbers of this shape."""
        return self.draw(shape, self.mean, self.stddev, dtype=dtype or self.dtype, seed=self.seed)


class TruncatedNormal(RandomNormal):
    """Numbers of the normal distribution within two standard deviations."""

    draw = staticmethod(draws.truncated_normal)


class RandomUniform(Initializer):
    """Numbers between two, each as likely."""

    def __init__(
        self, minval: Any = 0, maxval: Any = None, seed: int | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:  # fmt: skip
        self.minval, self.maxval, self.seed, self.dtype = minval, maxval, seed, dtype

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        """Numbers of this shape."""
        return draws.random_uniform(
            shape, self.minval, self.maxval, dtype=dtype or self.dtype, seed=self.seed
        )


class VarianceScaling(Initializer):
    """Numbers whose variance is `scale` over the number of inputs (fan_in), outputs (fan_out), or
    their mean (fan_avg)."""

    def __init__(
        self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal",
        seed: int | None = None, dtype: Any = dtypes.float32,
    ) -> None:  # fmt: skip
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"Invalid `mode` argument: {mode}")
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.seed, self.dtype = seed, dtype

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        """Numbers of this shape."""
        sizes = [int(n) for n in shape]
        space = math.prod(sizes[:-2])
        inputs = sizes[-2] * space if len(sizes) > 1 else (sizes[0] if sizes else 1)
        outputs = sizes[-1] * space if len(sizes) > 1 else inputs
        fans = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}
        variance = self.scale / max(1.0, fans[self.mode])
        kind = as_dtype(dtype or self.dtype)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return draws.random_uniform(sizes, -limit, limit, dtype=kind, seed=self.seed)
        if self.distribution == "untruncated_normal":
            return draws.random_normal(sizes, 0.0, math.sqrt(variance), dtype=kind, seed=self.seed)
        spread = math.sqrt(variance) / 0.87962566103423978
        return draws.truncated_normal(sizes, 0.0, spread, dtype=kind, seed=self.seed)


class GlorotUniform(VarianceScaling):
    """Numbers within +-sqrt(6 / (inputs + outputs))."""

    def __init__(self, seed: int | None = None, dtype: Any = dtypes.float32) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed, dtype)


class GlorotNormal(VarianceScaling):
    """Numbers of variance 2 / (inputs + outputs)."""

    def __init__(self, seed: int | None = None, dtype: Any = dtypes.float32) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed, dtype)


class Identity(Initializer):
    """Ones on the diagonal, times `gain`."""

    def __init__(self, gain: float = 1.0, dtype: Any = dtypes.float32) -> None:
        self.gain, self.dtype = gain, dtype

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> Tensor:
        """A matrix of this shape."""
        return self.gain * arrays.eye(*[int(n) for n in shape], dtype=dtype or self.dtype)


constant_initializer = constant = Constant
zeros_initializer = zeros = Zeros
ones_initializer = ones = Ones
random_normal_initializer = random_normal = RandomNormal
truncated_normal_initializer = truncated_normal = TruncatedNormal
random_uniform_initializer = random_uniform = RandomUniform
variance_scaling_initializer = variance_scaling = VarianceScaling
glorot_uniform_initializer = glorot_uniform = GlorotUniform
glorot_normal_initializer = glorot_normal = GlorotNormal
identity_initializer = identity = Identity

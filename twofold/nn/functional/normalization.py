"""Normalisations: over the batch, over features, over groups of channels, by a norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...autograd_api import no_grad
from ...functions.casting import rounded_once
from ...functions.reduction import var_mean
from ...functions.shape import cat
from ...tensor import Tensor
from .pooling import avg_pool1d


def _by_channel(x: Tensor, rank: int) -> Tensor:
    """A vector over channels laid along axis 1 of `rank` axes."""
    return x.reshape(1, -1, *[1] * (rank - 2))


def _channels_last(x: Tensor) -> Tensor:
    """x (N, C, ...) as (N, ..., C), as convolutions leave it: what is summed over all but the
    channels is then summed in an order that does not depend on what came before."""
    return x.movedim(1, -1)


def _scaled(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


@rounded_once
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel (axis 1).

    Mean and variance are the batch's in training, when the running ones move to them by `momentum`
    (the variance with n - 1), else the running ones.
    """
    rank = input.dim()
    if rank < 2:
        raise RuntimeError(f"[batch_norm] takes (N, C, ...); got {rank}-D input")
    given = {"running_mean": running_mean, "running_var": running_var, "weight": weight}
    for name, t in {**given, "bias": bias}.items():
        if t is not None and t.numel() != input.size(1):
            raise RuntimeError(f"{name} should contain {input.size(1)} elements not {t.numel()}")
    x = _channels_last(input)
    if training:
        n = input.numel() // max(input.size(1), 1)
        if n == 1:
            raise ValueError(
                "Expected more than 1 value per channel when training, got input size "
                f"twofold.Size({list(input.shape)})"
            )
        var, mean = var_mean(x, tuple(range(rank - 1)), correction=0)
        if running_mean is not None and running_var is not None:
            with no_grad():
                moved = mean.detach() - running_mean
                running_mean.add_(moved * momentum)
                moved = var.detach() * (n / (n - 1)) - running_var
                running_var.add_(moved * momentum)
    else:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when "
                               "training is False")  # fmt: skip
        mean, var = running_mean, running_var
    factor = (var + eps).rsqrt()
    if weight is not None:
        factor = factor * weight
    y = (x - mean) * factor
    return (y if bias is None else y + bias).movedim(-1, 1)


@rounded_once
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`batch_norm` of each sample by itself."""
    rank = input.dim()
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    n = math.prod(input.shape[2:])
    if n == 1:
        raise ValueError(
            "Expected more than 1 spatial element when training, got input size "
            f"twofold.Size({list(input.shape)})"
        )
    x = _channels_last(input)
    var, mean = var_mean(x, tuple(range(1, rank - 1)), correction=0, keepdim=True)
    if running_mean is not None and running_var is not None:
        with no_grad():
            batch_mean = mean.detach().reshape(*input.shape[:2]).mean(0)
            batch_var = var.detach().reshape(*input.shape[:2]).mean(0) * (n / (n - 1))
            running_mean.add_((batch_mean - running_mean) * momentum)
            running_var.add_((batch_var - running_var) * momentum)
    y = (x - mean) * (var + eps).rsqrt()
    return _scaled(y, weight, bias).movedim(-1, 1)


def _require_shape(input: Tensor, shape: Sequence[int], name: str) -> tuple[int, ...]:
    """The axes that `shape` names. RuntimeError unless input ends in it."""
    shape = tuple(shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            f"element, but got normalized_shape = {list(shape)}"
        )
    if tuple(input.shape[-len(shape) :]) != shape:
        stars = ", ".join(["*", *map(str, shape)])
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [{stars}], but got "
            f"input of size{list(input.shape)}"
        )
    return tuple(range(input.dim() - len(shape), input.dim()))


@rounded_once
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes, which `normalized_shape`
    names."""
    axes = _require_shape(input, normalized_shape, "layer_norm")
    var, mean = var_mean(input, axes, correction=0, keepdim=True)
    return _scaled((input - mean) * (var + eps).rsqrt(), weight, bias)


@rounded_once
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axes; eps is the dtype's step at 1 unless
    given."""
    axes = _require_shape(input, normalized_shape, "rms_norm")
    if eps is None:
        eps = 2.0 ** -{2: 10, 4: 23, 8: 52}[input.dtype.itemsize]
    y = input * ((input * input).mean(axes, keepdim=True) + eps).rsqrt()
    return _scaled(y, weight, None)


@rounded_once
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over each group of channels of each sample."""
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received "
                           f"{input.dim()}")  # fmt: skip
    n, c = input.shape[:2]
    if c % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(input.shape)} and num_groups={num_groups}"
        )
    rest = input.numel() // (n * num_groups) if n else c // num_groups
    grouped = input.reshape(n, num_groups, rest)
    var, mean = var_mean(grouped, (2,), correction=0, keepdim=True)
    y = ((grouped - mean) * (var + eps).rsqrt()).reshape(input.shape)
    if weight is not None:
        y = y * _by_channel(weight, input.dim())
    return y if bias is None else y + _by_channel(bias, input.dim())


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha * mean of x^2 over `size` neighbouring channels)^beta."""
    rank = input.dim()
    if rank < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality                          input (got {rank} "
            "dimensions)"
        )
    if not input.numel():
        return input
    n, c = input.shape[:2]
    squares = (input * input).reshape(n, c, -1).transpose(1, 2)
    padded = _zero_padded(squares, size // 2, (size - 1) // 2)
    mean = avg_pool1d(padded, size, 1).transpose(1, 2).reshape(input.shape)
    return input / (mean * alpha + k) ** beta


def _zero_padded(x: Tensor, before: int, after: int) -> Tensor:
    """x with zeros before and after along the last axis."""
    lead = list(x.shape[:-1])
    return cat([x.new_zeros(*lead, before), x, x.new_zeros(*lead, after)], -1)


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """x / max(|x|_p, eps) along `dim`."""
    y = input / input.norm(p, dim, keepdim=True).clamp_min(eps)
    return y if out is None else out.copy_(y)

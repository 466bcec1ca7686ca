"""Pooling over windows whose places are drawn at random (Graham, 2014)."""

from __future__ import annotations

import math
from typing import Any

from ... import dtypes
from ...creation import arange
from ...functions.casting import in_float32
from ...functions.random import rand
from ...functions.shape import cat
from ...tensor import Tensor


def _starts(samples: Tensor, n: int, window: int, out: int) -> Tensor:
    """Where the windows begin along an axis of n: (N, C) random numbers give (N, C, out)."""
    if window + out - 1 > n:
        raise RuntimeError(
            f"fractional_max_pool: pool size {window} too large relative to input size {n}"
        )
    if out == 1:
        return (samples.unsqueeze(-1) * 0).to(dtypes.int64) + (n - window)
    alpha = (n - window) / (out - 1)
    steps = arange(out - 1, dtype=samples.dtype)
    first = samples.unsqueeze(-1)
    places = ((steps + first) * alpha).to(dtypes.int64) - (first * alpha).to(dtypes.int64)
    last = places[..., :1] * 0 + (n - window)
    return cat([places, last], -1)


def _window_places(start: Tensor, window: int) -> Tensor:
    """(N, C, out) beginnings give (N, C, out, window) places."""
    return start.unsqueeze(-1) + arange(window)


@in_float32
def _pooled(
    input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Tensor | None,
    rank: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The largest elements, and their places in the flattened planes."""
    name = f"fractional_max_pool{rank}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    single = input.dim() == rank + 1
    x = input.unsqueeze(0) if single else input
    if x.dim() != rank + 2:
        raise RuntimeError(f"{name}: Expected {rank + 1}D or {rank + 2}D input; got {input.dim()}D")
    sizes = [int(n) for n in x.shape[2:]]
    kernel = (kernel_size,) * rank if isinstance(kernel_size, int) else tuple(kernel_size)
    if output_size is None:
        ratio = (output_ratio,) * rank if isinstance(output_ratio, (int, float)) else output_ratio
        out = [int(n * r) for n, r in zip(sizes, ratio)]
    else:
        out = [output_size] * rank if isinstance(output_size, int) else list(output_size)
    n, c = x.shape[:2]
    if samples is None:
        samples = rand(n, c, rank, dtype=x.dtype)
    # As in PyTorch, the first number is for the last axis of pictures, the first of volumes.
    order = range(rank) if rank == 3 else range(rank)[::-1]
    places: Any = 0
    for axis, number in enumerate(order):
        start = _starts(samples[..., number], sizes[axis], kernel[axis], out[axis])
        own = _window_places(start, kernel[axis])
        shape = [n, c, *(1,) * (2 * rank)]
        shape[2 + axis], shape[2 + rank + axis] = out[axis], kernel[axis]
        places = places * sizes[axis] + own.reshape(shape)
    volume = math.prod(kernel)
    places = places.reshape(n, c, math.prod(out) * volume)
    found = x.reshape(n, c, math.prod(sizes)).gather(-1, places)
    values, which = found.reshape(n, c, *out, volume).max(-1)
    at = places.reshape(n, c, *out, volume).gather(-1, which.unsqueeze(-1)).squeeze(-1)
    return (values.squeeze(0), at.squeeze(0)) if single else (values, at)


def _define(rank: int) -> tuple[Any, Any]:
    def with_indices(
        input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        return _pooled(input, kernel_size, output_size, output_ratio, _random_samples, rank)

    def plain(
        input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: Tensor | None = None,
    ) -> Any:  # fmt: skip
        found = _pooled(input, kernel_size, output_size, output_ratio, _random_samples, rank)
        return found if return_indices else found[0]

    plain.__name__ = f"fractional_max_pool{rank}d"
    with_indices.__name__ = f"{plain.__name__}_with_indices"
    plain.__doc__ = "The largest element of each window, whose places are drawn at random."
    with_indices.__doc__ = "`" + plain.__name__ + "` and the places in the flattened planes."
    return plain, with_indices


fractional_max_pool2d, fractional_max_pool2d_with_indices = _define(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _define(3)

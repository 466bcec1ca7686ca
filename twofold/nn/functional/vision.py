"""Pictures: other sizes, samples at places, grids of places."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

from ...creation import arange, as_tensor, linspace
from ...functions.casting import in_float32, rounded_once
from ...functions.linear import matmul_as_given
from ...functions.pointwise import where
from ...functions.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from ...functions.shape import stack
from ...tensor import Tensor

_RANKS = {"nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,),
          "bilinear": (2,), "bicubic": (2,), "trilinear": (3,)}  # fmt: skip


def _sizes(
    input: Tensor, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """The new extents, and for each axis the factor that places are computed with, if given."""
    rank = input.dim() - 2
    if (size is None) == (scale_factor is None):
        raise ValueError(
            "either size or scale_factor should be defined" if size is None
            else "only one of size or scale_factor should be defined"
        )  # fmt: skip
    if size is not None:
        sizes = [size] * rank if isinstance(size, int) else [int(n) for n in size]
        if len(sizes) != rank:
            raise ValueError(
                "Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {list(input.shape[2:])} and output size of {size}. "
                "Please provide input tensor in (N, C, d1, d2, ...,dK) format and output size in "
                "(o1, o2, ...,oK) format."
            )
        return sizes, [None] * rank
    several = isinstance(scale_factor, (tuple, list))
    factors = list(scale_factor) if several else [scale_factor] * rank
    sizes = [math.floor(n * f) for n, f in zip(input.shape[2:], factors)]
    return sizes, [None] * rank if recompute else [float(f) for f in factors]


def _places(n: int, m: int, align: bool, factor: float | None, dtype: Any) -> Tensor:
    """For each of m new places its place among n old ones, ends or cells lined up."""
    if align:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
        return arange(m).to(dtype) * step
    step = n / m if factor is None else 1 / factor
    return (arange(m).to(dtype) + 0.5) * step - 0.5


def _nearest_places(n: int, m: int, exact: bool, factor: float | None) -> Tensor:
    step = n / m if factor is None else 1 / factor
    offset = 0.5 if exact else 0.0
    return as_tensor([min(math.floor((i + offset) * step), n - 1) for i in range(m)])


def _linear_axis(
    x: Tensor, axis: int, m: int, align: bool, factor: float | None, smooth: bool
) -> Tensor:
    """One axis of x interpolated between its two neighbours."""
    n = x.size(axis)
    if smooth:
        return _by_weights(x, axis, _smooth_weights(x, n, m, align, factor, 1))
    place = _places(n, m, align, factor, x.dtype).clamp(min=0)
    low = place.floor().long().clamp(max=n - 1)
    high = (low + 1).clamp(max=n - 1)
    shape = [1] * x.dim()
    shape[axis] = m
    share = (place - low.to(x.dtype)).reshape(shape)
    return x.index_select(axis, low) * (1 - share) + x.index_select(axis, high) * share


def _cubic(distance: Tensor, a: float) -> Tensor:
    """Keys' cubic kernel (1981)."""
    d = distance.abs()
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return where(d <= 1, near, where(d < 2, far, 0.0))


def _cubic_axis(
    x: Tensor, axis: int, m: int, align: bool, factor: float | None, smooth: bool
) -> Tensor:
    """One axis of x interpolated by a cubic through four neighbours."""
    n = x.size(axis)
    if smooth:
        return _by_weights(x, axis, _smooth_weights(x, n, m, align, factor, 2))
    place = _places(n, m, align, factor, x.dtype)
    low = place.floor()
    share = place - low
    shape = [1] * x.dim()
    shape[axis] = m
    total: Any = None
    for k in range(-1, 3):
        index = (low.long() + k).clamp(0, n - 1)
        part = x.index_select(axis, index) * _cubic(share - k, -0.75).reshape(shape)
        total = part if total is None else total + part
    return total


def _smooth_weights(
    x: Tensor, n: int, m: int, align: bool, factor: float | None, reach: int
) -> Tensor:
    """(m, n) weights of kernels that are widened when the picture shrinks (antialias)."""
    if align:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
    else:
        step = n / m if factor is None else 1 / factor
    width = max(step, 1.0)
    center = step * (arange(m).to(x.dtype) + 0.5)
    support = reach * width
    first = (center - support + 0.5).trunc().clamp(min=0).reshape(-1, 1)
    last = (center + support + 0.5).trunc().clamp(max=n).reshape(-1, 1)
    j = arange(n).to(x.dtype)
    distance = (j + 0.5 - center.reshape(-1, 1)) / width
    weights = (1 - distance.abs()).clamp(min=0) if reach == 1 else _cubic(distance, -0.5)
    weights = where((j >= first) & (j < last), weights, 0.0)
    return weights / weights.sum(1, keepdim=True)


def _by_weights(x: Tensor, axis: int, weights: Tensor) -> Tensor:
    """x with one axis multiplied by a matrix (new, old)."""
    return matmul_as_given(x.movedim(axis, -1), weights.t()).movedim(-1, axis)


@rounded_once
def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:  # fmt: skip
    """input (N, C, ...) in another size: mode "nearest", "nearest-exact", "area", "linear" (3-D),
    "bilinear", "bicubic" (4-D) or "trilinear" (5-D)."""
    rank = input.dim() - 2
    if mode in _RANKS and rank in (1, 2, 3) and rank not in _RANKS[mode]:
        raise NotImplementedError(
            f"Got {input.dim()}D input, but {mode} mode needs {_RANKS[mode][0] + 2}D input"
        )
    if mode not in _RANKS or rank not in _RANKS[mode]:
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.dim()}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
            f"area | nearest-exact (got {mode})"
        )
    plain = mode in ("nearest", "nearest-exact", "area")
    if plain and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            "| bicubic | trilinear"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D "
            "tensor as input"
        )
    sizes, factors = _sizes(input, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        pools = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
        return pools[len(sizes)](input, sizes)
    x = input
    for axis, (m, factor) in enumerate(zip(sizes, factors), 2):
        n = x.size(axis)
        if plain:
            exact = mode == "nearest-exact"
            if n != m:
                x = x.index_select(axis, _nearest_places(n, m, exact, factor))
        elif mode == "bicubic":
            x = _cubic_axis(x, axis, m, bool(align_corners), factor, antialias)
        else:
            x = _linear_axis(x, axis, m, bool(align_corners), factor, antialias)
    return x


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """`interpolate` under its old name."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` to the nearest, under its old name."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Bilinear `interpolate` with corners aligned, under its old name."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


# Samples at places.


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The places (N, H, W, 2) (or (N, D, H, W, 3)) that maps theta (N, 2, 3) give the pixels of a
    picture of `size`, for `grid_sample`."""
    extents = list(size)[2:]
    axes = []
    for n in extents:
        line = linspace(-1.0, 1.0, n, dtype=theta.dtype) if n > 1 else theta.new_zeros(1)
        axes.append(line if align_corners else line * ((n - 1) / n))
    rank = len(extents)
    grids = []
    for a in reversed(range(rank)):
        shape = [1] * rank
        shape[a] = extents[a]
        grids.append(axes[a].reshape(shape).expand(extents))
    base = stack([*grids, theta.new_ones(*extents)], -1).reshape(1, -1, rank + 1)
    flat = matmul_as_given(base.expand(theta.size(0), *base.shape[1:]), theta.transpose(1, 2))
    return flat.reshape(theta.size(0), *extents, rank)


def _reflected(x: Tensor, low: float, high: float) -> Tensor:
    """x mirrored into [low, high]."""
    span = high - low
    if span <= 0:
        return x * 0.0
    x = (x - low).abs()
    times = (x / span).floor()
    rest = x - times * span
    odd = (times - 2 * (times / 2).floor()) == 1
    return where(odd, span - rest, rest) + low


def _unnormalized(grid: Tensor, n: int, align: bool) -> Tensor:
    """[-1, 1] to places among n."""
    return (grid + 1) / 2 * (n - 1) if align else ((grid + 1) * n - 1) / 2


def _folded(x: Tensor, n: int, padding_mode: str, align: bool) -> Tensor:
    """Places moved into the picture, as the padding mode says."""
    if padding_mode == "border":
        return x.clamp(0, n - 1)
    if padding_mode == "reflection":
        low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
        return _reflected(x, low, high).clamp(0, n - 1)
    return x


def _picked(flat: Tensor, indices: Sequence[Tensor], extents: Sequence[int]) -> Tensor:
    """flat (N, C, elements) at integer places (N, ...) per axis; 0 outside."""
    inside: Any = None
    place: Any = None
    for index, n in zip(indices, extents):
        ok = (index >= 0) & (index < n)
        inside = ok if inside is None else inside & ok
        index = index.clamp(0, n - 1)
        place = index if place is None else place * n + index
    n, c = flat.shape[:2]
    shape = place.shape
    places = place.reshape(n, 1, -1).expand(n, c, place.numel() // n)
    values = flat.gather(2, places).reshape(n, c, *shape[1:])
    return where(inside.unsqueeze(1), values, 0.0)


@in_float32
def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """input (N, C, H, W) at the places of grid (N, h, w, 2), x before y, in [-1, 1]; or input
    (N, C, D, H, W) at grid (N, d, h, w, 3)."""
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    align = bool(align_corners)
    extents = list(input.shape[2:])
    rank = len(extents)
    if grid.size(-1) != rank:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {rank} in last dimension, but got grid "
            f"with sizes {list(grid.shape)}"
        )
    flat = input.reshape(*input.shape[:2], -1)
    places = [_unnormalized(grid[..., rank - 1 - a], n, align) for a, n in enumerate(extents)]
    if mode == "bicubic":
        return _bicubic_sample(flat, places, extents, padding_mode, align)
    places = [_folded(p, n, padding_mode, align) for p, n in zip(places, extents)]
    if mode == "nearest":
        return _picked(flat, [p.detach().round().long() for p in places], extents)
    lows = [p.detach().floor() for p in places]
    total: Any = None
    for corner in itertools.product((0, 1), repeat=rank):
        weight: Any = None
        for p, low, k in zip(places, lows, corner):
            share = p - low if k else 1 - (p - low)
            weight = share if weight is None else weight * share
        at = [low.long() + k for low, k in zip(lows, corner)]
        part = _picked(flat, at, extents) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def _bicubic_sample(
    flat: Tensor, places: list[Tensor], extents: list[int], padding_mode: str, align: bool
) -> Tensor:
    """Samples by cubics through 4 x 4 neighbours, each neighbour folded by itself."""
    lows = [p.detach().floor() for p in places]
    total: Any = None
    for offsets in itertools.product(range(-1, 3), repeat=2):
        weight: Any = None
        at = []
        for p, low, k, n in zip(places, lows, offsets, extents):
            share = _cubic(p - low - k, -0.75)
            weight = share if weight is None else weight * share
            at.append(_folded(low + k, n, padding_mode, align).round().long())
        part = _picked(flat, at, extents) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total

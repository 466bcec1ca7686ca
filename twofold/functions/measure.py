"""Distances, statistics of several variables, differences, histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..tensor import Tensor, from_held, number, wrap, wrap_dim
from ._registry import both, function, functions
from .casting import in_float32
from .linear import matmul
from .pointwise import where
from .reduction import amax
from .shape import cat, narrow, reshape


def pair_distance(difference: Tensor, p: float) -> Tensor:
    """The p-norm over the last axis, with the gradient 0 at 0."""
    size = difference.abs()
    if p == 0:
        return size.sign().sum(-1)
    if p == 1:
        return size.sum(-1)
    if p == math.inf:
        if not difference.shape[-1]:
            return size.sum(-1)
        return amax(size, -1)
    total = (size * size if p == 2 else size**p).sum(-1)
    at_zero = total == 0
    root = where(at_zero, 1.0, total) ** (1 / p)
    return where(at_zero, 0.0, root)


@function()
@in_float32
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0,
    compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:  # fmt: skip
    """The distance of each row of x1 from each row of x2: (..., P, M), (..., R, M) -> (..., P, R).

    >>> import twofold as tf
    >>> tf.cdist(tf.zeros(1, 2), tf.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    for name, x in (("X1", x1), ("X2", x2)):
        if x.dim() < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.dim()}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    many = x1.shape[-2] > 25 or x2.shape[-2] > 25
    product = compute_mode == "use_mm_for_euclid_dist" or (
        compute_mode == "use_mm_for_euclid_dist_if_necessary" and many
    )
    if p == 2 and product:
        squares = (x1 * x1).sum(-1, keepdim=True) + (x2 * x2).sum(-1).unsqueeze(-2)
        gap = (squares - 2 * matmul(x1, x2.transpose(-1, -2))).clamp_min(0)
        at_zero = gap == 0
        return where(at_zero, 0.0, where(at_zero, 1.0, gap).sqrt())
    return pair_distance(x1.unsqueeze(-2) - x2.unsqueeze(-3), float(p))


@both()
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The covariances of the rows of input, whose columns are observations.

    `fweights` says how often each was made, `aweights` how much it counts.
    """
    if input.dim() > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input.dim()} dimensions"
        )
    if input.dtype is dtypes.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = reshape(input, 1, -1) if input.dim() < 2 else input
    x = x if x.dtype.kind in ("float", "complex") else x.to(dtypes.get_default())
    n = x.shape[1]
    weights = None
    for name, given, kinds in (
        ("fweights", fweights, ("int", "uint")), ("aweights", aweights, ("float",)),
    ):  # fmt: skip
        if given is None:
            continue
        if given.dim() > 1:
            raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got "
                               f"{name} with {given.dim()} dimensions")  # fmt: skip
        if given.dtype.kind not in kinds:
            raise RuntimeError(f"cov(): expected {name} to have {kinds[0]} dtype but got {name} "
                               f"with {given.dtype} dtype")  # fmt: skip
        if given.numel() != n:
            raise RuntimeError(f"cov(): expected {name} to have the same numel as there are "
                               f"observations in the input but got {given.numel()}")  # fmt: skip
        if (given < 0).any():
            raise RuntimeError(f"cov(): {name} cannot be negative")
        weights = given if weights is None else weights * given
    if weights is None:
        total: Any = n
        mean = x.sum(1, keepdim=True) / n
    else:
        weights = weights.to(x.dtype.to_real()).reshape(n)
        total = weights.sum()
        mean = (x * weights).sum(1, keepdim=True) / total
    if weights is None or aweights is None or correction == 0:
        freedom = total - correction
    else:
        freedom = total - correction * (weights * aweights).sum() / total
    if isinstance(freedom, Tensor):
        freedom = freedom.clamp_min(0)
    else:
        freedom = max(freedom, 0)
    off = x - mean
    weighted = off if weights is None else off * weights
    result = matmul(off, weighted.t().conj()) / freedom
    return result.squeeze()


@both()
def corrcoef(input: Tensor) -> Tensor:
    """The correlations of the rows of input, whose columns are observations."""
    if input.dim() > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{input.dim()} dimensions"
        )
    c = cov(input)
    if c.dim() == 0:
        return c / c
    variance = c.diag()
    deviation = (variance.real if c.is_complex() else variance).sqrt()
    result = (c / deviation.unsqueeze(1)) / deviation.unsqueeze(0)
    if c.is_complex():
        return functions["complex"](result.real.clamp(-1, 1), result.imag.clamp(-1, 1))
    return result.clamp(-1, 1)


# Differences.


def _slope(x: Tensor, dim: int, spacing: Any, edge_order: int) -> Tensor:
    n = x.shape[dim]

    def part(y: Tensor, start: int, size: int) -> Tensor:
        return narrow(y, dim, start, size)

    if isinstance(spacing, Tensor):
        steps = reshape(
            narrow(spacing, 0, 1, n - 1) - narrow(spacing, 0, 0, n - 1),
            *(n - 1 if a == dim else 1 for a in range(x.dim())),
        )
        before, after = part(steps, 0, n - 2), part(steps, 1, n - 2)
        middle = (
            -after / (before * (before + after)) * part(x, 0, n - 2)
            + (after - before) / (before * after) * part(x, 1, n - 2)
            + before / (after * (before + after)) * part(x, 2, n - 2)
        )
        ends = []
        for near in (True, False):
            h1 = part(steps, 0 if near else n - 2, 1)
            place = (0, 1, 2) if near else (n - 1, n - 2, n - 3)
            sign = 1 if near else -1
            if edge_order == 1:
                ends.append(sign * (part(x, place[1], 1) - part(x, place[0], 1)) / h1)
                continue
            h2 = part(steps, 1 if near else n - 3, 1)
            ends.append(
                sign * (
                    -(2 * h1 + h2) / (h1 * (h1 + h2)) * part(x, place[0], 1)
                    + (h1 + h2) / (h1 * h2) * part(x, place[1], 1)
                    - h1 / (h2 * (h1 + h2)) * part(x, place[2], 1)
                )
            )  # fmt: skip
        return cat([ends[0], middle, ends[1]], dim)
    middle = (part(x, 2, n - 2) - part(x, 0, n - 2)) / (2 * spacing)
    if edge_order == 1:
        first = (part(x, 1, 1) - part(x, 0, 1)) / spacing
        last = (part(x, n - 1, 1) - part(x, n - 2, 1)) / spacing
    else:
        first = (-3 * part(x, 0, 1) + 4 * part(x, 1, 1) - part(x, 2, 1)) / (2 * spacing)
        last = (3 * part(x, n - 1, 1) - 4 * part(x, n - 2, 1) + part(x, n - 3, 1)) / (2 * spacing)
    return cat([first, middle, last], dim)


@function()
def gradient(
    input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> list[Tensor]:
    """Slopes along each of `dim` (all, if None), by differences of second order within and of
    `edge_order` at the ends. `spacing` is a step, one for each axis, or coordinates."""
    spacing = 1 if spacing is None else spacing
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    if dim is None and isinstance(spacing, (list, tuple)) and len(spacing) != input.dim():
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar or it's a list of length "
            f"self.dim() = {input.dim()}, but got a list of length {len(spacing)}"
        )
    dims = range(input.dim()) if dim is None else ((dim,) if isinstance(dim, int) else dim)
    axes = [wrap_dim(d, input.dim()) for d in dims]
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"dim {axes[0]} appears multiple times in the list of dims")
    each = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(axes)
    if len(each) != len(axes):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar or a list of length "
            f"{len(axes)}, but got a list of length {len(each)}"
        )
    for axis in axes:
        if input.shape[axis] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
    x = input if input.dtype.kind in ("float", "complex") else input.to(dtypes.get_default())
    return [_slope(x, a, s, edge_order) for a, s in zip(axes, each)]


# Histograms.


class Histogram(NamedTuple):
    """Counts and the edges between them."""

    hist: Tensor
    bin_edges: Any


def _edges(x: np.ndarray, bins: Any, low_high: Any, dtype: Any) -> np.ndarray:
    if isinstance(bins, Tensor):
        return bins.detach()._held()
    if low_high is None:
        low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
    else:
        low, high = map(float, low_high)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"torch.histogramdd: dimension 0's range [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"torch.histogramdd: min should not exceed max, but got {low} > {high}")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return functions["linspace"](low, high, int(bins) + 1, dtype=dtype)._held()


@both()
def histogram(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:  # fmt: skip
    """Counts of the values in each of `bins` (a number of equal ones, or their edges), or the sums
    of their weights; with `density`, divided so that they integrate to 1. Values are looked at."""
    flat = reshape(input, input.numel(), 1)
    given = None if weight is None else reshape(weight, weight.numel())
    bins = bins if isinstance(bins, Tensor) else [bins]
    counts, edges = histogramdd(
        flat, [bins] if isinstance(bins, Tensor) else bins, range=range, weight=given,
        density=density,
    )  # fmt: skip
    return Histogram(counts, edges[0])


@function()
def histogramdd(
    input: Tensor, bins: Any, *, range: Sequence[float] | None = None,
    weight: Tensor | None = None, density: bool = False,
) -> Histogram:  # fmt: skip
    """Counts of the points, the rows of input, in a grid of `bins` along each coordinate."""
    if input.dim() < 2:
        raise RuntimeError(
            f"torch.histogramdd: input tensor should have at least 2 dimensions, but got "
            f"{input.dim()}"
        )
    points = input.detach()._held().reshape(-1, input.shape[-1])
    d = points.shape[1]
    each = [bins] * d if isinstance(bins, int) else list(bins)
    if len(each) != d:
        raise RuntimeError(
            f"torch.histogramdd: expected {d} sequences of bin edges for a {d}-dimensional "
            f"histogram but got {len(each)}"
        )
    limits = (
        [None] * d if range is None else [range[2 * k : 2 * k + 2] for k in np.arange(d).tolist()]
    )
    edges = [_edges(points[:, k], each[k], limits[k], input.dtype) for k in np.arange(d)]
    weights = None if weight is None else weight.detach()._held().reshape(-1)
    at = np.zeros(len(points), np.int64)
    inside = np.ones(len(points), bool)
    for k, e in enumerate(edges):
        place = np.searchsorted(e, points[:, k], "right") - 1
        place[points[:, k] == e[-1]] = len(e) - 2
        inside &= (place >= 0) & (place < len(e) - 1)
        at = at * (len(e) - 1) + place
    shape = tuple(len(e) - 1 for e in edges)
    kept = None if weights is None else weights[inside].astype(np.float64)
    counts = np.bincount(at[inside], kept, minlength=math.prod(shape)).reshape(shape)
    counts = counts.astype(np.float64)
    if density:
        volume = np.ones(())
        for e in edges:
            volume = np.multiply.outer(volume, np.diff(e.astype(np.float64)))
        counts = counts / volume / counts.sum()
    held = [from_held(e.astype(points.dtype), input.dtype) for e in edges]
    return Histogram(from_held(counts.astype(points.dtype), input.dtype), tuple(held))


@both(inplace=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """input with each slice along `dim` scaled down so that its p-norm is at most `maxnorm`."""
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.dim() < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input.dim()} dimensions"
        )
    axis = wrap_dim(dim, input.dim())
    moved = input.movedim(axis, 0)
    rows = reshape(moved, input.shape[axis], -1)
    length = pair_distance(rows, float(p))
    scale = where(length > maxnorm, maxnorm / (length + 1e-7), 1.0)
    shape = [input.shape[axis] if a == axis else 1 for a in np.arange(input.dim())]
    return input * reshape(scale, *shape)


# Windows of signals.


def _checked(name: str, n: int, dtype: DType | None) -> DType:
    """The dtype of a window of n. RuntimeError if there can be no such window."""
    if n < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={n}")
    dtype = dtype or dtypes.get_default()
    if dtype.kind not in ("float", "complex"):
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
    return dtype


def _cosine_window(
    name: str, n: int, periodic: bool, terms: Sequence[float], dtype: DType | None
) -> Tensor:
    dtype = _checked(name, n, dtype)
    wide = dtypes.float64
    if n <= 1:
        node = mv.expand(ew.constant(1, wide), (n,))
    else:
        step = 2 * math.pi / (n if periodic else n - 1)
        angle = ew.mul(ew.cast(mv.iota(n), wide), number(step, wide))
        node = mv.expand(number(terms[0], wide), (n,))
        for k, a in enumerate(terms[1:], 1):
            wave = ew.cos(ew.mul(angle, number(float(k), wide)))
            node = ew.add(node, ew.mul(wave, number((-1) ** k * a, wide)))
    return wrap(node).to(dtype)


@function()
def hann_window(window_length: int, periodic: bool = True, *, dtype: DType | None = None) -> Tensor:
    """0.5 - 0.5 cos(2 pi k / N): N = window_length, or one less if not periodic."""
    return _cosine_window("hann_window", window_length, periodic, (0.5, 0.5), dtype)


@function()
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *,
    dtype: DType | None = None,
) -> Tensor:  # fmt: skip
    """alpha - beta cos(2 pi k / N)."""
    return _cosine_window("hamming_window", window_length, periodic, (alpha, beta), dtype)


@function()
def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: DType | None = None
) -> Tensor:
    """0.42 - 0.5 cos(2 pi k / N) + 0.08 cos(4 pi k / N)."""
    return _cosine_window("blackman_window", window_length, periodic, (0.42, 0.5, 0.08), dtype)


@function()
def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: DType | None = None
) -> Tensor:
    """1 - |2 k / N - 1|, a triangle."""
    n, dtype = window_length, _checked("bartlett_window", window_length, dtype)
    if n <= 1:
        return _cosine_window("bartlett_window", n, periodic, (1.0,), dtype)
    wide = dtypes.float64
    scale = number(2 / (n if periodic else n - 1), wide)
    ramp = ew.mul(ew.cast(mv.iota(n), wide), scale)
    one = ew.constant(1, wide)
    return wrap(ew.sub(one, ew.abs_(ew.sub(ramp, one)))).to(dtype)


@function()
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: DType | None = None
) -> Tensor:
    """I0(beta sqrt(1 - (2 k / N - 1)^2)) / I0(beta)."""
    n, dtype = window_length, _checked("kaiser_window", window_length, dtype)
    values = np.kaiser(n + 1, beta)[:n] if periodic and n > 1 else np.kaiser(n, beta)
    return from_held(values, dtypes.float64).to(dtype)

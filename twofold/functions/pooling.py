"""Pooling over one, two and three spatial axes: the largest or the mean of each window."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes
from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import window
from ..ops.reduce import sum_
from ..tensor import Tensor, number, wrap
from ._registry import function
from .casting import in_float32
from .convolution import channels_first, channels_last

Sizes = tuple[int, ...]
_COUNT = {1: "one int", 2: "two ints", 3: "three ints"}


def _sizes(value: Any, rank: int, name: str, what: str) -> Sizes:
    if isinstance(value, int):
        return (value,) * rank
    numbers = tuple(int(n) for n in value)
    if len(numbers) not in (1, rank):
        raise RuntimeError(
            f"{name}: {what} must either be a single int, or a tuple of {_COUNT[rank]}"
        )
    return numbers * rank if len(numbers) == 1 else numbers


def _batched(input: Tensor, rank: int, name: str) -> tuple[Node, bool]:
    """The input as (N, *S, C), and whether it had a batch axis."""
    x = input._node()
    if len(x.shape) not in (rank + 1, rank + 2) or not math.prod(x.shape[-rank - 1 :]):
        raise RuntimeError(
            f"{name}: Expected {rank + 1}D or {rank + 2}D (batch mode) tensor with optional 0 dim "
            f"batch size for input, but got:{list(x.shape)}"
        )
    has_batch = len(x.shape) == rank + 2
    return channels_last(x if has_batch else mv.reshape(x, (1, *x.shape))), has_batch


def _unbatched(y: Node, has_batch: bool) -> Tensor:
    y = channels_first(y)
    return wrap(y if has_batch else mv.reshape(y, y.shape[1:]))


class _Windows:
    """The windows of one call: their sizes, and the padding that makes all of them fit."""

    def __init__(
        self,
        name: str,
        x: Node,
        rank: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        ceil_mode: bool,
    ) -> None:
        self.kernel = _sizes(kernel_size, rank, name, "kernel_size")
        given = stride if stride is not None and stride != () and stride != [] else self.kernel
        self.stride = _sizes(given, rank, name, "stride")
        self.padding = _sizes(padding, rank, name, "padding")
        self.dilation = _sizes(dilation, rank, name, "dilation")
        self._check(name)
        self.spatial = x.shape[1:-1]
        self.sizes: Sizes = tuple(self._count(a, ceil_mode) for a in range(rank))
        if min(self.sizes) < 1:
            channels = x.shape[-1]
            given_text = "x".join(map(str, (channels, *self.spatial)))
            text = "x".join(map(str, (channels, *self.sizes)))
            raise RuntimeError(
                f"Given input size: ({given_text}). Calculated output size: ({text}). Output size "
                "is too small"
            )
        self.widths = tuple(
            (p, max(0, (m - 1) * s + d * (k - 1) + 1 - n - p))
            for n, m, k, s, p, d in zip(
                self.spatial, self.sizes, self.kernel, self.stride, self.padding, self.dilation
            )
        )

    def _check(self, name: str) -> None:
        if min(self.kernel) <= 0:
            raise RuntimeError(f"{name}: kernel_size must be greater than zero")
        if min(self.stride) <= 0:
            raise RuntimeError("stride should not be zero")
        if min(self.dilation) <= 0:
            raise RuntimeError(
                f"dilation should be greater than zero, but got {list(self.dilation)}"
            )
        for k, p, d in zip(self.kernel, self.padding, self.dilation):
            if p < 0:
                raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
            if p > (d * (k - 1) + 1) // 2:
                raise RuntimeError(
                    f"pad should be at most half of effective kernel size, but got pad={p}, "
                    f"kernel_size={k} and dilation={d}"
                )

    def _count(self, a: int, ceil_mode: bool) -> int:
        """Windows along an axis; with `ceil_mode` a last one may hang over the end, if it begins
        within the input or its padding before."""
        n, s, p = self.spatial[a], self.stride[a], self.padding[a]
        room = n + 2 * p - self.dilation[a] * (self.kernel[a] - 1) - 1
        if not ceil_mode:
            return room // s + 1
        count = -(-room // s) + 1
        return count - 1 if (count - 1) * s >= n + p else count

    def padded(self, x: Node, value: Node | None) -> Node:
        """x with `value` around it, as far as windows reach."""
        return mv.pad(x, ((0, 0), *self.widths, (0, 0)), value)


def _lowest(dtype: dtypes.DType) -> Node:
    if dtype.is_floating_point:
        return ew.constant(-math.inf, dtype)
    return number(0 if dtype.kind == "uint" else -(1 << (8 * dtype.itemsize - 1)), dtype)


def _max_pool(
    rank: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{rank}d"
    x, has_batch = _batched(input, rank, name)
    w = _Windows(name, x, rank, kernel_size, stride, padding, dilation, ceil_mode)
    wide = w.padded(x, _lowest(x.dtype))
    y = window.pool_max(wide, w.kernel, w.stride, w.dilation, w.padding)
    if not return_indices:
        return _unbatched(y, has_batch)
    within = window.pool_argmax(wide, w.kernel, w.stride, w.dilation, w.padding)
    return _unbatched(y, has_batch), _unbatched(_flat_positions(within, w), has_batch)


def _flat_positions(within: Node, w: _Windows) -> Node:
    """Row-major positions in the input of elements given by their position within each window."""
    rank = len(w.kernel)
    total: Node | None = None
    for a in range(rank):
        below = math.prod(w.kernel[a + 1 :])
        k = ew.floormod(ew.floordiv(within, _int(below)), _int(w.kernel[a]))
        at = ew.add(ew.mul(k, _int(w.dilation[a])), _along(_starts(w, a), a, rank))
        at = ew.mul(at, _int(math.prod(w.spatial[a + 1 :])))
        total = at if total is None else ew.add(total, at)
    assert total is not None
    return total


def _int(value: int) -> Node:
    return ew.constant(value, dtypes.int64)


def _starts(w: _Windows, a: int) -> Node:
    """Where each window begins along axis a, in positions of the input."""
    return ew.sub(ew.mul(mv.iota(w.sizes[a]), _int(w.stride[a])), _int(w.padding[a]))


def _along(x: Node, a: int, rank: int) -> Node:
    """A vector laid along spatial axis a of (*S, C)."""
    shape = [1] * (rank + 1)
    shape[a] = x.shape[0]
    return mv.reshape(x, tuple(shape))


def _avg_pool(
    rank: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    name = f"avg_pool{rank}d"
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    x, has_batch = _batched(input, rank, name)
    w = _Windows(name, x, rank, kernel_size, stride, padding, 1, ceil_mode)
    total = window.pool_sum(w.padded(x, None), w.kernel, w.stride, w.dilation)
    if divisor_override is not None:
        counts = ew.constant(divisor_override, x.dtype)
    else:
        counts = _counts(w, count_include_pad, x.dtype)
    if x.dtype.is_floating_point:
        return _unbatched(ew.div(total, counts), has_batch)
    return _unbatched(ew.truncdiv(total, counts), has_batch)


def _counts(w: _Windows, with_padding: bool, dtype: dtypes.DType) -> Node:
    """Elements of each window that count, as (*S', 1) or one number where all have as many."""
    rank = len(w.kernel)
    whole = all(
        (lo == 0 or with_padding) and hi <= (lo if with_padding else 0) for lo, hi in w.widths
    )
    if whole:
        return ew.constant(math.prod(w.kernel), dtype)
    result: Node | None = None
    for a in range(rank):
        margin = w.padding[a] if with_padding else 0
        start = _starts(w, a)
        end = ew.minimum(ew.add(start, _int(w.kernel[a])), _int(w.spatial[a] + margin))
        count = _along(ew.sub(end, ew.maximum(start, _int(-margin))), a, rank)
        result = count if result is None else ew.mul(result, count)
    assert result is not None
    return ew.cast(result, dtype)


def _adaptive(rank: int, input: Tensor, output_size: Any, name: str) -> tuple[Node, bool, Sizes]:
    """The input, whether it has a batch axis, and the output's spatial sizes."""
    x = input._node()
    if len(x.shape) not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got {list(x.shape)}"
        )
    if isinstance(output_size, int) or output_size is None:
        output_size = (output_size,) * rank
    if len(output_size) != rank:
        raise RuntimeError(f"{name}: output_size must be {rank}")
    x, has_batch = _batched(input, rank, name)
    sizes = tuple(n if m is None else int(m) for n, m in zip(x.shape[1:-1], output_size))
    if min(sizes) < 0:
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received "
            f"{list(sizes)}"
        )
    return x, has_batch, sizes


def _spans(n: int, m: int) -> list[tuple[int, int]]:
    """The m stretches (start, length) that cover n positions, overlapping where they must."""
    ends = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
    return [(start, end - start) for start, end in ends]


def _is_even(x: Node, sizes: Sizes) -> bool:
    return all(m and n % m == 0 for n, m in zip(x.shape[1:-1], sizes))


def _cut(x: Node, axis: int, start: int, length: int) -> Node:
    bounds = [(0, n, 1) for n in x.shape]
    bounds[axis] = (start, length, 1)
    return mv.slice_(x, tuple(bounds))


def _adaptive_avg(rank: int, input: Tensor, output_size: Any) -> Tensor:
    """Means along one axis after the other."""
    x, has_batch, sizes = _adaptive(rank, input, output_size, f"adaptive_avg_pool{rank}d")
    if not math.prod(sizes):
        return _unbatched(_cut_all(x, sizes), has_batch)
    if _is_even(x, sizes):
        kernel = tuple(n // m for n, m in zip(x.shape[1:-1], sizes))
        total = window.pool_sum(x, kernel, kernel, (1,) * rank)
        return _unbatched(ew.div(total, ew.constant(math.prod(kernel), x.dtype)), has_batch)
    for a in range(rank):
        parts = []
        for start, length in _spans(x.shape[1 + a], sizes[a]):
            total = sum_(_cut(x, 1 + a, start, length), (1 + a,))
            mean = ew.div(total, ew.constant(length, x.dtype))
            parts.append(mv.reshape(mean, (*x.shape[: 1 + a], 1, *x.shape[2 + a :])))
        x = mv.concatenate(parts, 1 + a)
    return _unbatched(x, has_batch)


def _cut_all(x: Node, sizes: Sizes) -> Node:
    """No elements, of the output's shape."""
    shape = (x.shape[0], *sizes, x.shape[-1])
    return mv.reshape(mv.slice_(x, tuple((0, 0, 1) for _ in x.shape)), shape)


def _adaptive_max(rank: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    x, has_batch, sizes = _adaptive(rank, input, output_size, f"adaptive_max_pool{rank}d")
    if not math.prod(sizes):
        empty = _unbatched(_cut_all(x, sizes), has_batch)
        return (empty, empty.to(dtypes.int64)) if return_indices else empty
    if _is_even(x, sizes):
        kernel = tuple(n // m for n, m in zip(x.shape[1:-1], sizes))
        rest = (_unbatched(x, has_batch), kernel, kernel, 0, 1, False, return_indices)
        return _max_pool(rank, *rest)
    spans = [_spans(n, m) for n, m in zip(x.shape[1:-1], sizes)]
    values, indices = [], []
    for spot in itertools.product(*spans):
        part = x
        for a, (start, length) in enumerate(spot):
            part = _cut(part, 1 + a, start, length)
        kernel = tuple(length for _, length in spot)
        sizes_of = (kernel, kernel, (1,) * rank, (0,) * rank)
        values.append(window.pool_max(part, *sizes_of))
        if return_indices:
            indices.append(_position(window.pool_argmax(part, *sizes_of), spot, x))
    shape = (x.shape[0], *sizes, x.shape[-1])
    y = _unbatched(_assembled(values, shape), has_batch)
    return (y, _unbatched(_assembled(indices, shape), has_batch)) if return_indices else y


def _position(within: Node, spot: Sequence[tuple[int, int]], x: Node) -> Node:
    """Row-major positions in the input of elements given within one stretch of it."""
    total = _int(0)
    for a, (start, length) in enumerate(spot):
        below = math.prod(n for _, n in spot[a + 1 :])
        at = ew.add(ew.floormod(ew.floordiv(within, _int(below)), _int(length)), _int(start))
        total = ew.add(total, ew.mul(at, _int(math.prod(x.shape[2 + a : -1]))))
    return total


def _assembled(parts: Sequence[Node], shape: Sizes) -> Node:
    """Parts (N, 1, ..., 1, C) in row-major order as (N, *S, C)."""
    flat = [mv.reshape(p, (shape[0], 1, shape[-1])) for p in parts]
    return mv.reshape(mv.concatenate(flat, 1), shape)


_MAX = """y[n, c, s] = the largest x[n, c, s stride + k dilation - padding] over the window's k.

    input (N, C, {axes}) or (C, {axes}). Padding counts as minus infinity. `ceil_mode` keeps a last
    window that hangs over the end. With `return_indices` also the row-major positions in
    {axes} of the first largest elements. RuntimeError where nothing is left.
    """

_AVG = """y[n, c, s] = the mean of x[n, c, s stride + k - padding] over the window's k.

    input (N, C, {axes}) or (C, {axes}). The divisor counts the zeros of padding unless
    `count_include_pad` is False{divisor}. RuntimeError where nothing is left.
    """

_ADAPTIVE = """The {what} of each of output_size stretches that cover the input evenly.

    input (N, C, {axes}) or (C, {axes}); `output_size` is a number or one for each axis, None to
    keep an axis as it is. RuntimeError where the number of axes does not fit.
    """


def _named(f: Callable[..., Any], name: str, doc: str, public: bool) -> Callable[..., Any]:
    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    f = in_float32(f) if name.endswith("3d") else f
    return function(name)(f) if public else f


def _define_max(rank: int, axes: str) -> Callable[..., Any]:
    def max_pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        return _max_pool(
            rank, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )

    return _named(max_pool, f"max_pool{rank}d", _MAX.format(axes=axes), True)


def _define_avg(rank: int, axes: str) -> Callable[..., Tensor]:
    def avg_pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        return _avg_pool(
            rank,
            input,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )

    doc = _AVG.format(axes=axes, divisor=", or is `divisor_override`")
    return _named(avg_pool, f"avg_pool{rank}d", doc, rank == 1)


def _define_adaptive(rank: int, axes: str) -> tuple[Callable[..., Tensor], Callable[..., Any]]:
    def adaptive_avg(input: Tensor, output_size: Any) -> Tensor:
        return _adaptive_avg(rank, input, output_size)

    def adaptive_max(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        return _adaptive_max(rank, input, output_size, return_indices)

    mean_doc = _ADAPTIVE.format(what="mean", axes=axes)
    max_doc = _ADAPTIVE.format(what="largest element", axes=axes)
    return (
        _named(adaptive_avg, f"adaptive_avg_pool{rank}d", mean_doc, rank == 1),
        _named(adaptive_max, f"adaptive_max_pool{rank}d", max_doc, rank == 1),
    )


max_pool1d = _define_max(1, "W")
max_pool2d = _define_max(2, "H, W")
max_pool3d = _define_max(3, "D, H, W")
avg_pool1d = _define_avg(1, "W")
avg_pool2d = _define_avg(2, "H, W")
avg_pool3d = _define_avg(3, "D, H, W")
adaptive_avg_pool1d, adaptive_max_pool1d = _define_adaptive(1, "W")
adaptive_avg_pool2d, adaptive_max_pool2d = _define_adaptive(2, "H, W")
adaptive_avg_pool3d, adaptive_max_pool3d = _define_adaptive(3, "D, H, W")

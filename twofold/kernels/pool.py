"""The gradient of max pooling in one pass: each window is read once, and its cotangent goes to its
first largest element.

Channels last with three spatial axes, as in `conv.py`. Windows that do not overlap write their
elements; others add to them, window after window, one image an item.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..dtypes import DType
from ..machine import Target
from .affine import contiguous
from .conv import Three
from .convolve import Input, channels_adjacent, four, three
from .launch import Array, Launch


@dataclass(frozen=True)
class PoolMaxInputSpec:
    """`kernel` are the window's sizes; `adds` says that windows overlap, `padded` that the first
    elements of an axis are padding."""

    dtype: DType
    kernel: Three
    adds: bool
    padded: bool


def backward_max(
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    attrs: tuple,
    g: Input,
    x: Input,
    y: Array,
    dtype: DType,
    target: Target,
    threads: int,
) -> list[Launch]:
    """Launches of pool_max_input; `shapes` are those of g, x and y."""
    g_shape, x_shape, _ = shapes
    kernel, stride, dilation = (three(n, 1) for n in attrs[:3])
    low = three(attrs[3], 0)
    g_at, g_strides, launches = channels_adjacent(g_shape, g, dtype, threads)
    x_at, x_strides, more = channels_adjacent(x_shape, x, dtype, threads)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    adds = any(r > s and n > 1 for r, s, n in zip(reach, stride, three(g_shape[1:-1], 1)))
    counts = three(g_shape[1:-1], 1)
    sizes = three(x_shape[1:-1], 1)
    tiled = all(
        s == k and d == 1 and n * k == size
        for n, s, k, d, size in zip(counts, stride, kernel, dilation, sizes)
    )
    lines = counts[0] * counts[1]
    lines_of_item = 1 if tiled else lines
    items = x_shape[0] * (lines // lines_of_item)
    y_strides = four(contiguous(x_shape))
    n_bytes = (2 * prod(x_shape) + prod(g_shape)) * dtype.itemsize
    words = [
        x_shape[-1], lines, lines_of_item, 0 if tiled else y_strides[0], *counts, *stride,
        *dilation, *low, *four(x_strides), *four(g_strides), *y_strides,
    ]  # fmt: skip
    launch = Launch(
        PoolMaxInputSpec(dtype, kernel, adds, any(low)),
        [x_at, g_at, y, *words],
        items=items,
        grain=items if n_bytes < 100_000 else max(1, items // (8 * threads)),
        reads=(x_at.buffer, g_at.buffer),
        writes=(y.buffer,),
        n_bytes=n_bytes,
        label="pool_max_input",
    )
    return [*launches, *more, launch]

"""Windows: neighbourhoods of each position as axes of their own, their overlapping sum, and
pooling.

Channels last, with any number of spatial axes *S. A window has sizes *K; S' counts the windows (see
`contract.output_sizes`; padding is done before). `windows` and `fold` are each other's gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from .. import dtypes
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import movement as mv
from .base import Op, register, require_numbers
from .contract import offsets, output_sizes, taps
from .reduce import ARGMAX, SUM
from .scalar_numpy import held_dtype, rounded

Sizes = tuple[int, ...]


def _no_padding(rank: int) -> tuple[tuple[int, int], ...]:
    return ((0, 0),) * rank


class Windows(Op):
    """y[n, s, k, c] = x[n, s stride + k dilation, c]: (N, *S, C) to (N, *S', *K, C)."""

    name = "windows"
    complex_rule = "parts"
    params = ("kernel", "stride", "dilation")
    kind = "movement"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,), (kernel, stride, dilation) = types, attrs
        sizes = output_sizes(x.shape[1:-1], kernel, stride, _no_padding(len(kernel)), dilation)
        if any(n < 1 for n in sizes):
            raise RuntimeError(
                f"[windows] Kernel size can't be greater than actual input size; "
                f"got kernel {kernel} and input {x.shape[1:-1]}"
            )
        return x.with_shape((x.shape[0], *sizes, *kernel, x.shape[-1]))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        return (fold(g, node.inputs[0].shape[1:-1], *node.attrs),)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        x = inputs[0]
        y = make_node(self, (mv.reshape(x, (size * x.shape[1], *x.shape[2:])),), attrs)
        return mv.reshape(y, (size, x.shape[1], *y.shape[1:]))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        x, (kernel, stride, dilation) = arrays[0], attrs
        rank = len(kernel)
        y = np.zeros(out.shape, x.dtype)
        sizes = out.shape[1 : 1 + rank]
        for k in offsets(kernel):
            y[:, *(slice(None),) * rank, *k] = x[:, *taps(k, sizes, stride, dilation)]
        return y


class Fold(Op):
    """y[n, t, c] = sum of g[n, s, k, c] over all s, k with t = s stride + k dilation:
    (N, *S', *K, C) to (N, *S, C), where `spatial` is S."""

    name = "fold"
    complex_rule = "parts"
    params = ("spatial", "kernel", "stride", "dilation")
    kind = "fold"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (g,), (spatial, kernel, stride, dilation) = types, attrs
        require_numbers("fold", types)
        sizes = output_sizes(spatial, kernel, stride, _no_padding(len(kernel)), dilation)
        if g.shape[1:-1] != (*sizes, *kernel):
            raise RuntimeError(
                f"[fold] expected windows of shape (N, {sizes}, {kernel}, C); got {g.shape}"
            )
        return g.with_shape((g.shape[0], *spatial, g.shape[-1]))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        return (windows(g, *node.attrs[1:]),)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        x = inputs[0]
        y = make_node(self, (mv.reshape(x, (size * x.shape[1], *x.shape[2:])),), attrs)
        return mv.reshape(y, (size, x.shape[1], *y.shape[1:]))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        g, (_, kernel, stride, dilation) = arrays[0], attrs
        rank = len(kernel)
        y = np.zeros(out.shape, out.dtype.widest if out.dtype.is_inexact else g.dtype)
        sizes = g.shape[1 : 1 + rank]
        for k in offsets(kernel):
            part = g[:, *(slice(None),) * rank, *k]
            y[:, *taps(k, sizes, stride, dilation)] += part
        return rounded(y.astype(held_dtype(out.dtype)), out.dtype)


_NO_PADDING = {"low": lambda given: (0,) * len(given["kernel"])}


class PoolMax(Op):
    """y[n, s, c] = the largest x[n, s stride + k dilation, c] over k; NaN if one is. The cotangent
    goes to the first largest one.

    The first `low` elements of each axis are padding, none larger than any other element: where all
    are equal, the first that is no padding counts as the first.
    """

    name = "pool_max"
    params = ("kernel", "stride", "dilation", "low")
    added = _NO_PADDING
    kind = "pool_max"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        wide = WINDOWS.infer(types, attrs[:3])
        rank = len(attrs[0])
        return wide.with_shape((*wide.shape[: 1 + rank], wide.shape[-1]))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        return (pool_max_input(g, node.inputs[0], *node.attrs),)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        x = inputs[0]
        y = make_node(self, (mv.reshape(x, (size * x.shape[1], *x.shape[2:])),), attrs)
        return mv.reshape(y, (size, x.shape[1], *y.shape[1:]))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        rank = len(attrs[0])
        wide = WINDOWS.reference(arrays, types, attrs[:3], WINDOWS.infer(types, attrs[:3]))
        return np.max(wide, axis=tuple(range(1 + rank, 1 + 2 * rank)))


class PoolMaxInput(Op):
    """y[n, t, c] = the sum of g[n, s, c] over the windows s whose first largest x is at t: the
    gradient of pool_max for x. g (N, *S', C) and x (N, *S, C) to (N, *S, C)."""

    name = "pool_max_input"
    params = ("kernel", "stride", "dilation", "low")
    added = _NO_PADDING
    kind = "pool_max_input"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        g, x = types
        require_numbers("pool_max_input", types)
        wanted = POOL_MAX.infer([x], attrs)
        if g.shape != wanted.shape:
            raise RuntimeError(
                f"[pool_max_input] expected cotangents of shape {wanted.shape}; got {g.shape}"
            )
        return x

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        x = node.inputs[1]
        rank = len(node.attrs[0])
        wide = windows(g, *node.attrs[:3])
        here = is_first_largest(x, *node.attrs)
        axes = tuple(range(1 + rank, 1 + 2 * rank))
        return make_node(SUM, (ew.where(here, wide, ew.const_like(g, 0)),), (axes,)), None

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        g, x = (
            n if is_batched else mv.expand(n, (size, *n.shape))
            for n, is_batched in zip(inputs, batched)
        )
        flat = [mv.reshape(n, (size * n.shape[1], *n.shape[2:])) for n in (g, x)]
        return mv.reshape(make_node(self, tuple(flat), attrs), x.shape)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        g, x = arrays
        (kernel, stride, dilation, low), shape = attrs, attrs[:3]
        rank, count = len(kernel), prod(kernel)
        wide_type = WINDOWS.infer(types[1:], shape)
        wide = WINDOWS.reference([x], types[1:], shape, wide_type)
        rows = np.moveaxis(wide, -1, 1 + rank).reshape(*g.shape, count)
        first = np.argmax(rows, axis=-1)
        start = np.zeros(g.shape[1:-1], np.int64)
        for a, (k, s, d, n) in enumerate(zip(kernel, stride, dilation, low)):
            inner = np.maximum(0, -(-(n - np.arange(g.shape[1 + a]) * s) // d))
            start = start * k + inner.reshape((-1,) + (1,) * (rank - 1 - a))
        first = np.where(first == 0, start[..., None], first)
        here = np.arange(count) == first[..., None]
        spread = np.where(here, g[..., None], np.zeros((), g.dtype))
        spread = np.moveaxis(spread.reshape(*g.shape, *attrs[0]), 1 + rank, -1)
        return FOLD.reference([spread], [wide_type], (x.shape[1 : 1 + rank], *shape), out)


WINDOWS = register(Windows())
FOLD = register(Fold())
POOL_MAX = register(PoolMax())
POOL_MAX_INPUT = register(PoolMaxInput())


def windows(x: Node, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Node:
    """The windows of x (N, *S, C), as axes before the channels."""
    return make_node(WINDOWS, (x,), (kernel, stride, dilation))


def fold(g: Node, spatial: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Node:
    """The sum of overlapping windows, in place."""
    return make_node(FOLD, (g,), (spatial, kernel, stride, dilation))


def pool_max(x: Node, kernel: Sizes, stride: Sizes, dilation: Sizes, low: Sizes) -> Node:
    """The largest value of each window; `low` is padding, as `PoolMax` says."""
    return make_node(POOL_MAX, (x,), (kernel, stride, dilation, low))


def pool_max_input(
    g: Node, x: Node, kernel: Sizes, stride: Sizes, dilation: Sizes, low: Sizes
) -> Node:
    """The gradient of pool_max of x, with cotangent g."""
    return make_node(POOL_MAX_INPUT, (g, x), (kernel, stride, dilation, low))


def is_first_largest(x: Node, kernel: Sizes, stride: Sizes, dilation: Sizes, low: Sizes) -> Node:
    """For each element of each window (N, *S', *K, C), whether it is the first largest."""
    rank = len(kernel)
    position = pool_argmax(x, kernel, stride, dilation, low)
    sizes = position.shape[1 : 1 + rank]
    wide = (x.shape[0], *sizes, *kernel, x.shape[-1])
    kept = mv.reshape(position, (x.shape[0], *sizes, *(1,) * rank, x.shape[-1]))
    own = mv.reshape(mv.iota(prod(kernel)), (*kernel, 1))
    return ew.eq(mv.expand(kept, wide), mv.expand(own, wide))


def pool_argmax(x: Node, kernel: Sizes, stride: Sizes, dilation: Sizes, low: Sizes) -> Node:
    """The row-major position within each window of its first largest value, int64; `low` is
    padding, as `PoolMax` says."""
    rank = len(kernel)
    wide = windows(x, kernel, stride, dilation)
    found = make_node(ARGMAX, (wide,), (tuple(range(1 + rank, 1 + 2 * rank)),))
    if not any(low):
        return found

    def number(value: int) -> Node:
        return ew.constant(value, dtypes.int64)

    start = number(0)
    for a, (k, s, d, n) in enumerate(zip(kernel, stride, dilation, low)):
        at = ew.mul(mv.iota(found.shape[1 + a]), number(s))
        # How many of the window's elements along this axis are padding.
        inner = ew.floordiv(ew.sub(number(n + d - 1), ew.minimum(at, number(n))), number(d))
        along = [1] * (rank + 1)
        along[a] = found.shape[1 + a]
        start = ew.add(ew.mul(start, number(k)), mv.reshape(inner, tuple(along)))
    return ew.where(ew.eq(found, number(0)), start, found)


def pool_sum(x: Node, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Node:
    """The sum of each window."""
    rank = len(kernel)
    wide = windows(x, kernel, stride, dilation)
    from_ = tuple(range(1 + rank, 1 + 2 * rank))
    return make_node(SUM, (wide,), (from_,))

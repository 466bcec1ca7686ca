"""Contractions: matrix products and convolutions.

Convolutions are channels last and of any number of spatial axes *S: x (N, *S, C), w (O, *K, C /
groups), y (N, *S', O) with S' = (S + before + after - dilation (K - 1) - 1) // stride + 1. The
three of them are closed under differentiation. All sums are of products of one output's own terms;
float16 and bfloat16 are multiplied and added as float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import movement as mv
from .base import Op, register, require_numbers
from .scalar_numpy import held_dtype, rounded

Padding = tuple[tuple[int, int], ...]


def _round(wide: np.ndarray, out: Type) -> np.ndarray:
    return rounded(wide.astype(held_dtype(out.dtype)), out.dtype)


def _wide(x: np.ndarray) -> np.ndarray:
    wide = {"f": np.float64, "c": np.complex128}.get(x.dtype.kind)
    return x if wide is None else x.astype(wide)


class Matmul(Op):
    """y[..., i, j] = sum over k of a[..., i, k] b[..., k, j]: (*B, m, k) and (*B, k, n) give (*B,
    m, n)."""

    name = "matmul"
    kind = "matmul"
    complex_rule = "product"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        a, b = types
        require_numbers("matmul", types)
        if a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
            rows = f"{a.shape[-2]}x{a.shape[-1]} and {b.shape[-2]}x{b.shape[-1]}"
            raise RuntimeError(
                f"[matmul] mat1 and mat2 shapes cannot be multiplied ({rows}); "
                f"got {a.shape} and {b.shape}"
            )
        return a.with_shape((*a.shape[:-1], b.shape[-1]))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        a, b = node.inputs
        return (
            matmul(g, transpose(b)) if a.requires_grad else None,
            matmul(transpose(a), g) if b.requires_grad else None,
        )

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        """With one matrix b for all: more rows of one product."""
        a, b = inputs
        if not batched[1] and len(b.shape) == 2:
            rows, k = a.shape[-2:]
            return mv.reshape(matmul(mv.reshape(a, (size * rows, k)), b), (size, rows, b.shape[1]))
        a, b = (
            x if is_batched else mv.expand(x, (size, *x.shape))
            for x, is_batched in zip(inputs, batched)
        )
        return matmul(a, b)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        with np.errstate(all="ignore"):
            return _round(np.matmul(_wide(arrays[0]), _wide(arrays[1])), out)


class _Convolution(Op):
    params: tuple[str, ...] = ("stride", "padding", "dilation", "groups")
    complex_rule = "product"

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        """One after the other: the sizes of batches of convolutions are small."""
        parts = []
        for k in range(size):
            own = []
            for x, is_batched in zip(inputs, batched):
                if is_batched:
                    bounds = ((k, 1, 1), *((0, n, 1) for n in x.shape[1:]))
                    x = mv.reshape(mv.slice_(x, bounds), x.shape[1:])
                own.append(x)
            y = make_node(self, tuple(own), attrs)
            parts.append(mv.reshape(y, (1, *y.shape)))
        return mv.concatenate(parts, 0)


class Conv(_Convolution):
    """y[n, s, o] = sum over k, c of x[n, s stride + k dilation - before, c] w[o, k, c], where
    channel c counts within the group of o."""

    name = "conv"
    kind = "conv"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        x, w = types
        stride, padding, dilation, groups = attrs
        require_numbers("conv", types)
        if len(x.shape) != len(w.shape) or len(stride) != len(x.shape) - 2:
            raise RuntimeError(f"[conv] ranks differ; got x {x.shape} and w {w.shape}")
        if x.shape[-1] != w.shape[-1] * groups or w.shape[0] % groups:
            raise RuntimeError(
                f"[conv] Given groups={groups}, expected weight to have {x.shape[-1] // groups} "
                f"input channels and input to have {w.shape[-1] * groups} channels; got "
                f"x {x.shape} and w {w.shape} (channels last)"
            )
        sizes = output_sizes(x.shape[1:-1], w.shape[1:-1], stride, padding, dilation)
        if any(n < 1 for n in sizes):
            raise RuntimeError(
                f"[conv] Kernel size can't be greater than actual input size; got kernel "
                f"{w.shape[1:-1]} and input {x.shape[1:-1]} padded by {padding}"
            )
        return x.with_shape((x.shape[0], *sizes, w.shape[0]))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        x, w = node.inputs
        return (
            conv_input(g, w, x.shape[1:-1], *node.attrs) if x.requires_grad else None,
            weight_gradient(x, g, w.shape[1:-1], *node.attrs) if w.requires_grad else None,
        )

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        x, w = map(_wide, arrays)
        stride, padding, dilation, groups = attrs
        x = np.pad(x, ((0, 0), *padding, (0, 0)))
        y = np.zeros(out.shape, x.dtype)
        c, o = w.shape[-1], w.shape[0] // groups
        for k in offsets(w.shape[1:-1]):
            part = x[:, *taps(k, out.shape[1:-1], stride, dilation)]
            for g in range(groups):
                weight = w[g * o : g * o + o, *k]
                y[..., g * o : g * o + o] += part[..., g * c : g * c + c] @ weight.T
        return _round(y, out)


class ConvInput(_Convolution):
    """y[n, t, c] = sum of g[n, s, o] w[o, k, c] over all s, k, o with t = s stride + k dilation -
    before: the gradient of conv for its input, and the transposed convolution. `spatial` are y's
    sizes."""

    name = "conv_input"
    kind = "conv_input"
    params = ("spatial", "stride", "padding", "dilation", "groups")

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        g, w = types
        spatial, stride, padding, dilation, groups = attrs
        require_numbers("conv_input", types)
        sizes = output_sizes(spatial, w.shape[1:-1], stride, padding, dilation)
        if g.shape[1:] != (*sizes, w.shape[0]):
            raise RuntimeError(
                f"[conv_input] expected cotangents of shape (N, {sizes}, {w.shape[0]}); "
                f"got {g.shape}"
            )
        return g.with_shape((g.shape[0], *spatial, w.shape[-1] * groups))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        y, w = node.inputs
        rest = node.attrs[1:]
        return (
            conv(g, w, *rest) if y.requires_grad else None,
            weight_gradient(g, y, w.shape[1:-1], *rest) if w.requires_grad else None,
        )

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        g, w = map(_wide, arrays)
        spatial, stride, padding, dilation, groups = attrs
        wide = [n + lo + hi for n, (lo, hi) in zip(spatial, padding)]
        y = np.zeros((g.shape[0], *wide, out.shape[-1]), g.dtype)
        c, o = w.shape[-1], w.shape[0] // groups
        for k in offsets(w.shape[1:-1]):
            part = y[:, *taps(k, g.shape[1:-1], stride, dilation)]
            for i in range(groups):
                weight = w[i * o : i * o + o, *k]
                part[..., i * c : i * c + c] += g[..., i * o : i * o + o] @ weight
        inner = (slice(lo, lo + n) for n, (lo, _) in zip(spatial, padding))
        return _round(y[:, *inner], out)


class ConvWeight(_Convolution):
    """y[o, c, k] = sum over n, s of x[n, s stride + k dilation - before, c] g[n, s, o]: the
    gradient of conv for its weight. `kernel` are y's sizes."""

    name = "conv_weight"
    kind = "conv_weight"
    params = ("kernel", "stride", "padding", "dilation", "groups")

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        x, g = types
        kernel, _, _, _, groups = attrs
        require_numbers("conv_weight", types)
        return x.with_shape((g.shape[-1], x.shape[-1] // groups, *kernel))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        x, y = node.inputs
        rest = node.attrs[1:]
        w = mv.permute(g, (0, *range(2, len(g.shape)), 1))
        return (
            conv_input(y, w, x.shape[1:-1], *rest) if x.requires_grad else None,
            conv(x, w, *rest) if y.requires_grad else None,
        )

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        x, g = map(_wide, arrays)
        kernel, stride, padding, dilation, groups = attrs
        x = np.pad(x, ((0, 0), *padding, (0, 0)))
        y = np.zeros(out.shape, x.dtype)
        c, o = out.shape[1], out.shape[0] // groups
        for k in offsets(kernel):
            part = x[:, *taps(k, g.shape[1:-1], stride, dilation)]
            for i in range(groups):
                left = g[..., i * o : i * o + o].reshape(-1, o)
                right = part[..., i * c : i * c + c].reshape(-1, c)
                y[i * o : i * o + o, :, *k] = left.T @ right
        return _round(y, out)


def offsets(kernel: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The position of each element of a kernel, row-major."""
    return itertools.product(*map(range, kernel))


def taps(
    k: tuple[int, ...], sizes: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[slice, ...]:
    """Where kernel element k meets the padded input, for each output position."""
    return tuple(
        slice(i * d, i * d + (n - 1) * s + 1, s) for i, n, s, d in zip(k, sizes, stride, dilation)
    )


def output_sizes(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """Spatial sizes of a convolution's or a window's output.

    >>> output_sizes((28, 28), (5, 5), (2, 2), ((2, 2), (2, 2)), (1, 1))
    (14, 14)
    """
    return tuple(
        (n + lo + hi - d * (k - 1) - 1) // s + 1
        for n, k, s, (lo, hi), d in zip(sizes, kernel, stride, padding, dilation)
    )


MATMUL = register(Matmul())
CONV = register(Conv())
CONV_INPUT = register(ConvInput())
CONV_WEIGHT = register(ConvWeight())


def matmul(a: Node, b: Node) -> Node:
    """The product of two stacks of matrices with equal leading axes."""
    return make_node(MATMUL, (a, b))


def transpose(x: Node) -> Node:
    """x with its last two axes exchanged."""
    rank = len(x.shape)
    return mv.permute(x, (*range(rank - 2), rank - 1, rank - 2))


def conv(
    x: Node,
    w: Node,
    stride: tuple[int, ...],
    padding: Padding,
    dilation: tuple[int, ...],
    groups: int,
) -> Node:
    """The convolution of x (N, *S, C) with w (O, *K, C / groups)."""
    return make_node(CONV, (x, w), (stride, padding, dilation, groups))


def conv_input(
    g: Node,
    w: Node,
    spatial: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Padding,
    dilation: tuple[int, ...],
    groups: int,
) -> Node:
    """The transposed convolution of g (N, *S', O) with w, to the spatial sizes given."""
    return make_node(CONV_INPUT, (g, w), (spatial, stride, padding, dilation, groups))


def conv_weight(
    x: Node,
    g: Node,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Padding,
    dilation: tuple[int, ...],
    groups: int,
) -> Node:
    """The gradient for w of a convolution of x with cotangent g, as (O, C / groups, *K)."""
    return make_node(CONV_WEIGHT, (x, g), (kernel, stride, padding, dilation, groups))


def weight_gradient(
    x: Node,
    g: Node,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Padding,
    dilation: tuple[int, ...],
    groups: int,
) -> Node:
    """The gradient for w of a convolution of x with cotangent g, in w's own shape."""
    y = conv_weight(x, g, kernel, stride, padding, dilation, groups)
    return mv.permute(y, (0, *range(2, len(y.shape)), 1))

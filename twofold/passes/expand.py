"""Expand convolutions and windows into products, movement and reductions.

    conv(x, w)         =>  matmul(windows(pad x) as rows, w as columns)
    conv_weight(x, g)  =>  matmul(g as columns, windows(pad x) as rows)
    conv_input(g, w)   =>  fold(matmul(g as rows, w))
    pool_max(x)        =>  max over the axes of windows(x)
    pool_max_input     =>  fold(the cotangent where the largest is)
    fold(g)            =>  a sum of shifted parts, one for each element of the window

With stride s, `fold` is done for each residue of the position by s, and the residues are
interleaved.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

from .. import dtypes
from ..graph.node import Node
from ..graph.node import make as make_node
from ..ops import contract, reduce, window
from ..ops import elementwise as ew
from ..ops import movement as mv
from .rewrite import Rule, rewrite


def expand(roots: Sequence[Node]) -> list[Node]:
    """The roots with convolutions and windows expanded."""
    return rewrite(roots, RULES)


def _rows(x: Node, w_kernel: tuple[int, ...], attrs: tuple) -> Node:
    """The windows of padded x as (groups, N * S', K * C / groups)."""
    stride, padding, dilation, groups = attrs
    rank = len(w_kernel)
    x = mv.pad(x, ((0, 0), *padding, (0, 0)))
    wide = window.windows(x, w_kernel, stride, dilation)
    n_rows = prod(wide.shape[: 1 + rank])
    channels = x.shape[-1] // groups
    if groups == 1:
        return mv.reshape(wide, (1, n_rows, prod(w_kernel) * channels))
    split = mv.reshape(wide, (*wide.shape[:-1], groups, channels))
    last = len(split.shape) - 2
    front = mv.permute(split, (last, *range(last), last + 1))
    return mv.reshape(front, (groups, n_rows, prod(w_kernel) * channels))


def _grouped(g: Node, groups: int) -> Node:
    """(N, *S, O) as (groups, N * S, O / groups)."""
    n_rows, o = prod(g.shape[:-1]), g.shape[-1]
    if groups == 1:
        return mv.reshape(g, (1, n_rows, o))
    return mv.permute(mv.reshape(g, (n_rows, groups, o // groups)), (1, 0, 2))


def _ungrouped(y: Node, shape: tuple[int, ...]) -> Node:
    """(groups, rows, C) as (*shape) with channels of all groups side by side."""
    return mv.reshape(mv.permute(y, (1, 0, 2)), shape)


def _has_kernel(node: Node) -> bool:
    """Whether direct kernels compute this: floats that need no rounding, of at most three axes."""
    return node.dtype in (dtypes.float32, dtypes.float64) and len(node.shape) <= 5


def _conv(node: Node) -> Node | None:
    if _has_kernel(node):
        return None
    x, w = node.inputs
    groups = node.attrs[3]
    rows = _rows(x, w.shape[1:-1], node.attrs)
    weight = mv.reshape(w, (groups, w.shape[0] // groups, prod(w.shape[1:])))
    return _ungrouped(contract.matmul(rows, contract.transpose(weight)), node.shape)


POINTWISE = 1 << 16
"""Weights of a 1 x 1 kernel from which on their gradient is a product of matrices: it packs both
sides, where neighbouring pixels lie far apart."""


def _pointwise_weight(node: Node) -> Node | None:
    """conv_weight(x, g) = transposed g times x, both as (pixels, channels), for 1 x 1 kernels."""
    x, g = node.inputs
    kernel, stride, padding, _, groups = node.attrs
    o, c, *_ = node.shape
    moves = any(s != 1 for s in stride) or any(lo or hi for lo, hi in padding)
    if prod(kernel) != 1 or moves or groups != 1 or o * c < POINTWISE:
        return None
    pixels = prod(x.shape[:-1])
    columns = contract.transpose(mv.reshape(g, (pixels, o)))
    y = contract.matmul(columns, mv.reshape(x, (pixels, c)))
    return mv.reshape(y, node.shape)


def _conv_weight(node: Node) -> Node | None:
    x, g = node.inputs
    kernel, *rest = node.attrs
    if _has_kernel(node):
        return _pointwise_weight(node)
    rows = _rows(x, kernel, tuple(rest))
    columns = contract.transpose(_grouped(g, rest[3]))
    y = contract.matmul(columns, rows)
    by_tap = mv.reshape(y, (node.shape[0], *node.shape[2:], node.shape[1]))
    last = len(node.shape) - 1
    return mv.permute(by_tap, (0, last, *range(1, last)))


def _conv_input(node: Node) -> Node | None:
    if _has_kernel(node):
        return None
    g, w = node.inputs
    spatial, stride, padding, dilation, groups = node.attrs
    kernel = w.shape[1:-1]
    weight = mv.reshape(w, (groups, w.shape[0] // groups, prod(w.shape[1:])))
    wide = contract.matmul(_grouped(g, groups), weight)
    shape = (*g.shape[:-1], *kernel, node.shape[-1])
    if groups > 1:
        split = mv.reshape(wide, (groups, *g.shape[:-1], *kernel, w.shape[-1]))
        last = len(split.shape) - 1
        wide = mv.permute(split, (*range(1, last), 0, last))
    wide = mv.reshape(wide, shape)
    padded = tuple(n + lo + hi for n, (lo, hi) in zip(spatial, padding))
    y = window.fold(wide, padded, kernel, stride, dilation)
    inner = ((0, y.shape[0], 1), *((lo, n, 1) for n, (lo, _) in zip(spatial, padding)))
    return mv.slice_(y, (*inner, (0, y.shape[-1], 1)))


def _pool_max(node: Node) -> Node:
    kernel = node.attrs[0]
    rank = len(kernel)
    wide = window.windows(node.inputs[0], *node.attrs[:3])
    return reduce.reduce("max", wide, range(1 + rank, 1 + 2 * rank))


MOST_UNROLLED = 16
"""Elements of the largest window that the kernel of pool_max_input takes."""


def _pool_max_input(node: Node) -> Node | None:
    """The cotangent where each window's first largest element is, folded."""
    g, x = node.inputs
    kernel = node.attrs[0]
    if _has_kernel(node) and prod(kernel) <= MOST_UNROLLED:
        return None
    rank = len(kernel)
    here = window.is_first_largest(x, *node.attrs)
    kept = mv.reshape(g, (*g.shape[: 1 + rank], *(1,) * rank, g.shape[-1]))
    spread = ew.where(here, mv.expand(kept, here.shape), ew.const_like(g, 0))
    return window.fold(spread, x.shape[1:-1], *node.attrs[:3])


def _fold(node: Node) -> Node:
    """Sum the parts of each residue; see the module."""
    g = node.inputs[0]
    spatial, kernel, stride, dilation = node.attrs
    rank = len(kernel)
    if stride == kernel and all(d == 1 for d in dilation):
        return _tile(g, spatial, kernel)
    sizes = tuple(-(-n // s) for n, s in zip(spatial, stride))
    y = _interleave(g, sizes, (), kernel, stride, dilation)
    bounds = ((0, y.shape[0], 1), *((0, n, 1) for n in spatial), (0, y.shape[-1], 1))
    assert len(bounds) == rank + 2
    return mv.slice_(y, bounds)


def _tile(g: Node, spatial: tuple[int, ...], kernel: tuple[int, ...]) -> Node:
    """Windows that do not overlap, side by side; zeros where none reaches."""
    rank = len(kernel)
    axes = [0]
    for a in range(rank):
        axes += [1 + a, 1 + rank + a]
    side = mv.permute(g, (*axes, 1 + 2 * rank))
    sizes = tuple(g.shape[1 + a] * kernel[a] for a in range(rank))
    y = mv.reshape(side, (g.shape[0], *sizes, g.shape[-1]))
    return mv.pad(y, ((0, 0), *((0, n - m) for n, m in zip(spatial, sizes)), (0, 0)))


def _interleave(
    g: Node,
    sizes: tuple[int, ...],
    residues: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Node:
    """All positions along the axes after `residues`; along those before, of one residue each."""
    axis = len(residues)
    if axis == len(kernel):
        return _residue(g, sizes, residues, kernel, stride, dilation)
    parts = []
    for r in range(stride[axis]):
        part = _interleave(g, sizes, (*residues, r), kernel, stride, dilation)
        if stride[axis] == 1:
            return part
        parts.append(mv.reshape(part, (*part.shape[: 2 + axis], 1, *part.shape[2 + axis :])))
    joined = mv.concatenate(parts, 2 + axis)
    merged = (*joined.shape[: 1 + axis], sizes[axis] * stride[axis], *joined.shape[3 + axis :])
    return mv.reshape(joined, merged)


def _residue(
    g: Node,
    sizes: tuple[int, ...],
    residues: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Node:
    """y[q] for positions q stride + residue: the sum over k of g[q + (residue - k dilation) /
    stride, k] where that is a whole number."""
    rank = len(kernel)
    total: Node | None = None
    for k in itertools.product(*map(range, kernel)):
        shifts = []
        for r, i, s, d in zip(residues, k, stride, dilation):
            quotient, rest = divmod(r - i * d, s)
            if rest:
                break
            shifts.append(quotient)
        if len(shifts) < rank:
            continue
        part = _shifted(g, k, shifts, sizes)
        if part is not None:
            total = part if total is None else ew.add(total, part)
    shape = (g.shape[0], *sizes, g.shape[-1])
    return mv.expand(ew.const_like(g, 0), shape) if total is None else total


def _shifted(
    g: Node, k: tuple[int, ...], shifts: Sequence[int], sizes: tuple[int, ...]
) -> Node | None:
    """p[q] = g[q + shift, k], 0 where that is outside; None if it is nowhere inside."""
    bounds, widths = [(0, g.shape[0], 1)], [(0, 0)]
    for a, shift in enumerate(shifts):
        n = g.shape[1 + a]
        first, last = max(0, shift), min(n, sizes[a] + shift)
        if first >= last:
            return None
        bounds.append((first, last - first, 1))
        widths.append((first - shift, sizes[a] - (last - shift)))
    bounds += [(i, 1, 1) for i in k]
    bounds.append((0, g.shape[-1], 1))
    part = mv.slice_(g, tuple(bounds))
    rank = len(k)
    part = mv.reshape(part, (*part.shape[: 1 + rank], part.shape[-1]))
    return mv.pad(part, (*widths, (0, 0)))


def _widen(node: Node) -> Node | None:
    """What adds up many float16 or bfloat16 values does so in float32."""
    wide = node.dtype.compute
    if wide is node.dtype:
        return None
    inputs = tuple(ew.cast(x, wide) for x in node.inputs)
    return ew.cast(make_node(node.structure.op, inputs, node.structure.attrs), node.dtype)


RULES: dict[str, list[Rule]] = {
    "conv": [_conv],
    "conv_weight": [_conv_weight],
    "conv_input": [_widen, _conv_input],
    "pool_max": [_pool_max],
    "pool_max_input": [_pool_max_input],
    "fold": [_widen, _fold],
}

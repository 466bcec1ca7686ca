"""Depthwise convolutions, each channel by a kernel of its own, as products and sums of windows.

    conv(x, w)         =>  sum over k of windows(pad x) * w
    conv_input(g, w)   =>  fold(g * w)
    conv_weight(x, g)  =>  sum over positions of windows(pad x) * g

There is no sum over channels to fill register tiles with; loops over the channels read each element
as often as the kernel has elements, from cache.
"""

from __future__ import annotations

from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import window
from ..ops.reduce import sum_


def is_depthwise(channels: int, outputs: int, groups: int) -> bool:
    """Whether each of several groups has one channel (`channels` within a group) and one output."""
    return groups > 1 and channels == 1 and outputs == groups


def _taps(w: Node) -> Node:
    """(C, *K, 1) as (*K, C)."""
    rank = len(w.shape) - 2
    return mv.permute(mv.reshape(w, w.shape[:-1]), (*range(1, 1 + rank), 0))


def _at_taps(g: Node, rank: int) -> Node:
    """(N, *S, C) as (N, *S, 1, ..., 1, C), to meet windows."""
    return mv.reshape(g, (*g.shape[:-1], *(1,) * rank, g.shape[-1]))


def _padded(x: Node, padding: tuple[tuple[int, int], ...]) -> Node:
    return mv.pad(x, ((0, 0), *padding, (0, 0)))


def conv(node: Node) -> Node | None:
    """The rule of convolutions."""
    x, w = node.inputs
    stride, padding, dilation, groups = node.attrs
    if not is_depthwise(w.shape[-1], w.shape[0], groups):
        return None
    rank = len(stride)
    wide = window.windows(_padded(x, padding), w.shape[1:-1], stride, dilation)
    return sum_(ew.mul(wide, _taps(w)), range(1 + rank, 1 + 2 * rank))


def conv_input(node: Node) -> Node | None:
    """The rule of gradients for the input."""
    g, w = node.inputs
    spatial, stride, padding, dilation, groups = node.attrs
    if not is_depthwise(w.shape[-1], w.shape[0], groups):
        return None
    kernel, rank = w.shape[1:-1], len(stride)
    wide = ew.mul(_at_taps(g, rank), _taps(w))
    padded = tuple(n + lo + hi for n, (lo, hi) in zip(spatial, padding))
    y = window.fold(wide, padded, kernel, stride, dilation)
    inner = ((0, y.shape[0], 1), *((lo, n, 1) for n, (lo, _) in zip(spatial, padding)))
    return mv.slice_(y, (*inner, (0, y.shape[-1], 1)))


def conv_weight(node: Node) -> Node | None:
    """The rule of gradients for the weight."""
    x, g = node.inputs
    kernel, stride, padding, dilation, groups = node.attrs
    if not is_depthwise(node.shape[1], node.shape[0], groups):
        return None
    rank = len(kernel)
    wide = window.windows(_padded(x, padding), kernel, stride, dilation)
    taps = sum_(ew.mul(wide, _at_taps(g, rank)), range(1 + rank))
    return mv.reshape(mv.permute(taps, (rank, *range(rank))), node.shape)

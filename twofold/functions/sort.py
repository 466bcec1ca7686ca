"""Sorting and what follows from order: top-k, medians, quantiles, searching, unique values."""

from __future__ import annotations

from math import prod
from typing import Any

from .. import dtypes
from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import sort as st
from ..tensor import Tensor, wrap, wrap_dim
from ._registry import both, function
from .gather import gather_node
from .reduction import ValuesIndices


def _rows(x: Node, dim: int) -> tuple[Node, int, tuple[int, ...]]:
    """x with `dim` last as rows (B, N); the axis, and x's shape with it last."""
    axis = wrap_dim(dim, len(x.shape))
    order = (*(a for a in range(len(x.shape)) if a != axis), axis)
    moved = mv.permute(x, order)
    n = x.shape[axis]
    return mv.reshape(moved, (prod(moved.shape[:-1]), n)), axis, moved.shape[:-1]


def _unrows(rows: Node, axis: int, before: tuple[int, ...]) -> Node:
    """Rows (B, K) as a tensor whose axis `axis` has K places."""
    wide = mv.reshape(rows, (*before, rows.shape[1]))
    order = list(range(len(before)))
    order.insert(axis, len(before))
    return mv.permute(wide, tuple(order))


def order_node(x: Node, dim: int, descending: bool) -> Node:
    """The positions that sort x along `dim`."""
    rows, axis, before = _rows(x, dim)
    return _unrows(st.argsort(rows, descending), axis, before)


def _picked(x: Node, dim: int, index: Node) -> ValuesIndices:
    values = gather_node(x, wrap_dim(dim, len(x.shape)), index)
    return ValuesIndices(wrap(values), wrap(index))


@both()
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False
) -> ValuesIndices:
    """The values in order along `dim`, and where they were; always stable. NaN counts as largest.

    >>> import twofold as tf
    >>> tf.tensor([3, 1, 2]).sort().indices
    tensor([1, 2, 0])
    """
    x = input._node()
    if not x.shape:
        wrap_dim(dim, 0)
        return ValuesIndices(wrap(x), wrap(ew.constant(0, dtypes.int64)))
    return _picked(x, dim, order_node(x, dim, descending))


@both()
def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False
) -> Tensor:
    """The positions that sort `input` along `dim`; among equals the first stays first."""
    return sort(input, dim, descending).indices


@both()
def msort(input: Tensor) -> Tensor:
    """The values in order along the first axis."""
    return sort(input, 0).values


@both()
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesIndices:
    """The k largest (or smallest) values along `dim` in order, and where they were.

    RuntimeError if there are fewer than k.
    """
    x = input._node()
    if not x.shape:
        if k not in (0, 1):
            raise RuntimeError("selected index k out of range")
        return ValuesIndices(wrap(x), wrap(ew.constant(0, dtypes.int64)))
    if not 0 <= k <= x.shape[wrap_dim(dim, len(x.shape))]:
        raise RuntimeError(
            f"[topk] selected index k out of range; got {k} for shape {list(x.shape)}"
        )
    rows, axis, before = _rows(x, dim)
    return _picked(x, dim, _unrows(st.argtop(rows, k, largest), axis, before))


def _at_rank(x: Node, dim: int, rank: Node, keepdim: bool, name: str) -> ValuesIndices:
    """The value of each row whose place in ascending order is `rank` ((B, 1) or (1, 1))."""
    rows, axis, before = _rows(x, dim)
    if not rows.shape[1]:
        raise IndexError(f"[{name}] Expected reduction dim {axis} to have non-zero size.")
    order = st.argsort(rows, False)
    at = mv.expand(rank, (rows.shape[0], 1))
    index = gather_node(order, 1, at)
    values = gather_node(rows, 1, index)
    return ValuesIndices(*(_reduced(y, axis, before, keepdim) for y in (values, index)))


def _reduced(y: Node, axis: int, before: tuple[int, ...], keepdim: bool) -> Tensor:
    return wrap(_unrows(y, axis, before) if keepdim else mv.reshape(y, before))


@both()
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The k-th smallest value along `dim`, counted from 1, and where it was."""
    x = input._node()
    n = x.shape[wrap_dim(dim, len(x.shape))] if x.shape else 1
    if not 1 <= k <= n:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}")
    if not x.shape:
        return ValuesIndices(wrap(x), wrap(ew.constant(0, dtypes.int64)))
    rank = mv.reshape(ew.number(k - 1, dtypes.int64), (1, 1))
    return _at_rank(x, dim, rank, keepdim, "kthvalue")

"""Sorting and what follows from order: top-k, medians, quantiles, searching, unique values."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .. import dtypes, engine
from ..graph.node import Node, make
from ..ops import elementwise as ew
from ..ops import index as ix
from ..ops import movement as mv
from ..ops import scan as sc
from ..ops import sort as st
from ..ops.reduce import ARGMAX, SUM
from ..tensor import Tensor, number, wrap, wrap_dim
from ._registry import both, function
from .casting import in_float32
from .gather import gather_node, places
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
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
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


def _rank_of_median(rows: Node, ignore_nan: bool) -> Node:
    """The place of the lower median in each ascending row (B, N): (B, 1). A NaN, which stands after
    all numbers, is the median of a row that has one, unless it is to be ignored."""
    b, n = rows.shape
    middle = ew.number(max(0, (n - 1) // 2), dtypes.int64)
    if not rows.dtype.is_floating_point:
        return mv.expand(mv.reshape(middle, (1, 1)), (b, 1))
    present = ew.cast(ew.not_(ew.isnan(rows)), dtypes.int64)
    count = mv.reshape(make(SUM, (present,), ((1,),)), (b, 1))
    if ignore_nan:
        one, two = ew.constant(1, dtypes.int64), ew.constant(2, dtypes.int64)
        half = ew.floordiv(ew.sub(count, one), two)
        return ew.maximum(half, ew.constant(0, dtypes.int64))
    return ew.where(ew.lt(count, ew.number(n, dtypes.int64)), count, middle)


def _median(input: Tensor, dim: int | None, keepdim: bool, ignore_nan: bool) -> Any:
    x = input._node()
    name = "nanmedian" if ignore_nan else "median"
    if dim is None:
        flat = mv.reshape(x, (1, prod(x.shape)))
        if not prod(x.shape):
            return wrap(mv.reshape(ew.constant(float("nan"), x.dtype), ()))
        return _at_rank(flat, 1, _rank_of_median(flat, ignore_nan), False, name).values.reshape(())
    if not x.shape:
        wrap_dim(dim, 0)
        return ValuesIndices(wrap(x), wrap(ew.constant(0, dtypes.int64)))
    rows, _, _ = _rows(x, dim)
    return _at_rank(x, dim, _rank_of_median(rows, ignore_nan), keepdim, name)


@both()
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the middle values, over all elements; with `dim` along it, and where it was. NaN
    if there is one.

    >>> import twofold as tf
    >>> tf.tensor([4.0, 1.0, 3.0, 2.0]).median()
    tensor(2.)
    """
    return _median(input, dim, keepdim, False)


@both()
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that are not NaN."""
    return _median(input, dim, keepdim, True)


@both()
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent value along `dim`, the smallest of several, and the last place it is at."""
    x = input._node()
    if not x.shape:
        return ValuesIndices(wrap(x), wrap(ew.constant(0, dtypes.int64)))
    rows, axis, before = _rows(x, dim)
    b, n = rows.shape
    if not n:
        raise IndexError(f"mode(): Expected reduction dim {axis} to have non-zero size.")
    order = st.argsort(rows, False)
    values = gather_node(rows, 1, order)
    j = mv.expand(mv.reshape(mv.iota(n), (1, n)), (b, n))
    begins = _differs_from_last(values)
    marks = ew.where(begins, j, ew.const_like(j, -1))
    start = make(sc.CUMARGMAX, (mv.reshape(marks, (b, n, 1)),))
    run = ew.sub(j, mv.reshape(start, (b, n)))
    best = mv.reshape(make(ARGMAX, (run,), ((1,),)), (b, 1))
    index = gather_node(order, 1, best)
    return ValuesIndices(
        *(_reduced(y, axis, before, keepdim) for y in (gather_node(rows, 1, index), index))
    )


def _differs_from_last(values: Node) -> Node:
    """Whether each of a row (B, N) differs from the one before it; the first does."""
    b, n = values.shape
    if not n:
        return mv.expand(ew.constant(1, dtypes.bool_), values.shape)
    later = mv.slice_(values, ((0, b, 1), (1, n - 1, 1)))
    sooner = mv.slice_(values, ((0, b, 1), (0, n - 1, 1)))
    return mv.pad(ew.ne(later, sooner), ((0, 0), (1, 0)), ew.constant(1, dtypes.bool_))


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(
    input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool
) -> Tensor:
    name = "nanquantile" if ignore_nan else "quantile"
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    x = input._node()
    if x.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        at = ew.number(float(q), x.dtype)
    else:
        at = q._node()
        if at.dtype is not x.dtype:
            raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
        if len(at.shape) > 1:
            raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    flat = dim is None or not x.shape
    wide = mv.reshape(x, (prod(x.shape),)) if flat else x
    rows, axis, before = _rows(wide, -1 if flat else dim)  # type: ignore[arg-type]
    b, n = rows.shape
    if not n:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    k = prod(at.shape)
    ordered = gather_node(rows, 1, st.argsort(rows, False))
    present = ew.cast(ew.not_(ew.isnan(rows)), dtypes.int64)
    count = mv.reshape(make(SUM, (present,), ((1,),)), (b, 1))
    total = ew.number(n, dtypes.int64)
    last = ew.sub(ew.maximum(count, ew.constant(1, dtypes.int64)), ew.constant(1, dtypes.int64))
    whole = last if ignore_nan else mv.expand(ew.sub(total, ew.constant(1, dtypes.int64)), (b, 1))
    places = ew.mul(mv.reshape(at, (1, k)), ew.cast(whole, x.dtype))
    if not ignore_nan:
        # A row with a NaN has NaN for all its quantiles: its last value.
        spoiled = ew.lt(count, total)
        places = ew.where(spoiled, ew.cast(whole, x.dtype), places)
    if interpolation == "lower":
        places = ew.floor(places)
    elif interpolation == "higher":
        places = ew.ceil(places)
    elif interpolation == "nearest":
        places = ew.round_(places)
    floor = ew.floor(places)
    low = gather_node(ordered, 1, ew.cast(floor, dtypes.int64))
    if interpolation in ("linear", "midpoint"):
        high = gather_node(ordered, 1, ew.cast(ew.ceil(places), dtypes.int64))
        share = ew.sub(places, floor)
        if interpolation == "midpoint":
            share = ew.where(
                ew.eq(share, ew.const_like(share, 0)), share, ew.const_like(share, 0.5)
            )
        same = ew.eq(share, ew.const_like(share, 0))
        moved = ew.add(low, ew.mul(ew.sub(high, low), share))
        low = ew.where(same, low, moved)
    result = mv.permute(low, (1, 0))
    shape = before if not keepdim else (*before, 1)
    result = mv.reshape(result, (*at.shape, *shape))
    if keepdim and not flat:
        lead = len(at.shape)
        order = [lead + a for a in range(len(before))]
        order.insert(axis, lead + len(before))
        result = mv.permute(result, (*range(lead), *order))
    elif keepdim:
        result = mv.reshape(result, (*at.shape, *(1,) * len(x.shape)))
    return wrap(result)


@both()
@in_float32
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Tensor:  # fmt: skip
    """The value below which a share q of [0, 1] of the elements lies, over all or along `dim`; for
    a vector q, along a new first axis. NaN if there is one."""
    return _quantile(input, q, dim, keepdim, interpolation, False)


@both()
@in_float32
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Tensor:  # fmt: skip
    """`quantile` of the elements that are not NaN."""
    return _quantile(input, q, dim, keepdim, interpolation, True)


# Searching.


@function()
def searchsorted(
    sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False,
    side: str | None = None, sorter: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where each value of input would be put into the ascending last axis of sorted_sequence:
    before its equals, or with `right` (side="right") after them.

    >>> import twofold as tf
    >>> tf.searchsorted(tf.tensor([1, 3, 5]), tf.tensor([3, 6]))
    tensor([1, 3])
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left "
            "while right was True"
        )
    seq = sorted_sequence._node()
    if sorter is not None:
        seq = gather_node(seq, len(seq.shape) - 1, sorter._node())
    if isinstance(input, Tensor):
        v = input._node()
        if v.dtype is not seq.dtype:
            raise RuntimeError(
                "torch.searchsorted(): boundary tensor and input value tensor should have same "
                f"dtype, but got boundary tensor's dtype {seq.dtype} and input value tensor's "
                f"dtype {v.dtype}"
            )
    else:
        v = number(input, seq.dtype)
    n = seq.shape[-1]
    if len(seq.shape) == 1:
        rows, values = mv.reshape(seq, (1, n)), mv.reshape(v, (1, prod(v.shape)))
    elif v.shape[:-1] == seq.shape[:-1] and v.shape:
        b = prod(seq.shape[:-1])
        rows, values = mv.reshape(seq, (b, n)), mv.reshape(v, (b, v.shape[-1]))
    else:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(seq.shape)} and input value tensor {list(v.shape)}"
        )
    y = make(st.SEARCHSORTED, (rows, values), (right or side == "right",))
    y = mv.reshape(y, v.shape)
    return wrap(ew.cast(y, dtypes.int32) if out_int32 else y)


@function()
def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:
    """Which of the intervals between ascending boundaries holds each value of input."""
    if boundaries.dim() != 1:
        raise RuntimeError("boundaries tensor must be 1 dimension, but got dim("
                           f"{boundaries.dim()})")  # fmt: skip
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@function()
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """Whether each element is one of test_elements."""
    like = elements if isinstance(elements, Tensor) else test_elements
    x = elements._node() if isinstance(elements, Tensor) else number(elements, like.dtype)
    t = test_elements._node() if isinstance(test_elements, Tensor) else number(
        test_elements, like.dtype
    )  # fmt: skip
    dtype = dtypes.promote(x.dtype, t.dtype)
    x, t = ew.cast(x, dtype), ew.cast(mv.reshape(t, (prod(t.shape),)), dtype)
    if dtype is dtypes.bool_:
        x, t = ew.cast(x, dtypes.uint8), ew.cast(t, dtypes.uint8)
    n = t.shape[0]
    if not n:
        return wrap(mv.expand(ew.constant(invert, dtypes.bool_), x.shape))
    ordered = wrap(t).sort().values
    place = searchsorted(ordered, wrap(x))._node()
    place = ew.minimum(place, number(n - 1, dtypes.int64))
    found = ew.eq(ix.gather(ordered._node(), [place]), x)
    return wrap(ew.not_(found) if invert else found)


# Unique values.


def _groups(values: Node, order: Node | None, n: int) -> tuple[Node, Tensor, Tensor]:
    """For values whose equals are neighbours: where each group begins, and for each place of
    `order` (else in order) the number of its group, and the sizes of the groups."""
    begins = wrap(mv.reshape(_differs_from_last(mv.reshape(values, (1, n))), (n,)))
    first = places(begins)
    one = ew.constant(1, dtypes.int64)
    counted = mv.reshape(ew.cast(begins._node(), dtypes.int64), (1, n, 1))
    group = ew.sub(mv.reshape(make(sc.CUMSUM, (counted,), (False,)), (n,)), one)
    if order is not None:
        zeros = mv.expand(ew.constant(0, dtypes.int64), (n,))
        group = ix.scatter("scatter_set", zeros, group, [order])
    ends = mv.pad(
        mv.slice_(first, ((1, max(0, first.shape[0] - 1), 1),)),
        ((0, min(1, first.shape[0])),),
        number(n, dtypes.int64),
    )
    return first, wrap(group), wrap(ew.sub(ends, first))


def _answer(y: Tensor, inverse: Tensor | None, counts: Tensor | None) -> Any:
    given = [t for t in (y, inverse, counts) if t is not None]
    return given[0] if len(given) == 1 else tuple(given)


@both()
def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The different values in ascending order (with `dim`, the different slices), then, if asked
    for, for each element the place of its value, and how often each is met. Looks at the values."""
    if dim is not None:
        return _unique_slices(input, dim, return_inverse, return_counts, False)
    x = input.detach()._node()
    n = prod(x.shape)
    flat = mv.reshape(x, (n,))
    order = mv.reshape(st.argsort(mv.reshape(flat, (1, n)), False), (n,))
    values = ix.gather(flat, [order])
    first, inverse, counts = _groups(values, order, n)
    return _answer(
        wrap(ix.gather(values, [first])),
        inverse.reshape(x.shape) if return_inverse else None,
        counts if return_counts else None,
    )


@both()
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The values with neighbours that equal the one before them left out; else as `unique`."""
    if dim is not None:
        return _unique_slices(input, dim, return_inverse, return_counts, True)
    x = input.detach()._node()
    n = prod(x.shape)
    flat = mv.reshape(x, (n,))
    first, inverse, counts = _groups(flat, None, n)
    return _answer(
        wrap(ix.gather(flat, [first])),
        inverse.reshape(x.shape) if return_inverse else None,
        counts if return_counts else None,
    )


def _unique_slices(
    input: Tensor, dim: int, return_inverse: bool, return_counts: bool, consecutive: bool
) -> Any:
    """Unique slices along `dim`, found by NumPy."""
    axis = wrap_dim(dim, input.dim())
    array = np.moveaxis(input.detach()._held(), axis, 0)
    rows = array.reshape(array.shape[0], prod(array.shape[1:]))
    n = rows.shape[0]
    order = np.arange(n)
    if not consecutive and rows.shape[1]:
        order = np.lexsort(rows.T[::-1])
    ranked = rows[order]
    begins = np.ones(n, bool)
    begins[1:] = (ranked[1:] != ranked[:-1]).any(1)
    first = np.nonzero(begins)[0]
    group = np.empty(n, np.int64)
    group[order] = np.cumsum(begins) - 1
    counts = np.diff(np.append(first, n))
    where = wrap(engine.from_numpy(order[first].astype(np.int64), share=True))
    return _answer(
        input.detach().index_select(axis, where),
        wrap(engine.from_numpy(group, share=True)) if return_inverse else None,
        wrap(engine.from_numpy(counts.astype(np.int64), share=True)) if return_counts else None,
    )

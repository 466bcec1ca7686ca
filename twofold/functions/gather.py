"""Reading and writing at positions that are data: gather, scatter, index_* and what is made of
them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .. import dtypes, engine
from ..dtypes import DType
from ..graph.node import Node, make, recorder
from ..graph.types import broadcast_shapes
from ..ops import elementwise as ew
from ..ops import index as ix
from ..ops import movement as mv
from ..ops import scan as sc
from ..ops.custom import identity as ew_identity
from ..ops.custom import replace
from ..tensor import Tensor, broadcast_to, number, wrap, wrap_dim
from ._registry import both, function, method
from .arithmetic import to_bool

INDEX_DTYPES = (dtypes.int32, dtypes.int64)


def _at_least_1d(x: Node) -> Node:
    return x if x.shape else mv.reshape(x, (1,))


def _index_node(name: str, index: Tensor, names: str = "int32/int64") -> Node:
    """The node of an index tensor. RuntimeError unless it is of integers."""
    if index.dtype not in INDEX_DTYPES:
        raise RuntimeError(f"{name}(): Expected dtype {names} for index; got {index.dtype}")
    return index._node()


def _along(name: str, x: Node, dim: int, index: Node, limit: tuple[int, ...] | None = None) -> int:
    """The axis that gather and scatter go along. RuntimeError unless the shapes fit: no axis of
    index is longer than that of x, save `dim`, nor than that of `limit` (the source)."""
    rank = len(x.shape)
    if len(index.shape) != rank:
        raise RuntimeError(
            f"[{name}] Index tensor must have the same number of dimensions as input tensor; "
            f"got {list(index.shape)} for {list(x.shape)}"
        )
    axis = wrap_dim(dim, rank)
    for a, n in enumerate(index.shape):
        if a != axis and n > x.shape[a] and 0 not in index.shape:
            raise RuntimeError(
                f"[{name}] Size does not match at dimension {a} expected index "
                f"{list(index.shape)} to be no larger than self {list(x.shape)} apart from "
                f"dimension {axis}"
            )
        if limit is not None and n > limit[a]:
            raise RuntimeError(
                f"[{name}] Expected index {list(index.shape)} to be no larger than src "
                f"{list(limit)}"
            )
    return axis


def _first(x: Node, shape: Sequence[int]) -> Node:
    """The leading corner of x of this shape."""
    return mv.slice_(x, tuple((0, n, 1) for n in shape))


def gather_node(x: Node, axis: int, index: Node, style: str = "gather") -> Node:
    """y[..., j, ...] = x[..., index[..., j, ...], ...] along `axis`; x is no smaller elsewhere."""
    rank = len(x.shape)
    corner = [x.shape[a] if a == axis else n for a, n in enumerate(index.shape)]
    order = (*(a for a in range(rank) if a != axis), axis)
    at = ix.checked(index, x.shape[axis], axis, style)
    y = ix.gather(
        mv.permute(_first(x, corner), order), [mv.permute(at, order)], batch_rank=rank - 1
    )
    return mv.permute(y, mv.inverse_permutation(order))


def scatter_node(
    mode: str, x: Node, axis: int, index: Node, v: Node, style: str = "gather"
) -> Node:
    """x with v[..., j, ...] written (see ops' `mode`) to x[..., index[..., j, ...], ...]."""
    at = ix.checked(index, x.shape[axis], axis, style)
    same = all(n == m for a, (n, m) in enumerate(zip(x.shape, index.shape)) if a != axis)
    if not same:
        places = [at if a == axis else _coordinate(index.shape, a) for a in range(len(index.shape))]
        return ix.scatter(mode, x, v, places)
    before, after = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    shape: tuple[int, ...] = (before, index.shape[axis], after)
    repeated = _repeated_rows(index, axis)
    if repeated is not None and after != 1:
        at = ix.checked(mv.reshape(repeated, shape[:2]), x.shape[axis], axis, style)
        wide = mv.reshape(x, (before, x.shape[axis], after))
        return mv.reshape(ix.scatter(mode, wide, mv.reshape(v, shape), [at], batch_rank=1), x.shape)
    places = [mv.reshape(at, shape)]
    if after != 1:
        places.append(_coordinate(shape, 2))
    whole = (before, x.shape[axis], after)[: 1 + len(places)]
    shape = shape[: 1 + len(places)]
    places = [mv.reshape(i, shape) for i in places]
    y = ix.scatter(mode, mv.reshape(x, whole), mv.reshape(v, shape), places, batch_rank=1)
    return mv.reshape(y, x.shape)


def _repeated_rows(index: Node, axis: int) -> Node | None:
    """The index without its axes after `axis`, if it is expanded along them."""
    if index.value is not None or index.structure.op is not mv.EXPAND:
        return None
    x = index.inputs[0]
    lead = len(index.shape) - len(x.shape)
    own = (1,) * lead + x.shape
    if any(n != 1 for n in own[axis + 1 :]):
        return None
    return mv.expand(mv.reshape(x, own[: axis + 1]), index.shape[: axis + 1])


def _coordinate(shape: Sequence[int], axis: int) -> Node:
    """The coordinate along `axis` of every element of `shape`."""
    own = [n if a == axis else 1 for a, n in enumerate(shape)]
    return mv.expand(mv.reshape(mv.iota(shape[axis]), tuple(own)), tuple(shape))


@both()
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """y[i][j] = input[i][index[i][j]] for dim = 1, and so for other axes; shaped like index.

    >>> import twofold as tf
    >>> tf.tensor([[1, 2], [3, 4]]).gather(1, tf.tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    if not index.numel():  # of whatever dtype and number of axes
        return input.reshape(-1)[:0].reshape(index.shape)
    i = _index_node("gather", index)
    x = _at_least_1d(input._node())
    axis = _along("gather", x, dim, _at_least_1d(i))
    return wrap(mv.reshape(gather_node(x, axis, _at_least_1d(i)), i.shape))


@both()
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """gather whose other axes broadcast; without dim, over all elements."""
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    x, i = input._node(), _index_node("take_along_dim", indices)
    if len(x.shape) != len(i.shape):
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of "
            f"dimensions, but got {len(x.shape)} dimensions for input, and {len(i.shape)} "
            "dimensions for indices"
        )
    axis = wrap_dim(dim, len(x.shape))
    below = ew.lt(i, ew.constant(0, i.dtype))
    i = ew.where(below, ew.add(i, number(x.shape[axis], i.dtype)), i)
    common = [max(n, m) if 0 not in (n, m) else 0 for n, m in zip(x.shape, i.shape)]
    x = broadcast_to(x, tuple(x.shape[axis] if a == axis else n for a, n in enumerate(common)))
    i = broadcast_to(i, tuple(i.shape[axis] if a == axis else n for a, n in enumerate(common)))
    return wrap(gather_node(x, axis, i))


_REDUCE = {"add": "scatter_add", "multiply": "scatter_mul"}


def _source(x: Node, src: Any) -> Node:
    """src as a node of x's dtype. RuntimeError for a tensor of another dtype."""
    if not isinstance(src, Tensor):
        return number(src, x.dtype)
    if src.dtype is not x.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    return src._node()


def _scattered(name: str, mode: str, input: Tensor, dim: int, index: Tensor, src: Any) -> Tensor:
    i = _at_least_1d(_index_node(name, index, "int64"))
    own = input._node()
    x, v = _at_least_1d(own), _source(own, src)
    if isinstance(src, Tensor):
        v = _at_least_1d(v)
        axis = _along(name, x, dim, i, v.shape)
        v = _first(v, i.shape)
    else:
        axis = _along(name, x, dim, i)
        v = broadcast_to(v, i.shape)
    return wrap(mv.reshape(scatter_node(mode, x, axis, i, v), own.shape))


@both(inplace=True)
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None,
    reduce: str | None = None,
) -> Tensor:  # fmt: skip
    """input with src[i][j] written to [i][index[i][j]] for dim = 1; the last of several stays.

    `reduce` is None, "add" or "multiply". RuntimeError for a position out of range.
    """
    if reduce is not None and reduce not in _REDUCE:
        raise RuntimeError(
            f"[scatter] reduce argument must be either add or multiply; got {reduce}"
        )
    mode = "scatter_set" if reduce is None else _REDUCE[reduce]
    return _scattered("scatter", mode, input, dim, index, value if src is None else src)


@both(inplace=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """input with src[i][j] added to [i][index[i][j]] for dim = 1, in the order of j."""
    return _scattered("scatter_add", "scatter_add", input, dim, index, src)


_REDUCTIONS = {
    "sum": "scatter_add",
    "mean": "scatter_add",
    "prod": "scatter_mul",
    "amax": "scatter_max",
    "amin": "scatter_min",
}


def _reduce_start(name: str, dtype: DType) -> Any:
    """What a reduction starts from where the input does not count."""
    if name in ("sum", "mean"):
        return 0
    if name == "prod":
        return 1
    if dtype.is_floating_point:
        return float("-inf") if name == "amax" else float("inf")
    if dtype is dtypes.bool_:
        return name == "amin"
    bits = 8 * dtype.itemsize - dtype.is_signed
    if name == "amin":
        return (1 << bits) - 1
    return -(1 << bits) if dtype.is_signed else 0


@both(inplace=True)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """input with src[i][j] combined into [i][index[i][j]] for dim = 1 by "sum", "prod", "mean",
    "amax" or "amin"; without include_self, the input counts only where nothing is written."""
    if reduce not in _REDUCTIONS:
        raise RuntimeError(
            "[scatter_reduce] reduce argument must be either sum, prod, mean, amax or amin; "
            f"got {reduce}"
        )
    i = _at_least_1d(_index_node("scatter_reduce", index, "int64"))
    own = input._node()
    x, v = _at_least_1d(own), _at_least_1d(_source(own, src))
    axis = _along("scatter_reduce", x, dim, i, v.shape)
    v = _first(v, i.shape)
    y = reduce_node(reduce, x, axis, i, v, include_self, scatter_node)
    return wrap(mv.reshape(y, own.shape))


def reduce_node(
    reduce: str, x: Node, axis: int, i: Node, v: Node, include_self: bool, write: Any
) -> Node:
    """x with v combined into it; `write` is `scatter_node` or `put_rows`."""
    start = x
    if not include_self:
        identity = number(_reduce_start(reduce, x.dtype), x.dtype)
        start = write("scatter_set", x, axis, i, broadcast_to(identity, v.shape))
    y = write(_REDUCTIONS[reduce], start, axis, i, v)
    if reduce != "mean":
        return y
    zero, one = ew.constant(0, dtypes.int64), ew.constant(1, dtypes.int64)
    base = broadcast_to(one if include_self else zero, x.shape)
    count = write("scatter_add", base, axis, i, broadcast_to(one, v.shape))
    count = ew.where(ew.eq(count, zero), one, count)
    if x.dtype.is_floating_point:
        return ew.div(y, ew.cast(count, x.dtype))
    return ew.floordiv(y, ew.cast(count, x.dtype))


# Whole rows along an axis.


def _vector_index(name: str, index: Tensor) -> Node:
    """The node of a vector of positions. IndexError for more axes."""
    i = _index_node(name, index)
    if len(i.shape) > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector; got {list(i.shape)}")
    return _at_least_1d(i)


def take_rows(x: Node, axis: int, index: Node, style: str = "select") -> Node:
    """x at positions `index` (any shape) along `axis`."""
    rank = len(x.shape)
    order = (axis, *(a for a in range(rank) if a != axis))
    y = ix.gather(mv.permute(x, order), [ix.checked(index, x.shape[axis], axis, style)])
    n = len(index.shape)
    return mv.permute(y, (*range(n, n + axis), *range(n), *range(n + axis, n + rank - 1)))


def put_rows(mode: str, x: Node, axis: int, index: Node, v: Node) -> Node:
    """x with v, whose extent along `axis` is that of the vector `index`, written along `axis`."""
    before, after = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    n, s = x.shape[axis], index.shape[0]
    at = broadcast_to(ix.checked(index, n, axis, "select"), (before, s))
    y = ix.scatter(
        mode, mv.reshape(x, (before, n, after)), mv.reshape(v, (before, s, after)), [at], 1
    )
    return mv.reshape(y, x.shape)


@both()
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """input at the positions in the vector `index` along `dim`. IndexError if one is out of
    range."""
    own = input._node()
    x = _at_least_1d(own)
    axis = wrap_dim(dim, len(x.shape))
    y = take_rows(x, axis, _vector_index("index_select", index))
    return wrap(y if own.shape else mv.reshape(y, ()))


def _rows_written(
    name: str, mode: str, input: Tensor, dim: int, index: Tensor, source: Tensor, alpha: Any = 1
) -> Tensor:
    own = input._node()
    x, i = _at_least_1d(own), _vector_index(name, index)
    axis = wrap_dim(dim, len(x.shape))
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}(): self and source expected to have the same dtype, but got (self) "
            f"{input.dtype} and (source) {source.dtype}"
        )
    v = _at_least_1d(source._node())
    wanted = tuple(i.shape[0] if a == axis else n for a, n in enumerate(x.shape))
    if v.shape != wanted:
        raise RuntimeError(
            f"{name}(): the source must have the input's shape, with as many rows along dim {axis} "
            f"as index has; got {list(v.shape)}, expected {list(wanted)}"
        )
    if alpha != 1 and x.dtype is dtypes.bool_:
        v = ew.and_(v, ew.constant(bool(alpha), x.dtype))
    elif alpha != 1:
        v = ew.mul(v, number(alpha, x.dtype))
    return wrap(mv.reshape(put_rows(mode, x, axis, i, v), own.shape))


@both(inplace=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """input with alpha times each row of source along `dim` added to row index[j]."""
    return _rows_written("index_add", "scatter_add", input, dim, index, source, alpha)


@both(inplace=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """input with each row of source along `dim` written to row index[j]."""
    if recorder.autocast is not None:
        dtype = dtypes.result_type([(input.dtype, 2), (source.dtype, 2)])
        input, source = input.to(dtype), source.to(dtype)
    return _rows_written("index_copy", "scatter_set", input, dim, index, source)


@both(inplace=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """input with the rows `index` along `dim` filled with a number (or a 0-d tensor)."""
    own = input._node()
    x, i = _at_least_1d(own), _vector_index("index_fill", index)
    axis = wrap_dim(dim, len(x.shape))
    v = ew.cast(value._node(), x.dtype) if isinstance(value, Tensor) else number(value, x.dtype)
    if v.shape:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{len(v.shape)} dimension(s)."
        )
    shape = tuple(i.shape[0] if a == axis else n for a, n in enumerate(x.shape))
    y = put_rows("scatter_set", x, axis, i, broadcast_to(v, shape))
    return wrap(mv.reshape(y, own.shape))


@both(inplace=True)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *,
    include_self: bool = True,
) -> Tensor:  # fmt: skip
    """input with each row of source combined into row index[j] by "prod", "mean", "amax",
    "amin"."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"[index_reduce] reduce argument must be either prod, mean, amax or amin; got {reduce}"
        )
    own = input._node()
    x, i = _at_least_1d(own), _vector_index("index_reduce", index)
    axis = wrap_dim(dim, len(x.shape))
    v = _at_least_1d(_source(own, source))
    return wrap(mv.reshape(reduce_node(reduce, x, axis, i, v, include_self, put_rows), own.shape))


# Flat positions.


@both()
def take(input: Tensor, index: Tensor) -> Tensor:
    """input at flat row-major positions, negative ones from the end; shaped like index."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index.dtype}")
    x = input._node()
    flat = mv.reshape(x, (prod(x.shape),))
    return wrap(ix.gather(flat, [ix.checked(index._node(), flat.shape[0], 0, "take")]))


@both()
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """input with source written (or added) at flat row-major positions."""
    x, v = input._node(), source._node()
    if v.dtype is not x.dtype:
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{x.dtype} and source.dtype = {v.dtype}"
        )
    i = index._node()
    if prod(i.shape) != prod(v.shape):
        raise RuntimeError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {prod(v.shape)}, index.numel() = {prod(i.shape)}"
        )
    n = prod(x.shape)
    at = mv.reshape(ix.checked(i, n, 0, "take"), (prod(i.shape),))
    mode = "scatter_add" if accumulate else "scatter_set"
    y = ix.scatter(mode, mv.reshape(x, (n,)), mv.reshape(v, at.shape), [at])
    return wrap(mv.reshape(y, x.shape))


@method("put_")
def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`put`, written to this tensor."""
    return self._assign(put(self, index, source, accumulate))


# Rows of a table.


@function()
def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Rows of `weight` (V, *D) named by `indices` (*S): (*S, *D). The row padding_idx, if it is not
    negative, gets no gradient. IndexError for a row that is not there."""
    w = weight._node()
    if not w.shape:
        raise RuntimeError("[embedding] 'weight' must be 2-D; got a 0-d tensor")
    i = _index_node("embedding", indices)
    y = ix.gather(w, [ix.checked(i, w.shape[0], 0, "select")])
    if scale_grad_by_freq:
        flat = mv.reshape(ew.cast(i, dtypes.int64), (prod(i.shape),))
        zeros = broadcast_to(ew.constant(0, w.dtype), (w.shape[0],))
        ones = broadcast_to(ew.constant(1, w.dtype), flat.shape)
        times = ix.scatter("scatter_add", zeros, ones, [flat])
        share = mv.reshape(ix.gather(times, [flat]), (*i.shape, *(1,) * (len(w.shape) - 1)))
        # The value stays; its gradient is divided by how often the row was asked for.
        y = replace(ew.div(y, share), ew.detach(y))
    if padding_idx >= 0 and y.requires_grad:
        is_padding = ew.eq(i, ew.cast(number(padding_idx, dtypes.int64), i.dtype))
        is_padding = mv.reshape(is_padding, (*i.shape, *(1,) * (len(w.shape) - 1)))
        y = ew.where(is_padding, ew.detach(y), y)
    return wrap(y)


@function()
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the class that each element names, else 0, along a new last axis; int64.

    RuntimeError for a class that is not there. Without num_classes the values are looked at.
    """
    if tensor.dtype is not dtypes.int64:
        raise RuntimeError(
            f"one_hot is only applicable to index tensor of type LongTensor; got {tensor.dtype}"
        )
    i = tensor._node()
    if num_classes == -1:
        if not prod(i.shape):
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = int(tensor.max().item()) + 1
    if num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    at = ix.checked(i, num_classes, 0, "class")
    wide = (*i.shape, num_classes)
    own = mv.expand(mv.iota(num_classes), wide)
    same = ew.eq(mv.expand(mv.reshape(at, (*i.shape, 1)), wide), own)
    return wrap(ew.cast(same, dtypes.int64))


def classes(
    target: Tensor, num_classes: int, ignored: int | None = None, style: str = "target"
) -> Tensor:
    """Each element of target as int64, 0 for `ignored`. Once it runs, the error of `style` (see
    `ops.index.STYLES`) for a class that is not there."""
    i = ew.cast(target._node(), dtypes.int64)
    if ignored is not None:
        i = ew.where(ew.eq(i, ew.constant(ignored, dtypes.int64)), ew.const_like(i, 0), i)
    return wrap(ix.checked(i, num_classes, 1, style))


def probabilities(x: Tensor, style: str) -> Tensor:
    """x. Once it or its gradient runs, the error of `style` (see `ops.index.STYLES`) for an element
    outside of 0 to 1, or NaN."""
    p = x._node()
    fits = ew.and_(ew.ge(p, ew.const_like(p, 0)), ew.le(p, ew.const_like(p, 1)))
    at = ix.checked(ew.not_(fits), 1, 0, style)
    return wrap(ew.where(ew.eq(at, ew.const_like(at, 0)), p, ew.const_like(p, 0)))


# Masks.


def places(mask: Tensor) -> Node:
    """The flat row-major positions where a mask (of any shape) holds; looks at its values."""
    held = to_bool(mask._node())
    count = _count(mask)
    if not held.shape:
        return mv.expand(ew.constant(0, dtypes.int64), (count,))
    return make(ix.NONZERO, (mv.reshape(held, (prod(held.shape),)),), (count,))


def _count(mask: Tensor) -> int:
    """How many elements of a mask hold."""
    return int(mask.detach().to(dtypes.bool_).sum().item())


@both()
def nonzero(input: Tensor, *, out: Tensor | None = None, as_tuple: bool = False) -> Any:
    """Where input is not 0: (count, dim) coordinates in row-major order, or a tuple of vectors, one
    for each axis. How many there are is looked at.

    >>> import twofold as tf
    >>> tf.tensor([[1, 0], [0, 5]]).nonzero()
    tensor([[0, 0],
            [1, 1]])
    """
    shape = tuple(input.shape)
    flat = places(input.detach() != 0)
    if as_tuple and not shape:
        return (wrap(flat),)
    columns = []
    step = prod(shape)
    for n in shape:
        step //= max(n, 1)
        column = flat
        if step != 1:
            column = ew.floordiv(column, number(step, dtypes.int64))
        if n != prod(shape) // max(step, 1):
            column = ew.floormod(column, number(n, dtypes.int64))
        columns.append(column)
    if as_tuple:
        return tuple(map(wrap, columns))
    count = flat.shape[0]
    if not shape:
        return wrap(mv.expand(ew.constant(0, dtypes.int64), (count, 0)))
    return wrap(mv.concatenate([mv.reshape(c, (count, 1)) for c in columns], 1))


@both()
def argwhere(input: Tensor) -> Tensor:
    """Where input is not 0, as rows of coordinates."""
    return nonzero(input)


@both()
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where mask holds, in row-major order; input and mask broadcast.

    How many there are is looked at.
    """
    if mask.dtype not in (dtypes.bool_, dtypes.uint8):
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes("masked_select", [tuple(input.shape), tuple(mask.shape)])
    count = _count(mask.expand(shape))
    n = prod(shape)
    held = mv.reshape(broadcast_to(to_bool(mask._node()), shape), (n,))
    x = mv.reshape(broadcast_to(input._node(), shape), (n,))
    return wrap(make(ix.MASKED_SELECT, (held, x), (count,)))


@both(inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """input with the elements of source, in order, written where mask holds."""
    x, v = input._node(), source._node()
    if v.dtype is not x.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {x.dtype} and "
            f"{v.dtype}"
        )
    shape = broadcast_shapes("masked_scatter", [x.shape, tuple(mask.shape)])
    held = broadcast_to(to_bool(mask._node()), shape)
    n = prod(shape)
    one = ew.constant(1, dtypes.int64)
    flat = mv.reshape(ew.cast(held, dtypes.int64), (1, n, 1))
    order = ew.sub(mv.reshape(make(sc.CUMSUM, (flat,), (False,)), shape), one)
    order = ew.where(held, order, ew.constant(0, dtypes.int64))
    if not prod(v.shape):
        if n and _count(mask):
            raise RuntimeError("masked_scatter: expected at least as many elements in source")
        return wrap(ew_identity(broadcast_to(x, shape)))
    at = ix.checked(order, prod(v.shape), 0, "masked_scatter")
    return wrap(
        ew.where(held, ix.gather(mv.reshape(v, (prod(v.shape),)), [at]), broadcast_to(x, shape))
    )


# Counting.


@both()
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, ... is met in a vector, or the sum of its weights there.

    The largest value is looked at. RuntimeError for negative values.
    """
    x = input._node()
    if len(x.shape) != 1 or x.dtype.kind not in ("int", "uint"):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    size = minlength
    if x.shape[0]:
        size = max(size, int(input.max().item()) + 1)
    if weights is None:
        v = mv.expand(ew.constant(1, dtypes.int64), x.shape)
    else:
        v = weights._node()
        if v.shape != x.shape:
            raise RuntimeError("weights should be 1-d and have the same length as input")
        v = v if v.dtype is dtypes.float32 else ew.cast(v, dtypes.float64)
    zeros = mv.expand(ew.constant(0, v.dtype), (size,))
    if size <= 0 and x.shape[0]:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    return wrap(ix.scatter("scatter_add", zeros, v, [ix.checked(x, size, 0, "bincount")]))


@both()
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of `bins` equal parts of [min, max]; others do not count.
    With min = max, the range of the values, which are looked at."""
    x = input._node()
    if not x.dtype.is_floating_point:
        raise RuntimeError(f"\"histc\" not implemented for '{x.dtype}'")
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    low, high = float(min), float(max)
    if low == high and input.numel():
        low, high = float(input.min().item()), float(input.max().item())
    if low == high:
        low, high = low - 1, high + 1
    if not low < high:
        raise RuntimeError("max must be larger than min")
    wide = ew.cast(mv.reshape(x, (prod(x.shape),)), dtypes.float64)
    first, last = number(low, dtypes.float64), number(high, dtypes.float64)
    inside = ew.and_(ew.ge(wide, first), ew.le(wide, last))
    scale = number(bins / (high - low), dtypes.float64)
    place = ew.cast(ew.floor(ew.mul(ew.sub(wide, first), scale)), dtypes.int64)
    place = ew.minimum(place, number(bins - 1, dtypes.int64))
    place = ew.where(inside, place, ew.constant(0, dtypes.int64))
    zeros = mv.expand(ew.constant(0, x.dtype), (bins,))
    at = ix.checked(place, bins, 0, "index")
    return wrap(ix.scatter("scatter_add", zeros, ew.cast(inside, x.dtype), [at]))


# Writing to parts that slices name.


@both()
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> Tensor:  # fmt: skip
    """input with src written to input[start:end:step] along `dim`."""
    x = input._node()
    axis = wrap_dim(dim, len(x.shape))
    first, stop, step = slice(start, end, step).indices(x.shape[axis])
    size = len(range(first, stop, step))
    bounds = [(0, n, 1) for n in x.shape]
    bounds[axis] = (first if size else 0, size, step)
    return _part_written("slice_scatter", x, src, bounds)


@both()
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """input with src written to the place `index` along `dim`."""
    x = input._node()
    axis = wrap_dim(dim, len(x.shape))
    n = x.shape[axis]
    if not -n <= index < n:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(x.shape)} at "
            f"dimension {axis}"
        )
    bounds = [(0, m, 1) for m in x.shape]
    bounds[axis] = (index % n, 1, 1)
    return _part_written("select_scatter", x, src.unsqueeze(axis), bounds)


def _part_written(name: str, x: Node, src: Tensor, bounds: list[tuple[int, int, int]]) -> Tensor:
    v = ew.cast(src._node(), x.dtype)
    wanted = tuple(size for _, size, _ in bounds)
    if v.shape != wanted:
        raise RuntimeError(
            f"[{name}] expected src to have a size equal to the slice of self; got "
            f"{list(v.shape)}, expected {list(wanted)}"
        )
    return wrap(mv.slice_put(x, v, tuple(bounds)))


@both()
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """input with src written to its diagonal, as `diagonal` gives it."""
    x = input._node()
    first, second = wrap_dim(dim1, len(x.shape)), wrap_dim(dim2, len(x.shape))
    order = (*(a for a in range(len(x.shape)) if a not in (first, second)), first, second)
    moved = mv.permute(x, order)
    rows, columns = moved.shape[-2:]
    up, down = (0, -offset) if offset < 0 else (offset, 0)
    size = max(0, min(rows - down, columns - up))
    v = src._node()
    if v.shape != (*moved.shape[:-2], size):
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(v.shape)}, "
            f"slice size = {[*moved.shape[:-2], size]}"
        )
    # Element j lies at (down + j, up + j); every other is read back from x.
    i, j = (mv.iota(n) for n in (rows, columns))
    i = mv.expand(mv.reshape(i, (rows, 1)), (rows, columns))
    j = mv.expand(mv.reshape(j, (1, columns)), (rows, columns))
    on = ew.eq(ew.add(i, number(offset, dtypes.int64)), j)
    if not size:
        return wrap(ew_identity(x))
    place = ew.sub(i, number(down, dtypes.int64))
    place = ew.where(on, place, ew.constant(0, dtypes.int64))
    lead = moved.shape[:-2]
    spread = mv.permute(v, (len(lead), *range(len(lead))))
    values = mv.permute(ix.gather(spread, [place]), (*range(2, 2 + len(lead)), 0, 1))
    result = ew.where(broadcast_to(on, moved.shape), ew.cast(values, x.dtype), moved)
    return wrap(mv.permute(result, mv.inverse_permutation(order)))


def _triangle_indices(row: int, col: int, offset: int, lower: bool, dtype: DType | None) -> Tensor:
    i, j = np.meshgrid(np.arange(row), np.arange(col), indexing="ij")
    inside = j - i <= offset if lower else j - i >= offset
    dtype = dtype or dtypes.int64
    found = np.stack(np.nonzero(inside)).astype(dtype.storage)
    return wrap(engine.from_numpy(found, dtype, share=True))


@function()
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: DType | None = None, device: Any = None
) -> Tensor:
    """The coordinates of a matrix's lower triangle, in row-major order: (2, count)."""
    return _triangle_indices(row, col, offset, True, dtype)


@function()
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: DType | None = None, device: Any = None
) -> Tensor:
    """The coordinates of a matrix's upper triangle, in row-major order: (2, count)."""
    return _triangle_indices(row, col, offset, False, dtype)

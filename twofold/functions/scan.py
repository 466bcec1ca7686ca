"""Running sums, products and extremes along an axis."""

from __future__ import annotations

from math import prod
from typing import Any

from .. import dtypes
from ..dtypes import DType
from ..graph.node import Node, make
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import scan as sc
from ..ops.base import Op
from ..tensor import Tensor, wrap, wrap_dim
from ._registry import both, function
from .arithmetic import to_float
from .gather import gather_node
from .reduction import ValuesIndices


def three_axes(x: Node, dim: int) -> tuple[Node, int]:
    """x as (before, n, after), where n is the extent along `dim`; and the axis."""
    axis = wrap_dim(dim, len(x.shape))
    if not x.shape:
        return mv.reshape(x, (1, 1, 1)), 0
    shape = (prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :]))
    return mv.reshape(x, shape), axis


def _scan(op: Op, x: Node, dim: int, *attrs: Any) -> Node:
    wide, _ = three_axes(x, dim)
    return mv.reshape(make(op, (wide,), attrs), x.shape)


def _summed(x: Node, dtype: DType | None) -> Node:
    """x in `dtype`, by default its own; integers and bools as int64."""
    if dtype is None:
        dtype = x.dtype if x.dtype.is_inexact else dtypes.int64
    return ew.cast(x, dtype)


@both(inplace=True)
def cumsum(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """y[n] = input[0] + ... + input[n] along `dim`; integers give int64.

    >>> import twofold as tf
    >>> tf.tensor([1, 2, 3]).cumsum(0)
    tensor([1, 3, 6])
    """
    return wrap(_scan(sc.CUMSUM, _summed(input._node(), dtype), dim, False))


@both(inplace=True)
def cumprod(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """y[n] = input[0] * ... * input[n] along `dim`; integers give int64."""
    return wrap(_scan(sc.CUMPROD, _summed(input._node(), dtype), dim, False))


@both()
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """y[n] = log(e^input[0] + ... + e^input[n]) along `dim`, without overflow."""
    return wrap(_scan(sc.LOGCUMSUMEXP, to_float(input._node()), dim, False))


def _running(op: Op, input: Tensor, dim: int) -> ValuesIndices:
    x = input._node()
    numbers = ew.cast(x, dtypes.uint8) if x.dtype is dtypes.bool_ else x
    index = _scan(op, numbers, dim)
    if not x.shape:
        return ValuesIndices(wrap(x), wrap(index))
    return ValuesIndices(wrap(gather_node(x, wrap_dim(dim, len(x.shape)), index)), wrap(index))


@both()
def cummax(input: Tensor, dim: int) -> ValuesIndices:
    """The largest value so far along `dim`, and the last place where it was met; NaN is largest."""
    return _running(sc.CUMARGMAX, input, dim)


@both()
def cummin(input: Tensor, dim: int) -> ValuesIndices:
    """The smallest value so far along `dim`, and the last place where it was met; NaN is
    smallest."""
    return _running(sc.CUMARGMIN, input, dim)


@both()
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """input[i + 1] - input[i] along `dim`, n times; bools differ by xor."""
    x = input._node()
    if not x.shape:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    axis = wrap_dim(dim, len(x.shape))
    ends = [None if t is None else t._node() for t in (prepend, append)]
    parts = [p for p in (ends[0], x, ends[1]) if p is not None]
    x = mv.concatenate(parts, axis)
    for _ in range(min(n, x.shape[axis])):
        bounds = [(0, m, 1) for m in x.shape]
        later, sooner = list(bounds), list(bounds)
        later[axis] = (min(1, x.shape[axis]), max(0, x.shape[axis] - 1), 1)
        sooner[axis] = (0, max(0, x.shape[axis] - 1), 1)
        a, b = mv.slice_(x, tuple(later)), mv.slice_(x, tuple(sooner))
        x = ew.xor(a, b) if x.dtype is dtypes.bool_ else ew.sub(a, b)
    return wrap(x)


@both()
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1) -> Tensor:
    """The integral of y along `dim` by the trapezoid rule, at points x or dx apart."""
    return _areas(y, x, dx, dim).sum(dim)


function("trapz")(trapezoid)


@both()
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1
) -> Tensor:
    """The integral of y along `dim` up to each point but the first, by the trapezoid rule."""
    return cumsum(_areas(y, x, dx, dim), dim)


def _areas(y: Tensor, x: Tensor | None, dx: float, dim: int) -> Tensor:
    axis = wrap_dim(dim, y.dim())
    n = y.shape[axis]
    pairs = (y.narrow(axis, 1, n - 1) + y.narrow(axis, 0, n - 1)) / 2
    if x is None:
        return pairs * dx
    steps = diff(x, dim=-1 if x.dim() == 1 else dim)
    if x.dim() == 1 and y.dim() > 1:
        steps = steps.reshape(*(-1 if a == axis else 1 for a in range(y.dim())))
    return pairs * steps

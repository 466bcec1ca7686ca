"""Reductions: sums, means, extremes and what is built from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import dtypes
from ..dtypes import DType
from ..graph.node import Node, make
from ..ops import complex as cx
from ..ops import decompositions as dc
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import reduce as rd
from ..ops.base import get
from ..tensor import NAMES, Tensor, broadcast_to, number, wrap, wrap_dim
from ._registry import both, function
from .arithmetic import maximum, minimum, to_bool, to_float
from .casting import in_float32
from .complex import magnitude, squared_magnitude

Dims = int | Sequence[int] | None


class ValuesIndices(NamedTuple):
    """Values and the places where they were found."""

    values: Tensor
    indices: Tensor


class MinMax(NamedTuple):
    """The smallest and the largest value."""

    min: Tensor
    max: Tensor


def axes_of(dim: Any, rank: int) -> tuple[int, ...]:
    """The axes that `dim` (None, an axis, or several) names, in order. RuntimeError for repeats."""
    if dim is None or dim == () or dim == []:
        return tuple(range(rank))
    if isinstance(dim, int):
        axis = wrap_dim(dim, rank)
        return (axis,) if rank else ()
    axes = sorted(wrap_dim(int(d), rank) for d in dim)
    for a in axes:
        if axes.count(a) > 1:
            raise RuntimeError(f"dim {a} appears multiple times in the list of dims")
    return tuple(axes) if rank else ()


def reduced(op: Any, x: Node, axes: tuple[int, ...], keepdim: bool) -> Node:
    """The reduction `op` of x, with axes of one element in place of the reduced ones if
    `keepdim`."""
    y = make(op, (x,), (axes,))
    return rd.keep_axes(y, x.structure.shape, axes) if keepdim else y


_SUM, _PROD, _MAX, _MIN = (get(n) for n in ("sum", "prod", "max", "min"))


def _widened(x: Node, dtype: DType | None) -> Node:
    """x as sums and products take it: integers and bools as int64, or in `dtype`."""
    if dtype is not None:
        return ew.cast(x, dtype)
    return x if x.structure.dtype.is_inexact else ew.cast(x, dtypes.int64)


@both()
def sum(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The sum over all elements, or over the axes `dim`. Integers are summed as int64.

    >>> import twofold as tf
    >>> tf.ones(2, 3).sum(0)
    tensor([2., 2., 2.])
    """
    x = _widened(input._node(), dtype)
    return wrap(reduced(_SUM, x, axes_of(dim, len(x.shape)), keepdim))


def count(x: Node, axes: tuple[int, ...]) -> int:
    """How many elements are reduced to one."""
    return math.prod(x.structure.shape[a] for a in axes)


def mean_node(x: Node, axes: tuple[int, ...], keepdim: bool) -> Node:
    """The mean of x over `axes`. The sum of a narrow type may be out of its range, so is wide."""
    dtype = x.structure.dtype
    total = reduced(_SUM, ew.cast(x, dtype.compute), axes, keepdim)
    return ew.cast(ew.div(total, number(count(x, axes), dtype.compute)), dtype)


@both()
def mean(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The mean over all elements, or over the axes `dim`. RuntimeError for integers without
    `dtype`."""
    x = input._node()
    if dtype is not None:
        x = ew.cast(x, dtype)
    if not x.structure.dtype.is_inexact:
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {NAMES[x.structure.dtype]}"
        )
    return wrap(mean_node(x, axes_of(dim, len(x.shape)), keepdim))


def var_node(x: Node, axes: tuple[int, ...], correction: float, keepdim: bool) -> tuple[Node, Node]:
    """The variance, in two passes, and the mean.

    The second pass is over d = x - mean, where the mean is rounded, and so off by the mean of d; n
    (mean d)^2 of the sum of d^2 is due to that (no more than all of it). Both are put right. As
    functions of x they are 0, so no gradient goes through them.
    """
    dtype, n = x.structure.dtype, count(x, axes)
    if dtype.is_complex:
        (a, mean_a), (b, mean_b) = (
            var_node(part, axes, correction, keepdim) for part in (cx.real(x), cx.imag(x))
        )
        return ew.add(a, b), cx.complex_(mean_a, mean_b)
    x = ew.cast(x, dtype.compute)
    mu = mean_node(x, axes, True)
    off = ew.sub(x, mu)
    drift = reduced(_SUM, ew.detach(off), axes, True)
    error = ew.div(drift, number(n, drift.dtype))
    total = reduced(_SUM, ew.mul(off, off), axes, True)
    total = ew.sub(total, ew.minimum(ew.mul(drift, error), ew.detach(total)))
    variance = ew.div(total, number(max_int(n - correction, 0), drift.dtype))
    mean = ew.add(mu, error)
    if not keepdim:
        shape = tuple(k for a, k in enumerate(x.shape) if a not in axes)
        variance, mean = mv.reshape(variance, shape), mv.reshape(mean, shape)
    return ew.cast(variance, dtype), ew.cast(mean, dtype)


def max_int(a: float, b: float) -> float:
    """The larger of two Python numbers."""
    return a if a > b else b


def _var_args(
    name: str, x: Node, dim: Any, unbiased: Any, correction: Any
) -> tuple[tuple[int, ...], float]:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if not x.structure.dtype.is_inexact:
        raise RuntimeError(f"{name} only support floating point and complex dtypes")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    return axes_of(dim, len(x.shape)), correction


@both()
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """sum((x - mean)^2) / (n - correction), correction 1 unless said otherwise."""
    x = input._node()
    axes, correction = _var_args("var", x, dim, unbiased, correction)
    return wrap(var_node(x, axes, correction, keepdim)[0])


@both()
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The square root of `var`."""
    x = input._node()
    axes, correction = _var_args("std", x, dim, unbiased, correction)
    return wrap(ew.sqrt(var_node(x, axes, correction, keepdim)[0]))


@both()
def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The variance and the mean."""
    x = input._node()
    axes, correction = _var_args("var_mean", x, dim, unbiased, correction)
    variance, mu = var_node(x, axes, correction, keepdim)
    return wrap(variance), wrap(mu)


@both()
def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The standard deviation and the mean."""
    variance, mu = var_mean(input, dim, unbiased, keepdim, correction=correction)
    return variance.sqrt(), mu


@both()
@in_float32
def prod(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The product over all elements, or over axis `dim`."""
    x = _widened(input._node(), dtype)
    return wrap(reduced(_PROD, x, axes_of(dim, len(x.shape)), keepdim))


def _require_elements(name: str, x: Node, axes: tuple[int, ...], whole: bool) -> None:
    if 0 in [x.structure.shape[a] for a in axes]:
        if whole:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify "
                "the reduction dim with the 'dim' argument."
            )
        raise IndexError(f"{name}(): Expected reduction dim {axes[0]} to have non-zero size.")


@both()
def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The largest value over `dim`; equal ones share the gradient."""
    x = input._node()
    axes = axes_of(dim, len(x.shape))
    _require_elements("amax", x, axes, dim == ())
    return wrap(reduced(_MAX, x, axes, keepdim))


@both()
def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The smallest value over `dim`; equal ones share the gradient."""
    x = input._node()
    axes = axes_of(dim, len(x.shape))
    _require_elements("amin", x, axes, dim == ())
    return wrap(reduced(_MIN, x, axes, keepdim))


@both()
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The smallest and the largest value."""
    dims: Any = () if dim is None else dim
    return MinMax(amin(input, dims, keepdim), amax(input, dims, keepdim))


def _taken_at(x: Node, index: Node, axis: int) -> Node:
    """x at `index` (axis kept, one element) along `axis`; the gradient goes to that place alone."""
    places = [1] * len(x.structure.shape)
    n = places[axis] = x.structure.shape[axis]
    here = ew.eq(mv.reshape(mv.iota(n), tuple(places)), index)
    picked = ew.where(here, x, ew.const_like(x, 0))
    return make(_SUM, (picked,), ((axis,),))


def _extreme(input: Tensor, dim: Any, keepdim: bool, name: str, pick: Callable[..., Any]) -> Any:
    x = input._node()
    op, arg = get(name), get(f"arg{name}")
    if dim is None:
        axes = tuple(range(len(x.shape)))
        _require_elements(name, x, axes, True)
        return wrap(make(op, (x,), (axes,)))
    if isinstance(dim, Tensor):
        return pick(input, dim)
    axes = axes_of(int(dim), len(x.shape))
    _require_elements(name, x, axes, False)
    index = make(arg, (x,), (axes,))
    kept = rd.keep_axes(index, x.shape, axes)
    if x.structure.requires_grad and axes:
        value = _taken_at(x, kept, axes[0])
    else:
        value = make(op, (x,), (axes,))
    if keepdim:
        value, index = rd.keep_axes(value, x.shape, axes), kept
    return ValuesIndices(wrap(value), wrap(index))


@both()
def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; with an axis, (values, indices); with a tensor, the larger of each pair.

    >>> import twofold as tf
    >>> tf.tensor([[1, 5], [7, 2]]).max(1).indices
    tensor([1, 0])
    """
    return _extreme(input, dim, keepdim, "max", maximum)


@both()
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; with an axis, (values, indices); with a tensor, the smaller of each
    pair."""
    return _extreme(input, dim, keepdim, "min", minimum)


def _arg_extreme(input: Tensor, dim: int | None, keepdim: bool, name: str) -> Tensor:
    x = input._node()
    axes = axes_of(dim, len(x.shape))
    _require_elements(name, x, axes, dim is None)
    return wrap(reduced(get(name), x, axes, keepdim))


@both()
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the largest value, in the flattened tensor or along `dim`."""
    return _arg_extreme(input, dim, keepdim, "argmax")


@both()
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the smallest value, in the flattened tensor or along `dim`."""
    return _arg_extreme(input, dim, keepdim, "argmin")


def _logical(input: Tensor, dim: Any, keepdim: bool, name: str) -> Tensor:
    x = to_bool(input._node())
    y = reduced(get(name), x, axes_of(dim, len(x.shape)), keepdim)
    # As in PyTorch, bytes answer in bytes.
    return wrap(ew.cast(y, dtypes.uint8) if input.dtype is dtypes.uint8 else y)


@both()
def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether some element is not 0."""
    return _logical(input, dim, keepdim, "any")


@both()
def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether no element is 0."""
    return _logical(input, dim, keepdim, "all")


@both()
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements are not 0."""
    x = ew.cast(to_bool(input._node()), dtypes.int64)
    return wrap(reduced(_SUM, x, axes_of(dim, len(x.shape)), False))


@both()
def nansum(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The sum, with NaN counted as 0."""
    x = input._node()
    if x.structure.dtype.is_inexact:
        x = ew.where(ew.isnan(x), ew.const_like(x, 0), x)
    x = _widened(x, dtype)
    return wrap(reduced(_SUM, x, axes_of(dim, len(x.shape)), keepdim))


@both()
def nanmean(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """The mean of the elements that are not NaN."""
    total = nansum(input, dim, keepdim, dtype=dtype)
    x = input._node()
    present = ew.cast(ew.not_(ew.isnan(x)), total.dtype)
    return total / wrap(reduced(_SUM, present, axes_of(dim, len(x.shape)), keepdim))


def _top(x: Node, axis: tuple[int, ...]) -> Node:
    """The largest values, axis kept, through which no gradient flows."""
    if 0 in [x.structure.shape[a] for a in axis]:
        shape = tuple(1 if a in axis else n for a, n in enumerate(x.structure.shape))
        return broadcast_to(ew.const_like(x, 0), shape)
    return reduced(_MAX, ew.detach(x), axis, True)


@both()
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(e^x)) over `dim`, without overflow."""
    x = to_float(input._node())
    axes = axes_of(dim, len(x.shape))
    top = _top(x, axes)
    top = ew.where(ew.isfinite(top), top, ew.const_like(top, 0))
    total = reduced(_SUM, ew.exp(ew.sub(x, top)), axes, True)
    y = ew.add(ew.log(total), top)
    kept = tuple(n for a, n in enumerate(x.shape) if a not in axes)
    return wrap(y if keepdim else mv.reshape(y, kept))


@both()
def softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """e^x / sum(e^x) along `dim`, without overflow."""
    x, few_bits = _for_softmax(input, dtype)
    axes = axes_of(dim, len(x.shape))
    e = ew.exp(ew.sub(x, _top(x, axes)))
    total = reduced(_SUM, e, axes, True)
    y = ew.mul(e, ew.div(ew.const_like(total, 1), total))
    return wrap(y if few_bits is None else ew.cast(y, few_bits))


def _for_softmax(input: Tensor, dtype: DType | None) -> tuple[Node, DType | None]:
    """The input of a softmax as `dtype`, and None; or as float32, and the dtype of 16 bits that the
    result is to have."""
    x = input._node()
    dtype = x.dtype if dtype is None else dtype
    if dtype in (dtypes.float16, dtypes.bfloat16):
        return ew.cast(x, dtypes.float32), dtype
    return ew.cast(x, dtype), None


@both()
def log_softmax(input: Tensor, dim: int, dtype: DType | None = None) -> Tensor:
    """x - log(sum(e^x)) along `dim`, without overflow."""
    x, few_bits = _for_softmax(input, dtype)
    axes = axes_of(dim, len(x.shape))
    off = ew.sub(x, _top(x, axes))
    y = ew.sub(off, ew.log(reduced(_SUM, ew.exp(off), axes, True)))
    return wrap(y if few_bits is None else ew.cast(y, few_bits))


@both()
def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    dtype: DType | None = None,
) -> Tensor:
    """The p-norm over `dim`: (sum |x|^p)^(1/p); 2 by default; inf, -inf and 0 are limits; "nuc" is
    the sum of the singular values of matrices."""
    x = to_float(input._node() if dtype is None else ew.cast(input._node(), dtype))
    axes = axes_of(dim, len(x.shape))
    if p == "nuc":
        return wrap(_nuclear(x, axes, keepdim))
    p = 2 if p in ("fro", None) else p
    if p == 2:
        return wrap(_sqrt_flat_at_zero(reduced(_SUM, squared_magnitude(x), axes, keepdim)))
    if x.dtype.is_complex:
        x = magnitude(x)
    if p == math.inf or p == -math.inf:
        return wrap(reduced(_MAX if p > 0 else _MIN, ew.abs_(x), axes, keepdim))
    if p == 0:
        # Chosen from what is no number, so that x has a gradient, which is 0.
        nonzero = ew.cast(ew.ne(x, ew.const_like(x, 0)), x.structure.dtype)
        nonzero = ew.where(ew.isnan(nonzero), x, nonzero)
        return wrap(reduced(_SUM, nonzero, axes, keepdim))
    if p == 1:
        return wrap(reduced(_SUM, ew.abs_(x), axes, keepdim))
    return wrap(_power_mean(ew.abs_(x), p, axes, keepdim))


def _power_mean(x: Node, p: float, axes: tuple[int, ...], keepdim: bool) -> Node:
    """(sum x^p)^(1/p) of x >= 0, whose gradient is 0 at elements that are 0, and where it is 0."""
    dtype = x.structure.dtype
    zero, one = ew.const_like(x, 0), ew.const_like(x, 1)
    is_zero = ew.eq(x, zero)
    at_zero = zero if p > 0 else ew.const_like(x, math.inf)
    terms = ew.where(is_zero, at_zero, ew.pow_(ew.where(is_zero, one, x), number(p, dtype)))
    total = reduced(_SUM, terms, axes, keepdim)
    root = number(1 / p, dtype)
    flat = ew.eq(total, ew.const_like(total, 0 if p > 0 else math.inf))
    inner = ew.where(flat, ew.const_like(total, 1), total)
    return ew.where(flat, ew.const_like(total, 0), ew.pow_(inner, root))


def _nuclear(x: Node, axes: tuple[int, ...], keepdim: bool) -> Node:
    """The sum of the singular values of the matrices in two axes."""
    if len(axes) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {axes}")
    rest = tuple(a for a in range(len(x.shape)) if a not in axes)
    s = cx.real(dc.SVD.of(mv.permute(x, (*rest, *axes)), False)[1])
    y = reduced(_SUM, s, (len(rest),), False)
    kept = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    return mv.reshape(y, kept) if keepdim else y


def _sqrt_flat_at_zero(x: Node) -> Node:
    """sqrt(x) whose gradient is 0 at 0."""
    zero = ew.const_like(x, 0)
    is_zero = ew.eq(x, zero)
    return ew.where(is_zero, zero, ew.sqrt(ew.where(is_zero, ew.const_like(x, 1), x)))


@both()
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other."""
    return norm(input - other, p)


@function()
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have one shape and equal elements, as a Python bool."""
    return tuple(input.shape) == tuple(other.shape) and bool(all(input == other))


@both()
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """|input - other| <= atol + rtol * |other|, element by element."""
    for name, bound in (("rtol", rtol), ("atol", atol)):
        if bound < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {bound}")
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{NAMES[input.dtype]} did not match {NAMES[other.dtype]}")
    near: Tensor = input == other
    if input.dtype.kind == "float":
        gap = (input - other).abs()
        near = near | ((gap <= atol + rtol * other.abs()) & other.isfinite() & gap.isfinite())
        if equal_nan:
            near = near | (input.isnan() & other.isnan())
    elif input.dtype is not dtypes.bool_:
        near = near | ((input - other).abs() <= atol + rtol * other.abs())
    return near


@both()
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close (see `isclose`), as a Python bool."""
    return bool(all(isclose(input, other, rtol, atol, equal_nan)))


Tensor.equal = equal  # type: ignore[attr-defined]

"""Statistics, searching, sorting and sets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..creation import zeros
from ..dtypes import DType
from ..errors import message
from ..functions import functions as f
from ..functions.shape import cat
from ..tensor import Tensor
from .types import as_array, common

Axis = int | tuple[int, ...] | None


def _axes(x: Tensor, axis: Axis) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return axis if isinstance(axis, tuple) else (axis,)


def _over(name: str, x: Tensor, axis: Axis, keepdims: bool, **options: Any) -> Tensor:
    """A reduction; over no axes at all it changes nothing but the dtype."""
    axes = _axes(x, axis)
    if not axes:
        x = x[None]
        return f[name](x, (0,), False, **options)
    return f[name](x, axes, keepdims, **options)


def _summed(x: Tensor, dtype: DType | None) -> Tensor:
    if dtype is None:
        dtype = dtypes.int64 if x.dtype.kind in ("int", "uint", "bool") else x.dtype
    return x.to(dtype)


def sum(
    x: Tensor, /, *, axis: Axis = None, dtype: DType | None = None, keepdims: bool = False
) -> Tensor:
    """The sum over axes; of integers in int64."""
    return _over("sum", _summed(x, dtype), axis, keepdims)


def prod(
    x: Tensor, /, *, axis: Axis = None, dtype: DType | None = None, keepdims: bool = False
) -> Tensor:
    """The product over axes; of integers in int64."""
    result = _summed(x, dtype)
    axes = sorted(a % x.ndim for a in _axes(x, axis))
    for a in reversed(axes):
        result = f["prod"](result, a, keepdims)
    return result.clone() if result is x else result


def mean(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean over axes."""
    return _over("mean", x, axis, keepdims)


def max(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element over axes."""
    return _over("amax", x, axis, keepdims)


def min(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element over axes."""
    return _over("amin", x, axis, keepdims)


def var(
    x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """The mean square of what is off the mean, over axes."""
    axes = _axes(x, axis)
    if not axes:
        n = 1 - correction
        return x * 0 / n if n > 0 else x * float("nan")
    return f["var"](x, axes, correction=correction, keepdim=keepdims)


def std(
    x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Tensor:
    """The square root of `var`."""
    return f["sqrt"](var(x, axis=axis, correction=correction, keepdims=keepdims))


def all(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements over axes are true."""
    return _over("all", x.to(dtypes.bool_), axis, keepdims)


def any(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether an element over axes is true."""
    return _over("any", x.to(dtypes.bool_), axis, keepdims)


def count_nonzero(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements over axes are not 0."""
    return sum(x != 0, axis=axis, keepdims=keepdims)


def _one_axis(name: str, x: Tensor, axis: int | None) -> int:
    if axis is None and x.ndim != 1:
        raise ValueError(message(name, "axis must be given for an array of several axes"))
    return 0 if axis is None else axis


def _cumulative(
    name: str, x: Tensor, axis: int | None, dtype: DType | None, first: float | None
) -> Tensor:
    axis = _one_axis(name, x, axis)
    result = f[name](_summed(x, dtype), axis)
    if first is None:
        return result
    shape = list(x.shape)
    shape[axis] = 1
    return cat([zeros(tuple(shape), dtype=result.dtype) + first, result], axis)


def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: DType | None = None,
    include_initial: bool = False,
) -> Tensor:  # fmt: skip
    """The sums of the elements up to each one along an axis."""
    return _cumulative("cumsum", x, axis, dtype, 0 if include_initial else None)


def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: DType | None = None,
    include_initial: bool = False,
) -> Tensor:  # fmt: skip
    """The products of the elements up to each one along an axis."""
    return _cumulative("cumprod", x, axis, dtype, 1 if include_initial else None)


def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The differences of neighbours along an axis, n times over."""
    return f["diff"](x, n, axis, prepend, append)


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the largest element is, along an axis or of all."""
    return f["argmax"](x, axis, keepdims)


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Where the smallest element is, along an axis or of all."""
    return f["argmin"](x, axis, keepdims)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The places of the elements that are not 0, an array for each axis."""
    if x.ndim == 0:
        raise ValueError(message("nonzero", "an array of no axes has no places"))
    return tuple(f["nonzero"](x).unbind(1))


def searchsorted(
    x1: Tensor, x2: Any, /, *, side: str = "left", sorter: Tensor | None = None
) -> Tensor:
    """Where to put x2 into the ordered x1."""
    if side not in ("left", "right"):
        raise ValueError(message("searchsorted", "side must be 'left' or 'right'", repr(side)))
    if sorter is not None:
        x1 = x1[sorter]
    x1, x2 = common("searchsorted", x1, x2)
    return f["searchsorted"](x1, x2, right=side == "right")


def where(condition: Tensor, x1: Any, x2: Any, /) -> Tensor:
    """x1 where the condition is true, x2 elsewhere."""
    if not isinstance(x1, Tensor) and not isinstance(x2, Tensor):
        raise TypeError(message("where", "one of the values must be an array"))
    return f["where"](condition, *common("where", x1, x2))


def argsort(
    x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Tensor:
    """The places of the elements in their order along an axis."""
    return f["argsort"](x, axis, descending, stable=stable)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in their order along an axis."""
    return f["sort"](x, dim=axis, descending=descending, stable=stable)[0]


class UniqueAll(NamedTuple):
    """What `unique_all` gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Tensor, /) -> UniqueAll:
    """The different elements, where each stands first, which one each element is, and how often
    each occurs. Each NaN is one of its own."""
    found = np.unique(
        x.detach().numpy(), return_index=True, return_inverse=True, return_counts=True,
        equal_nan=False,
    )  # fmt: skip
    values, indices, inverse, counts = (f["tensor"](part) for part in found)
    return UniqueAll(values, indices, inverse.reshape(x.shape), counts)


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The different elements, and how often each occurs."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The different elements, and which one each element is."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The different elements."""
    return unique_all(x).values


def isin(x1: Any, x2: Any, /, *, invert: bool = False) -> Tensor:
    """Whether each element of x1 is one of x2."""
    x1, x2 = common("isin", x1, as_array("isin", x2, getattr(x1, "dtype", dtypes.int64)))
    found = f["isin"](x1, x2)
    return f["logical_not"](found) if invert else found

"""Shapes, places, and products of matrices."""

from __future__ import annotations

import functools
from typing import Any

from .. import dtypes
from ..errors import message
from ..functions import functions as f
from ..functions.shape import cat
from ..tensor import Tensor
from .types import broadcast_arrays, common, result_type


def concat(arrays: Any, /, *, axis: int | None = 0) -> Tensor:
    """The arrays one after the other along an axis; with None, all flat."""
    dtype = result_type(*arrays)
    parts = [x.to(dtype) for x in arrays]
    if axis is None:
        return cat([x.reshape(-1) for x in parts], 0)
    return cat(parts, axis)


def stack(arrays: Any, /, *, axis: int = 0) -> Tensor:
    """The arrays side by side along a new axis."""
    dtype = result_type(*arrays)
    return f["stack"]([x.to(dtype) for x in arrays], axis)


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The parts along an axis, without it."""
    return tuple(x.unbind(axis))


def expand_dims(x: Tensor, /, axis: Any = 0) -> Tensor:
    """The array with new axes of one element."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    rank = x.ndim + len(axes)
    for a in axes:
        if not -rank <= a < rank:
            raise IndexError(message("expand_dims", f"axis must fit {rank} axes", a))
    places = sorted(a % rank for a in axes)
    if len(set(places)) != len(places):
        raise ValueError(message("expand_dims", "each new axis is named once", axes))
    for a in places:
        x = x.unsqueeze(a)
    return x


def squeeze(x: Tensor, /, axis: Any = None) -> Tensor:
    """The array without axes of one element. ValueError if one has more."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    if axis is None:
        axes = tuple(a for a, n in enumerate(x.shape) if n == 1)
    for a in axes:
        if x.shape[a] != 1:
            raise ValueError(message("squeeze", "the axis must have one element", x.shape[a]))
    return f["squeeze"](x, axes) if axes else x


def permute_dims(x: Tensor, /, axes: Any) -> Tensor:
    """The array with its axes in another order."""
    return x.permute(tuple(axes))


def matrix_transpose(x: Tensor, /) -> Tensor:
    """The array with its last two axes changed over."""
    return x.mT


def moveaxis(x: Tensor, source: Any, destination: Any, /) -> Tensor:
    """The array with some axes at other places."""
    if x.ndim == 0 and not source:
        return x
    return f["moveaxis"](x, source, destination)


def flip(x: Tensor, /, *, axis: Any = None) -> Tensor:
    """The elements in reverse along axes, or along all."""
    axes = tuple(range(x.ndim)) if axis is None else axis
    axes = axes if isinstance(axes, tuple) else (axes,)
    return f["flip"](x, axes) if axes else x.clone()


def roll(x: Tensor, /, shift: Any, *, axis: Any = None) -> Tensor:
    """The elements moved along axes; what leaves at the end comes in at the front."""
    if axis is None:
        return f["roll"](x.reshape(-1), shift, 0).reshape(x.shape)
    axes = axis if isinstance(axis, tuple) else (axis,)
    shifts = shift if isinstance(shift, tuple) else (shift,) * len(axes)
    return f["roll"](x, shifts, axes)


def repeat(x: Tensor, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Each element several times in a row."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    if isinstance(repeats, Tensor) and repeats.numel() == 1:
        repeats = int(repeats.item())
    if x.shape[axis] == 0:
        return x.clone()
    return f["repeat_interleave"](x, repeats, axis)


def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """The whole array several times along each axis."""
    return f["tile"](x, tuple(repetitions))


def reshape(x: Tensor, /, shape: Any, *, copy: bool | None = None) -> Tensor:
    """The elements in another shape. ValueError if `copy` is False and a copy is needed."""
    if copy is False:
        try:
            return x.view(tuple(shape))
        except RuntimeError as error:
            raise ValueError(message("reshape", f"a copy is needed: {error}")) from None
    result = f["reshape"](x, tuple(shape))
    return result.clone() if copy else result


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of all places of a grid, an array for each axis."""
    return list(f["meshgrid"](*arrays, indexing=indexing))


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """The parts at these places along an axis."""
    if axis is None:
        if x.ndim != 1:
            raise ValueError(message("take", "axis must be given for an array of several axes"))
        axis = 0
    axis %= x.ndim
    parts = f["index_select"](x, axis, _from_front(indices, x.shape[axis]).reshape(-1))
    return parts.reshape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """The elements at these places along an axis, for each line of it."""
    axis %= x.ndim
    one = [1 if a == axis else n for a, n in enumerate(x.shape)]
    shape = list(broadcast_arrays(f["zeros"](one), f["zeros"](
        [1 if a == axis else n for a, n in enumerate(indices.shape)]))[0].shape)  # fmt: skip
    wide, places = list(shape), list(shape)
    wide[axis], places[axis] = x.shape[axis], indices.shape[axis]
    return f["gather"](x.expand(wide), axis, _from_front(indices, x.shape[axis]).expand(places))


def _from_front(indices: Tensor, n: int) -> Tensor:
    """Places of n, of which those below 0 count from the end."""
    indices = indices.to(dtypes.int64)
    return f["where"](indices < 0, indices + n, indices)


def _promoted(product: Any) -> Any:
    """A product of two arrays, which are brought to one dtype first."""

    @functools.wraps(product)
    def apply(x1: Tensor, x2: Tensor, /, **options: Any) -> Tensor:
        return product(*common(product.__name__, x1, x2), **options)

    return apply


@_promoted
def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The product of matrices, or of stacks of them."""
    return f["matmul"](x1, x2)


@_promoted
def tensordot(x1: Tensor, x2: Tensor, /, *, axes: Any = 2) -> Tensor:
    """The sum of products over axes of both arrays."""
    return f["tensordot"](x1, x2, axes)


@_promoted
def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The sum of products along an axis; the first of them conjugated."""
    if not -min(x1.ndim, x2.ndim) <= axis < 0:
        raise ValueError(message("vecdot", "axis must be below 0 and be one of both arrays", axis))
    if x1.shape[axis] != x2.shape[axis]:
        raise ValueError(
            message("vecdot", "both must be as long", f"{x1.shape[axis]} and {x2.shape[axis]}")
        )
    x1, x2 = broadcast_arrays(x1, x2)
    return f["sum"](f["conj"](x1) * x2, axis).to(x1.dtype)

"""Operators that move, cut, join and make values."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..functions._registry import functions
from ..nn import functional as F
from ..tensor import Tensor
from .pointwise import dtype_of
from .registry import UnsupportedOperator, as_tensor, integers, op

f = functions


@op("Identity")
def identity(x: Any) -> Any:
    """x."""
    return x


@op("Constant")
def constant(**attributes: Any) -> np.ndarray:
    """A value that stands in the model."""
    ((kind, value),) = attributes.items()
    if kind in ("value_float", "value_floats"):
        return np.asarray(value, np.float32)
    if kind in ("value_int", "value_ints"):
        return np.asarray(value, np.int64)
    if kind != "value":
        raise UnsupportedOperator(f"[onnx] Constant: {kind} is not supported")
    return value


@op("Reshape", host=(1,))
def reshape(x: Tensor, shape: Any = None, *, allowzero: int = 0) -> Tensor:
    """x in another shape; 0 keeps a size, -1 is what is left."""
    sizes = integers(np.asarray(shape))
    if not allowzero:
        sizes = [x.shape[a] if n == 0 else n for a, n in enumerate(sizes)]
    return x.reshape(tuple(sizes))


@op("Flatten")
def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    """x as a matrix, cut in two at an axis."""
    axis = axis + x.ndim if axis < 0 else axis
    return (
        x.reshape(int(np.prod(x.shape[:axis], dtype=np.int64)), -1)
        if x.numel()
        else (
            x.reshape(
                int(np.prod(x.shape[:axis], dtype=np.int64)),
                int(np.prod(x.shape[axis:], dtype=np.int64)),
            )
        )
    )


@op("Transpose")
def transpose(x: Tensor, *, perm: Any = None) -> Tensor:
    """x with its axes in another order, reversed by default."""
    return x.permute(tuple(perm) if perm is not None else tuple(range(x.ndim))[::-1])


@op("Squeeze", host=(1,))
def squeeze(x: Tensor, axes: Any = None) -> Tensor:
    """x without axes of one element."""
    chosen = integers(axes)
    return f["squeeze"](x, tuple(chosen)) if axes is not None else f["squeeze"](x)


@op("Unsqueeze", host=(1,))
def unsqueeze(x: Tensor, axes: Any = None) -> Tensor:
    """x with new axes of one element, counted in the result."""
    chosen = integers(axes)
    rank = x.ndim + len(chosen)
    for a in sorted(a % rank for a in chosen):
        x = f["unsqueeze"](x, a)
    return x


@op("Concat")
def concat(*xs: Tensor, axis: int) -> Tensor:
    """The inputs one after the other."""
    return f["cat"](list(xs), axis)


@op("Split", host=(1,))
def split(
    x: Tensor, split: Any = None, *, axis: int = 0, num_outputs: int | None = None, outputs: int = 1
) -> tuple[Tensor, ...]:
    """x cut into parts along an axis."""
    n, count = x.shape[axis], num_outputs or outputs
    sizes = integers(split) if split is not None else None
    if sizes is None:
        each = -(-n // count)
        sizes = [min(each, n - k * each) for k in range(count)]
    return tuple(f["split"](x, sizes, axis))


@op("Slice", host=(1, 2, 3, 4))
def slice_(
    x: Tensor, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Tensor:
    """x[start:end:step] along axes."""
    first, last = integers(starts), integers(ends)
    along = integers(axes) if axes is not None else list(range(len(first)))
    by = integers(steps) if steps is not None else [1] * len(first)
    for a, start, end, step in zip(along, first, last, by):
        n = x.shape[a]
        begin, stop, _ = slice(start, end, step).indices(n)
        if step > 0:
            x = f["narrow"](x, a, begin, max(stop - begin, 0))[
                (slice(None),) * (a % x.ndim) + (slice(None, None, step),)
            ]
        else:
            places = np.arange(n)[start:end:step] if end >= -n else np.arange(n)[start::step]
            x = f["index_select"](x, a, as_tensor(places.astype(np.int64)))
    return x


@op("Shape")
def shape(x: Tensor, *, start: int = 0, end: int | None = None) -> np.ndarray:
    """The sizes of x."""
    return np.asarray(tuple(x.shape)[start:end], np.int64)


@op("Size")
def size(x: Tensor) -> np.ndarray:
    """How many elements x has."""
    return np.asarray(x.numel(), np.int64)


@op("Expand", host=(1,))
def expand(x: Tensor, shape: np.ndarray) -> Tensor:
    """x repeated to the shape that it and `shape` broadcast to."""
    return x.expand(np.broadcast_shapes(tuple(x.shape), tuple(integers(shape))))


@op("Tile", host=(1,))
def tile(x: Tensor, repeats: np.ndarray) -> Tensor:
    """x repeated along each axis."""
    return f["tile"](x, tuple(integers(repeats)))


@op("ConstantOfShape", host=(0,))
def constant_of_shape(shape: np.ndarray, *, value: np.ndarray | None = None) -> Any:
    """A shape full of one value."""
    one = np.zeros(1, np.float32) if value is None else value
    made = np.broadcast_to(one.reshape(()), tuple(integers(shape)))
    return made if made.size < 64 else as_tensor(one.reshape(())).expand(made.shape)


@op("Range", host=(0, 1, 2))
def range_(start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """start, start + delta, ... before the limit."""
    first, last, step = (float(v.reshape(())) for v in (start, limit, delta))
    n = max(int(np.ceil((last - first) / step)), 0)
    if start.dtype.kind in "iu":
        return np.asarray(start.reshape(()) + np.arange(n) * delta.reshape(()), start.dtype)
    return (first + np.arange(n) * step).astype(start.dtype)


@op("EyeLike")
def eye_like(x: Tensor, *, k: int = 0, dtype: int | None = None) -> Tensor:
    """Ones on a diagonal, else zeros, in the shape of x."""
    made = np.eye(x.shape[0], x.shape[1], k, np.float32)
    return as_tensor(made).to(x.dtype if dtype is None else dtype_of(dtype))


@op("Trilu", host=(1,))
def trilu(x: Tensor, k: Any = None, *, upper: int = 1) -> Tensor:
    """The part of matrices above or below a diagonal."""
    at = 0 if k is None else int(k.item())
    return f["triu"](x, at) if upper else f["tril"](x, at)


@op("Pad", host=(1, 2, 3))
def pad(
    x: Tensor, pads: Any = None, value: Any = None, axes: Any = None, *, mode: str = "constant"
) -> Tensor:
    """x with values put around it; what is below 0 is cut off."""
    widths = integers(np.asarray(pads))
    along = [a % x.ndim for a in integers(axes)] if axes is not None else list(range(x.ndim))
    number = 0 if value is None else np.asarray(value).reshape(-1)[0].item()
    for a, before, after in zip(along, widths, widths[len(along) :]):
        n = x.shape[a]
        if mode == "constant":
            places = [0, 0] * (x.ndim - 1 - a) + [before, after]
            x = F.pad(x, places, value=number)
        else:
            picked = np.pad(np.arange(n), (max(before, 0), max(after, 0)), mode=mode)  # type: ignore
            kept = picked[max(-before, 0) : len(picked) - max(-after, 0)]
            x = f["index_select"](x, a, as_tensor(kept.astype(np.int64)))
    return x


@op("Gather")
def gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Rows of x along an axis, at positions of any shape, counted from the end below 0."""
    axis %= x.ndim
    return x[(slice(None),) * axis + (indices.long(),)]


@op("GatherElements")
def gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Elements of x at positions along an axis."""
    return f["gather"](x, axis, _wrapped(indices, x.shape[axis]))


def _wrapped(indices: Tensor, n: int) -> Tensor:
    i = indices.long()
    return f["where"](i < 0, i + n, i)


@op("GatherND")
def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """x at positions that are rows of `indices`."""
    depth = indices.shape[-1]
    parts = [indices[..., k].long() for k in range(depth)]
    grids = []
    for b in range(batch_dims):
        view = [1] * (indices.ndim - 1)
        view[b] = x.shape[b]
        grids.append(f["arange"](x.shape[b]).reshape(view))
    return x[(*grids, *parts)]


_REDUCE = {"none": None, "add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@op("ScatterElements", "Scatter")
def scatter_elements(
    x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    """x with elements at positions along an axis replaced by, or joined with, updates."""
    places = _wrapped(indices, x.shape[axis])
    if reduction == "none":
        return f["scatter"](x, axis, places, updates)
    return f["scatter_reduce"](x, axis, places, updates, _REDUCE[reduction])


@op("ScatterND")
def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """x with what lies at positions, rows of `indices`, replaced by, or joined with, updates."""
    depth = indices.shape[-1]
    if reduction in ("none", "add"):
        parts = tuple(indices[..., k].long() for k in range(depth))
        return f["index_put"](x, parts, updates, accumulate=reduction == "add")
    sizes, rest = x.shape[:depth], x.shape[depth:]
    at: Any = 0
    for k, n in enumerate(sizes):
        at = at * n + _wrapped(indices[..., k], n)
    flat = x.reshape(int(np.prod(sizes)), -1)
    rows = updates.reshape(-1, flat.shape[1])
    places = at.reshape(-1, 1).expand(rows.shape)
    made = f["scatter_reduce"](flat, 0, places, rows, _REDUCE[reduction])
    return made.reshape(*sizes, *rest)


@op("OneHot", host=(1,))
def one_hot(indices: Tensor, depth: np.ndarray, values: Tensor, *, axis: int = -1) -> Tensor:
    """values[1] at positions along a new axis, values[0] elsewhere."""
    n = int(np.asarray(depth).reshape(-1)[0])
    i = f["remainder"](indices.long(), n) if n else indices.long()
    inside = (indices >= -n) & (indices < n)
    axis = axis % (indices.ndim + 1)
    view = [1] * (indices.ndim + 1)
    view[axis] = n
    hit = (f["unsqueeze"](i, axis) == f["arange"](n).reshape(view)) & f["unsqueeze"](inside, axis)
    return f["where"](hit, values[1], values[0])


@op("Compress", host=(1,))
def compress(x: Tensor, condition: np.ndarray, *, axis: int | None = None) -> Tensor:
    """What lies where a condition holds, along an axis or of all."""
    y, a = (x.reshape(-1), 0) if axis is None else (x, axis)
    places = np.flatnonzero(condition).astype(np.int64)
    return f["index_select"](y, a, as_tensor(places))


@op("NonZero")
def non_zero(x: Tensor) -> Tensor:
    """The positions of what is not 0, a row for each axis."""
    return f["nonzero"](x).T


@op("ReverseSequence", host=(1,))
def reverse_sequence(
    x: Tensor, lengths: np.ndarray, *, batch_axis: int = 1, time_axis: int = 0
) -> Tensor:
    """Sequences of a batch, each with its first elements in reverse."""
    n = x.shape[time_axis]
    places = np.arange(n)[:, None].repeat(x.shape[batch_axis], 1)
    for b, length in enumerate(integers(lengths)):
        places[:length, b] = places[:length, b][::-1]
    view = [1] * x.ndim
    view[time_axis], view[batch_axis] = places.shape
    made = places if time_axis < batch_axis else places.T
    grid = as_tensor(made.reshape(view).astype(np.int64)).expand(x.shape)
    return f["gather"](x, time_axis, grid)


@op("DepthToSpace")
def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Channels laid out as blocks of positions."""
    n, c, h, w = x.shape
    b = blocksize
    if mode == "DCR":
        y = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, c // (b * b), b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return y.reshape(n, c // (b * b), h * b, w * b)


@op("SpaceToDepth")
def space_to_depth(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Blocks of positions laid out as channels."""
    n, c, h, w = x.shape
    b = blocksize
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return (
        x.reshape(n, c, h // b, b, w // b, b).permute(order).reshape(n, c * b * b, h // b, w // b)
    )


@op("CenterCropPad", host=(1,))
def center_crop_pad(x: Tensor, shape: np.ndarray, *, axes: Any = None) -> Tensor:
    """x cut or filled with zeros on both sides to given sizes."""
    along = [a % x.ndim for a in axes] if axes is not None else range(x.ndim)
    for a, wanted in zip(along, integers(shape)):
        n = x.shape[a]
        if n > wanted:
            x = f["narrow"](x, a, (n - wanted) // 2, wanted)
        elif n < wanted:
            low = (wanted - n) // 2
            x = F.pad(x, [0, 0] * (x.ndim - 1 - a) + [low, wanted - n - low])
    return x


@op("SequenceConstruct")
def sequence_construct(*xs: Tensor) -> list[Tensor]:
    """The inputs as a sequence."""
    return list(xs)


@op("SequenceEmpty")
def sequence_empty(*, dtype: int = 1) -> list[Tensor]:
    """A sequence of nothing."""
    return []


@op("SequenceAt", host=(1,))
def sequence_at(xs: list[Tensor], position: np.ndarray) -> Tensor:
    """An element of a sequence."""
    return xs[int(position.item())]


@op("SequenceInsert", host=(2,))
def sequence_insert(xs: list[Tensor], x: Tensor, position: Any = None) -> list[Tensor]:
    """A sequence with one element more, at its end by default."""
    at = len(xs) if position is None else int(position.item())
    at = at + len(xs) if at < 0 else at
    return [*xs[:at], x, *xs[at:]]


@op("SequenceErase", host=(1,))
def sequence_erase(xs: list[Tensor], position: Any = None) -> list[Tensor]:
    """A sequence without one of its elements, the last by default."""
    at = (len(xs) - 1 if position is None else int(position.item())) % len(xs)
    return [*xs[:at], *xs[at + 1 :]]


@op("SequenceLength")
def sequence_length(xs: list[Tensor]) -> np.ndarray:
    """How many elements a sequence has."""
    return np.asarray(len(xs), np.int64)


@op("ConcatFromSequence")
def concat_from_sequence(xs: list[Tensor], *, axis: int, new_axis: int = 0) -> Tensor:
    """The elements of a sequence one after the other, or along a new axis."""
    return f["stack"](xs, axis) if new_axis else f["cat"](xs, axis)


@op("SplitToSequence", host=(1,))
def split_to_sequence(
    x: Tensor, split: Any = None, *, axis: int = 0, keepdims: int = 1
) -> list[Tensor]:
    """x cut into a sequence of parts along an axis."""
    n = x.shape[axis]
    if split is None:
        parts = list(f["split"](x, 1, axis))
        return parts if keepdims else [f["squeeze"](p, axis) for p in parts]
    sizes = integers(split)
    if np.asarray(split).ndim == 0:
        sizes = [min(sizes[0], n - at) for at in range(0, n, sizes[0])]
    return list(f["split"](x, sizes, axis))

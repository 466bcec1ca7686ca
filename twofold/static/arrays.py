"""TensorFlow 1's functions of shapes and places: sizes, joining, cutting, picking, filling."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from .. import dtypes
from ..creation import arange, as_tensor, full
from ..creation import linspace as linspace_values
from ..functions import functions as tf
from ..tensor import Tensor as Value
from .graph import Tensor, as_dtype, operation
from .graph import add as new
from .operations import axes_of, convert_to_tensor, pair, value_of
from .sizes import TensorShape
from .symbol import Samples, Symbol, samples_of


@operation("Shape")
def shape(input: Any, out_type: Any = None) -> Any:
    """The sizes, as numbers that the run knows; as a tensor in another dtype than int32."""
    return _counted(tuple(value_of(input).shape), out_type)


@operation("Size")
def size(input: Any, out_type: Any = None) -> Any:
    """The number of elements."""
    return _counted(value_of(input).numel(), out_type)


def _counted(sizes: Any, out_type: Any) -> Any:
    kind = dtypes.int32 if out_type is None else as_dtype(out_type)
    return sizes if kind is dtypes.int32 else as_tensor(sizes, dtype=kind)


@operation("Rank")
def rank(input: Any) -> Any:
    """The number of axes."""
    return value_of(input).dim()


def sizes_of(shape: Any) -> list[int]:
    """A shape as numbers: of numbers, open ones as -1, or a tensor."""
    if isinstance(shape, Value):
        return [int(n) for n in shape.reshape(-1).tolist()]
    listed = shape if isinstance(shape, (list, tuple, np.ndarray, TensorShape)) else [shape]
    return [-1 if n is None or getattr(n, "value", 0) is None else int(n) for n in listed]


def _reshape_guess(tensor: Any, shape: Any) -> Samples | None:
    known = isinstance(tensor, Symbol) and tensor.known is not None
    if not known or not isinstance(shape, (list, tuple)):
        return None
    sizes = [n if type(n) is int and n >= 0 else None for n in shape]
    return samples_of(sizes, tensor.known[1])


@operation("Reshape", _reshape_guess)
def reshape(tensor: Any, shape: Any) -> Any:
    """The same elements in another shape; a size of -1 is found out."""
    return value_of(tensor).reshape(sizes_of(shape))


@operation("transpose")
def transpose(a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    """The axes in another order, in reverse without `perm`."""
    a = value_of(a)
    a = a.conj() if conjugate else a
    return a.permute(*(range(a.dim() - 1, -1, -1) if perm is None else sizes_of(perm)))


@operation("ExpandDims")
def expand_dims(input: Any, axis: Any = None, dim: Any = None) -> Any:
    """A new axis of size 1."""
    return value_of(input).unsqueeze(int(dim if axis is None else axis))


@operation("Squeeze")
def squeeze(input: Any, axis: Any = None, squeeze_dims: Any = None) -> Any:
    """Without axes of size 1."""
    x, at = value_of(input), squeeze_dims if axis is None else axis
    if at is None:
        return x.squeeze()
    chosen = axes_of(at, x.dim())
    for a in chosen:
        if x.shape[a] != 1:
            raise ValueError(
                f"Can not squeeze dim[{a}], expected a dimension of 1, got {x.shape[a]}"
            )
    return x.squeeze(chosen)


@operation("concat")
def concat(values: Any, axis: Any) -> Any:
    """Joined along an axis."""
    return tf["cat"]([value_of(v) for v in values], dim=int(axis))


@operation("stack")
def stack(values: Any, axis: int = 0) -> Any:
    """Joined along a new axis; numbers that the run knows stay such."""
    if all(type(v) is int for v in values):
        return tuple(values)
    return tf["stack"]([value_of(v) for v in values], dim=axis)


pack = stack


@operation("unstack")
def _unstacked(value: Any, axis: int = 0) -> Any:
    """The parts along an axis."""
    return tuple(value_of(value).unbind(axis))


def _count(value: Any, axis: int, num: int | None) -> int:
    known = num if num is not None or value.known is None else value.known[0][axis]
    if known is None:
        raise ValueError(f"Cannot infer num from shape {value.shape}")
    return known


def unstack(
    value: Any, num: int | None = None, axis: int = 0, name: str = "unstack"
) -> list[Tensor]:
    """The parts along an axis, as a list."""
    parts = _unstacked(convert_to_tensor(value), axis, name=name)
    return [parts[i] for i in range(_count(convert_to_tensor(value), axis, num))]


@operation("split")
def _split(value: Any, sizes: Any, axis: int) -> Any:
    """Pieces of these sizes, or so many of one size."""
    value = value_of(value)
    if isinstance(sizes, int) and value.shape[axis] % sizes:
        raise ValueError(
            f"Dimension size must be evenly divisible by {sizes} but is {value.shape[axis]}"
        )
    step = value.shape[axis] // sizes if isinstance(sizes, int) else list(sizes)
    return tuple(tf["split"](value, step, axis))


def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None, name: str = "split"
) -> Any:
    """The pieces along an axis, as a list."""
    whole = convert_to_tensor(value)
    pieces = _split(whole, num_or_size_splits, axis, name=name)
    count = num_or_size_splits if isinstance(num_or_size_splits, int) else len(num_or_size_splits)
    return [pieces[i] for i in range(count)]


@operation("Tile")
def tile(input: Any, multiples: Any) -> Any:
    """The whole several times along each axis."""
    return tf["tile"](value_of(input), sizes_of(multiples))


@operation("Pad")
def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Any:
    """Wider by (before, after) along each axis."""
    x = value_of(tensor)
    pairs = paddings.tolist() if isinstance(paddings, (Value, np.ndarray)) else paddings
    mode = mode.upper()
    if mode not in ("CONSTANT", "REFLECT", "SYMMETRIC"):
        raise ValueError(f"Unknown padding mode: {mode}")
    if mode == "CONSTANT":
        made = full(
            tuple(n + a + b for n, (a, b) in zip(x.shape, pairs)), constant_values, dtype=x.dtype
        )
        made[tuple(builtins.slice(a, a + n) for n, (a, _) in zip(x.shape, pairs))] = x
        return made
    for axis, (a, b) in enumerate(pairs):
        n = x.shape[axis]
        edge = 1 if mode == "REFLECT" else 0
        before = [edge + i for i in range(a)][::-1]
        after = [n - 1 - edge - i for i in range(b)]
        x = x.index_select(axis, as_tensor([*before, *range(n), *after]))
    return x


@operation("Slice")
def slice(input_: Any, begin: Any, size: Any) -> Any:
    """The part that begins at `begin`; a size of -1 is all that is left."""
    x = value_of(input_)
    cut = []
    for axis, (start, n) in enumerate(zip(sizes_of(begin), sizes_of(size))):
        cut.append((axis, start, x.shape[axis] - start if n < 0 else n))
    for axis, start, n in cut:
        x = x.narrow(axis, start, n)
    return x


@operation("reverse")
def reverse(tensor: Any, axis: Any) -> Any:
    """The other way round along some axes."""
    x = value_of(tensor)
    return x.flip(axes_of(axis, x.dim()))


@operation("GatherV2")
def gather(params: Any, indices: Any, validate_indices: Any = None, axis: int = 0) -> Any:
    """The parts of `params` along an axis that `indices` name."""
    x, i = value_of(params), value_of(indices)
    axis = axis % x.dim()
    found = tf["index_select"](x, axis, i.reshape(-1))
    return found.reshape([*x.shape[:axis], *i.shape, *x.shape[axis + 1 :]])


@operation("GatherNd")
def gather_nd(params: Any, indices: Any) -> Any:
    """The parts of `params` at places given by their first few coordinates."""
    x, i = value_of(params), value_of(indices)
    return x[tuple(i.unbind(-1))]


@operation("one_hot")
def one_hot(
    indices: Any, depth: Any, on_value: Any = 1.0, off_value: Any = 0.0, axis: int | None = None,
    dtype: Any = None,
) -> Any:  # fmt: skip
    """A new axis with `on_value` at the index and `off_value` elsewhere."""
    i = value_of(indices)
    hit = i.unsqueeze(-1) == arange(int(depth))
    kind = dtypes.float32 if dtype is None else as_dtype(dtype)
    made = tf["where"](hit, value_of(on_value, kind), value_of(off_value, kind))
    return made if axis in (None, -1) else made.movedim(-1, axis)


@operation("Where")
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """x where the condition holds, else y; the places where it holds without these."""
    c = value_of(condition)
    if x is None:
        return c.nonzero()
    a, b = pair(x, y)
    while c.dim() and c.dim() < a.dim():
        c = c.unsqueeze(-1)
    return tf["where"](c, a, b)


@operation("range")
def range_(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Any:
    """Numbers at even steps."""
    bounds = [start] if limit is None else [start, limit]
    numbers = [b.item() if isinstance(b, Value) else b for b in bounds]
    whole = all(isinstance(b, int) for b in (*numbers, delta))
    kind = as_dtype(dtype) if dtype is not None else dtypes.int32 if whole else dtypes.float32
    return arange(*numbers, step=delta, dtype=kind)


def linspace(start: Any, stop: Any, num: int, name: str = "LinSpace") -> Tensor:
    """`num` numbers from start to stop."""
    return new(name, linspace_values, (start, stop, num))


def _filled(title: str, value: int) -> Any:
    def fill(shape: Any, dtype: Any = dtypes.float32) -> Any:
        return full(tuple(sizes_of(shape)), value, dtype=as_dtype(dtype))

    fill.__name__ = fill.__qualname__ = title
    fill.__doc__ = f"{title} of a shape."
    return operation(title)(fill)


zeros, ones = _filled("zeros", 0), _filled("ones", 1)


@operation("zeros_like")
def zeros_like(tensor: Any, dtype: Any = None, optimize: bool = True) -> Any:
    """Zeros of the tensor's shape."""
    x = value_of(tensor)
    return full(tuple(x.shape), 0, dtype=x.dtype if dtype is None else as_dtype(dtype))


@operation("ones_like")
def ones_like(tensor: Any, dtype: Any = None, optimize: bool = True) -> Any:
    """Ones of the tensor's shape."""
    x = value_of(tensor)
    return full(tuple(x.shape), 1, dtype=x.dtype if dtype is None else as_dtype(dtype))


@operation("Fill")
def fill(dims: Any, value: Any) -> Any:
    """One value in every place of a shape."""
    return value_of(value).broadcast_to(sizes_of(dims))


@operation("eye")
def eye(num_rows: int, num_columns: int | None = None, dtype: Any = dtypes.float32) -> Any:
    """Ones on the diagonal."""
    return as_tensor(np.eye(num_rows, num_columns)).to(as_dtype(dtype))


@operation("Identity")
def identity(input: Any) -> Any:
    """The value, as it is when what it waits for is done."""
    return value_of(input)


@operation("StopGradient")
def stop_gradient(input: Any) -> Any:
    """The value, through which no gradient goes."""
    return value_of(input).detach()

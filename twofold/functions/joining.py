"""Splitting, joining and combining tensors: composites of the functions of `shape.py`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..graph.types import broadcast_shapes
from ..ops import movement as mv
from ..ops.elementwise import constant
from ..tensor import Tensor, from_stored, wrap, wrap_dim
from ._registry import both, function, functions, method
from .shape import (
    cat,
    flatten,
    meshgrid,
    narrow,
    reshape,
    split,
    stack,
    tensor_split,
)


def _split_axis(name: str, least: int) -> None:
    def apply(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        if input.dim() < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension"
                f"{'s' if least > 1 else ''}, but got a tensor with {input.dim()} dimensions!"
            )
        axis = {"hsplit": 0 if input.dim() == 1 else 1, "vsplit": 0, "dsplit": 2}[name]
        if isinstance(indices_or_sections, int):
            n = input.shape[axis]
            if indices_or_sections <= 0 or n % indices_or_sections:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {axis}, but the size of the "
                    f"dimension {n} is not divisible by the split_size {indices_or_sections}!"
                )
        return tensor_split(input, indices_or_sections, axis)

    apply.__name__ = name
    apply.__doc__ = "input split into parts, or before the given places, along one axis."
    both(name)(apply)


_split_axis("hsplit", 1)
_split_axis("vsplit", 2)
_split_axis("dsplit", 3)

both("split_with_sizes")(split)
both("unsafe_split", "unsafe_split_with_sizes")(split)
functions["unsafe_chunk"] = functions["chunk"]
method("unsafe_chunk")(functions["chunk"])
functions["row_stack"] = functions["vstack"]


def _three_axes(x: Tensor) -> Tensor:
    if x.dim() >= 3:
        return x
    if x.dim() == 2:
        return x.unsqueeze(-1)
    return reshape(x, 1, x.numel(), 1)


def _each(apply: Any, tensors: tuple[Any, ...]) -> Any:
    """`apply` to one tensor, or to each of several."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return apply(tensors[0])
    if len(tensors) == 1:
        tensors = tuple(tensors[0])
    return tuple(apply(x) for x in tensors)


@both()
def atleast_3d(*tensors: Any) -> Any:
    """Views with at least three axes: a vector is laid along the second, a matrix along two."""
    return _each(_three_axes, tensors)


def _least(name: str) -> None:
    single = functions[name]

    def apply(*tensors: Any) -> Any:
        return _each(single, tensors)

    apply.__name__, apply.__doc__ = name, single.__doc__
    functions[name] = apply


_least("atleast_1d")
_least("atleast_2d")


@function()
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors behind one another, along axis 2."""
    return cat([_three_axes(x) for x in tensors], 2)


@function()
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side, vectors and numbers as columns."""
    return cat([reshape(x, x.numel(), 1) if x.dim() <= 1 else x for x in tensors], 1)


@function()
def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the tensors as blocks on its diagonal and 0 elsewhere."""
    blocks = []
    for i, x in enumerate(tensors):
        if x.dim() > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input "
                f"{i} has {x.dim()} dimensions"
            )
        blocks.append(reshape(x, *(1,) * (2 - x.dim()), *x.shape))
    if not blocks:
        return from_stored(np.empty((1, 0), np.float32), dtypes.float32)
    widths = [b.shape[1] for b in blocks]
    rows, before = [], 0
    for b, width in zip(blocks, widths):
        after = sum(widths) - before - width
        fill = constant(0, b.dtype)
        rows.append(wrap(mv.pad(b._node(), ((0, 0), (before, after)), fill)))
        before += width
    return cat(rows, 0)


@function()
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Every choice of one element from each vector, as rows."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([flatten(g) for g in meshgrid(*tensors)], 1)


def _vector_of_ints(values: list[tuple[int, ...]], width: int) -> Tensor:
    array = np.asarray(values, np.int64).reshape(len(values), width)
    return from_stored(array, dtypes.int64)


@both()
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Every choice of r elements of a vector, as rows."""
    if input.dim() != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return wrap(mv.expand(constant(0, input.dtype), (0,)))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = list(choose(range(input.numel()), r))
    if not places:
        return wrap(mv.expand(constant(0, input.dtype), (0, r)))
    return input[_vector_of_ints(places, r)]


@both()
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with the elements of input on a diagonal."""
    return reshape(input, input.numel()).diag(offset)


@function()
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The coordinates, in a tensor of `shape`, of places counted in row-major order.

    >>> import twofold as tf
    >>> tf.unravel_index(tf.tensor([5]), (2, 3))
    (tensor([1]), tensor([2]))
    """
    if indices.dtype.kind not in ("int", "uint"):
        raise ValueError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    shape = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if any(n < 0 for n in shape):
        raise ValueError(f"'shape' cannot have negative values, but got {shape}")
    coordinates = []
    for n in reversed(shape):
        coordinates.append(indices % n)
        indices = indices // n
    return tuple(reversed(coordinates))


@both()
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The matrix of powers x^(N-1), ..., x, 1 of each element."""
    if x.dim() != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.numel() if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    wide = x if x.dtype.kind in ("float", "complex") else x.to(dtypes.int64)
    columns = [functions["ones_like"](wide)]
    for _ in range(n - 1):
        columns.append(columns[-1] * wide)
    columns = columns[:n] if increasing else columns[:n][::-1]
    if not columns:
        return wrap(mv.expand(constant(0, wide.dtype), (x.numel(), 0)))
    return stack(columns, 1)


@both()
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The coordinates where input is not 0, as exactly `size` rows."""
    found = input.nonzero()
    n = found.shape[0]
    if n >= size:
        return narrow(found, 0, 0, size)
    pad = functions["full"]((size - n, found.shape[1]), fill_value, dtype=dtypes.int64)
    return cat([found, pad], 0)


@method("fill_diagonal_")
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Write a number to the main diagonal; with `wrap`, go on below it in a tall matrix."""
    if self.dim() < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.dim() > 2 and len(set(self.shape)) != 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    rows, columns = self.shape[0], self.shape[-1]
    if self.dim() > 2:
        places = functions["arange"](rows)
        self[(places,) * self.dim()] = fill_value
        return self
    at = np.arange(0, rows * columns, columns + 1)
    if not wrap:
        at = at[: min(rows, columns)]
    at = at.astype(np.int64)
    self[from_stored(at // columns, dtypes.int64), from_stored(at % columns, dtypes.int64)] = (
        fill_value
    )
    return self


@method("sum_to_size")
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The sum over the axes along which a tensor of `size` would be broadcast to this one."""
    if len(size) == 1 and not isinstance(size[0], int):
        size = tuple(size[0])
    lead = self.dim() - len(size)
    axes = list(range(lead))
    if lead < 0:
        raise RuntimeError(f"size {list(size)} is not expandable to size {list(self.shape)}.")
    for a, n in enumerate(size):
        own = self.shape[lead + a]
        if n != own and n != 1:
            raise RuntimeError(f"size {list(size)} is not expandable to size {list(self.shape)}.")
        if n == 1 and own != 1:
            axes.append(lead + a)
    if axes:
        return reshape(self.sum(axes, keepdim=True), *size)
    return reshape(self.long() if self.dtype is dtypes.bool_ else self, *size)


@method("swapaxes_")
def swapaxes_(self: Tensor, axis0: int, axis1: int) -> Tensor:
    """Swap two axes of this tensor itself."""
    return self.transpose_(axis0, axis1)


method("swapdims_")(swapaxes_)


def _triangle_in_place(name: str) -> None:
    def apply(self: Tensor, diagonal: int = 0) -> Tensor:
        return self._assign(getattr(self, name)(diagonal))

    apply.__name__ = f"{name}_"
    apply.__doc__ = f"`{name}`, written to this tensor."
    method(f"{name}_")(apply)


_triangle_in_place("tril")
_triangle_in_place("triu")


@both()
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along an axis of 3: `dim`, else the first of that size."""
    shape = broadcast_shapes("cross", [tuple(input.shape), tuple(other.shape)])
    a, b = input.expand(shape), other.expand(shape)
    if dim is None:
        found = [i for i, n in enumerate(shape) if n == 3]
        if not found:
            raise RuntimeError("no dimension of size 3 in input")
        dim = found[0]
    dim = wrap_dim(dim, len(shape))
    if shape[dim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {shape[dim]} and "
            f"{shape[dim]}"
        )
    return a.roll(-1, dim) * b.roll(-2, dim) - a.roll(-2, dim) * b.roll(-1, dim)

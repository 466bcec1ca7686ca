"""Views given by strides, and tensors that take another size or storage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import engine
from ..dtypes import get_default
from ..graph.node import Node
from ..ops import index as ix
from ..ops import movement as mv
from ..ops.elementwise import constant
from ..tensor import Tensor, from_stored, wrap
from ..windows import contiguous_strides, strided
from ._registry import both, function, method
from .shape import shape_args


def _whole(x: Tensor) -> Tensor:
    """The storage of x as a vector."""
    base = object.__new__(Tensor)
    base._storage = x._storage
    return base._view(mv.RESHAPE, ((math.prod(base._node().shape),),))


def _checked(x: Tensor, size: Any, stride: Any, offset: int | None) -> tuple[Any, Any, int]:
    size, stride = shape_args((size,)), shape_args((stride,))
    if len(size) != len(stride):
        raise RuntimeError(
            f"mismatch in length of strides and shape; got {len(stride)} and {len(size)}"
        )
    if any(s < 0 for s in stride):
        raise RuntimeError(
            f"as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(stride)}"
        )
    offset = x.storage_offset() if offset is None else offset
    n = math.prod(x._storage.node.shape)
    last = offset + sum((k - 1) * s for k, s in zip(size, stride))
    if 0 not in size and (offset < 0 or last >= n):
        item = x.dtype.itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and "
            f"itemsize {item} requiring a storage size of {(last + 1) * item} are out of bounds "
            f"for storage of size {n * item}"
        )
    return size, stride, offset


def _positions(size: Sequence[int], stride: Sequence[int], offset: int) -> Node:
    at = np.full((1,) * len(size), offset, np.int64)
    for axis, (n, s) in enumerate(zip(size, stride)):
        steps = np.arange(n, dtype=np.int64) * s
        at = at + steps.reshape([n if a == axis else 1 for a in range(len(size))])
    return engine.from_numpy(np.ascontiguousarray(np.broadcast_to(at, tuple(size))))


@both()
def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """The elements of input's storage at offset + sum_k i_k stride_k.

    A view where the steps lie within one another, as those of slices and transposes do; where they
    overlap (a sliding window), a copy through which gradients flow and writes do not.

    >>> import twofold as tf
    >>> tf.as_strided(tf.arange(6), (2, 2), (1, 3))
    tensor([[0, 3],
            [1, 4]])
    """
    size, stride, offset = _checked(input, size, stride, storage_offset)
    flat = _whole(input)
    window = None if 0 in size else strided(flat.numel(), offset, size, stride)
    if window is not None:
        for op, attrs in window:
            flat = flat._view(op, attrs)
        return flat
    at = ix.checked(_positions(size, stride, offset), max(flat.numel(), 1), 0, "index")
    return wrap(ix.gather(flat._node(), [at]))


@method("as_strided_")
def as_strided_(self: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """Let this tensor itself be the view that `as_strided` gives."""
    return _take_over(self, as_strided(self, size, stride, storage_offset))


@both()
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A copy of input with src written where `as_strided` would look.

    >>> import twofold as tf
    >>> tf.as_strided_scatter(tf.zeros(3, 2).T, tf.tensor([1.0, 2.0]), (2,), (1,))
    tensor([[1., 0., 0.],
            [2., 0., 0.]])
    """
    size, stride, offset = _checked(input, size, stride, storage_offset)
    if tuple(src.shape) != size:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, slice size = {list(size)}"
        )
    flat = _whole(input)._node()
    n, count = math.prod(flat.shape), math.prod(size)
    at = ix.checked(mv.reshape(_positions(size, stride, offset), (count,)), n, 0, "index")
    value = mv.reshape(src._node(), (count,))
    written = wrap(ix.scatter("scatter_set", flat, value, [at]))
    return as_strided(written, input.shape, input.stride(), input.storage_offset())


def _take_over(self: Tensor, other: Tensor) -> Tensor:
    self._storage = other._storage
    self._window, self._base, self._seen = other._window, other._base, other._seen
    return self


@method("resize_")
def resize_(self: Tensor, *sizes: Any, memory_format: object = None) -> Tensor:
    """Give this tensor another size, of the elements of its storage from its first one on; where
    these are too few, a new storage that ends with zeros.

    RuntimeError for tensors that require a gradient.

    >>> import twofold as tf
    >>> tf.arange(6)[2:4].resize_(3)
    tensor([2, 3, 4])
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = shape_args(sizes)
    if tuple(self.shape) == shape:
        return self
    whole, offset, n = _whole(self), self.storage_offset(), math.prod(shape)
    missing = offset + n - whole.numel()
    if missing > 0:
        padded = mv.pad(whole._node(), ((0, missing),), constant(0, self.dtype))
        whole = wrap(padded)
    return _take_over(self, as_strided(whole, shape, contiguous_strides(shape), offset))


@method("resize_as_")
def resize_as_(self: Tensor, other: Tensor, memory_format: object = None) -> Tensor:
    """Give this tensor other's size."""
    return resize_(self, *other.shape)


@method("set_")
def set_(
    self: Tensor, source: Tensor | None = None, storage_offset: int = 0, size: Any = None,
    stride: Any = None,
) -> Tensor:  # fmt: skip
    """Let this tensor share source's storage, size and strides; with none given, be empty."""
    if source is None:
        empty = from_stored(np.empty(0, self.dtype.storage), self.dtype)
        return _take_over(self, empty)
    if source.dtype is not self.dtype:
        raise RuntimeError(
            f"set_storage: the dtypes must agree; got {self.dtype} and {source.dtype}"
        )
    if size is None:
        return _take_over(self, source)
    size = shape_args((size,))
    stride = contiguous_strides(size) if stride is None else stride
    return _take_over(self, as_strided(source, size, stride, storage_offset))


@method("is_set_to")
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both look at the same storage with the same size and strides."""
    return self._storage is tensor._storage and self._layout() == tensor._layout()


def _copied(name: str) -> None:
    """`name_copy`: what the view function `name` shows, as a copy."""

    def apply(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        view = getattr(input, name)(*args, **kwargs)
        if isinstance(view, (tuple, list)):
            return type(view)(x.clone() for x in view)
        return view.clone()

    apply.__name__ = f"{name}_copy"
    apply.__doc__ = f"What `{name}` shows, as a copy of its own."
    function(f"{name}_copy")(apply)


for _name in (
    "as_strided detach diagonal expand narrow permute select split split_with_sizes squeeze t "
    "transpose unbind unfold unsqueeze view"
).split():
    _copied(_name)


@function("alias_copy")
def alias_copy(input: Tensor) -> Tensor:
    """A copy of input."""
    return input.clone()


@function("slice_copy")
def slice_copy(
    input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy of input[start:end:step] along `dim`."""
    index: list[Any] = [slice(None)] * input.dim()
    index[dim] = slice(start, end, step)
    return input[tuple(index)].clone()


@method("narrow_copy")
def narrow_copy(self: Tensor, dim: int, start: int, length: int) -> Tensor:
    """What `narrow` shows, as a copy of its own."""
    return self.narrow(dim, start, length).clone()


@function("empty_strided")
def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of a size and strides, filled with 0."""
    size, stride = shape_args((size,)), shape_args((stride,))
    n = 1 + sum((k - 1) * s for k, s in zip(size, stride)) if 0 not in size else 0
    wide = wrap(mv.expand(constant(0, dtype or get_default()), (n,)))
    order = sorted(range(len(stride)), key=lambda a: -stride[a])
    dense = contiguous_strides([size[a] for a in order])
    if [stride[a] for a in order] == list(dense):
        view = wide.view([size[a] for a in order])
        result = view.permute(*sorted(range(len(order)), key=lambda i: order[i]))
    else:
        result = as_strided(wide, size, stride, 0)
    return result.requires_grad_() if requires_grad else result


@function("empty_permuted")
def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of a size whose axes lie in memory in the order of `physical_layout`."""
    size = shape_args((size,))
    if sorted(physical_layout) != list(range(len(size))):
        raise RuntimeError(
            "[empty_permuted] physical_layout must be a permutation of the axes; got "
            f"{list(physical_layout)}"
        )
    dense = contiguous_strides([size[a] for a in physical_layout])
    stride = [dense[list(physical_layout).index(a)] for a in range(len(size))]
    return empty_strided(size, stride, dtype=dtype, requires_grad=requires_grad)


@method("new_empty_strided")
def new_empty_strided(
    self: Tensor, size: Any, stride: Any, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of a size and strides and of this one's dtype, filled with 0."""
    return empty_strided(size, stride, dtype=dtype or self.dtype, requires_grad=requires_grad)

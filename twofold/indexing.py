"""Indexing: integers, slices, ellipsis, None, masks and integer arrays, to read and to write.

Integers, slices, ellipsis and None give views. Masks and integer arrays ("advanced" indices) gather
copies; written to, they scatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from . import dtypes, engine
from .functions._registry import both, method
from .functions.arithmetic import to_bool
from .functions.gather import masked_select, places
from .graph.node import Node
from .graph.types import broadcast_shapes
from .ops import elementwise as ew
from .ops import index as ix
from .ops import movement as mv
from .tensor import NAMES, Tensor, broadcast_to, number, wrap

_INTEGERS = (int, np.integer)


def _as_tuple(index: Any) -> tuple[Any, ...]:
    if isinstance(index, tuple):
        return index
    if isinstance(index, list) and any(isinstance(i, (slice, type(Ellipsis))) or i is None
                                       for i in index):  # fmt: skip
        return tuple(index)
    return (index,)


def _is_mask(item: Any) -> bool:
    return isinstance(item, Tensor) and item.dtype in (dtypes.bool_, dtypes.uint8)


def _is_number(item: Any) -> bool:
    """Whether an index is an integer in a 0-d tensor."""
    return isinstance(item, Tensor) and not item.dim() and not _is_mask(item)


def _is_basic(item: Any) -> bool:
    return (
        (isinstance(item, _INTEGERS) and not isinstance(item, bool))
        or isinstance(item, slice)
        or item is None
        or item is Ellipsis
    )


def _consumed(item: Any) -> int:
    """How many axes an index takes."""
    if item is None or item is Ellipsis or isinstance(item, (bool, np.bool_)):
        return 0
    if _is_mask(item):
        return item.dim()
    return 1


def _with_ellipsis(items: tuple[Any, ...], rank: int) -> list[Any]:
    """The indices with whole slices in place of the ellipsis, one for each axis and None."""
    used = sum(_consumed(i) for i in items)
    if used > rank:
        raise IndexError(f"too many indices for tensor of dimension {rank}")
    rest = [slice(None)] * (rank - used)
    places = [n for n, i in enumerate(items) if i is Ellipsis]
    if len(places) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if places:
        return [*items[: places[0]], *rest, *items[places[0] + 1 :]]
    return [*items, *rest]


def _slice_bounds(item: slice, n: int) -> tuple[int, int, int]:
    """(start, size, step) of a slice of n places. ValueError unless the step is above 0."""
    step = 1 if item.step is None else int(item.step)
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start, stop, step = item.indices(n)
    size = max(0, -(-(stop - start) // step))
    return (start if size else 0, size, step)


def _basic(x: Tensor, items: Sequence[Any]) -> Tensor:
    """The view of integers, slices and None."""
    shape = x._node().structure.shape
    bounds: list[tuple[int, int, int]] = []
    new: list[int] = []
    axis = 0
    cuts = False
    for item in items:
        if item is None:
            new.append(1)
            continue
        n = shape[axis]
        if isinstance(item, slice):
            if item.start is None and item.stop is None and item.step is None:
                bound = (0, n, 1)
            else:
                bound = _slice_bounds(item, n)
                cuts = cuts or bound != (0, n, 1)
            new.append(bound[1])
        else:
            i = int(item)
            if not -n <= i < n:
                raise IndexError(f"index {i} is out of bounds for dimension {axis} with size {n}")
            bound = (i + n if i < 0 else i, 1, 1)
            cuts = cuts or n != 1
        bounds.append(bound)
        axis += 1
    if cuts:
        x = x._view(mv.SLICE, (tuple(bounds),))
    result = tuple(new)
    if result != x._node().structure.shape or not cuts:
        x = x._view(mv.RESHAPE, (result,))
    return x


def _split(x: Tensor, index: Any) -> tuple[Tensor, list[Any] | None]:
    """The view that basic indices give, and the advanced ones: for each of its axes an index or
    None."""
    items = _as_tuple(index)
    if all(_is_basic(i) for i in items):
        if len(items) == 1 and items[0] is not None and items[0] is not Ellipsis:
            rank = x.dim()
            if not rank:
                raise IndexError(
                    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                    "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
                    if isinstance(items[0], _INTEGERS)
                    else "slice() cannot be applied to a 0-dim tensor."
                )
        return _basic(x, _with_ellipsis(items, x.dim())), None
    items = tuple(i if _is_basic(i) else _index_tensor(i) for i in items)
    arrays = [i for i in items if isinstance(i, Tensor)]
    if len(arrays) > 1:
        # Among other arrays a 0-d one counts as an integer: its axis goes first.
        items = tuple(int(i.item()) if _is_number(i) else i for i in items)
        if all(_is_basic(i) for i in items):
            return _basic(x, _with_ellipsis(items, x.dim())), None
    items = tuple(_with_ellipsis(items, x.dim()))
    # Basic parts first: an advanced index leaves its axes whole.
    basic: list[Any] = []
    advanced: list[Any] = []
    for item in items:
        if _is_mask(item):
            if item.dim() == 0:
                basic.append(None)
                advanced.append(item)
                continue
            basic.extend([slice(None)] * item.dim())
            advanced.append(item)
            advanced.extend([_COVERED] * (item.dim() - 1))
        elif isinstance(item, Tensor):
            basic.append(slice(None))
            advanced.append(item)
        elif isinstance(item, _INTEGERS):
            basic.append(item)
        else:
            basic.append(item)
            advanced.append(None)
    return _basic(x, basic), advanced


_COVERED = object()
"""Stands for an axis that the mask before it covers."""


def _index_tensor(item: Any) -> Tensor:
    """An advanced index as a tensor of integers or bools."""
    if isinstance(item, Tensor):
        if item.dtype.kind == "float":
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return item
    if isinstance(item, (list, tuple, range, np.ndarray, bool, np.bool_)):
        array = np.asarray(_lists(item))
        if array.size == 0 and array.dtype.kind == "f":
            array = array.astype(np.int64)
        if array.dtype.kind not in "biu":
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return from_array(array)
    raise IndexError(
        "[index] only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables "
        "are "
        f"valid indices (got {type(item).__name__})"
    )


def _lists(item: Any) -> Any:
    """Nested sequences with tensors in them as nested sequences of numbers."""
    if isinstance(item, Tensor):
        return item._held()
    if isinstance(item, (list, tuple)):
        return [_lists(i) for i in item]
    return item


def from_array(array: np.ndarray) -> Tensor:
    """An index array as a tensor of bool or int64."""
    kind = array.dtype.kind
    array = array.astype(np.bool_ if kind == "b" else np.int64)
    return wrap(engine.from_numpy(array, share=True))


def _check_mask(mask: Tensor, shape: Sequence[int], at: int) -> None:
    own = tuple(mask.shape)
    for k, (n, m) in enumerate(zip(own, shape[at:])):
        if n != m:
            raise IndexError(
                f"The shape of the mask {list(own)} at index {k} does not match the shape of the "
                f"indexed tensor {list(shape)} at index {at + k}"
            )


def _resolved(view: Tensor, advanced: Sequence[Any]) -> tuple[Node, list[Node | None]]:
    """The view's value with the axes of each mask made one, and for each axis then left None or
    int64 positions in range: those of a mask are where it holds."""
    x = view._node()
    shape = x.structure.shape
    joined: list[int] = []
    indices: list[Node | None] = []
    for at, item in enumerate(advanced):
        if item is _COVERED:
            continue
        extent, index = shape[at], None
        if item is not None and not _is_mask(item):
            index = ix.checked(item._node(), extent, at)
        elif item is not None:
            if item.dim():
                _check_mask(item, shape, at)
                extent = prod(item.shape)
            index = places(item)
        joined.append(extent)
        indices.append(index)
    return mv.reshape(x, tuple(joined)), indices


@method("__getitem__")
def getitem(self: Tensor, index: Any) -> Tensor:
    """The part that an index names: a view for basic indices, a copy for masks and integer
    arrays."""
    view, advanced = _split(self, index)
    if advanced is None:
        return view
    first = advanced[0]
    if _is_mask(first) and first.dim() == view.dim():
        _check_mask(first, view.shape, 0)
        return masked_select(view, first)
    return wrap(take(*_resolved(view, advanced)))


def _joined(x: Node, indices: Sequence[Node | None]) -> tuple[list[Node], tuple[int, ...]]:
    """The indices broadcast to one shape, and the axes of x with the indexed ones first."""
    axes = [a for a, i in enumerate(indices) if i is not None]
    given = [i for i in indices if i is not None]
    try:
        shape = broadcast_shapes("index", [i.shape for i in given])
    except RuntimeError:
        shapes = ", ".join(str(list(i.shape)) for i in given)
        raise IndexError(
            "shape mismatch: indexing tensors could not be broadcast together with shapes " + shapes
        ) from None
    nodes = [broadcast_to(i, shape) for i in given]
    return nodes, (*axes, *(a for a in range(len(x.shape)) if a not in axes))


def _moves(order: tuple[int, ...], n_indices: int, n_axes: int) -> tuple[int, ...]:
    """The permutation of a gather's result (the indices' axes, then the others) that PyTorch gives:
    the indices' axes stand where the first of adjacent indexed axes stood, else at the front."""
    axes = order[:n_indices]
    rest = len(order) - n_indices
    adjacent = axes[-1] - axes[0] == n_indices - 1
    before = axes[0] if adjacent else 0
    return (
        *range(n_axes, n_axes + before),
        *range(n_axes),
        *range(n_axes + before, n_axes + rest),
    )


def take(x: Node, indices: Sequence[Node | None]) -> Node:
    """x at positions in range, given for some of its axes and None for the others."""
    nodes, order = _joined(x, indices)
    y = ix.gather(mv.permute(x, order), nodes)
    return mv.permute(y, _moves(order, len(nodes), len(nodes[0].shape)))


def put(x: Node, indices: Sequence[Node | None], value: Node, accumulate: bool) -> Node:
    """x with `value` (broadcast) written or added at positions in range, as in `take`."""
    nodes, order = _joined(x, indices)
    moves = _moves(order, len(nodes), len(nodes[0].shape))
    own = (*nodes[0].shape, *(x.shape[a] for a in order[len(nodes) :]))
    value = mv.permute(_fitting(value, tuple(own[a] for a in moves)), mv.inverse_permutation(moves))
    mode = "scatter_add" if accumulate else "scatter_set"
    y = ix.scatter(mode, mv.permute(x, order), value, nodes)
    return mv.permute(y, mv.inverse_permutation(order))


def _fitting(value: Node, shape: tuple[int, ...]) -> Node:
    """`value` broadcast to `shape`, after dropping leading axes of one element."""
    own = value.shape
    while len(own) > len(shape) and own[0] == 1:
        own = own[1:]
    value = mv.reshape(value, own)
    fits = len(own) <= len(shape) and all(
        n in (1, m) for n, m in zip(reversed(own), reversed(shape))
    )
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(own)} cannot be broadcast to indexing "
            f"result of shape {list(shape)}"
        )
    return broadcast_to(value, shape)


@method("__setitem__")
def setitem(self: Tensor, index: Any, value: Any) -> None:
    """Write to the part that an index names; the value broadcasts."""
    view, advanced = _split(self, index)
    s = view._node().structure
    if isinstance(value, Tensor):
        new = ew.cast(value._node(), s.dtype)
    elif isinstance(value, (int, float, np.generic)):
        new = number(value.item() if isinstance(value, np.generic) else value, s.dtype)
    else:
        new = ew.cast(from_value(value), s.dtype)
    if advanced is None:
        view._write(_fitting(new, s.shape))
        return
    masks = [at for at, item in enumerate(advanced) if item is not None and item is not _COVERED]
    mask = advanced[masks[0]]
    if len(masks) == 1 and _is_mask(mask) and mask.dim() and not new.shape:
        _check_mask(mask, s.shape, masks[0])
        before, after = masks[0], len(s.shape) - masks[0] - mask.dim()
        own = mv.reshape(to_bool(mask._node()), (*(1,) * before, *mask.shape, *(1,) * after))
        view._write(ew.where(own, new, view._node()))
        return
    x, indices = _resolved(view, advanced)
    view._write(mv.reshape(put(x, indices, new, False), s.shape))


@both(inplace=True)
def index_put(
    input: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False
) -> Tensor:
    """input with values written (or added) where input[indices] reads; values broadcast."""
    if values.dtype is not input.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{NAMES[input.dtype]} for the destination and {NAMES[values.dtype]} for the source."
        )
    view, advanced = _split(input, tuple(slice(None) if i is None else i for i in indices))
    if advanced is None:
        return input + values if accumulate else wrap(broadcast_to(values._node(), input.shape))
    x, places_ = _resolved(view, advanced)
    return wrap(mv.reshape(put(x, places_, values._node(), accumulate), tuple(input.shape)))


def from_value(value: Any) -> Node:
    """Sequences and arrays as a leaf."""
    return engine.from_numpy(np.asarray(_lists(value)))

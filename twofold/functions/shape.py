"""Views and other functions of shape: the same elements seen or laid otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import windows
from ..at_once import joined
from ..dtypes import result_type
from ..graph.node import Node
from ..graph.types import broadcast_shapes
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops.custom import identity
from ..tensor import Tensor, number, wrap, wrap_dim
from ._registry import both, by_name, function, method


def shape_args(args: Sequence[Any]) -> tuple[int, ...]:
    """Extents given one by one, or as one sequence."""
    if len(args) == 1 and not isinstance(args[0], (int, Tensor)):
        args = args[0]
    return tuple(int(n) for n in args)


def inferred_shape(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """`shape` with its -1, if any, replaced by the extent that gives `size` elements."""
    if -1 in shape:
        at = shape.index(-1)
        rest = math.prod(shape[:at]) * math.prod(shape[at + 1 :])
        if shape.count(-1) > 1:
            raise RuntimeError("only one dimension can be inferred")
        if rest == 0 and size == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if rest <= 0 or size % rest:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}")
        shape = (*shape[:at], size // rest, *shape[at + 1 :])
    if any(n < 0 for n in shape):
        raise RuntimeError(f"invalid shape dimension {min(shape)}")
    if math.prod(shape) != size:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}")
    return shape


def _can_view(x: Tensor, shape: tuple[int, ...]) -> bool:
    if not x._window:
        return True
    own, strides, _ = x._layout()
    return windows.view_strides(own, strides, shape) is not None


@both()
@by_name("shape")
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The elements in another shape of the same size: a view where strides allow it, else a copy.

    >>> import twofold as tf
    >>> tf.arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    node = input._node()
    new = inferred_shape(shape_args(shape), math.prod(node.structure.shape))
    if _can_view(input, new):
        return input._view(mv.RESHAPE, (new,))
    return wrap(mv.reshape(node, new))


@method("view")
@by_name("size")
def view(self: Tensor, *shape: Any) -> Tensor:
    """The elements in another shape of the same size, sharing memory. RuntimeError if they
    cannot."""
    new = inferred_shape(shape_args(shape), self.numel())
    if not _can_view(self, new):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension "
            "spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return self._view(mv.RESHAPE, (new,))


@method("view_as")
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """This tensor's elements in other's shape, sharing memory."""
    return view(self, *other.shape)


@method("reshape_as")
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """This tensor's elements in other's shape."""
    return reshape(self, *other.shape)


@both()
@by_name("dims")
def permute(input: Tensor, *dims: Any) -> Tensor:
    """A view with the axes in another order."""
    axes = shape_args(dims)
    rank = input.dim()
    if len(axes) != rank:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            "length "
            f"of the desired ordering of dimensions i.e. input.dim() = {rank} is not equal to "
            f"len(dims) = {len(axes)}"
        )
    axes = tuple(wrap_dim(a, rank) for a in axes)
    if len(set(axes)) != rank:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return input._view(mv.PERMUTE, (axes,))


@both("transpose", "swapaxes", "swapdims")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two axes swapped."""
    rank = input.dim()
    a, b = wrap_dim(dim0, rank), wrap_dim(dim1, rank)
    axes = list(range(rank))
    if a != b:
        axes[a], axes[b] = b, a
    return input._view(mv.PERMUTE, (tuple(axes),))


@both()
def t(input: Tensor) -> Tensor:
    """A matrix transposed; a vector or a number as it is."""
    rank = input.dim()
    if rank > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {rank}D")
    return transpose(input, 0, 1) if rank == 2 else input._view(mv.PERMUTE, (tuple(range(rank)),))


def _reversed_axes(x: Tensor) -> Tensor:
    return x._view(mv.PERMUTE, (tuple(range(x.dim()))[::-1],))


def _matrices_transposed(x: Tensor) -> Tensor:
    if x.dim() < 2:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got "
            f"{x.dim()}-D tensor."
        )
    return transpose(x, -2, -1)


Tensor.T = property(_reversed_axes, doc="The axes in reverse order.")  # type: ignore[attr-defined]
Tensor.mT = property(_matrices_transposed, doc="The last two axes swapped.")  # type: ignore[attr-defined]


@both("movedim", "moveaxis")
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """A view with axes at `source` moved to `destination`."""
    rank = input.dim()
    sources = [source] if isinstance(source, int) else list(source)
    places = [destination] if isinstance(destination, int) else list(destination)
    sources = [wrap_dim(a, rank) for a in sources]
    places = [wrap_dim(a, rank) for a in places]
    if len(sources) != len(places):
        raise RuntimeError("movedim: Invalid source or destination dims: source and destination "
                           "must "
                           "have the same number of dims")  # fmt: skip
    rest = iter([a for a in range(rank) if a not in sources])
    order = dict(zip(places, sources))
    axes = tuple(order[a] if a in order else next(rest) for a in range(rank))
    return input._view(mv.PERMUTE, (axes,))


@both()
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """A view without the axes (or those among `dim`) of one element."""
    shape = input._node().structure.shape
    if dim is None:
        drop = set(range(len(shape)))
    else:
        dims = (dim,) if isinstance(dim, int) else dim
        drop = {wrap_dim(d, len(shape)) for d in dims}
    new = tuple(n for a, n in enumerate(shape) if a not in drop or n != 1)
    return input._view(mv.RESHAPE, (new,))


@both()
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A view with a new axis of one element at `dim`."""
    shape = input._node().structure.shape
    dim = wrap_dim(dim, len(shape) + 1)
    return input._view(mv.RESHAPE, ((*shape[:dim], 1, *shape[dim:]),))


@both()
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim as one."""
    shape = input._node().structure.shape
    rank = len(shape)
    if rank == 0:
        return reshape(input, 1)
    first, last = wrap_dim(start_dim, rank), wrap_dim(end_dim, rank)
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if first == last:
        return input
    return reshape(input, *shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


@both()
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Axis `dim` as several axes of these sizes."""
    shape = input._node().structure.shape
    dim = wrap_dim(dim, len(shape))
    inner = inferred_shape(tuple(sizes), shape[dim])
    return reshape(input, *shape[:dim], *inner, *shape[dim + 1 :])


@both()
def ravel(input: Tensor) -> Tensor:
    """All elements along one axis."""
    return reshape(input, -1) if input.numel() else reshape(input, 0)


@method("expand")
@by_name("size")
def expand(self: Tensor, *sizes: Any) -> Tensor:
    """A view repeated along axes of one element and new leading axes; -1 keeps an extent."""
    new = list(shape_args(sizes))
    shape = self._node().structure.shape
    lead = len(new) - len(shape)
    if lead < 0:
        raise RuntimeError(
            f"expand({self.type()}{{{list(shape)}}}, size={new}): the number of sizes provided "
            f"({len(new)}) must be greater or equal to the number of dimensions in the tensor "
            f"({len(shape)})"
        )
    for a, n in enumerate(new):
        if n == -1:
            if a < lead:
                raise RuntimeError(f"The expanded size of the tensor ({n}) isn't allowed in a "
                                   "leading, "
                                   f"non-existing dimension {a}")  # fmt: skip
            new[a] = shape[a - lead]
        elif a >= lead and shape[a - lead] not in (1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size "
                f"({shape[a - lead]}) at non-singleton dimension {a}.  Target sizes: {new}.  "
                "Tensor "
                f"sizes: {list(shape)}"
            )
    return self._view(mv.EXPAND, (tuple(new),))


@method("expand_as")
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """A view expanded to other's shape."""
    return expand(self, *other.shape)


@function()
def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """A view expanded to `shape`."""
    return expand(input, *shape)


method("broadcast_to")(broadcast_to)


@function()
def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Views of all tensors, expanded to the shape that they broadcast to."""
    shape = broadcast_shapes("broadcast_tensors", [tuple(x.shape) for x in tensors])
    return tuple(expand(x, *shape) for x in tensors)


def slice_axis(input: Tensor, dim: int, start: int, size: int, step: int = 1) -> Tensor:
    """A view of `size` elements along axis `dim` (not negative)."""
    shape = input._node().structure.shape
    bounds = tuple((start, size, step) if a == dim else (0, n, 1) for a, n in enumerate(shape))
    return input._view(mv.SLICE, (bounds,))


@both()
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of one place along axis `dim`, which vanishes."""
    shape = input._node().structure.shape
    if not shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim, index = wrap_dim(dim, len(shape)), int(index)
    n = shape[dim]
    if not -n <= index < n:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} at dimension "
            f"{dim}"
        )
    part = slice_axis(input, dim, index % n, 1)
    return part._view(mv.RESHAPE, ((*shape[:dim], *shape[dim + 1 :]),))


@both()
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A view of `length` places from `start` along axis `dim`."""
    shape = input._node().structure.shape
    dim, start = wrap_dim(dim, len(shape)), int(start)
    n = shape[dim]
    if not -n <= start <= n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [-{n}, {n}], but got {start})"
        )
    start += n if start < 0 else 0
    if start + length > n or length < 0:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return slice_axis(input, dim, start if length else 0, length)


@both()
def split(tensor: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts of `split_size` (the last may be smaller), or of the sizes given, along
    `dim`."""
    shape = tensor._node().structure.shape
    dim = wrap_dim(dim, len(shape))
    n = shape[dim]
    if isinstance(split_size, int):
        if split_size < 0 or (split_size == 0 and n):
            raise RuntimeError(
                f"split expects split_size be non-negative, but got split_size={split_size}"
            )
        starts = list(range(0, n, split_size)) if n else [0]
        sizes = [min(split_size, n - s) for s in starts]
    else:
        sizes = [int(s) for s in split_size]
        if sum(sizes) != n:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size "
                "at "
                f"dimension {dim}), but got split_sizes={sizes}"
            )
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(narrow(tensor, dim, s, k) for s, k in zip(starts, sizes))


@both()
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` parts of equal size (the last may be smaller) along `dim`."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input.size(dim)
    return split(input, max(-(-n // chunks), 1), dim)


@both()
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of parts along `dim`: so many nearly equal ones, or cut at the indices given."""
    n = input.size(dim)
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        k = indices_or_sections
        sizes = [n // k + (i < n % k) for i in range(k)]
        return split(input, sizes, dim)
    cuts = [min(max(c + n if c < 0 else c, 0), n) for c in indices_or_sections]
    parts = zip([0, *cuts], [*cuts, n])
    return tuple(narrow(input, dim, a, max(b - a, 0)) for a, b in parts)


@both()
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """A view of each place along `dim`."""
    return tuple(select(input, dim, i) for i in range(input.size(dim)))


@method("__iter__")
def _iterate(self: Tensor) -> Any:
    if not self.dim():
        raise TypeError("iteration over a 0-d tensor")
    return iter(unbind(self, 0))


@both()
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonals of the matrices in axes dim1 and dim2, as a last axis."""
    shape = input._node().structure.shape
    rank = len(shape)
    a, b = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rest = tuple(i for i in range(rank) if i not in (a, b))
    n, m = shape[a], shape[b]
    size = max(min(n, m - offset) if offset >= 0 else min(n + offset, m), 0)
    start = offset if offset >= 0 else -offset * m
    outer = tuple(shape[i] for i in rest)
    rows = input._view(mv.PERMUTE, ((*rest, a, b),))
    flat = rows._view(mv.RESHAPE, ((*outer, n * m),))
    bounds = (*((0, k, 1) for k in outer), (start if size else 0, size, m + 1))
    return flat._view(mv.SLICE, (bounds,))


@both()
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` elements, `step` apart, along an axis, as a new last axis."""
    shape = input._node().structure.shape
    dim = wrap_dim(dimension, len(shape))
    n = shape[dim] if shape else 1
    if not shape and size == 1 and step > 0:
        return unsqueeze(input, 0)
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {dim} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    count = (n - size) // step + 1
    if size == step:
        part = narrow(input, dim, 0, count * step)
        split_axis = part._view(mv.RESHAPE, ((*shape[:dim], count, size, *shape[dim + 1 :]),))
        return movedim(split_axis, dim + 1, -1)
    columns = [slice_axis(input, dim, i, count, step) for i in range(size)]
    return stack(columns, -1)


# Functions that copy.


def _same_dtype(tensors: Sequence[Tensor]) -> list[Any]:
    nodes = [x._node() for x in tensors]
    first = nodes[0].structure.dtype
    if all(n.structure.dtype is first for n in nodes):
        return nodes
    dtype = result_type([(n.structure.dtype, 2 if n.shape else 1) for n in nodes])
    return [ew.cast(n, dtype) for n in nodes]


@function("cat", "concat", "concatenate")
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors one after the other along `dim`; their other extents are equal.

    >>> import twofold as tf
    >>> tf.cat([tf.ones(2), tf.zeros(1)])
    tensor([1., 1., 0.])
    """
    if not len(tensors):
        raise ValueError("cat(): expected a non-empty list of Tensors")
    nodes = _same_dtype(tensors)
    kept = [n for n in nodes if n.shape != (0,)] or nodes[:1]
    for n in kept:
        if not n.shape:
            raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    if len(kept) == 1:
        return _copy(kept[0])
    axis = wrap_dim(dim, len(kept[0].shape))
    return wrap(_joined(kept, axis) or mv.concatenate(kept, axis))


def _joined(nodes: list[Node], axis: int) -> Node | None:
    """The parts joined at once, if they are small and known, and may stand after one another."""
    first = nodes[0].shape
    if any(n.shape[:axis] + n.shape[axis + 1 :] != first[:axis] + first[axis + 1 :] for n in nodes):
        return None
    return joined(nodes, axis, is_new=False)


def _copy(node: Any) -> Tensor:
    return wrap(identity(node))


@function()
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new axis `dim`."""
    if not len(tensors):
        raise RuntimeError("stack expects a non-empty TensorList")
    nodes = _same_dtype(tensors)
    shape = nodes[0].shape
    for i, n in enumerate(nodes):
        if n.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(n.shape)} at entry {i}"
            )
    dim = wrap_dim(dim, len(shape) + 1)
    at_once = joined(nodes, dim, is_new=True)
    if at_once is not None:
        return wrap(at_once)
    new = (*shape[:dim], 1, *shape[dim:])
    parts = [mv.reshape(n, new) for n in nodes]
    return _copy(parts[0]) if len(parts) == 1 else wrap(mv.concatenate(parts, dim))


def _at_least(x: Tensor, rank: int) -> Tensor:
    return reshape(x, *(1,) * (rank - x.dim()), *x.shape) if x.dim() < rank else x


@function("hstack", "column_stack")
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: along axis 1, or axis 0 for vectors."""
    parts = [_at_least(x, 1) for x in tensors]
    return cat(parts, 0 if parts[0].dim() == 1 else 1)


@function()
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one below the other, vectors as rows."""
    return cat([_at_least(x, 2) for x in tensors], 0)


@both()
def flip(input: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """A copy, backwards along `dims`."""
    rank = input.dim()
    places = shape_args(axes if dims is None else (dims,))
    return _copy(mv.flip(input._node(), [wrap_dim(a, rank) for a in places]))


@both()
def fliplr(input: Tensor) -> Tensor:
    """A copy, backwards along axis 1."""
    return flip(input, 1)


@both()
def flipud(input: Tensor) -> Tensor:
    """A copy, backwards along axis 0."""
    return flip(input, 0)


@both()
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """A copy with elements moved round by `shifts` along `dims` (or in the flattened tensor)."""
    if dims is None or dims == ():
        return reshape(roll(reshape(input, input.numel()), shifts, 0), *input.shape)
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    node = input._node()
    for shift, dim in zip(shifts, dims, strict=True):
        dim = wrap_dim(dim, len(node.shape))
        n = node.shape[dim]
        k = shift % n if n else 0
        if k:
            whole = [(0, m, 1) for m in node.shape]
            head = mv.slice_(node, (*whole[:dim], (n - k, k, 1), *whole[dim + 1 :]))
            tail = mv.slice_(node, (*whole[:dim], (0, n - k, 1), *whole[dim + 1 :]))
            node = mv.concatenate([head, tail], dim)
    return _copy(node)


@both()
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """A copy turned by 90 degrees k times, from the first of `dims` towards the second."""
    a, b = dims
    if k % 4 == 1:
        return transpose(flip(input, b), a, b)
    if k % 4 == 2:
        return flip(input, a, b)
    if k % 4 == 3:
        return transpose(flip(input, a), a, b)
    return _copy(input._node())


@method("repeat")
@by_name("repeats")
def repeat(self: Tensor, *sizes: Any) -> Tensor:
    """A copy repeated so often along each axis."""
    times = shape_args(sizes)
    shape = self._node().structure.shape
    lead = len(times) - len(shape)
    if lead < 0:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    own = (1,) * lead + shape
    inner = tuple(k for n in own for k in (1, n))
    wide = tuple(k for t_, n in zip(times, own) for k in (t_, n))
    final = tuple(t_ * n for t_, n in zip(times, own))
    node = mv.expand(mv.reshape(self._node(), inner), wide)
    return _copy(mv.reshape(node, final))


@both()
@by_name("dims")
def tile(input: Tensor, *dims: Any) -> Tensor:
    """A copy repeated so often along each axis; missing counts are 1."""
    times = shape_args(dims)
    return repeat(input, *(1,) * (input.dim() - len(times)), *times)


@both()
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element repeated, one after the other, along `dim` (or flattened); of counts alone, the
    places 0, 1, ..., each so often as its count says."""
    if repeats is None:
        repeats, input = input, wrap(mv.iota(input.numel()))
    if dim is None:
        input, dim = reshape(input, input.numel()), 0
    dim = wrap_dim(dim, input.dim())
    shape = tuple(input.shape)
    if isinstance(repeats, Tensor):
        counts = repeats.tolist()
        counts = counts if isinstance(counts, list) else [counts]
        if len(counts) > 1:
            parts = [
                repeat_interleave(narrow(input, dim, i, 1), k, dim) for i, k in enumerate(counts)
            ]
            return cat(parts, dim)
        repeats = counts[0]
    wide = (*shape[: dim + 1], repeats, *shape[dim + 1 :])
    node = mv.reshape(input._node(), (*shape[: dim + 1], 1, *shape[dim + 1 :]))
    final = (*shape[:dim], shape[dim] * repeats, *shape[dim + 1 :])
    return _copy(mv.reshape(mv.expand(node, wide), final))


def pad_constant(input: Tensor, pad: Sequence[int], value: float = 0.0) -> Tensor:
    """`pad` holds (before, after) of the last axis first; negative widths cut."""
    node = input._node()
    rank = len(node.shape)
    widths = [(0, 0)] * rank
    for i in range(len(pad) // 2):
        widths[rank - 1 - i] = (int(pad[2 * i]), int(pad[2 * i + 1]))
    if any(lo < 0 or hi < 0 for lo, hi in widths):
        bounds = tuple(
            (max(-lo, 0), n + min(lo, 0) + min(hi, 0), 1) for n, (lo, hi) in zip(node.shape, widths)
        )
        node = mv.slice_(node, bounds)
        widths = [(max(lo, 0), max(hi, 0)) for lo, hi in widths]
    return _copy(mv.pad(node, tuple(widths), number(value, node.dtype)))


@function()
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid: each vector expanded along the axes of the others."""
    if len(tensors) == 1 and not isinstance(tensors[0], Tensor):
        tensors = tuple(tensors[0])
    vectors = [reshape(x, -1) for x in tensors]
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            'torch.meshgrid: indexing must be one of "xy" or "ij", but received: ' + str(indexing)
        )
    if indexing == "xy" and len(vectors) > 1:
        vectors[0], vectors[1] = vectors[1], vectors[0]
    shape = tuple(x.numel() for x in vectors)
    grids = [
        expand(reshape(x, *(-1 if a == i else 1 for a in range(len(shape)))), *shape)
        for i, x in enumerate(vectors)
    ]
    if indexing == "xy" and len(grids) > 1:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@both()
def atleast_1d(input: Tensor) -> Tensor:
    """A view with at least one axis."""
    return _at_least(input, 1)


@both()
def atleast_2d(input: Tensor) -> Tensor:
    """A view with at least two axes."""
    return _at_least(input, 2)


@both("numel")
def numel(input: Tensor) -> int:
    """The number of elements."""
    return math.prod(input._node().structure.shape)


@method("squeeze_")
def squeeze_(self: Tensor, dim: Any = None) -> Tensor:
    """Drop axes of one element from this tensor itself."""
    return _become(self, squeeze(self, dim))


@method("unsqueeze_")
def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """Give this tensor itself a new axis of one element."""
    return _become(self, unsqueeze(self, dim))


@method("t_")
def t_(self: Tensor) -> Tensor:
    """Transpose this tensor itself."""
    return _become(self, t(self))


@method("transpose_")
def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swap two axes of this tensor itself."""
    return _become(self, transpose(self, dim0, dim1))


def _become(self: Tensor, view_: Tensor) -> Tensor:
    self._window, self._base, self._seen = view_._window, view_._base, view_._seen
    return self

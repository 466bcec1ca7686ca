"""Movement: the same values in another shape, order or place. Most cost nothing: kernels read
through them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .. import dtypes
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from .base import Op, get, register, require_same_dtype
from .elementwise import constant, where


class Reshape(Op):
    """y = x with its elements, in row-major order, in another shape of the same size."""

    name = "reshape"
    params = ("shape",)
    kind = "movement"
    complex_rule = "parts"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,), (shape,) = types, attrs
        if math.prod(shape) != x.size or any(n < 0 for n in shape):
            raise RuntimeError(
                f"[reshape] shape '{list(shape)}' is invalid for input of size {x.size}; "
                f"got an input of shape {x.shape}"
            )
        return x.with_shape(shape)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        return (reshape(g, node.inputs[0].shape),)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        return reshape(inputs[0], (size, *attrs[0]))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return arrays[0].reshape(attrs[0])


class Permute(Op):
    """y[i_axes[0], i_axes[1], ...] = x[i_0, i_1, ...]: axis a of y is axis axes[a] of x."""

    name = "permute"
    params = ("axes",)
    kind = "movement"
    complex_rule = "parts"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,), (axes,) = types, attrs
        if sorted(axes) != list(range(len(x.shape))):
            raise RuntimeError(
                f"[permute] dims must name each of the {len(x.shape)} axes once; got {axes}"
            )
        return x.with_shape(tuple(x.shape[a] for a in axes))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        axes = node.attrs[0]
        return (permute(g, inverse_permutation(axes)),)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        return permute(inputs[0], (0, *(a + 1 for a in attrs[0])))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return arrays[0].transpose(attrs[0])


class Expand(Op):
    """y = x repeated along new leading axes and along its axes of one element."""

    name = "expand"
    params = ("shape",)
    kind = "movement"
    complex_rule = "parts"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,), (shape,) = types, attrs
        lead = len(shape) - len(x.shape)
        fits = lead >= 0 and all(n in (1, shape[lead + a]) for a, n in enumerate(x.shape))
        if not fits:
            raise RuntimeError(
                f"[expand] the expanded size must match the existing size at non-singleton "
                f"dimensions; got {x.shape} to {shape}"
            )
        return x.with_shape(shape)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        own, shape = node.inputs[0].shape, node.shape
        lead = len(shape) - len(own)
        axes = tuple(a for a, n in enumerate(shape) if a < lead or (own[a - lead] == 1 and n != 1))
        if axes:
            g = make_node(get("sum"), (g,), (axes,))
        return (reshape(g, own),)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        x, shape = inputs[0], attrs[0]
        ones = (1,) * (len(shape) - (len(x.shape) - 1))
        return expand(reshape(x, (size, *ones, *x.shape[1:])), (size, *shape))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return np.broadcast_to(arrays[0], attrs[0])


class Slice(Op):
    """y[i] = x[start + i * step] along each axis; `bounds` has (start, size, step) an axis, with a
    step below 0 to go backwards."""

    name = "slice"
    params = ("bounds",)
    kind = "movement"
    complex_rule = "parts"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,), (bounds,) = types, attrs
        for n, (start, size, step) in zip(x.shape, bounds, strict=True):
            last = start + (size - 1) * step
            if size < 0 or step == 0 or (size and not (0 <= start < n and 0 <= last < n)):
                raise IndexError(f"[slice] out of range; got {bounds} of shape {x.shape}")
        return x.with_shape(tuple(size for _, size, _ in bounds))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        x = node.inputs[0]
        zero = make_node(get("expand"), (_zero(x),), (x.shape,))
        return (slice_put(zero, g, node.attrs[0]),)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        return slice_(inputs[0], ((0, size, 1), *attrs[0]))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return arrays[0][numpy_slices(attrs[0])]


class SlicePut(Op):
    """y = x with x[start + i * step] replaced by v[i] along each axis; `bounds` as in slice."""

    name = "slice_put"
    params = ("bounds",)
    kind = "slice_put"
    complex_rule = "parts"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x, v), (bounds,) = types, attrs
        require_same_dtype("slice_put", types)
        if v.shape != get("slice").infer([x], attrs).shape:
            raise RuntimeError(f"[slice_put] got values of shape {v.shape} for bounds {bounds}")
        return x

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        bounds = node.attrs[0]
        x, v = node.inputs
        zero = make_node(get("expand"), (_zero(v),), (v.shape,))
        return (
            slice_put(g, zero, bounds) if x.requires_grad else None,
            slice_(g, bounds) if v.requires_grad else None,
        )

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        x, v = (
            i if is_batched else expand(i, (size, *i.shape))
            for i, is_batched in zip(inputs, batched)
        )
        return slice_put(x, v, ((0, size, 1), *attrs[0]))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        result = arrays[0].copy()
        result[numpy_slices(attrs[0])] = arrays[1]
        return result


class Pad(Op):
    """y = x with `value`, the second input (0-d), put around it; `widths` has (before, after) an
    axis."""

    name = "pad"
    params = ("widths",)
    kind = "pad"
    complex_rule = "parts"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x, value), (widths,) = types, attrs
        require_same_dtype("pad", types)
        if any(lo < 0 or hi < 0 for lo, hi in widths) or value.shape != ():
            raise RuntimeError(f"[pad] widths must be non-negative; got {widths}")
        return x.with_shape(tuple(n + lo + hi for n, (lo, hi) in zip(x.shape, widths, strict=True)))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        x, value = node.inputs
        bounds = tuple((lo, n, 1) for n, (lo, _) in zip(x.shape, node.attrs[0]))
        inner = slice_(g, bounds)
        rest = None
        if value.requires_grad:
            axes = tuple(range(len(x.shape)))
            total = make_node(get("sum"), (g,), (axes,))
            rest = make_node(get("sub"), (total, make_node(get("sum"), (inner,), (axes,))))
        return inner, rest

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        x, value = inputs
        if batched[1]:
            return _pad_each(x, value, attrs[0], batched[0], size)
        return pad(x, ((0, 0), *attrs[0]), value)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return np.pad(arrays[0], attrs[0], constant_values=arrays[1])


class Concatenate(Op):
    """y = the inputs one after the other along an axis; their other extents are equal."""

    name = "concatenate"
    params = ("axis",)
    kind = "concatenate"
    complex_rule = "parts"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (axis,) = attrs
        require_same_dtype("concatenate", types)
        first = types[0].shape
        for other in types[1:]:
            same = len(other.shape) == len(first) and all(
                n == m for a, (n, m) in enumerate(zip(first, other.shape)) if a != axis
            )
            if not same:
                raise RuntimeError(
                    "[cat] Sizes of tensors must match except in dimension "
                    f"{axis}; got {first} and {other.shape}"
                )
        total = sum(t.shape[axis] for t in types)
        return types[0].with_shape((*first[:axis], total, *first[axis + 1 :]))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        axis, start, parts = node.attrs[0], 0, []
        for x in node.inputs:
            bounds = [(0, n, 1) for n in node.shape]
            bounds[axis] = (start, x.shape[axis], 1)
            parts.append(slice_(g, tuple(bounds)) if x.requires_grad else None)
            start += x.shape[axis]
        return tuple(parts)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        parts = tuple(
            x if is_batched else expand(x, (size, *x.shape))
            for x, is_batched in zip(inputs, batched)
        )
        return make_node(self, parts, (attrs[0] + 1,))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return np.concatenate(arrays, axis=attrs[0])


class Iota(Op):
    """y[i] = i for 0 <= i < n, int64."""

    name = "iota"
    params = ("n",)
    kind = "iota"
    differentiable = False

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        return Type((attrs[0],), dtypes.int64)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        return ()

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        return make_node(self, (), attrs)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return np.arange(attrs[0], dtype=np.int64)


def _zero(x: Node) -> Node:
    return constant(0, x.dtype)


def _pad_each(
    x: Node, value: Node, widths: tuple[tuple[int, int], ...], batched: bool, size: int
) -> Node:
    """x padded with zeros, and with a value for each of a batch where the padding is."""
    if not batched:
        x = expand(x, (size, *x.shape))
    ones = expand(constant(1, dtypes.bool_), x.shape)
    wide = ((0, 0), *widths)
    inside = pad(ones, wide)
    filler = reshape(value, (size, *(1,) * (len(x.shape) - 1)))
    return where(inside, pad(x, wide), filler)


def numpy_slices(bounds: tuple[tuple[int, int, int], ...]) -> tuple[slice, ...]:
    """The bounds of a slice op as Python slices."""
    result = []
    for start, size, step in bounds:
        stop = start + size * step
        result.append(slice(0, 0) if not size else slice(start, None if stop < 0 else stop, step))
    return tuple(result)


def inverse_permutation(axes: Sequence[int]) -> tuple[int, ...]:
    """The axes that undo a permutation.

    >>> inverse_permutation((2, 0, 1))
    (1, 2, 0)
    """
    inverse = [0] * len(axes)
    for to, source in enumerate(axes):
        inverse[source] = to
    return tuple(inverse)


RESHAPE = register(Reshape())
PERMUTE = register(Permute())
EXPAND = register(Expand())
SLICE = register(Slice())
SLICE_PUT = register(SlicePut())
PAD = register(Pad())
CONCATENATE = register(Concatenate())
IOTA = register(Iota())


def reshape(x: Node, shape: tuple[int, ...]) -> Node:
    """x in another shape of the same size."""
    return x if x.shape == shape else make_node(RESHAPE, (x,), (shape,))


def permute(x: Node, axes: tuple[int, ...]) -> Node:
    """x with its axes in another order."""
    return x if axes == tuple(range(len(axes))) else make_node(PERMUTE, (x,), (axes,))


def expand(x: Node, shape: tuple[int, ...]) -> Node:
    """x repeated to a larger shape."""
    return x if x.shape == shape else make_node(EXPAND, (x,), (shape,))


def slice_(x: Node, bounds: tuple[tuple[int, int, int], ...]) -> Node:
    """Part of x: (start, size, step) for each axis."""
    if all(
        start == 0 and size == n and step == 1 for n, (start, size, step) in zip(x.shape, bounds)
    ):
        return x
    return make_node(SLICE, (x,), (bounds,))


def slice_put(x: Node, v: Node, bounds: tuple[tuple[int, int, int], ...]) -> Node:
    """x with the part that `slice_` would read replaced by v."""
    if all(
        start == 0 and size == n and step == 1 for n, (start, size, step) in zip(x.shape, bounds)
    ):
        return v
    return make_node(SLICE_PUT, (x, v), (bounds,))


def pad(x: Node, widths: tuple[tuple[int, int], ...], value: Node | None = None) -> Node:
    """x with `value` (0-d, else zero) around it."""
    if not any(lo or hi for lo, hi in widths):
        return x
    return make_node(PAD, (x, _zero(x) if value is None else value), (widths,))


def flip(x: Node, axes: Sequence[int]) -> Node:
    """x backwards along `axes`."""
    bounds = tuple((n - 1, n, -1) if a in axes and n else (0, n, 1) for a, n in enumerate(x.shape))
    return slice_(x, bounds)


def concatenate(parts: Sequence[Node], axis: int) -> Node:
    """The parts one after the other along `axis`."""
    return parts[0] if len(parts) == 1 else make_node(CONCATENATE, tuple(parts), (axis,))


def iota(n: int) -> Node:
    """0, 1, ..., n - 1 as int64."""
    return make_node(IOTA, (), (n,))


def one_by_one(
    op: Op, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
) -> Node:
    """The op on each element of a batch."""
    rows = []
    for i in range(size):
        own = []
        for x, is_batched in zip(inputs, batched):
            if is_batched:
                bounds = ((i, 1, 1), *((0, n, 1) for n in x.shape[1:]))
                x = reshape(slice_(x, bounds), x.shape[1:])
            own.append(x)
        flat = make_node(op, tuple(own), attrs)
        rows.append(reshape(flat, (1, *flat.shape)))
    return concatenate(rows, 0)

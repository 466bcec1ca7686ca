"""Indexing by arrays: gather reads at positions that are data, scatters write at them.

Positions pass through `checked` first, which wraps negative ones and refuses those out of range
(so do other integers that must be in range, such as "is this divisor 0?" and "is this no
probability?");
`gather` and the scatters trust theirs. A gather is inlined into its users as a load at a computed
position.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from .. import dtypes
from ..errors import BadValue
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import movement as mv
from .base import Op, no_gradient, register, require_same_dtype
from .scalar_numpy import rounded
from .sort import ARGSORT

Errors = tuple[type[Exception], str]

_PLACE = "index {value} is out of bounds for dimension {dim} with size {size}"

STYLES: dict[str, tuple[bool, type[Exception], str]] = {
    "index": (True, IndexError, _PLACE),
    "gather": (False, RuntimeError, _PLACE),
    "select": (False, IndexError, "index out of range in self; got {value} for size {size}"),
    "class": (False, RuntimeError, "Class values must be in [0, {size}); got {value}"),
    "masked_scatter": (
        False,
        RuntimeError,
        "masked_scatter: expected at least as many elements in source as ones in mask; got {size}",
    ),
    "bincount": (False, RuntimeError, "bincount only supports 1-d non-negative integral inputs."),
    "target": (False, IndexError, "Target {value} is out of bounds for {size} classes"),
    "margin": (False, RuntimeError, "target out of range; got {value} for {size} classes"),
    "divisor": (False, RuntimeError, "ZeroDivisionError: integer division by 0"),
    "input": (False, RuntimeError, "all elements of input should be between 0 and 1"),
    "labels": (False, RuntimeError, "all elements of target should be between 0 and 1"),
    "take": (
        True,
        IndexError,
        "out of range: tried to access index {value} on a tensor of {size} elements",
    ),
}
"""For each way of indexing: whether negative positions count from the end, and the error."""


class Checked(Op):
    """y = i, or i + size where i < 0 and the style wraps: int64 positions on an axis of `size`.

    Positions outside raise when they are met, with the style's words and the user's line. `dim` is
    the axis as the user counts it.
    """

    name = "checked"
    params = ("size", "dim", "style")
    kind = "checked"
    differentiable = False
    locates = True
    gradient = no_gradient

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (i,), (size, dim, _) = types, attrs
        if i.dtype is not dtypes.int64:
            raise RuntimeError(f"[index] positions are int64; got {i.dtype}")
        if size == 0 and i.size:
            raise IndexError(f"[index] index is out of bounds for dimension {dim} with size 0")
        return i

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        return make_node(self, tuple(inputs), attrs)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        i, (size, _, style) = arrays[0], attrs
        moved = np.where(i < 0, i + size, i) if STYLES[style][0] else i
        bad = (moved < 0) | (moved >= size)
        if bad.any():
            raise BadValue(int(i[bad].flat[0]))
        return moved

    def fault(self, node: Node, value: int) -> Exception:
        """The error for a position that is out of range, with the line that asked for it."""
        size, dim, style = node.attrs
        _, kind, text = STYLES[style]
        message = f"[{style}] " + text.format(value=value, dim=dim, size=size)
        if node.location is not None:
            file, line, function = node.location
            message += f"; asked for in {file}, line {line}, in {function}"
        return kind(message)


class Ravel(Op):
    """y = (i_1 * n_2 + i_2) * n_3 + ...: positions on several axes as one on the axes' product;
    int64. `sizes` are the n, one for each input; all inputs have one shape."""

    name = "ravel_index"
    params = ("sizes",)
    kind = "ravel_index"
    differentiable = False
    gradient = no_gradient

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        if any(t != types[0] for t in types) or types[0].dtype is not dtypes.int64:
            raise RuntimeError(f"[ravel_index] takes int64 positions of one shape; got {types}")
        return types[0]

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        return make_node(self, _all_batched(inputs, batched, size), attrs)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        total = np.zeros(out.shape, np.int64)
        for i, n in zip(arrays, attrs[0], strict=True):
            total = total * n + i
        return total


class Gather(Op):
    """y[b, s, r] = x[b, i_1[b, s], ..., i_k[b, s], r] with x: (*B, n_1, ..., n_k, *R), each i: (*B,
    *S) int64 in range, y: (*B, *S, *R). `batch_rank` is the number of axes in B.

    Gradient: each g is added to the x it was read from.
    """

    name = "gather"
    complex_rule = "parts"
    params = ("batch_rank",)
    kind = "gather"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        x, first = types[0], types[1]
        (rank,) = attrs
        fits = (
            all(t.shape == first.shape and t.dtype is dtypes.int64 for t in types[1:])
            and x.shape[:rank] == first.shape[:rank]
            and len(x.shape) >= rank + len(types) - 1
        )
        if not fits:
            raise RuntimeError(f"[gather] shapes do not fit; got {types} with {rank} batch axes")
        return x.with_shape(first.shape + x.shape[rank + len(types) - 1 :])

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        x, *indices = node.inputs
        # Sums of many small terms are kept in float32.
        wide = g.dtype.compute
        total = scatter(
            "scatter_add",
            mv.expand(ew.constant(0, wide), x.shape),
            ew.cast(g, wide),
            indices,
            node.attrs[0],
        )
        return (ew.cast(total, g.dtype), *(None for _ in indices))

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        (rank,) = attrs
        if not batched[0] and not rank:
            return make_node(self, (inputs[0], *_all_batched(inputs[1:], batched[1:], size)), attrs)
        return make_node(self, _all_batched(inputs, batched, size), (rank + 1,))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        x, *indices = arrays
        return x[_grids(indices, attrs[0])]


def _all_batched(inputs: Sequence[Node], batched: Sequence[bool], size: int) -> tuple[Node, ...]:
    """The inputs, each with the batch as its first axis."""
    return tuple(
        x if is_batched else mv.expand(x, (size, *x.shape))
        for x, is_batched in zip(inputs, batched)
    )


def _grids(indices: Sequence[np.ndarray], rank: int) -> tuple[np.ndarray, ...]:
    """NumPy's index for positions that share their first `rank` axes with what they index."""
    shape = indices[0].shape
    batch = [
        np.arange(n).reshape((-1,) + (1,) * (len(shape) - a - 1))
        for a, n in enumerate(shape[:rank])
    ]
    return (*batch, *indices)


class Scatter(Op):
    """The family: y = x, then for s = 0, 1, ...: y[b, i[b, s], r] = f(y[b, i[b, s], r], v[b, s,
    r]), with x: (B, N, R), v: (B, S, R), i: (B, S) int64 in range. The order of s is kept for each
    element."""

    kind = "scatter"
    function: str = ""
    """f as an operation of the scalar language; "set" for f(a, b) = b."""

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        x, v, i = types
        require_same_dtype(self.name, types[:2])
        fits = (
            len(x.shape) == 3
            and i.dtype is dtypes.int64
            and v.shape == (*i.shape, x.shape[2])
            and i.shape[0] == x.shape[0]
        )
        if not fits:
            raise RuntimeError(f"[{self.name}] shapes do not fit; got {types}")
        return x

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        whole = _all_batched(inputs, batched, size)
        merged = [mv.reshape(x, (size * x.shape[1], *x.shape[2:])) for x in whole]
        return mv.reshape(make_node(self, tuple(merged), attrs), whole[0].shape)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        x, v, i = arrays
        y = x.copy()
        at = (np.arange(i.shape[0])[:, None], i)
        with np.errstate(all="ignore"):
            if self.function == "set":
                for s in range(i.shape[1]):
                    y[at[0][:, 0], i[:, s]] = v[:, s]
            elif out.dtype.compute is out.dtype:
                _UFUNCS[self.function].at(y, at, v)
            else:
                for s in range(i.shape[1]):
                    here = (at[0][:, 0], i[:, s])
                    y[here] = rounded(_UFUNCS[self.function](y[here], v[:, s]), out.dtype)
        return y


_UFUNCS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _picked(x: Node, i: Node) -> Node:
    """x at the positions of a scatter."""
    return make_node(GATHER, (x, i), (1,))


def _if_needed(x: Node, partial: Node) -> Node | None:
    return partial if x.requires_grad else None


class ScatterAdd(Scatter):
    """y[b, i[b, s], r] = x[b, i[b, s], r] + the sum of v[b, s, r] over all s with that position, in
    the order of s. x: (B, N, R), v: (B, S, R), i: (B, S) int64 in range."""

    name = "scatter_add"
    complex_rule = "parts"
    function = "add"

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        x, v, i = node.inputs
        return _if_needed(x, g), _if_needed(v, _picked(g, i)) if v.requires_grad else None, None


class ScatterSet(Scatter):
    """y[b, i[b, s], r] = v[b, s, r], the last s where several have one position, else x[b, n, r].
    x: (B, N, R), v: (B, S, R), i: (B, S) int64 in range."""

    name = "scatter_set"
    complex_rule = "parts"
    function = "set"

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        x, v, i = node.inputs
        zero = mv.expand(ew.constant(0, g.dtype), v.shape)
        return (
            make_node(self, (g, zero, i), ()) if x.requires_grad else None,
            ew.where(_is_last(x, i), _picked(g, i), zero) if v.requires_grad else None,
            None,
        )


def _is_last(x: Node, i: Node) -> Node:
    """Whether each s is the last with its position: (B, S, 1) bool."""
    b, s = i.shape
    order = mv.expand(mv.reshape(mv.iota(s), (1, s, 1)), (b, s, 1))
    none = mv.expand(ew.constant(0, dtypes.int64), (b, x.shape[1], 1))
    last = make_node(SCATTER_SET, (none, order, i), ())
    return ew.eq(_picked(last, i), order)


class ScatterMul(Scatter):
    """y[b, i[b, s], r] = x[b, i[b, s], r] times the product of v[b, s, r] over all s with that
    position. x: (B, N, R), v: (B, S, R), i: (B, S) int64 in range."""

    name = "scatter_mul"
    function = "mul"

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """The product of the other factors, without a division, so that zeros are as good as any
        value, in further gradients too."""
        x, v, i = node.inputs
        of_x = of_v = None
        if x.requires_grad:
            ones = mv.expand(ew.constant(1, x.dtype), x.shape)
            of_x = ew.mul(g, make_node(self, (ones, v, i), ()))
        if v.requires_grad:
            of_v = ew.mul(_picked(g, i), ew.mul(_picked(x, i), _product_of_others(v, i)))
        return of_x, of_v, None


def _product_of_others(v: Node, i: Node) -> Node:
    """For each s the product of v[b, t, r] over all t other than s with i[b, t] = i[b, s]. Sorted
    by position, these lie side by side: those before, and those after, by doubling steps."""
    order = make_node(ARGSORT, (i,), (False,))
    back = make_node(ARGSORT, (order,), (False,))
    places, values = _picked(i, order), _picked(v, order)
    n = i.shape[1]
    if not n:
        return v
    before = _neighbour(values, places, 1)
    after = _neighbour(values, places, -1)
    step = 1
    while step < n:
        before = ew.mul(before, _neighbour(before, places, step))
        after = ew.mul(after, _neighbour(after, places, -step))
        step *= 2
    return _picked(ew.mul(before, after), back)


def _neighbour(v: Node, places: Node, step: int) -> Node:
    """y[b, s, r] = v[b, s - step, r] where both have one position in `places` (B, N), else 1."""
    b, n, r = v.shape
    left = n - abs(step)
    first, widths = (0, (step, 0)) if step > 0 else (-step, (0, -step))
    cut = ((0, b, 1), (first, left, 1), (0, r, 1))
    moved = mv.pad(mv.slice_(v, cut), ((0, 0), widths, (0, 0)), ew.constant(1, v.dtype))
    none = ew.constant(-1, places.dtype)
    beside = mv.pad(mv.slice_(places, cut[:2]), ((0, 0), widths), none)
    same = mv.reshape(ew.eq(places, beside), (b, n, 1))
    return ew.where(same, moved, ew.constant(1, v.dtype))


class _ScatterExtreme(Scatter):
    """The cotangent is shared evenly among equal extremes."""

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        x, v, i = node.inputs
        own = ew.cast(ew.eq(x, node), g.dtype)
        theirs = ew.cast(ew.eq(v, _picked(node, i)), g.dtype)
        count = make_node(SCATTER_ADD, (own, theirs, i), ())
        share = ew.div(g, count)
        return (
            ew.mul(own, share) if x.requires_grad else None,
            ew.mul(theirs, _picked(share, i)) if v.requires_grad else None,
            None,
        )


class ScatterMax(_ScatterExtreme):
    """y[b, i[b, s], r] = the largest of x[b, i[b, s], r] and all v[b, s, r] with that position; NaN
    if one is. x: (B, N, R), v: (B, S, R), i: (B, S) int64 in range."""

    name = "scatter_max"
    function = "max"


class ScatterMin(_ScatterExtreme):
    """y[b, i[b, s], r] = the smallest of x[b, i[b, s], r] and all v[b, s, r] with that position;
    NaN if one is. x: (B, N, R), v: (B, S, R), i: (B, S) int64 in range."""

    name = "scatter_min"
    function = "min"


class Compact(Op):
    """The family: one value for each place where a mask (N,) holds, in order; `count` of them."""

    params = ("count",)
    kind = "compact"

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        """RuntimeError: how many places there are differs from one of a batch to the next."""
        raise RuntimeError(f"[{self.name}] the result's size depends on values; it has no batches")


class Nonzero(Compact):
    """y[j] = the j-th place where mask (N,) holds; y (count,) int64. `count` is how many there
    are."""

    name = "nonzero"
    differentiable = False
    gradient = no_gradient

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        if types[0].dtype is not dtypes.bool_:
            raise RuntimeError(f"[nonzero] takes a mask of bool; got {types[0]}")
        return Type((attrs[0],), dtypes.int64, types[0].device)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return np.nonzero(arrays[0])[0][: attrs[0]].astype(np.int64)


class MaskedSelect(Compact):
    """y[j] = x at the j-th place where mask holds; mask, x: (N,), y (count,).

    Gradient: g at those places, else 0.
    """

    name = "masked_select"
    complex_rule = "parts"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        mask, x = types
        if mask.shape != x.shape or mask.dtype is not dtypes.bool_:
            raise RuntimeError(f"[masked_select] shapes do not fit; got {types}")
        return x.with_shape((attrs[0],))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        mask, x = node.inputs
        places = make_node(NONZERO, (mask,), node.attrs)
        zero = mv.expand(ew.constant(0, g.dtype), x.shape)
        return None, scatter("scatter_set", zero, g, [places])

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return arrays[1][arrays[0]][: attrs[0]]


CHECKED = register(Checked())
NONZERO = register(Nonzero())
MASKED_SELECT = register(MaskedSelect())
RAVEL = register(Ravel())
GATHER = register(Gather())
SCATTER_ADD = register(ScatterAdd())
SCATTER_SET = register(ScatterSet())
SCATTER_MUL = register(ScatterMul())
SCATTER_MAX = register(ScatterMax())
SCATTER_MIN = register(ScatterMin())
_SCATTERS = {
    op.name: op for op in (SCATTER_ADD, SCATTER_SET, SCATTER_MUL, SCATTER_MAX, SCATTER_MIN)
}


def checked(i: Node, size: int, dim: int, style: str = "index") -> Node:
    """Integer positions on an axis of `size` as int64, in range (see `STYLES`)."""
    return make_node(CHECKED, (ew.cast(i, dtypes.int64),), (size, dim, style))


def ravel(indices: Sequence[Node], sizes: Sequence[int]) -> Node:
    """Positions on several axes as one on their product."""
    if len(indices) == 1:
        return indices[0]
    return make_node(RAVEL, tuple(indices), (tuple(sizes),))


def gather(x: Node, indices: Sequence[Node], batch_rank: int = 0) -> Node:
    """x (*B, n_1, ..., n_k, *R) at checked positions (*B, *S): (*B, *S, *R)."""
    return make_node(GATHER, (x, *indices), (batch_rank,))


def scatter(mode: str, x: Node, v: Node, indices: Sequence[Node], batch_rank: int = 0) -> Node:
    """x (*B, n_1, ..., n_k, *R) with v (*B, *S, *R) written at checked positions (*B, *S); `mode`
    is the name of the op."""
    end = batch_rank + len(indices)
    batch, sizes, rest = x.shape[:batch_rank], x.shape[batch_rank:end], x.shape[end:]
    b, n, r = prod(batch), prod(sizes), prod(rest)
    s = prod(indices[0].shape[batch_rank:])
    rows = mv.reshape(ravel(indices, sizes), (b, s))
    y = make_node(_SCATTERS[mode], (mv.reshape(x, (b, n, r)), mv.reshape(v, (b, s, r)), rows), ())
    return mv.reshape(y, x.shape)

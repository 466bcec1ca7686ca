"""Reductions: many values of the input, along `axes`, give one value of the output.

The reduced axes vanish from the shape. `axes` is a sorted tuple of non-negative axes. Sums and
products keep the input's dtype; float16 and bfloat16 accumulate in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import movement as mv
from .base import Op, get, no_gradient, register
from .scalar_numpy import held_dtype, rounded
from .scan import products_before


class Reduce(Op):
    """The family. `result` is "same" or a dtype; `empty` says whether no values have a result;
    `rounds` whether, of floats, the result depends on the order of the elements."""

    kind = "reduce"
    params = ("axes",)
    result: str | DType = "same"
    empty = True
    accepts_bool = True
    accepts_numbers = True
    rounds = False

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,), (axes,) = types, attrs
        if len({a for a in axes if 0 <= a < len(x.shape)}) != len(axes):
            raise IndexError(f"[{self.name}] axes must be of {x.shape}, each once; got {axes}")
        if x.dtype is not dtypes.bool_ and not self.accepts_numbers:
            raise RuntimeError(f"[{self.name}] takes bools; got {x.dtype}")
        if x.dtype is dtypes.bool_ and not self.accepts_bool:
            raise RuntimeError(f"[{self.name}] does not take bools; try .to(twofold.int64)")
        if not self.empty and any(x.shape[a] == 0 for a in axes):
            raise IndexError(
                f"[{self.name}] Expected reduction dim to have non-zero size; got shape {x.shape}"
            )
        kept = tuple(n for a, n in enumerate(x.shape) if a not in axes)
        dtype = x.dtype if isinstance(self.result, str) else self.result
        return Type(kept, dtype, x.device)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        return make_node(self, tuple(inputs), (tuple(a + 1 for a in attrs[0]),))


@dataclass(frozen=True)
class Order:
    """What the order in which a reduction takes its elements follows from, of axes with more than
    one element.

    `rows`: whether the last axis is reduced, so that the lanes of a vector lie along it. `axes`:
    the reduced axes, in order. `run`: how many of the last ones are neighbours, and so walked as
    one.
    """

    rows: bool
    axes: tuple[int, ...]
    run: int


def order_of(shape: Sequence[int], axes: Sequence[int]) -> Order:
    """The order in which a value of `shape` is reduced over `axes`.

    >>> order_of((8, 3, 5, 5), (0, 2, 3))
    Order(rows=True, axes=(0, 2, 3), run=2)
    """
    reduced = [a for a in axes if shape[a] != 1]
    last = max((a for a, n in enumerate(shape) if n != 1), default=-1)
    run = len(reduced[-1:])
    while run < len(reduced) and math.prod(shape[reduced[-run - 1] + 1 : reduced[-run]]) == 1:
        run += 1
    return Order(last in reduced or last == -1, tuple(reduced), run)


def keep_axes(y: Node, shape: tuple[int, ...], axes: tuple[int, ...]) -> Node:
    """`y`, a reduction of `shape` over `axes`, with the reduced axes as axes of one element."""
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    return y if kept == y.shape else mv.reshape(y, kept)


def spread(y: Node, shape: tuple[int, ...], axes: tuple[int, ...]) -> Node:
    """`y`, a reduction of `shape` over `axes`, expanded back to `shape`."""
    y = keep_axes(y, shape, axes)
    return y if y.shape == shape else mv.expand(y, shape)


class Sum(Reduce):
    """y = the sum of x over axes. Gradient: g for each summand."""

    name = "sum"
    accepts_bool = False
    rounds = True
    complex_rule = "parts"

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        return (spread(g, node.inputs[0].shape, node.attrs[0]),)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        with np.errstate(all="ignore"):
            wide = arrays[0].astype(out.dtype.widest) if out.dtype.is_inexact else arrays[0]
            total = np.sum(wide, axis=attrs[0], dtype=wide.dtype)
            return rounded(np.asarray(total).astype(held_dtype(out.dtype)), out.dtype)


class Prod(Reduce):
    """y = the product of x over axes. Gradient: g times the product of the others."""

    name = "prod"
    accepts_bool = False
    rounds = True
    complex_rule = "holomorphic"

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """The product of the others is that of those before times that of those after: no division,
        so zeros are as good as any value, in further gradients too."""
        (x,), (axes,) = node.inputs, node.attrs
        kept = tuple(a for a in range(len(x.shape)) if a not in axes)
        moved = mv.permute(x, kept + axes)
        rows = mv.reshape(moved, (math.prod(node.shape), math.prod(x.shape[a] for a in axes), 1))
        others = mv.reshape(ew.mul(products_before(rows, False), products_before(rows, True)),
                            moved.shape)  # fmt: skip
        back = mv.permute(others, mv.inverse_permutation(kept + axes))
        return (ew.mul(spread(g, x.shape, axes), back),)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        with np.errstate(all="ignore"):
            wide = arrays[0].astype(out.dtype.widest) if out.dtype.is_inexact else arrays[0]
            product = np.prod(wide, axis=attrs[0], dtype=wide.dtype)
            return rounded(np.asarray(product).astype(held_dtype(out.dtype)), out.dtype)


class _Extreme(Reduce):
    """The largest (smallest) value; the cotangent is shared evenly among equal ones."""

    empty = False
    largest = True

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        (x,), (axes,) = node.inputs, node.attrs
        is_it = ew.cast(ew.eq(x, spread(node, x.shape, axes)), x.dtype)
        share = ew.div(g, make_node(SUM, (is_it,), (axes,)))
        return (ew.mul(is_it, spread(share, x.shape, axes)),)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        pick = np.max if self.largest else np.min
        return np.asarray(pick(arrays[0], axis=attrs[0]))


class Max(_Extreme):
    """y = the largest value of x over axes; NaN if one is NaN."""

    name = "max"


class Min(_Extreme):
    """y = the smallest value of x over axes; NaN if one is NaN."""

    name = "min"
    largest = False


class _Logical(Reduce):
    result = dtypes.bool_
    accepts_numbers = False
    differentiable = False
    gradient = no_gradient
    every = False

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        pick = np.all if self.every else np.any
        return np.asarray(pick(arrays[0], axis=attrs[0]))


class Any(_Logical):
    """y = whether any x (bool) over axes is true."""

    name = "any"


class All(_Logical):
    """y = whether every x (bool) over axes is true."""

    name = "all"
    every = True


class _ArgExtreme(Reduce):
    """The flat position over the reduced axes of the first extreme value; a NaN is extreme."""

    result = dtypes.int64
    empty = False
    differentiable = False
    gradient = no_gradient
    largest = True

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        x, axes = arrays[0], attrs[0]
        kept = tuple(a for a in range(x.ndim) if a not in axes)
        rows = np.transpose(x, kept + axes).reshape(
            *(x.shape[a] for a in kept), math.prod(x.shape[a] for a in axes)
        )
        return np.asarray((np.argmax if self.largest else np.argmin)(rows, axis=-1)).astype(
            np.int64
        )


class ArgMax(_ArgExtreme):
    """y = the position of the largest value of x over axes, counted in row-major order; int64."""

    name = "argmax"


class ArgMin(_ArgExtreme):
    """y = the position of the smallest value of x over axes, counted in row-major order; int64."""

    name = "argmin"
    largest = False


SUM = register(Sum())
PROD = register(Prod())
MAX = register(Max())
MIN = register(Min())
ANY = register(Any())
ALL = register(All())
ARGMAX = register(ArgMax())
ARGMIN = register(ArgMin())


def reduce(name: str, x: Node, axes: Sequence[int]) -> Node:
    """The reduction called `name` of x over `axes` (non-negative); x itself for sums over no
    axes."""
    return make_node(get(name), (x,), (tuple(sorted(axes)),))


def sum_(x: Node, axes: Sequence[int]) -> Node:
    """The sum of x over `axes`."""
    return reduce("sum", x, axes)


def mean(x: Node, axes: Sequence[int]) -> Node:
    """The mean of x over `axes`."""
    count = math.prod(x.shape[a] for a in axes)
    return ew.mul(sum_(x, axes), ew.constant(1 / count if count else math.nan, x.dtype))

"""Sorting: the positions that sort rows, and those of the largest few. Values follow by a gather.

Order: ascending with NaN last, or descending with NaN first; zeros of either sign are equal; among
equals the first stays first. So every result is unique, however it is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .. import dtypes
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import movement as mv
from .base import Op, no_gradient, register, require_same_dtype


def _order(x: np.ndarray, descending: bool) -> np.ndarray:
    """The positions that sort the rows of x."""
    if not descending:
        return np.argsort(x, axis=-1, kind="stable")
    backwards = np.argsort(x[:, ::-1], axis=-1, kind="stable")
    return x.shape[1] - 1 - backwards[:, ::-1]


class _RowOrder(Op):
    """Positions within rows of x (B, N): int64."""

    differentiable = False
    gradient = no_gradient

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,) = types
        if len(x.shape) != 2:
            raise RuntimeError(f"[{self.name}] takes rows (B, N); got {x}")
        return Type((x.shape[0], self.width(x.shape[1], attrs)), dtypes.int64, x.device)

    def width(self, n: int, attrs: tuple) -> int:
        """Positions found in a row of n."""
        return n

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        x = inputs[0]
        y = make_node(self, (mv.reshape(x, (size * x.shape[1], x.shape[2])),), attrs)
        return mv.reshape(y, (size, x.shape[1], y.shape[1]))


class ArgSort(_RowOrder):
    """y[b, j] = the position in row b of x (B, N) of its j-th smallest (`descending`: largest)
    value; y (B, N) int64."""

    name = "argsort"
    params = ("descending",)
    kind = "argsort"

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return _order(arrays[0], attrs[0]).astype(np.int64)


class ArgTop(_RowOrder):
    """y[b, j] = the position in row b of x (B, N) of its j-th largest (or smallest) value, for j <
    k; y (B, k) int64."""

    name = "argtop"
    params = ("k", "largest")
    kind = "argtop"

    def width(self, n: int, attrs: tuple) -> int:
        if not 0 <= attrs[0] <= n:
            raise RuntimeError(f"[topk] selected index k out of range; got {attrs[0]} of {n}")
        return attrs[0]

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return _order(arrays[0], attrs[1])[:, : attrs[0]].astype(np.int64)


class SearchSorted(Op):
    """y[b, k] = how many of the ascending seq[b, :] lie before v[b, k]: those less than it, with
    `right` those not above it. seq: (B, N), v: (B, K) of one dtype, y (B, K) int64; a NaN in v
    comes after all."""

    name = "searchsorted"
    params = ("right",)
    kind = "searchsorted"
    differentiable = False
    gradient = no_gradient

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        seq, v = types
        require_same_dtype(self.name, types)
        if len(seq.shape) != 2 or len(v.shape) != 2 or seq.shape[0] != v.shape[0]:
            raise RuntimeError(f"[searchsorted] takes rows (B, N) and (B, K); got {types}")
        return v.with_dtype(dtypes.int64)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        whole = [
            x if is_batched else mv.expand(x, (size, *x.shape))
            for x, is_batched in zip(inputs, batched)
        ]
        merged = tuple(mv.reshape(x, (size * x.shape[1], x.shape[2])) for x in whole)
        return mv.reshape(make_node(self, merged, attrs), whole[1].shape)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        seq, v = arrays
        side: Literal["left", "right"] = "right" if attrs[0] else "left"
        rows = [np.searchsorted(s, x, side) for s, x in zip(seq, v)]
        y = np.array(rows, np.int64).reshape(out.shape)
        return np.where(v != v, seq.shape[1], y)


ARGSORT = register(ArgSort())
SEARCHSORTED = register(SearchSorted())
ARGTOP = register(ArgTop())

FEW = 128
"""Most values that a selection looks for; more are found by sorting."""


def argsort(x: Node, descending: bool) -> Node:
    """The positions that sort each row of x (B, N)."""
    return make_node(ARGSORT, (x,), (descending,))


def argtop(x: Node, k: int, largest: bool) -> Node:
    """The positions of the k largest (or smallest) values of each row of x (B, N), in order."""
    b, n = x.shape
    if k <= FEW and 4 * k <= n:
        return make_node(ARGTOP, (x,), (k, largest))
    if not 0 <= k <= n:
        raise RuntimeError(f"[topk] selected index k out of range; got {k} of {n}")
    return mv.slice_(argsort(x, largest), ((0, b, 1), (0, k, 1)))

"""Scans: running sums, products, extremes and recurrences along the middle axis of (B, N, R).

y[b, n, r] depends on the inputs at [b, 0..n, r]; with `reverse`, on those at [b, n..N-1, r]. Sums,
products and recurrences of float32 are accumulated in float64, those of float16 and bfloat16 in
float32, and rounded as they are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import movement as mv
from .base import Op, no_gradient, register, require_same_dtype
from .scalar_numpy import held_dtype, rounded


class Scan(Op):
    """The family; all inputs have one shape (B, N, R) and one dtype."""

    kind = "scan"
    params: tuple[str, ...] = ("reverse",)
    function: str = ""
    """What one step does; see `kernels/scan.py`."""

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        require_same_dtype(self.name, types)
        if len(types[0].shape) != 3 or any(t.shape != types[0].shape for t in types):
            raise RuntimeError(f"[{self.name}] takes inputs of one shape (B, N, R); got {types}")
        if types[0].dtype is dtypes.bool_:
            raise RuntimeError(f"[{self.name}] does not take bools; try .to(twofold.int64)")
        return types[0]

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        whole = [
            x if is_batched else mv.expand(x, (size, *x.shape))
            for x, is_batched in zip(inputs, batched)
        ]
        merged = tuple(mv.reshape(x, (size * x.shape[1], *x.shape[2:])) for x in whole)
        return mv.reshape(make_node(self, merged, attrs), whole[0].shape)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        wide = accumulator(types[0].dtype).storage
        given = [(x[:, ::-1] if attrs[0] else x).astype(wide) for x in arrays]
        with np.errstate(all="ignore"):
            y = self.along(*given)
            y = y[:, ::-1] if attrs[0] else y
            return rounded(np.ascontiguousarray(y.astype(held_dtype(out.dtype))), out.dtype)

    along: Callable[..., np.ndarray]
    """The scan of arrays in the accumulator's type, forwards along axis 1."""


def accumulator(dtype: DType) -> DType:
    """The type that a sum, product or recurrence of `dtype` accumulates in."""
    if dtype is dtypes.float32:
        return dtypes.float64
    return dtypes.complex128 if dtype.is_complex else dtype.compute


def _shifted(y: Node, reverse: bool, first: float) -> Node:
    """y one step later, with `first` at the start: what each step began from."""
    b, n, r = y.shape
    cut = ((0, b, 1), (1 if reverse else 0, n - 1, 1), (0, r, 1))
    widths = ((0, 0), (0, 1) if reverse else (1, 0), (0, 0))
    return mv.pad(mv.slice_(y, cut), widths, ew.constant(first, y.dtype)) if n else y


class CumSum(Scan):
    """y[b, n, r] = the sum of x[b, m, r] over m <= n (with reverse, m >= n); (B, N, R)."""

    name = "cumsum"
    complex_rule = "parts"
    function = "add"

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        return (make_node(self, (g,), (not node.attrs[0],)),)

    def along(self, x: np.ndarray) -> np.ndarray:
        return np.cumsum(x, axis=1, dtype=x.dtype) + x.dtype.type(0)


class CumProd(Scan):
    """y[b, n, r] = the product of x[b, m, r] over m <= n (with reverse, m >= n); (B, N, R).

    Gradient: with h[n] = g[n] + x[n + 1] h[n + 1], that of x[n] is y[n - 1] h[n]: no division, so
    zeros are as good as any value.
    """

    name = "cumprod"
    complex_rule = "holomorphic"
    function = "mul"

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        (x,), (reverse,) = node.inputs, node.attrs
        rest = recurrence(_shifted(x, not reverse, 0), g, not reverse)
        return (ew.mul(_shifted(node, reverse, 1), rest),)

    def along(self, x: np.ndarray) -> np.ndarray:
        return np.cumprod(x, axis=1, dtype=x.dtype)


class Recurrence(Scan):
    """y[n] = a[n] y[n - 1] + b[n], y[-1] = 0, along the middle axis of a, b: (B, N, R); with
    reverse, y[n] = a[n] y[n + 1] + b[n].

    Gradient: that of b is the reverse recurrence h[n] = a[n + 1] h[n + 1] + g[n]; that of a is
    h[n] y[n - 1].
    """

    name = "recurrence"
    complex_rule = "holomorphic"
    function = "linear"

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        (a, b), (reverse,) = node.inputs, node.attrs
        h = recurrence(_shifted(a, not reverse, 0), g, not reverse)
        of_a = ew.mul(h, _shifted(node, reverse, 0)) if a.requires_grad else None
        return of_a, h if b.requires_grad else None

    def along(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        y = np.empty_like(b)
        before = np.zeros_like(b[:, 0]) if b.shape[1] else None
        for n in range(b.shape[1]):
            before = y[:, n] = a[:, n] * before + b[:, n]
        return y


def _exp_of_gap(a: Node, b: Node) -> Node:
    """e^(a - b), 1 where both are the same infinity."""
    same = ew.and_(ew.eq(a, b), ew.isinf(a))
    return ew.exp(ew.where(same, ew.const_like(a, 0), ew.sub(a, b)))


class LogCumSumExp(Scan):
    """y[b, n, r] = log(the sum of e^x[b, m, r] over m <= n), without overflow; (B, N, R).

    Gradient: with h[n] = g[n] + e^(y[n] - y[n + 1]) h[n + 1], that of x[n] is e^(x[n] - y[n]) h[n]:
    no exponent is above 0.
    """

    name = "logcumsumexp"
    function = "logaddexp"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        if not types[0].dtype.is_floating_point:
            raise RuntimeError(f"[{self.name}] takes floating-point values; got {types[0].dtype}")
        return super().infer(types, attrs)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        (x,), (reverse,) = node.inputs, node.attrs
        before = _shifted(node, reverse, -float("inf"))
        share = _shifted(_exp_of_gap(before, node), not reverse, 0)
        rest = recurrence(share, g, not reverse)
        return (ew.mul(_exp_of_gap(x, node), rest),)

    def along(self, x: np.ndarray) -> np.ndarray:
        return np.logaddexp.accumulate(x, axis=1)


class _CumArg(Scan):
    """Positions of running extremes: int64."""

    params = ()
    differentiable = False
    gradient = no_gradient

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        return super().infer(types, attrs).with_dtype(dtypes.int64)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        x = arrays[0]
        y = np.zeros(out.shape, np.int64)
        if x.shape[1]:
            best, at = x[:, 0].copy(), np.zeros_like(y[:, 0])
            for n in range(x.shape[1]):
                new = x[:, n]
                better = new >= best if self.function == "argmax" else new <= best
                take = better | (new != new)
                best, at = np.where(take, new, best), np.where(take, n, at)
                y[:, n] = at
        return y


class CumArgMax(_CumArg):
    """y[b, n, r] = the last m <= n where x[b, m, r] is the largest so far, a NaN being larger than
    all; x: (B, N, R), y int64."""

    name = "cumargmax"
    function = "argmax"


class CumArgMin(_CumArg):
    """y[b, n, r] = the last m <= n where x[b, m, r] is the smallest so far, a NaN being smaller
    than all; x: (B, N, R), y int64."""

    name = "cumargmin"
    function = "argmin"


CUMSUM = register(CumSum())
CUMPROD = register(CumProd())
RECURRENCE = register(Recurrence())
LOGCUMSUMEXP = register(LogCumSumExp())
CUMARGMAX = register(CumArgMax())
CUMARGMIN = register(CumArgMin())


def recurrence(a: Node, b: Node, reverse: bool = False) -> Node:
    """y[n] = a[n] y[n - 1] + b[n] along the middle axis."""
    return make_node(RECURRENCE, (a, b), (reverse,))


def products_before(x: Node, reverse: bool) -> Node:
    """y[b, n, r] = the product of x[b, m, r] over m < n (with reverse, m > n); x: (B, N, R)."""
    return make_node(CUMPROD, (_shifted(x, reverse, 1),), (reverse,))

"""Operators along axes: reductions, softmax, norms, running sums, sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..functions._registry import functions
from ..nn import functional as F
from ..tensor import Tensor
from .registry import integers, op

f = functions


def _reduction(name: str, function: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> None:
    """Axes come as an attribute or, in later versions, as an input."""

    def run(
        x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        chosen = tuple(integers(axes))
        if not chosen:
            if noop_with_empty_axes:
                return _alone(x)
            chosen = tuple(range(x.ndim))
        return function(x, chosen, bool(keepdims)) if x.ndim else function(x[None], (0,), False)

    def _alone(x: Tensor) -> Tensor:
        wide = x[None]
        return function(wide, (0,), False) if name in _EACH else x

    op(name, host=(1,))(run)


_EACH = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare",
)  # fmt: skip
"""Reductions that do something to elements even over no axes."""


def _extreme(name: str) -> Callable[[Tensor, tuple[int, ...], bool], Tensor]:
    def run(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
        if any(x.shape[a] == 0 for a in axes) and x.dtype.is_floating_point:
            shape = f["sum"](x, axes, keep).shape
            return f["full"](shape, float("-inf" if name == "amax" else "inf"), dtype=x.dtype)
        if x.dtype.name == "bool":
            return f[name](x.to(f["zeros"](0).int().dtype), axes, keep).bool()
        return f[name](x, axes, keep)

    return run


def _product(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    kind = x.dtype
    for a in sorted((a % x.ndim for a in axes), reverse=True):
        x = f["prod"](x, a, keep, dtype=kind)
    return x


_reduction("ReduceSum", lambda x, a, k: f["sum"](x, a, k, dtype=x.dtype))
_reduction("ReduceMean", lambda x, a, k: f["mean"](x, a, k))
_reduction("ReduceMax", _extreme("amax"))
_reduction("ReduceMin", _extreme("amin"))
_reduction("ReduceProd", _product)
_reduction("ReduceL1", lambda x, a, k: f["sum"](x.abs(), a, k, dtype=x.dtype))
_reduction("ReduceL2", lambda x, a, k: f["sqrt"](f["sum"](x * x, a, k)))
_reduction("ReduceSumSquare", lambda x, a, k: f["sum"](x * x, a, k, dtype=x.dtype))
_reduction("ReduceLogSum", lambda x, a, k: f["log"](f["sum"](x, a, k)))
_reduction("ReduceLogSumExp", lambda x, a, k: f["logsumexp"](x, a, k))


def _arg(name: str) -> None:
    def run(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
        if select_last_index:
            last = x.shape[axis] - 1
            return last - f[name](f["flip"](x, (axis,)), axis, bool(keepdims))
        return f[name](x, axis, bool(keepdims))

    op("Arg" + name[3:].capitalize())(run)


_arg("argmax")
_arg("argmin")


def _softmax(name: str, function: Callable[[Tensor, int], Tensor]) -> None:
    """Before version 13 the input counts as a matrix that is cut in two at the axis."""

    def run(x: Tensor, *, axis: int | None = None, opset: int = 13) -> Tensor:
        if opset >= 13:
            return function(x, -1 if axis is None else axis)
        at = (1 if axis is None else axis) % max(x.ndim, 1)
        rows = int(np.prod(x.shape[:at]))
        return function(x.reshape(rows, -1), 1).reshape(x.shape)

    op(name)(run)


def _hardmax(x: Tensor, axis: int) -> Tensor:
    best = f["argmax"](x, axis, True)
    return f["scatter"](f["zeros_like"](x), axis, best, 1)


_softmax("Softmax", lambda x, a: F.softmax(x, a))
_softmax("LogSoftmax", lambda x, a: F.log_softmax(x, a))
_softmax("Hardmax", _hardmax)


@op("CumSum", host=(1,))
def cumsum(x: Tensor, axis: np.ndarray, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """Running sums; `exclusive` ones are without the element itself."""
    a = int(axis.item())
    y = f["flip"](x, (a,)) if reverse else x
    total = f["cumsum"](y, a, dtype=x.dtype)
    total = total - y if exclusive else total
    return f["flip"](total, (a,)) if reverse else total


@op("CumProd", host=(1,))
def cumprod(x: Tensor, axis: np.ndarray, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """Running products; `exclusive` ones are without the element itself."""
    a = int(axis.item())
    y = f["flip"](x, (a,)) if reverse else x
    if exclusive:
        n = y.shape[a]
        first = f["ones_like"](f["narrow"](y, a, 0, 1))
        y = f["cat"]([first, f["narrow"](y, a, 0, n - 1)], a)
    total = f["cumprod"](y, a, dtype=x.dtype)
    return f["flip"](total, (a,)) if reverse else total


@op("TopK", host=(1,))
def top_k(
    x: Tensor, k: Any = None, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[Tensor, Tensor]:
    """The k largest or least elements along an axis, in order, and where they are."""
    values, places = f["topk"](x, integers(np.asarray(k))[0], axis, bool(largest), True)
    return values, places


@op("LpNormalization")
def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """x over its norm along an axis; 0 where that is 0."""
    norm = f["sum"](x.abs(), axis, True) if p == 1 else f["sqrt"](f["sum"](x * x, axis, True))
    return f["where"](norm == 0, f["zeros_like"](x), x / norm)

"""Which dtype functions compute in within a block of `autocast` (see `twofold.amp`).

Products, convolutions and attention take their floating-point tensors in the block's dtype
(`lowered`, `in_low_precision`); losses, decompositions and what else loses too much in few bits
take them as float32 (`in_float32`). All others compute in the dtypes they are given. The lists are
PyTorch's for the CPU. float64 stays as it is.

Besides, functions of numbers of 16 bits that are made of others round once (`rounded_once`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..dtypes import DType
from ..graph.node import recorder
from ..tensor import Tensor


def _as(value: Any, dtype: DType) -> Any:
    """Tensors of floating-point numbers, alone or in lists, as `dtype`; anything else as it is."""
    if isinstance(value, Tensor):
        own = value.dtype
        if own is dtype or not own.is_floating_point or own is dtypes.float64:
            return value
        return value.to(dtype)
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(_as(v, dtype) for v in value)
    return value


def call_in(dtype: DType, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """f of its arguments as `dtype`; within f nothing more is cast."""
    before = recorder.autocast
    recorder.autocast = None
    try:
        return f(*_as(args, dtype), **{name: _as(v, dtype) for name, v in kwargs.items()})
    finally:
        recorder.autocast = before


def lowered(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """f of its arguments in the dtype of the `autocast` that is on."""
    assert recorder.autocast is not None
    return call_in(recorder.autocast, f, *args, **kwargs)


def lower(x: Any) -> Any:
    """x, a tensor or several, in the dtype of `autocast` where that is on."""
    return x if recorder.autocast is None else _as(x, recorder.autocast)


def in_given_dtypes(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, computed in the dtypes of its arguments also where `autocast` is on."""

    @functools.wraps(f)
    def apply(*args: Any) -> Any:
        before = recorder.autocast
        if before is None:
            return f(*args)
        recorder.autocast = None
        try:
            return f(*args)
        finally:
            recorder.autocast = before

    return apply


def in_low_precision(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, computed in the dtype of `autocast` where that is on."""

    @functools.wraps(f)
    def apply(*args: Any, **kwargs: Any) -> Any:
        if recorder.autocast is None:
            return f(*args, **kwargs)
        return lowered(f, *args, **kwargs)

    return apply


def in_float32(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, computed in float32 where `autocast` is on."""

    @functools.wraps(f)
    def apply(*args: Any, **kwargs: Any) -> Any:
        if recorder.autocast is None:
            return f(*args, **kwargs)
        return call_in(dtypes.float32, f, *args, **kwargs)

    return apply


def rounded_once(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """f, computed in float32 if its first argument is of 16 bits, and rounded to that dtype at the
    end: what it is made of would each round. Other arguments may then be of float32."""

    @functools.wraps(f)
    def apply(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        dtype = input.dtype
        if dtype not in (dtypes.float16, dtypes.bfloat16):
            return f(input, *args, **kwargs)
        return f(input.to(dtypes.float32), *args, **kwargs).to(dtype)

    return apply

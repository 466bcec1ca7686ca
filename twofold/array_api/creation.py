"""Arrays from values, shapes and ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import creation, dtypes, interchange
from ..devices import usable
from ..dtypes import DType
from ..errors import message
from ..tensor import Tensor


def _checked(device: Any) -> None:
    if device is not None:
        usable(device)


def asarray(
    obj: Any, /, *, dtype: DType | None = None, device: Any = None, copy: bool | None = None
) -> Tensor:
    """An array of numbers, nested sequences, an array, or what holds a buffer or gives DLPack.

    ValueError if `copy` is False and a copy is needed.
    """
    _checked(device)
    if isinstance(obj, Tensor):
        if dtype is None or dtype is obj.dtype:
            return obj.clone() if copy else obj
        if copy is False:
            raise ValueError(message("asarray", "another dtype needs a copy", "copy=False"))
        return obj.to(dtype)
    if isinstance(obj, np.generic):
        obj = np.asarray(obj)
    elif not isinstance(obj, (np.ndarray, list, tuple)) and hasattr(obj, "__dlpack__"):
        return asarray(interchange.from_dlpack(obj), dtype=dtype, copy=copy)
    elif isinstance(obj, (memoryview, bytearray)):
        obj = np.asarray(obj)
    if isinstance(obj, np.ndarray):
        if copy:
            obj = obj.copy()
        elif copy is False and not obj.flags.writeable:
            raise ValueError(message("asarray", "memory that is not writable needs a copy"))
        shared = creation.from_numpy(obj)
        if dtype is None or shared.dtype is dtype:
            return shared
        if copy is False:
            raise ValueError(message("asarray", "another dtype needs a copy", "copy=False"))
        return shared.to(dtype)
    if copy is False:
        raise ValueError(message("asarray", "a sequence is always copied", "copy=False"))
    return creation.tensor(obj, dtype=dtype)


def arange(
    start: Any, /, stop: Any = None, step: Any = 1, *, dtype: DType | None = None,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """start, start + step, ... up to but without stop; with one number, from 0 to it."""
    _checked(device)
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ValueError(message("arange", "step must not be 0"))
    n = max(0, math.ceil((stop - start) / step))
    if dtype is None:
        whole = all(isinstance(x, int) for x in (start, stop, step))
        dtype = dtypes.int64 if whole else dtypes.get_default()
    if n == 0:
        return creation.zeros((0,), dtype=dtype)
    return creation.arange(start, stop, step, dtype=dtype)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: DType | None = None, device: Any = None,
    endpoint: bool = True,
) -> Tensor:  # fmt: skip
    """`num` numbers from start to stop, evenly apart; without `endpoint` up to but without stop."""
    _checked(device)
    if dtype is None and (isinstance(start, complex) or isinstance(stop, complex)):
        dtype = dtypes.get_default().to_complex()
    values = np.linspace(start, stop, num, endpoint=endpoint)
    return creation.tensor(values, dtype=dtype or dtypes.get_default())


def full(shape: Any, fill_value: Any, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """One value, repeated to a shape."""
    return creation.full(shape, fill_value, dtype=dtype, device=device)


def full_like(
    x: Tensor, /, fill_value: Any, *, dtype: DType | None = None, device: Any = None
) -> Tensor:
    """One value, in an array's shape and dtype."""
    return creation.full_like(x, fill_value, dtype=dtype, device=device)


def zeros(shape: Any, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Zeros in a shape."""
    return creation.zeros(shape, dtype=dtype, device=device)


def ones(shape: Any, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Ones in a shape."""
    return creation.ones(shape, dtype=dtype, device=device)


empty = zeros


def zeros_like(x: Tensor, /, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Zeros in an array's shape and dtype."""
    return creation.zeros_like(x, dtype=dtype, device=device)


def ones_like(x: Tensor, /, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Ones in an array's shape and dtype."""
    return creation.ones_like(x, dtype=dtype, device=device)


empty_like = zeros_like


def eye(
    n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: DType | None = None,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal `k`, zeros elsewhere."""
    _checked(device)
    values = np.eye(n_rows, n_cols, k)
    return creation.tensor(values, dtype=dtype or dtypes.get_default())


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """An array on the memory of another library's one."""
    return interchange.from_dlpack(x, device=device, copy=copy)


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The elements on and below the diagonal `k`; 0 elsewhere."""
    return creation.tril(x, k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The elements on and above the diagonal `k`; 0 elsewhere."""
    return creation.triu(x, k)

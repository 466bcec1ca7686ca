"""The native entry of a call of a host function: a kernel, as `abi.py` has it, that is Python.

Whoever walks the plan enters through a C function that takes the interpreter's lock, sees the
operands as arrays on the plan's own memory, and runs the op's function. What that raises cannot
pass through the native walk: it is left with the op, and its number in the error record.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ..abi import WORD_BYTES
from ..kernels.call import CallSpec
from ..ops.base import get

_ENTRY = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64
)
_entries: dict[CallSpec, Any] = {}


def address_of(spec: CallSpec) -> int:
    """The address of the entry, which is made once and stays."""
    entry = _entries.get(spec)
    if entry is None:
        entry = _entries[spec] = _ENTRY(_runner(spec))
    return ctypes.cast(entry, ctypes.c_void_p).value or 0


def _runner(spec: CallSpec) -> Callable[..., None]:
    op: Any = get(spec.name)
    n = len(spec.inputs)
    views = [*spec.inputs, (spec.out.shape, None, spec.out.dtype)]

    def run(bases: int, args: int, begin: int, end: int, worker: int) -> None:
        words = (ctypes.c_int64 * (2 * n + 3)).from_address(args)
        arrays = []
        for k, (shape, strides, dtype) in enumerate(views):
            slot, offset = words[2 * k], words[2 * k + 1]
            base = ctypes.c_int64.from_address(bases + WORD_BYTES * slot).value
            arrays.append(_array(base + offset, shape, strides, dtype.storage))
        number = op.run(arrays[:n], spec.attrs, spec.out, arrays[n])
        if number:
            record = ctypes.c_int64.from_address(bases).value
            (ctypes.c_int64 * 2).from_address(record)[:] = [words[2 * n + 2], number]

    return run


def _array(
    address: int, shape: tuple[int, ...], strides: tuple[int, ...] | None, dtype: np.dtype
) -> np.ndarray:
    """The memory at `address` as an array; `strides` in elements."""
    if not prod(shape):
        return np.empty(shape, dtype)
    steps = None if strides is None else tuple(s * dtype.itemsize for s in strides)
    return np.asarray(_Memory(address, shape, steps, dtype))


class _Memory:
    """What NumPy takes for memory that outlives the array."""

    def __init__(
        self, address: int, shape: tuple[int, ...], strides: tuple[int, ...] | None, dtype: np.dtype
    ) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "shape": shape,
            "strides": strides,
            "typestr": dtype.str,
        }

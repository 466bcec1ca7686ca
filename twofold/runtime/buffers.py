"""Memory of values: aligned blocks, kept for reuse when they are let go, so that steps neither call
malloc nor touch fresh pages."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from typing import Any
from weakref import WeakSet

import numpy as np

from ..abi import ALIGNMENT, PADDING

_free: dict[int, list[tuple[int, np.ndarray]]] = {}
_lock = threading.Lock()
_counts = {"allocated": 0, "peak": 0, "cached": 0, "limit": 0, "blocks": 0}

CACHE_FLOOR = 2 << 20
"""Bytes that live and free blocks may take together, however little was ever live at once."""


def _size_class(n_bytes: int) -> int:
    """`n_bytes` rounded up so that at most an eighth is lost."""
    if n_bytes <= 256:
        return 256
    step = 1 << max(8, n_bytes.bit_length() - 4)
    return -(-n_bytes // step) * step


LARGE_BYTES, PAGE_BYTES, COLOUR_BYTES = 256 << 10, 4096, 1344
"""Large blocks begin at different places of a page, each this much after the one before: arrays
that a kernel walks side by side would otherwise meet in the same few sets of the first cache."""


def _colour(size: int) -> int:
    """How far into its page a new block of `size` bytes begins."""
    if size < LARGE_BYTES:
        return 0
    _counts["blocks"] += 1
    return _counts["blocks"] * COLOUR_BYTES % PAGE_BYTES


def _larger(size: int) -> tuple[int, ...]:
    """The next size classes, whose blocks may serve where there is none of `size`."""
    step = 1 << max(8, size.bit_length() - 4)
    return size + step, size + 2 * step, size + 3 * step


def _evict(latest: int) -> None:
    """Give free blocks back, those of the sizes longest unused first, until live and free ones
    together are at most a quarter more than what was live at once."""
    _counts["limit"] = max(CACHE_FLOOR, _counts["peak"] * 5 // 4)
    _free[latest] = _free.pop(latest)
    while _counts["cached"] + _counts["allocated"] > _counts["limit"]:
        size = next(iter(_free))
        blocks = _free[size]
        if blocks:
            blocks.pop()
            _counts["cached"] -= size
        elif size == latest:
            return
        if not blocks:
            del _free[size]


class Buffer:
    """A block of memory at `address`, aligned to 64 bytes and readable 64 bytes past its end.

    >>> Buffer(100).address % 64
    0
    """

    __slots__ = ("__weakref__", "_block", "_parts", "_size", "address", "n_bytes")

    _block: Any  # what the memory belongs to
    _parts: WeakSet[Buffer] | None

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        size = _size_class(n_bytes)
        blocks = _free.get(size)
        if not blocks and _counts["cached"]:
            for larger in _larger(size):
                blocks = _free.get(larger)
                if blocks:
                    size = larger
                    break
        self._size = 0  # until there is memory, there is none to give back
        self._parts = None
        if blocks:
            try:
                self.address, self._block = blocks.pop()
                self._size = size
                _counts["cached"] -= size
                _counts["allocated"] += size
                return
            except IndexError:
                pass
        try:
            colour = _colour(size)
            block = np.empty(size + colour + ALIGNMENT + PADDING, np.uint8)
        except (MemoryError, ValueError, OverflowError):
            raise RuntimeError(
                f"[cpu] not enough memory: you tried to allocate {n_bytes} bytes; try smaller sizes"
            ) from None
        self._size = size
        _counts["allocated"] += size
        base = block.__array_interface__["data"][0]
        self.address = -(-base // ALIGNMENT) * ALIGNMENT + colour
        self._block = block
        _counts["peak"] = max(_counts["peak"], _counts["allocated"])

    @classmethod
    def of_array(cls, array: np.ndarray) -> Buffer:
        """The memory of a C-contiguous array, which is kept alive. It must be one that
        `may_be_read_past`."""
        self = cls.__new__(cls)
        self.n_bytes, self._size, self._parts = array.nbytes, 0, None
        self.address, self._block = array.__array_interface__["data"][0], array
        return self

    @classmethod
    def within(cls, whole: Buffer, offset: int, n_bytes: int) -> Buffer:
        """Part of a buffer, from byte `offset`, which is kept alive."""
        self = cls.__new__(cls)
        self.n_bytes, self._size, self._parts = n_bytes, 0, None
        self.address, self._block = whole.address + offset, whole
        if whole._parts is None:
            whole._parts = WeakSet()
        whole._parts.add(self)
        return self

    def let_parts_go(self) -> None:
        """Give each part memory of its own, with what is there now: it will be overwritten."""
        for part in list(self._parts or ()):
            part.let_parts_go()
            own = Buffer(part.n_bytes)
            ctypes.memmove(own.address, part.address, part.n_bytes)
            part.address, part._block = own.address, own
        self._parts = None

    @property
    def owner(self) -> Any:
        """What the memory belongs to: an array, or another buffer."""
        return self._block

    @property
    def is_foreign(self) -> bool:
        """Whether the memory belongs to someone else."""
        return self._size == 0

    def __del__(self, counts: Any = _counts, free: Any = _free) -> None:
        size = self._size
        if not size:
            return
        counts["allocated"] -= size
        counts["cached"] += size
        blocks = free.get(size)
        if blocks is None:
            blocks = free[size] = []
        blocks.append((self.address, self._block))
        if counts["cached"] + counts["allocated"] > counts["limit"]:
            _evict(size)

    def as_numpy(self, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """The memory as an array that keeps this buffer alive."""
        return np.asarray(_View(self, np.dtype(dtype), shape))


def may_be_read_past(array: np.ndarray) -> bool:
    """Whether the bytes behind the array, as many as kernels may read, lie in memory that may be
    read: in its last page, or in a next one that the process has and may read."""
    end = array.__array_interface__["data"][0] + array.nbytes
    last = (end + PADDING - 1) // _PAGE
    if not array.nbytes or (end - 1) // _PAGE == last or _write is None:
        return True
    reader, writer = os.pipe()
    try:  # the system refuses to send what may not be read
        return _write(writer, ctypes.c_void_p(last * _PAGE), ctypes.c_size_t(1)) == 1
    finally:
        os.close(reader)
        os.close(writer)


_PAGE = mmap.PAGESIZE
_write = ctypes.CDLL(None).write if os.name == "posix" else None


class _View:
    """What NumPy takes as the owner of the memory of an array."""

    __slots__ = ("__array_interface__", "buffer")

    def __init__(self, buffer: Buffer, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        self.buffer = buffer
        self.__array_interface__ = {
            "version": 3,
            "data": (buffer.address, False),
            "shape": shape,
            "typestr": dtype.str,
        }


def allocated_bytes() -> int:
    """Bytes held by live buffers."""
    return _counts["allocated"]


def peak_bytes() -> int:
    """The most bytes that live buffers held at once."""
    return _counts["peak"]


def empty_cache() -> None:
    """Give all free blocks back to the system."""
    with _lock:
        _free.clear()
        _counts["cached"] = 0

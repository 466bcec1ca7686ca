"""Storages in PyTorch's files, and the tensors that look at them.

A file names a storage by a key, with the type of its elements, their number and the device they
lay on; a tensor is a storage with an offset, sizes and strides. Tensors of one storage share memory
here too: each is a window on one storage, and only where elements overlap in a way that no window
has are they copied.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes, engine, windows
from ..devices import usable
from ..dtypes import DType
from ..graph.node import leaf
from ..graph.types import Type
from ..runtime.buffers import Buffer
from ..tensor import Device, Tensor, from_stored, wrap
from .files import FormatError
from .unpickle import Inert, Refused, shown

MAX_RANK = 64
_MAX_SIZE = 1 << 62
_MAX_OVERLAP = 1024

STORAGE_NAMES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
"""PyTorch's classes of storages and their elements' types."""

KNOWN_DTYPES = {dtype.name: dtype for dtype in dtypes.ALL}


class StorageType(Inert):
    """A class of storages that a file names; None is the one of plain bytes."""

    __slots__ = ("dtype", "name")

    def __init__(self, name: str, dtype: DType | None) -> None:
        self.name, self.dtype = name, dtype

    def __repr__(self) -> str:
        return f"torch.{self.name}"


class FileStorage(Inert):
    """A storage of a file: `size` elements of `dtype` (None: bytes without a type yet), the bytes
    in `array`, and the tensor that holds the whole of them once there is one."""

    __slots__ = ("array", "base", "buffer", "copied", "dtype", "location", "offset", "root", "size")

    def __init__(self, dtype: DType | None, size: int, location: str) -> None:
        self.dtype, self.size, self.location = dtype, size, location
        self.array: np.ndarray | None = None
        self.buffer: Buffer | None = None
        self.base: Tensor | None = None
        self.root, self.offset, self.copied = self, 0, 0

    @property
    def n_bytes(self) -> int:
        """Bytes of all elements."""
        return self.size * (1 if self.dtype is None else self.dtype.itemsize)

    def part(self, offset: int, size: int) -> FileStorage:
        """`size` elements from `offset` on, as a storage that shares them."""
        if not 0 <= offset <= offset + size <= self.size:
            raise FormatError(
                f"[load] a part of a storage lies outside of it: {size} elements from {offset} on "
                f"of {self.size}"
            )
        part = FileStorage(self.dtype, size, self.location)
        part.root, part.offset = self, offset
        return part

    def cpu(self) -> FileStorage:
        """Itself: there is no other device here."""
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> FileStorage:
        """RuntimeError: there is no such device."""
        usable("cuda")
        return self

    def __repr__(self) -> str:
        kind = "bytes" if self.dtype is None else f"elements of {self.dtype.name}"
        return f"a storage of {self.size} {kind}"


def allocate(storage: FileStorage) -> np.ndarray:
    """Memory for the storage's bytes, to be filled by whoever reads them."""
    storage.buffer = Buffer(storage.n_bytes)
    storage.array = storage.buffer.as_numpy(np.dtype(np.uint8), (storage.n_bytes,))
    return storage.array


def finish(storage: FileStorage, is_big_endian: bool = False) -> None:
    """Check the bytes that were read and bring them into this machine's order."""
    array, dtype = storage.array, storage.dtype
    is_other = is_big_endian != (sys.byteorder == "big")
    if array is None:
        return
    if dtype is None:
        if is_other:
            raise FormatError("[load] bytes without a type are in the order of another machine")
        return
    check_truth(storage)
    if is_other and dtype.itemsize > 1:
        width = dtype.storage.newbyteorder("<").itemsize
        if dtype.name.startswith("complex"):
            width //= 2
        array.view(f"u{width}").byteswap(inplace=True)


def check_truth(storage: FileStorage) -> None:
    """FormatError if a storage of truth values holds anything else."""
    array = storage.array
    if storage.dtype is dtypes.bool_ and array is not None and len(array) and array.max() > 1:
        raise FormatError(f"[load] truth values must be 0 or 1; got {array.max()}")


def _is_size(x: Any) -> bool:
    return type(x) is int and 0 <= x < _MAX_SIZE


def check_layout(storage: FileStorage, offset: Any, size: Any, stride: Any, dtype: DType) -> None:
    """FormatError unless a tensor of this layout lies within the storage."""

    def bad(rule: str, got: object) -> FormatError:
        return FormatError(f"[load] a tensor's {rule}; got {shown(got)}")

    for name, given in (("size", size), ("stride", stride)):
        if not isinstance(given, tuple) or len(given) > MAX_RANK or not all(map(_is_size, given)):
            raise bad(f"{name} must be at most {MAX_RANK} whole numbers", given)
    if len(size) != len(stride):
        raise bad("size and stride must be as many", (len(size), len(stride)))
    if not _is_size(offset):
        raise bad("offset must be a whole number", offset)
    if math.prod(size) >= _MAX_SIZE:
        raise bad("size must be possible", size)
    if 0 in size:
        return
    last = offset + sum((n - 1) * s for n, s in zip(size, stride))
    n = storage.n_bytes // dtype.itemsize
    if last >= n:
        raise bad(
            f"elements must lie within its storage of {n}",
            f"offset {offset}, size {size}, stride {stride}",
        )


def tensor_of(
    storage: Any, offset: Any, size: Any, stride: Any, dtype: DType | None = None
) -> Tensor:
    """The tensor that a file describes, sharing memory with all others of its storage."""
    if not isinstance(storage, FileStorage):
        raise FormatError(f"[load] a tensor without a storage; got {type(storage).__name__}")
    dtype = storage.dtype if dtype is None else dtype
    root = storage.root
    if dtype is None:
        raise FormatError("[load] a tensor of bytes without a type")
    if root.dtype is None:
        root.dtype, root.size = dtype, root.n_bytes // dtype.itemsize
        check_truth(root)
    if root.dtype is not dtype:
        raise FormatError(
            f"[load] one storage is of two types; got {root.dtype.name} and {dtype.name}"
        )
    check_layout(storage, offset, size, stride, dtype)
    if root.array is None:  # only what storages there are is asked for as yet
        return from_stored(np.empty(0, dtype.storage), dtype)
    if 0 in size:
        return from_stored(np.empty(size, dtype.storage), dtype)
    window = windows.strided(root.size, storage.offset + offset, size, stride)
    if root.base is None:
        is_dense = windows.is_contiguous(size, stride) and math.prod(size) == root.size
        root.base = _whole(root, dtype, size if is_dense else (root.size,))
    if window is None:
        return _copied(root, dtype, storage.offset + offset, size, stride)
    base = root.base
    if base.shape == size and all(op is windows.RESHAPE for op, _ in window):
        result = object.__new__(Tensor)
        result._storage = base._storage
        return result
    if base.ndim != 1:
        base = base._view(windows.RESHAPE, ((root.size,),))
    for op, attrs in window:
        base = base._view(op, attrs)
    return base


def _whole(root: FileStorage, dtype: DType, shape: tuple[int, ...]) -> Tensor:
    """A tensor with all elements of a storage, on its memory."""
    if root.buffer is not None:
        return wrap(leaf(root.buffer, Type(shape, dtype)))
    assert root.array is not None
    array = root.array.view(dtype.storage).reshape(shape)
    return wrap(engine.from_numpy(array, dtype, share=True))


def _copied(
    root: FileStorage, dtype: DType, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> Tensor:
    """A copy of elements that overlap in the storage."""
    root.copied += math.prod(size)
    if root.copied > _MAX_OVERLAP * root.size:
        raise Refused(
            f"[load] a tensor of size {size} looks at a storage of {root.size} elements in a way "
            "that would have to be copied, and is too large for that"
        )
    assert root.array is not None
    held = root.array.view(dtype.storage)[offset:]
    steps = tuple(s * dtype.itemsize for s in stride)
    view = np.lib.stride_tricks.as_strided(held, size, steps, writeable=False)
    return from_stored(np.array(view, order="C"), dtype)


MapLocation = Callable[[FileStorage, str], Any] | dict[str, str] | str | Device | None


def check_location(storage: FileStorage, map_location: Any) -> None:
    """RuntimeError, as PyTorch's, if the storage is to lie on a device that is not there."""
    location: Any = storage.location
    if callable(map_location) and not isinstance(map_location, Device):
        placed = map_location(storage, location)
        if isinstance(placed, FileStorage):
            return
    elif isinstance(map_location, dict):
        location = map_location.get(location, location)
    elif map_location is not None:
        location = map_location
    if location in ("", None):
        return
    try:
        usable(location)
    except RuntimeError as error:
        raise RuntimeError(
            f"[load] a tensor was saved on {str(location)!r}, which is not there; {error}; try "
            "map_location='cpu'"
        ) from None


def path_of(file: Any) -> str:
    """What to call a file in messages."""
    return os.fspath(file) if isinstance(file, (str, os.PathLike)) else str(
        getattr(file, "name", "the file")
    )  # fmt: skip

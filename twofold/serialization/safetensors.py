"""Safetensors: named arrays in one file.

The layout (https://github.com/huggingface/safetensors): 8 bytes, the size n of the header as a
little-endian integer; n bytes, the header as a JSON object, padded with spaces; then the arrays,
row-major and little-endian, without gaps. The header gives for each name `dtype`, `shape` and
`data_offsets`, its first byte and the one after its last, counted from the end of the header; under
`__metadata__` it may hold text by name.

Files are not trusted: whatever a header says is checked before anything is read or allocated.
"""

from __future__ import annotations

import io
import json
import math
import os
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..tensor import Tensor, from_stored
from .files import FormatError, write_atomically

MAX_HEADER_BYTES = 100_000_000
MAX_RANK = 64

_NAMES = {
    dtypes.bool_: "BOOL",
    dtypes.uint8: "U8",
    dtypes.int8: "I8",
    dtypes.int16: "I16",
    dtypes.int32: "I32",
    dtypes.int64: "I64",
    dtypes.float16: "F16",
    dtypes.bfloat16: "BF16",
    dtypes.float32: "F32",
    dtypes.float64: "F64",
    dtypes.complex64: "C64",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}
_UNKNOWN = ("U16", "U32", "U64", "F4", "F6_E2M3", "F6_E3M2", "F8_E4M3", "F8_E5M2", "F8_E8M0")


@dataclass(frozen=True)
class Entry:
    """One array of a file: its type, its shape, and its bytes' place after the header."""

    dtype: DType
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself; `start` is where the arrays begin."""

    entries: dict[str, Entry]
    metadata: dict[str, str]
    start: int


def save_file(
    tensors: Mapping[str, Tensor | np.ndarray],
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors to a file, which is replaced whole or not at all.

    >>> import os, tempfile, twofold as tf
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.safetensors")
    >>> save_file({"w": tf.ones(2, 3)}, path, {"made by": "me"})
    >>> load_file(path)["w"].shape
    twofold.Size([2, 3])
    """
    write_atomically(path, lambda file: write(file, tensors, metadata))


def load_file(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a file. FormatError if it is no safetensors file, cut short or damaged."""
    with open(path, "rb") as file:
        header = parse_header(file, os.fspath(path))
        return {
            name: from_stored(read_array(file, header, name, os.fspath(path)), entry.dtype)
            for name, entry in header.entries.items()
        }


def read_header(path: str | os.PathLike[str]) -> Header:
    """What is in a file, without reading the arrays. FormatError as for `load_file`."""
    with open(path, "rb") as file:
        return parse_header(file, os.fspath(path))


def stored(value: Tensor | np.ndarray, name: str) -> tuple[np.ndarray, DType]:
    """The elements as they are written, and their type. TypeError for what is no tensor."""
    if isinstance(value, Tensor):
        return value._array(), value.dtype
    if isinstance(value, np.ndarray):
        native = value.astype(value.dtype.newbyteorder("="), copy=False)
        return native, dtypes.from_numpy(native.dtype)
    raise TypeError(f"[save_file] only tensors and arrays are saved; got {type(value)} as {name!r}")


def write(
    file: BinaryIO,
    tensors: Mapping[str, Tensor | np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a safetensors file. Wide elements come first, so that all are aligned."""
    arrays = {name: stored(value, name) for name, value in tensors.items()}
    header: dict[str, Any] = {}
    if metadata:
        if not all(isinstance(x, str) for pair in metadata.items() for x in pair):
            raise TypeError(f"[save_file] metadata is text by name; got {dict(metadata)}")
        header["__metadata__"] = dict(metadata)
    order = sorted(arrays, key=lambda name: -arrays[name][1].itemsize)
    places, at = {}, 0
    for name in order:
        end = at + arrays[name][0].size * arrays[name][1].itemsize
        places[name], at = [at, end], end
    for name, (array, dtype) in arrays.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise TypeError(f"[save_file] a tensor's name must be text; got {name!r}")
        if dtype not in _NAMES:
            raise TypeError(f"[save_file] safetensors has no {dtype}; got it for {name!r}")
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(array.shape),
            "data_offsets": places[name],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(
            f"[save_file] the header may have {MAX_HEADER_BYTES} bytes; got {len(text)}; "
            "try fewer or shorter names"
        )
    file.write(struct.pack("<Q", len(text)))
    file.write(text)
    for name in order:
        array = arrays[name][0]
        if sys.byteorder == "big":
            array = array.astype(array.dtype.newbyteorder("<"))
        file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def parse_header(file: BinaryIO, path: str) -> Header:
    """Read and check the header of a file that stands at its beginning."""
    start = file.tell()
    size = file.seek(0, io.SEEK_END) - start
    file.seek(start)

    def bad(rule: str, got: object = None) -> FormatError:
        text = f"[safetensors] {path}: {rule}"
        return FormatError(text if got is None else f"{text}; got {got}")

    if size < 8:
        raise bad("a file begins with 8 bytes of its header's size", f"{size} bytes")
    (length,) = struct.unpack("<Q", file.read(8))
    if length > MAX_HEADER_BYTES:
        raise bad(f"no safetensors file: a header has {MAX_HEADER_BYTES} bytes at most", length)
    if length > size - 8:
        raise bad(f"cut short in its header of {length} bytes", f"{size - 8} bytes")
    text = file.read(length)
    if not text.startswith(b"{"):
        raise bad("no safetensors file: a header begins with '{'", text[:8])
    try:
        table = json.loads(
            text.decode(), object_pairs_hook=_no_doubles, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise bad("the header is no JSON", str(error)[:200]) from None
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise bad("__metadata__ must be text by name", str(metadata)[:80])
    entries = {name: _entry(name, given, bad) for name, given in table.items()}
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != at:
            fault = "overlaps another array" if entry.begin < at else "leaves a gap before it"
            raise bad(f"the array {name!r} {fault}", f"bytes {entry.begin} to {entry.end}")
        at = entry.end
    present = size - 8 - length
    if at > present:
        raise bad(f"cut short: the arrays have {at} bytes", f"{present} bytes")
    if at < present:
        raise bad(f"{present - at} bytes follow the last array")
    return Header(entries, metadata, start + 8 + length)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name occurs twice")
    return table


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _entry(name: str, given: Any, bad: Any) -> Entry:
    """One entry of the table, checked against itself."""
    if not isinstance(given, dict) or set(given) != {"dtype", "shape", "data_offsets"}:
        raise bad(f"the entry {name!r} must have dtype, shape and data_offsets", str(given)[:80])
    kind, shape, offsets = given["dtype"], given["shape"], given["data_offsets"]
    dtype = _DTYPES.get(kind) if isinstance(kind, str) else None
    if dtype is None:
        known = f"a type that Twofold has not ({', '.join(_DTYPES)})"
        rule = known if kind in _UNKNOWN else "an unknown dtype"
        raise bad(f"the array {name!r} is of {rule}", repr(kind)[:80])
    if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(map(_is_size, shape)):
        rule = f"the shape of {name!r} must be at most {MAX_RANK} sizes"
        raise bad(rule, str(shape)[:80])
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        raise bad(f"the offsets of {name!r} must be two sizes", str(offsets)[:80])
    begin, end = offsets
    n_bytes = math.prod(shape) * dtype.itemsize
    if end - begin != n_bytes:
        raise bad(
            f"the array {name!r} of {kind} and shape {shape} has {n_bytes} bytes",
            f"bytes {begin} to {end}",
        )
    return Entry(dtype, tuple(shape), begin, end)


def read_array(file: BinaryIO, header: Header, name: str, path: str) -> np.ndarray:
    """The stored elements of one array. FormatError if they are cut short or no such elements."""
    entry = header.entries[name]
    raw = np.empty(entry.end - entry.begin, np.uint8)
    file.seek(header.start + entry.begin)
    if file.readinto(raw.data) != len(raw):  # type: ignore[attr-defined]
        raise FormatError(f"[safetensors] {path}: cut short within the array {name!r}")
    if entry.dtype is dtypes.bool_ and len(raw) and raw.max() > 1:
        raise FormatError(
            f"[safetensors] {path}: the elements of {name!r} must be 0 or 1; got {raw.max()}"
        )
    array = raw.view(entry.dtype.storage.newbyteorder("<")).reshape(entry.shape)
    return array.astype(entry.dtype.storage, copy=False)

"""GGUF: a language model's weights, many of them quantized, and its metadata, in one file.

The layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), little-endian: the magic
"GGUF", a version, the numbers of tensors and of metadata; the metadata, each a name, a type and a
value; the tensors, each a name, its sizes (the fastest first), a type and an offset; then, from a
multiple of the alignment on, the elements. The file is mapped, not read: what is not asked for
costs nothing.

Files are not trusted: whatever one says is checked before anything is read or allocated.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .files import FormatError
from .gguf_types import QUANTIZED, TYPES, Quantized, dequantized

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q",
            12: "d"}  # fmt: skip
"""The `struct` code of each type of metadata of fixed size; 7 is bool."""

_BOOL, _STRING, _ARRAY = 7, 8, 9
MAX_RANK = 4
MAX_DEPTH = 4
MAX_NAME_BYTES = 65_535


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: the name of its type, its shape (rows first), and its bytes' place."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


class GGUF:
    """A GGUF file: `metadata` by name, `entries` by name, and the elements, mapped.

    >>> import twofold as tf
    >>> path = getfixture("tmp_path") / "tiny.gguf"
    >>> write_gguf(path, {"general.architecture": "none"}, {"w": tf.ones(2, 32).numpy()})
    >>> file = GGUF(path)
    >>> file.metadata["general.architecture"], file.entries["w"].shape, file.array("w").sum()
    ('none', (2, 32), np.float32(64.0))
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        if os.path.getsize(path) < 24:
            raise self.bad("a file begins with 24 bytes of its header")
        self._bytes = np.memmap(path, np.uint8, "r")
        reader = _Reader(self._bytes.data, self.bad)
        self.metadata, self.entries = _parse(reader, len(self._bytes), self.bad)

    def bad(self, rule: str, got: object = None) -> FormatError:
        """What to raise where the file breaks a rule."""
        text = f"[gguf] {self.path}: {rule}"
        return FormatError(text if got is None else f"{text}; got {got}")

    def entry(self, name: str) -> Entry:
        """The tensor of that name; FormatError if there is none."""
        if name not in self.entries:
            raise self.bad(f"there is no tensor {name!r}")
        return self.entries[name]

    def array(self, name: str) -> np.ndarray:
        """A tensor as float32 (or as the integers or float64 that it has)."""
        entry = self.entry(name)
        raw = self._bytes[entry.begin : entry.end]
        return dequantized(raw, entry.kind).reshape(entry.shape)

    def quantized(self, name: str) -> Quantized | None:
        """A matrix as whole numbers with the scales of their blocks; None if its type is not made
        of these."""
        entry = self.entry(name)
        split = QUANTIZED.get(entry.kind)
        if split is None or len(entry.shape) != 2:
            return None
        return split(self._bytes[entry.begin : entry.end]).shaped(entry.shape[0])


class _Reader:
    """Reads metadata from the front of a file."""

    def __init__(self, data: memoryview, bad: Callable[..., FormatError]) -> None:
        self.data, self.bad, self.at = data, bad, 0

    def take(self, n_bytes: int) -> memoryview:
        """The next bytes."""
        if n_bytes > len(self.data) - self.at:
            raise self.bad("cut short in its header")
        self.at += n_bytes
        return self.data[self.at - n_bytes : self.at]

    def numbers(self, form: str) -> tuple[Any, ...]:
        """Numbers that lie one after the other."""
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def text(self, most: int = 1 << 63) -> str:
        """A string, with its size before it."""
        (size,) = self.numbers("Q")
        if size > most:
            raise self.bad(f"a name has at most {most} bytes", size)
        try:
            return bytes(self.take(size)).decode()
        except UnicodeDecodeError as error:
            raise self.bad("a string is no UTF-8", str(error)) from None

    def value(self, kind: int, depth: int = 0) -> Any:
        """A value of metadata."""
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array(depth)
        if kind not in _SCALARS:
            raise self.bad("metadata of an unknown type", kind)
        (found,) = self.numbers(_SCALARS[kind])
        return self._bool(found) if kind == _BOOL else found

    def _bool(self, value: int) -> bool:
        if value > 1:
            raise self.bad("a bool must be 0 or 1", value)
        return bool(value)

    def _array(self, depth: int) -> list[Any]:
        kind, count = self.numbers("IQ")
        if depth >= MAX_DEPTH:
            raise self.bad(f"arrays within arrays go at most {MAX_DEPTH} deep")
        form = _SCALARS.get(kind)
        least = 8 if form is None else struct.calcsize(form)
        if count > (len(self.data) - self.at) // least:
            raise self.bad("an array is longer than the file", count)
        if form is None:
            return [self.value(kind, depth + 1) for _ in range(count)]
        found = list(self.numbers(f"{count}{form}"))
        return [self._bool(x) for x in found] if kind == _BOOL else found


def _parse(
    reader: _Reader, size: int, bad: Callable[..., FormatError]
) -> tuple[dict[str, Any], dict[str, Entry]]:
    """The metadata and the entries of a file of `size` bytes."""
    magic = bytes(reader.take(4))
    if magic != b"GGUF":
        raise bad("no GGUF file: it begins with 'GGUF'", magic)
    version, n_tensors, n_metadata = reader.numbers("IQQ")
    if version not in (2, 3):
        raise bad("versions 2 and 3, little-endian, are read", version)
    if n_tensors > size // 24 or n_metadata > size // 13:
        raise bad("more entries than the file has room for", (n_tensors, n_metadata))
    metadata: dict[str, Any] = {}
    for _ in range(n_metadata):
        name = reader.text(MAX_NAME_BYTES)
        if name in metadata:
            raise bad(f"the metadata {name!r} occurs twice")
        (kind,) = reader.numbers("I")
        metadata[name] = reader.value(kind)
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
        raise bad("the alignment must be a power of two", alignment)
    given = [_tensor(reader, alignment, bad) for _ in range(n_tensors)]
    start = -(-reader.at // alignment) * alignment
    entries: dict[str, Entry] = {}
    for name, kind, shape, offset, n_bytes in given:
        if name in entries:
            raise bad(f"the tensor {name!r} occurs twice")
        begin, end = start + offset, start + offset + n_bytes
        if end > size:
            raise bad(f"cut short: {name!r} ends at byte {end}", f"{size} bytes")
        entries[name] = Entry(kind, shape, begin, end)
    at = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].begin):
        if entry.begin < at:
            raise bad(f"the tensor {name!r} overlaps another", f"byte {entry.begin}")
        at = entry.end
    return metadata, entries


def _tensor(
    reader: _Reader, alignment: int, bad: Callable[..., FormatError]
) -> tuple[str, str, tuple[int, ...], int, int]:
    """Name, type, shape, offset and bytes of the next tensor."""
    name = reader.text(MAX_NAME_BYTES)
    (rank,) = reader.numbers("I")
    if rank > MAX_RANK:
        raise bad(f"{name!r} has at most {MAX_RANK} axes", rank)
    sizes = reader.numbers(f"{rank}Q")
    number, offset = reader.numbers("IQ")
    if number not in TYPES:
        raise bad(f"{name!r} is of a type that is not read", f"number {number}")
    kind, block, block_bytes = TYPES[number]
    if offset % alignment:
        raise bad(f"{name!r} must begin at a multiple of {alignment}", offset)
    if (sizes[0] if sizes else 1) % block:
        raise bad(f"rows of {name!r} must be whole blocks of {block}", sizes)
    n_bytes = math.prod(sizes) // block * block_bytes
    return name, kind, tuple(reversed(sizes)), offset, n_bytes


def write_gguf(
    path: str | os.PathLike[str], metadata: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write a GGUF file of float32 arrays; metadata are text, bools, whole numbers, floats and
    lists of one of these."""
    head = [b"GGUF", struct.pack("<IQQ", 3, len(arrays), len(metadata))]
    for name, value in metadata.items():
        kind, data = _written(value)
        head += [_string(name), struct.pack("<I", kind), data]
    at, parts = 0, []
    for name, array in arrays.items():
        data = np.ascontiguousarray(array, "<f4").tobytes()
        sizes = array.shape[::-1]
        head.append(_string(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, 0, at))
        parts.append(data + bytes(-len(data) % 32))
        at += len(parts[-1])
    text = b"".join(head)
    with open(path, "wb") as file:
        file.write(text + bytes(-len(text) % 32))
        file.writelines(parts)


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _written(value: Any) -> tuple[int, bytes]:
    """The number of a value's type, and its bytes."""
    if isinstance(value, str):
        return _STRING, _string(value)
    if isinstance(value, bool):
        return _BOOL, struct.pack("<B", value)
    if isinstance(value, int):
        return 11, struct.pack("<q", value)
    if isinstance(value, float):
        return 12, struct.pack("<d", value)
    kinds = [_written(x) for x in value]
    kind = kinds[0][0] if kinds else _STRING
    if any(k != kind for k, _ in kinds):
        raise TypeError(f"[write_gguf] a list is of one type; got {value!r}")
    return _ARRAY, struct.pack("<IQ", kind, len(kinds)) + b"".join(x for _, x in kinds)

"""Objects of kernels as images that run wherever they lie.

LLVM's linker gives every object pages of its own, with rights of their own, and a process may have
some 65,000 such mappings, so that a long program could compile only so many kernels. A kernel's
object refers only to itself, relative to its own code. So its sections are put one behind the
other, the distances are filled in, and the image is copied to memory that many kernels share.

Format: System V ABI, "ELF-64 Object File Format"; relocations: "AMD64 Architecture Processor
Supplement", table 4.9.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading

import numpy as np

_HEADER = np.dtype([("magic", "S4"), ("class", "u1"), ("data", "u1"), ("pad", "V10"),
    ("type", "<u2"), ("machine", "<u2"), ("version", "<u4"), ("entry", "<u8"), ("phoff", "<u8"),
    ("shoff", "<u8"), ("flags", "<u4"), ("ehsize", "<u2"), ("phentsize", "<u2"),
    ("phnum", "<u2"), ("shentsize", "<u2"), ("shnum", "<u2"), ("shstrndx", "<u2")])  # fmt: skip
_SECTION = np.dtype([("name", "<u4"), ("type", "<u4"), ("flags", "<u8"), ("address", "<u8"),
    ("offset", "<u8"), ("size", "<u8"), ("link", "<u4"), ("info", "<u4"), ("align", "<u8"),
    ("entsize", "<u8")])  # fmt: skip
_SYMBOL = np.dtype([("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"),
    ("value", "<u8"), ("size", "<u8")])  # fmt: skip
_RELOCATION = np.dtype([("offset", "<u8"), ("info", "<u8"), ("addend", "<i8")])

_X86_64, _RELOCATABLE = 62, 1
_SYMBOLS, _RELOCATIONS, _NO_BITS = 2, 4, 8  # types of sections
_WRITE, _ALLOCATE = 1, 2  # flags of sections
_RELATIVE = (2, 4)  # R_X86_64_PC32 and R_X86_64_PLT32: symbol + addend - place, in 32 bits
_RESERVED = 0xFF00  # section numbers from here on are no sections


def image_of(code: bytes, symbol: str) -> tuple[np.ndarray, int] | None:
    """The image of an object and the offset of `symbol` in it. None for an object that does not
    refer to itself alone and relative to its own code, or is not for x86-64."""
    header = np.frombuffer(code, _HEADER, 1)[0]
    if header["magic"] != b"\x7fELF" or header["machine"] != _X86_64:
        return None
    if header["type"] != _RELOCATABLE or header["shentsize"] != _SECTION.itemsize:
        return None
    sections = np.frombuffer(code, _SECTION, header["shnum"], int(header["shoff"])).tolist()
    names = _SECTION.names or ()
    table = [dict(zip(names, section)) for section in sections]
    places: dict[int, int] = {}
    end = 0
    for i, s in enumerate(table):
        if s["flags"] & _ALLOCATE and s["size"]:
            if s["flags"] & _WRITE or s["type"] == _NO_BITS:
                return None
            end = -(-end // max(1, s["align"])) * max(1, s["align"])
            places[i] = end
            end += s["size"]
    image = np.zeros(end, np.uint8)
    for i, at in places.items():
        size, offset = table[i]["size"], table[i]["offset"]
        image[at : at + size] = np.frombuffer(code, np.uint8, size, offset)
    where = np.full(len(table) + 1, -1, np.int64)
    where[list(places)] = list(places.values())
    entry = None
    for s in table:
        if s["type"] == _SYMBOLS:
            entry = _offset_of(code, s, table[s["link"]], symbol, where)
        elif s["type"] == _RELOCATIONS and s["info"] in places:
            symbols = _entries(code, table[s["link"]], _SYMBOL)
            if not _fill_in(image, _entries(code, s, _RELOCATION), symbols, s["info"], where):
                return None
    return None if entry is None else (image, entry)


def _entries(code: bytes, section: dict, dtype: np.dtype) -> np.ndarray:
    return np.frombuffer(code, dtype, section["size"] // dtype.itemsize, section["offset"])


def _offset_of(
    code: bytes, section: dict, strings: dict, symbol: str, where: np.ndarray
) -> int | None:
    """Where in the image a symbol lies; None if it is not there."""
    begin = strings["offset"]
    for name, _, _, number, value, _ in _entries(code, section, _SYMBOL).tolist():
        at = begin + name
        if 0 < number < _RESERVED and code[at : code.index(b"\0", at)] == symbol.encode():
            return int(where[number]) + value
    return None


def _fill_in(
    image: np.ndarray, relocations: np.ndarray, symbols: np.ndarray, target: int, where: np.ndarray
) -> bool:
    """Write the distances that a section's relocations ask for; False if one is of another kind."""
    kinds = relocations["info"] & 0xFFFFFFFF
    found = symbols[(relocations["info"] >> 32).astype(np.int64)]
    numbers = found["section"].astype(np.int64)
    if not np.isin(kinds, _RELATIVE).all() or (numbers == 0).any() or (numbers >= _RESERVED).any():
        return False
    base = where[numbers]
    if (base < 0).any():
        return False
    at = where[target] + relocations["offset"].astype(np.int64)
    distance = base + found["value"].astype(np.int64) + relocations["addend"] - at
    for k in range(4):
        image[at + k] = (distance >> (8 * k)) & 0xFF
    return True


class CodeMemory:
    """Memory that code is written to through one mapping and run from through another, so that none
    is both writable and executable. It is given out, never taken back."""

    CHUNK = 4 << 20

    def __init__(self) -> None:
        self._kept: list[mmap.mmap] = []
        self._lock = threading.Lock()
        self.leave()

    @staticmethod
    def is_here() -> bool:
        """Whether this system has what it takes."""
        return sys.platform == "linux" and hasattr(os, "memfd_create")

    def leave(self) -> None:
        """Put no more code into the present chunk. A forked child does so, as it shares it."""
        self._lock = threading.Lock()
        self._view = np.zeros(0, np.uint8)
        self._address = self._used = 0

    def put(self, image: np.ndarray) -> int:
        """The address of a copy of `image`, at a multiple of 64. OSError if the system gives no
        such memory."""
        with self._lock:
            at = -(-self._used // 64) * 64
            if at + len(image) > len(self._view):
                self._open(max(self.CHUNK, -(-len(image) // 4096) * 4096))
                at = 0
            self._view[at : at + len(image)] = image
            self._used = at + len(image)
            return self._address + at

    def _open(self, n_bytes: int) -> None:
        file = os.memfd_create("twofold-code", os.MFD_CLOEXEC)
        try:
            os.ftruncate(file, n_bytes)
            write = mmap.mmap(file, n_bytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            run = mmap.mmap(file, n_bytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_EXEC)
        finally:
            os.close(file)
        self._kept += [write, run]
        self._view = np.frombuffer(write, np.uint8)
        self._address = np.frombuffer(run, np.uint8).ctypes.data

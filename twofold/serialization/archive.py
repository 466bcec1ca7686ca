"""The zip files that PyTorch's checkpoints are: read with mistrust, written with aligned members.

All members are stored as they are, in one folder. Reading refuses what such a file never has:
compressed or encrypted members (so nothing can unpack to more than the file holds), members that
overlap, lie outside of the file, occur twice or are named by paths.
"""

from __future__ import annotations

import io
import itertools
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from .files import FormatError

ALIGNMENT = 64
_LOCAL_BYTES, _LOCAL_MAGIC = 30, b"PK\x03\x04"
_ZIP64_FROM = 1 << 31
_CHUNK = 1 << 24


class Archive:
    """The members of a zip file by their names within its one folder."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.file, self.path = file, path
        self.size = file.seek(0, io.SEEK_END)
        try:
            with zipfile.ZipFile(file) as table:
                infos = table.infolist()
                end = table.start_dir
        except (
            zipfile.BadZipFile, struct.error, ValueError, OverflowError, NotImplementedError,
            EOFError, OSError, IndexError,
        ) as error:  # fmt: skip
            raise self._bad("is cut short or no zip file", error) from None
        folders = {info.filename.partition("/")[0] for info in infos}
        if len(folders) != 1:
            raise self._bad("must hold one folder", sorted(folders)[:4])
        self.members: dict[str, tuple[int, int, int]] = {}
        places = []
        for info in infos:
            begin = self._check(info)
            name = info.filename.partition("/")[2]
            if name in self.members:
                raise self._bad("holds a member twice", name[:80])
            self.members[name] = begin, info.file_size, info.CRC
            places.append((info.header_offset, begin + info.file_size, name))
        places.sort()
        places.append((end, self.size, "the table of members"))
        for (_, last, name), (first, _, next_name) in itertools.pairwise(places):
            if last > first:
                raise self._bad("has members that overlap", f"{name[:80]} and {next_name[:80]}")

    def _bad(self, rule: str, got: object) -> FormatError:
        return FormatError(f"[load] {self.path} {rule}; got {str(got)[:200]}")

    def _check(self, info: zipfile.ZipInfo) -> int:
        """The place of a member's first byte. FormatError unless the member is a plain one."""
        name = info.filename
        parts = name.split("/")
        if "\\" in name or "\0" in info.orig_filename or not all(parts) or ".." in parts:
            raise self._bad("has a member named by a path", repr(name[:80]))
        if info.flag_bits & 1:
            raise self._bad("has an encrypted member", name[:80])
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise FormatError(
                f"[load] {self.path} has a compressed member, {name[:80]!r}, which PyTorch's files "
                "never have; try to pack it again without compression (zip -0)"
            )
        self.file.seek(info.header_offset)
        local = self.file.read(_LOCAL_BYTES)
        if len(local) < _LOCAL_BYTES or local[:4] != _LOCAL_MAGIC:
            raise self._bad("has no header where its table says", name[:80])
        n_name, n_extra = struct.unpack("<HH", local[26:30])
        if self.file.read(n_name) != info.orig_filename.encode("utf-8", "surrogateescape"):
            raise self._bad("calls a member by two names", name[:80])
        begin = info.header_offset + _LOCAL_BYTES + n_name + n_extra
        if begin + info.file_size > self.size:
            raise self._bad("is cut short within a member", name[:80])
        return begin

    def place(self, name: str) -> tuple[int, int]:
        """The first byte and the size of a member. FormatError if there is none."""
        if name not in self.members:
            raise self._bad("lacks a member", name[:80])
        return self.members[name][:2]

    def read(self, name: str, most: int) -> bytes:
        """A member of at most so many bytes."""
        size = self.place(name)[1]
        if size > most:
            raise self._bad(f"has a member {name!r} of more than {most} bytes", size)
        data = bytearray(size)
        self.read_into(name, memoryview(data))
        return bytes(data)

    def read_into(self, name: str, target: memoryview) -> None:
        """Fill `target`, which is of a member's size, and compare its checksum."""
        begin, _ = self.place(name)
        self.file.seek(begin)
        checksum, at = 0, 0
        while at < len(target):
            n = self.file.readinto(target[at : at + _CHUNK])  # type: ignore[attr-defined]
            if not n:
                raise self._bad("is cut short within a member", name[:80])
            checksum = zlib.crc32(target[at : at + n], checksum)
            at += n
        if checksum != self.members[name][2]:
            raise self._bad("is damaged: its checksum differs in the member", name[:80])


class ArchiveWriter:
    """Writes members of one folder, each of which begins at a multiple of `ALIGNMENT` bytes."""

    def __init__(self, file: BinaryIO, folder: str) -> None:
        self._zip, self._folder = zipfile.ZipFile(file, "w"), folder

    def add(self, name: str, data: Any) -> None:
        """Write one member, from anything that holds bytes."""
        view = memoryview(data)
        info = zipfile.ZipInfo(f"{self._folder}/{name}")
        is_long = view.nbytes >= _ZIP64_FROM
        at = self._zip.start_dir + _LOCAL_BYTES + len(info.filename.encode()) + 4
        fill = -(at + (20 if is_long else 0)) % ALIGNMENT
        info.extra = b"FB" + struct.pack("<H", fill) + b"Z" * fill
        info.file_size = view.nbytes
        with self._zip.open(info, "w", force_zip64=is_long) as member:
            for start in range(0, view.nbytes, _CHUNK):
                member.write(view[start : start + _CHUNK])

    def close(self) -> None:
        """Write the table of members."""
        self._zip.close()


def readable(file: Any, read: Callable[[BinaryIO], Any]) -> Any:
    """`read` of a path, opened for it, or of a file that is open."""
    if isinstance(file, (str, os.PathLike)):
        with open(file, "rb") as opened:
            return read(opened)
    missing = [name for name in ("read", "seek", "tell") if not hasattr(file, name)]
    if missing:
        raise AttributeError(
            f"[load] a file must have read, seek and tell; got {type(file).__name__} without "
            f"{', '.join(missing)}; try io.BytesIO(file.read())"
        )
    return read(file if hasattr(file, "readinto") else io.BytesIO(file.read()))

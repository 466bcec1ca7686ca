"""`save` and `load`: PyTorch's checkpoint files, read and written without PyTorch.

Three formats: the zip file of PyTorch 1.6 and later (what `save` writes), the stream of pickles
before it, and the tar file before that. `load` knows each, and safetensors, by its first bytes.

A pickle is a program; these are read by a machine of our own (`unpickle`), which makes what `names`
lists and nothing else, so no file can run code.
"""

from __future__ import annotations

import io
import mmap as memory_map
import os
import struct
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from . import tree
from .archive import Archive, ArchiveWriter, readable
from .files import FormatError, write_atomically
from .names import find, find_with_models
from .pickle_writer import PickleWriter
from .stored import (
    MAX_RANK,
    FileStorage,
    MapLocation,
    StorageType,
    allocate,
    check_location,
    finish,
    path_of,
    tensor_of,
)
from .unpickle import Find, Unpickler, shown

_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_MAX_PICKLE = 1 << 32
_MAX_STORAGE = 1 << 48
_HEAD_BYTES = 262


def save(
    obj: Any,
    f: str | os.PathLike[str] | BinaryIO,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write `obj`, a state_dict or any tree of tensors and values, so that `load` and `torch.load`
    read it.

    A path is written whole or not at all. Tensors that share a storage still do when they are read.
    Objects of other classes are written by reference to their class, as `pickle` does, and can be
    read where it is trusted (`add_safe_globals`).

    >>> import io, twofold as tf
    >>> file = io.BytesIO()
    >>> save({"w": tf.ones(2), "epoch": 3}, file)
    >>> load(io.BytesIO(file.getvalue()))
    {'w': tensor([1., 1.]), 'epoch': 3}
    """
    if not 2 <= pickle_protocol <= 5:
        raise ValueError(f"[save] pickle_protocol must be 2 to 5; got {pickle_protocol}")
    write = _write_zip if _use_new_zipfile_serialization else _write_legacy
    if not isinstance(f, (str, os.PathLike)):
        if not hasattr(f, "write"):
            raise AttributeError(f"[save] a file must have write; got {type(f).__name__}")
        write(obj, f, "archive", pickle_protocol)
        return
    path = Path(os.path.realpath(f))
    stem = path.stem or "archive"
    if path.exists() and not path.is_file():  # a device or a pipe, which cannot be replaced
        with open(path, "wb") as file:
            write(obj, file, stem, pickle_protocol)
        return
    write_atomically(path, lambda file: write(obj, file, stem, pickle_protocol))


def load(
    f: str | os.PathLike[str] | BinaryIO,
    map_location: MapLocation = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = True,
    mmap: bool | None = None,
    encoding: str = "utf-8",
) -> Any:
    """What is in a file of PyTorch's or of `save`, or the tensors of a safetensors file by name.

    `map_location` is a device, a dict of devices by those in the file, or a function of a storage
    and the name of its device; None asks for the devices that the file names. `mmap` leaves the
    values in the file until they are used (changes stay in memory; checksums are not compared).
    `encoding` is that of texts written by Python 2.

    No code from a file is ever run. With `weights_only=False` it may hold whole models, of classes
    of modules that the program has imported: their instances are made without being called, and
    filled. Refused, a FormatError (a RuntimeError) and an UnpicklingError, names what a file asks
    for that is not made; FormatError if it is cut short, damaged or of another format.
    """
    if pickle_module is not None:
        raise ValueError("[load] files are read by Twofold's own unpickler; got a pickle_module")
    path = path_of(f)
    names = find_with_models if weights_only is False else find

    def read(file: BinaryIO) -> Any:
        start = file.tell()
        head = file.read(_HEAD_BYTES)
        file.seek(start)
        if head[:4] == b"PK\x03\x04":
            return _read_zip(Archive(file, path), names, map_location, mmap, encoding)
        if mmap:
            raise RuntimeError(
                "[load] mmap can only be used with files saved with torch.save("
                "_use_new_zipfile_serialization=True)"
            )
        if head[8:9] == b"{":
            if isinstance(map_location, str):
                check_location(FileStorage(None, 0, "cpu"), map_location)
            return tree.read(file, path)[0]
        if head[:1] == b"\x80":
            return _read_legacy(file, path, names, map_location, encoding)
        if head[257:] == b"ustar":
            return _read_tar(file, path, map_location, encoding)
        if len(head) < 10:
            raise FormatError(f"[load] {path} begins with 8 bytes of no format; it is cut short")
        raise FormatError(
            f"[load] {path} is no file of PyTorch's and no safetensors file; got a file that "
            f"begins with {head[:10]!r}"
        )

    return readable(f, read)


# The zip file.


def _write_zip(obj: Any, file: BinaryIO, folder: str, protocol: int) -> None:
    writer = PickleWriter(protocol)
    data = writer.dump(obj)
    archive = ArchiveWriter(file, folder)
    archive.add("data.pkl", data)
    archive.add(".format_version", b"1")
    archive.add(".storage_alignment", b"64")
    archive.add("byteorder", sys.byteorder.encode())
    for key, array in enumerate(writer.arrays()):
        archive.add(f"data/{key}", array)
    archive.add("version", b"3\n")
    archive.close()


def _read_zip(
    archive: Archive, find: Find, map_location: MapLocation, mmap: bool | None, encoding: str
) -> Any:
    if "constants.pkl" in archive.members or "data.pkl" not in archive.members:
        kind = "a TorchScript program" if "constants.pkl" in archive.members else "another zip file"
        raise FormatError(
            f"[load] {archive.path} is {kind}, no checkpoint; try to save a state_dict() in the "
            "program that made it"
        )
    order = b"little"
    if "byteorder" in archive.members:
        order = archive.read("byteorder", 16)
    if order not in (b"little", b"big"):
        raise FormatError(f"[load] {archive.path}: the order of bytes is unknown; got {order!r}")
    whole = _mapped(archive) if mmap else None

    def fill(key: str, storage: FileStorage) -> None:
        begin, size = archive.place(f"data/{key}")
        if size != storage.n_bytes:
            raise FormatError(
                f"[load] {archive.path}: the storage {key!r} has {storage.n_bytes} bytes in the "
                f"pickle and {size} in the file"
            )
        if whole is not None and begin % 16 == 0 and order.decode() == sys.byteorder:
            storage.array = whole[begin : begin + size]
        else:
            archive.read_into(f"data/{key}", allocate(storage).data)
        finish(storage, order == b"big")

    storages = _Storages(map_location, fill)
    data = archive.read("data.pkl", _MAX_PICKLE)
    return Unpickler(data, find, storages.find, encoding=encoding).load()


def _mapped(archive: Archive) -> np.ndarray:
    """The file's bytes, of which changes stay in memory."""
    try:
        handle = archive.file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        raise ValueError("[load] mmap needs a path; got a file that is none on the disk") from None
    memory = memory_map.mmap(handle, 0, access=memory_map.ACCESS_COPY)
    return np.frombuffer(memory, np.uint8)


class _Storages:
    """The storages that a pickle refers to, each made and filled once."""

    def __init__(self, map_location: MapLocation, fill: Callable[[str, FileStorage], None]) -> None:
        self.map_location, self.fill = map_location, fill
        self.by_key: dict[str, FileStorage] = {}

    def find(self, name: Any) -> FileStorage:
        """The storage of a persistent id: ("storage", class, key, device, size[, part])."""
        if isinstance(name, tuple) and name and name[0] in ("module", b"module"):
            raise FormatError(
                "[load] the file holds a whole model instead of its values; in the program that "
                "made it save model.state_dict(), then build the model here and call "
                "model.load_state_dict(twofold.load(path))"
            )
        if not isinstance(name, tuple) or not 5 <= len(name) <= 6 or name[0] != "storage":
            raise FormatError(f"[load] an unknown reference; got {shown(name)}")
        _, kind, key, location, size, *part = name
        if not isinstance(kind, StorageType) or not isinstance(location, str):
            raise FormatError(f"[load] a storage of an unknown class; got {shown(kind)}")
        if type(key) not in (str, int) or type(size) is not int or not 0 <= size < _MAX_STORAGE:
            raise FormatError(f"[load] a storage of impossible size; got {shown(size)}")
        found = self.by_key.get(str(key))
        if found is None:
            found = FileStorage(kind.dtype, size, location)
            check_location(found, self.map_location)
            self.fill(str(key), found)
            self.by_key[str(key)] = found
        elif kind.dtype is not None and kind.dtype is not found.dtype:
            raise FormatError(
                f"[load] one storage is of two types; got {found.dtype} and {kind.dtype}"
            )
        elif kind.dtype is not None and size != found.size:
            raise FormatError(f"[load] one storage has two sizes; got {found.size} and {size}")
        if part and part[0] is not None:
            view = part[0]
            if (
                not isinstance(view, tuple)
                or len(view) != 3
                or not all(type(n) is int for n in view[1:])
            ):
                raise FormatError(f"[load] a part of a storage is damaged; got {shown(view)}")
            return found.part(view[1], view[2])
        return found


# The stream of pickles before 1.6: a number, a version, the machine, the object, the keys;
# then each storage as its number of elements and their bytes.


def _write_legacy(obj: Any, file: BinaryIO, folder: str, protocol: int) -> None:
    sizes = {"short": 2, "int": 4, "long": 4}
    machine = {
        "protocol_version": _LEGACY_VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": sizes,
    }
    for value in (_MAGIC, _LEGACY_VERSION, machine):
        file.write(PickleWriter(protocol).dump(value))
    writer = PickleWriter(protocol, is_legacy=True)
    file.write(writer.dump(obj))
    file.write(PickleWriter(protocol).dump([str(i) for i in range(len(writer.storages))]))
    for storage, array in zip(writer.storages, writer.arrays(), strict=True):
        file.write(struct.pack("<q", array.nbytes // storage.node.dtype.itemsize))
        file.write(array.data)


def _read_legacy(
    file: BinaryIO, path: str, find: Find, map_location: MapLocation, encoding: str
) -> Any:
    start = file.tell()
    data = file.read()
    at = 0

    def plain() -> Any:
        nonlocal at
        reader = Unpickler(data, find, None, at, encoding)
        value = reader.load()
        at = reader.at
        return value

    if plain() != _MAGIC:
        raise FormatError(
            f"[load] {path} is a pickle, but no checkpoint of PyTorch's; save what it holds with "
            "twofold.save"
        )
    version, machine = plain(), plain()
    if version != _LEGACY_VERSION or not isinstance(machine, dict):
        raise FormatError(f"[load] {path} is of an unknown version; got {shown(version)}")
    is_big = machine.get("little_endian") is False
    object_at = at
    storages = _Storages(map_location, lambda key, storage: None)
    # The bytes follow the object, and how many they are is known from it: it is read twice.
    reader = Unpickler(data, find, storages.find, object_at, encoding)
    reader.load()
    at = reader.at
    keys = plain()
    known = storages.by_key
    if not isinstance(keys, list) or sorted(_key(x, path) for x in keys) != sorted(known):
        raise FormatError(f"[load] {path} does not hold the storages that its tensors need")
    for key in keys:
        at = _fill_from(data, at, known[_key(key, path)], path, is_big)
    value = Unpickler(data, find, storages.find, object_at, encoding).load()
    file.seek(start + at)
    return value


def _fill_from(data: bytes, at: int, storage: FileStorage, path: str, is_big: bool) -> int:
    """Take a storage's number of elements and their bytes; gives where they end."""
    size = int.from_bytes(data[at : at + 8], "big" if is_big else "little", signed=True)
    at += 8
    if storage.dtype is None:
        storage.size = size
    end = at + storage.n_bytes
    if not 0 <= size == storage.size or end > len(data):
        raise FormatError(
            f"[load] {path} is cut short or damaged: a storage has {storage.size} elements in the "
            f"pickle, {size} by its own count, and {max(0, len(data) - at)} bytes follow"
        )
    allocate(storage)[:] = np.frombuffer(data, np.uint8, storage.n_bytes, at)
    finish(storage, is_big)
    return end


# The tar file of the first versions: `storages`, `tensors` and `pickle`, which names tensors by
# their number.


def _read_tar(file: BinaryIO, path: str, map_location: MapLocation, encoding: str) -> Any:
    members: dict[str, bytes] = {}
    start = file.tell()
    n_bytes = file.seek(0, io.SEEK_END)
    file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for info in archive:
                name = info.name.removeprefix("./")
                if name in ("storages", "tensors", "pickle", "sys_info") and info.isfile():
                    if info.issparse():
                        raise FormatError(f"[load] {path} has a member with holes; got {name}")
                    if info.offset_data + info.size > n_bytes:
                        raise FormatError(f"[load] {path} is cut short within a member; got {name}")
                    content = archive.extractfile(info)
                    members[name] = b"" if content is None else content.read()
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, MemoryError) as error:
        raise FormatError(f"[load] {path} is damaged; got {error!r}") from None
    if not {"storages", "tensors", "pickle"} <= set(members):
        raise FormatError(f"[load] {path} is a tar file, but no checkpoint of PyTorch's")
    storages = _tar_storages(members["storages"], path, map_location)
    tensors = _tar_tensors(members["tensors"], storages, path)

    def tensor(name: Any) -> Any:
        key = _key(name, path)
        if key not in tensors:
            raise FormatError(f"[load] {path} lacks the tensor {key[:80]}")
        return tensors[key]

    return Unpickler(members["pickle"], find, tensor, encoding=encoding).load()


def _tar_storages(data: bytes, path: str, map_location: MapLocation) -> dict[str, FileStorage]:
    found: dict[str, FileStorage] = {}
    reader = Unpickler(data, find)
    count = reader.load()
    for _ in range(_count(count, path)):
        reader = Unpickler(data, find, at=reader.at)
        entry = reader.load_parts()
        if len(entry) != 3 or not isinstance(entry[2], StorageType) or entry[2].dtype is None:
            raise FormatError(f"[load] {path}: a storage is damaged")
        size = int.from_bytes(data[reader.at : reader.at + 8], "little", signed=True)
        storage = FileStorage(entry[2].dtype, max(0, size), _key(entry[1], path))
        check_location(storage, map_location)
        reader.at = _fill_from(data, reader.at, storage, path, False)
        found[_key(entry[0], path)] = storage
    reader = Unpickler(data, find, at=reader.at)
    views = reader.load()
    for view in views if isinstance(views, list) else [views]:
        if not isinstance(view, tuple) or len(view) != 4 or _key(view[1], path) not in found:
            raise FormatError(f"[load] {path}: a part of a storage is damaged")
        target, root, offset, size = view
        if type(offset) is not int or type(size) is not int:
            raise FormatError(f"[load] {path}: a part of a storage is damaged")
        found[_key(target, path)] = found[_key(root, path)].part(offset, size)
    return found


def _tar_tensors(data: bytes, storages: dict[str, FileStorage], path: str) -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    reader = Unpickler(data, find)
    for _ in range(_count(reader.load(), path)):
        reader = Unpickler(data, find, at=reader.at)
        entry = reader.load_parts()
        at = reader.at
        rank = int.from_bytes(data[at : at + 4], "little", signed=True)
        if len(entry) != 3 or _key(entry[1], path) not in storages or not 0 <= rank <= MAX_RANK:
            raise FormatError(f"[load] {path}: a tensor is damaged")
        if at + 16 + 16 * rank > len(data):
            raise FormatError(f"[load] {path} is cut short within its tensors")
        numbers = struct.unpack_from(f"<{2 * rank + 1}q", data, at + 8)
        reader.at = at + 16 + 16 * rank
        size, stride, offset = numbers[:rank], numbers[rank : 2 * rank], numbers[-1]
        storage = storages[_key(entry[1], path)]
        tensors[_key(entry[0], path)] = tensor_of(storage, offset, size, stride)
    return tensors


def _count(n: Any, path: str) -> int:
    if type(n) is not int or not 0 <= n < 1 << 24:
        raise FormatError(f"[load] {path}: a number of members is damaged; got {shown(n)}")
    return n


def _key(x: Any, path: str) -> str:
    """What a file calls a storage or a tensor: text or a number."""
    if type(x) not in (str, int):
        raise FormatError(f"[load] {path}: a storage or a tensor is called {shown(x)}")
    return str(x)

"""Trees of values in one file: nested dicts, lists and tuples of tensors, numbers and text.

The file is a safetensors file. Its arrays are the tree's, named by their place in it, so a plain
state_dict is read by any reader of the format; the tree itself is JSON in the metadata, where a
number, a text, a truth value, None and a list stand for themselves and anything else is an object
of one member: `{"dict": [[key, value], ...]}`, `{"tuple": [...]}`, `{"float": "inf"}`,
`{"tensor": name}`, `{"array": name}`, `{"dtype": name}`. A checksum of the arrays shows damage.

No code is ever run from a file, and nothing but these kinds is made.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections import OrderedDict
from typing import Any, BinaryIO

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..tensor import Tensor, from_stored
from . import safetensors
from .files import FormatError, write_atomically

_TREE, _CHECKSUM = "twofold.tree", "twofold.crc32"


def save(
    obj: Any,
    f: str | os.PathLike[str] | BinaryIO,
    previous: str | os.PathLike[str] | None = None,
) -> None:
    """Write a tree of values to a path, whole or not at all, or to a file open for writing bytes.
    With `previous`, the file that was at the path is kept there.

    Tensors that are one are written once and read as one. TypeError for a value of another kind.

    >>> import io
    >>> file = io.BytesIO()
    >>> save({"epoch": 3, "betas": (0.9, 0.999)}, file)
    >>> load(io.BytesIO(file.getvalue()))
    {'epoch': 3, 'betas': (0.9, 0.999)}
    """
    if isinstance(f, (str, os.PathLike)):
        write_atomically(f, lambda file: _write(obj, file), previous)
    else:
        _write(obj, f)


def load(f: str | os.PathLike[str] | BinaryIO) -> Any:
    """The tree of values in a file that `save` wrote, or the tensors of any safetensors file by
    name. FormatError if the file is of another format, cut short or damaged."""
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return read(file, os.fspath(f))[0]
    return read(f, str(getattr(f, "name", "the file")))[0]


def read(file: BinaryIO, path: str) -> tuple[Any, dict[str, str]]:
    """The tree in a file, and the file's metadata."""
    header = safetensors.parse_header(file, path)
    arrays, checksum = {}, 0
    for name in sorted(header.entries, key=lambda name: header.entries[name].begin):
        arrays[name] = safetensors.read_array(file, header, name, path)
        checksum = zlib.crc32(_bytes(arrays[name]), checksum)
    if _CHECKSUM in header.metadata and header.metadata[_CHECKSUM] != f"{checksum:08x}":
        raise FormatError(f"[load] {path} is damaged: its arrays do not have the checksum noted")
    decoder = _Decoder(arrays, {name: entry.dtype for name, entry in header.entries.items()}, path)
    if _TREE not in header.metadata:
        return {name: decoder.tensor(name) for name in header.entries}, header.metadata
    try:
        tree = json.loads(header.metadata[_TREE])
        return decoder.value(tree), header.metadata
    except (ValueError, RecursionError) as error:
        raise FormatError(f"[load] {path}: the tree of values is damaged; got {error}") from None


def _write(obj: Any, file: BinaryIO) -> None:
    encoder = _Encoder()
    tree = encoder.value(obj, ())
    checksum = 0
    for name in sorted(encoder.arrays, key=lambda n: -encoder.itemsize(n)):
        checksum = zlib.crc32(_bytes(safetensors.stored(encoder.arrays[name], name)[0]), checksum)
    metadata = {_TREE: json.dumps(tree, allow_nan=False), _CHECKSUM: f"{checksum:08x}"}
    safetensors.write(file, encoder.arrays, metadata)


def _bytes(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


class _Encoder:
    """Turns values into JSON, and collects their arrays by name."""

    def __init__(self) -> None:
        self.arrays: dict[str, Tensor | np.ndarray] = {}
        self._known: dict[tuple[int, Any], str] = {}

    def itemsize(self, name: str) -> int:
        """Bytes of an element of an array."""
        return self.arrays[name].itemsize

    def value(self, x: Any, path: tuple[str, ...]) -> Any:
        """`x`, which stands at `path`, as JSON."""
        if x is None or isinstance(x, (bool, str)):
            return x
        if isinstance(x, (Tensor, np.ndarray)):
            return self._array(x, path)
        if isinstance(x, np.generic):
            x = x.item()
        if isinstance(x, int):
            return int(x)
        if isinstance(x, float):
            return float(x) if math.isfinite(x) else {"float": repr(float(x))}
        if isinstance(x, DType):
            return {"dtype": x.name}
        if isinstance(x, dict):
            kind = "ordered" if isinstance(x, OrderedDict) else "dict"
            pairs = [
                [self.value(k, (*path, "key")), self.value(v, (*path, str(k)))]
                for k, v in x.items()
            ]
            return {kind: pairs}
        if isinstance(x, (list, tuple)):
            items = [self.value(v, (*path, str(i))) for i, v in enumerate(x)]
            return items if isinstance(x, list) else {"tuple": items}
        where = ".".join(path) or "the top"
        raise TypeError(
            "[save] only tensors, arrays, numbers, text, None, dicts, lists and tuples are saved; "
            f"got {type(x)} at {where}; try its state_dict()"
        )

    def _array(self, x: Tensor | np.ndarray, path: tuple[str, ...]) -> Any:
        if isinstance(x, np.ndarray):
            return {"array": self._add(x, path)}
        key = (id(x._storage), x._window)
        name = self._known.get(key)
        if name is None:
            name = self._known[key] = self._add(x, path)
        return {"tensor": name, "requires_grad": True} if x.requires_grad else {"tensor": name}

    def _add(self, x: Tensor | np.ndarray, path: tuple[str, ...]) -> str:
        name = stem = ".".join(path) or "value"
        count = 1
        while name in self.arrays or name == "__metadata__":
            count += 1
            name = f"{stem}#{count}"
        self.arrays[name] = x
        return name


class _Decoder:
    """Makes values of the JSON that `_Encoder` gave. ValueError for anything else."""

    def __init__(self, arrays: dict[str, np.ndarray], kinds: dict[str, DType], path: str) -> None:
        self.arrays, self.kinds, self.path = arrays, kinds, path
        self._made: dict[str, Tensor] = {}

    def tensor(self, name: Any) -> Tensor:
        """The tensor called `name`; the same one each time."""
        if not isinstance(name, str) or name not in self.arrays:
            raise ValueError(f"no array {name!r}")
        if name not in self._made:
            self._made[name] = from_stored(self.arrays[name], self.kinds[name])
        return self._made[name]

    def value(self, x: Any) -> Any:
        """The value that JSON stands for."""
        if isinstance(x, list):
            return [self.value(v) for v in x]
        if not isinstance(x, dict):
            return x
        kind = next(iter(x), None)
        what = x.get(kind)
        if kind == "tensor" and set(x) <= {"tensor", "requires_grad"}:
            tensor = self.tensor(what)
            return tensor.requires_grad_() if x.get("requires_grad") else tensor
        if len(x) != 1:
            raise ValueError(f"an object with the members {list(x)[:4]}")
        if kind in ("dict", "ordered") and isinstance(what, list):
            pairs = [(self.value(k), self.value(v)) for k, v in map(_pair, what)]
            return dict(pairs) if kind == "dict" else OrderedDict(pairs)
        if kind == "tuple" and isinstance(what, list):
            return tuple(self.value(v) for v in what)
        if kind == "float" and what in ("inf", "-inf", "nan"):
            return float(what)
        if kind == "array" and isinstance(what, str) and what in self.arrays:
            return self.arrays[what]
        if kind == "dtype" and what in {d.name for d in dtypes.ALL}:
            return dtypes.by_name(what)
        raise ValueError(f"an object of the kind {kind!r}")


def _pair(x: Any) -> tuple[Any, Any]:
    if not isinstance(x, list) or len(x) != 2:
        raise ValueError("a dict's member that is no pair")
    key = x[0]
    if isinstance(key, (dict, list)) and not (isinstance(key, dict) and "tuple" in key):
        raise ValueError("a dict's key of another kind than number, text and tuple")
    return key, x[1]

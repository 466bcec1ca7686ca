"""Pickles of checkpoints, as PyTorch writes them: tensors by reference to storages kept apart.

Written are the instructions of protocol 2, which every reader knows, with PyTorch's names for
tensors, dtypes, devices and sizes; other objects are written as `pickle` writes them, by their
`__reduce_ex__`. Nothing of PyTorch is needed for it.
"""

from __future__ import annotations

import copyreg
import pickle
import struct
import sys
from collections import OrderedDict
from typing import Any

import numpy as np

from .. import engine, nn
from ..dtypes import DType
from ..graph.storage import Storage
from ..nn.modules.state import StateDict
from ..nn.parameter import Buffer, Parameter, is_lazy
from ..settings import strided
from ..tensor import Device, Size, Tensor
from .stored import STORAGE_NAMES

_STORAGES = {dtype: name for name, dtype in STORAGE_NAMES.items()}
_BATCH = 1000
_SAME_AS = {StateDict: OrderedDict}


class PickleWriter:
    """Writes one pickle; `storages` are those that its tensors look at, in the order of their keys.

    `is_legacy` writes references to storages as the format before 1.6 has them.
    """

    def __init__(self, protocol: int = 2, is_legacy: bool = False) -> None:
        self.out = bytearray()
        self.protocol, self.is_legacy = protocol, is_legacy
        self.storages: list[Storage] = []
        self._keys: dict[int, str] = {}
        self._memo: dict[Any, int] = {}
        self._alive: list[Any] = []

    def dump(self, value: Any) -> bytes:
        """The pickle of a value."""
        self.out += b"\x80" + bytes([self.protocol])
        self._write(value)
        self.out += b"."
        return bytes(self.out)

    # Values.

    def _write(self, x: Any) -> None:
        kind = type(x)
        if x is None:
            self.out += b"N"
        elif kind is bool:
            self.out += b"\x88" if x else b"\x89"
        elif kind is int:
            self._write_int(x)
        elif kind is float:
            self.out += b"G" + struct.pack(">d", x)
        elif kind is str:
            self._write_text(x)
        elif self._is_known(x):
            return
        elif kind is bytes:
            self._write_bytes(x)
        elif kind is tuple:
            self._write_tuple(x)
        elif kind is list:
            self.out += b"]"
            self._note(x)
            self._write_items(x)
        elif kind is dict:
            self.out += b"}"
            self._note(x)
            self._write_pairs(x.items())
        elif isinstance(x, Tensor):
            self._write_tensor(x)
        elif kind is DType:
            self._write_name("torch", x.name)
        elif kind is Size:
            self._write_call("torch", "Size", (tuple(x),))
            self._note(x)
        elif kind is Device:
            args = (x.type,) if x.index is None else (x.type, x.index)
            self._write_call("torch", "device", args)
            self._note(x)
        elif isinstance(x, type) or (callable(x) and hasattr(x, "__qualname__")):
            self._write_global(x)
        else:
            self._write_object(x)

    def _write_int(self, x: int) -> None:
        if 0 <= x < 256:
            self.out += b"K" + struct.pack("<B", x)
        elif 0 <= x < 65536:
            self.out += b"M" + struct.pack("<H", x)
        elif -(1 << 31) <= x < 1 << 31:
            self.out += b"J" + struct.pack("<i", x)
        else:
            data = x.to_bytes(x.bit_length() // 8 + 1, "little", signed=True)
            short = len(data) < 256
            self.out += (
                b"\x8a" + bytes([len(data)]) if short else b"\x8b" + struct.pack("<i", len(data))
            )
            self.out += data

    def _write_text(self, x: str) -> None:
        at = self._memo.get(x)
        if at is not None:
            self._recall(at)
            return
        data = x.encode("utf-8", "surrogatepass")
        self.out += b"X" + struct.pack("<I", len(data)) + data
        self._put(x)

    def _write_bytes(self, x: bytes) -> None:
        if self.protocol > 2:
            self.out += b"B" + struct.pack("<I", len(x)) + x
        else:
            self._write_call("_codecs", "encode", (x.decode("latin1"), "latin1"))
        self._note(x)

    def _write_tuple(self, x: tuple) -> None:
        n = len(x)
        if n == 0:
            self.out += b")"
            return
        if n > 3:
            self.out += b"("
        for item in x:
            self._write(item)
        at = self._memo.get(("id", id(x)))
        if at is not None:  # it holds itself, by way of a list, and was written there
            self.out += b"0" * n if n <= 3 else b"1"
            self._recall(at)
            return
        self.out += b"\x85\x86\x87"[n - 1 : n] if n <= 3 else b"t"
        self._note(x)

    def _write_items(self, items: Any) -> None:
        items = list(items)
        for start in range(0, len(items), _BATCH):
            self.out += b"("
            for item in items[start : start + _BATCH]:
                self._write(item)
            self.out += b"e"

    def _write_pairs(self, pairs: Any) -> None:
        pairs = list(pairs)
        for start in range(0, len(pairs), _BATCH):
            self.out += b"("
            for key, value in pairs[start : start + _BATCH]:
                self._write(key)
                self._write(value)
            self.out += b"u"

    # Tensors.

    def _write_tensor(self, x: Tensor) -> None:
        kind = type(x)
        extra = {k: v for k, v in x.__dict__.items() if k not in _NOT_SAVED}
        if is_lazy(x):
            raise pickle.PicklingError(
                "[save] a parameter without a shape cannot be saved; try to call its module first"
            )
        if x.layout is not strided:
            raise pickle.PicklingError(
                f"[save] dense tensors can be saved; got one of layout {x.layout}; try .to_dense()"
            )
        if isinstance(x, Parameter):
            data = x.detach()
            self._alive.append(data)
            args: tuple = (data, x.requires_grad, OrderedDict())
            name = "_rebuild_parameter"
            if extra:
                name, args = "_rebuild_parameter_with_state", (*args, extra)
            self._write_call("torch._utils", name, args)
        elif kind is not Buffer and (extra or kind is not Tensor):
            self._write_name("torch._tensor", "_rebuild_from_type_v2")
            self.out += b"("
            self._write_name("torch._utils", "_rebuild_tensor_v2")
            if kind is Tensor:
                self._write_name("torch", "Tensor")
            else:
                self._write_global(kind)
            self._write_plain_arguments(x)
            self._write(extra)
            self.out += b"tR"
        else:
            self._write_name("torch._utils", "_rebuild_tensor_v2")
            self._write_plain_arguments(x)
            self.out += b"R"
        self._note(x)

    def _write_plain_arguments(self, x: Tensor) -> None:
        """(storage, offset, size, stride, requires_grad, hooks)."""
        shape, strides, offset = x._layout()
        self.out += b"("
        self._write_storage(x)
        value: Any
        for value in (offset, tuple(shape), tuple(strides), x.requires_grad, OrderedDict()):
            self._alive.append(value)
            self._write(value)
        self.out += b"t"

    def _write_storage(self, x: Tensor) -> None:
        storage = x._storage
        key = self._keys.get(id(storage))
        if key is None:
            key = self._keys[id(storage)] = str(len(self.storages))
            self.storages.append(storage)
        node = storage.node
        name = _STORAGES.get(node.dtype.name)
        if name is None:
            raise pickle.PicklingError(f"[save] PyTorch has no storage of {node.dtype}")
        self.out += b"("
        self._write("storage")
        self._write_name("torch", name)
        for value in (key, "cpu", int(np.prod(node.shape, dtype=np.int64))):
            self._write(value)
        if self.is_legacy:
            self.out += b"N"
        self.out += b"tQ"

    def arrays(self) -> list[np.ndarray]:
        """The bytes of the storages, in the order of their keys."""
        return [
            np.ascontiguousarray(engine.to_numpy(s.node)).reshape(-1).view(np.uint8)
            for s in self.storages
        ]

    # Other objects, by name and by what they are made of.

    def _write_call(self, module: str, name: str, args: tuple) -> None:
        self._write_name(module, name)
        self._alive.append(args)
        self._write_tuple(args)
        self.out += b"R"

    def _write_name(self, module: str, name: str) -> None:
        at = self._memo.get(("name", module, name))
        if at is not None:
            self._recall(at)
            return
        old = _OLD_MODULES.get(module, module) if self.protocol == 2 else module
        self.out += b"c" + f"{old}\n{name}\n".encode()
        self._put(("name", module, name))

    def _write_global(self, x: Any) -> None:
        x = _SAME_AS.get(x, x)
        module, name = getattr(x, "__module__", None) or "builtins", x.__qualname__
        if getattr(nn.functional, name, None) is x:
            module = nn.functional.__name__
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not x or "." in name:
            raise pickle.PicklingError(
                f"[save] {x!r} cannot be saved by name: {module}.{name} is not it; try to define "
                "it at the top of a module, or to save a state_dict()"
            )
        self._write_name(module, name)

    def _write_object(self, x: Any) -> None:
        reduced = x.__reduce_ex__(2)
        if isinstance(reduced, str):
            self._write_name(type(x).__module__, reduced)
            return
        function, args, state, items, pairs = (*reduced, None, None, None)[:5]
        if function is copyreg.__newobj__:  # type: ignore[attr-defined]
            self._write_global(args[0])
            self._alive.append(args)
            self._write(tuple(args[1:]))
            self.out += b"\x81"
        elif isinstance(x, (set, frozenset)) and type(x) in (set, frozenset):
            self._write_call("builtins", type(x).__name__, (list(x),))
        else:
            self._write_global(function)
            self._alive.append(args)
            self._write(args)
            self.out += b"R"
        self._note(x)
        if items is not None:
            self._write_items(items)
        if pairs is not None:
            self._write_pairs(pairs)
        if state is not None:
            self._alive.append(state)
            self._write(state)
            self.out += b"b"

    # The memo: what was written before is referred to.

    def _is_known(self, x: Any) -> bool:
        at = self._memo.get(("id", id(x)))
        if at is None:
            return False
        self._recall(at)
        return True

    def _note(self, x: Any) -> None:
        self._alive.append(x)  # so that no other object gets its id
        self._put(("id", id(x)))

    def _put(self, key: Any) -> None:
        at = self._memo[key] = len(self._memo)
        self.out += b"q" + bytes([at]) if at < 256 else b"r" + struct.pack("<I", at)

    def _recall(self, at: int) -> None:
        self.out += b"h" + bytes([at]) if at < 256 else b"j" + struct.pack("<I", at)


_NOT_SAVED = frozenset(["_storage", "_window", "_base", "_seen", "_target", "grad"])
_OLD_MODULES = {"builtins": "__builtin__", "copyreg": "copy_reg"}

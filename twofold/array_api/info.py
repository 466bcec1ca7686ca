"""What the namespace tells of itself."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..dtypes import DType
from ..tensor import Device
from .types import isdtype

_ALL = (
    dtypes.bool_, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64, dtypes.uint8,
    dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128,
)  # fmt: skip


class Info:
    """Capabilities, default dtypes, dtypes and devices of the namespace."""

    def capabilities(self) -> dict[str, Any]:
        """What optional behaviour there is."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        """The device that arrays are made on."""
        return Device("cpu")

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """The dtypes of arrays made of Python numbers."""
        real = dtypes.get_default()
        return {
            "real floating": real,
            "complex floating": real.to_complex(),
            "integral": dtypes.int64,
            "indexing": dtypes.int64,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        """The dtypes of a kind by name."""
        return {dtype.name: dtype for dtype in _ALL if kind is None or isdtype(dtype, kind)}

    def devices(self) -> list[Device]:
        """All devices."""
        return [Device("cpu")]

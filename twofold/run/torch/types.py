"""`torch.types`: names for annotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...dtypes import DType
from ...tensor import Device, Size, Tensor

_bool = bool
_device = Device
_dtype = DType
_float = float
_int = int
_size = Sequence[int] | Size
_TensorOrTensors = Tensor | Sequence[Tensor]
Device = Device | str | int | None  # type: ignore[assignment,misc]
Number = int | float | bool
Storage = Any

"""`torch.utils.dlpack`."""

from __future__ import annotations

from typing import Any

from ....interchange import from_dlpack as _from_dlpack
from ....tensor import Tensor

_CPU = (1, 0)


class _Held:
    """A capsule as what it came from: something that gives it away."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CPU


def to_dlpack(tensor: Tensor) -> Any:
    """The capsule of a tensor's memory."""
    return tensor.__dlpack__()


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor on the memory of a capsule, or of another library's array."""
    return _from_dlpack(ext_tensor if hasattr(ext_tensor, "__dlpack__") else _Held(ext_tensor))

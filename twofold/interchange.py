"""Arrays of other libraries: the DLPack protocol, both ways, on the same memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from .creation import from_numpy
from .devices import usable
from .functions._registry import function, method
from .tensor import Tensor


@method("__dlpack__")
def to_dlpack(
    self: Tensor,
    /,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[Any, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A capsule with this tensor's memory, for another library's `from_dlpack`. BufferError if a
    gradient is required."""
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return self.numpy().__dlpack__(
        stream=stream, max_version=max_version, dl_device=dl_device, copy=copy
    )


@method("__dlpack_device__")
def dlpack_device(self: Tensor) -> tuple[int, int]:
    """The kind and the number of the device, as DLPack counts them: 1 is the CPU."""
    return (1, 0)


@method()
def to_device(self: Tensor, device: Any, /, *, stream: Any = None) -> Tensor:
    """This tensor on a device, as the array API standard calls it."""
    if stream is not None:
        raise RuntimeError(f"[to_device] the CPU has no streams; got {stream!r}")
    usable(device)
    return self


@function()
def from_dlpack(source: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's array, by the DLPack protocol.

    Memory that must not be written is copied; BufferError if `copy` is False.

    >>> import numpy as np
    >>> array = np.zeros(2)
    >>> x = from_dlpack(array)
    >>> x[0] = 3
    >>> array.tolist()
    [3.0, 0.0]
    """
    if device is not None:
        usable(device)
    array = np.from_dlpack(source)
    if copy is False and not array.flags.writeable:
        raise BufferError("[from_dlpack] memory that must not be written needs a copy")
    result = from_numpy(array)
    return result.clone() if copy else result

"""Names of the module `torch` that only programs written for PyTorch ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...amp.autocast import (
    autocast,
    get_autocast_dtype,
    is_autocast_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
)
from ...creation import tensor
from .library import ops
from .tensor_types import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from .version import __version__


def _assert(condition: Any, message: str) -> None:
    """AssertionError with `message` unless `condition`."""
    assert condition, message


def _check(condition: bool, message: Callable[[], str] | None = None) -> None:
    """RuntimeError with `message()` unless `condition`."""
    if not condition:
        raise RuntimeError(message() if message else "Expected condition to be True")


def _shape_as_tensor(self: Any) -> Any:
    """The shape as a tensor of integers."""
    return tensor(list(self.shape))


class OutOfMemoryError(RuntimeError):
    """A GPU has no memory left: there is none, so nothing raises it."""


def is_autocast_cpu_enabled() -> bool:
    """Whether this is within a block of `autocast` for the CPU."""
    return is_autocast_enabled("cpu")


def get_autocast_cpu_dtype() -> Any:
    """The dtype of `autocast`'s products on the CPU."""
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype() -> Any:
    """The dtype of `autocast`'s products on a GPU, if there were one."""
    return get_autocast_dtype("cuda")


def is_autocast_cache_enabled() -> bool:
    """True: a weight that several products cast is cast once."""
    return True

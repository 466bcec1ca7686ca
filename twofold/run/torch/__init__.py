"""Names of the module `torch` that only programs written for PyTorch ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import amp
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

autocast = amp.autocast


def _assert(condition: Any, message: str) -> None:
    """AssertionError with `message` unless `condition`."""
    assert condition, message


def _check(condition: bool, message: Callable[[], str] | None = None) -> None:
    """RuntimeError with `message()` unless `condition`."""
    if not condition:
        raise RuntimeError(message() if message else "Expected condition to be True")


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """False: autocasting does nothing."""
    return False


def is_autocast_cpu_enabled() -> bool:
    """False: autocasting does nothing."""
    return False

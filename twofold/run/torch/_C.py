"""`torch._C`: the few private names that libraries built on PyTorch ask for."""

from __future__ import annotations

import contextlib
import enum

from ...functions.random import Generator as Generator
from ...tensor import Size as Size

DisableTorchFunctionSubclass = contextlib.nullcontext
DisableTorchFunction = contextlib.nullcontext


def _get_tracing_state() -> None:
    """None: nothing is traced."""


def _log_api_usage_once(event: str) -> None:
    """Nothing: uses are not logged."""


class DispatchKey(enum.Flag):
    """PyTorch's names of what an op may be registered for; a set of them is their union."""

    CPU = enum.auto()
    CUDA = enum.auto()
    Meta = enum.auto()
    Autograd = enum.auto()
    AutocastCPU = enum.auto()
    AutocastCUDA = enum.auto()
    AutocastXPU = enum.auto()


DispatchKeySet = DispatchKey
_ExcludeDispatchKeyGuard = contextlib.nullcontext

"""torch.nn.parallel: on one device, the modules themselves."""

from __future__ import annotations

from typing import Any

from ..errors import explain_missing as _explain_missing
from .modules.module import Module


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """What the module gives: all cores work on each call already."""
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*args, **(module_kwargs or {}))


class DistributedDataParallel:
    """A module trained by several processes. ValueError: there is no group of them."""

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        raise ValueError("Default process group has not been initialized")


__getattr__ = _explain_missing(__name__, dir())

"""Data parallelism in one process: on one device, the module itself."""

from __future__ import annotations

from typing import Any

from .module import Module


class DataParallel(Module):
    """The module, its state under "module."; all cores work on each call already."""

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.dim = dim
        self.module = module
        self.device_ids: list[int] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        return self.module(*inputs, **kwargs)

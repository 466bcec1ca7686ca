"""Making models without what PyTorch would do besides."""

from __future__ import annotations

from typing import Any

from ..modules.module import Module


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """A module whose initial values do not matter. They are drawn all the same: nothing runs
    before it is looked at."""
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    return module_cls(*args, **kwargs)


def convert_conv2d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """`module`: layouts of weights are chosen for the whole graph as it is compiled."""
    return module


def convert_conv3d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """`module`: layouts of weights are chosen for the whole graph as it is compiled."""
    return module

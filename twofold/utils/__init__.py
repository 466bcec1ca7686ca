"""Helpers around training.

`data` is loaded when it is first asked for: the processes that it may start cost 15 ms to import.
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("checkpoint", "data", "tensorboard"):
        return importlib.import_module(f"{__name__}.{name}")
    if name == "register_einops":
        return importlib.import_module(f"{__name__}.einops_backend").register_einops
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""`torch._dynamo`: PyTorch's capture of bytecode, of which there is none."""

from __future__ import annotations

from typing import Any


def disable(fn: Any = None, recursive: bool = True, **_: Any) -> Any:
    """The function itself."""
    return fn if callable(fn) else lambda f: f


allow_in_graph = disable

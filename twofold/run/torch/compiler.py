"""`torch.compiler`: hints for PyTorch's compiler."""

from __future__ import annotations

from typing import Any


def is_compiling() -> bool:
    """False: what runs is the program itself."""
    return False


is_dynamo_compiling = is_compiling
is_exporting = is_compiling


def disable(fn: Any = None, recursive: bool = True, **_: Any) -> Any:
    """The function itself."""
    return fn if callable(fn) else lambda f: f


def reset() -> None:
    """Nothing: what was captured is known by what it depends on."""


allow_in_graph = disable
assume_constant_result = disable

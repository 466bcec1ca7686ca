"""Types, shapes and layouts print as PyTorch's do: programs print, compare and cut such texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..dtypes import DType
from ..settings import Layout
from ..tensor import Size

_KINDS: tuple[Any, ...] = (DType, Size, Layout)


def _renamed(text: Callable[[Any], str]) -> Callable[[Any], str]:
    def __repr__(self: Any) -> str:
        return text(self).replace("twofold.", "torch.", 1)

    return __repr__


def apply() -> None:
    """Let `str(torch.float32)` be "torch.float32" in this process."""
    for kind in _KINDS:
        kind.__repr__ = _renamed(kind.__repr__)

"""What GPU functions say where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def refuse(name: str) -> Callable[..., Any]:
    """A function that raises RuntimeError, as PyTorch's does on a machine without a GPU."""

    def apply(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"[{name}] needs a GPU; this build has the device 'cpu' only")

    apply.__name__ = name.rpartition(".")[2]
    apply.__doc__ = "RuntimeError: there is no GPU."
    return apply

"""`torch.onnx.symbolic_helper`: what libraries use to describe their ops to an exporter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def parse_args(*descriptors: str) -> Callable[[Any], Any]:
    """A mark for the exporter: the function itself."""
    return lambda f: f

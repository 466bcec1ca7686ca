"""`torch.onnx`: models are not exported."""

from __future__ import annotations

import enum
from typing import Any


class TensorProtoDataType(enum.IntEnum):
    """ONNX's numbers of element types."""

    FLOAT = 1
    UINT8 = 2
    INT8 = 3
    INT32 = 6
    INT64 = 7
    BOOL = 9
    FLOAT16 = 10
    DOUBLE = 11
    BFLOAT16 = 16


def is_in_onnx_export() -> bool:
    """False: nothing is exported."""
    return False


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Nothing: what an exporter would do with an op is of no use without one."""


def export(*args: Any, **kwargs: Any) -> None:
    """NotImplementedError: there is no exporter."""
    raise NotImplementedError("[torch.onnx.export] this build exports no ONNX; save the state")


_export = export

"""`torch.FloatTensor` and the like: PyTorch's old names of dtypes, which also make tensors."""

from __future__ import annotations

from typing import Any

from ... import dtypes
from ...creation import empty, tensor
from ...dtypes import DType
from ...tensor import NAMES, Tensor


class _TensorType(type):
    """The type of such a name: a tensor of the dtype is an instance."""

    dtype: DType

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype

    def __call__(cls, *args: Any) -> Tensor:
        """A tensor of values (a sequence, an array), or, of extents, one to be filled."""
        if len(args) == 1 and not isinstance(args[0], int):
            return tensor(args[0], dtype=cls.dtype)
        return empty(*args, dtype=cls.dtype) if args else empty(0, dtype=cls.dtype)


def _make(dtype: DType) -> _TensorType:
    name = f"{NAMES[dtype]}Tensor"
    return _TensorType(name, (), {"dtype": dtype, "__module__": "torch"})


BFloat16Tensor = _make(dtypes.bfloat16)
BoolTensor = _make(dtypes.bool_)
ByteTensor = _make(dtypes.uint8)
CharTensor = _make(dtypes.int8)
DoubleTensor = _make(dtypes.float64)
FloatTensor = _make(dtypes.float32)
HalfTensor = _make(dtypes.float16)
IntTensor = _make(dtypes.int32)
LongTensor = _make(dtypes.int64)
ShortTensor = _make(dtypes.int16)

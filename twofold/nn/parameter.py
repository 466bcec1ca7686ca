"""Parameters and buffers: tensors that a module registers when they are set as its attributes."""

from __future__ import annotations

from typing import Any

from ..creation import empty
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that is a parameter of the module it is set on; requires a gradient by default.

    >>> import twofold as tf
    >>> tf.nn.Parameter(tf.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = empty(0)
        return Tensor._make_subclass(cls, data, requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that is a buffer of the module it is set on: saved with it, but not trained."""

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        result = Tensor._make_subclass(cls, empty(0) if data is None else data, False)
        result.persistent = persistent
        return result


class UninitializedParameter(Parameter):
    """A parameter whose shape is not known until the module sees its first input."""

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        data = empty(0, dtype=dtype)
        return Tensor._make_subclass(cls, data, requires_grad)

    def materialize(self, shape: Any) -> None:
        """Take this shape and become a plain `Parameter`."""
        requires_grad = self.requires_grad
        self.data = empty(*shape, dtype=self.dtype)
        self.__class__ = Parameter  # type: ignore[assignment]
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return "<UninitializedParameter>"


class UninitializedBuffer(Buffer):
    """A buffer whose shape is not known until the module sees its first input."""

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None,
        persistent: bool = True,
    ) -> Any:  # fmt: skip
        made = Tensor._make_subclass(cls, empty(0, dtype=dtype), requires_grad)
        made.persistent = persistent
        return made

    def materialize(self, shape: Any) -> None:
        """Take this shape and become a plain `Buffer`."""
        self.data = empty(*shape, dtype=self.dtype)
        self.__class__ = Buffer  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<UninitializedBuffer>"


def is_lazy(value: Any) -> bool:
    """Whether a parameter has no shape yet."""
    return isinstance(value, (UninitializedParameter, UninitializedBuffer))

"""Theano's variables: symbols with Theano's operators and methods."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import dtypes
from ...creation import as_tensor
from ...dtypes import DType
from ...static.function import In, held, values_of, write
from ...static.state import Input, State
from ...static.symbol import COMPARISONS, Deferred, Samples, Symbol, define_operators
from ...tensor import Tensor
from .configuration import config

Param = In


@dataclass(frozen=True)
class TensorType:
    """What is known of a variable: its dtype, and which axes broadcast."""

    dtype: str
    broadcastable: tuple[bool, ...]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.broadcastable)

    def __call__(self, name: str | None = None) -> Variable:
        """A new input of this type."""
        shape = [1 if one else None for one in self.broadcastable]
        return InputVariable(shape, getattr(dtypes, self.dtype), name)


class Variable(Symbol):
    """A value that is computed when a function asks for it. Its methods are the functions of
    `theano.tensor` that take it first; that module gives them to it."""

    @property
    def dtype(self) -> str:
        """The name of the dtype. AttributeError where it is not known."""
        if self.known is None:
            raise AttributeError(f"the dtype of {self!r} is not known before it is computed")
        return self.known[1].name

    @property
    def type(self) -> TensorType | None:
        """Theano's type, None where it is not known."""
        if self.known is None:
            return None
        return TensorType(self.known[1].name, tuple([n == 1 for n in self.known[0]]))

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """Which axes have the size 1."""
        return () if self.type is None else self.type.broadcastable

    @property
    def shape(self) -> Variable:
        """The sizes, as a variable that can be indexed."""
        return shape(self)

    @property
    def T(self) -> Variable:
        """The axes in reverse."""
        return transposed(self)

    def __getitem__(self, index: Any) -> Variable:
        return Variable(operator.getitem, (self, _index(index)))

    def __bool__(self) -> bool:
        """True, so that `if W:` asks whether there is a variable. TypeError for a comparison, which
        `a < b < c` would ask for its value."""
        if self.function in COMPARISONS.values():
            raise TypeError("Variables do not support boolean operations.")
        return True

    def eval(self, inputs_to_values: dict[Any, Any] | None = None) -> Any:
        """The value as a NumPy array, where `inputs_to_values` has those of the inputs."""
        return values_of(self, inputs_to_values or {}).numpy()

    def get_parents(self) -> list[Symbol]:
        """What it is computed from."""
        return self.inputs()


def _index(index: Any) -> Any:
    """Arrays within an index as tensors."""
    if isinstance(index, tuple):
        return tuple([_index(i) for i in index])
    if isinstance(index, (np.ndarray, list)):
        return as_tensor(index)
    return index


class InputVariable(Variable, Input):
    """An input of a function."""

    def __init__(self, shape: Any, dtype: DType, name: str | None) -> None:
        Input.__init__(self, shape, dtype, name)

    _infer = Input._infer


class SharedVariable(Variable, State):
    """A variable whose value stays from call to call."""

    def __init__(self, tensor: Tensor, name: str | None) -> None:
        State.__init__(self, tensor._node().type, name, tensor)

    _infer = State._infer

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> np.ndarray:
        """The value as an array of its own."""
        return held(self).numpy().copy()

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Give it another value."""
        write(self, as_tensor(np.asarray(new_value)))

    @property
    def container(self) -> list[np.ndarray]:
        """The value in a list."""
        return [self.get_value()]


def shared(
    value: Any, name: str | None = None, strict: bool = False, allow_downcast: Any = None,
    borrow: bool = False, broadcastable: Any = None, **ignored: Any,
) -> SharedVariable:  # fmt: skip
    """A variable with a value, which functions may update."""
    array = np.asarray(value)
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise TypeError(
            f"[shared] a value is an array or a number; got {type(value).__name__}; try "
            "numpy.asarray(...)"
        )
    return SharedVariable(as_tensor(array.copy()), name)


def make(deferred: Deferred, args: tuple, kwargs: dict[str, Any]) -> Variable:
    """The variable of a call."""
    return Variable(deferred.compute, args, kwargs)


def deferred(
    function: Callable[..., Any], guess: Callable[..., Samples | None] | None = None
) -> Any:
    """A function of tensors as one of Theano's, on variables."""
    return Deferred(function, make, guess)


def _operate(function: Callable[..., Any], args: tuple) -> Variable:
    return Variable(function, args)


def _sizes(x: Any) -> tuple[int, ...]:
    return tuple(x.shape)


def _transposed(x: Tensor) -> Tensor:
    return x.permute(*range(x.dim() - 1, -1, -1))


def float_type() -> DType:
    """The dtype that `config.floatX` names."""
    return getattr(dtypes, config.floatX)


def shape(x: Any) -> Variable:
    """The sizes of x."""
    return Variable(_sizes, (x,))


def transposed(x: Any) -> Variable:
    """x with its axes in reverse."""
    return Variable(_transposed, (x,))


define_operators(Variable, _operate, {})

"""Expressions: symbols with PyTorch's names for their methods."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes
from ..creation import as_tensor
from ..dtypes import DType
from ..tensor import Tensor
from .function import held, write
from .state import Gradients, Input, State, depends
from .symbol import Symbol, define_operators, number_types

number_types({bool: dtypes.bool_, int: dtypes.int64, float: dtypes.float32})


class Expression(Symbol):
    """A value that is computed when a function asks for it (see `twofold.function`). It has the
    operators and methods of a tensor; `apply` gives any function of it."""

    @property
    def shape(self) -> Any:
        """The sizes, as an expression that can be indexed: they are numbers when it is computed."""
        return Expression(tuple_of_sizes, (self,))

    @property
    def dtype(self) -> DType | None:
        """The dtype, None where it is not known."""
        return None if self.known is None else self.known[1]

    def __getitem__(self, index: Any) -> Expression:
        return Expression(operator.getitem, (self, index))


def tuple_of_sizes(x: Any) -> tuple[int, ...]:
    """The sizes of a tensor as plain numbers."""
    return tuple(x.shape)


def apply(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Expression:
    """`function(*args, **kwargs)` as an expression; a module may be the function.

    >>> import twofold as tf
    >>> x = tf.placeholder((None, 3))
    >>> y = apply(tf.nn.functional.softmax, x, dim=1)
    >>> y
    <Expression softmax: float32[?, 3]>
    """
    return Expression(function, args, kwargs)


def call_method(name: str, x: Any, *args: Any, **kwargs: Any) -> Any:
    """The method `name` of x."""
    return getattr(x, name)(*args, **kwargs)


def _operate(function: Callable[..., Any], args: tuple) -> Expression:
    return Expression(function, args)


def _method(name: str) -> Callable[..., Expression]:
    def method(self: Expression, *args: Any, **kwargs: Any) -> Expression:
        return Expression(call_method, (name, self, *args), kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = getattr(Tensor, name).__doc__
    return method


define_operators(Expression, _operate, {})
_EAGER = {
    "backward", "numpy", "tolist", "item", "requires_grad_", "register_hook", "retain_grad",
    "storage", "untyped_storage", "data_ptr", "share_memory_", "pin_memory",
}  # fmt: skip
"""Methods that need a value, or change a tensor."""
for _name in dir(Tensor):
    _plain = _name[0] != "_" and not _name.endswith("_") and _name not in _EAGER
    if _plain and not hasattr(Expression, _name) and callable(getattr(Tensor, _name)):
        setattr(Expression, _name, _method(_name))


class Placeholder(Expression, Input):
    """An input of a function."""

    def __init__(self, shape: Sequence[int | None] | None, dtype: DType, name: str | None) -> None:
        Input.__init__(self, shape, dtype, name)

    _infer = Input._infer


class Shared(Expression, State):
    """A variable: an expression whose value stays from call to call."""

    def __init__(self, tensor: Tensor, name: str | None = None) -> None:
        State.__init__(self, tensor._node().type, name, tensor)

    _infer = State._infer

    def get_value(self, borrow: bool = False) -> Any:
        """The value as a NumPy array."""
        return held(self).numpy().copy()

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Give it another value, of any shape."""
        write(self, as_tensor(value))


def placeholder(
    shape: Sequence[int | None] | None = None, dtype: DType | None = None, name: str | None = None
) -> Placeholder:
    """An input of a function. None in `shape` is a size that each call may choose.

    >>> placeholder((None, 784), name="pixels")
    <Placeholder pixels: float32[?, 784]>
    """
    return Placeholder(shape, dtypes.get_default() if dtype is None else dtype, name)


def shared(value: Any, name: str | None = None, borrow: bool = False) -> Shared:
    """A variable with a value: a tensor, an array, a number. It stays from call to call, and
    functions change it by their updates.

    >>> shared([1.0, 2.0], name="w")
    <Shared w: float32[2]>
    """
    tensor = as_tensor(value)
    return Shared(tensor.detach().clone(), name)


def grad(
    cost: Symbol, wrt: Any, disconnected_inputs: str = "raise",
    make: Callable[..., Symbol] = Expression,
) -> Any:  # fmt: skip
    """The gradient of a number for expressions: one for one, a list for a list. `make` makes them.

    TypeError for a cost that is no number; ValueError for a `disconnected_inputs` other than
    "raise", "warn" and "ignore", and where it does not depend on one of `wrt` and
    `disconnected_inputs` is "raise".

    >>> import twofold as tf
    >>> x = tf.placeholder(())
    >>> float(tf.function([x], grad(x * x, x))(3.0))
    6.0
    """
    if cost.ndim not in (0, None):
        raise TypeError(f"[grad] a cost must be a number; got {cost!r}; try its sum or mean")
    if disconnected_inputs not in ("raise", "warn", "ignore"):
        raise ValueError(f"[grad] an unknown disconnected_inputs; got {disconnected_inputs!r}")
    xs = list(wrt) if isinstance(wrt, (list, tuple)) else [wrt]
    for x in xs:
        if disconnected_inputs == "raise" and not depends(cost, x):
            raise ValueError(
                f"[grad] the cost must depend on what it is differentiated by; got {x!r}; try "
                "disconnected_inputs='ignore' for a gradient of zeros"
            )
        if disconnected_inputs == "warn" and not depends(cost, x):
            warnings.warn(f"[grad] the cost does not depend on {x!r}", stacklevel=2)
    made = Gradients([cost], xs)
    found = [make(operator.getitem, (made, i)) for i in range(len(xs))]
    return found if isinstance(wrt, (list, tuple)) else found[0]

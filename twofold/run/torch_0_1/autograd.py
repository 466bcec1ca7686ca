"""`torch.autograd` as it was: `Variable`, and functions called as instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import custom_function
from ...custom_function import FunctionContext
from ...tensor import Tensor


class _VariableType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)

    def __call__(cls, data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
        if not isinstance(data, Tensor):
            raise TypeError(f"[Variable] wraps a tensor; got {type(data).__name__}")
        variable = data.detach()
        if volatile and requires_grad:
            raise ValueError("Variable can't be volatile and require_grad at the same time!")
        if requires_grad:
            variable = variable.requires_grad_()
        variable.volatile = volatile  # type: ignore[attr-defined]
        return variable


class Variable(metaclass=_VariableType):
    """A tensor that gradients are recorded for, sharing memory with the tensor it is made of.

    A volatile variable is one without a gradient. What is computed from it together with
    parameters is recorded all the same, and thrown away if nobody asks for gradients.
    """


class _Call(custom_function.Function):
    """One call of a function that is an instance: the first argument."""

    @staticmethod
    def forward(ctx: FunctionContext, owner: Function, *inputs: Any) -> Any:
        """What the instance gives; it keeps the context."""
        owner._context = ctx
        ctx._owner = owner  # type: ignore[attr-defined]
        owner.needs_input_grad = ctx.needs_input_grad[1:]
        return owner.forward(*inputs)

    @staticmethod
    def backward(ctx: FunctionContext, *gradients: Any) -> Any:
        """No gradient for the instance, and those that it gives."""
        partials = ctx._owner.backward(*gradients)  # type: ignore[attr-defined]
        return (None, *partials) if isinstance(partials, (tuple, list)) else (None, partials)


class Function(custom_function.Function):
    """A differentiable function whose instances are called: `forward(self, *tensors)` and
    `backward(self, *gradients)`; `self` keeps what forward saves. Each instance is for one call.
    """

    _context: FunctionContext
    needs_input_grad: tuple[bool, ...]
    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def __call__(self, *inputs: Any) -> Any:
        """What forward gives, with a way back through backward."""
        return _Call.apply(self, *inputs)

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for backward, as `saved_tensors`."""
        self._context.save_for_backward(*tensors)

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors that forward saved."""
        return self._context.saved_tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say of inputs that forward changed them in place and gives them as outputs."""
        self._context.mark_dirty(*tensors)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say of outputs that no gradient goes through them."""
        self._context.mark_non_differentiable(*tensors)

"""What `torch.autograd` has for programs written for PyTorch."""

from __future__ import annotations

from ....tensor import Tensor


class _VariableType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)

    def __call__(cls, data: Tensor, requires_grad: bool = False) -> Tensor:
        return data.detach().requires_grad_(requires_grad)


class Variable(metaclass=_VariableType):
    """A tensor, by its name in PyTorch before 0.4."""

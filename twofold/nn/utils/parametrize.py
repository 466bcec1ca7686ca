"""Parametrizations: parameters that are functions of other parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...tensor import Tensor
from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Buffer, Parameter

_cache_depth = [0]
_cache: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Within the block, each parametrized tensor is computed once."""
    _cache_depth[0] += 1
    try:
        yield
    finally:
        _cache_depth[0] -= 1
        if not _cache_depth[0]:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The functions that make one tensor, in order; `original` (or original0, original1, ...) is
    what they start from."""

    def __init__(self, modules: list[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        new: Any = original
        for module in reversed(list(self)):
            right_inverse = getattr(module, "right_inverse", None)
            if right_inverse is not None:
                new = right_inverse(new)
        kind = Parameter if isinstance(original, Parameter) else Buffer
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        requires_grad = original.requires_grad
        if self.is_tensor:
            self._register("original", new.detach(), kind, requires_grad)
        else:
            for i, part in enumerate(new):
                self._register(f"original{i}", part.detach(), kind, requires_grad)
        if not unsafe:
            result = self()
            if tuple(result.shape) != tuple(original.shape):
                raise ValueError(
                    "A parametrization may not change the shape of the parametrized tensor, "
                    "unless the `unsafe` flag is enabled.\n"
                    f"original: {tuple(original.shape)}; parametrized: {tuple(result.shape)}"
                )
            if result.dtype is not original.dtype:
                raise ValueError(
                    "A parametrization may not change the dtype of the tensor, unless the "
                    "`unsafe` flag is enabled."
                )

    def _register(self, name: str, value: Tensor, kind: Any, requires_grad: bool) -> None:
        if kind is Parameter:
            self.register_parameter(name, Parameter(value, requires_grad))
        else:
            self.register_buffer(name, value)

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the tensor becomes `value`."""
        new: Any = value
        for module in reversed(list(self)):
            if not hasattr(module, "right_inverse"):
                raise RuntimeError(
                    f"parametrization {type(module).__name__} does not implement right_inverse."
                )
            new = module.right_inverse(new)
        if self.is_tensor:
            self.original.data = new.detach()
        else:
            for i, part in enumerate(new):
                getattr(self, f"original{i}").data = part.detach()

    def forward(self) -> Tensor:
        """The tensor."""
        modules = list(self)
        if self.is_tensor:
            x = modules[0](self.original)
        else:
            x = modules[0](*(getattr(self, f"original{i}") for i in range(self.ntensors)))
        for module in modules[1:]:
            x = module(x)
        return x


def _property(name: str) -> property:
    """The attribute that computes a parametrized tensor."""

    def get(self: Any) -> Tensor:
        made = self.parametrizations[name]
        if not _cache_depth[0]:
            return made()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = made()
        return _cache[key]

    def put(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def _own_class(module: Module) -> None:
    """Give the module a class of its own, which can hold properties."""
    base = type(module)
    own = type(f"Parametrized{base.__name__}", (base,), {"__module__": base.__module__})
    own.__reduce_ex__ = _no_pickle  # type: ignore[method-assign,assignment]
    own.__deepcopy__ = _deepcopy  # type: ignore[attr-defined]
    module.__class__ = own
    module.parametrizations = ModuleDict()


def _no_pickle(self: Any, protocol: Any) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    new = object.__new__(type(self))
    memo[id(self)] = new
    new.__dict__ = copy.deepcopy(self.__dict__, memo)
    base = type(self).__mro__[1]
    own = type(type(self).__name__, (base,), dict(type(self).__dict__))
    new.__class__ = own
    return new


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let a parameter (or buffer) of a module be `parametrization` of an original; gives the
    module."""
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            before = getattr(module, tensor_name)
            after = parametrization(before)
            if tuple(after.shape) != tuple(before.shape):
                raise ValueError(
                    "A parametrization may not change the shape of the parametrized tensor, "
                    "unless the `unsafe` flag is enabled.\n"
                    f"original: {tuple(before.shape)}; parametrized: {tuple(after.shape)}"
                )
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    original = getattr(module, tensor_name)
    made = ParametrizationList([parametrization], original, unsafe=unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        _own_class(module)
    setattr(type(module), tensor_name, _property(tensor_name))
    module.parametrizations[tensor_name] = made
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module, or one tensor of it, has parametrizations."""
    found = module._modules.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Take the parametrizations of a tensor away; it stays as they make it, or becomes the original
    again."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    made = module.parametrizations[tensor_name]
    if leave_parametrized:
        value = made().detach()
    elif made.is_tensor:
        value = made.original.detach()
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    first = made.original if made.is_tensor else made.original0
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if isinstance(first, Parameter):
        module.register_parameter(tensor_name, Parameter(value, first.requires_grad))
    else:
        module.register_buffer(tensor_name, value)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__mro__[1]
    return module

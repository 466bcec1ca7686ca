"""What a tensor can be asked about its device, memory and kind, and methods on Python's side."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..missing_names import reason_of
from ..tensor import Tensor, from_held
from ._registry import functions, method

for _name in (
    "is_meta", "is_mps", "is_xpu", "is_xla", "is_ipu", "is_mtia", "is_maia", "is_vulkan",
    "is_quantized", "is_mkldnn", "is_sparse_csr", "is_nested",
):  # fmt: skip
    setattr(Tensor, _name, property(lambda self: False, doc="False: such tensors are not here."))
Tensor.is_cpu = property(lambda self: True, doc="Whether the values lie in main memory.")  # type: ignore[attr-defined]
Tensor.names = property(  # type: ignore[attr-defined]
    lambda self: (None,) * self.dim(), doc="The names of the axes: they have none."
)


@method("get_device")
def get_device(self: Tensor) -> int:
    """-1, which stands for the CPU."""
    return -1


functions["get_device"] = get_device


@method("ndimension")
def ndimension(self: Tensor) -> int:
    """The number of axes."""
    return self.dim()


@method("data_ptr", "const_data_ptr")
def data_ptr(self: Tensor) -> int:
    """The address of the first element, as long as nothing is written to the tensor."""
    return self._array().ctypes.data


@method("is_pinned")
def is_pinned(self: Tensor, device: object = None) -> bool:
    """False: there is no GPU to pin memory for."""
    return False


@method("pin_memory")
def pin_memory(self: Tensor, device: object = None) -> Tensor:
    """This tensor: there is no GPU to pin memory for."""
    return self


@method("is_shared")
def is_shared(self: Tensor) -> bool:
    """Whether the memory is shared with other processes: never."""
    return False


@method("is_distributed")
def is_distributed(self: Tensor) -> bool:
    """Whether the values are spread over processes: never."""
    return False


@method("share_memory_")
def share_memory_(self: Tensor) -> Tensor:
    """This tensor, with a warning: processes get copies, and see no writes of one another."""
    warnings.warn(
        "[share_memory_] processes get copies of tensors, and see no writes of one another; try "
        "sending results back by a queue",
        RuntimeWarning,
        stacklevel=2,
    )
    return self


@method("record_stream")
def record_stream(self: Tensor, stream: object) -> None:
    """Nothing: there are no streams on the CPU."""


def _no_device(name: str, words: str) -> None:
    def apply(self: Tensor, device: object = None, *args: Any, **kwargs: Any) -> Tensor:
        raise RuntimeError(f"[{name}] this build has the device 'cpu' only; try device='cpu'")

    apply.__name__, apply.__doc__ = name, f"RuntimeError: there is no {words} here."
    method(name)(apply)


_no_device("xpu", "Intel GPU")
_no_device("ipu", "Graphcore processor")
_no_device("mtia", "MTIA accelerator")


@method("module_load")
def module_load(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """What `load_state_dict` puts in this tensor's place: other, copied here unless `assign`."""
    if assign:
        return other if isinstance(other, type(self)) else other.as_subclass(type(self))
    with_values = self.detach()
    with_values.copy_(other)
    return self


@method("as_subclass")
def as_subclass(self: Tensor, cls: type) -> Any:
    """This tensor's values as a tensor of class `cls`, sharing its storage."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError("as_subclass(): argument 'cls' must be a subclass of Tensor")
    result: Any = object.__new__(cls)
    result._storage, result._window = self._storage, self._window
    return result


@method("dim_order")
def dim_order(self: Tensor, *, ambiguity_check: object = False) -> tuple[int, ...]:
    """The axes from the one with the widest steps in memory to that with the smallest."""
    strides = self.stride()
    return tuple(sorted(range(len(strides)), key=lambda a: -strides[a]))


@method("apply_")
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by callable(element), a Python function."""
    return _mapped(self, callable, [self])


@method("map_")
def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element by callable(element, that of `tensor`), a Python function."""
    return _mapped(self, callable, [self, tensor.expand(self.shape)])


@method("map2_")
def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[..., Any]) -> Tensor:
    """Replace each element by callable(element, that of x, that of y), a Python function."""
    return _mapped(self, callable, [self, x.expand(self.shape), y.expand(self.shape)])


def _mapped(self: Tensor, callable: Callable[..., Any], tensors: list[Tensor]) -> Tensor:
    if self.requires_grad:
        raise RuntimeError(
            "Can't call apply_() on Variable that requires grad. Use var.detach().apply_() instead."
        )
    columns = [x.detach()._held().reshape(-1).tolist() for x in tensors]
    held = self._held()
    values = np.array([callable(*row) for row in zip(*columns)], held.dtype).reshape(held.shape)
    self._write(from_held(values, self.dtype)._node())
    return self


def _missing(self: Tensor, name: str) -> Any:
    """AttributeError that says why a name of PyTorch's is not here, and what comes nearest."""
    text = f"{type(self).__name__!r} object has no attribute {name!r}"
    if not name.startswith("_"):
        reason = reason_of("Tensor", name)
        if reason is not None:
            text += f", which PyTorch's tensors have: {reason}"
        near = get_close_matches(name, [n for n in dir(type(self)) if n[:1] != "_"], 1)
        if near:
            text += f"; the nearest is {near[0]!r}"
    raise AttributeError(text, name=name, obj=self)


Tensor.__getattr__ = _missing  # type: ignore[method-assign]

"""`torch.overrides`: functions that other tensors' classes replace. There are none here: functions
compute with all tensors alike, so code copied from PyTorch takes its ordinary way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...tensor import Tensor


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """False: no class of tensors replaces functions."""
    return False


def has_torch_function_unary(x: Any) -> bool:
    """False: no class of tensors replaces functions."""
    return False


def has_torch_function_variadic(*args: Any) -> bool:
    """False: no class of tensors replaces functions."""
    return False


def is_tensor_like(inp: Any) -> bool:
    """Whether a value is a tensor."""
    return isinstance(inp, Tensor)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """TypeError: no class of tensors replaces functions."""
    name = getattr(public_api, "__name__", public_api)
    raise TypeError(f"no implementation found for {name!r} on types that implement "
                    "__torch_function__: Twofold's functions are replaced by none")  # fmt: skip

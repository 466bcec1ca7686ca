"""Autocasting, which this build accepts and does not do: it computes in the dtypes it is given."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from ..dtypes import DType

_warned: set[str] = set()


def is_autocast_available(device_type: str) -> bool:
    """False: there is no device on which dtypes are chosen for the program."""
    return False


class autocast:
    """A block in which PyTorch would compute products in a smaller dtype.

    Twofold computes in the dtypes of the tensors, which is slower at worst and more precise, and
    says so once with a warning. A context manager and a decorator.

    >>> with autocast("cuda", enabled=False):
    ...     pass
    """

    def __init__(
        self,
        device_type: str,
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        self.device, self.fast_dtype = device_type, dtype
        if enabled and device_type not in _warned:
            _warned.add(device_type)
            warnings.warn(
                f"[autocast] computes in the dtypes of the tensors, whatever {device_type!r} could "
                "do; convert the model, as with model.bfloat16(), for smaller products",
                stacklevel=2,
            )

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside

"""The standard's extension for Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import fft as own
from ..dtypes import DType
from ..tensor import Tensor
from .elementwise import named


def _one(name: str) -> Callable[..., Tensor]:
    function = getattr(own, name)

    def apply(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward"
    ) -> Tensor:  # fmt: skip
        return function(x, n, axis, norm)

    return named(apply, name, f"`{name}` along an axis.")


def _many(name: str) -> Callable[..., Tensor]:
    function = getattr(own, name)

    def apply(x: Tensor, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Tensor:
        return function(x, s, axes, norm)

    return named(apply, name, f"`{name}` along axes.")


def _shift(name: str) -> Callable[..., Tensor]:
    function = getattr(own, name)

    def apply(x: Tensor, /, *, axes: Any = None) -> Tensor:
        return function(x, axes)

    return named(apply, name, f"`{name}` along axes.")


def _frequencies(name: str) -> Callable[..., Tensor]:
    function = getattr(own, name)

    def apply(
        n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Any = None
    ) -> Tensor:
        return function(n, d, dtype=dtype, device=device)

    return named(apply, name, f"The frequencies of `{name.removesuffix('freq')}`.")


fft, ifft, rfft, irfft, hfft, ihfft = map(_one, "fft ifft rfft irfft hfft ihfft".split())
fftn, ifftn, rfftn, irfftn = map(_many, "fftn ifftn rfftn irfftn".split())
fftshift, ifftshift = map(_shift, ("fftshift", "ifftshift"))
fftfreq, rfftfreq = map(_frequencies, ("fftfreq", "rfftfreq"))

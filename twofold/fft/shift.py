"""The frequencies of a transform, and spectra with zero in the middle."""

from __future__ import annotations

from typing import Any

from ..dtypes import DType, get_default
from ..functions import functions
from ..tensor import Tensor


def fftfreq(
    n: int,
    d: float = 1.0,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of `fft` of n samples d apart: 0, 1, ..., -1 over n d.

    >>> fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    order = functions["arange"](n)
    whole = order - n * (order >= (n + 1) // 2)
    return _scaled(whole, n * d, dtype, requires_grad)


def rfftfreq(
    n: int,
    d: float = 1.0,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of `rfft` of n samples d apart: 0, 1, ..., n // 2 over n d."""
    return _scaled(functions["arange"](n // 2 + 1), n * d, dtype, requires_grad)


def _scaled(whole: Tensor, by: float, dtype: DType | None, requires_grad: bool) -> Tensor:
    y = whole.to(dtype or get_default()) / by
    return y.requires_grad_() if requires_grad else y


def _shifted(input: Tensor, dim: Any, forward: bool) -> Tensor:
    if dim is None:
        dim = tuple(range(input.dim()))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    sizes = [input.shape[d] for d in dims]
    shifts = tuple(n // 2 if forward else (n + 1) // 2 for n in sizes)
    return functions["roll"](input, shifts, dims) if dims else input


def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """input with the frequency 0 moved to the middle of the axes `dim`."""
    return _shifted(input, dim, True)


def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """What `fftshift` did, undone."""
    return _shifted(input, dim, False)

"""torch.signal.windows: weights of the samples of a stretch of signal.

Each is symmetric with `sym`, else one period of a periodic window (a symmetric one of M + 1 samples
without the last).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from .. import dtypes
from ..dtypes import DType
from ..errors import explain_missing as _explain_missing
from ..functions import functions
from ..tensor import Tensor

Shape = Callable[[Tensor, int], Tensor]


def _window(
    name: str, M: int, sym: bool, dtype: DType | None, requires_grad: bool, shape: Shape
) -> Tensor:
    """`shape` of the positions 0, ..., M - 1 (float64) and of the last position."""
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    dtype = dtype or dtypes.get_default()
    if not dtype.is_floating_point:
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    k = functions["arange"](M, dtype=dtypes.float64)
    y = shape(k, M - 1 if sym else M) if M > 1 else k + 1
    y = y.to(dtype)
    return y.requires_grad_() if requires_grad else y


def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """sum_i (-1)^i a[i] cos(2 pi i k / N).

    >>> general_cosine(5, a=[0.5, 0.5])
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    weights = list(a)
    if not weights:
        raise ValueError("Coefficients cannot be empty")

    def shape(k: Tensor, last: int) -> Tensor:
        angle = k * (2 * math.pi / last)
        return sum(((-1) ** i * w * (angle * i).cos() for i, w in enumerate(weights)), k * 0)

    return _window("general_cosine", M, sym, dtype, requires_grad, shape)


def hann(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """0.5 - 0.5 cos(2 pi k / N)."""
    return general_cosine(M, a=[0.5, 0.5], sym=sym, **options)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi k / N)."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """0.54 - 0.46 cos(2 pi k / N)."""
    return general_hamming(M, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """0.42 - 0.5 cos(2 pi k / N) + 0.08 cos(4 pi k / N)."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """The four-term window of A. Nuttall (1981) with the lowest side lobes."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


def _plain(
    name: str, M: int, sym: bool, shape: Shape, dtype: DType | None = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    return _window(name, M, sym, dtype, requires_grad, shape)


def bartlett(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """1 - |2 k / N - 1|, a triangle."""
    return _plain("bartlett", M, sym, lambda k, last: 1 - (k * (2 / last) - 1).abs(), **options)


def cosine(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """sin(pi (k + 1/2) / M), M one more if not `sym`."""
    return _plain(
        "cosine", M, sym, lambda k, last: ((k + 0.5) * (math.pi / (last + 1))).sin(), **options
    )


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, **options: Any
) -> Tensor:
    """e^(-|k - center| / tau), by default around the middle."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def shape(k: Tensor, last: int) -> Tensor:
        middle = last / 2 if center is None else center
        return (-(k - middle).abs() / tau).exp()

    return _plain("exponential", M, sym, shape, **options)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Any) -> Tensor:
    """e^(-(k - N / 2)^2 / (2 std^2))."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _plain(
        "gaussian", M, sym, lambda k, last: (-(((k - last / 2) / std) ** 2) / 2).exp(), **options
    )


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Any) -> Tensor:
    """I0(beta sqrt(1 - (2 k / N - 1)^2)) / I0(beta)."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")

    def shape(k: Tensor, last: int) -> Tensor:
        values = functions["kaiser_window"](last + 1, False, beta, dtype=dtypes.float64)
        return values[: k.shape[0]]

    return _plain("kaiser", M, sym, shape, **options)


__getattr__ = _explain_missing(__name__, dir())

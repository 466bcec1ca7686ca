"""Pooling: the functions of `functions/pooling.py` and what is built from them."""

from __future__ import annotations

from typing import Any

from ...functions.pooling import avg_pool1d, avg_pool2d, avg_pool3d
from ...tensor import Tensor


def _volume(kernel_size: Any, rank: int) -> int:
    if isinstance(kernel_size, int):
        return kernel_size**rank
    volume = 1
    for n in kernel_size:
        volume *= n
    return volume


def _power_average(
    input: Tensor, norm_type: float, kernel_size: Any, mean: Tensor, rank: int
) -> Tensor:
    """(sum of x^p)^(1/p) from the mean of x^p, with the sign that PyTorch gives it."""
    total = mean.sign() * mean.abs().relu() * _volume(kernel_size, rank)
    return total ** (1.0 / norm_type)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^p over each window)^(1/p)."""
    mean = avg_pool1d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return _power_average(input, norm_type, kernel_size, mean, 1)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^p over each window)^(1/p)."""
    mean = avg_pool2d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return _power_average(input, norm_type, kernel_size, mean, 2)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^p over each window)^(1/p)."""
    mean = avg_pool3d(input**norm_type, kernel_size, stride, 0, ceil_mode)
    return _power_average(input, norm_type, kernel_size, mean, 3)

"""Dropout: elements, channels or features set to 0 at random."""

from __future__ import annotations

import math

from ...functions.pointwise import where
from ...functions.random import rand
from ...tensor import Tensor


def _check(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _dropped(input: Tensor, p: float, shape: list[int], inplace: bool) -> Tensor:
    """input / (1 - p) with probability 1 - p for each element of `shape`, else 0."""
    if p == 1:
        y = input * 0.0
    else:
        keep = rand(*shape) >= p
        y = where(keep, input * (1 / (1 - p)), 0.0)
    return input.copy_(y) if inplace else y


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element 0 with probability p, else x / (1 - p)."""
    _check(p)
    return _dropped(input, p, list(input.shape), inplace) if training and p else input


def _channels(input: Tensor, p: float, training: bool, inplace: bool, rank: int) -> Tensor:
    """Whole channels 0 with probability p; `rank` is how many axes a channel has."""
    _check(p)
    if not training or not p:
        return input
    lead = list(input.shape[: input.dim() - rank])
    return _dropped(input, p, [*lead, *[1] * rank], inplace)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Each channel of (N, C, L) or (C, L) 0 with probability p."""
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _channels(input, p, training, inplace, 1)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Each channel of (N, C, H, W) 0 with probability p."""
    # PyTorch takes axis 1 as the channels of 3-D input here.
    return _channels(input, p, training, inplace, max(input.dim() - 2, 0))


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Each channel of (N, C, D, H, W) 0 with probability p."""
    return _channels(input, p, training, inplace, max(input.dim() - 2, 0))


_ALPHA = -1.7580993408473766  # what SELU gives for x -> -inf


def _alpha_dropped(input: Tensor, p: float, shape: list[int], inplace: bool) -> Tensor:
    """Elements set to SELU's lower limit; scaled and moved so that mean and variance stay."""
    if p == 1:
        y = input * 0.0
    else:
        a = 1 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
        keep = rand(*shape) >= p
        y = where(keep, input * a, _ALPHA * a) - _ALPHA * a * p
    return input.copy_(y) if inplace else y


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps the mean and variance of SELU's outputs."""
    _check(p)
    return _alpha_dropped(input, p, list(input.shape), inplace) if training and p else input


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels (axis 1)."""
    _check(p)
    if not training or not p:
        return input
    shape = [*input.shape[:2], *[1] * (input.dim() - 2)]
    return _alpha_dropped(input, p, shape, inplace)

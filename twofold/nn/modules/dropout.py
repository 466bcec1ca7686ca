"""Dropout as modules."""

from __future__ import annotations

from ...tensor import Tensor
from .. import functional as F
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The options."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, each element 0 with probability p, else x / (1 - p)."""

    def forward(self, input: Tensor) -> Tensor:
        """input, thinned out in training."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """In training, each channel of (N, C, L) 0 with probability p."""

    def forward(self, input: Tensor) -> Tensor:
        """input, thinned out in training."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """In training, each channel of (N, C, H, W) 0 with probability p."""

    def forward(self, input: Tensor) -> Tensor:
        """input, thinned out in training."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """In training, each channel of (N, C, D, H, W) 0 with probability p."""

    def forward(self, input: Tensor) -> Tensor:
        """input, thinned out in training."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps the mean and variance of SELU's outputs."""

    def forward(self, input: Tensor) -> Tensor:
        """input, thinned out in training."""
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels."""

    def forward(self, input: Tensor) -> Tensor:
        """input, thinned out in training."""
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)

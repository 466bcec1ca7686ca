"""What `torch` and `torch.Tensor` have of special functions by names of their own."""

from __future__ import annotations

from typing import Any

from ..functions._registry import with_out
from ..tensor import Tensor
from . import bessel, gamma


def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma."""
    return gamma.polygamma(n, input)


def mvlgamma(input: Tensor, p: int) -> Tensor:
    """log of the multivariate gamma function of p dimensions."""
    return gamma.multigammaln(input, p)


def i0(input: Tensor) -> Tensor:
    """The modified Bessel function I of order 0."""
    return bessel.i0(input)


def igamma(input: Any, other: Any) -> Tensor:
    """The regularized lower incomplete gamma function."""
    return gamma.gammainc(input, other)


def igammac(input: Any, other: Any) -> Tensor:
    """The regularized upper incomplete gamma function."""
    return gamma.gammaincc(input, other)


for _name in ("polygamma", "mvlgamma", "i0", "igamma", "igammac"):
    globals()[_name] = with_out(globals()[_name])

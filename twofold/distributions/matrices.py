"""What distributions ask of matrices that are given by a Cholesky factor."""

from __future__ import annotations

from ..functions._registry import functions
from ..linalg import cholesky, solve_triangular
from ..tensor import Tensor


def solve_lower(lower: Tensor, b: Tensor) -> Tensor:
    """x with lower x = b: (..., n, n), (..., n, k)."""
    return solve_triangular(lower, b, upper=False)


def identity_like(a: Tensor) -> Tensor:
    """The identity of a's last axes."""
    return functions["eye"](a.shape[-1], dtype=a.dtype).expand(a.shape)


def inverse_of(lower: Tensor) -> Tensor:
    """(lower lower^T)^-1."""
    inverse = solve_lower(lower, identity_like(lower))
    return inverse.transpose(-1, -2) @ inverse


def precision_to_scale_tril(precision: Tensor) -> Tensor:
    """L with (L L^T)^-1 = precision."""
    flipped = cholesky(precision.flip(-2, -1)).flip(-2, -1)
    return solve_lower(flipped.transpose(-2, -1), identity_like(precision))


def log_diagonal(lower: Tensor) -> Tensor:
    """The sum of the logarithms of the diagonal: half the determinant's of lower lower^T."""
    return lower.diagonal(0, -2, -1).log().sum(-1)


def squared_distance(lower: Tensor, off: Tensor) -> Tensor:
    """off^T (lower lower^T)^-1 off."""
    return (solve_lower(lower, off.unsqueeze(-1)).squeeze(-1) ** 2).sum(-1)

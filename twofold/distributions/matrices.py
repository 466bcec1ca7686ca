"""Cholesky factors and triangular systems of small matrices, column by column."""

from __future__ import annotations

from ..functions._registry import functions
from ..tensor import Tensor


def cholesky(a: Tensor) -> Tensor:
    """L with L L^T = a: (..., n, n), positive definite."""
    rest, columns = a, []
    n = a.shape[-1]
    for j in range(n):
        column = rest[..., :, :1] / rest[..., :1, :1].sqrt()
        above = a.new_zeros(*a.shape[:-2], j, 1)
        columns.append(functions["cat"]([above, column], -2) if j else column)
        below = column[..., 1:, :]
        rest = rest[..., 1:, 1:] - below * below.transpose(-1, -2)
    return functions["cat"](columns, -1)


def solve_lower(lower: Tensor, b: Tensor) -> Tensor:
    """x with lower x = b: (..., n, n), (..., n, k)."""
    shape = functions["broadcast_shapes"](lower.shape[:-2], b.shape[:-2])
    lower = lower.expand(*shape, *lower.shape[-2:])
    b = b.expand(*shape, *b.shape[-2:])
    rows: list[Tensor] = []
    for i in range(lower.shape[-1]):
        left = b[..., i : i + 1, :]
        if i:
            left = left - lower[..., i : i + 1, :i] @ functions["cat"](rows, -2)
        rows.append(left / lower[..., i : i + 1, i : i + 1])
    return functions["cat"](rows, -2)


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

"""Distances and similarities between vectors."""

from __future__ import annotations

from ...functions.shape import broadcast_tensors, cat
from ...tensor import Tensor


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """|x1 - x2 + eps|_p over the last axis."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`."""
    a, b = broadcast_tensors(x1, x2)
    left, right = a.norm(2, dim, keepdim=True), b.norm(2, dim, keepdim=True)
    return ((a / left.clamp_min(eps)) * (b / right.clamp_min(eps))).sum(dim)


def pdist(input: Tensor, p: float = 2) -> Tensor:
    """The p-norms between all pairs of rows i < j, in order."""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    n = input.size(0)
    rows = [(input[i : i + 1] - input[i + 1 :]).norm(p, 1) for i in range(n - 1)]
    return cat(rows) if rows else input.sum(1)[:0]

"""Sums, means and maxima of rows of a table."""

from __future__ import annotations

from ...creation import arange
from ...functions.linear import matmul_as_given
from ...functions.pointwise import where
from ...tensor import Tensor
from .linear import embedding, padding_position


def embedding_bag(
    input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None,
    norm_type: float = 2, scale_grad_by_freq: bool = False, mode: str = "mean",
    sparse: bool = False, per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """The "sum", "mean" or "max" of the rows that each bag names: bags are the rows of input
    (B, N), or parts of input (N) that begin at `offsets`. Row padding_idx does not count."""
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}')."
        )
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None, as input is treated is a"
                             " mini-batch of fixed length sequences.")  # fmt: skip
        n_bags, length = input.shape
        bags = arange(n_bags * length) // length
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.dim() == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        ends = offsets[:-1] if include_last_offset else offsets
        n_bags = ends.size(0)
        bags = (arange(input.size(0)).reshape(-1, 1) >= ends).sum(1) - 1
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension "
                         f"{input.dim()}")  # fmt: skip
    rows = embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    member = bags == arange(n_bags).reshape(-1, 1)  # bag, element
    if padding_idx is not None:
        member = member & (input != padding_position(padding_idx, weight.size(0)))
    if mode == "max":
        spread = where(member.unsqueeze(2), rows.unsqueeze(0), -float("inf"))
        return where(member.any(1).unsqueeze(1), spread.max(1)[0], 0.0)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    total = matmul_as_given(member.to(rows.dtype), rows)
    if mode == "sum":
        return total
    return total / member.sum(1, keepdim=True).clamp(min=1).to(rows.dtype)

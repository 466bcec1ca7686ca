"""Linear and bilinear maps, embeddings and one-hot vectors."""

from __future__ import annotations

from ...autograd_api import no_grad, with_rows_gradient
from ...creation import arange
from ...functions.casting import lowered
from ...functions.linear import matmul, matmul_as_given
from ...functions.pointwise import where
from ...graph.node import recorder
from ...tensor import NAMES, Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b: input (..., in), weight (out, in), bias (out) give (..., out)."""
    if recorder.autocast is not None:
        return lowered(linear, input, weight, bias)
    wide = weight.dim() == 2
    if wide and (input.dim() == 0 or input.size(-1) != weight.size(1)):
        rows = input.numel() // input.size(-1) if input.dim() and input.size(-1) else 1
        raise RuntimeError(
            "mat1 and mat2 shapes cannot be multiplied "
            f"({rows}x{input.size(-1) if input.dim() else 1} and "
            f"{weight.size(1)}x{weight.size(0)})"
        )
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            "mat1 and mat2 must have the same dtype, but got "
            f"{NAMES[input.dtype]} and {NAMES[weight.dtype]}"
        )
    y = matmul(input, weight.t())
    return y if bias is None else y + bias


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1^T W_o x2 + b_o for each output o: inputs (..., in1) and (..., in2), weight (out, in1,
    in2)."""
    n_out, n_left, n_right = weight.shape
    if input1.size(-1) != n_left:
        raise RuntimeError(
            f"bilinear(): input1 size does not match weight size: got {input1.size(-1)} but "
            f"expected {n_left}"
        )
    if input2.size(-1) != n_right:
        raise RuntimeError(
            f"bilinear(): input2 size does not match weight size: got {input2.size(-1)} but "
            f"expected {n_right}"
        )
    by_left = weight.permute(1, 0, 2).reshape(n_left, n_out * n_right)
    mixed = matmul_as_given(input1.reshape(-1, n_left), by_left).reshape(-1, n_out, n_right)
    y = (mixed * input2.reshape(-1, 1, n_right)).sum(-1).reshape(*input1.shape[:-1], n_out)
    return y if bias is None else y + bias


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` at the integers of `input`; no gradient goes to row padding_idx.

    With max_norm, rows that are looked up are first scaled down, in place, to that norm. With
    `sparse`, the gradient of a leaf is a sparse tensor of the rows that were looked up.
    """
    n = weight.size(0)
    if padding_idx is not None:
        padding_idx = padding_position(padding_idx, n)
    if max_norm is not None:
        renormalize_rows(weight, input, max_norm, norm_type)
    if scale_grad_by_freq and weight.requires_grad:
        weight = _scaled_by_frequency(weight, input)
    y = weight[input]
    if sparse and weight.requires_grad and weight.is_leaf and recorder.grad_enabled:
        return with_rows_gradient(y, weight, lambda g: _rows_of(g, input, n, padding_idx))
    if padding_idx is not None and y.requires_grad:
        y = where((input == padding_idx).unsqueeze(-1), y.detach(), y)
    return y


def _rows_of(g: Tensor, input: Tensor, n: int, padding_idx: int | None) -> Tensor:
    """The gradients of looked-up rows as a sparse tensor."""
    if padding_idx is not None:
        g = where((input == padding_idx).unsqueeze(-1), 0.0, g)
    return g.reshape(-1, g.size(-1))._as_rows(input.reshape(-1), n)


def padding_position(padding_idx: int, n: int) -> int:
    """padding_idx counted from the front. AssertionError if there is no such row."""
    if padding_idx >= n or padding_idx < -n:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx % n


def renormalize_rows(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows that `input` names down to `max_norm`, in place."""
    with no_grad():
        used = (input.reshape(-1, 1) == arange(weight.size(0))).any(0)
        norms = weight.detach().norm(norm_type, 1)
        factor = where(used & (norms > max_norm), max_norm / (norms + 1e-7), 1.0)
        weight.copy_(weight.detach() * factor.unsqueeze(1))


def _scaled_by_frequency(weight: Tensor, input: Tensor) -> Tensor:
    """weight, whose gradient is divided by how often each row is looked up."""
    times = (input.reshape(-1, 1) == arange(weight.size(0))).sum(0).clamp(min=1)
    share = (1.0 / times.to(weight.dtype)).unsqueeze(1)
    return weight * share + (weight * (1 - share)).detach()


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the place that each integer names along a new last axis, else 0: int64."""
    if tensor.is_floating_point():
        raise RuntimeError("one_hot is only applicable to index tensor.")
    if num_classes == -1:
        num_classes = int(tensor.max().item()) + 1
    return (tensor.unsqueeze(-1) == arange(num_classes)).long()

"""Attention: scaled dot products, and the multi-head form around them."""

from __future__ import annotations

import math
from typing import Any

from ...creation import arange
from ...functions import attention as fused
from ...functions.casting import in_low_precision
from ...functions.linear import matmul
from ...functions.pointwise import where
from ...functions.reduction import softmax
from ...functions.shape import cat
from ...tensor import Tensor
from .dropout import dropout
from .linear import linear
from .padding import pad


def causal_mask(rows: int, columns: int) -> Tensor:
    """True where a row may look: at columns up to its own number."""
    return arange(rows).reshape(-1, 1) >= arange(columns)


def masked_softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """softmax over the last axis where `allowed`; 0 elsewhere, and in rows where nothing is."""
    some = allowed.any(-1, keepdim=True)
    # Rows with nothing allowed take all: their sum is not 0, and they are dropped after.
    open_scores = where(allowed | some.logical_not(), scores, -math.inf)
    return where(some, softmax(open_scores, -1), 0.0)


def _attention_weights(
    query: Tensor,
    key: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    scale: float,
) -> Tensor:
    """softmax(q k^T scale + mask) over the last axis."""
    scores = matmul(query * scale, key.transpose(-2, -1))
    if is_causal:
        allowed = causal_mask(query.size(-2), key.size(-2))
        return softmax(where(allowed, scores, -math.inf), -1)
    if attn_mask is None:
        return softmax(scores, -1)
    if not attn_mask.is_floating_point():
        return masked_softmax(scores, attn_mask.bool())
    scores = scores + attn_mask.to(scores.dtype)
    return masked_softmax(scores, scores != -math.inf)


def _fuses(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, drop: float, enable_gqa: bool
) -> bool:
    """Whether one kernel does it all. A single query is faster as products of vectors."""
    served = query.dim() < 3 or query.size(-3) == key.size(-3) or enable_gqa
    return 0 <= drop < 1 and served and query.size(-2) > 1 and fused.fits(query, key, value, mask)


@in_low_precision
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(q k^T / sqrt(E) + mask) v: query (..., L, E), key (..., S, E), value (..., S, Ev)
    give (..., L, Ev) (Vaswani et al., 2017).

    A bool mask says what takes part; a float mask is added. With enable_gqa, heads of key and value
    (axis -3) are repeated for those of query.
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    scale = 1 / math.sqrt(query.size(-1)) if scale is None else scale
    if _fuses(query, key, value, attn_mask, dropout_p, enable_gqa):
        return fused.attention(query, key, value, attn_mask, scale, is_causal, dropout_p)
    if enable_gqa:
        times = query.size(-3) // key.size(-3)
        key, value = key.repeat_interleave(times, -3), value.repeat_interleave(times, -3)
    weights = _attention_weights(query, key, attn_mask, is_causal, scale)
    return matmul(dropout(weights, dropout_p, dropout_p > 0), value)


def _as_float_mask(mask: Tensor | None, name: str, like: Tensor) -> Tensor | None:
    """A mask to be added: True, which means "not allowed" here, is -inf."""
    if mask is None:
        return None
    if mask.is_floating_point():
        return mask.to(like.dtype)
    if mask.dtype.kind != "bool":
        raise AssertionError(f"only bool and floating types of {name} are supported")
    return where(mask, -math.inf, 0.0).to(like.dtype)


def _projected(
    query: Tensor, key: Tensor, value: Tensor, weight: Any, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v through their maps: one weight (3E, E) for all, or three."""
    size = query.size(-1)
    if isinstance(weight, tuple):
        biases = (None, None, None) if bias is None else bias.chunk(3)
        parts = zip((query, key, value), weight, biases)
        q, k, v = (linear(x, w, b) for x, w, b in parts)
        return q, k, v
    if query is key and key is value:
        q, k, v = linear(query, weight, bias).split(size, -1)
        return q, k, v
    weights = weight.split(size)
    biases = (None, None, None) if bias is None else bias.split(size)
    q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))
    return q, k, v


def _check_shapes(
    query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_heads: int, same: bool
) -> None:
    if query.dim() not in (2, 3):
        raise AssertionError(
            "query should be unbatched 2D or batched 3D tensor but received "
            f"{query.dim()}-D query tensor"
        )
    if key.dim() != query.dim() or value.dim() != query.dim():
        raise AssertionError(
            f"For {'batched (3-D)' if query.dim() == 3 else 'unbatched (2-D)'} `query`, expected "
            f"`key` and `value` to be {query.dim()}-D but found {key.dim()}-D and {value.dim()}-D "
            "tensors respectively"
        )
    if query.size(-1) != embed_dim:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim}, but got {query.size(-1)}"
        )
    if embed_dim % num_heads:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if same and tuple(key.shape) != tuple(value.shape):
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of num_heads heads between maps of query (L, N, E), key and value (S, N, E), mapped
    back: ((L, N, E), weights (N, L, S) or None); all without N if query has no batch.

    Masks: True, or -inf, is where a query may not look.
    """
    _check_shapes(query, key, value, embed_dim_to_check, num_heads, not use_separate_proj_weight)
    batched = query.dim() == 3
    weight: Any = in_proj_weight
    if use_separate_proj_weight:
        weight = (q_proj_weight, k_proj_weight, v_proj_weight)
    if not batched:
        same_key, same_value = key is query, value is key
        query = query.unsqueeze(1)
        key = query if same_key else key.unsqueeze(1)
        value = key if same_value else value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, n, size = query.shape
    head = size // num_heads
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask."
        )
    mask = _as_float_mask(attn_mask, "attn_mask", query)
    padding = _as_float_mask(key_padding_mask, "key_padding_mask", query)
    q, k, v = _projected(query, key, value, weight, in_proj_bias)
    extra = 0
    if bias_k is not None and bias_v is not None:
        k = cat([k, bias_k.expand(1, n, size)])
        v = cat([v, bias_v.expand(1, n, size)])
        extra += 1

    def by_head(x: Tensor) -> Tensor:
        """(S, N, E) as (N, heads, S, E / heads)."""
        return x.reshape(x.size(0), n, num_heads, head).permute(1, 2, 0, 3)

    heads_q = by_head(q)
    heads_k = by_head(k) if static_k is None else static_k.reshape(n, num_heads, -1, head)
    heads_v = by_head(v) if static_v is None else static_v.reshape(n, num_heads, -1, head)
    if add_zero_attn:
        zero = q.new_zeros(n, num_heads, 1, head)
        heads_k, heads_v = cat([heads_k, zero], 2), cat([heads_v, zero], 2)
        extra += 1
    if mask is not None:
        if mask.dim() == 3:
            mask = mask.reshape(n, num_heads, *mask.shape[1:])
        mask = pad(mask, (0, extra)) if extra else mask
    if padding is not None:
        padding = pad(padding, (0, extra)) if extra else padding
        padding = padding.reshape(n, 1, 1, -1)
        mask = padding if mask is None else mask + padding
    drop = dropout_p if training else 0.0
    weights = None
    if need_weights:
        weights = _attention_weights(heads_q, heads_k, mask, False, 1 / math.sqrt(head))
        y = matmul(dropout(weights, drop, drop > 0), heads_v)
    else:
        causal = is_causal and padding is None and not extra  # the mask is then that of the hint
        mask = None if causal else mask
        y = scaled_dot_product_attention(heads_q, heads_k, heads_v, mask, drop, causal)
    y = y.permute(2, 0, 1, 3).reshape(length, n, size)
    y = linear(y, out_proj_weight, out_proj_bias)
    y = y if batched else y.squeeze(1)
    if weights is None:
        return y, None
    weights = weights.mean(1) if average_attn_weights else weights
    return y, weights if batched else weights.squeeze(0)

"""Attention without the matrix of its weights."""

from __future__ import annotations

import math

from ..ops import attention as op
from ..ops import movement as mv
from ..tensor import Tensor, wrap
from .random import stretch


def fits(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Whether `attention` takes these: leading axes alike but for heads (axis -3), which those of
    key and value divide, and a mask without gradient that broadcasts to (..., H, L, S)."""
    if query.dim() < 2 or not query.dim() == key.dim() == value.dim():
        return False
    if not query.is_floating_point() or not query.dtype is key.dtype is value.dtype:
        return False
    lead, shared = query.shape[:-3], key.shape[-3:-2]
    if query.shape[-1] != key.shape[-1] or key.shape[:-1] != value.shape[:-1]:
        return False
    if lead != key.shape[:-3] or (shared and (not shared[0] or query.shape[-3] % shared[0])):
        return False
    if mask is None:
        return True
    full = (*query.shape[:-1], key.shape[-2])
    own = tuple(mask.shape)
    apart = len(full) - len(own)
    broadcast = apart >= 0 and all(m in (1, n) for m, n in zip(own, full[apart:]))
    # Several leading axes are walked as one: a mask has all of them or none.
    rows = (*(1,) * apart, *own)[: len(lead)]
    return broadcast and not mask.requires_grad and (rows == lead or all(m == 1 for m in rows))


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, causal: bool,
    drop: float,
) -> Tensor:  # fmt: skip
    """dropout(softmax(scale q k^T + mask)) v of tensors that fit (see `fits`): query (..., H, L,
    E), key (..., G, S, E), value (..., G, S, V) give (..., H, L, V); G divides H."""
    shape = (*query.shape[:-1], value.shape[-1])

    def four(x: Tensor, rank: int) -> tuple[int, ...]:
        """The shape with all leading axes as one, and one head where there are none."""
        own = (*(1,) * (rank - x.dim()), *x.shape)
        heads = own[-3] if rank > 2 else 1
        return (math.prod(own[:-3]), heads, *own[-2:])

    rank = query.dim()
    q, k, v = (mv.reshape(x._node(), four(x, rank)) for x in (query, key, value))
    m = None
    if mask is not None:
        m = mv.permute(mv.reshape(mask._node(), four(mask, rank)), (0, 1, 3, 2))
    # The kernel takes whole blocks of four words, from the first whole one on.
    words = 4 * -(-key.size(-2) // 4) * math.prod(query.shape[:-1])
    stream = stretch(words + 3) if drop else ()
    y = op.attention(q, k, v, m, scale, causal, drop, stream)
    return wrap(mv.reshape(y, tuple(shape)))


def cached_attention(
    query: Tensor, key: Tensor, value: Tensor, start: Tensor, scale: float | None = None
) -> Tensor:
    """softmax(scale q k^T) v over what a cache holds so far: query i of (B, H, L, E) sees the keys
    up to start + i of (B, G, S, E); G divides H, scale is 1 / sqrt(E) unless given.

    `start` is an int64 scalar that is read at run time: no length is planned anew, and keys behind
    the last that is seen cost nothing.
    """
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1])
    q, k, v, first = (x._node() for x in (query, key, value, start))
    return wrap(op.cached_attention(q, k, v, first, scale))

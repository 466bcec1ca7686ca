"""Transformers of the Llama type: Touvron et al., LLaMA, 2023.

Each block adds to its input an attention over what came before and a gated layer of two products,
both after an RMS norm (Zhang and Sennrich, 2019); heads of queries share heads of keys and values
(Ainslie et al., GQA, 2023), positions turn pairs of elements (Su et al., RoFormer, 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import dtypes, nn
from ..creation import arange, zeros
from ..functions.attention import cached_attention
from ..functions.shape import stack
from ..nn import functional as F
from ..tensor import Tensor


@dataclass(frozen=True)
class LlamaSizes:
    """What a net's size follows from. `n_tokens` is the size of the vocabulary, `n_context` how
    many tokens it was trained to look back on."""

    n_tokens: int
    n_layers: int
    n: int
    n_heads: int
    n_shared_heads: int
    n_hidden: int
    n_context: int = 2048
    base: float = 10000.0
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.n % (2 * self.n_heads) or self.n_heads % self.n_shared_heads:
            raise ValueError(
                "[Llama] n must be a multiple of 2 n_heads, n_heads one of n_shared_heads; got "
                f"{self.n}, {self.n_heads} and {self.n_shared_heads}"
            )


class Cache:
    """The keys and values of the tokens so far, in memory of a fixed size, and their number."""

    def __init__(self, sizes: LlamaSizes, n_context: int, batch: int = 1) -> None:
        shape = (batch, sizes.n_shared_heads, n_context, sizes.n // sizes.n_heads)
        self.n_context = n_context
        self.keys = [zeros(*shape) for _ in range(sizes.n_layers)]
        self.values = [zeros(*shape) for _ in range(sizes.n_layers)]
        self.length = zeros((), dtype=dtypes.int64)


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Elements 2 i and 2 i + 1 of x (..., L, E) as a point, turned by angle i of (L, E / 2)."""
    a, b = x[..., 0::2], x[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    return stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)


class Attention(nn.Module):
    """Causal self-attention with rotated positions and shared heads of keys and values."""

    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.sizes = sizes
        shared = sizes.n // sizes.n_heads * sizes.n_shared_heads
        self.q = nn.Linear(sizes.n, sizes.n, bias=False)
        self.k = nn.Linear(sizes.n, shared, bias=False)
        self.v = nn.Linear(sizes.n, shared, bias=False)
        self.output = nn.Linear(sizes.n, sizes.n, bias=False)

    def forward(
        self, x: Tensor, angles: Tensor, positions: Tensor, cache: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """(B, L, n) to the same; keys and values of a cache come before."""
        batch, length, n = x.shape

        def heads(x: Tensor) -> Tensor:
            return x.reshape(batch, length, -1, n // self.sizes.n_heads).transpose(1, 2)

        q, k = (rotated(heads(f(x)), angles) for f in (self.q, self.k))
        v = heads(self.v(x))
        if cache is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        else:
            keys, values = cache
            keys.index_copy_(2, positions, k)
            values.index_copy_(2, positions, v)
            y = cached_attention(q, keys, values, positions[0])
        return self.output(y.transpose(1, 2).reshape(batch, length, n))


class FeedForward(nn.Module):
    """W_down (silu(W_gate x) W_up x) (Shazeer, GLU Variants, 2020)."""

    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.gate = nn.Linear(sizes.n, sizes.n_hidden, bias=False)
        self.up = nn.Linear(sizes.n, sizes.n_hidden, bias=False)
        self.down = nn.Linear(sizes.n_hidden, sizes.n, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., n) to the same."""
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """Attention and two layers, each after a norm and added to its input."""

    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(sizes.n, eps=sizes.eps)
        self.attention = Attention(sizes)
        self.feed_forward_norm = nn.RMSNorm(sizes.n, eps=sizes.eps)
        self.feed_forward = FeedForward(sizes)

    def forward(
        self, x: Tensor, angles: Tensor, positions: Tensor, cache: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """(B, L, n) to the same."""
        x = x + self.attention(self.attention_norm(x), angles, positions, cache)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Llama(nn.Module):
    """Numbers of tokens (B, L) to the logits of the next ones, (B, L, n_tokens).

    >>> import twofold as tf
    >>> sizes = LlamaSizes(n_tokens=50, n_layers=2, n=32, n_heads=4, n_shared_heads=2, n_hidden=48)
    >>> net = Llama(sizes)
    >>> tokens = tf.tensor([[3, 1, 4, 1, 5]])
    >>> logits = net(tokens)
    >>> cache = Cache(sizes, 16)
    >>> with tf.no_grad():
    ...     parts = [net(tokens[:, i : i + 1], cache) for i in range(5)]
    >>> logits.shape, tf.allclose(logits, tf.cat(parts, 1), atol=1e-5), cache.length
    (twofold.Size([1, 5, 50]), True, tensor(5))
    """

    def __init__(self, sizes: LlamaSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = nn.Embedding(sizes.n_tokens, sizes.n)
        self.blocks = nn.ModuleList([Block(sizes) for _ in range(sizes.n_layers)])
        self.norm = nn.RMSNorm(sizes.n, eps=sizes.eps)
        self.head = nn.Linear(sizes.n, sizes.n_tokens, bias=False)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """The logits; with a cache, of tokens that follow those in it and are added to it."""
        return self.head(self.hidden(tokens, cache))

    def hidden(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """What the logits are made of, (B, L, n)."""
        sizes, length = self.sizes, tokens.size(1)
        positions = arange(length)
        if cache is not None:
            positions = positions + cache.length
        n = sizes.n // sizes.n_heads
        rates = sizes.base ** (arange(0, n, 2).float() * (-1 / n))
        angles = positions.float().unsqueeze(1) * rates
        x = self.embedding(tokens)
        for i, block in enumerate(self.blocks):
            own = None if cache is None else (cache.keys[i], cache.values[i])
            x = block(x, angles, positions, own)
        if cache is not None:
            cache.length += length
        return self.norm(x)

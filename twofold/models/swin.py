"""Swin transformers: Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted
Windows, 2021."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..creation import empty, tensor
from ..functions.shape import cat, roll
from ..nn import functional as F
from ..tensor import Tensor
from .blocks import Permute, StochasticDepth, initialize, truncated
from .weights import pretrained

_WINDOW = 7


class PatchMerging(nn.Module):
    """Half the size, twice the channels: 2x2 patches side by side, layer norm, linear layer."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * n, 2 * n, bias=False)
        self.norm = nn.LayerNorm(4 * n)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, n) to (N, H/2, W/2, 2n)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        parts = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.reduction(self.norm(cat(parts, -1)))


def _relative_positions(size: int) -> np.ndarray:
    """For each pair of places in a window, the row of the table of biases."""
    place = np.stack(np.meshgrid(*2 * [np.arange(size)], indexing="ij")).reshape(2, -1)
    far = place[:, :, None] - place[:, None, :] + size - 1
    return (far[0] * (2 * size - 1) + far[1]).reshape(-1)


def _regions(padded: tuple[int, int], shifts: Sequence[int], size: int) -> np.ndarray:
    """For each window the mask (0 or -100) that keeps apart what is no neighbour after a shift."""
    number = np.zeros(padded)
    count = 0
    for rows in _bands(padded[0], shifts[0], size):
        for columns in _bands(padded[1], shifts[1], size):
            number[rows, columns] = count
            count += 1
    high, wide = padded[0] // size, padded[1] // size
    number = number.reshape(high, size, wide, size).transpose(0, 2, 1, 3).reshape(-1, size**2)
    return np.where(number[:, None] != number[:, :, None], -100.0, 0.0).astype(np.float32)


def _bands(extent: int, shift: int, size: int) -> list[slice]:
    return [slice(0, -size), slice(-size, -shift if shift else None), slice(-shift, None)]


class ShiftedWindowAttention(nn.Module):
    """Self-attention within windows, which every other block moves by half a window."""

    def __init__(self, n: int, shift: int, n_heads: int, attention: float, drop: float) -> None:
        super().__init__()
        self.n_heads, self.shift = n_heads, shift
        self.attention_dropout, self.dropout = attention, drop
        self.qkv = nn.Linear(n, 3 * n)
        self.proj = nn.Linear(n, n)
        self.relative_position_bias_table = nn.Parameter(empty((2 * _WINDOW - 1) ** 2, n_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", tensor(_relative_positions(_WINDOW)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, n) to the same."""
        batch, height, width, n = x.shape
        size, heads = _WINDOW, self.n_heads
        x = F.pad(x, (0, 0, 0, -width % size, 0, -height % size))
        high, wide = x.shape[1] // size, x.shape[2] // size
        shifts = [0 if extent == 1 else self.shift for extent in (high, wide)]
        if any(shifts):
            x = roll(x, (-shifts[0], -shifts[1]), (1, 2))
        windows = x.view(batch, high, size, wide, size, n).permute(0, 1, 3, 2, 4, 5)
        windows = windows.reshape(batch * high * wide, size * size, n)
        parts = self.qkv(windows).reshape(-1, size * size, 3, heads, n // heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * (n // heads) ** -0.5) @ k.transpose(-2, -1)
        bias = self.relative_position_bias_table[self.relative_position_index]
        scores = scores + bias.view(size * size, size * size, heads).permute(2, 0, 1)
        if any(shifts):
            mask = tensor(_regions((high * size, wide * size), shifts, size))
            scores = scores.view(batch, high * wide, heads, size * size, size * size)
            scores = (scores + mask[None, :, None]).view(-1, heads, size * size, size * size)
        weights = F.dropout(scores.softmax(-1), self.attention_dropout, self.training)
        y = (weights @ v).transpose(1, 2).reshape(-1, size * size, n)
        y = F.dropout(self.proj(y), self.dropout, self.training)
        y = y.view(batch, high, wide, size, size, n).permute(0, 1, 3, 2, 4, 5)
        y = y.reshape(batch, high * size, wide * size, n)
        if any(shifts):
            y = roll(y, (shifts[0], shifts[1]), (1, 2))
        return y[:, :height, :width]


class SwinTransformerBlock(nn.Module):
    """Attention and two linear layers, each after a layer norm and added to its input."""

    def __init__(
        self, n: int, n_heads: int, shift: int, dropout: float, attention: float, drop: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(n)
        self.attn = ShiftedWindowAttention(n, shift, n_heads, attention, dropout)
        self.stochastic_depth = StochasticDepth(drop)
        self.norm2 = nn.LayerNorm(n)
        self.mlp = nn.Sequential(
            nn.Linear(n, 4 * n), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * n, n),
            nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, n) to the same."""
        x = x + self.stochastic_depth(self.attn(self.norm1(x)))
        return x + self.stochastic_depth(self.mlp(self.norm2(x)))


class SwinTransformer(nn.Module):
    """Patches of 4x4, four stages of blocks with merging between, and a linear layer."""

    def __init__(
        self,
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.1,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        n = embed_dim
        layers: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(3, n, 4, 4), Permute((0, 2, 3, 1)), nn.LayerNorm(n))
        ]
        total, done = sum(depths), 0
        for stage, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            blocks = []
            for index in range(depth):
                drop = stochastic_depth_prob * done / (total - 1)
                shift = _WINDOW // 2 if index % 2 else 0
                blocks.append(
                    SwinTransformerBlock(n, heads, shift, dropout, attention_dropout, drop)
                )
                done += 1
            layers.append(nn.Sequential(*blocks))
            if stage + 1 < len(depths):
                layers.append(PatchMerging(n))
                n *= 2
        self.features = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(n)
        self.permute = Permute((0, 3, 1, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.head = nn.Linear(n, num_classes)
        initialize(self, None, truncated(0.02))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        x = self.permute(self.norm(self.features(x)))
        return self.head(self.flatten(self.avgpool(x)))


def _swin(
    name: str, n: int, third: int, heads: int, drop: float, weights: Any, options: dict[str, Any]
) -> SwinTransformer:
    given = {"stochastic_depth_prob": drop, **options}
    counts = [heads << stage for stage in range(4)]
    return pretrained(SwinTransformer(n, (2, 2, third, 2), counts, **given), name, weights)


def swin_t(*, weights: Any = None, progress: bool = True, **options: Any) -> SwinTransformer:
    """Swin, tiny, 28 million parameters."""
    return _swin("swin_t", 96, 6, 3, 0.2, weights, options)


def swin_s(*, weights: Any = None, progress: bool = True, **options: Any) -> SwinTransformer:
    """Swin, small, 50 million parameters."""
    return _swin("swin_s", 96, 18, 3, 0.3, weights, options)


def swin_b(*, weights: Any = None, progress: bool = True, **options: Any) -> SwinTransformer:
    """Swin, base, 88 million parameters."""
    return _swin("swin_b", 128, 18, 4, 0.5, weights, options)

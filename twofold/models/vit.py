"""Vision transformers: Dosovitskiy et al., An Image is Worth 16x16 Words, 2021."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

from .. import nn
from ..creation import empty, zeros
from ..functions.shape import cat
from ..tensor import Tensor
from .weights import pretrained


class EncoderBlock(nn.Module):
    """Self-attention and two linear layers, each after a layer norm and added to its input."""

    def __init__(self, n_heads: int, n: int, n_mlp: int, dropout: float, attention: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(n, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(n, n_heads, attention, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = nn.LayerNorm(n, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(n, n_mlp), nn.GELU(), nn.Dropout(dropout), nn.Linear(n_mlp, n),
            nn.Dropout(dropout),
        )  # fmt: skip
        for layer in (self.mlp[0], self.mlp[3]):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, n) to the same."""
        y = self.ln_1(x)
        x = x + self.dropout(self.self_attention(y, y, y, need_weights=False)[0])
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions are added, then the blocks follow."""

    def __init__(
        self, n_tokens: int, n_layers: int, n_heads: int, n: int, n_mlp: int, dropout: float,
        attention: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pos_embedding = nn.Parameter(empty(1, n_tokens, n))
        nn.init.normal_(self.pos_embedding, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(
            OrderedDict(
                (f"encoder_layer_{i}", EncoderBlock(n_heads, n, n_mlp, dropout, attention))
                for i in range(n_layers)
            )
        )
        self.ln = nn.LayerNorm(n, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, n) to the same."""
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """Patches of the image and a class token, an `Encoder`, and a linear layer of the token."""

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(
                f"[VisionTransformer] image_size must be a multiple of patch_size; got {image_size}"
                f" and {patch_size}"
            )
        n, self.image_size = hidden_dim, image_size
        self.class_token = nn.Parameter(zeros(1, 1, n))
        self.conv_proj = nn.Conv2d(3, n, patch_size, patch_size)
        n_tokens = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(
            n_tokens, num_layers, num_heads, n, mlp_dim, dropout, attention_dropout
        )
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        if representation_size is not None:
            heads["pre_logits"] = nn.Linear(n, representation_size)
            heads["act"] = nn.Tanh()
            nn.init.trunc_normal_(heads["pre_logits"].weight, std=math.sqrt(1 / n))
            nn.init.zeros_(heads["pre_logits"].bias)
        heads["head"] = nn.Linear(representation_size or n, num_classes)
        self.heads = nn.Sequential(heads)
        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / (3 * patch_size**2)))
        nn.init.zeros_(self.conv_proj.bias)
        nn.init.zeros_(heads["head"].weight)
        nn.init.zeros_(heads["head"].bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, image_size, image_size) to (N, classes)."""
        if x.shape[2:] != (self.image_size, self.image_size):
            raise RuntimeError(
                f"[VisionTransformer] images must be {self.image_size} by {self.image_size}; got "
                f"{tuple(x.shape)}"
            )
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        token = self.class_token.expand(x.shape[0], -1, -1)
        return self.heads(self.encoder(cat([token, x], 1))[:, 0])


def _vit(
    name: str, patch: int, layers: int, heads: int, n: int, mlp: int, weights: Any,
    options: dict[str, Any],
) -> VisionTransformer:  # fmt: skip
    size = options.pop("image_size", 224)
    model = VisionTransformer(size, patch, layers, heads, n, mlp, **options)
    return pretrained(model, name, weights)


def vit_b_16(*, weights: Any = None, progress: bool = True, **options: Any) -> VisionTransformer:
    """ViT, base, patches of 16, 87 million parameters."""
    return _vit("vit_b_16", 16, 12, 12, 768, 3072, weights, options)


def vit_b_32(*, weights: Any = None, progress: bool = True, **options: Any) -> VisionTransformer:
    """ViT, base, patches of 32, 88 million parameters."""
    return _vit("vit_b_32", 32, 12, 12, 768, 3072, weights, options)


def vit_l_16(*, weights: Any = None, progress: bool = True, **options: Any) -> VisionTransformer:
    """ViT, large, patches of 16, 304 million parameters."""
    return _vit("vit_l_16", 16, 24, 16, 1024, 4096, weights, options)


def vit_l_32(*, weights: Any = None, progress: bool = True, **options: Any) -> VisionTransformer:
    """ViT, large, patches of 32, 307 million parameters."""
    return _vit("vit_l_32", 32, 24, 16, 1024, 4096, weights, options)


def vit_h_14(*, weights: Any = None, progress: bool = True, **options: Any) -> VisionTransformer:
    """ViT, huge, patches of 14, 632 million parameters."""
    return _vit("vit_h_14", 14, 32, 16, 1280, 5120, weights, options)

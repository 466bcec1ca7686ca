"""ConvNeXt: Liu et al., A ConvNet for the 2020s, 2022."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..creation import full
from ..tensor import Tensor
from .blocks import LayerNorm2d, Permute, StochasticDepth, initialize, truncated
from .weights import pretrained

_WIDTHS = {"tiny": 96, "small": 96, "base": 128, "large": 192}
_DEPTHS = {"tiny": 9, "small": 27, "base": 27, "large": 27}
_DROPS = {"tiny": 0.1, "small": 0.4, "base": 0.5, "large": 0.5}


class CNBlock(nn.Module):
    """x + scale * (depthwise 7x7, layer norm, and two linear layers over the channels of x)."""

    def __init__(self, n: int, layer_scale: float, drop: float) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(n, n, 7, padding=3, groups=n), Permute((0, 2, 3, 1)),
            nn.LayerNorm(n, eps=1e-6), nn.Linear(n, 4 * n), nn.GELU(), nn.Linear(4 * n, n),
            Permute((0, 3, 1, 2)),
        )  # fmt: skip
        self.layer_scale = nn.Parameter(full((n, 1, 1), layer_scale))
        self.stochastic_depth = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        return x + self.stochastic_depth(self.layer_scale * self.block(x))


class ConvNeXt(nn.Module):
    """Four stages of `CNBlock`s of these widths and depths, each at half the size."""

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        first = nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), LayerNorm2d(widths[0], eps=1e-6))
        layers: list[nn.Module] = [first]
        total, done = sum(depths), 0
        for stage, (n, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = []
            for _ in range(depth):
                drop = stochastic_depth_prob * done / (total - 1)
                blocks.append(CNBlock(n, layer_scale, drop))
                done += 1
            layers.append(nn.Sequential(*blocks))
            if stage + 1 < len(widths):
                layers.append(
                    nn.Sequential(LayerNorm2d(n, eps=1e-6), nn.Conv2d(n, widths[stage + 1], 2, 2))
                )
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            LayerNorm2d(widths[-1], eps=1e-6), nn.Flatten(1), nn.Linear(widths[-1], num_classes)
        )
        initialize(self, truncated(0.02), truncated(0.02))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        return self.classifier(self.avgpool(self.features(x)))


def _convnext(size: str, weights: Any, options: dict[str, Any]) -> ConvNeXt:
    widths = [_WIDTHS[size] << stage for stage in range(4)]
    given = {"stochastic_depth_prob": _DROPS[size], **options}
    return pretrained(
        ConvNeXt(widths, (3, 3, _DEPTHS[size], 3), **given), f"convnext_{size}", weights
    )


def convnext_tiny(*, weights: Any = None, progress: bool = True, **options: Any) -> ConvNeXt:
    """ConvNeXt, tiny, 29 million parameters."""
    return _convnext("tiny", weights, options)


def convnext_small(*, weights: Any = None, progress: bool = True, **options: Any) -> ConvNeXt:
    """ConvNeXt, small, 50 million parameters."""
    return _convnext("small", weights, options)


def convnext_base(*, weights: Any = None, progress: bool = True, **options: Any) -> ConvNeXt:
    """ConvNeXt, base, 89 million parameters."""
    return _convnext("base", weights, options)


def convnext_large(*, weights: Any = None, progress: bool = True, **options: Any) -> ConvNeXt:
    """ConvNeXt, large, 198 million parameters."""
    return _convnext("large", weights, options)

"""MobileNet v2: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018; v3:
Howard et al., Searching for MobileNetV3, 2019."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from .. import nn
from ..tensor import Tensor
from .blocks import ConvNorm, Layer, SqueezeExcitation, divisible, fan_out, initialize, normal
from .weights import pretrained

_V2 = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip


class InvertedResidual(nn.Module):
    """1x1 convolution to more channels, depthwise 3x3, 1x1 to fewer; added to x where it fits."""

    def __init__(self, n_in: int, n_out: int, stride: int, expand: float, norm: Layer) -> None:
        super().__init__()
        wide = round(n_in * expand)
        layers: list[nn.Module] = []
        if expand != 1:
            layers.append(ConvNorm(n_in, wide, 1, norm=norm, activation=nn.ReLU6))
        layers += [
            ConvNorm(wide, wide, 3, stride, wide, norm, nn.ReLU6),
            nn.Conv2d(wide, n_out, 1, bias=False),
            norm(n_out),
        ]
        self.conv = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """`inverted_residual_setting` has (factor, channels, blocks, stride) for each stage."""

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        norm_layer: Layer | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        n_in = divisible(32 * width_mult, round_nearest)
        self.last_channel = divisible(1280 * max(1.0, width_mult), round_nearest)
        layers: list[nn.Module] = [ConvNorm(3, n_in, 3, 2, norm=norm, activation=nn.ReLU6)]
        for expand, channels, n_blocks, stride in inverted_residual_setting or _V2:
            n_out = divisible(channels * width_mult, round_nearest)
            for index in range(n_blocks):
                step = stride if index == 0 else 1
                layers.append(InvertedResidual(n_in, n_out, step, expand, norm))
                n_in = n_out
        layers.append(ConvNorm(n_in, self.last_channel, 1, norm=norm, activation=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(self.last_channel, num_classes)
        )
        initialize(self, fan_out, normal(0.01))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        return self.classifier(self.features(x).mean((2, 3)))


def mobilenet_v2(*, weights: Any = None, progress: bool = True, **options: Any) -> MobileNetV2:
    """MobileNet v2, 3.5 million parameters."""
    return pretrained(MobileNetV2(**options), "mobilenet_v2", weights)


class _Stage(NamedTuple):
    kernel: int
    wide: int
    n_out: int
    squeezes: bool
    activation: Layer
    stride: int


_RE, _HS = nn.ReLU, nn.Hardswish
_LARGE = (
    (3, 16, 16, False, _RE, 1), (3, 64, 24, False, _RE, 2), (3, 72, 24, False, _RE, 1),
    (5, 72, 40, True, _RE, 2), (5, 120, 40, True, _RE, 1), (5, 120, 40, True, _RE, 1),
    (3, 240, 80, False, _HS, 2), (3, 200, 80, False, _HS, 1), (3, 184, 80, False, _HS, 1),
    (3, 184, 80, False, _HS, 1), (3, 480, 112, True, _HS, 1), (3, 672, 112, True, _HS, 1),
    (5, 672, 160, True, _HS, 2), (5, 960, 160, True, _HS, 1), (5, 960, 160, True, _HS, 1),
)  # fmt: skip
_SMALL = (
    (3, 16, 16, True, _RE, 2), (3, 72, 24, False, _RE, 2), (3, 88, 24, False, _RE, 1),
    (5, 96, 40, True, _HS, 2), (5, 240, 40, True, _HS, 1), (5, 240, 40, True, _HS, 1),
    (5, 120, 48, True, _HS, 1), (5, 144, 48, True, _HS, 1), (5, 288, 96, True, _HS, 2),
    (5, 576, 96, True, _HS, 1), (5, 576, 96, True, _HS, 1),
)  # fmt: skip


class InvertedResidualV3(nn.Module):
    """As in v2, with squeeze and excitation, and an activation of the stage's own."""

    def __init__(self, n_in: int, stage: _Stage, norm: Layer) -> None:
        super().__init__()
        kernel, wide, n_out, squeezes, activation, stride = stage
        layers: list[nn.Module] = []
        if wide != n_in:
            layers.append(ConvNorm(n_in, wide, 1, norm=norm, activation=activation))
        layers.append(ConvNorm(wide, wide, kernel, stride, wide, norm, activation))
        if squeezes:
            layers.append(SqueezeExcitation(wide, divisible(wide // 4), scale=nn.Hardsigmoid))
        layers.append(ConvNorm(wide, n_out, 1, norm=norm, activation=None))
        self.block = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        return x + self.block(x) if self.use_res_connect else self.block(x)


class MobileNetV3(nn.Module):
    """`size` is "large" or "small"."""

    def __init__(self, size: str, num_classes: int = 1000, dropout: float = 0.2) -> None:
        super().__init__()
        if size not in ("large", "small"):
            raise ValueError(f"[MobileNetV3] the sizes are large and small; got {size!r}")
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        stages, last = (_LARGE, 1280) if size == "large" else (_SMALL, 1024)
        n_in = 16
        layers: list[nn.Module] = [ConvNorm(3, n_in, 3, 2, norm=norm, activation=nn.Hardswish)]
        for stage in map(_Stage._make, stages):
            layers.append(InvertedResidualV3(n_in, stage, norm))
            n_in = stage.n_out
        layers.append(ConvNorm(n_in, 6 * n_in, 1, norm=norm, activation=nn.Hardswish))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * n_in, last), nn.Hardswish(inplace=True),
            nn.Dropout(dropout, inplace=True), nn.Linear(last, num_classes),
        )  # fmt: skip
        initialize(self, fan_out, normal(0.01))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def mobilenet_v3_large(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> MobileNetV3:
    """MobileNet v3, large, 5.5 million parameters."""
    return pretrained(MobileNetV3("large", **options), "mobilenet_v3_large", weights)


def mobilenet_v3_small(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> MobileNetV3:
    """MobileNet v3, small, 2.5 million parameters."""
    return pretrained(MobileNetV3("small", **options), "mobilenet_v3_small", weights)

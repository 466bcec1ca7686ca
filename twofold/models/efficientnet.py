"""EfficientNet: Tan and Le, EfficientNet: Rethinking Model Scaling, 2019; v2:
the same, EfficientNetV2: Smaller Models and Faster Training, 2021."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from .. import nn
from ..tensor import Tensor
from .blocks import (
    ConvNorm,
    Layer,
    SqueezeExcitation,
    StochasticDepth,
    divisible,
    fan_out,
    initialize,
)
from .weights import pretrained


class _Stage(NamedTuple):
    """`fused` blocks have one dense convolution in place of a 1x1 and a depthwise one."""

    fused: bool
    expand: int
    kernel: int
    stride: int
    n_in: int
    n_out: int
    n_blocks: int


class _Block(nn.Module):
    """Layers, added to their input where they keep its shape."""

    def __init__(
        self, layers: Sequence[nn.Module], n_in: int, stage: _Stage, stride: int, drop: float
    ) -> None:
        super().__init__()
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(drop)
        self.use_res_connect = stride == 1 and n_in == stage.n_out

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        y = self.block(x)
        return x + self.stochastic_depth(y) if self.use_res_connect else y


class MBConv(_Block):
    """1x1 convolution to more channels, depthwise, squeeze and excitation, 1x1 to fewer."""

    def __init__(self, n_in: int, stage: _Stage, stride: int, drop: float, norm: Layer) -> None:
        wide, silu = divisible(n_in * stage.expand), nn.SiLU
        layers: list[nn.Module] = []
        if wide != n_in:
            layers.append(ConvNorm(n_in, wide, 1, norm=norm, activation=silu))
        squeezed = max(1, n_in // 4)
        layers += [
            ConvNorm(wide, wide, stage.kernel, stride, wide, norm, silu),
            SqueezeExcitation(wide, squeezed, partial(silu, inplace=True)),
            ConvNorm(wide, stage.n_out, 1, norm=norm, activation=None),
        ]
        super().__init__(layers, n_in, stage, stride, drop)


class FusedMBConv(_Block):
    """One convolution to more channels, and a 1x1 to fewer."""

    def __init__(self, n_in: int, stage: _Stage, stride: int, drop: float, norm: Layer) -> None:
        wide, silu = divisible(n_in * stage.expand), nn.SiLU
        if wide != n_in:
            layers = [
                ConvNorm(n_in, wide, stage.kernel, stride, norm=norm, activation=silu),
                ConvNorm(wide, stage.n_out, 1, norm=norm, activation=None),
            ]
        else:
            layers = [ConvNorm(n_in, stage.n_out, stage.kernel, stride, norm=norm, activation=silu)]
        super().__init__(layers, n_in, stage, stride, drop)


class EfficientNet(nn.Module):
    """A convolution, stages of blocks, a 1x1 convolution, and a linear layer."""

    def __init__(
        self,
        stages: Sequence[_Stage],
        last: int,
        dropout: float,
        num_classes: int = 1000,
        stochastic_depth_prob: float = 0.2,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        n_in = stages[0].n_in
        layers: list[nn.Module] = [ConvNorm(3, n_in, 3, 2, norm=norm, activation=nn.SiLU)]
        total, done = sum(stage.n_blocks for stage in stages), 0
        for stage in stages:
            block = FusedMBConv if stage.fused else MBConv
            blocks: list[nn.Module] = []
            for index in range(stage.n_blocks):
                drop = stochastic_depth_prob * done / total
                stride = stage.stride if index == 0 else 1
                blocks.append(block(n_in, stage, stride, drop, norm))
                n_in, done = stage.n_out, done + 1
            layers.append(nn.Sequential(*blocks))
        layers.append(ConvNorm(n_in, last, 1, norm=norm, activation=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout, inplace=True), nn.Linear(last, num_classes)
        )
        initialize(self, fan_out)
        reach = 1 / math.sqrt(num_classes)
        nn.init.uniform_(self.classifier[1].weight, -reach, reach)
        nn.init.zeros_(self.classifier[1].bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


_B0 = (
    (1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1),
)  # fmt: skip
_V2_S = (
    (True, 1, 3, 1, 24, 24, 2), (True, 4, 3, 2, 24, 48, 4), (True, 4, 3, 2, 48, 64, 4),
    (False, 4, 3, 2, 64, 128, 6), (False, 6, 3, 1, 128, 160, 9), (False, 6, 3, 2, 160, 256, 15),
)  # fmt: skip
_V2_M = (
    (True, 1, 3, 1, 24, 24, 3), (True, 4, 3, 2, 24, 48, 5), (True, 4, 3, 2, 48, 80, 5),
    (False, 4, 3, 2, 80, 160, 7), (False, 6, 3, 1, 160, 176, 14), (False, 6, 3, 2, 176, 304, 18),
    (False, 6, 3, 1, 304, 512, 5),
)  # fmt: skip
_V2_L = (
    (True, 1, 3, 1, 32, 32, 4), (True, 4, 3, 2, 32, 64, 7), (True, 4, 3, 2, 64, 96, 7),
    (False, 4, 3, 2, 96, 192, 10), (False, 6, 3, 1, 192, 224, 19), (False, 6, 3, 2, 224, 384, 25),
    (False, 6, 3, 1, 384, 640, 7),
)  # fmt: skip
_GENTLE = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)


def _scaled(
    name: str, width: float, depth: float, dropout: float, weights: Any, options: dict[str, Any],
    norm: Layer | None = None,
) -> EfficientNet:  # fmt: skip
    """B0 with its channels and blocks multiplied."""
    stages = [
        _Stage(
            False, expand, kernel, stride, divisible(n_in * width), divisible(n_out * width),
            math.ceil(n_blocks * depth),
        )
        for expand, kernel, stride, n_in, n_out, n_blocks in _B0
    ]  # fmt: skip
    given = {"dropout": dropout, "norm_layer": norm, **options}
    return pretrained(EfficientNet(stages, 4 * stages[-1].n_out, **given), name, weights)


def _second(
    name: str, rows: Sequence[tuple], dropout: float, weights: Any, options: dict[str, Any]
) -> EfficientNet:
    given = {"dropout": dropout, "norm_layer": partial(nn.BatchNorm2d, eps=0.001), **options}
    model = EfficientNet([_Stage(*row) for row in rows], 1280, **given)
    return pretrained(model, name, weights)


def efficientnet_b0(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet B0, 5.3 million parameters."""
    return _scaled("efficientnet_b0", 1.0, 1.0, 0.2, weights, options)


def efficientnet_b1(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet B1, 7.8 million parameters."""
    return _scaled("efficientnet_b1", 1.0, 1.1, 0.2, weights, options)


def efficientnet_b2(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet B2, 9.1 million parameters."""
    return _scaled("efficientnet_b2", 1.1, 1.2, 0.3, weights, options)


def efficientnet_b3(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet B3, 12 million parameters."""
    return _scaled("efficientnet_b3", 1.2, 1.4, 0.3, weights, options)


def efficientnet_b4(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet B4, 19 million parameters."""
    return _scaled("efficientnet_b4", 1.4, 1.8, 0.4, weights, options)


def efficientnet_b5(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet B5, 30 million parameters."""
    return _scaled("efficientnet_b5", 1.6, 2.2, 0.4, weights, options, _GENTLE)


def efficientnet_b6(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet B6, 43 million parameters."""
    return _scaled("efficientnet_b6", 1.8, 2.6, 0.5, weights, options, _GENTLE)


def efficientnet_b7(*, weights: Any = None, progress: bool = True, **options: Any) -> EfficientNet:
    """EfficientNet B7, 66 million parameters."""
    return _scaled("efficientnet_b7", 2.0, 3.1, 0.5, weights, options, _GENTLE)


def efficientnet_v2_s(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> EfficientNet:
    """EfficientNet v2, small, 21 million parameters."""
    return _second("efficientnet_v2_s", _V2_S, 0.2, weights, options)


def efficientnet_v2_m(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> EfficientNet:
    """EfficientNet v2, medium, 54 million parameters."""
    return _second("efficientnet_v2_m", _V2_M, 0.3, weights, options)


def efficientnet_v2_l(
    *, weights: Any = None, progress: bool = True, **options: Any
) -> EfficientNet:
    """EfficientNet v2, large, 119 million parameters."""
    return _second("efficientnet_v2_l", _V2_L, 0.4, weights, options)

"""Residual networks: He et al., Deep Residual Learning, 2016; ResNeXt: Xie et al., Aggregated
Residual Transformations, 2017; wide ones: Zagoruyko and Komodakis, Wide Residual Networks, 2016.

A bottleneck's stride is that of its 3x3 convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..tensor import Tensor
from .blocks import Layer, fan_out, initialize
from .weights import pretrained


class BasicBlock(nn.Module):
    """relu(x + two 3x3 convolutions of x)."""

    expansion = 1

    def __init__(
        self, n_in: int, planes: int, stride: int, shortcut: nn.Module | None, width: int,
        groups: int, dilation: int, norm: Layer,
    ) -> None:  # fmt: skip
        super().__init__()
        if groups != 1 or width != planes or dilation != 1:
            raise ValueError(
                "[BasicBlock] groups, a width per group and dilation are for bottlenecks; "
                f"got groups {groups}, width {width}, dilation {dilation}"
            )
        self.conv1 = nn.Conv2d(n_in, planes, 3, stride, 1, bias=False)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = norm(planes)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """relu(x + a 1x1, a 3x3 and a 1x1 convolution of x)."""

    expansion = 4

    def __init__(
        self, n_in: int, planes: int, stride: int, shortcut: nn.Module | None, width: int,
        groups: int, dilation: int, norm: Layer,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(
            width, width, 3, stride, dilation, dilation=dilation, groups=groups, bias=False
        )
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, planes * self.expansion, 1, bias=False)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


Block = type[BasicBlock] | type[Bottleneck]


class ResNet(nn.Module):
    """A 7x7 convolution, four stages of blocks, and a linear layer.

    `replace_stride_with_dilation` has a truth value for each of the last three stages.
    """

    def __init__(
        self,
        block: Block,
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        dilates = [False, *(replace_stride_with_dilation or (False, False, False))]
        if len(dilates) != 4:
            raise ValueError(
                "[ResNet] replace_stride_with_dilation has three truth values; "
                f"got {replace_stride_with_dilation}"
            )
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = norm(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        n_in, dilation = 64, 1
        for stage, (n_blocks, dilate) in enumerate(zip(layers, dilates, strict=True)):
            planes, stride = 64 << stage, 1 if stage == 0 else 2
            first = dilation
            if dilate:
                dilation, stride = dilation * stride, 1
            width = planes * width_per_group // 64 * groups
            n_out = planes * block.expansion
            blocks: list[nn.Module] = []
            for index in range(n_blocks):
                shortcut = None
                step = stride if index == 0 else 1
                if step != 1 or n_in != n_out:
                    shortcut = nn.Sequential(
                        nn.Conv2d(n_in, n_out, 1, step, bias=False), norm(n_out)
                    )
                spread = first if index == 0 else dilation
                blocks.append(block(n_in, planes, step, shortcut, width, groups, spread, norm))
                n_in = n_out
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(n_in, num_classes)
        initialize(self, fan_out)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, (BasicBlock, Bottleneck)):
                    last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                    nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def _resnet(
    name: str, block: Block, layers: Sequence[int], weights: Any, options: dict[str, Any]
) -> ResNet:
    return pretrained(ResNet(block, layers, **options), name, weights)


def resnet18(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-18, 12 million parameters."""
    return _resnet("resnet18", BasicBlock, (2, 2, 2, 2), weights, options)


def resnet34(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-34, 22 million parameters."""
    return _resnet("resnet34", BasicBlock, (3, 4, 6, 3), weights, options)


def resnet50(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-50, 26 million parameters."""
    return _resnet("resnet50", Bottleneck, (3, 4, 6, 3), weights, options)


def resnet101(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-101, 45 million parameters."""
    return _resnet("resnet101", Bottleneck, (3, 4, 23, 3), weights, options)


def resnet152(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-152, 60 million parameters."""
    return _resnet("resnet152", Bottleneck, (3, 8, 36, 3), weights, options)


def resnext50_32x4d(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNeXt-50 of 32 groups of 4 channels, 25 million parameters."""
    options = {"groups": 32, "width_per_group": 4, **options}
    return _resnet("resnext50_32x4d", Bottleneck, (3, 4, 6, 3), weights, options)


def resnext101_32x8d(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNeXt-101 of 32 groups of 8 channels, 89 million parameters."""
    options = {"groups": 32, "width_per_group": 8, **options}
    return _resnet("resnext101_32x8d", Bottleneck, (3, 4, 23, 3), weights, options)


def resnext101_64x4d(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNeXt-101 of 64 groups of 4 channels, 83 million parameters."""
    options = {"groups": 64, "width_per_group": 4, **options}
    return _resnet("resnext101_64x4d", Bottleneck, (3, 4, 23, 3), weights, options)


def wide_resnet50_2(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-50 with bottlenecks twice as wide, 69 million parameters."""
    options = {"width_per_group": 128, **options}
    return _resnet("wide_resnet50_2", Bottleneck, (3, 4, 6, 3), weights, options)


def wide_resnet101_2(*, weights: Any = None, progress: bool = True, **options: Any) -> ResNet:
    """ResNet-101 with bottlenecks twice as wide, 127 million parameters."""
    options = {"width_per_group": 128, **options}
    return _resnet("wide_resnet101_2", Bottleneck, (3, 4, 23, 3), weights, options)

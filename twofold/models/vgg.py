"""VGG: Simonyan and Zisserman, Very Deep Convolutional Networks, 2015."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..tensor import Tensor
from .blocks import fan_out, initialize, normal
from .weights import pretrained

_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


def _features(depth: int, batch_norm: bool) -> nn.Sequential:
    """3x3 convolutions in five stages, each of which ends with a pooling."""
    layers: list[nn.Module] = []
    n_in = 3
    for n_layers, width in zip(_DEPTHS[depth], _WIDTHS, strict=True):
        for _ in range(n_layers):
            layers.append(nn.Conv2d(n_in, width, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            n_in = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """Convolutional `features`, then three linear layers."""

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout(dropout),
            nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )  # fmt: skip
        if init_weights:
            initialize(self, fan_out, normal(0.01))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _vgg(name: str, depth: int, batch_norm: bool, weights: Any, options: dict[str, Any]) -> VGG:
    if weights is not None:
        options.setdefault("init_weights", False)
    return pretrained(VGG(_features(depth, batch_norm), **options), name, weights)


def vgg11(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG with 11 layers, 133 million parameters."""
    return _vgg("vgg11", 11, False, weights, options)


def vgg11_bn(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG with 11 layers and batch norm."""
    return _vgg("vgg11_bn", 11, True, weights, options)


def vgg13(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG with 13 layers, 133 million parameters."""
    return _vgg("vgg13", 13, False, weights, options)


def vgg13_bn(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG with 13 layers and batch norm."""
    return _vgg("vgg13_bn", 13, True, weights, options)


def vgg16(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG with 16 layers, 138 million parameters."""
    return _vgg("vgg16", 16, False, weights, options)


def vgg16_bn(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG with 16 layers and batch norm."""
    return _vgg("vgg16_bn", 16, True, weights, options)


def vgg19(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG with 19 layers, 144 million parameters."""
    return _vgg("vgg19", 19, False, weights, options)


def vgg19_bn(*, weights: Any = None, progress: bool = True, **options: Any) -> VGG:
    """VGG with 19 layers and batch norm."""
    return _vgg("vgg19_bn", 19, True, weights, options)

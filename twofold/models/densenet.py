"""DenseNet: Huang et al., Densely Connected Convolutional Networks, 2017."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from .. import nn
from ..functions.shape import cat
from ..tensor import Tensor
from .blocks import initialize
from .weights import pretrained


class DenseLayer(nn.Module):
    """Norm, ReLU and a 1x1 convolution, then the same with a 3x3 one, of all features so far."""

    def __init__(self, n_in: int, growth: int, bn_size: int, drop_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(n_in)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(n_in, bn_size * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth, growth, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(drop_rate) if drop_rate else None

    def forward(self, x: Tensor) -> Tensor:
        """`growth` new features."""
        x = self.conv1(self.relu1(self.norm1(x)))
        x = self.conv2(self.relu2(self.norm2(x)))
        return x if self.dropout is None else self.dropout(x)


class DenseBlock(nn.ModuleDict):
    """Layers each of which sees the block's input and all layers before it."""

    def __init__(
        self, n_layers: int, n_in: int, growth: int, bn_size: int, drop_rate: float
    ) -> None:
        super().__init__(
            {
                f"denselayer{i + 1}": DenseLayer(n_in + i * growth, growth, bn_size, drop_rate)
                for i in range(n_layers)
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """The input and all new features."""
        features = [x]
        for layer in self.values():
            features.append(layer(features[0] if len(features) == 1 else cat(features, 1)))
        return cat(features, 1)


class DenseNet(nn.Module):
    """`block_config` has the number of layers in each block."""

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        n = num_init_features
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, n, 7, 2, 3, bias=False), norm0=nn.BatchNorm2d(n),
            relu0=nn.ReLU(inplace=True), pool0=nn.MaxPool2d(3, 2, 1),
        )  # fmt: skip
        for i, n_layers in enumerate(block_config):
            layers[f"denseblock{i + 1}"] = DenseBlock(n_layers, n, growth_rate, bn_size, drop_rate)
            n += n_layers * growth_rate
            if i + 1 < len(block_config):
                layers[f"transition{i + 1}"] = nn.Sequential(
                    OrderedDict(
                        norm=nn.BatchNorm2d(n), relu=nn.ReLU(inplace=True),
                        conv=nn.Conv2d(n, n // 2, 1, bias=False), pool=nn.AvgPool2d(2, 2),
                    )
                )  # fmt: skip
                n //= 2
        layers["norm5"] = nn.BatchNorm2d(n)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(n, num_classes)
        initialize(self, nn.init.kaiming_normal_)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        return self.classifier(self.features(x).relu().mean((2, 3)))


def _renamed(key: str) -> str:
    """Files of torchvision's first versions say `norm.1` for `norm1`."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", key)


def _densenet(name: str, weights: Any, options: dict[str, Any], **own: Any) -> DenseNet:
    return pretrained(DenseNet(**{**own, **options}), name, weights, _renamed)


def densenet121(*, weights: Any = None, progress: bool = True, **options: Any) -> DenseNet:
    """DenseNet-121, 8 million parameters."""
    return _densenet("densenet121", weights, options)


def densenet161(*, weights: Any = None, progress: bool = True, **options: Any) -> DenseNet:
    """DenseNet-161, 29 million parameters."""
    own = {"growth_rate": 48, "block_config": (6, 12, 36, 24), "num_init_features": 96}
    return _densenet("densenet161", weights, options, **own)


def densenet169(*, weights: Any = None, progress: bool = True, **options: Any) -> DenseNet:
    """DenseNet-169, 14 million parameters."""
    return _densenet("densenet169", weights, options, block_config=(6, 12, 32, 32))


def densenet201(*, weights: Any = None, progress: bool = True, **options: Any) -> DenseNet:
    """DenseNet-201, 20 million parameters."""
    return _densenet("densenet201", weights, options, block_config=(6, 12, 48, 32))

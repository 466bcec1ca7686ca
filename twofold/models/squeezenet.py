"""SqueezeNet: Iandola et al., AlexNet-level accuracy with 50x fewer parameters, 2016."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..functions.shape import cat
from ..tensor import Tensor
from .blocks import fan_in, initialize
from .weights import pretrained


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then a 1x1 and a 3x3 one side by side."""

    def __init__(self, n_in: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(n_in, squeeze, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Twice `expand` channels."""
        x = self.squeeze_activation(self.squeeze(x))
        one = self.expand1x1_activation(self.expand1x1(x))
        three = self.expand3x3_activation(self.expand3x3(x))
        return cat([one, three], 1)


_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
# The first layer's channels and kernel, and before which blocks there is a pooling.
_VERSIONS = {"1_0": (96, 7, (0, 3, 7)), "1_1": (64, 3, (0, 2, 4))}


class SqueezeNet(nn.Module):
    """A convolution, eight `Fire` blocks, and a 1x1 convolution to the classes."""

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        if version not in _VERSIONS:
            raise ValueError(f"[SqueezeNet] the versions are 1_0 and 1_1; got {version!r}")
        n_in, kernel, pools = _VERSIONS[version]
        layers: list[nn.Module] = [nn.Conv2d(3, n_in, kernel, 2), nn.ReLU(inplace=True)]
        for index, (squeeze, expand) in enumerate(_FIRES):
            if index in pools:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            layers.append(Fire(n_in, squeeze, expand))
            n_in = 2 * expand
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(n_in, num_classes, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        initialize(self, fan_in)
        nn.init.normal_(last.weight, 0.0, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        return self.classifier(self.features(x)).flatten(1)


def squeezenet1_0(*, weights: Any = None, progress: bool = True, **options: Any) -> SqueezeNet:
    """SqueezeNet 1.0, 1.2 million parameters."""
    return pretrained(SqueezeNet("1_0", **options), "squeezenet1_0", weights)


def squeezenet1_1(*, weights: Any = None, progress: bool = True, **options: Any) -> SqueezeNet:
    """SqueezeNet 1.1, as accurate with 2.4 times fewer operations."""
    return pretrained(SqueezeNet("1_1", **options), "squeezenet1_1", weights)

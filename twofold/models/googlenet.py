"""GoogLeNet: Szegedy et al., Going Deeper with Convolutions, 2015, with batch norm."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import nn
from ..functions.shape import cat
from ..tensor import Tensor
from .blocks import initialize, truncated
from .inception import BasicConv2d, as_trained_by_google
from .weights import pretrained


class GoogLeNetOutputs(NamedTuple):
    """Scores in training: the last ones, and those of the two auxiliary classifiers."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class Inception(nn.Module):
    """A 1x1 convolution, two 3x3 ones after 1x1 ones, and a pooling, side by side."""

    def __init__(
        self, n_in: int, one: int, three_in: int, three: int, five_in: int, five: int, pool: int
    ) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(n_in, one, 1)
        self.branch2 = nn.Sequential(
            BasicConv2d(n_in, three_in, 1), BasicConv2d(three_in, three, 3, padding=1)
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(n_in, five_in, 1), BasicConv2d(five_in, five, 3, padding=1)
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, 1, 1, ceil_mode=True), BasicConv2d(n_in, pool, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The branches' channels."""
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A classifier of features within the net, for its gradients."""

    def __init__(self, n_in: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d((4, 4))
        self.conv = BasicConv2d(n_in, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.conv(self.pool(x)).flatten(1)
        return self.fc2(self.dropout(self.fc1(x).relu()))


class GoogLeNet(nn.Module):
    """In training with `aux_logits` the output is a `GoogLeNetOutputs`."""

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__()
        self.aux_logits, self.transform_input = aux_logits, transform_input
        self.conv1 = BasicConv2d(3, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights:
            initialize(self, truncated(0.01), truncated(0.01))

    def forward(self, x: Tensor) -> Any:
        """(N, 3, H, W) to (N, classes)."""
        if self.transform_input:
            x = as_trained_by_google(x)
        x = self.conv3(self.conv2(self.maxpool1(self.conv1(x))))
        x = self.maxpool3(self.inception3b(self.inception3a(self.maxpool2(x))))
        x = self.inception4a(x)
        first = self.aux1(x) if self.training and self.aux1 is not None else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        second = self.aux2(x) if self.training and self.aux2 is not None else None
        x = self.maxpool4(self.inception4e(x))
        x = self.avgpool(self.inception5b(self.inception5a(x))).flatten(1)
        x = self.fc(self.dropout(x))
        if self.training and self.aux_logits:
            return GoogLeNetOutputs(x, second, first)
        return x


def googlenet(*, weights: Any = None, progress: bool = True, **options: Any) -> GoogLeNet:
    """GoogLeNet, 6.6 million parameters (13 million with the auxiliary classifiers)."""
    if weights is None:
        return GoogLeNet(**options)
    given = {"transform_input": True, "init_weights": False, **options, "aux_logits": True}
    model = pretrained(GoogLeNet(**given), "googlenet", weights)
    if not options.get("aux_logits", False):
        model.aux_logits, model.aux1, model.aux2 = False, None, None
    return model

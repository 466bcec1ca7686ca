"""Inception v3: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from .. import nn
from ..functions.shape import cat
from ..nn import functional as F
from ..tensor import Tensor
from .blocks import initialize, truncated
from .weights import pretrained


class BasicConv2d(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, n_in: int, n_out: int, kernel_size: Any, **options: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel_size, bias=False, **options)
        self.bn = nn.BatchNorm2d(n_out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """The activations."""
        return self.bn(self.conv(x)).relu()


def as_trained_by_google(x: Tensor) -> Tensor:
    """Images normed by the data set's statistics, as ones normed to the range from -1 to 1."""
    channels = [
        x[:, i : i + 1] * (std / 0.5) + (mean - 0.5) / 0.5
        for i, (mean, std) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225)))
    ]
    return cat(channels, 1)


_tall = partial(BasicConv2d, kernel_size=(7, 1), padding=(3, 0))
_wide = partial(BasicConv2d, kernel_size=(1, 7), padding=(0, 3))
_three = partial(BasicConv2d, kernel_size=3, padding=1)


class InceptionA(nn.Module):
    """1x1, 5x5, double 3x3 and pooling, side by side."""

    def __init__(self, n_in: int, pool_features: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(n_in, 64, 1)
        self.branch5x5_1 = BasicConv2d(n_in, 48, 1)
        self.branch5x5_2 = BasicConv2d(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = BasicConv2d(n_in, 64, 1)
        self.branch3x3dbl_2 = _three(64, 96)
        self.branch3x3dbl_3 = _three(96, 96)
        self.branch_pool = BasicConv2d(n_in, pool_features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The branches' channels."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pool = self.branch_pool(F.avg_pool2d(x, 3, 1, 1))
        return cat([self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, pool], 1)


class InceptionB(nn.Module):
    """Half the size: 3x3, double 3x3 and pooling, each of stride 2, side by side."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.branch3x3 = BasicConv2d(n_in, 384, 3, stride=2)
        self.branch3x3dbl_1 = BasicConv2d(n_in, 64, 1)
        self.branch3x3dbl_2 = _three(64, 96)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """The branches' channels."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class InceptionC(nn.Module):
    """1x1, 7x7 as rows and columns once and twice, and pooling, side by side."""

    def __init__(self, n_in: int, n: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(n_in, 192, 1)
        self.branch7x7_1 = BasicConv2d(n_in, n, 1)
        self.branch7x7_2 = _wide(n, n)
        self.branch7x7_3 = _tall(n, 192)
        self.branch7x7dbl_1 = BasicConv2d(n_in, n, 1)
        self.branch7x7dbl_2 = _tall(n, n)
        self.branch7x7dbl_3 = _wide(n, n)
        self.branch7x7dbl_4 = _tall(n, n)
        self.branch7x7dbl_5 = _wide(n, 192)
        self.branch_pool = BasicConv2d(n_in, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The branches' channels."""
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        pool = self.branch_pool(F.avg_pool2d(x, 3, 1, 1))
        return cat([self.branch1x1(x), once, twice, pool], 1)


class InceptionD(nn.Module):
    """Half the size: 3x3, 7x7 before 3x3, and pooling, side by side."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.branch3x3_1 = BasicConv2d(n_in, 192, 1)
        self.branch3x3_2 = BasicConv2d(192, 320, 3, stride=2)
        self.branch7x7x3_1 = BasicConv2d(n_in, 192, 1)
        self.branch7x7x3_2 = _wide(192, 192)
        self.branch7x7x3_3 = _tall(192, 192)
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """The branches' channels."""
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        three = self.branch3x3_2(self.branch3x3_1(x))
        return cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, 2)], 1)


class InceptionE(nn.Module):
    """1x1, and 3x3 once and twice, each as a row and a column side by side, and pooling."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        row = partial(BasicConv2d, kernel_size=(1, 3), padding=(0, 1))
        column = partial(BasicConv2d, kernel_size=(3, 1), padding=(1, 0))
        self.branch1x1 = BasicConv2d(n_in, 320, 1)
        self.branch3x3_1 = BasicConv2d(n_in, 384, 1)
        self.branch3x3_2a = row(384, 384)
        self.branch3x3_2b = column(384, 384)
        self.branch3x3dbl_1 = BasicConv2d(n_in, 448, 1)
        self.branch3x3dbl_2 = _three(448, 384)
        self.branch3x3dbl_3a = row(384, 384)
        self.branch3x3dbl_3b = column(384, 384)
        self.branch_pool = BasicConv2d(n_in, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The branches' channels."""
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [
            self.branch1x1(x), self.branch3x3_2a(once), self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice),
            self.branch_pool(F.avg_pool2d(x, 3, 1, 1)),
        ]  # fmt: skip
        return cat(branches, 1)


class InceptionAux(nn.Module):
    """A classifier of features within the net, for its gradients."""

    def __init__(self, n_in: int, num_classes: int) -> None:
        super().__init__()
        self.conv0 = BasicConv2d(n_in, 128, 1)
        self.conv1 = BasicConv2d(128, 768, 5)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        x = self.conv1(self.conv0(F.avg_pool2d(x, 5, 3)))
        return self.fc(x.mean((2, 3)))


class InceptionOutputs(NamedTuple):
    """Scores in training: the last ones, and those of the auxiliary classifier."""

    logits: Tensor
    aux_logits: Tensor | None


class Inception3(nn.Module):
    """For images of 299 by 299. In training with `aux_logits` it gives `InceptionOutputs`."""

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.aux_logits, self.transform_input = aux_logits, transform_input
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3)
        self.Conv2d_2b_3x3 = _three(32, 64)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, 128)
        self.Mixed_6c = InceptionC(768, 160)
        self.Mixed_6d = InceptionC(768, 160)
        self.Mixed_6e = InceptionC(768, 192)
        self.AuxLogits = InceptionAux(768, num_classes) if aux_logits else None
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)
        if init_weights:
            initialize(self, truncated(0.1), truncated(0.1))
            if self.AuxLogits is not None:
                nn.init.trunc_normal_(self.AuxLogits.conv1.conv.weight, std=0.01)
                nn.init.trunc_normal_(self.AuxLogits.fc.weight, std=0.001)

    def forward(self, x: Tensor) -> Any:
        """(N, 3, 299, 299) to (N, classes)."""
        if self.transform_input:
            x = as_trained_by_google(x)
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        aux = None
        if self.training and self.AuxLogits is not None:
            aux = self.AuxLogits(x)
        x = self.avgpool(self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))))
        x = self.fc(self.dropout(x).flatten(1))
        if self.training and self.aux_logits:
            return InceptionOutputs(x, aux)
        return x


def inception_v3(*, weights: Any = None, progress: bool = True, **options: Any) -> Inception3:
    """Inception v3, 24 million parameters (27 million with the auxiliary classifier)."""
    if weights is None:
        return Inception3(**options)
    given = {"transform_input": True, "init_weights": False, **options, "aux_logits": True}
    model = pretrained(Inception3(**given), "inception_v3", weights)
    if not options.get("aux_logits", True):
        model.aux_logits, model.AuxLogits = False, None
    return model

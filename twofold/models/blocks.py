"""Parts that several architectures share, and how their weights begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import nn
from ..creation import full
from ..functions.random import bernoulli
from ..tensor import Tensor

Layer = Callable[..., nn.Module]


def divisible(value: float, divisor: int = 8) -> int:
    """`value` rounded to a multiple of `divisor`, but not down by more than a tenth.

    >>> divisible(33), divisible(10.5), divisible(24)
    (32, 16, 24)
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class ConvNorm(nn.Sequential):
    """Convolution without bias that keeps the size (but for the stride), norm, activation."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm: Layer = nn.BatchNorm2d,
        activation: Layer | None = nn.ReLU,
    ) -> None:
        layers = [
            nn.Conv2d(
                n_in, n_out, kernel_size, stride, (kernel_size - 1) // 2, groups=groups, bias=False
            ),
            norm(n_out),
        ]
        if activation is not None:
            layers.append(activation(inplace=True))
        super().__init__(*layers)


class SqueezeExcitation(nn.Module):
    """y = x * s(x), a factor a channel computed from the means of all channels.

    Hu et al., Squeeze-and-Excitation Networks, 2018.
    """

    def __init__(
        self, n: int, n_squeezed: int, activation: Layer = nn.ReLU, scale: Layer = nn.Sigmoid
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(n, n_squeezed, 1)
        self.fc2 = nn.Conv2d(n_squeezed, n, 1)
        self.activation = activation()
        self.scale_activation = scale()

    def forward(self, x: Tensor) -> Tensor:
        """The scaled channels."""
        s = self.activation(self.fc1(self.avgpool(x)))
        return x * self.scale_activation(self.fc2(s))


class StochasticDepth(nn.Module):
    """In training, zero whole samples of a residual branch with probability p and scale the rest.

    Huang et al., Deep Networks with Stochastic Depth, 2016.
    """

    def __init__(self, p: float, mode: str = "row") -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"[StochasticDepth] p must lie between 0 and 1; got {p}")
        if mode not in ("row", "batch"):
            raise ValueError(f"[StochasticDepth] mode must be 'row' or 'batch'; got {mode!r}")
        self.p, self.mode = p, mode

    def forward(self, x: Tensor) -> Tensor:
        """The branch, dropped or scaled."""
        if not self.training or self.p == 0:
            return x
        rows = x.shape[0] if self.mode == "row" else 1
        kept = bernoulli(full((rows,) + (1,) * (x.ndim - 1), 1 - self.p, dtype=x.dtype))
        return x * (kept / (1 - self.p) if self.p < 1 else kept)

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of images."""

    def forward(self, x: Tensor) -> Tensor:
        """The normed images, in the input's layout."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Permute(nn.Module):
    """y = x with its axes in another order."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        """The view."""
        return x.permute(self.dims)


def initialize(
    model: nn.Module,
    conv: Callable[[Tensor], Any] | None = None,
    linear: Callable[[Tensor], Any] | None = None,
) -> None:
    """Let the weights of convolutions and linear layers begin as told, with biases of 0, and norms
    as the identity."""
    for module in model.modules():
        rule = None
        if isinstance(module, nn.Conv2d):
            rule = conv
        elif isinstance(module, nn.Linear):
            rule = linear
        if rule is not None:
            rule(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def fan_out(weight: Tensor) -> None:
    """He's normal distribution by the number of outputs, as convolutions before ReLU begin."""
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def fan_in(weight: Tensor) -> None:
    """He's uniform distribution by the number of inputs."""
    nn.init.kaiming_uniform_(weight)


def normal(std: float) -> Callable[[Tensor], None]:
    """A normal distribution of this width."""

    def fill(weight: Tensor) -> None:
        nn.init.normal_(weight, 0.0, std)

    return fill


def truncated(std: float) -> Callable[[Tensor], None]:
    """A normal distribution of this width, cut off at -2 and 2."""

    def fill(weight: Tensor) -> None:
        nn.init.trunc_normal_(weight, std=std)

    return fill

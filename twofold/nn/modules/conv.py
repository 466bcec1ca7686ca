"""Convolutions and transposed convolutions."""

from __future__ import annotations

import math
from typing import Any

from ...creation import empty
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..parameter import Parameter, UninitializedParameter, is_lazy
from .module import Module
from .utils import _ntuple, reversed_twice

_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions share; `rank` is the number of axes of space."""

    rank = 0
    transposed = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any,
        dilation: Any, output_padding: Any, groups: int, bias: bool, padding_mode: str,
        device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        spread = _ntuple(self.rank)
        self.kernel_size, self.stride, self.dilation = map(spread, (kernel_size, stride, dilation))
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(
                    f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}"
                )
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
            self.padding: Any = padding
        else:
            self.padding = spread(padding)
        if padding_mode not in _MODES:
            raise ValueError(
                f"padding_mode must be one of {set(_MODES)}, but got padding_mode='{padding_mode}'"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.output_padding = spread(output_padding)
        self.groups = groups
        self.padding_mode = padding_mode
        self.weight = Parameter(empty(*self._weight_shape(), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self._reversed_padding_repeated_twice = self._around()
        self.reset_parameters()

    def _weight_shape(self) -> tuple[int, ...]:
        if self.transposed:
            return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def _around(self) -> list[int]:
        """Paddings for `F.pad`, of modes other than zeros."""
        if not isinstance(self.padding, str):
            return reversed_twice(self.padding)
        if self.padding == "valid":
            return [0, 0] * self.rank
        widths = []
        for k, d in reversed(list(zip(self.kernel_size, self.dilation))):
            total = d * (k - 1)
            widths += [total // 2, total - total // 2]
        return widths

    def reset_parameters(self) -> None:
        """Weight and bias uniform on [-1 / sqrt(fan_in), 1 / sqrt(fan_in)]."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init.fans(self.weight)
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """Channels, sizes and the options that are set."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        zeros, ones = (0,) * self.rank, (1,) * self.rank
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_ConvNd):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        convolve = _CONVOLUTIONS[self.rank]
        if self.padding_mode == "zeros":
            return convolve(
                input, weight, bias, self.stride, self.padding, self.dilation, self.groups
            )
        padded = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
        return convolve(padded, weight, bias, self.stride, 0, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of (N, C, ...) or (C, ...)."""
        return self._conv_forward(input, self.weight, self.bias)


class _ConvTransposeNd(_ConvNd):
    transposed = True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, output_padding: Any = 0, groups: int = 1, bias: bool = True,
        dilation: Any = 1, padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding,
            groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _missing_size(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output_padding that gives `output_size`. ValueError if there is none."""
        if output_size is None:
            return self.output_padding
        rank = self.rank
        n_lead = input.dim() - rank
        wanted = list(output_size)[-rank:] if len(output_size) != rank else list(output_size)
        if len(output_size) not in (rank, n_lead + rank):
            raise ValueError(
                f"ConvTranspose{rank}D: for {input.dim()}D input, output_size must have {rank} or "
                f"{n_lead + rank} elements (got {len(output_size)})"
            )
        least = [
            (input.size(n_lead + a) - 1) * self.stride[a] - 2 * self.padding[a]
            + self.dilation[a] * (self.kernel_size[a] - 1) + 1
            for a in range(rank)
        ]  # fmt: skip
        most = [n + s - 1 for n, s in zip(least, self.stride)]
        if any(not lo <= n <= hi for n, lo, hi in zip(wanted, least, most)):
            raise ValueError(
                f"requested an output size of {wanted}, but valid sizes range from {least} to "
                f"{most} (for an input of {list(input.shape[n_lead:])})"
            )
        return tuple(n - lo for n, lo in zip(wanted, least))

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """The transposed convolution of (N, C, ...) or (C, ...)."""
        return _TRANSPOSED[self.rank](
            input, self.weight, self.bias, self.stride, self.padding,
            self._missing_size(input, output_size), self.groups, self.dilation,
        )  # fmt: skip


_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class Conv1d(_Conv):
    """Convolution of (N, C, L)."""

    rank = 1


class Conv2d(_Conv):
    """Convolution of (N, C, H, W)."""

    rank = 2


class Conv3d(_Conv):
    """Convolution of (N, C, D, H, W)."""

    rank = 3


class ConvTranspose1d(_ConvTransposeNd):
    """Transposed convolution of (N, C, L)."""

    rank = 1


class ConvTranspose2d(_ConvTransposeNd):
    """Transposed convolution of (N, C, H, W)."""

    rank = 2


class ConvTranspose3d(_ConvTransposeNd):
    """Transposed convolution of (N, C, D, H, W)."""

    rank = 3


class _LazyConv(_ConvNd):
    """A convolution that learns in_channels from its first input."""

    def __init__(self, out_channels: int, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
        names = _TRANSPOSED_NAMES if self.transposed else _NAMES
        options = dict(zip(names, args)) | kwargs
        bias, dtype = options.pop("bias", True), options.get("dtype")
        super().__init__(0, 0, kernel_size, bias=False, **options)
        self.out_channels = out_channels
        self.weight = UninitializedParameter(dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(dtype=dtype)

    def reset_parameters(self) -> None:
        """As the convolution, once there are sizes."""
        if not is_lazy(self.weight) and self.in_channels:
            super().reset_parameters()

    def forward(self, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The convolution of (N, C, ...) or (C, ...)."""
        if is_lazy(self.weight):
            self.in_channels = input.size(-self.rank - 1)
            self.weight.materialize(self._weight_shape())
            if self.bias is not None:
                self.bias.materialize((self.out_channels,))
            self.reset_parameters()
        return super().forward(input, *args, **kwargs)


_NAMES = ("stride", "padding", "dilation", "groups", "bias", "padding_mode", "device", "dtype")
_TRANSPOSED_NAMES = (
    "stride", "padding", "output_padding", "groups", "bias", "dilation", "padding_mode", "device",
    "dtype",
)  # fmt: skip


class LazyConv1d(_LazyConv, Conv1d):
    """A `Conv1d` that learns in_channels from its first input."""


class LazyConv2d(_LazyConv, Conv2d):
    """A `Conv2d` that learns in_channels from its first input."""


class LazyConv3d(_LazyConv, Conv3d):
    """A `Conv3d` that learns in_channels from its first input."""


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """A `ConvTranspose1d` that learns in_channels from its first input."""


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """A `ConvTranspose2d` that learns in_channels from its first input."""


class LazyConvTranspose3d(_LazyConv, ConvTranspose3d):
    """A `ConvTranspose3d` that learns in_channels from its first input."""

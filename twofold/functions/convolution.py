"""Convolutions and transposed convolutions of one, two and three spatial axes.

Programs hold images as (N, C, *S) and weights as (O, C / groups, *K); the primitives are channels
last, so each is wrapped in permutes, which the layout pass moves and cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..graph.node import Node
from ..ops import contract
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..tensor import NAMES, Tensor, wrap
from ._registry import function
from .casting import in_low_precision

AXIS_NAMES = ("depth", "height", "width")


def channels_last(x: Node) -> Node:
    """(N, C, *S) as (N, *S, C)."""
    return mv.permute(x, (0, *range(2, len(x.shape)), 1))


def channels_first(x: Node) -> Node:
    """(N, *S, C) as (N, C, *S)."""
    last = len(x.shape) - 1
    return mv.permute(x, (0, last, *range(1, last)))


def per_axis(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """One number for each spatial axis, from a number or a sequence of one or `rank` of them."""
    if isinstance(value, int):
        return (value,) * rank
    numbers = tuple(int(n) for n in value)
    if len(numbers) == 1:
        return numbers * rank
    if len(numbers) != rank:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {rank} values to match the "
            f"convolution dimensions, but got {name}={list(numbers)}"
        )
    return numbers


def batched(input: Tensor, rank: int, name: str) -> tuple[Node, bool]:
    """The input with a batch axis, and whether it had one."""
    x = input._node()
    if len(x.shape) not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, but got "
            f"input of size: {list(x.shape)}"
        )
    if len(x.shape) == rank + 2:
        return x, True
    return mv.reshape(x, (1, *x.shape)), False


def _require_positive(stride: Sequence[int], dilation: Sequence[int], groups: int) -> None:
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if any(n <= 0 for n in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(n <= 0 for n in dilation):
        raise RuntimeError(f"dilation should be greater than zero, but got {list(dilation)}")


def _require_dtypes(x: Node, w: Node, bias: Tensor | None) -> None:
    if x.dtype is not w.dtype:
        raise RuntimeError(f"expected scalar type {NAMES[x.dtype]} but found {NAMES[w.dtype]}")
    if bias is not None and bias.dtype is not x.dtype:
        raise RuntimeError(
            f"Input type ({NAMES[x.dtype].lower()}) and bias type ({NAMES[bias.dtype].lower()}) "
            "should be the same"
        )


def _with_bias(y: Node, bias: Tensor | None, weight: Node, channels: int, kind: str) -> Node:
    """y (N, *S, O) + bias (O)."""
    if bias is None:
        return y
    b = bias._node()
    if b.shape != (channels,):
        raise RuntimeError(
            f"Given {kind}weight of size {list(weight.shape)}, expected bias to be 1-dimensional "
            f"with {channels} elements, but got bias of size {list(b.shape)} instead"
        )
    return ew.add(y, b)


def _require_weight(w: Node, rank: int, groups: int, name: str) -> None:
    if len(w.shape) != rank + 2:
        raise RuntimeError(
            f"expected a {rank + 2}-dimensional weight for {name}, but got weight of size "
            f"{list(w.shape)}"
        )
    if w.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {list(w.shape)} instead"
        )
    if w.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{list(w.shape)}] instead"
        )


def _padding(
    padding: Any, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> contract.Padding:
    """(before, after) of each axis, from numbers, "valid" or "same"."""
    rank = len(kernel)
    if padding == "valid":
        return ((0, 0),) * rank
    if padding == "same":
        if any(s != 1 for s in stride):
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return tuple((t // 2, t - t // 2) for t in totals)
    if isinstance(padding, str):
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    numbers = per_axis(padding, rank, "padding")
    if any(n < 0 for n in numbers):
        raise RuntimeError("negative padding is not supported")
    return tuple((n, n) for n in numbers)


def _sizes_text(sizes: Sequence[int]) -> str:
    return "(" + " x ".join(map(str, sizes)) + ")"


def _convolution(
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    x, is_batched = batched(input, rank, f"conv{rank}d")
    w = weight._node()
    strides = per_axis(stride, rank, "stride")
    dilations = per_axis(dilation, rank, "dilation")
    _require_positive(strides, dilations, groups)
    _require_dtypes(x, w, bias)
    _require_weight(w, rank, groups, f"conv{rank}d")
    kernel = w.shape[2:]
    widths = _padding(padding, kernel, strides, dilations)
    if x.shape[1] != w.shape[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(w.shape)}, expected "
            f"input{list(x.shape)} to have {w.shape[1] * groups} channels, but got {x.shape[1]} "
            "channels instead"
        )
    padded = [n + lo + hi for n, (lo, hi) in zip(x.shape[2:], widths)]
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations)]
    if any(n < r for n, r in zip(padded, reach)):
        raise RuntimeError(
            f"Calculated padded input size per channel: {_sizes_text(padded)}. Kernel size: "
            f"{_sizes_text(reach)}. Kernel size can't be greater than actual input size"
        )
    y = contract.conv(channels_last(x), channels_last(w), strides, widths, dilations, groups)
    y = channels_first(_with_bias(y, bias, w, w.shape[0], ""))
    return wrap(y if is_batched else mv.reshape(y, y.shape[1:]))


def _transposed(
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    name = f"conv_transpose{rank}d"
    if isinstance(padding, str):
        raise TypeError(f"{name}(): argument 'padding' must be tuple of ints, not str")
    x, is_batched = batched(input, rank, name)
    w = weight._node()
    strides = per_axis(stride, rank, "stride")
    dilations = per_axis(dilation, rank, "dilation")
    extra = per_axis(output_padding, rank, "output_padding")
    _require_positive(strides, dilations, groups)
    _require_dtypes(x, w, bias)
    _require_weight(w, rank, groups, name)
    kernel = w.shape[2:]
    widths = [lo for lo, _ in _padding(padding, kernel, strides, dilations)]
    if x.shape[1] != w.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(w.shape)}, expected input{list(x.shape)} to "
            f"have {w.shape[0]} channels, but got {x.shape[1]} channels instead"
        )
    _require_output_padding(extra, strides, dilations)
    # All that the input reaches, without what padding cuts; output padding wins back from the end
    # what was cut there, and what is beyond is zeros.
    reached = [
        (n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(x.shape[2:], kernel, strides, dilations)
    ]
    cuts = tuple((p, max(p - e, 0)) for p, e in zip(widths, extra))
    beyond = [max(e - p, 0) for p, e in zip(widths, extra)]
    spatial = tuple(n - lo - hi for n, (lo, hi) in zip(reached, cuts))
    if any(n + b < 1 for n, b in zip(spatial, beyond)):
        raise RuntimeError(
            f"Given input size per channel: {_sizes_text(x.shape[2:])}. Calculated output size per "
            f"channel: {_sizes_text([n + b for n, b in zip(spatial, beyond)])}. Output size is too "
            "small"
        )
    y = contract.conv_input(
        channels_last(x), channels_last(w), spatial, strides, cuts, dilations, groups
    )
    y = mv.pad(y, ((0, 0), *((0, b) for b in beyond), (0, 0)))
    y = channels_first(_with_bias(y, bias, w, w.shape[1] * groups, "transposed=1, "))
    return wrap(y if is_batched else mv.reshape(y, y.shape[1:]))


def _require_output_padding(
    extra: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> None:
    if any(e < 0 for e in extra):
        raise RuntimeError("negative output_padding is not supported")
    if all(e < s or e < d for e, s, d in zip(extra, strides, dilations)):
        return
    names = AXIS_NAMES[len(AXIS_NAMES) - len(extra) :]
    got = " ".join(
        f"{what}_{axis}: {n}"
        for what, numbers in (
            ("output_padding", extra),
            ("stride", strides),
            ("dilation", dilations),
        )
        for axis, n in zip(names, numbers)
    )
    raise RuntimeError(
        f"output padding must be smaller than either stride or dilation, but got {got}"
    )


_CONV = """y[n, o, s] = bias[o] + the sum of x[n, c, s stride + k dilation - padding] w[o, c, k].

    input (N, C, {axes}) or (C, {axes}); weight (O, C / groups, {kernel}); bias (O). `padding` is a
    number, one for each axis, "valid" or "same". RuntimeError where shapes do not fit.
    """

_TRANSPOSED = """The gradient of conv{rank}d for its input, as a function of input and weight.

    input (N, C, {axes}) or (C, {axes}); weight (C, O / groups, {kernel}); bias (O). An output axis
    is (n - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1 long. RuntimeError where
    shapes do not fit.
    """


def _define(rank: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """convNd and conv_transposeNd."""

    def conv(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        return _convolution(rank, input, weight, bias, stride, padding, dilation, groups)

    def conv_transpose(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        return _transposed(
            rank, input, weight, bias, stride, padding, output_padding, groups, dilation
        )

    text = {
        "rank": rank,
        "axes": ", ".join(("D", "H", "W")[3 - rank :]),
        "kernel": ", ".join(("kD", "kH", "kW")[3 - rank :]),
    }
    for f, name, doc in (
        (conv, f"conv{rank}d", _CONV),
        (conv_transpose, f"conv_transpose{rank}d", _TRANSPOSED),
    ):
        f.__name__ = f.__qualname__ = name
        f.__doc__ = doc.format(**text)
    conv, conv_transpose = in_low_precision(conv), in_low_precision(conv_transpose)
    for f in (conv, conv_transpose):
        function(f.__name__)(f)
    return conv, conv_transpose


conv1d, conv_transpose1d = _define(1)
conv2d, conv_transpose2d = _define(2)
conv3d, conv_transpose3d = _define(3)

"""Activations, element by element, and those over an axis."""

from __future__ import annotations

import math
from typing import Any

from ...creation import arange
from ...dtypes import DType
from ...functions import pointwise, reduction
from ...functions.casting import in_low_precision, rounded_once
from ...functions.pointwise import where
from ...functions.random import rand
from ...tensor import Tensor, wrap_dim


def _result(input: Tensor, y: Tensor, inplace: bool) -> Tensor:
    """y, or `input` with y written to it."""
    return input.copy_(y) if inplace else y


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return _result(input, input.relu(), inplace)


def relu_(input: Tensor) -> Tensor:
    """`relu`, written to input."""
    return relu(input, True)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value."""
    return _result(input, where(input > threshold, input, value), inplace)


def threshold_(input: Tensor, threshold_: float, value: float) -> Tensor:
    """`threshold`, written to input."""
    return threshold(input, threshold_, value, True)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x cut to [min_val, max_val]; no gradient passes at the ends."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype.kind in ("int", "uint"):
        min_val, max_val = int(min_val), int(max_val)
    y = where(input <= min_val, min_val, where(input >= max_val, max_val, input))
    return _result(input, y, inplace)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh`, written to input."""
    return hardtanh(input, min_val, max_val, True)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (e^x - 1)."""
    below = alpha * input.clamp(max=0).expm1()
    return _result(input, where(input > 0, input, below), inplace)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu`, written to input."""
    return elu(input, alpha, True)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """scale * elu(x, alpha), which keeps mean 0 and variance 1 (Klambauer et al., 2017)."""
    return _result(input, _SELU_SCALE * elu(input, _SELU_ALPHA), inplace)


def selu_(input: Tensor) -> Tensor:
    """`selu`, written to input."""
    return selu(input, True)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(0, x) + min(0, alpha (e^(x / alpha) - 1))."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    below = alpha * (input.clamp(max=0) / alpha).expm1()
    return _result(input, where(input > 0, input, below), inplace)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu`, written to input."""
    return celu(input, alpha, True)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope * x."""
    return _result(input, where(input > 0, input, input * negative_slope), inplace)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu`, written to input."""
    return leaky_relu(input, negative_slope, True)


@in_low_precision
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight * x, with one weight or one for each channel (axis 1)."""
    if weight.numel() != 1:
        if input.dim() == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.size(1) if input.dim() >= 2 else 1
        if channels != weight.numel():
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
        weight = weight.reshape(1, -1, *[1] * (input.dim() - 2))
    elif weight.dim():
        weight = weight.reshape([1] * input.dim())
    return where(input > 0, input, weight * input)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """leaky_relu with a random slope of [lower, upper] for each element, or their mean."""
    slope: Any = (lower + upper) / 2
    if training:
        slope = rand(*input.shape, dtype=input.dtype) * (upper - lower) + lower
    return _result(input, where(input > 0, input, input * slope), inplace)


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """`rrelu`, written to input."""
    return rrelu(input, lower, upper, training, True)


@rounded_once
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Phi(x), Phi the normal distribution; by tanh with approximate="tanh"."""
    if approximate == "none":
        return pointwise.gelu(input)
    if approximate != "tanh":
        raise RuntimeError("approximate argument must be either none or tanh.")
    inner = math.sqrt(2 / math.pi) * (input + 0.044715 * (input * input * input))
    return 0.5 * input * (1 + inner.tanh())


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x / (1 + e^-x)."""
    return _result(input, _silu(input), inplace)


@rounded_once
def _silu(x: Tensor) -> Tensor:
    return x * x.sigmoid()


@rounded_once
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(beta x)) / beta, x itself where beta x > threshold."""
    scaled = input if beta == 1 else input * beta
    linear = scaled > threshold
    # The inner choice keeps e^x, and with it the gradient, finite where it is not taken.
    curved = where(linear, 0.0, scaled).exp().log1p()
    return where(linear, input, curved if beta == 1 else curved / beta)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x))."""
    return _result(input, _mish(input), inplace)


@rounded_once
def _mish(x: Tensor) -> Tensor:
    return x * softplus(x).tanh()


@rounded_once
def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + e^-x))."""
    return -softplus_stable(-input)


def softplus_stable(x: Tensor) -> Tensor:
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|) for any x."""
    positive = x > 0
    return where(positive, x, 0.0) + where(positive, -x, x).exp().log1p()


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6."""
    return _result(input, relu6(input + 3) / 6, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x relu6(x + 3) / 6."""
    return _result(input, input * relu6(input + 3) / 6, inplace)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (1 + input.abs())


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - input.tanh()


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    return where((input >= -lambd) & (input <= lambd), 0.0, input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, 0.0 * input))


def tanh(input: Tensor) -> Tensor:
    """tanh(x)."""
    return input.tanh()


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^-x)."""
    return input.sigmoid()


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b), a and b the halves of input along `dim`."""
    if input.dim() == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    n = input.size(dim)
    if n % 2:
        axis = wrap_dim(dim, input.dim())
        raise RuntimeError(f"Halving dimension must be even, but dimension {axis} is size {n}")
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


def _softmax_dim(rank: int) -> int:
    """The axis that PyTorch falls back on."""
    return 0 if rank in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """e^x / sum(e^x) along `dim`."""
    axis = _softmax_dim(input.dim()) if dim is None else dim
    return reduction.softmax(input, axis, dtype=dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """softmax(-x)."""
    return softmax(-input, dim, _stacklevel, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None
) -> Tensor:
    """log(softmax(x))."""
    axis = _softmax_dim(input.dim()) if dim is None else dim
    return reduction.log_softmax(input, axis, dtype=dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A draw from the Gumbel-softmax distribution; with `hard` one-hot, with the soft gradient."""
    uniform = rand(*logits.shape, dtype=logits.dtype)
    gumbel = -(-(1 - uniform).log()).log()
    soft = softmax((logits + gumbel) / tau, dim)
    if not hard:
        return soft
    place = soft.detach().argmax(dim, keepdim=True)
    shape = [1] * logits.dim()
    shape[dim] = -1
    index = arange(logits.size(dim)).reshape(shape)
    one_hot = (index == place).to(logits.dtype)
    return one_hot - soft.detach() + soft

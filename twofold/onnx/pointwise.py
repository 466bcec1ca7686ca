"""Operators that work on each element."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from .. import dtypes
from ..functions._registry import functions
from ..nn import functional as F
from ..tensor import Tensor
from .registry import UnsupportedOperator, op

f = functions
"""Twofold's functions by PyTorch's names."""


def _plain(names: dict[str, str]) -> None:
    """Operators that are one of Twofold's functions."""
    for onnx_name, name in names.items():
        function = f[name]
        op(onnx_name)(lambda x, _function=function: _function(x))


_plain({
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh",
    "Atan": "atan", "Atanh": "atanh", "Ceil": "ceil", "Cos": "cos", "Cosh": "cosh", "Erf": "erf",
    "Exp": "exp", "Floor": "floor", "IsNaN": "isnan", "Log": "log", "Neg": "neg",
    "Reciprocal": "reciprocal", "Round": "round", "Sigmoid": "sigmoid", "Sign": "sign",
    "Sin": "sin", "Sinh": "sinh", "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
    "Not": "logical_not", "BitwiseNot": "bitwise_not", "Relu": "relu",
})  # fmt: skip


def _pairs(names: dict[str, str]) -> None:
    for onnx_name, name in names.items():
        function = f[name]
        op(onnx_name)(lambda a, b, _function=function: _function(a, b))


_pairs({
    "Add": "add", "Sub": "sub", "Mul": "mul", "And": "logical_and", "Or": "logical_or",
    "Xor": "logical_xor", "Equal": "eq", "Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt",
    "LessOrEqual": "le", "BitwiseAnd": "bitwise_and", "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor",
})  # fmt: skip


@op("Div")
def div(a: Tensor, b: Tensor) -> Tensor:
    """a / b; of integers the whole part."""
    return a / b if a.dtype.is_floating_point else f["div"](a, b, rounding_mode="trunc")


@op("Pow")
def pow_(a: Tensor, b: Tensor) -> Tensor:
    """a to the power of b, in the dtype of a."""
    return (a.to(f["result_type"](a, b)) ** b).to(a.dtype)


@op("Mod")
def mod(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    """The remainder, with the sign of b, or of a with `fmod`."""
    return f["fmod"](a, b) if fmod else f["remainder"](a, b)


@op("BitShift")
def bit_shift(a: Tensor, b: Tensor, *, direction: str) -> Tensor:
    """The bits of a moved by b."""
    return f["bitwise_left_shift" if direction == "LEFT" else "bitwise_right_shift"](a, b)


@op("Max")
def max_(*xs: Tensor) -> Tensor:
    """The largest of the inputs, element by element."""
    return reduce(f["maximum"], xs)


@op("Min")
def min_(*xs: Tensor) -> Tensor:
    """The least of the inputs, element by element."""
    return reduce(f["minimum"], xs)


@op("Sum")
def sum_(*xs: Tensor) -> Tensor:
    """The sum of the inputs."""
    return reduce(f["add"], xs)


@op("Mean")
def mean(*xs: Tensor) -> Tensor:
    """The mean of the inputs."""
    return reduce(f["add"], xs) / len(xs)


@op("Where")
def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where the condition holds, else b."""
    return f["where"](condition, a, b)


@op("Clip", host=(1, 2))
def clip(
    x: Tensor, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None
) -> Tensor:
    """x held between two bounds."""
    low, high = (v if a is None else np.asarray(a).item() for a, v in ((low, min), (high, max)))
    return x if low is None and high is None else f["clamp"](x, low, high)


@op("IsInf")
def is_inf(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    """Whether elements are infinite, of the signs that are looked for."""
    inf = float("inf")
    found = f["zeros_like"](x, dtype=dtypes.bool_)
    if detect_positive:
        found = found | (x == inf)
    return found | (x == -inf) if detect_negative else found


_NAMES = {
    1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
    10: "float16", 11: "float64", 14: "complex64", 15: "complex128", 16: "bfloat16",
}  # fmt: skip
_BY_NAME = {d.name: d for d in dtypes.ALL}


def dtype_of(number: int) -> dtypes.DType:
    """The dtype of a number of ONNX's TensorProto.DataType."""
    if number not in _NAMES:
        raise UnsupportedOperator(f"[onnx] tensors of type number {number} are not supported")
    return _BY_NAME[_NAMES[number]]


@op("Cast")
def cast(x: Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """x in another dtype."""
    return x.to(dtype_of(to))


@op("CastLike")
def cast_like(x: Tensor, like: Tensor, *, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """x in the dtype of another tensor."""
    return x.to(like.dtype)


# Activations.


@op("Elu")
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """x above 0, alpha (e^x - 1) below."""
    return F.elu(x, alpha)


@op("Celu")
def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """max(0, x) + min(0, alpha (e^(x / alpha) - 1))."""
    return F.celu(x, alpha)


@op("Selu")
def selu(
    x: Tensor, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Tensor:
    """gamma x above 0, gamma alpha (e^x - 1) below."""
    return gamma * f["where"](x > 0, x, alpha * f["expm1"](x))


@op("LeakyRelu")
def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """x above 0, alpha x below."""
    return F.leaky_relu(x, alpha)


@op("PRelu")
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """x above 0, slope x below."""
    return f["where"](x > 0, x, slope * x)


@op("HardSigmoid")
def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """alpha x + beta, held between 0 and 1."""
    return f["clamp"](alpha * x + beta, 0, 1)


@op("HardSwish")
def hard_swish(x: Tensor) -> Tensor:
    """x times its hard sigmoid of alpha 1/6."""
    return x * hard_sigmoid(x, alpha=1 / 6)


@op("Softplus")
def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x)."""
    return f["logaddexp"](x, f["zeros_like"](x))


@op("Softsign")
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return F.softsign(x)


@op("Mish")
def mish(x: Tensor) -> Tensor:
    """x tanh(softplus(x))."""
    return F.mish(x)


@op("Gelu")
def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """x times the normal distribution's probability below x."""
    return F.gelu(x, approximate=approximate)


@op("Swish")
def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """x sigmoid(alpha x)."""
    return x * f["sigmoid"](alpha * x)


@op("ThresholdedRelu")
def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """x above alpha, else 0."""
    return f["where"](x > alpha, x, f["zeros_like"](x))


@op("Shrink")
def shrink(x: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    """x drawn towards 0 by `bias`, and 0 between -lambd and lambd."""
    zero = f["zeros_like"](x)
    return f["where"](x < -lambd, x + bias, f["where"](x > lambd, x - bias, zero)).to(x.dtype)

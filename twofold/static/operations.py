"""TensorFlow 1's functions of tensors that compute: constants, arithmetic, reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import dtypes
from ..creation import as_tensor
from ..dtypes import DType
from ..functions import functions as tf
from ..tensor import Tensor as Value
from .graph import Tensor, as_dtype, give_operators, operation
from .graph import add as new
from .sizes import TensorShape
from .symbol import Symbol

if TYPE_CHECKING:  # the functions that tables below define

    def __getattr__(name: str) -> Any: ...


def value_of(x: Any, dtype: DType | None = None) -> Value:
    """A value as a tensor: numbers as int32 and float32. TypeError for a number with a fraction
    where whole ones are wanted."""
    if isinstance(x, Value):
        return x
    plain = not isinstance(x, (np.ndarray, np.generic))
    if dtype is None:
        array = np.asarray(x)
        if array.dtype == np.int64 and plain:
            dtype = dtypes.int32
        elif array.dtype == np.float64 and plain:
            dtype = dtypes.float32
        x = array
    elif plain and not dtype.is_inexact and np.asarray(x).dtype.kind in "fc":
        raise TypeError(f"Expected {dtype.name}, got {x!r} of type {type(x).__name__!r} instead.")
    return as_tensor(x, dtype=dtype)


def pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands; what is no tensor yet gets the dtype of the other."""
    if isinstance(a, Value) == isinstance(b, Value):
        return value_of(a), value_of(b)
    if isinstance(a, Value):
        return a, value_of(b, a.dtype)
    return value_of(a, b.dtype), b


def _constant(value: Any) -> Any:
    return value


def constant(
    value: Any,
    dtype: Any = None,
    shape: Any = None,
    name: str = "Const",
    verify_shape: bool = False,
) -> Tensor:
    """A tensor of a value that does not change; text gives bytes. TypeError for a value of another
    shape, with `verify_shape`."""
    if isinstance(value, (str, bytes)):
        text = value.encode() if isinstance(value, str) else value
        return new(name, _constant, (text,))
    known = value_of(value, None if dtype is None else as_dtype(dtype))
    if shape is not None:
        sizes = [int(n) for n in TensorShape(shape)]
        if verify_shape and list(known.shape) != sizes:
            raise TypeError(f"Expected Tensor's shape: {tuple(sizes)}, got {tuple(known.shape)}.")
        known = known.broadcast_to(sizes) if known.numel() == 1 else known.reshape(sizes)
    return new(name, _constant, (known,))


def convert_to_tensor(
    value: Any, dtype: Any = None, name: str | None = None, **ignored: Any
) -> Any:
    """The value as a tensor of the graph."""
    return value if isinstance(value, Symbol) else constant(value, dtype, name=name or "Const")


def _one(title: str, source: str) -> Any:
    function = tf[source]

    def apply(x: Any) -> Any:
        return function(value_of(x))

    return _named(title, source, apply)


def _named(title: str, source: str, apply: Callable[..., Any]) -> Any:
    apply.__name__ = apply.__qualname__ = title
    apply.__doc__ = (tf[source].__doc__ or source).partition("\n")[0]
    return operation(title)(apply)


def _two(title: str, source: str) -> Any:
    function = tf[source]

    def apply(x: Any, y: Any) -> Any:
        return function(*pair(x, y))

    return _named(title, source, apply)


_ONE = {
    "abs": "abs", "negative": "neg", "sign": "sign", "square": "square", "sqrt": "sqrt",
    "rsqrt": "rsqrt", "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "sin": "sin",
    "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan", "sinh": "sinh",
    "cosh": "cosh", "tanh": "tanh", "sigmoid": "sigmoid", "floor": "floor", "ceil": "ceil",
    "round": "round", "rint": "round", "reciprocal": "reciprocal", "erf": "erf", "erfc": "erfc",
    "lgamma": "lgamma", "digamma": "digamma", "is_nan": "isnan", "is_inf": "isinf",
    "is_finite": "isfinite", "logical_not": "logical_not",
}  # fmt: skip
_TWO = {
    "add": "add", "subtract": "sub", "multiply": "mul", "pow": "pow", "maximum": "maximum",
    "minimum": "minimum", "floordiv": "floor_divide", "mod": "remainder", "floormod": "remainder",
    "equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt",
    "greater_equal": "ge", "logical_and": "logical_and", "logical_or": "logical_or",
    "logical_xor": "logical_xor", "atan2": "atan2",
}  # fmt: skip
for _title, _source in _ONE.items():
    globals()[_title] = _one(_title, _source)
for _title, _source in _TWO.items():
    globals()[_title] = _two(_title, _source)


@operation("truediv")
def divide(x: Any, y: Any) -> Any:
    """x / y; whole numbers give float64, as in Python."""
    a, b = pair(x, y)
    if not a.dtype.is_inexact and not b.dtype.is_inexact:
        a, b = a.to(dtypes.float64), b.to(dtypes.float64)
    return a / b


truediv = divide


@operation("div")
def div(x: Any, y: Any) -> Any:
    """x / y, rounded down where both are whole."""
    a, b = pair(x, y)
    return a / b if a.dtype.is_inexact or b.dtype.is_inexact else tf["floor_divide"](a, b)


@operation("squared_difference")
def squared_difference(x: Any, y: Any) -> Any:
    """(x - y)^2."""
    a, b = pair(x, y)
    return (a - b) ** 2


@operation("MatMul")
def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, adjoint_a: bool = False,
    adjoint_b: bool = False, a_is_sparse: bool = False, b_is_sparse: bool = False,
) -> Any:  # fmt: skip
    """The product of matrices, or of each pair of matrices."""
    a, b = pair(a, b)
    if transpose_a or adjoint_a:
        a = a.transpose(-1, -2)
    if transpose_b or adjoint_b:
        b = b.transpose(-1, -2)
    a, b = a.conj() if adjoint_a else a, b.conj() if adjoint_b else b
    if a.dim() < 2 or b.dim() < 2:
        raise ValueError(f"Shape must be rank 2 but is rank {min(a.dim(), b.dim())} for 'MatMul'")
    return a @ b


@operation("tensordot")
def tensordot(a: Any, b: Any, axes: Any) -> Any:
    """The product over several axes."""
    a, b = pair(a, b)
    return tf["tensordot"](a, b, dims=axes)


@operation("einsum")
def einsum(equation: str, *inputs: Any) -> Any:
    """A sum of products in Einstein's notation."""
    return tf["einsum"](equation, *map(value_of, inputs))


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """Axes as numbers: of one, of several, of a tensor, all without any."""
    if axis is None:
        return tuple(range(rank))
    if isinstance(axis, Value):
        axis = axis.tolist()
    return tuple(axis) if isinstance(axis, (list, tuple)) else (int(axis),)


def _reduction(title: str, source: str, label: str) -> Any:
    function = tf[source]

    def reduce(
        input_tensor: Any, axis: Any = None, keepdims: bool | None = None,
        reduction_indices: Any = None, keep_dims: bool | None = None,
    ) -> Any:  # fmt: skip
        x = value_of(input_tensor)
        axes = axes_of(reduction_indices if axis is None else axis, x.dim())
        keep = bool(keepdims or keep_dims)
        if not axes:
            return x
        if source == "prod":
            y = x
            for at in sorted([a % x.dim() for a in axes], reverse=True):
                y = y.prod(at, keepdim=keep)
            return y.to(x.dtype)
        if source == "mean" and not x.dtype.is_inexact:
            count = math.prod([x.shape[a] for a in axes])
            y = tf["div"](x.sum(dim=axes, keepdim=keep), count, rounding_mode="trunc")
            return y.to(x.dtype)
        y = function(x, dim=axes, keepdim=keep)
        return y.to(x.dtype) if source == "sum" else y

    reduce.__name__ = reduce.__qualname__ = title
    reduce.__doc__ = f"{label} over some axes, all without `axis`."
    return operation(label)(reduce)


for _title, _source, _label in (
    ("reduce_sum", "sum", "Sum"), ("reduce_mean", "mean", "Mean"), ("reduce_max", "amax", "Max"),
    ("reduce_min", "amin", "Min"), ("reduce_prod", "prod", "Prod"), ("reduce_any", "any", "Any"),
    ("reduce_all", "all", "All"), ("reduce_logsumexp", "logsumexp", "LogSumExp"),
):  # fmt: skip
    globals()[_title] = _reduction(_title, _source, _label)


def _argument(title: str, source: str) -> Any:
    function = tf[source]

    def find(input: Any, axis: Any = None, dimension: Any = None, output_type: Any = None) -> Any:
        at = dimension if axis is None else axis
        found = function(value_of(input), dim=0 if at is None else int(at))
        return found if output_type is None else found.to(as_dtype(output_type))

    find.__name__ = find.__qualname__ = source
    find.__doc__ = f"{source} along an axis, the first without `axis`."
    return operation(title)(find)


argmax, argmin = _argument("ArgMax", "argmax"), _argument("ArgMin", "argmin")
arg_max, arg_min = argmax, argmin


@operation("AddN")
def add_n(inputs: Sequence[Any]) -> Any:
    """The sum of tensors of one shape."""
    if not inputs:
        raise ValueError(
            "inputs must be a list of at least one Tensor with the same dtype and shape"
        )
    total = value_of(inputs[0])
    for x in inputs[1:]:
        total = total + value_of(x)
    return total


@operation("Cumsum")
def cumsum(x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> Any:
    """Running sums along an axis."""
    x = value_of(x)
    y = (x.flip(axis).cumsum(axis) if reverse else x.cumsum(axis)).to(x.dtype)
    if exclusive:
        y = y - (x.flip(axis) if reverse else x)
    return y.flip(axis) if reverse else y


@operation("clip_by_value")
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    """t, at least the one and at most the other."""
    return value_of(t).clamp(clip_value_min, clip_value_max)


@operation("clip_by_norm")
def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None) -> Any:
    """t, made shorter where its length is more than `clip_norm`."""
    t = value_of(t)
    norm = (t * t).sum(dim=axes_of(axes, t.dim()), keepdim=True).sqrt()
    return t * clip_norm / norm.maximum(value_of(clip_norm, t.dtype))


@operation("global_norm")
def global_norm(t_list: Sequence[Any]) -> Any:
    """The length of all tensors together."""
    total: Any = 0
    for t in t_list:
        total = total + (value_of(t) ** 2).sum()
    return total.sqrt()


def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Any], Any]:
    """The tensors, made shorter together, and their length before."""
    norm = global_norm([t for t in t_list if t is not None]) if use_norm is None else use_norm
    scale = clip_norm * globals()["minimum"](1.0 / norm, 1.0 / clip_norm)
    return [None if t is None else t * scale for t in t_list], norm


@operation("Cast")
def cast(x: Any, dtype: Any) -> Any:
    """x in another dtype."""
    return value_of(x).to(as_dtype(dtype))


def to_float(x: Any, name: str = "ToFloat") -> Tensor:
    """x as float32."""
    return cast(x, dtypes.float32, name=name)


def to_int32(x: Any, name: str = "ToInt32") -> Tensor:
    """x as int32."""
    return cast(x, dtypes.int32, name=name)


def to_int64(x: Any, name: str = "ToInt64") -> Tensor:
    """x as int64."""
    return cast(x, dtypes.int64, name=name)


give_operators(
    {
        name: globals()[source].compute
        for name, source in {
            "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
            "floordiv": "floordiv", "mod": "mod", "pow": "pow", "matmul": "matmul", "lt": "less",
            "le": "less_equal", "gt": "greater", "ge": "greater_equal", "neg": "negative",
            "abs": "abs", "invert": "logical_not", "and_": "logical_and", "or_": "logical_or",
            "xor": "logical_xor",
        }.items()
    }
)  # fmt: skip

"""TensorFlow 1's functions of tensors: arithmetic, reductions, shapes, random numbers."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import dtypes
from ..creation import arange, as_tensor, full
from ..creation import linspace as linspace_values
from ..dtypes import DType
from ..functions import functions as tf
from ..functions.random import Generator
from ..graph.types import Type
from ..tensor import Tensor as Value
from .graph import Tensor, TensorShape, as_dtype, get_default_graph, give_operators, operation
from .graph import add as new
from .symbol import OPEN_SIZES, Samples, Symbol

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


def _axes(axis: Any, rank: int) -> tuple[int, ...]:
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
        axes = _axes(reduction_indices if axis is None else axis, x.dim())
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
    norm = (t * t).sum(dim=_axes(axes, t.dim()), keepdim=True).sqrt()
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


@operation("Shape")
def shape(input: Any, out_type: Any = None) -> Any:
    """The sizes, as numbers that the run knows; as a tensor in another dtype than int32."""
    return _counted(tuple(value_of(input).shape), out_type)


@operation("Size")
def size(input: Any, out_type: Any = None) -> Any:
    """The number of elements."""
    return _counted(value_of(input).numel(), out_type)


def _counted(sizes: Any, out_type: Any) -> Any:
    kind = dtypes.int32 if out_type is None else as_dtype(out_type)
    return sizes if kind is dtypes.int32 else as_tensor(sizes, dtype=kind)


@operation("Rank")
def rank(input: Any) -> Any:
    """The number of axes."""
    return value_of(input).dim()


def sizes_of(shape: Any) -> list[int]:
    """A shape as numbers: of numbers, open ones as -1, or a tensor."""
    if isinstance(shape, Value):
        return [int(n) for n in shape.reshape(-1).tolist()]
    listed = shape if isinstance(shape, (list, tuple, np.ndarray, TensorShape)) else [shape]
    return [-1 if n is None or getattr(n, "value", 0) is None else int(n) for n in listed]


def _reshape_guess(tensor: Any, shape: Any) -> Samples | None:
    known = isinstance(tensor, Symbol) and tensor.known is not None
    if not known or not isinstance(shape, (list, tuple)):
        return None
    fixed = [n if type(n) is int and n >= 0 else None for n in shape]
    first, second = (tuple([o if n is None else n for n in fixed]) for o in OPEN_SIZES)
    dtype = tensor.known[1]
    return Type(first, dtype), Type(second, dtype)


@operation("Reshape", _reshape_guess)
def reshape(tensor: Any, shape: Any) -> Any:
    """The same elements in another shape; a size of -1 is found out."""
    return value_of(tensor).reshape(sizes_of(shape))


@operation("transpose")
def transpose(a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    """The axes in another order, in reverse without `perm`."""
    a = value_of(a)
    a = a.conj() if conjugate else a
    return a.permute(*(range(a.dim() - 1, -1, -1) if perm is None else sizes_of(perm)))


@operation("ExpandDims")
def expand_dims(input: Any, axis: Any = None, dim: Any = None) -> Any:
    """A new axis of size 1."""
    return value_of(input).unsqueeze(int(dim if axis is None else axis))


@operation("Squeeze")
def squeeze(input: Any, axis: Any = None, squeeze_dims: Any = None) -> Any:
    """Without axes of size 1."""
    x, at = value_of(input), squeeze_dims if axis is None else axis
    return x.squeeze() if at is None else x.squeeze(_axes(at, x.dim()))


@operation("concat")
def concat(values: Any, axis: Any) -> Any:
    """Joined along an axis."""
    return tf["cat"]([value_of(v) for v in values], dim=int(axis))


@operation("stack")
def stack(values: Any, axis: int = 0) -> Any:
    """Joined along a new axis; numbers that the run knows stay such."""
    if all(type(v) is int for v in values):
        return tuple(values)
    return tf["stack"]([value_of(v) for v in values], dim=axis)


pack = stack


@operation("unstack")
def _unstacked(value: Any, axis: int = 0) -> Any:
    """The parts along an axis."""
    return tuple(value_of(value).unbind(axis))


def _count(value: Any, axis: int, num: int | None) -> int:
    known = num if num is not None or value.known is None else value.known[0][axis]
    if known is None:
        raise ValueError(f"Cannot infer num from shape {value.shape}")
    return known


def unstack(
    value: Any, num: int | None = None, axis: int = 0, name: str = "unstack"
) -> list[Tensor]:
    """The parts along an axis, as a list."""
    parts = _unstacked(convert_to_tensor(value), axis, name=name)
    return [parts[i] for i in range(_count(convert_to_tensor(value), axis, num))]


@operation("split")
def _split(value: Any, sizes: Any, axis: int) -> Any:
    """Pieces of these sizes, or so many of one size."""
    value = value_of(value)
    if isinstance(sizes, int) and value.shape[axis] % sizes:
        raise ValueError(
            f"Dimension size must be evenly divisible by {sizes} but is {value.shape[axis]}"
        )
    step = value.shape[axis] // sizes if isinstance(sizes, int) else list(sizes)
    return tuple(tf["split"](value, step, axis))


def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None, name: str = "split"
) -> Any:
    """The pieces along an axis, as a list."""
    whole = convert_to_tensor(value)
    pieces = _split(whole, num_or_size_splits, axis, name=name)
    count = num_or_size_splits if isinstance(num_or_size_splits, int) else len(num_or_size_splits)
    return [pieces[i] for i in range(count)]


@operation("Tile")
def tile(input: Any, multiples: Any) -> Any:
    """The whole several times along each axis."""
    return tf["tile"](value_of(input), sizes_of(multiples))


@operation("Pad")
def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Any:
    """Wider by (before, after) along each axis."""
    x = value_of(tensor)
    pairs = paddings.tolist() if isinstance(paddings, (Value, np.ndarray)) else paddings
    mode = mode.upper()
    if mode not in ("CONSTANT", "REFLECT", "SYMMETRIC"):
        raise ValueError(f"Unknown padding mode: {mode}")
    if mode == "CONSTANT":
        made = full(
            tuple(n + a + b for n, (a, b) in zip(x.shape, pairs)), constant_values, dtype=x.dtype
        )
        made[tuple(builtins.slice(a, a + n) for n, (a, _) in zip(x.shape, pairs))] = x
        return made
    for axis, (a, b) in enumerate(pairs):
        n = x.shape[axis]
        edge = 1 if mode == "REFLECT" else 0
        before = [edge + i for i in range(a)][::-1]
        after = [n - 1 - edge - i for i in range(b)]
        x = x.index_select(axis, as_tensor([*before, *range(n), *after]))
    return x


@operation("Slice")
def slice(input_: Any, begin: Any, size: Any) -> Any:
    """The part that begins at `begin`; a size of -1 is all that is left."""
    x = value_of(input_)
    cut = []
    for axis, (start, n) in enumerate(zip(sizes_of(begin), sizes_of(size))):
        cut.append((axis, start, x.shape[axis] - start if n < 0 else n))
    for axis, start, n in cut:
        x = x.narrow(axis, start, n)
    return x


@operation("reverse")
def reverse(tensor: Any, axis: Any) -> Any:
    """The other way round along some axes."""
    x = value_of(tensor)
    return x.flip(_axes(axis, x.dim()))


@operation("GatherV2")
def gather(params: Any, indices: Any, validate_indices: Any = None, axis: int = 0) -> Any:
    """The parts of `params` along an axis that `indices` name."""
    x, i = value_of(params), value_of(indices)
    axis = axis % x.dim()
    found = tf["index_select"](x, axis, i.reshape(-1))
    return found.reshape([*x.shape[:axis], *i.shape, *x.shape[axis + 1 :]])


@operation("GatherNd")
def gather_nd(params: Any, indices: Any) -> Any:
    """The parts of `params` at places given by their first few coordinates."""
    x, i = value_of(params), value_of(indices)
    return x[tuple(i.unbind(-1))]


@operation("one_hot")
def one_hot(
    indices: Any, depth: Any, on_value: Any = 1.0, off_value: Any = 0.0, axis: int | None = None,
    dtype: Any = None,
) -> Any:  # fmt: skip
    """A new axis with `on_value` at the index and `off_value` elsewhere."""
    i = value_of(indices)
    hit = i.unsqueeze(-1) == arange(int(depth))
    kind = dtypes.float32 if dtype is None else as_dtype(dtype)
    made = tf["where"](hit, value_of(on_value, kind), value_of(off_value, kind))
    return made if axis in (None, -1) else made.movedim(-1, axis)


@operation("Where")
def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """x where the condition holds, else y; the places where it holds without these."""
    c = value_of(condition)
    if x is None:
        return c.nonzero()
    a, b = pair(x, y)
    while c.dim() and c.dim() < a.dim():
        c = c.unsqueeze(-1)
    return tf["where"](c, a, b)


@operation("TopKV2")
def _top_k(input: Any, k: int, sorted: bool) -> Any:
    """The largest k elements of each row and their places."""
    values, places = tf["topk"](value_of(input), k, sorted=sorted)
    return values, places.to(dtypes.int32)


@operation("range")
def range_(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Any:
    """Numbers at even steps."""
    bounds = [start] if limit is None else [start, limit]
    numbers = [b.item() if isinstance(b, Value) else b for b in bounds]
    whole = all(isinstance(b, int) for b in (*numbers, delta))
    kind = as_dtype(dtype) if dtype is not None else dtypes.int32 if whole else dtypes.float32
    return arange(*numbers, step=delta, dtype=kind)


def linspace(start: Any, stop: Any, num: int, name: str = "LinSpace") -> Tensor:
    """`num` numbers from start to stop."""
    return new(name, linspace_values, (start, stop, num))


def _filled(title: str, value: int) -> Any:
    def fill(shape: Any, dtype: Any = dtypes.float32) -> Any:
        return full(tuple(sizes_of(shape)), value, dtype=as_dtype(dtype))

    fill.__name__ = fill.__qualname__ = title
    fill.__doc__ = f"{title} of a shape."
    return operation(title)(fill)


zeros, ones = _filled("zeros", 0), _filled("ones", 1)


@operation("zeros_like")
def zeros_like(tensor: Any, dtype: Any = None, optimize: bool = True) -> Any:
    """Zeros of the tensor's shape."""
    x = value_of(tensor)
    return full(tuple(x.shape), 0, dtype=x.dtype if dtype is None else as_dtype(dtype))


@operation("ones_like")
def ones_like(tensor: Any, dtype: Any = None, optimize: bool = True) -> Any:
    """Ones of the tensor's shape."""
    x = value_of(tensor)
    return full(tuple(x.shape), 1, dtype=x.dtype if dtype is None else as_dtype(dtype))


@operation("Fill")
def fill(dims: Any, value: Any) -> Any:
    """One value in every place of a shape."""
    return value_of(value).broadcast_to(sizes_of(dims))


@operation("eye")
def eye(num_rows: int, num_columns: int | None = None, dtype: Any = dtypes.float32) -> Any:
    """Ones on the diagonal."""
    return as_tensor(np.eye(num_rows, num_columns)).to(as_dtype(dtype))


@operation("Identity")
def identity(input: Any) -> Any:
    """The value, as it is when what it waits for is done."""
    return value_of(input)


@operation("StopGradient")
def stop_gradient(input: Any) -> Any:
    """The value, through which no gradient goes."""
    return value_of(input).detach()


def _random(title: str) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:
    """A decorator: draws (generator, sizes, ...) as an operation with a seed of its own."""

    def decorate(draw: Callable[..., Any]) -> Callable[..., Tensor]:
        def make(shape: Any, *args: Any, **kwargs: Any) -> Tensor:
            name = kwargs.pop("name", None) or title
            seed = get_default_graph().next_seed(kwargs.pop("seed", None))
            generator = None if seed is None else Generator().manual_seed(seed)
            return new(name, draw, (generator, shape, *args), kwargs)

        make.__name__ = make.__qualname__ = title
        make.__doc__ = draw.__doc__
        return make

    return decorate


@_random("random_normal")
def random_normal(
    generator: Any, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32
) -> Any:
    """Numbers of the normal distribution, new ones with each run."""
    drawn = tf["randn"](sizes_of(shape), generator=generator, dtype=as_dtype(dtype))
    return drawn * value_of(stddev, drawn.dtype) + value_of(mean, drawn.dtype)


@_random("truncated_normal")
def truncated_normal(
    generator: Any, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32
) -> Any:
    """Numbers of the normal distribution within two standard deviations."""
    low = 0.02275013194817921
    u = tf["rand"](sizes_of(shape), generator=generator, dtype=as_dtype(dtype))
    drawn = tf["erfinv"]((u * (1 - 2 * low) + low) * 2 - 1) * 2**0.5
    return drawn.clamp(-2, 2) * value_of(stddev, drawn.dtype) + value_of(mean, drawn.dtype)


@_random("random_uniform")
def random_uniform(
    generator: Any, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = dtypes.float32
) -> Any:
    """Numbers from minval to maxval (1), each as likely."""
    kind, sizes = as_dtype(dtype), sizes_of(shape)
    if not kind.is_inexact:
        return tf["randint"](minval, maxval, tuple(sizes), generator=generator, dtype=kind)
    drawn = tf["rand"](sizes, generator=generator, dtype=kind)
    high = value_of(1.0 if maxval is None else maxval, kind)
    return drawn * (high - value_of(minval, kind)) + value_of(minval, kind)


def random_shuffle(value: Any, seed: int | None = None, name: str = "RandomShuffle") -> Tensor:
    """The rows in a random order."""
    seed = get_default_graph().next_seed(seed)
    generator = None if seed is None else Generator().manual_seed(seed)
    return new(name, _shuffled, (generator, value))


def _shuffled(generator: Any, value: Any) -> Any:
    x = value_of(value)
    return x[tf["randperm"](len(x), generator=generator)]


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

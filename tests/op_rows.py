"""The table of primitives, one row each: what `tests/test_op_table.py` checks every op by.

To add an op, add a row. `unary("NAME")` and `binary("NAME")` say all of most elementwise ops of
floats, where NAME is PyTorch's; see `Row` for what can be said.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twofold import dtypes
from twofold.dtypes import DType

try:
    import torch
    import torch.nn.functional as F
except ImportError:  # the peer is optional: rows are then checked against NumPy alone
    torch = F = None

F16, BF16, F32, F64 = dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64
I64 = dtypes.int64
FLOATS, INTEGERS, BOOL = (F32, F64, F16, BF16), dtypes.INTEGERS, (dtypes.bool_,)
NUMBERS, ANY = FLOATS + INTEGERS, FLOATS + INTEGERS + BOOL
Shape = tuple[int, ...]


class NoPeer(Exception):
    """PyTorch has nothing to compare with."""


@dataclass(frozen=True)
class Case:
    """Shapes of the inputs, and the attributes. `dtypes` are those of the inputs after the first
    where they are not the first one's; `bound` is what all positions (int64) are below."""

    shapes: tuple[Shape, ...]
    attrs: tuple = ()
    dtypes: tuple[DType | None, ...] = ()
    bound: int = 0


@dataclass(frozen=True)
class Error:
    """Inputs (shape, dtype) and attributes that `raises` an exception whose text holds `text`."""

    inputs: tuple[tuple[Shape, DType], ...]
    attrs: tuple
    raises: type[Exception]
    text: str


@dataclass(frozen=True)
class Row:
    """What there is to know of an op.

    `cases`: what it is applied to, for the first of `dtypes` all of them, for others the first few.
    `dtypes`: the dtypes of the first input that it takes; every other one must be refused.
    `torch`: PyTorch's name of it, or a function of (tensors, attributes); None where it has none.
    `low`, `high`: the range of floating-point values. `values`: makes integers instead of all.
    `near`: "bits" if compiled code and the reference agree bit for bit; "ulps" if within `ulps` of
    the last place (of a value of `zeros` at least, for functions that have zeros); "sum" if the
    error is that of adding up, relative to the sum of magnitudes.
    `special`: also check NaN, infinities, zeros, the largest and the smallest.
    `torch_special`: PyTorch agrees on those, too.
    `grad`: gradients exist and are right; `grad_inputs` limits the inputs they are taken for.
    `curved`: second gradients are checked, too. `batches`: it has a batching rule.
    """

    cases: tuple[Case, ...]
    dtypes: tuple[DType, ...] = FLOATS
    torch: str | Callable[..., Any] | None = None
    low: float = -2.0
    high: float = 2.0
    values: Callable[[np.random.Generator, Shape, DType, int], np.ndarray] | None = None
    near: str = "bits"
    ulps: float = 4.0
    zeros: float = 0.0
    special: bool = False
    torch_special: bool = True
    grad: bool = True
    grad_inputs: tuple[int, ...] | None = None
    curved: bool = True
    batches: bool = True
    errors: tuple[Error, ...] = ()


UNARY = tuple(Case((s,)) for s in [(5, 33), (2, 0, 3), (), (1,), (0,), (67,), (3, 1, 130)])
BINARY = tuple(
    Case(s)
    for s in [
        ((3, 5), (5,)), ((0, 3), (1, 3)), ((), ()), ((7,), ()), ((), (4,)), ((3, 1), (1, 4)),
        ((2, 1, 5), (4, 1)), ((0,), (1,)), ((33, 67), (33, 67)), ((130,), (2, 1, 1)),
    ]
)  # fmt: skip


def unary(torch_name: Any = None, near: str = "ulps", **options: Any) -> Row:
    """An elementwise op of one float."""
    errors = (Error((((2,), dtypes.int32),), (), RuntimeError, "takes floating-point values"),)
    row = {"torch": torch_name, "near": near, "special": True, "errors": errors}
    return Row(UNARY, **{**row, **options})


def binary(torch_name: Any = None, **options: Any) -> Row:
    """An elementwise op of two inputs."""
    first = options.get("dtypes", FLOATS)[0]
    errors = (
        Error((((2,), first), ((3,), first)), (), RuntimeError, "must match the size"),
        Error((((2, 2), first), ((3, 2), first)), (), RuntimeError, "non-singleton dimension 0"),
        Error((((2,), F32), ((2,), F64)), (), RuntimeError, "operands of one dtype"),
    )
    row = {"torch": torch_name, "special": True, "errors": errors}
    return Row(BINARY, **{**row, **options})


def predicate(torch_name: str, **options: Any) -> Row:
    """A comparison, or a test of one float."""
    return binary(torch_name, dtypes=ANY, grad=False, **options)


def bits(torch_name: Any, **options: Any) -> Row:
    """An op of two integers."""
    return binary(torch_name, dtypes=INTEGERS + BOOL, grad=False, **options)


def _shifts(rng: np.random.Generator, shape: Shape, dtype: DType, k: int) -> np.ndarray:
    """Any bits, and counts around the number of bits."""
    width = 8 * dtype.itemsize
    if k == 1:
        return rng.integers(0, width + 3, shape)
    return _any_integers(rng, shape, dtype, k)


def _any_integers(rng: np.random.Generator, shape: Shape, dtype: DType, k: int) -> np.ndarray:
    if dtype is dtypes.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    bounds = np.iinfo(dtype.storage)
    return rng.integers(bounds.min, bounds.max, shape, dtype.storage, endpoint=True)


def _divisors(rng: np.random.Generator, shape: Shape, dtype: DType, k: int) -> np.ndarray:
    """Integers without 0 and -1 in the second input: PyTorch raises or traps on those."""
    if dtype.is_floating_point:
        return rng.uniform(0.3, 2.0, shape) * rng.choice([-1, 1], shape)
    x = _any_integers(rng, shape, dtype, k)
    return x if k == 0 else np.where((x == 0) | (x == np.asarray(-1).astype(x.dtype)), 3, x)


def _small(rng: np.random.Generator, shape: Shape, dtype: DType, k: int) -> np.ndarray:
    if dtype.kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.is_floating_point:
        return rng.uniform(-2, 2, shape)
    return rng.integers(0, 5, shape)


def _apart(rng: np.random.Generator, shape: Shape, dtype: DType, k: int) -> np.ndarray:
    """Floats no two of which are near one another, so that which is larger is stable."""
    if not dtype.is_floating_point:
        return _any_integers(rng, shape, dtype, k)
    n = math.prod(shape)
    return (rng.permutation(2 * n)[:n].reshape(shape) - n) / max(n, 1) * 1.7


def _factors(rng: np.random.Generator, shape: Shape, dtype: DType, k: int) -> np.ndarray:
    """Floats away from 0: gradients of products of which a factor is 0 have no second gradient."""
    if dtype.is_floating_point:
        return rng.uniform(0.7, 1.2, shape)
    return _any_integers(rng, shape, dtype, k)


# Reductions.


def _axes(*pairs: tuple[Shape, tuple[int, ...]]) -> tuple[Case, ...]:
    return tuple(Case((shape,), (axes,)) for shape, axes in pairs)


REDUCED = _axes(
    ((3, 5), (1,)), ((2, 3, 4), (0, 2)), ((7,), (0,)), ((), ()), ((4, 3), ()), ((5, 33), (0,)),
    ((2, 3, 4), (0, 1, 2)), ((1, 6), (0,)), ((3, 700), (1,)), ((300, 3), (0,)), ((3, 0), (0,)),
)  # fmt: skip
EMPTY = _axes(((0,), (0,)), ((0, 3), (0,)), ((2, 0), (1,)))


def reduction(function: Any, **options: Any) -> Row:
    """A reduction, of nothing too unless `empty` is False."""
    empty = options.pop("empty", True)
    first = options.get("dtypes", FLOATS)[0]
    errors = () if empty else tuple(
        Error(((c.shapes[0], first),), c.attrs, IndexError, "non-zero size") for c in EMPTY
    )  # fmt: skip
    cases = (*REDUCED, *EMPTY) if empty else REDUCED
    return Row(cases, **{"torch": function, "errors": errors, **options})


def _over(name: str) -> Callable[..., Any]:
    """PyTorch's reduction called `name` over several axes at once."""

    def apply(x: Any, axes: tuple[int, ...]) -> Any:
        if not axes:
            return x.clone()
        return getattr(torch, name)(x, dim=axes)

    return apply


def _torch_sum(x: Any, axes: tuple[int, ...]) -> Any:
    return torch.sum(x, dim=axes, dtype=x.dtype) if axes else x.clone()


def _torch_prod(x: Any, axes: tuple[int, ...]) -> Any:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, dim=axis, dtype=x.dtype)
    return x.clone()


def _torch_position(name: str) -> Callable[..., Any]:
    def apply(x: Any, axes: tuple[int, ...]) -> Any:
        if x.dtype == torch.bool:
            raise NoPeer
        kept = [a for a in range(x.dim()) if a not in axes]
        n = math.prod(x.shape[a] for a in axes)
        rows = x.permute((*kept, *axes)).reshape(*(x.shape[a] for a in kept), n)
        return getattr(torch, name)(rows, dim=-1)

    return apply


# Movement.

WHOLE = slice(None)


def _torch_slice(x: Any, bounds: tuple) -> Any:
    for axis, (start, size, step) in enumerate(bounds):
        places = torch.tensor([start + i * step for i in range(size)], dtype=torch.int64)
        x = torch.index_select(x, axis, places)
    return x


def _torch_slice_put(x: Any, v: Any, bounds: tuple) -> Any:
    grid = torch.meshgrid(
        *(torch.tensor([a + i * s for i in range(n)], dtype=torch.int64) for a, n, s in bounds),
        indexing="ij",
    )
    return x.index_put(grid, v) if v.numel() else x.clone()


def _torch_pad(x: Any, value: Any, widths: tuple) -> Any:
    inside = F.pad(torch.ones(x.shape, dtype=torch.bool), _torch_widths(widths))
    return torch.where(inside, F.pad(x, _torch_widths(widths)), value)


def _torch_widths(widths: Sequence[tuple[int, int]]) -> list[int]:
    return [n for pair in reversed(widths) for n in pair]


# Windows and convolutions, channels last.


def _cases(
    rows: Sequence[tuple[tuple[Shape, ...], tuple]],
) -> tuple[Case, ...]:
    return tuple(Case(shapes, attrs) for shapes, attrs in rows)


def _taps(x: Any, kernel: Shape, stride: Shape, dilation: Shape) -> Any:
    """The windows of x (N, *S, C) as (N, *S', *K, C)."""
    rank = len(kernel)
    sizes = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[1:-1], kernel, stride, dilation)
    ]
    parts = []
    for at in itertools.product(*map(range, kernel)):
        where = tuple(
            slice(i * d, i * d + (n - 1) * s + 1, s)
            for i, n, s, d in zip(at, sizes, stride, dilation)
        )
        parts.append(x[(WHOLE, *where)])
    y = torch.stack(parts, 1 + rank)
    return y.reshape(x.shape[0], *sizes, *kernel, x.shape[-1])


def _torch_fold(g: Any, spatial: Shape, *attrs: Shape) -> Any:
    """The adjoint of the windows, by PyTorch's own reverse mode."""
    wide = torch.float64 if g.dtype.is_floating_point else None
    if wide is None:
        raise NoPeer
    x = torch.zeros((g.shape[0], *spatial, g.shape[-1]), dtype=wide, requires_grad=True)
    return torch.autograd.grad(_taps(x, *attrs), x, g.to(wide))[0].to(g.dtype)


def _torch_pool(x: Any, *attrs: Shape) -> Any:
    rank = len(attrs[0])
    return _taps(x, *attrs[:3]).amax(dim=tuple(range(1 + rank, 1 + 2 * rank)))


def _torch_pool_input(g: Any, x: Any, *attrs: Shape) -> Any:
    if not g.dtype.is_floating_point:
        raise NoPeer
    x = x.double().detach().requires_grad_()
    y = _torch_pool(x, *attrs)
    return torch.autograd.grad(y, x, g.double().detach())[0].to(g.dtype)


def _first(x: Any) -> Any:
    return torch.movedim(x, -1, 1)


def _last(x: Any) -> Any:
    return torch.movedim(x, 1, -1)


def _torch_conv(x: Any, w: Any, stride: Shape, padding: Any, dilation: Shape, groups: int) -> Any:
    x = F.pad(x, [0, 0, *_torch_widths(padding)])
    function = (F.conv1d, F.conv2d, F.conv3d)[len(stride) - 1]
    return _last(function(_first(x), _first(w), None, stride, 0, dilation, groups))


def _torch_conv_input(g: Any, w: Any, spatial: Shape, *attrs: Any) -> Any:
    groups = attrs[-1]
    if not g.dtype.is_floating_point:
        raise NoPeer
    x = torch.zeros((g.shape[0], *spatial, w.shape[-1] * groups), dtype=torch.float64)
    x.requires_grad_()
    y = _torch_conv(x, w.double().detach(), *attrs)
    return torch.autograd.grad(y, x, g.double().detach())[0].to(g.dtype)


def _torch_conv_weight(x: Any, g: Any, kernel: Shape, *attrs: Any) -> Any:
    groups = attrs[-1]
    if not g.dtype.is_floating_point:
        raise NoPeer
    w = torch.zeros((g.shape[-1], *kernel, x.shape[-1] // groups), dtype=torch.float64)
    w.requires_grad_()
    y = _torch_conv(x.double().detach(), w, *attrs)
    dw = torch.autograd.grad(y, w, g.double().detach())[0].to(g.dtype)
    return dw.movedim(-1, 1)


_CONVOLUTIONS: list[tuple[Shape, Shape, tuple]] = [
    ((2, 5, 6, 3), (4, 3, 3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)),
    ((1, 7, 2), (3, 3, 2), ((2,), ((1, 0),), (1,), 1)),
    ((2, 7, 7, 4), (6, 3, 3, 2), ((2, 2), ((1, 1), (0, 1)), (1, 1), 2)),
    ((1, 9, 8, 2), (3, 2, 3, 2), ((1, 2), ((0, 0), (2, 2)), (2, 1), 1)),
    ((2, 4, 4, 3), (3, 3, 3, 1), ((1, 1), ((1, 1), (1, 1)), (1, 1), 3)),
    ((1, 4, 4, 5, 2), (3, 2, 2, 3, 2), ((1, 2, 1), ((0, 0), (1, 1), (1, 1)), (1, 1, 1), 1)),
    ((2, 3, 3, 5), (7, 1, 1, 5), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    ((0, 3, 3, 2), (4, 2, 2, 2), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
]


def _output_shape(x: Shape, w: Shape, attrs: tuple) -> Shape:
    stride, padding, dilation, _ = attrs
    sizes = (
        (n + lo + hi - d * (k - 1) - 1) // s + 1
        for n, k, s, (lo, hi), d in zip(x[1:-1], w[1:-1], stride, padding, dilation)
    )
    return (x[0], *sizes, w[0])


_WINDOWS: list[tuple[Shape, tuple]] = [
    ((2, 6, 7, 3), ((2, 2), (2, 2), (1, 1))),
    ((1, 9, 2), ((3,), (1,), (2,))),
    ((1, 5, 5, 1), ((3, 3), (1, 1), (1, 1))),
    ((2, 7, 9, 2), ((3, 2), (2, 3), (1, 2))),
    ((0, 4, 4, 2), ((2, 2), (2, 2), (1, 1))),
    ((1, 4, 4, 4, 2), ((2, 2, 2), (2, 2, 2), (1, 1, 1))),
]


def _folded(shape: Shape, attrs: tuple) -> Case:
    kernel, stride, dilation = attrs
    sizes = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(shape[1:-1], kernel, stride, dilation)
    ]
    return Case(((shape[0], *sizes, *kernel, shape[-1]),), (shape[1:-1], *attrs))


def _pooled(shape: Shape, attrs: tuple) -> Case:
    kernel, stride, dilation = attrs
    sizes = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(shape[1:-1], kernel, stride, dilation)
    ]
    return Case(((shape[0], *sizes, shape[-1]), shape), (*attrs, (0,) * len(kernel)))


def _matmul_errors() -> tuple[Error, ...]:
    return (
        Error((((2, 3), F32), ((4, 5), F32)), (), RuntimeError, "2x3 and 4x5"),
        Error((((2, 3), F32), ((3, 5), F64)), (), RuntimeError, "one dtype"),
    )


def _torch_gather(x: Any, *args: Any) -> Any:
    *indices, rank = args
    if rank:
        batch = torch.arange(x.shape[0]).reshape(-1, *(1,) * (indices[0].dim() - 1))
        return x[(batch, *indices)]
    return x[tuple(indices)]


def _torch_scatter(mode: str) -> Callable[..., Any]:
    def apply(x: Any, v: Any, i: Any) -> Any:
        if mode == "set" and v.shape[1] > x.shape[1]:
            raise NoPeer  # which of several values stays is not said
        wide = i[..., None].expand(*i.shape, x.shape[2])
        if mode == "set":
            return x.scatter(1, wide, v)
        return x.scatter_reduce(1, wide, v, mode)

    return apply


def _half_true(rng: np.random.Generator, shape: Shape, dtype: DType, k: int) -> np.ndarray:
    """Masks of which half, rounded down, is true; else any values."""
    if dtype is dtypes.bool_ and k == 0:
        n = shape[-1]
        rows = [rng.permutation(n) < n // 2 for _ in range(math.prod(shape[:-1]))]
        return np.array(rows, bool).reshape(shape)
    return _apart(rng, shape, dtype, k)


def _sorted_first(rng: np.random.Generator, shape: Shape, dtype: DType, k: int) -> np.ndarray:
    x = _small(rng, shape, dtype, k)
    return np.sort(x, -1) if k == 0 else x


def _torch_top(x: Any, k: int, largest: bool) -> Any:
    if not x.dtype.is_floating_point:
        raise NoPeer  # which of equals come first is not said
    return torch.topk(x, k, 1, largest=largest)[1]


SCANNED = [(2, 5, 3), (1, 33, 1), (3, 1, 4), (0, 4, 2), (2, 0, 3), (1, 7, 130), (1, 1100, 1)]


def _scan(function: Any, arity: int = 1, **options: Any) -> Row:
    """A scan along the middle axis, both ways."""

    def both_ways(x: Any, reverse: bool) -> Any:
        return torch.flip(function(torch.flip(x, (1,))), (1,)) if reverse else function(x)

    cases = tuple(Case((s,) * arity, (way,)) for s in SCANNED for way in (False, True))
    errors = (Error((((3, 4), F32),) * arity, (False,), RuntimeError, "(B, N, R)"),)
    peer = None if function is None else both_ways
    return Row(cases, **{"dtypes": NUMBERS, "torch": peer, "errors": errors, **options})


def _running(function: Any) -> Row:
    """The position of a running extreme."""
    errors = (Error((((3, 4), F32),), (), RuntimeError, "(B, N, R)"),)
    cases = tuple(Case((s,)) for s in SCANNED)
    return Row(cases, NUMBERS, function, values=_apart, grad=False, errors=errors)


def _scatter(mode: str, **options: Any) -> Row:
    """A scatter of values (B, S, R) into (B, N, R) at positions (B, S)."""
    shapes = [
        ((2, 4, 3), (2, 7, 3), (2, 7)), ((1, 5, 1), (1, 3, 1), (1, 3)),
        ((2, 3, 0), (2, 2, 0), (2, 2)), ((3, 4, 2), (3, 0, 2), (3, 0)),
        ((1, 130, 17), (1, 67, 17), (1, 67)),
    ]  # fmt: skip
    cases = tuple(Case(s, (), (None, I64), s[0][1]) for s in shapes)
    wrong = (((1, 2, 3), F32), ((1, 4, 2), F32), ((1, 4), I64))
    other = (((1, 2, 3), F32), ((1, 4, 3), F64), ((1, 4), I64))
    errors = (
        Error(wrong, (), RuntimeError, "shapes do not fit"),
        Error(other, (), RuntimeError, "one dtype"),
    )
    row = {"dtypes": ANY, "torch": _torch_scatter(mode), "values": _apart, "errors": errors}
    return Row(cases, **{**row, **options})


CASTS = tuple(Case(((5, 7),), (to,)) for to in ANY) + tuple(
    Case((s,), (F64,)) for s in [(0, 3), (), (130,)]
)


ROWS: dict[str, Row] = {
    # Arithmetic.
    "add": binary("add", dtypes=NUMBERS),
    "sub": binary("sub", dtypes=NUMBERS),
    "mul": binary("mul", dtypes=NUMBERS),
    "div": binary("div", low=0.3),
    "neg": unary("neg", "bits", dtypes=NUMBERS, errors=()),
    "abs": unary("abs", "bits", dtypes=NUMBERS, low=0.2, errors=()),
    "sign": unary("sign", "bits", dtypes=NUMBERS, low=0.2, errors=()),
    "pow": binary("pow", near="ulps", low=0.2),
    "floordiv": binary(
        "floor_divide", dtypes=NUMBERS, values=_divisors, torch_special=False, curved=False
    ),
    "floormod": binary("remainder", dtypes=NUMBERS, values=_divisors, torch_special=False),
    "fmod": binary("fmod", values=_divisors, torch_special=False),
    "truncdiv": bits(
        lambda a, b: torch.div(a, b, rounding_mode="trunc"), values=_divisors, torch_special=False
    ),
    "truncmod": bits("fmod", values=_divisors, torch_special=False),
    "maximum": binary("maximum", dtypes=ANY, values=_apart),
    "minimum": binary("minimum", dtypes=ANY, values=_apart),
    # Comparisons and tests.
    "lt": predicate("lt"),
    "le": predicate("le"),
    "gt": predicate("gt"),
    "ge": predicate("ge"),
    "eq": predicate("eq", values=_small),
    "ne": predicate("ne", values=_small),
    "isnan": unary("isnan", "bits", grad=False),
    "isinf": unary("isinf", "bits", grad=False),
    "isfinite": unary("isfinite", "bits", grad=False),
    "signbit": unary("signbit", "bits", grad=False),
    # Bits.
    "and": bits("bitwise_and"),
    "or": bits("bitwise_or"),
    "xor": bits("bitwise_xor"),
    "not": Row(UNARY, INTEGERS + BOOL, "bitwise_not", grad=False, special=True),
    "shl": binary("bitwise_left_shift", dtypes=INTEGERS, grad=False, values=_shifts),
    "shr": binary("bitwise_right_shift", dtypes=INTEGERS, grad=False, values=_shifts),
    # Functions of one float.
    "exp": unary("exp"),
    "exp2": unary("exp2"),
    "expm1": unary("expm1"),
    "log": unary("log", low=0.2),
    "log2": unary("log2", low=0.2),
    "log10": unary("log10", low=0.2),
    "log1p": unary("log1p", low=-0.7),
    "sqrt": unary("sqrt", "bits", low=0.2),
    "rsqrt": unary("rsqrt", low=0.2),
    "cbrt": unary(low=0.2),
    "sin": unary("sin"),
    "cos": unary("cos"),
    "tan": unary("tan", low=-1.2, high=1.2),
    "asin": unary("asin", low=-0.8, high=0.8),
    "acos": unary("acos", low=-0.8, high=0.8),
    "atan": unary("atan"),
    "sinh": unary("sinh"),
    "cosh": unary("cosh"),
    "tanh": unary("tanh"),
    "asinh": unary("asinh"),
    "acosh": unary("acosh", low=1.2, high=4.0),
    "atanh": unary("atanh", low=-0.8, high=0.8),
    "erf": unary("erf"),
    "erfc": unary("erfc"),
    "ndtr": unary(low=-3.0, ulps=16),
    "gelu": unary(low=-3.0, ulps=16),
    "erfinv": unary("erfinv", low=-0.8, high=0.8),
    "lgamma": unary("lgamma", low=0.3, high=9.0, ulps=8, zeros=1.0),
    "digamma": unary("digamma", low=0.3, high=9.0, ulps=16, zeros=1.0, torch_special=False),
    "sigmoid": unary("sigmoid"),
    "floor": unary("floor", "bits"),
    "ceil": unary("ceil", "bits"),
    "trunc": unary("trunc", "bits"),
    "round": unary("round", "bits"),
    # Functions of two floats.
    "atan2": binary("atan2", near="ulps", low=0.3),
    "hypot": binary("hypot", near="ulps", low=0.3),
    "copysign": binary("copysign", low=0.3),
    "nextafter": binary("nextafter", dtypes=FLOATS, grad=False),
    # Choice, rectification, conversion.
    "where": Row(
        tuple(
            Case(s, dtypes=(F32, F32))
            for s in [((3, 5),) * 3, ((3, 1), (1, 4), ()), ((0, 3), (3,), (1, 3)), ((), (), ())]
        ),
        BOOL,
        "where",
        grad_inputs=(1, 2),
        errors=(
            Error((((2,), F32),) * 3, (), RuntimeError, "a condition of bool"),
            Error((((2,), dtypes.bool_), ((2,), F32), ((2,), F64)), (), RuntimeError, "one dtype"),
        ),
    ),
    "relu": unary("relu", "bits", dtypes=NUMBERS, low=0.2, errors=()),
    "cast": Row(CASTS, ANY, lambda x, to: x.to(torch_dtype(to)), grad=False, special=False),
    "bitcast": Row(
        tuple(Case((s,), (F32,)) for s in [(5, 7), (0,), ()]),
        (dtypes.int32, F32),
        lambda x, to: x.view(torch_dtype(to)),
        grad=False,
        errors=(Error((((2,), F64),), (F32,), RuntimeError, "dtypes must have one size"),),
    ),
    "random_bits": Row(
        tuple(Case(s) for s in [((), (9,)), ((3, 1), (5,)), ((0,), (1,))]),
        (I64,),
        grad=False,
    ),
    "detach": unary(lambda x: x, "bits", dtypes=ANY, grad=False, errors=()),
    "variable": unary(lambda x: x, "bits", grad=False, errors=()),
    "identity": unary(lambda x: x, "bits", dtypes=ANY, errors=()),
    "replace": binary(
        lambda a, b: torch.broadcast_tensors(a, b)[1], dtypes=ANY, grad=False, special=False
    ),
    "constant": Row(
        tuple(
            Case((), (d, wide(v).tobytes()))
            for d, wide, v in [
                (F32, np.float64, 0.5),
                (BF16, np.float64, 1.1),
                (F64, np.float64, -0.0),
                (dtypes.int8, np.int64, -7),
                (dtypes.bool_, np.int64, 1),
            ]
        ),
        (F32,),
        grad=False,
    ),
    # Reductions.
    "sum": reduction(_torch_sum, dtypes=NUMBERS, near="sum"),
    "prod": reduction(_torch_prod, dtypes=NUMBERS, near="sum", low=0.7, high=1.2),
    "max": reduction(_over("amax"), dtypes=ANY, values=_apart, empty=False),
    "min": reduction(_over("amin"), dtypes=ANY, values=_apart, empty=False),
    "any": reduction(_over("any"), dtypes=BOOL, grad=False),
    "all": reduction(_over("all"), dtypes=BOOL, grad=False),
    "argmax": reduction(
        _torch_position("argmax"), dtypes=ANY, values=_apart, grad=False, empty=False
    ),
    "argmin": reduction(
        _torch_position("argmin"), dtypes=ANY, values=_apart, grad=False, empty=False
    ),
    # Movement.
    "reshape": Row(
        _cases(
            [
                (((4, 6),), ((2, 12),)),
                (((2, 3, 4),), ((4, 3, 2),)),
                (((0, 3),), ((3, 0, 2),)),
                (((),), ((1, 1),)),
                (((1,),), ((),)),
                (((130,),), ((2, 65),)),
            ]
        ),
        ANY,
        lambda x, shape: x.reshape(shape),
        errors=(Error((((2, 3), F32),), ((4, 2),), RuntimeError, "is invalid for input of size"),),
    ),
    "permute": Row(
        _cases(
            [
                (((4, 6),), ((1, 0),)),
                (((2, 3, 4),), ((2, 0, 1),)),
                (((0, 3),), ((1, 0),)),
                (((),), ((),)),
                (((33, 2, 17),), ((1, 0, 2),)),
            ]
        ),
        ANY,
        lambda x, axes: x.permute(axes),
        errors=(Error((((2, 3), F32),), ((0, 0),), RuntimeError, "each of the 2 axes once"),),
    ),
    "expand": Row(
        _cases(
            [
                (((4, 1),), ((4, 5),)),
                (((3,),), ((2, 3),)),
                (((),), ((2, 2),)),
                (((1, 3),), ((0, 3),)),
                (((2, 1, 1),), ((3, 2, 1, 4),)),
            ]
        ),
        ANY,
        lambda x, shape: x.expand(shape),
        errors=(Error((((2, 3), F32),), ((2, 4),), RuntimeError, "non-singleton"),),
    ),
    "slice": Row(
        _cases(
            [
                (((6, 7),), (((1, 2, 2), (6, 3, -2)),)),
                (((5,),), (((4, 5, -1),),)),
                (((5, 3),), (((0, 0, 1), (0, 3, 1)),)),
                (((0, 3),), (((0, 0, 1), (1, 2, 1)),)),
                (((),), ((),)),
                (((4, 130),), (((3, 1, 1), (0, 43, 3)),)),
            ]
        ),
        ANY,
        _torch_slice,
        errors=(
            Error((((5,), F32),), (((0, 6, 1),),), IndexError, "out of range"),
            Error((((5,), F32),), (((1, 3, -1),),), IndexError, "out of range"),
        ),
    ),
    "slice_put": Row(
        _cases(
            [
                (((6, 7), (2, 3)), (((1, 2, 2), (6, 3, -2)),)),
                (((5,), (5,)), (((4, 5, -1),),)),
                (((5, 3), (0, 3)), (((0, 0, 1), (0, 3, 1)),)),
                (((4, 130), (1, 43)), (((3, 1, 1), (0, 43, 3)),)),
            ]
        ),
        ANY,
        _torch_slice_put,
        errors=(
            Error((((5,), F32), ((2,), F32)), (((0, 3, 1),),), RuntimeError, "values of shape"),
            Error((((5,), F32), ((3,), F64)), (((0, 3, 1),),), RuntimeError, "one dtype"),
        ),
    ),
    "pad": Row(
        _cases(
            [
                (((3, 4), ()), (((1, 2), (0, 3)),)),
                (((0, 3), ()), (((2, 0), (0, 1)),)),
                (((5,), ()), (((0, 1),),)),
                (((2, 1, 17), ()), (((0, 0), (3, 3), (8, 0)),)),
            ]
        ),
        ANY,
        _torch_pad,
        errors=(
            Error((((5,), F32), ((), F32)), (((-1, 0),),), RuntimeError, "non-negative"),
            Error((((5,), F32), ((), F64)), (((1, 0),),), RuntimeError, "one dtype"),
        ),
    ),
    "concatenate": Row(
        _cases(
            [
                (((3, 4), (2, 4)), (0,)),
                (((3, 4), (3, 0), (3, 5)), (1,)),
                (((0,), (3,)), (0,)),
                (((2, 1, 3), (2, 70, 3), (2, 2, 3)), (1,)),
            ]
        ),
        ANY,
        lambda *args: torch.cat(args[:-1], args[-1]),
        errors=(
            Error((((2, 3), F32), ((2, 4), F32)), (0,), RuntimeError, "must match except"),
            Error((((2, 3), F32), ((3,), F32)), (0,), RuntimeError, "must match except"),
            Error((((2,), F32), ((2,), F64)), (0,), RuntimeError, "one dtype"),
        ),
    ),
    "iota": Row(
        _cases([((), (7,)), ((), (0,)), ((), (130,))]),
        (F32,),
        lambda n: torch.arange(n),
        grad=False,
    ),
    # Indexing by arrays.
    "checked": Row(
        tuple(Case((s,), (5, 0, "index"), (), 5) for s in [(9,), (2, 3), (0,), ()]),
        (I64,),
        lambda i, size, *_: torch.where(i < 0, i + size, i),
        grad=False,
    ),
    "ravel_index": Row(
        tuple(
            Case((shape,) * len(sizes), (sizes,), (), 5)
            for shape, sizes in [((9,), (5, 7)), ((2, 3), (5, 6, 7)), ((0,), (5, 5)), ((), (9, 9))]
        ),
        (I64,),
        lambda *args: functools.reduce(lambda t, s: t * s[1] + s[0], zip(args, args[-1]), 0),
        grad=False,
    ),
    "gather": Row(
        tuple(
            Case(shapes, (rank,), (I64,) * (len(shapes) - 1), 4)
            for shapes, rank in [
                (((4, 5), (7,)), 0),
                (((4, 6, 3), (2, 3), (2, 3)), 0),
                (((2, 4, 3), (2, 5)), 1),
                (((4,), ()), 0),
                (((4, 0), (3,)), 0),
                (((4, 3), (0,)), 0),
                (((5, 67), (33,)), 0),
                (((2, 4), (2, 3)), 1),
            ]
        ),
        ANY,
        _torch_gather,
        grad_inputs=(0,),
        errors=(
            Error((((4,), F32), ((2,), I64), ((2,), I64)), (0,), RuntimeError, "shapes do not fit"),
            Error((((4,), F32), ((2,), dtypes.int32)), (0,), RuntimeError, "shapes do not fit"),
        ),
    ),
    "scatter_add": _scatter("sum", grad_inputs=(0, 1)),
    "scatter_set": _scatter("set", grad_inputs=(0, 1)),
    "scatter_mul": _scatter("prod", grad_inputs=(0, 1), values=_factors),
    "scatter_max": _scatter("amax", grad_inputs=(0, 1)),
    "scatter_min": _scatter("amin", grad_inputs=(0, 1)),
    "nonzero": Row(
        tuple(Case(((n,),), (n // 2,)) for n in (9, 130, 0, 1)),
        BOOL,
        lambda mask, count: torch.nonzero(mask)[:, 0],
        values=_half_true,
        batches=False,
        grad=False,
    ),
    "masked_select": Row(
        tuple(
            Case(((n,), (n,)), (n // 2,), (dtype,))
            for n, dtype in [(9, F32), (130, F64), (0, F32), (9, BF16), (9, dtypes.int8)]
        ),
        BOOL,
        lambda mask, x, count: torch.masked_select(x, mask),
        values=_half_true,
        batches=False,
        grad_inputs=(1,),
    ),
    # Scans and sorting.
    "cumsum": _scan(lambda x: torch.cumsum(x, 1, dtype=x.dtype), near="sum"),
    "cumprod": _scan(lambda x: torch.cumprod(x, 1, dtype=x.dtype), near="sum", low=0.7, high=1.2),
    "recurrence": _scan(None, 2, near="sum", low=-0.9, high=0.9),
    "logcumsumexp": _scan(
        lambda x: torch.logcumsumexp(x, 1), dtypes=FLOATS, near="ulps", ulps=16, zeros=1.0
    ),
    "cumargmax": _running(lambda x: torch.cummax(x, 1)[1]),
    "cumargmin": _running(lambda x: torch.cummin(x, 1)[1]),
    "argsort": Row(
        tuple(
            Case((shape,), (descending,))
            for shape in [(3, 17), (2, 0), (0, 5), (1, 1), (2, 700)]
            for descending in (False, True)
        ),
        ANY,
        lambda x, descending: torch.argsort(x, dim=1, descending=descending, stable=True),
        grad=False,
        errors=(Error((((3,), F32),), (False,), RuntimeError, "takes rows"),),
    ),
    "argtop": Row(
        tuple(
            Case((shape,), (k, largest))
            for shape, k in [((3, 17), 4), ((2, 5), 0), ((0, 5), 1), ((1, 1), 1), ((2, 700), 9)]
            for largest in (True, False)
        ),
        ANY,
        _torch_top,
        values=_apart,
        grad=False,
        errors=(Error((((3, 4), F32),), (5, True), RuntimeError, "out of range"),),
    ),
    "searchsorted": Row(
        tuple(
            Case(shapes, (right,))
            for shapes in [
                ((3, 17), (3, 5)),
                ((2, 0), (2, 3)),
                ((1, 9), (1, 0)),
                ((1, 130), (1, 70)),
            ]
            for right in (False, True)
        ),
        ANY,
        lambda seq, v, right: torch.searchsorted(seq, v.contiguous(), right=right),
        values=_sorted_first,
        grad=False,
        errors=(
            Error((((3, 4), F32), ((2, 4), F32)), (False,), RuntimeError, "takes rows"),
            Error((((3, 4), F32), ((3, 4), F64)), (False,), RuntimeError, "one dtype"),
        ),
    ),
    # Contractions.
    "matmul": Row(
        tuple(
            Case(s)
            for s in [
                ((3, 4), (4, 5)),
                ((2, 3, 4), (2, 4, 5)),
                ((1, 7), (7, 1)),
                ((0, 3), (3, 2)),
                ((2, 0), (0, 3)),
                ((17, 33), (33, 67)),
                ((1, 130), (130, 19)),
                ((19, 130), (130, 1)),
                ((2, 2, 5, 3), (2, 2, 3, 4)),
            ]
        ),
        NUMBERS,
        "matmul",
        near="sum",
        values=_small,
        errors=_matmul_errors(),
    ),
    "conv": Row(
        tuple(Case((x, w), attrs) for x, w, attrs in _CONVOLUTIONS),
        NUMBERS,
        _torch_conv,
        near="sum",
        errors=(
            Error(
                (((1, 2, 2, 3), F32), ((4, 3, 3, 3), F32)),
                ((1, 1), ((0, 0), (0, 0)), (1, 1), 1),
                RuntimeError,
                "can't be greater than actual input size",
            ),
            Error(
                (((1, 5, 5, 3), F32), ((4, 3, 3, 2), F32)),
                ((1, 1), ((0, 0), (0, 0)), (1, 1), 1),
                RuntimeError,
                "channels",
            ),
        ),
    ),
    "conv_input": Row(
        tuple(
            Case((_output_shape(x, w, attrs), w), (x[1:-1], *attrs))
            for x, w, attrs in _CONVOLUTIONS
        ),
        NUMBERS,
        _torch_conv_input,
        near="sum",
    ),
    "conv_weight": Row(
        tuple(
            Case((x, _output_shape(x, w, attrs)), (w[1:-1], *attrs))
            for x, w, attrs in _CONVOLUTIONS
        ),
        NUMBERS,
        _torch_conv_weight,
        near="sum",
    ),
    # Windows.
    "windows": Row(
        tuple(Case((x,), attrs) for x, attrs in _WINDOWS),
        ANY,
        _taps,
        errors=(
            Error(
                (((1, 2, 2, 1), F32),),
                ((3, 3), (1, 1), (1, 1)),
                RuntimeError,
                "can't be greater than actual input size",
            ),
        ),
    ),
    "fold": Row(
        tuple(_folded(x, attrs) for x, attrs in _WINDOWS), NUMBERS, _torch_fold, near="sum"
    ),
    "pool_max": Row(
        tuple(Case((x,), (*attrs, (0,) * len(attrs[0]))) for x, attrs in _WINDOWS),
        ANY,
        _torch_pool,
        values=_apart,
    ),
    "pool_max_input": Row(
        tuple(_pooled(x, attrs) for x, attrs in _WINDOWS),
        NUMBERS,
        _torch_pool_input,
        values=_apart,
        near="sum",
        grad_inputs=(0,),
    ),
}


def torch_dtype(dtype: DType) -> Any:
    """PyTorch's dtype of the same name."""
    return getattr(torch, dtype.name)

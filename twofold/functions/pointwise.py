"""Functions of one tensor, element by element, and choices between tensors."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

from .. import dtypes, engine
from ..devices import usable
from ..dtypes import DType
from ..graph.node import Node, make
from ..ops import elementwise as ew
from ..ops.base import get
from ..ops.custom import identity
from ..tensor import NAMES, Device, Tensor, broadcast_to, number, wrap
from ._registry import both, function, method
from .arithmetic import bitwise_not_of, pair, to_bool, to_float

CLONED_BYTES = 32 << 10
"""From here on a kernel copies faster than NumPy, for all that it costs to start one."""


def _float_function(name: str, *aliases: str, op_name: str | None = None) -> Callable[..., Tensor]:
    """The function of one float whose primitive is called `name`; integers become floats first."""
    op = get(op_name or name)

    def apply(input: Tensor) -> Tensor:
        node = input._node()
        if not node.structure.dtype.is_inexact:
            node = to_float(node)
        return wrap(make(op, (node,)))

    apply.__name__ = name
    apply.__doc__ = op.__doc__
    both(name, *aliases, inplace=True)(apply)
    return apply


exp = _float_function("exp")
exp2 = _float_function("exp2")
expm1 = _float_function("expm1")
log = _float_function("log")
log2 = _float_function("log2")
log10 = _float_function("log10")
log1p = _float_function("log1p")
sqrt = _float_function("sqrt")
rsqrt = _float_function("rsqrt")
sin = _float_function("sin")
cos = _float_function("cos")
tan = _float_function("tan")
asin = _float_function("asin", "arcsin")
acos = _float_function("acos", "arccos")
atan = _float_function("atan", "arctan")
sinh = _float_function("sinh")
cosh = _float_function("cosh")
tanh = _float_function("tanh")
asinh = _float_function("asinh", "arcsinh")
acosh = _float_function("acosh", "arccosh")
atanh = _float_function("atanh", "arctanh")
erf = _float_function("erf")
erfc = _float_function("erfc")
erfinv = _float_function("erfinv")
lgamma = _float_function("lgamma")
digamma = _float_function("digamma")
sigmoid = _float_function("sigmoid")


def gelu(input: Tensor) -> Tensor:
    """x Phi(x), Phi the normal distribution."""
    return wrap(ew.gelu(input._node()))


def _define(
    name: str, rule: Callable[[Node], Node], doc: str, *aliases: str, inplace: bool = True
) -> Callable[..., Tensor]:
    """A function of one tensor by a rule on its node."""

    def apply(input: Tensor) -> Tensor:
        return wrap(rule(input._node()))

    apply.__name__ = name
    apply.__doc__ = doc
    both(name, *aliases, inplace=inplace)(apply)
    return apply


def _float_only(rule: Callable[[Node], Node]) -> Callable[[Node], Node]:
    """`rule` for floats; integers are what they are."""
    return lambda x: rule(x) if x.structure.dtype.kind == "float" else _same(x)


def _same(x: Node) -> Node:
    return identity(x)


def _neg(x: Node) -> Node:
    if x.structure.dtype is dtypes.bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return ew.neg(x)


def _not_float(rule: Callable[[Node], Node], value: bool) -> Callable[[Node], Node]:
    """A test of floats, which integers all answer with `value`."""

    def apply(x: Node) -> Node:
        if x.structure.dtype.is_inexact:
            return rule(x)
        return broadcast_to(ew.constant(value, dtypes.bool_), x.shape)

    return apply


def _reciprocal(x: Node) -> Node:
    x = to_float(x)
    return ew.div(ew.const_like(x, 1), x)


def _scaled(factor: float) -> Callable[[Node], Node]:
    def apply(x: Node) -> Node:
        x = to_float(x)
        return ew.mul(x, ew.const_like(x, factor))

    return apply


def _is_infinite(sign: int) -> Callable[[Node], Node]:
    def apply(x: Node) -> Node:
        return ew.eq(x, ew.const_like(x, sign * math.inf))

    return apply


def _sinc(x: Node) -> Node:
    x = to_float(x)
    zero, one = ew.const_like(x, 0), ew.const_like(x, 1)
    is_zero = ew.eq(x, zero)
    scaled = ew.mul(ew.const_like(x, math.pi), ew.where(is_zero, one, x))
    return ew.where(is_zero, one, ew.div(ew.sin(scaled), scaled))


def _unsigned_safe(rule: Callable[[Node], Node]) -> Callable[[Node], Node]:
    return lambda x: _same(x) if x.structure.dtype is dtypes.bool_ else rule(x)


neg = _define("neg", _neg, "-input.", "negative")
sign = _define("sign", _unsigned_safe(ew.sign), "-1, 0 or 1.")
floor = _define("floor", _float_only(ew.floor), "The integer at or below input.")
ceil = _define("ceil", _float_only(ew.ceil), "The integer at or above input.")
trunc = _define("trunc", _float_only(ew.trunc), "input without its fraction.", "fix")
frac = _define("frac", lambda x: ew.sub(x, ew.trunc(x)), "The fraction of input.")
reciprocal = _define("reciprocal", _reciprocal, "1 / input.")
square = _define("square", lambda x: _square(x), "input * input.")
relu = _define("relu", ew.relu, "max(input, 0).")
positive = _define("positive", _same, "input.", inplace=False)
rad2deg = _define("rad2deg", _scaled(180 / math.pi), "Radians to degrees.")
deg2rad = _define("deg2rad", _scaled(math.pi / 180), "Degrees to radians.")
sinc = _define("sinc", _sinc, "sin(pi x) / (pi x), 1 at 0.")
isnan = _define("isnan", _not_float(ew.isnan, False), "Whether NaN.", inplace=False)
isinf = _define("isinf", _not_float(ew.isinf, False), "Whether infinite.", inplace=False)
isfinite = _define("isfinite", _not_float(ew.isfinite, True), "Whether finite.", inplace=False)
isposinf = _define("isposinf", _not_float(_is_infinite(1), False), "Whether inf.", inplace=False)
isneginf = _define("isneginf", _not_float(_is_infinite(-1), False), "Whether -inf.", inplace=False)
signbit = _define(
    "signbit",
    lambda x: (ew.signbit if x.structure.dtype.kind == "float" else _below_zero)(x),
    "Whether the sign is minus.",
    inplace=False,
)
logical_not = _define("logical_not", lambda x: ew.not_(to_bool(x)), "Whether input is 0.")
bitwise_not = _define("bitwise_not", bitwise_not_of, "~input, bit by bit.")

method("__neg__")(neg)
method("__invert__")(bitwise_not)
method("__pos__")(lambda self: self)


def _square(x: Node) -> Node:
    wide = ew.cast(x, dtypes.int64) if x.structure.dtype is dtypes.bool_ else x
    return ew.mul(wide, wide)


def _below_zero(x: Node) -> Node:
    return ew.lt(x, ew.const_like(x, 0))


@both(inplace=True)
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer, halves to even; or the nearest multiple of 10^-decimals."""
    x = input._node()
    if x.structure.dtype.kind != "float":
        return wrap(_same(x))
    if not decimals:
        return wrap(ew.round_(x))
    scale = number(10.0 ** builtins.abs(decimals), x.structure.dtype)
    up, down = (ew.mul, ew.div) if decimals > 0 else (ew.div, ew.mul)
    return wrap(down(ew.round_(up(x, scale)), scale))


@both(inplace=True)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), with x first clamped to [eps, 1 - eps]."""
    x = wrap(to_float(input._node())) if input.dtype.kind in ("bool", "int", "uint") else input
    x = x if eps is None else clamp(x, eps, 1 - eps)
    return log(x / (1 - x))


@both(inplace=True)
def nan_to_num(
    input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """input with NaN and infinities replaced by numbers, by default 0 and the largest finite
    ones."""
    x = input._node()
    dtype = x.structure.dtype
    if dtype.kind != "float":
        return wrap(_same(x))
    top = LARGEST[dtype]
    x = ew.where(ew.isnan(x), number(nan, dtype), x)
    high, low = top if posinf is None else posinf, -top if neginf is None else neginf
    x = ew.where(ew.eq(x, number(math.inf, dtype)), number(high, dtype), x)
    return wrap(ew.where(ew.eq(x, number(-math.inf, dtype)), number(low, dtype), x))


LARGEST: dict[DType, float] = {
    dtypes.float16: 65504.0,
    dtypes.bfloat16: 3.3895313892515355e38,
    dtypes.float32: 3.4028234663852886e38,
    dtypes.float64: 1.7976931348623157e308,
}
"""The largest finite number of each floating-point type."""


def _limited(input: Tensor, low: Any, high: Any, name: str) -> Tensor:
    if low is None and high is None:
        raise RuntimeError(f"{name}: At least one of 'min' or 'max' must not be None")
    for bound, above in ((low, False), (high, True)):
        if bound is None:
            continue
        x, limit = pair(input, bound, name)
        outside = ew.gt(x, limit) if above else ew.lt(x, limit)
        result = ew.where(outside, limit, x)
        if isinstance(bound, Tensor) and limit.structure.dtype.kind == "float":
            result = ew.where(ew.isnan(limit), limit, result)
        input = wrap(result)
    return input


@both("clamp", "clip", inplace=True)
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """input, but at least min and at most max. The gradient passes where nothing was cut.

    >>> import twofold as tf
    >>> tf.clamp(tf.tensor([-2.0, 0.5, 2.0]), -1, 1)
    tensor([-1.0000,  0.5000,  1.0000])
    """
    return _limited(input, min, max, "clamp")


@both(inplace=True)
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """input, but at least min."""
    return _limited(input, min, None, "clamp")


@both(inplace=True)
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """input, but at most max."""
    return _limited(input, None, max, "clamp")


@both(inplace=True)
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight * (end - input)."""
    return input + weight * (end - input)


@both(inplace=True)
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    product = tensor1 * tensor2
    return input + (product if value == 1 else value * product)


@both(inplace=True)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value * tensor1 / tensor2."""
    quotient = tensor1 / tensor2
    return input + (quotient if value == 1 else value * quotient)


@both(inplace=True)
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, `values` at 0."""
    x, v = pair(input, values, "heaviside")
    zero, one = ew.const_like(x, 0), ew.const_like(x, 1)
    return wrap(ew.where(ew.eq(x, zero), v, ew.where(ew.gt(x, zero), one, zero)))


@function("where")
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """input where condition holds, else other; with the condition alone, the places where it holds.

    >>> import twofold as tf
    >>> tf.where(tf.tensor([True, False]), 1.0, 0.0)
    tensor([1., 0.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if condition.dtype is not dtypes.bool_ and condition.dtype is not dtypes.uint8:
        raise RuntimeError("where expected condition to be a boolean tensor, but got a tensor "
                           "with "
                           f"dtype {condition.dtype}")  # fmt: skip
    a, b = pair(input, other, "where")
    return wrap(ew.where(to_bool(condition._node()), a, b))


@method("where")
def _where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    return where(condition, self, other)


@both(inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """input with `value` where mask holds."""
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}"
        )
    x = input._node()
    fill = value._node() if isinstance(value, Tensor) else number(value, x.structure.dtype)
    if fill.shape:
        raise RuntimeError(
            "masked_fill only supports a 0-dimensional value tensor, but got tensor with "
            f"{len(fill.shape)} dimension(s)."
        )
    return wrap(ew.where(mask._node(), ew.cast(fill, x.structure.dtype), x))


# Changing a tensor as a whole.


@method("fill_")
def fill_(self: Tensor, value: Any) -> Tensor:
    """Let every element be `value`."""
    s = self._node().structure
    fill = value._node() if isinstance(value, Tensor) else number(value, s.dtype)
    self._write(broadcast_to(ew.cast(fill, s.dtype), s.shape))
    return self


@method("zero_")
def zero_(self: Tensor) -> Tensor:
    """Let every element be 0."""
    return fill_(self, 0)


@method("copy_")
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Copy src, which may broadcast and have another dtype, to this tensor."""
    s = self._node().structure
    value = src._node() if isinstance(src, Tensor) else number(src, s.dtype)
    self._write(broadcast_to(ew.cast(value, s.dtype), s.shape))
    return self


# Copies and conversions.


@both()
def clone(input: Tensor, *, memory_format: object = None) -> Tensor:
    """A copy with its own storage; the gradient passes."""
    node = input._node()
    if input._storage.pinned is not None and not node.structure.requires_grad:
        # What lies in memory that others may write is copied now: a large or turned array by our
        # own kernels.
        array = input._array()
        if array.nbytes < CLONED_BYTES:
            return wrap(engine.from_numpy(array, node.structure.dtype))
        result = identity(node)
        engine.realize([result])
        return wrap(result)
    return wrap(identity(node))


def ew_identity(node: Node) -> Node:
    """`node` under a node of its own."""
    return make(get("identity"), (node,))


@method("contiguous")
def contiguous(self: Tensor, memory_format: object = None) -> Tensor:
    """This tensor if it lies dense, else a dense copy."""
    return self if self.is_contiguous() else clone(self)


def converted(x: Tensor, dtype: DType, copy: bool = False) -> Tensor:
    """x in another dtype; x itself if it has that one already."""
    node = x._node()
    if node.structure.dtype is dtype:
        return clone(x) if copy else x
    return wrap(ew.cast(node, dtype))


@method("to")
def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """This tensor with another dtype or on another device: to(dtype), to(device), to(other)."""
    dtype, copy = kwargs.get("dtype"), kwargs.get("copy", False)
    device = kwargs.get("device")
    for arg in args:
        if isinstance(arg, DType):
            dtype = arg
        elif isinstance(arg, Tensor):
            dtype = arg.dtype
        elif isinstance(arg, (str, Device)):
            device = arg
    if device is not None:
        usable(device)
    return converted(self, self.dtype if dtype is None else dtype, copy)


@method("type")
def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """PyTorch's name of the tensor's type; or the tensor in another, given as a dtype, such a name
    or a class of that name. ValueError for a name that says nothing.

    >>> import twofold as tf
    >>> tf.ones(2).type("torch.LongTensor").type()
    'torch.LongTensor'
    """
    if dtype is None:
        return f"torch.{NAMES[self.dtype]}Tensor"
    if isinstance(dtype, str):
        if dtype not in _TYPE_NAMES:
            raise ValueError(f"invalid type: {dtype!r}")
        return converted(self, _TYPE_NAMES[dtype])
    return converted(self, dtype if isinstance(dtype, DType) else dtype.dtype)


_TYPE_NAMES = {f"torch.{name}Tensor": dtype for dtype, name in NAMES.items()}


@method("type_as")
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """This tensor in other's dtype."""
    return converted(self, other.dtype)


@method("cpu")
def cpu(self: Tensor) -> Tensor:
    """This tensor, which is on the CPU."""
    return self


@method("cuda")
def cuda(self: Tensor, device: object = None) -> Tensor:
    """RuntimeError: there is no GPU here."""
    raise RuntimeError("[cuda] this build has the device 'cpu' only; try device='cpu'")


def _caster(name: str, dtype: DType) -> None:
    def apply(self: Tensor, memory_format: object = None) -> Tensor:
        return converted(self, dtype)

    apply.__doc__ = f"This tensor as {dtype.name}."
    method(name)(apply)


for _name, _dtype in {
    "float": dtypes.float32, "double": dtypes.float64, "half": dtypes.float16,
    "bfloat16": dtypes.bfloat16, "int": dtypes.int32, "long": dtypes.int64,
    "short": dtypes.int16, "char": dtypes.int8, "byte": dtypes.uint8, "bool": dtypes.bool_,
}.items():  # fmt: skip
    _caster(_name, _dtype)

"""Arithmetic, comparisons and bits: functions of two tensors or numbers, with PyTorch's
promotion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType, category, of_number, result_type
from ..graph.node import LEAF, Node, make
from ..ops import elementwise as ew
from ..ops import index as ix
from ..ops.base import get
from ..tensor import Tensor, number, wrap
from ._registry import both, function, in_place, method

_NUMBERS = (int, float, complex)


def pair(a: Any, b: Any, name: str = "") -> tuple[Node, Node]:
    """Nodes of `a` and `b`, at least one a tensor, in the dtype they promote to."""
    if isinstance(a, Tensor):
        x = a._node()
        if isinstance(b, Tensor):
            y = b._node()
            dx, dy = x.structure.dtype, y.structure.dtype
            if dx is not dy:
                dtype = result_type([(dx, 2 if x.shape else 1), (dy, 2 if y.shape else 1)])
                x, y = ew.cast(x, dtype), ew.cast(y, dtype)
            return x, y
        b = scalar(b, name)
        dtype = with_number(x.structure.dtype, b)
        return ew.cast(x, dtype), number(b, dtype)
    if isinstance(b, Tensor):
        y, x = pair(b, a, name)
        return x, y
    dtype = result_type([(of_number(scalar(a, name)), 0), (of_number(scalar(b, name)), 0)])
    return number(a, dtype), number(b, dtype)


def scalar(value: Any, name: str) -> Any:
    """A Python number. TypeError for anything else."""
    if isinstance(value, _NUMBERS):
        return value
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    raise TypeError(
        f"[{name}] argument must be Tensor or Number; got {type(value).__name__}; "
        "try twofold.tensor(...)"
    )


def with_number(dtype: DType, value: Any) -> DType:
    """The dtype of a tensor of `dtype` and a Python number together."""
    own = of_number(value)
    if own.is_complex and dtype.is_floating_point:
        return dtype.to_complex()
    return own if category(own) > category(dtype) else dtype


def floating(dtype: DType) -> DType:
    """`dtype`, or the default float where it is an integer or bool."""
    return dtype if dtype.is_inexact else dtypes.get_default()


def to_float(x: Node) -> Node:
    """x as floating point; complex numbers as they are."""
    return x if x.structure.dtype.is_inexact else ew.cast(x, dtypes.get_default())


Rule = Callable[[Node, Node], Node]


def _operator(op: Any, general: Callable[[Any, Any], Tensor], swapped: bool = False) -> Any:
    """The special method of `op`: at once for two floats of one dtype, else by `general`."""

    def apply(self: Tensor, other: Any) -> Tensor:
        try:
            if not self._window and not other._window:
                a = self._storage.node
                b = other._storage.node
                dtype = a.structure.dtype
                if dtype is b.structure.dtype and dtype.kind == "float":
                    return wrap(make(op, (a, b)))
        except AttributeError:
            if type(other) is float and not self._window:
                a = self._storage.node
                dtype = a.structure.dtype
                if dtype.kind == "float":
                    return wrap(make(op, (a, number(other, dtype))))
            elif not isinstance(other, (*_NUMBERS, np.generic)):
                return NotImplemented
        return general(self, other)

    def apply_swapped(self: Tensor, other: Any) -> Tensor:
        if type(other) is float and not self._window:
            a = self._storage.node
            dtype = a.structure.dtype
            if dtype.kind == "float":
                return wrap(make(op, (number(other, dtype), a)))
        if not isinstance(other, (*_NUMBERS, np.generic, Tensor)):
            return NotImplemented
        return general(other, self)

    return apply_swapped if swapped else apply


def _special(name: str, op: Any, f: Callable[..., Tensor], *, arithmetic: bool = True) -> None:
    """Attach `__name__` and, for arithmetic, `__rname__` and `__iname__`."""
    setattr(Tensor, f"__{name}__", _operator(op, f))
    if arithmetic:
        setattr(Tensor, f"__r{name}__", _operator(op, f, swapped=True))
        setattr(Tensor, f"__i{name}__", in_place(f, f"__i{name}__"))


@both(inplace=True)
def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """input + alpha * other. Of bools: or.

    >>> import twofold as tf
    >>> tf.add(tf.tensor([1, 2]), 0.5)
    tensor([1.5000, 2.5000])
    """
    a, b = pair(input, other, "add")
    if alpha != 1:
        if not b.structure.dtype.is_inexact and isinstance(alpha, float):
            raise RuntimeError("For integral input tensors, argument alpha must not be a floating "
                               "point number.")  # fmt: skip
        if b.structure.dtype is dtypes.bool_:
            if alpha is not False:
                raise RuntimeError("Boolean alpha only supported for Boolean results.")
            return wrap(ew.or_(a, ew.and_(b, ew.constant(False, dtypes.bool_))))
        b = ew.mul(b, number(alpha, b.structure.dtype))
    return wrap(ew.or_(a, b) if a.structure.dtype is dtypes.bool_ else ew.add(a, b))


def _is_bool(x: Any) -> bool:
    return isinstance(x, bool) or (isinstance(x, Tensor) and x.dtype is dtypes.bool_)


@both("sub", "subtract", inplace=True)
def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """input - alpha * other. RuntimeError for bools."""
    if _is_bool(input) or _is_bool(other):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
            "trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    a, b = pair(input, other, "sub")
    if alpha != 1:
        b = ew.mul(b, number(alpha, b.structure.dtype))
    return wrap(ew.sub(a, b))


@function()
def rsub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """other - alpha * input."""
    return sub(other, input, alpha=alpha)


@both("mul", "multiply", inplace=True)
def mul(input: Any, other: Any) -> Tensor:
    """input * other. Of bools: and."""
    a, b = pair(input, other, "mul")
    return wrap(ew.and_(a, b) if a.structure.dtype is dtypes.bool_ else ew.mul(a, b))


def _true_divide(input: Any, other: Any) -> Tensor:
    a, b = pair(input, other, "div")
    return wrap(ew.div(to_float(a), to_float(b)))


@both("div", "divide", "true_divide", inplace=True)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; rounded down ("floor") or towards zero ("trunc") with `rounding_mode`."""
    if rounding_mode is None:
        return _true_divide(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode != "trunc":
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    a, b = pair(input, other, "div")
    if a.structure.dtype.kind == "float":
        return wrap(ew.trunc(ew.div(a, b)))
    return wrap(ew.truncdiv(*_divisible(a, b)))


def _divisible(a: Node, b: Node) -> tuple[Node, Node]:
    """Two integers or floats to be divided. RuntimeError for integers divided by the number 0, or,
    once it runs, by a 0 among b."""
    if a.structure.dtype.kind == "float":
        return a, b
    op, attrs = b.structure.op, b.structure.attrs
    if op is ew.CONSTANT and not ew.CONSTANT.value(attrs):
        raise RuntimeError("ZeroDivisionError: integer division by 0")
    if op is ew.CONSTANT or (op is LEAF and attrs[0]):  # another number
        return a, b
    is_zero = ew.cast(ew.eq(b, ew.const_like(b, 0)), dtypes.int64)
    is_zero = ix.checked(is_zero, 1, 0, "divisor")
    return a, ew.add(b, ew.cast(is_zero, b.structure.dtype))


@both(inplace=True)
def floor_divide(input: Any, other: Any) -> Tensor:
    """floor(input / other)."""
    return wrap(ew.floordiv(*_divisible(*pair(input, other, "floor_divide"))))


@both(inplace=True)
def remainder(input: Any, other: Any) -> Tensor:
    """input - other * floor(input / other), with the sign of other."""
    return wrap(ew.floormod(*_divisible(*pair(input, other, "remainder"))))


@both(inplace=True)
def fmod(input: Any, other: Any) -> Tensor:
    """input - other * trunc(input / other), with the sign of input."""
    a, b = pair(input, other, "fmod")
    if a.structure.dtype is dtypes.bool_:
        raise RuntimeError("\"fmod\" not implemented for 'Bool'; try .to(twofold.int64)")
    if a.structure.dtype.kind == "float":
        return wrap(ew.fmod(a, b))
    return wrap(ew.truncmod(*_divisible(a, b)))


def _power_by_squaring(a: Node, exponent: int) -> Node:
    result = None
    while exponent:
        if exponent & 1:
            result = a if result is None else ew.mul(result, a)
        exponent >>= 1
        if exponent:
            a = ew.mul(a, a)
    assert result is not None
    return result


def _integer_power(a: Node, b: Node) -> Node:
    """a^b of integers: each bit of b multiplies in one square; a^b = 0 for b < 0 but for a = 1,
    -1."""
    one, zero = ew.const_like(a, 1), ew.const_like(a, 0)
    result, square, left = one, a, b
    for _ in range(6):
        odd = ew.ne(ew.and_(left, one), zero)
        result = ew.mul(result, ew.where(odd, square, one))
        square, left = ew.mul(square, square), ew.shr(left, one)
    if a.structure.dtype.kind == "uint":
        return result
    is_odd = ew.ne(ew.and_(b, one), zero)
    unit = ew.where(is_odd, a, one)
    is_unit = ew.or_(ew.eq(a, one), ew.eq(a, ew.const_like(a, -1)))
    return ew.where(ew.lt(b, zero), ew.where(is_unit, unit, zero), result)


@both(inplace=True)
def pow(input: Any, exponent: Any) -> Tensor:
    """input to the power of exponent.

    >>> import twofold as tf
    >>> tf.tensor([1, 2, 3]) ** 2
    tensor([1, 4, 9])
    """
    a, b = pair(input, exponent, "pow")
    if a.structure.dtype is dtypes.bool_:
        if isinstance(exponent, bool):
            return wrap(ew.or_(a, ew.constant(not exponent, dtypes.bool_)))
        raise RuntimeError("\"pow\" not implemented for 'Bool'; try .to(twofold.int64)")
    is_float = a.structure.dtype.is_inexact
    if not isinstance(exponent, Tensor):
        if exponent == 1:
            return wrap(ew.mul(a, ew.const_like(a, 1)))
        if exponent in (2, 3):
            return wrap(_power_by_squaring(a, int(exponent)))
        if is_float and exponent == 0.5:
            return wrap(ew.sqrt(a))
        if is_float and exponent == -1:
            return wrap(ew.div(ew.const_like(a, 1), a))
        if is_float and exponent == -0.5:
            return wrap(ew.rsqrt(a))
        if not is_float:
            if exponent < 0:
                raise RuntimeError("Integers to negative integer powers are not allowed.")
            if exponent == 0:
                return wrap(ew.add(ew.mul(a, ew.const_like(a, 0)), ew.const_like(a, 1)))
            return wrap(_power_by_squaring(a, int(exponent)))
    return wrap(ew.pow_(a, b) if is_float else _integer_power(a, b))


@both(inplace=True)
def float_power(input: Any, exponent: Any) -> Tensor:
    """input to the power of exponent, in float64 or complex128."""
    a, b = pair(input, exponent, "float_power")
    wide = dtypes.complex128 if a.structure.dtype.is_complex else dtypes.float64
    return wrap(ew.pow_(ew.cast(a, wide), ew.cast(b, wide)))


def _comparison(name: str, rule: Rule, symbol: str, *aliases: str) -> Callable[..., Tensor]:
    def compare(input: Any, other: Any) -> Tensor:
        return wrap(rule(*pair(input, other, name)))

    compare.__name__ = name
    compare.__doc__ = f"input {symbol} other, element by element: bool."
    both(name, *aliases, inplace=True)(compare)
    return compare


lt = _comparison("lt", ew.lt, "<", "less")
le = _comparison("le", ew.le, "<=", "less_equal")
gt = _comparison("gt", ew.gt, ">", "greater")
ge = _comparison("ge", ew.ge, ">=", "greater_equal")
eq = _comparison("eq", ew.eq, "==")
ne = _comparison("ne", ew.ne, "!=", "not_equal")


def _float_pair(name: str, rule: Rule, doc: str, *aliases: str) -> Callable[..., Tensor]:
    """A function of two floats; integers become the default float."""

    def apply(input: Any, other: Any) -> Tensor:
        a, b = pair(input, other, name)
        return wrap(rule(to_float(a), to_float(b)))

    apply.__name__ = name
    apply.__doc__ = doc
    both(name, *aliases, inplace=True)(apply)
    return apply


atan2 = _float_pair("atan2", ew.atan2, "The angle of the point (other, input).", "arctan2")
hypot = _float_pair("hypot", ew.hypot, "sqrt(input^2 + other^2) without overflow.")
copysign = _float_pair("copysign", ew.copysign, "|input| with the sign of other.")
nextafter = _float_pair("nextafter", ew.nextafter, "The number after input towards other.")


def _logaddexp(a: Node, b: Node) -> Node:
    """max + log(1 + e^-|a - b|); equal infinities have no difference."""
    top = ew.maximum(a, b)
    gap = ew.abs_(ew.sub(a, b))
    both_infinite = ew.and_(ew.isinf(a), ew.eq(a, b))
    sum_ = ew.add(top, ew.log1p(ew.exp(ew.neg(gap))))
    return ew.where(both_infinite, a, sum_)


logaddexp = _float_pair("logaddexp", _logaddexp, "log(e^input + e^other).")


def _xlogy(a: Node, b: Node) -> Node:
    zero = ew.const_like(a, 0)
    is_zero = ew.and_(ew.eq(a, zero), ew.eq(b, b))
    product = ew.mul(a, ew.log(ew.where(is_zero, ew.const_like(b, 1), b)))
    return ew.where(is_zero, zero, product)


xlogy = _float_pair("xlogy", _xlogy, "input * log(other), 0 where input is 0.")


def _any_pair(name: str, rule: Rule, doc: str) -> Callable[..., Tensor]:
    def apply(input: Any, other: Any) -> Tensor:
        return wrap(rule(*pair(input, other, name)))

    apply.__name__ = name
    apply.__doc__ = doc
    both(name)(apply)
    return apply


maximum = _any_pair("maximum", ew.maximum, "The larger of each pair; NaN if either is.")
minimum = _any_pair("minimum", ew.minimum, "The smaller of each pair; NaN if either is.")


def _pick(rule: Rule) -> Rule:
    def apply(a: Node, b: Node) -> Node:
        if a.structure.dtype.kind != "float":
            return rule(a, b)
        return ew.where(ew.isnan(a), b, ew.where(ew.isnan(b), a, rule(a, b)))

    return apply


fmax = _any_pair("fmax", _pick(ew.maximum), "The larger of each pair, the number if one is NaN.")
fmin = _any_pair("fmin", _pick(ew.minimum), "The smaller of each pair, the number if one is NaN.")


def _bitwise(name: str, rule: Rule, doc: str, *aliases: str) -> Callable[..., Tensor]:
    def apply(input: Any, other: Any) -> Tensor:
        a, b = pair(input, other, name)
        if a.structure.dtype.is_inexact:
            raise RuntimeError(
                f"[{name}] takes integers or bools; got {a.structure.dtype}; try .to(twofold.int64)"
            )
        return wrap(rule(a, b))

    apply.__name__ = name
    apply.__doc__ = doc
    both(name, *aliases, inplace=True)(apply)
    return apply


bitwise_and = _bitwise("bitwise_and", ew.and_, "input & other, bit by bit.")
bitwise_or = _bitwise("bitwise_or", ew.or_, "input | other, bit by bit.")
bitwise_xor = _bitwise("bitwise_xor", ew.xor, "input ^ other, bit by bit.")
bitwise_left_shift = _bitwise("bitwise_left_shift", ew.shl, "input << other.")
bitwise_right_shift = _bitwise("bitwise_right_shift", ew.shr, "input >> other.")


def bitwise_not_of(x: Node) -> Node:
    """~x. RuntimeError for floats."""
    if x.structure.dtype.is_inexact:
        raise RuntimeError("[bitwise_not] takes integers or bools; try .to(twofold.int64)")
    return ew.not_(x)


def to_bool(x: Node) -> Node:
    """x != 0."""
    return ew.cast(x, dtypes.bool_)


def _logical(name: str, rule: Rule) -> Callable[..., Tensor]:
    def apply(input: Tensor, other: Tensor) -> Tensor:
        return wrap(rule(to_bool(input._node()), to_bool(other._node())))

    apply.__name__ = name
    apply.__doc__ = f"The {name.removeprefix('logical_')} of input != 0 and other != 0."
    both(name, inplace=True)(apply)
    return apply


logical_and = _logical("logical_and", ew.and_)
logical_or = _logical("logical_or", ew.or_)
logical_xor = _logical("logical_xor", ew.xor)

_special("add", get("add"), add)
_special("sub", get("sub"), sub)
_special("mul", get("mul"), mul)
_special("truediv", get("div"), _true_divide)
_special("floordiv", get("floordiv"), floor_divide)
_special("mod", get("floormod"), remainder)
_special("and", get("and"), bitwise_and)
_special("or", get("or"), bitwise_or)
_special("xor", get("xor"), bitwise_xor)
_special("lshift", get("shl"), bitwise_left_shift)
_special("rshift", get("shr"), bitwise_right_shift)
for _name, _rule in (("lt", lt), ("le", le), ("gt", gt), ("ge", ge)):
    _special(_name, get(_name), _rule, arithmetic=False)


def _equality(op: Any, general: Callable[..., Tensor], otherwise: bool) -> Any:
    operator = _operator(op, general)

    def apply(self: Tensor, other: Any) -> Any:
        result = operator(self, other)
        return otherwise if result is NotImplemented else result

    return apply


Tensor.__eq__ = _equality(get("eq"), eq, False)  # type: ignore[method-assign]
Tensor.__ne__ = _equality(get("ne"), ne, True)  # type: ignore[method-assign]


@method("__pow__")
def _pow(self: Tensor, exponent: Any) -> Tensor:
    return pow(self, exponent)


@method("__rpow__")
def _rpow(self: Tensor, other: Any) -> Tensor:
    return pow(other, self)


Tensor.__ipow__ = in_place(pow, "__ipow__")  # type: ignore[attr-defined]

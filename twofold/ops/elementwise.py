"""Elementwise primitives: one value of each input gives one value of the output.

Inputs broadcast against one another as in NumPy and have one dtype (promotion happens above). An op
states its formula as a `body` in the scalar language and its gradient as a function of nodes; all
else is the family's. To add one, add an entry here: nothing else need be touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..graph.node import Node, leaf
from ..graph.node import make as make_node
from ..graph.types import Type, broadcast_shapes
from . import scalar, scalar_numpy
from .base import Op, get, register, require_same_dtype
from .scalar import Expr

Rule = Callable[..., Sequence[Node | None]]


class Elementwise(Op):
    """The family: shapes broadcast, the body gives the value, batches broadcast too.

    `result` is the output's dtype: "same" as the inputs', or a dtype. `accepts` limits the inputs:
    "float", "integer" (with bool), "whole" (without), "number" (no bool), or "any".
    """

    kind = "elementwise"
    arity = 1
    result: str | DType = "same"
    accepts = "any"

    body: Callable[..., Expr]

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        self.check(types)
        shape = types[0].shape
        for other in types:
            if other.shape != shape:
                shape = broadcast_shapes(self.name, [t.shape for t in types])
                break
        return Type(shape, self.result_dtype(types, attrs), types[0].device)

    def check(self, types: list[Type]) -> None:
        """Raise RuntimeError unless the dtypes are ones that this op takes."""
        require_same_dtype(self.name, types)
        dtype = types[0].dtype
        if self.accepts == "float" and not dtype.is_inexact:
            raise RuntimeError(f"[{self.name}] takes floating-point values; got {dtype}")
        if self.accepts == "integer" and dtype.is_inexact:
            raise RuntimeError(f"[{self.name}] takes integers or bools; got {dtype}")
        if self.accepts == "whole" and (dtype.is_inexact or dtype.kind == "bool"):
            raise RuntimeError(f"[{self.name}] takes integers; got {dtype}")
        if self.accepts == "number" and dtype.kind == "bool":
            raise RuntimeError(f"[{self.name}] does not take bools; try .to(twofold.int64)")

    def result_dtype(self, types: list[Type], attrs: tuple) -> DType:
        """The dtype of the output."""
        return types[0].dtype if isinstance(self.result, str) else self.result

    def expression(self, dtypes_: Sequence[DType], attrs: tuple) -> Expr:
        """The body on operands 0, 1, ... of these dtypes."""
        operands = [scalar.operand(i, d) for i, d in enumerate(dtypes_)]
        return self.body(*operands, *attrs)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        """The body read by NumPy, on held values."""
        root = self.expression([t.dtype for t in types], attrs)
        return np.broadcast_to(scalar_numpy.evaluate(root, arrays), out.shape)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        """Align the batch axis at the front of the largest rank."""
        rank = max(len(x.shape) - b for x, b in zip(inputs, batched))
        aligned = []
        for x, is_batched in zip(inputs, batched):
            missing = rank - (len(x.shape) - 1)
            if is_batched and missing:
                shape = (x.shape[0], *(1,) * missing, *x.shape[1:])
                x = make_node(get("reshape"), (x,), (shape,))
            aligned.append(x)
        return make_node(self, tuple(aligned), attrs)

    rule: Rule

    def gradient(self, node: Node, g: Node) -> Sequence[Node | None]:
        """The op's own rule, then sums over the axes that were broadcast."""
        inputs = node.inputs
        partials: list[Node | None] = []
        for x, partial in zip(inputs, self.rule(node, g, *inputs)):
            s = x.structure
            if partial is None or not s.requires_grad:
                partials.append(None)
            elif partial.structure.shape == s.shape:
                partials.append(partial)
            else:
                partials.append(sum_to(partial, s.shape))
        return partials


class Constant(Op):
    """A number known when the graph is made: y = value, 0-d. Attributes: dtype and the value's
    bytes."""

    name = "constant"
    params = ("dtype", "data")
    kind = "elementwise"
    complex_rule = "mixed"
    differentiable = False

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        return Type((), attrs[0])

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        return ()

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        return make_node(self, (), attrs)

    def expression(self, dtypes_: Sequence[DType], attrs: tuple) -> Expr:
        """The constant as a body."""
        return scalar.const(self.value(attrs), attrs[0])

    def value(self, attrs: tuple) -> complex | float | int | bool:
        """The number itself."""
        return np.frombuffer(attrs[1], attrs[0].widest)[0].item()

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        held = scalar_numpy.held_dtype(attrs[0])
        return scalar_numpy.rounded(np.asarray(self.value(attrs), held), attrs[0])


CONSTANT = register(Constant())
_constants: dict[tuple, Node] = {}
_plain_constants: dict[tuple, Node] = {}


def constant(value: complex, dtype: DType) -> Node:
    """The number `value` as a 0-d node, known to the compiler."""
    kind = value.__class__
    # Floats by their value, where it tells them apart: 0.0 is -0.0, and NaN is not itself.
    if kind is int or (kind is float and value and value == value):
        found = _plain_constants.get((dtype, kind, value))
        if found is not None and found.value is None:
            return found
        found = _plain_constants[dtype, kind, value] = _constant(value, dtype)
        return found
    return _constant(value, dtype)


def _constant(value: complex, dtype: DType) -> Node:
    data = dtype.widest(value).tobytes()
    found = _constants.get((dtype, data))
    # One that a user looked at has its value, and so is a leaf of later graphs, not a constant.
    if found is None or found.value is not None:
        found = _constants[dtype, data] = make_node(CONSTANT, (), (dtype, data))
    return found


SPECIAL = frozenset([0, 1, -1, 2, 0.5])
"""Numbers worth a kernel of their own; all others are run-time inputs."""


def number(value: complex, dtype: DType) -> Node:
    """A Python number as a 0-d node: a run-time input, unless it is one of `SPECIAL`."""
    if value in SPECIAL or dtype.kind == "complex":
        return constant(value, dtype)
    return leaf(value, Type((), dtype), scalar=True)


def sum_to(g: Node, shape: tuple[int, ...]) -> Node:
    """`g` summed over the axes along which a value of `shape` was broadcast."""
    own = g.shape
    if own == shape:
        return g
    lead = len(own) - len(shape)
    axes = tuple(
        a for a, extent in enumerate(own) if a < lead or (extent != 1 and shape[a - lead] == 1)
    )
    if axes:
        g = make_node(get("sum"), (g,), (axes,))
    if g.shape != shape:
        g = make_node(get("reshape"), (g,), (shape,))
    return g


def _define(
    name: str,
    arity: int,
    body: Callable[..., Expr],
    rule: Rule | None,
    doc: str,
    *,
    accepts: str = "any",
    result: str | DType = "same",
    params: tuple[str, ...] = (),
    complex_rule: str = "",
) -> Callable[..., Node]:
    """Register an elementwise op; gives the function that makes its nodes."""
    members: dict[str, object] = {
        "__doc__": doc,
        "name": name,
        "arity": arity,
        "body": staticmethod(body),
        "accepts": accepts,
        "result": result,
        "params": params,
        "complex_rule": complex_rule,
        "differentiable": rule is not None,
        "rule": staticmethod(rule if rule is not None else _none),
    }
    op = register(type(name.title().replace("_", ""), (Elementwise,), members)())

    def function(*inputs: Node) -> Node:
        return make_node(op, inputs)

    function.__name__ = name
    function.__doc__ = doc
    return function


def _none(node: Node, g: Node, *inputs: Node) -> tuple[None, ...]:
    return (None,) * len(inputs)


def _call(name: str) -> Callable[..., Expr]:
    return lambda *args: scalar.call(name, *args)


def const_like(x: Node, value: float) -> Node:
    """`value` as a constant of x's dtype."""
    return constant(value, x.dtype)


# Arithmetic. In the rules g is the cotangent of the output, y the node itself, a, b, x its inputs.

add = _define(
    "add",
    2,
    _call("add"),
    lambda y, g, a, b: (g, g),
    "y = a + b.",
    accepts="number",
    complex_rule="parts",
)
sub = _define(
    "sub",
    2,
    _call("sub"),
    lambda y, g, a, b: (g, neg(g)),
    "y = a - b.",
    accepts="number",
    complex_rule="parts",
)
mul = _define(
    "mul",
    2,
    _call("mul"),
    lambda y, g, a, b: (
        mul(g, b) if a.requires_grad else None,
        mul(g, a) if b.requires_grad else None,
    ),
    "y = a * b.",
    accepts="number",
    complex_rule="product",
)
div = _define(
    "div",
    2,
    _call("div"),
    lambda y, g, a, b: (
        div(g, b) if a.requires_grad else None,
        neg(div(mul(g, y), b)) if b.requires_grad else None,
    ),
    "y = a / b.",
    accepts="float",
    complex_rule="holomorphic",
)
neg = _define(
    "neg",
    1,
    _call("neg"),
    lambda y, g, x: (neg(g),),
    "y = -x.",
    accepts="number",
    complex_rule="parts",
)
abs_ = _define(
    "abs", 1, _call("abs"), lambda y, g, x: (mul(g, sign(x)),), "y = |x|.", accepts="number"
)
sign = _define(
    "sign",
    1,
    _call("sign"),
    lambda y, g, x: (zeros_like(x),),
    "y = -1, 0 or 1, the sign of x.",
    accepts="number",
)


def _pow_rule(y: Node, g: Node, a: Node, b: Node) -> tuple[Node | None, Node | None]:
    """d(a^b) = b a^(b-1) da + a^b log(a) db, with the limits 0 where b = 0 and where a = 0 <= b."""
    zero, one = const_like(a, 0), const_like(a, 1)
    da = db = None
    if a.requires_grad:
        slope = mul(b, pow_(a, sub(b, one)))
        da = mul(g, where(eq(b, zero), zero, slope))
    if b.requires_grad:
        at_zero = eq(a, zero)
        if b.dtype.kind != "complex":
            at_zero = and_(at_zero, ge(b, zero))
        db = mul(g, where(at_zero, zero, mul(y, log(where(at_zero, one, a)))))
    return da, db


pow_ = _define(
    "pow",
    2,
    _call("pow"),
    _pow_rule,
    "y = a^b.",
    accepts="float",
    complex_rule="holomorphic",
)
floordiv = _define(
    "floordiv",
    2,
    _call("floordiv"),
    lambda y, g, a, b: (zeros_like(g), zeros_like(g)),
    "y = floor(a / b); 0 for integers divided by zero.",
    accepts="number",
)
floormod = _define(
    "floormod",
    2,
    _call("floormod"),
    lambda y, g, a, b: (g, neg(mul(g, floordiv(a, b)))),
    "y = a - b floor(a / b), with the sign of b.",
    accepts="number",
)
fmod = _define(
    "fmod",
    2,
    _call("fmod"),
    lambda y, g, a, b: (g, neg(mul(g, trunc(div(a, b))))),
    "y = a - b trunc(a / b), with the sign of a.",
    accepts="float",
)
truncdiv = _define(
    "truncdiv", 2, _call("truncdiv"), None, "y = trunc(a / b) of integers.", accepts="integer"
)
truncmod = _define(
    "truncmod",
    2,
    _call("truncmod"),
    None,
    "y = a - b trunc(a / b) of integers.",
    accepts="integer",
)


def _pick_rule(pick_a: Callable[..., Node]) -> Rule:
    """The larger (smaller) one takes the cotangent; equal ones take half each."""

    def rule(y: Node, g: Node, a: Node, b: Node) -> tuple[Node, Node]:
        zero, half = const_like(g, 0), mul(g, const_like(g, 0.5))
        tie = eq(a, b)
        return (
            where(tie, half, where(pick_a(a, b), g, zero)),
            where(tie, half, where(pick_a(b, a), g, zero)),
        )

    return rule


maximum = _define(
    "maximum",
    2,
    _call("max"),
    _pick_rule(lambda a, b: gt(a, b)),
    "y = max(a, b); NaN if either is.",
)
minimum = _define(
    "minimum",
    2,
    _call("min"),
    _pick_rule(lambda a, b: lt(a, b)),
    "y = min(a, b); NaN if either is.",
)

# Comparisons.

lt = _define("lt", 2, _call("lt"), None, "y = a < b.", result=dtypes.bool_)
le = _define("le", 2, _call("le"), None, "y = a <= b.", result=dtypes.bool_)
gt = _define("gt", 2, _call("gt"), None, "y = a > b.", result=dtypes.bool_)
ge = _define("ge", 2, _call("ge"), None, "y = a >= b.", result=dtypes.bool_)
eq = _define("eq", 2, _call("eq"), None, "y = a == b.", result=dtypes.bool_, complex_rule="mixed")
ne = _define("ne", 2, _call("ne"), None, "y = a != b.", result=dtypes.bool_, complex_rule="mixed")
isnan = _define(
    "isnan",
    1,
    _call("isnan"),
    None,
    "y = x is NaN.",
    accepts="float",
    result=dtypes.bool_,
    complex_rule="mixed",
)
isinf = _define(
    "isinf",
    1,
    _call("isinf"),
    None,
    "y = x is infinite.",
    accepts="float",
    result=dtypes.bool_,
    complex_rule="mixed",
)
isfinite = _define(
    "isfinite",
    1,
    _call("isfinite"),
    None,
    "y = x is neither infinite nor NaN.",
    accepts="float",
    result=dtypes.bool_,
    complex_rule="mixed",
)
signbit = _define(
    "signbit",
    1,
    _call("signbit"),
    None,
    "y = the sign bit of x.",
    accepts="float",
    result=dtypes.bool_,
)

# Bits.

and_ = _define("and", 2, _call("and"), None, "y = a & b, bit by bit.", accepts="integer")
or_ = _define("or", 2, _call("or"), None, "y = a | b, bit by bit.", accepts="integer")
xor = _define("xor", 2, _call("xor"), None, "y = a ^ b, bit by bit.", accepts="integer")
not_ = _define("not", 1, _call("not"), None, "y = ~x, bit by bit.", accepts="integer")
shl = _define("shl", 2, _call("shl"), None, "y = a << b; 0 if b is no bit of a.", accepts="whole")
shr = _define(
    "shr", 2, _call("shr"), None, "y = a >> b, filled with the sign of a.", accepts="whole"
)

# Functions of one float.


_REAL_ONLY = frozenset("cbrt erf erfc erfinv ndtr gelu lgamma digamma".split())


def _unary(name: str, slope: Callable[[Node, Node], Node], doc: str) -> Callable[[Node], Node]:
    """An op of one float whose gradient is g * slope(x, y)."""
    return _define(
        name,
        1,
        _call(name),
        lambda y, g, x: (mul(g, slope(x, y)),),
        doc,
        accepts="float",
        complex_rule="" if name in _REAL_ONLY else "holomorphic",
    )


def _one_minus_square(x: Node) -> Node:
    return sub(const_like(x, 1), mul(x, x))


def _one_plus_square(x: Node) -> Node:
    return add(const_like(x, 1), mul(x, x))


def _inverse(x: Node) -> Node:
    return div(const_like(x, 1), x)


def _gauss(x: Node) -> Node:
    """2 / sqrt(pi) exp(-x^2), the derivative of erf."""
    return mul(const_like(x, 2 / math.sqrt(math.pi)), exp(neg(mul(x, x))))


def _acosh_slope(x: Node) -> Node:
    """1 / sqrt(x^2 - 1); of complex numbers as two roots, which have the branch cuts of acosh."""
    one = const_like(x, 1)
    if x.dtype.is_complex:
        return mul(rsqrt(sub(x, one)), rsqrt(add(x, one)))
    return rsqrt(sub(mul(x, x), one))


def _normal(x: Node) -> Node:
    """exp(-x^2 / 2) / sqrt(2 pi), the derivative of ndtr."""
    power = exp(mul(const_like(x, -0.5), mul(x, x)))
    return mul(const_like(x, 1 / math.sqrt(2 * math.pi)), power)


exp = _unary("exp", lambda x, y: y, "y = e^x.")
exp2 = _unary("exp2", lambda x, y: mul(y, const_like(x, math.log(2))), "y = 2^x.")
expm1 = _unary("expm1", lambda x, y: add(y, const_like(x, 1)), "y = e^x - 1, exact near 0.")
log = _unary("log", lambda x, y: _inverse(x), "y = the natural logarithm of x.")
log2 = _unary("log2", lambda x, y: _inverse(mul(x, const_like(x, math.log(2)))), "y = log2 x.")
log10 = _unary("log10", lambda x, y: _inverse(mul(x, const_like(x, math.log(10)))), "y = log10 x.")
log1p = _unary(
    "log1p", lambda x, y: _inverse(add(x, const_like(x, 1))), "y = log(1 + x), exact near 0."
)
sqrt = _unary("sqrt", lambda x, y: div(const_like(x, 0.5), y), "y = the square root of x.")
rsqrt = _unary(
    "rsqrt",
    lambda x, y: mul(const_like(x, -0.5), mul(y, mul(y, y))),
    "y = 1 / sqrt(x).",
)
cbrt = _unary("cbrt", lambda x, y: div(const_like(x, 1 / 3), mul(y, y)), "y = the cube root of x.")
sin = _unary("sin", lambda x, y: cos(x), "y = sin x, x in radians.")
cos = _unary("cos", lambda x, y: neg(sin(x)), "y = cos x, x in radians.")
tan = _unary("tan", lambda x, y: _one_plus_square(y), "y = tan x, x in radians.")
asin = _unary("asin", lambda x, y: rsqrt(_one_minus_square(x)), "y = arcsin x, in radians.")
acos = _unary("acos", lambda x, y: neg(rsqrt(_one_minus_square(x))), "y = arccos x, in radians.")
atan = _unary("atan", lambda x, y: _inverse(_one_plus_square(x)), "y = arctan x, in radians.")
sinh = _unary("sinh", lambda x, y: cosh(x), "y = (e^x - e^-x) / 2.")
cosh = _unary("cosh", lambda x, y: sinh(x), "y = (e^x + e^-x) / 2.")
tanh = _unary("tanh", lambda x, y: _one_minus_square(y), "y = sinh x / cosh x.")
asinh = _unary("asinh", lambda x, y: rsqrt(_one_plus_square(x)), "y = log(x + sqrt(x^2 + 1)).")
acosh = _unary("acosh", lambda x, y: _acosh_slope(x), "y = log(x + sqrt(x^2 - 1)).")
atanh = _unary("atanh", lambda x, y: _inverse(_one_minus_square(x)), "y = log((1+x)/(1-x)) / 2.")
erf = _unary("erf", lambda x, y: _gauss(x), "y = 2/sqrt(pi) times the integral of e^-t^2 to x.")
erfc = _unary("erfc", lambda x, y: neg(_gauss(x)), "y = 1 - erf x.")
erfinv = _unary(
    "erfinv",
    lambda x, y: mul(const_like(x, math.sqrt(math.pi) / 2), exp(mul(y, y))),
    "y = the inverse of erf at x.",
)
ndtr = _unary(
    "ndtr", lambda x, y: _normal(x), "y = the share of the standard normal distribution below x."
)
gelu = _unary(
    "gelu",
    lambda x, y: add(ndtr(x), mul(x, _normal(x))),
    "y = x times the share of ndtr; 0 at -inf.",
)
lgamma = _unary("lgamma", lambda x, y: digamma(x), "y = log |Gamma(x)|.")
sigmoid = _unary("sigmoid", lambda x, y: mul(y, sub(const_like(y, 1), y)), "y = 1 / (1 + e^-x).")


def _trigamma(x: Node) -> Node:
    """The derivative of digamma: six steps of the recurrence, then the asymptotic series; by
    reflection for x < 0.5."""
    one, half = const_like(x, 1), const_like(x, 0.5)
    small = lt(x, half)
    z = where(small, sub(one, x), x)
    total = None
    for _ in range(8):
        term = _inverse(mul(z, z))
        total = term if total is None else add(total, term)
        z = add(z, one)
    r = _inverse(z)
    s = mul(r, r)
    series = const_like(x, 0.0)
    for coefficient in (-1 / 30, 1 / 42, -1 / 30, 1 / 6):
        series = mul(s, add(const_like(x, coefficient), series))
    assert total is not None
    total = add(total, add(r, add(mul(s, half), mul(series, r))))
    sine = sin(mul(const_like(x, math.pi), x))
    reflected = sub(div(const_like(x, math.pi**2), mul(sine, sine)), total)
    return where(small, reflected, total)


digamma = _unary("digamma", lambda x, y: _trigamma(x), "y = d log Gamma(x) / dx.")

_flat: Rule = lambda y, g, x: (zeros_like(x),)  # noqa: E731
floor = _define(
    "floor", 1, _call("floor"), _flat, "y = the integer at or below x.", accepts="float"
)
ceil = _define("ceil", 1, _call("ceil"), _flat, "y = the integer at or above x.", accepts="float")
trunc = _define("trunc", 1, _call("trunc"), _flat, "y = x without its fraction.", accepts="float")
round_ = _define(
    "round", 1, _call("round"), _flat, "y = the integer nearest x, halves to even.", accepts="float"
)

# Functions of two floats.

atan2 = _define(
    "atan2",
    2,
    _call("atan2"),
    lambda y, g, a, b: (
        div(mul(g, b), add(mul(a, a), mul(b, b))),
        neg(div(mul(g, a), add(mul(a, a), mul(b, b)))),
    ),
    "y = the angle of the point (b, a), in radians.",
    accepts="float",
)
hypot = _define(
    "hypot",
    2,
    _call("hypot"),
    lambda y, g, a, b: (mul(g, div(a, y)), mul(g, div(b, y))),
    "y = sqrt(a^2 + b^2) without overflow.",
    accepts="float",
)
copysign = _define(
    "copysign",
    2,
    _call("copysign"),
    lambda y, g, a, b: (mul(g, copysign(sign(a), mul(a, b))), zeros_like(g)),
    "y = |a| with the sign of b.",
    accepts="float",
)
nextafter = _define(
    "nextafter", 2, _call("nextafter"), None, "y = the number after a towards b.", accepts="float"
)

# Choice and rectification.


class Where(Elementwise):
    """y = a where the condition (bool) holds, else b."""

    name = "where"
    arity = 3
    complex_rule = "parts"

    @staticmethod
    def body(condition: Expr, a: Expr, b: Expr) -> Expr:
        return scalar.select(condition, a, b)

    def check(self, types: list[Type]) -> None:
        if types[0].dtype is not dtypes.bool_:
            raise RuntimeError(f"[where] expected a condition of bool; got {types[0].dtype}")
        require_same_dtype("where", types[1:])

    def result_dtype(self, types: list[Type], attrs: tuple) -> DType:
        return types[1].dtype

    @staticmethod
    def rule(y: Node, g: Node, condition: Node, a: Node, b: Node) -> tuple[Node | None, ...]:
        zero = const_like(g, 0)
        return (
            None,
            where(condition, g, zero) if a.requires_grad else None,
            where(condition, zero, g) if b.requires_grad else None,
        )


_WHERE = register(Where())


def where(condition: Node, a: Node, b: Node) -> Node:
    """y = a where the condition holds, else b."""
    return make_node(_WHERE, (condition, a, b))


relu = _define(
    "relu",
    1,
    lambda x: scalar.call("max", x, scalar.const(0, x.dtype)),
    lambda y, g, x: (where(gt(y, const_like(y, 0)), g, const_like(g, 0)),),
    "y = max(x, 0).",
    accepts="number",
)


class Cast(Elementwise):
    """y = x converted to dtype: floats to integers are cut towards zero, numbers to bool are x !=
    0."""

    name = "cast"
    params = ("dtype",)
    complex_rule = "mixed"

    @staticmethod
    def body(x: Expr, dtype: DType) -> Expr:
        return scalar.cast(x, dtype)

    def result_dtype(self, types: list[Type], attrs: tuple) -> DType:
        return attrs[0]

    @staticmethod
    def rule(y: Node, g: Node, x: Node) -> tuple[Node | None, ...]:
        return (cast(g, x.dtype) if x.dtype.is_inexact else None,)


_CAST = register(Cast())


def cast(x: Node, dtype: DType) -> Node:
    """x converted to `dtype`."""
    return x if x.structure.dtype is dtype else make_node(_CAST, (x,), (dtype,))


class Bitcast(Elementwise):
    """y = the bits of x read as another dtype of the same size."""

    name = "bitcast"
    params = ("dtype",)
    differentiable = False

    @staticmethod
    def body(x: Expr, dtype: DType) -> Expr:
        return scalar.make("bitcast", (x,), dtype)

    def check(self, types: list[Type]) -> None:
        return None

    def result_dtype(self, types: list[Type], attrs: tuple) -> DType:
        if types[0].dtype.itemsize != attrs[0].itemsize:
            raise RuntimeError(
                f"[bitcast] dtypes must have one size; got {types[0].dtype} and {attrs[0]}"
            )
        return attrs[0]

    rule = staticmethod(_none)


_BITCAST = register(Bitcast())


def bitcast(x: Node, dtype: DType) -> Node:
    """The bits of x read as `dtype`."""
    return make_node(_BITCAST, (x,), (dtype,))


class RandomBits(Elementwise):
    """y = word `counter` of the Philox 4x32-10 stream of `key`: int32 from two int64 values."""

    name = "random_bits"
    arity = 2
    result = dtypes.int32
    differentiable = False

    def check(self, types: list[Type]) -> None:
        for x in types:
            if x.dtype is not dtypes.int64:
                raise RuntimeError(
                    f"[random_bits] takes a key and counters of int64; got {x.dtype}"
                )

    @staticmethod
    def body(key: Expr, counter: Expr) -> Expr:
        return scalar.make("random_bits", (key, counter), dtypes.int32)

    rule = staticmethod(_none)


_RANDOM_BITS = register(RandomBits())


def random_bits(key: Node, counter: Node) -> Node:
    """32 random bits for each counter (int64) under `key` (int64)."""
    return make_node(_RANDOM_BITS, (key, counter))


class Detach(Elementwise):
    """y = x, through which no gradient flows."""

    name = "detach"
    differentiable = False
    complex_rule = "parts"

    @staticmethod
    def body(x: Expr) -> Expr:
        return x

    rule = staticmethod(_none)


DETACH = register(Detach())


def detach(x: Node) -> Node:
    """x without its history."""
    return make_node(DETACH, (x,)) if x.requires_grad else x


class Variable(Detach):
    """y = x as a new leaf that requires a gradient: what an optimizer writes into a parameter."""

    name = "variable"
    accepts = "float"
    starts_gradient = True


_VARIABLE = register(Variable())


def variable(x: Node) -> Node:
    """x as a leaf that requires a gradient."""
    return make_node(_VARIABLE, (x,))


def zeros_like(x: Node) -> Node:
    """Zeros of x's shape and dtype."""
    zero = constant(0, x.dtype)
    return make_node(get("expand"), (zero,), (x.shape,)) if x.shape else zero

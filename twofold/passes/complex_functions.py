"""Functions of complex numbers by their parts: each takes and gives pairs of real nodes.

Formulas are chosen so that neither large nor small arguments overflow or lose digits on the way:
Smith's quotient (Communications of the ACM 5, 1962), and for roots and inverse functions those of
Kahan, "Branch cuts for complex elementary functions" (1987). Branch cuts lie as NumPy has them, and
so do the values where a part is infinite or NaN: those of the C standard (Annex G).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..graph.node import Node
from ..ops import elementwise as ew

Pair = tuple[Node, Node]


def _c(x: Node, value: float) -> Node:
    return ew.constant(value, x.dtype)


def add(x: Pair, y: Pair) -> Pair:
    """x + y."""
    return ew.add(x[0], y[0]), ew.add(x[1], y[1])


def mul(x: Pair, y: Pair) -> Pair:
    """x y."""
    (a, b), (c, d) = x, y
    return ew.sub(ew.mul(a, c), ew.mul(b, d)), ew.add(ew.mul(a, d), ew.mul(b, c))


def scaled(x: Pair, factor: float) -> Pair:
    """x times a real number."""
    return ew.mul(x[0], _c(x[0], factor)), ew.mul(x[1], _c(x[1], factor))


def div(x: Pair, y: Pair) -> Pair:
    """x / y, scaled by the larger part of y."""
    (a, b), (c, d) = x, y
    flat = ew.ge(ew.abs_(c), ew.abs_(d))
    large, small = ew.where(flat, c, d), ew.where(flat, d, c)
    zero = _c(c, 0)
    ratio = ew.where(ew.eq(small, zero), zero, ew.div(small, large))
    below = ew.add(large, ew.mul(small, ratio))
    p, q = ew.where(flat, a, b), ew.where(flat, b, a)
    top_re = ew.add(p, ew.mul(q, ratio))
    top_im = ew.sub(q, ew.mul(p, ratio))
    return ew.div(top_re, below), ew.div(ew.where(flat, top_im, ew.neg(top_im)), below)


def _size(x: Pair) -> Node:
    return ew.hypot(*x)


def _is_infinite(x: Pair) -> Node:
    """Whether a part is infinite; the other may be NaN."""
    return ew.or_(ew.isinf(x[0]), ew.isinf(x[1]))


def _is_zero(x: Node) -> Node:
    return ew.eq(x, _c(x, 0))


def _is_lost(x: Pair, at: Node) -> Node:
    """Whether the angle x[1] says nothing, being infinite or NaN, and `at` holds: the size alone
    fixes the value."""
    return ew.and_(at, ew.or_(ew.isinf(x[1]), ew.isnan(x[1])))


def exp(x: Pair) -> Pair:
    """e^a (cos b + i sin b)."""
    a, b = x
    size = ew.exp(a)
    lost = _is_lost(x, ew.isinf(a))
    vanishes = ew.and_(lost, ew.lt(a, _c(a, 0)))
    one = _c(a, 1)
    cos = ew.where(lost, one, ew.cos(b))
    sin = ew.where(vanishes, ew.copysign(one, b), ew.sin(b))
    return ew.mul(size, cos), ew.where(_is_zero(b), b, ew.mul(size, sin))


def expm1(x: Pair) -> Pair:
    """(e^a - 1) cos b - 2 sin(b/2)^2, and the imaginary part of e^x."""
    a, b = x
    lost = _is_lost(x, ew.isinf(a))
    half = ew.where(lost, _c(a, 0), ew.sin(ew.mul(b, _c(b, 0.5))))
    cos = ew.where(lost, _c(a, 1), ew.cos(b))
    re = ew.sub(ew.mul(ew.expm1(a), cos), ew.mul(_c(b, 2), ew.mul(half, half)))
    return re, exp(x)[1]


def log(x: Pair) -> Pair:
    """log |x| and the angle; near |x| = 1 by log1p of |x|^2 - 1."""
    a, b = x
    size = _size(x)
    p, q = ew.abs_(a), ew.abs_(b)
    large, small = ew.maximum(p, q), ew.minimum(p, q)
    one = _c(a, 1)
    above = ew.add(ew.mul(ew.sub(large, one), ew.add(large, one)), ew.mul(small, small))
    near = ew.and_(ew.gt(size, _c(a, 0.5)), ew.lt(size, _c(a, 2)))
    near_one = ew.mul(_c(a, 0.5), ew.log1p(ew.where(near, above, _c(a, 0))))
    return ew.where(near, near_one, ew.log(size)), ew.atan2(b, a)


def log1p(x: Pair) -> Pair:
    """log(1 + x); near 0 by log1p of a (2 + a) + b^2."""
    a, b = x
    one = _c(a, 1)
    above = ew.add(ew.mul(a, ew.add(a, _c(a, 2))), ew.mul(b, b))
    far = ew.log(ew.hypot(ew.add(a, one), b))
    near = ew.lt(_size(x), _c(a, 0.5))
    near_zero = ew.mul(_c(a, 0.5), ew.log1p(ew.where(near, above, _c(a, 0))))
    return ew.where(near, near_zero, far), ew.atan2(b, ew.add(a, one))


def sqrt(x: Pair) -> Pair:
    """With t = sqrt((|a| + |x|) / 2): t and b / (2 t), exchanged left of the imaginary axis."""
    a, b = x
    half = _c(a, 0.5)
    t = ew.sqrt(ew.add(ew.mul(half, ew.abs_(a)), ew.mul(half, _size(x))))
    t = ew.where(ew.isinf(b), ew.abs_(b), t)
    same = ew.or_(_is_zero(t), ew.isinf(b))
    other = ew.where(same, ew.abs_(b), ew.div(ew.abs_(b), ew.mul(_c(a, 2), t)))
    right = ew.ge(a, _c(a, 0))
    return ew.where(right, t, other), ew.copysign(ew.where(right, other, t), b)


def rsqrt(x: Pair) -> Pair:
    """1 / sqrt(x)."""
    return div((_c(x[0], 1), _c(x[0], 0)), sqrt(x))


def sinh(x: Pair) -> Pair:
    """sinh a cos b + i cosh a sin b."""
    a, b = x
    one = _c(a, 1)
    cos = ew.where(_is_lost(x, ew.or_(_is_zero(a), ew.isinf(a))), one, ew.cos(b))
    im = ew.where(_is_zero(b), b, ew.mul(ew.cosh(a), ew.sin(b)))
    return ew.mul(ew.sinh(a), cos), im


def cosh(x: Pair) -> Pair:
    """cosh a cos b + i sinh a sin b."""
    a, b = x
    one = _c(a, 1)
    cos = ew.where(_is_lost(x, ew.isinf(a)), one, ew.cos(b))
    sin = ew.where(_is_lost(x, _is_zero(a)), one, ew.sin(b))
    sinh = ew.where(_is_zero(b), ew.copysign(one, a), ew.sinh(a))
    return ew.mul(ew.cosh(a), cos), ew.mul(sinh, sin)


def cos(x: Pair) -> Pair:
    """cosh(i x)."""
    return cosh((ew.neg(x[1]), x[0]))


def tanh(x: Pair) -> Pair:
    """With t = tan b, s = sinh a, k = 1 + t^2: (k s sqrt(1 + s^2) + i t) / (1 + k s^2); beyond 20,
    +-1 + 4 i sin b cos b e^(-2 |a|)."""
    a, b = x
    one = _c(a, 1)
    far = ew.gt(ew.abs_(a), _c(a, 20))
    t, s = ew.tan(b), ew.sinh(ew.where(far, _c(a, 0), a))
    square = ew.mul(s, s)
    k = ew.add(one, ew.mul(t, t))
    below = ew.add(one, ew.mul(k, square))
    re = ew.div(ew.mul(k, ew.mul(s, ew.sqrt(ew.add(one, square)))), below)
    fade = ew.exp(ew.mul(_c(a, -2), ew.abs_(a)))
    turn = ew.where(_is_lost(x, ew.isinf(a)), ew.copysign(one, b), ew.mul(ew.sin(b), ew.cos(b)))
    far_im = ew.mul(_c(a, 4), ew.mul(turn, fade))
    near = ew.where(_is_zero(a), a, re), ew.where(_is_zero(b), b, ew.div(t, below))
    return ew.where(far, ew.copysign(one, a), near[0]), ew.where(far, far_im, near[1])


def asin(x: Pair) -> Pair:
    """Kahan's: with r, s = sqrt(1 - x), sqrt(1 + x)."""
    a, b = x
    (p, q), (u, v) = _roots(x)
    re = ew.atan2(a, ew.sub(ew.mul(p, u), ew.mul(q, v)))
    im = ew.asinh(ew.sub(ew.mul(p, v), ew.mul(q, u)))
    endless = _is_infinite(x)
    re = ew.where(endless, ew.atan2(a, ew.abs_(b)), ew.where(_is_zero(a), a, re))
    return re, ew.copysign(ew.where(endless, _c(b, math.inf), im), b)


def acos(x: Pair) -> Pair:
    """Kahan's: with r, s = sqrt(1 - x), sqrt(1 + x)."""
    a, b = x
    (p, q), (u, v) = _roots(x)
    re = ew.mul(_c(p, 2), ew.atan2(p, u))
    im = ew.asinh(ew.sub(ew.mul(u, q), ew.mul(v, p)))
    endless = _is_infinite(x)
    re = ew.where(_is_zero(a), _c(a, math.pi / 2), re)
    re = ew.where(endless, ew.atan2(ew.abs_(b), a), re)
    return re, ew.copysign(ew.where(endless, _c(b, math.inf), im), ew.neg(b))


def _roots(x: Pair) -> tuple[Pair, Pair]:
    """sqrt(1 - x) and sqrt(1 + x)."""
    a, b = x
    one = _c(a, 1)
    return sqrt((ew.sub(one, a), ew.neg(b))), sqrt((ew.add(one, a), b))


def acosh(x: Pair) -> Pair:
    """i acos x or -i acos x, whichever has a real part that is not negative."""
    p, q = acos(x)
    return ew.abs_(q), ew.copysign(p, x[1])


def atanh(x: Pair) -> Pair:
    """log1p(4 |a| / ((1 - |a|)^2 + b^2)) / 4 with a's sign, and half an angle."""
    a, b = x
    one, size = _c(a, 1), ew.abs_(a)
    gap = ew.sub(one, size)
    square = ew.mul(b, b)
    inner = ew.div(ew.mul(_c(a, 4), size), ew.add(ew.mul(gap, gap), square))
    re = ew.mul(_c(a, 0.25), ew.log1p(inner))
    below = ew.sub(ew.mul(ew.sub(one, a), ew.add(one, a)), square)
    im = ew.mul(_c(a, 0.5), ew.atan2(ew.mul(_c(a, 2), b), below))
    endless = _is_infinite(x)
    re = ew.where(ew.or_(endless, _is_zero(a)), _c(a, 0), re)
    quarter = ew.where(ew.isnan(b), b, _c(a, math.pi / 2))
    return ew.copysign(re, a), ew.copysign(ew.where(endless, quarter, im), b)


def _turned(f: Callable[[Pair], Pair]) -> Callable[[Pair], Pair]:
    """x -> -i f(i x)."""

    def apply(x: Pair) -> Pair:
        p, q = f((ew.neg(x[1]), x[0]))
        return q, ew.neg(p)

    return apply


sin = _turned(sinh)
tan = _turned(tanh)
asinh = _turned(asin)
atan = _turned(atanh)


def sigmoid(x: Pair) -> Pair:
    """1 / (1 + e^-x)."""
    a, b = exp((ew.neg(x[0]), ew.neg(x[1])))
    return div((_c(a, 1), _c(a, 0)), (ew.add(_c(a, 1), a), b))


def power(x: Pair, y: Pair) -> Pair:
    """e^(y log x); 1 where y is 0, 0 where only x is."""
    a, b = x
    zero, one = _c(a, 0), _c(a, 1)
    none = ew.and_(ew.eq(a, zero), ew.eq(b, zero))
    p, q = exp(mul(y, log((ew.where(none, one, a), b))))
    trivial = ew.and_(ew.eq(y[0], zero), ew.eq(y[1], zero))
    re = ew.where(trivial, one, ew.where(none, zero, p))
    return re, ew.where(ew.or_(trivial, none), zero, q)


UNARY: dict[str, Callable[[Pair], Pair]] = {
    "exp": exp,
    "exp2": lambda x: exp(scaled(x, math.log(2))),
    "expm1": expm1,
    "log": log,
    "log2": lambda x: scaled(log(x), 1 / math.log(2)),
    "log10": lambda x: scaled(log(x), 1 / math.log(10)),
    "log1p": log1p,
    "sqrt": sqrt,
    "rsqrt": rsqrt,
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "asin": asin,
    "acos": acos,
    "atan": atan,
    "sinh": sinh,
    "cosh": cosh,
    "tanh": tanh,
    "asinh": asinh,
    "acosh": acosh,
    "atanh": atanh,
    "sigmoid": sigmoid,
}

BINARY: dict[str, Callable[[Pair, Pair], Pair]] = {"div": div, "pow": power}

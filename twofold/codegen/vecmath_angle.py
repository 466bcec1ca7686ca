"""Sine, cosine, tangent with exact reduction of any argument, and their inverses."""

from __future__ import annotations

import math

import llvmlite.ir as ir

from .vecmath import F64, I64, Vec, copysign, polynomial
from .vecmath_bits import nearest, quick_two_sum, two_product, two_sum
from .vecmath_exp import is_single

# sin(r) = r + r^3 P(r^2);  cos(r) = 1 - r^2 / 2 + r^4 P(r^2);  |r| <= pi/4
_SIN_SINGLE = (-0.16666667, 0.008333329, -0.00019839327, 2.7182377e-06)
_COS_SINGLE = (0.041666646, -0.0013887362, 2.4437719e-05)
_SIN = (
    -0.16666666666666632, 0.00833333333332233, -0.00019841269829735022, 2.7557313664855754e-06,
    -2.505075361067231e-08, 1.5896520291591657e-10,
)  # fmt: skip
_COS = (
    0.0416666666666666, -0.0013888888888874001, 2.4801587289400127e-05, -2.7557314327317225e-07,
    2.08757197122286e-09, -1.1359455769264688e-11,
)  # fmt: skip
# atan(t) = t + t^3 P(t^2), |t| <= tan(pi/8)
_ATAN = (
    -0.33333333333333326, 0.19999999999997686, -0.1428571428538989, 0.11111111088287882,
    -0.09090908148235399, 0.0769228283632115, -0.06666227812988575, 0.058770312600921346,
    -0.052184598849181946, 0.04503754241914438, -0.03347877073286808, 0.015199105621254067,
)  # fmt: skip
# asin(t) = t + t^3 P(t^2), |t| <= 1/2
_ASIN = (
    0.16666666666666763, 0.07499999999970242, 0.04464285717514734, 0.030381942681962707,
    0.022372215718692072, 0.017351598817327934, 0.013980979565115752, 0.011397603771339767,
    0.010787632230404801, 0.003678345721014428, 0.021776224105674036, -0.021097140553811004,
    0.032690448558109104,
)  # fmt: skip

_TWO_OVER_PI = 0.6366197723675814
_HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
"""pi/2 in parts: products of the first three with 20 bits are exact."""
_HALF_PI_REST = 6.123233995736766e-17

_TWO_OVER_PI_BITS = 1280
_TWO_OVER_PI_WORDS = (
    0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB, 0xDEBBC561,
    0xB7246E3A, 0x424DD2E0, 0x06492EEA, 0x09D1921C, 0xFE1DEB1C, 0xB129A73E, 0xE88235F5, 0x2EBB4484,
    0xE99C7026, 0xB45F7E41, 0x3991D639, 0x835339F4, 0x9C845F8B, 0xBDF9283B, 0x1FF897FF, 0xDE05980F,
    0xEF2F118B, 0x5A0A6D1F, 0x6D367ECF, 0x27CB09B7, 0x4F463F66, 0x9E5FEA2D, 0x7527BAC7, 0xEBE5F17B,
    0x3D0739F7, 0x8A5292EA, 0x6BFB5FB1, 0x1F8D5D08, 0x56033046, 0xFC7B6BAB, 0xF0CFBC20, 0x9AF4361D,
)  # fmt: skip
"""The first bits of 2/pi after the binary point."""

_FAST_SINGLE, _FAST = 2.0**16, 2.0**20
"""Below these magnitudes pi/2 in parts reduces an argument."""


def _bits_of_two_over_pi(module: ir.Module) -> ir.GlobalVariable:
    """2/pi as bytes, the least significant first, with 64 zero bits above."""
    name = "twofold_two_over_pi"
    if name in module.globals:
        return module.globals[name]
    digits = b"\0" * 8 + b"".join(w.to_bytes(4, "big") for w in _TWO_OVER_PI_WORDS)
    data = ir.Constant(ir.ArrayType(ir.IntType(8), len(digits)), bytearray(digits[::-1]))
    table = ir.GlobalVariable(module, data.type, name)
    table.global_constant, table.initializer, table.linkage = True, data, "internal"
    table.type = ir.PointerType()
    return table


def _reduce_large(x: Vec) -> list[Vec]:
    """One float64 with 2^16 <= |x| reduced as by `_reduce`, after Payne and Hanek.

    x = M 2^e with M an integer. Of 2/pi only the 192 bits matter that, times M, give the quotient's
    last two bits and its fraction: their product modulo 2^192 is the angle as a fraction of a turn.
    """
    b = x.at.builder
    wide, whole = ir.IntType(192), ir.IntType(208)
    bits = x.abs().as_int()
    exponent = bits.shr_logical(52) - 1075
    mantissa = (bits & ((1 << 52) - 1)) | (1 << 52)
    finite = exponent < 971 + 1
    below = (_TWO_OVER_PI_BITS + 2 - 192) - finite.select(exponent, 0)
    table = _bits_of_two_over_pi(b.module)
    pointer = b.gep(table, [below.shr_logical(3).value], source_etype=ir.IntType(8))
    window = b.load(pointer, align=1, typ=whole)
    window = b.trunc(b.lshr(window, b.zext((below & 7).value, whole)), wide)
    turn = b.mul(window, b.zext(mantissa.value, wide))
    quadrant = b.lshr(turn, ir.Constant(wide, 190))
    fraction = b.shl(turn, ir.Constant(wide, 2))
    past_half = b.icmp_signed("<", fraction, ir.Constant(wide, 0))
    size = b.select(past_half, b.neg(fraction), fraction)
    top = b.trunc(b.lshr(size, ir.Constant(wide, 128)), I64)
    zeros = b.ctlz(top, ir.Constant(ir.IntType(1), 0))
    size = b.shl(size, b.zext(zeros, wide))
    at = x.at.wrap
    high = at(b.trunc(b.lshr(size, ir.Constant(wide, 139)), I64)).to_float(F64)
    low = at(b.trunc(b.lshr(size, ir.Constant(wide, 86)), I64)) & ((1 << 53) - 1)
    unit = ((1023 - 53) - at(zeros) << 52).as_float()
    high, low = high * unit, low.to_float(F64) * (unit * 2.0**-53)
    angle, rest = two_product(high, x.lift(_HALF_PI[0] + _HALF_PI[1]))
    rest = rest + high * _HALF_PI_REST + low * (_HALF_PI[0] + _HALF_PI[1])
    sign = at(past_half) ^ (x < 0)
    turns = at(b.trunc(quadrant, I64)) + at(past_half).zext(I64)
    turns = (x < 0).select(-turns, turns)
    angle = sign.select(-angle, angle)
    rest = sign.select(-rest, rest)
    return [finite.select(angle, math.nan), rest, turns]


def _reduce(x: Vec) -> list[Vec]:
    """A float64 x as (r + rest) + n pi/2 with |r| at most about pi/4; n is right modulo 4."""
    number, n = nearest(x, _TWO_OVER_PI)
    first = number.fma(-_HALF_PI[0], x)
    second, lost = two_sum(first, number * -_HALF_PI[1])
    third, more = two_sum(second, number * -_HALF_PI[2])
    r, rest = quick_two_sum(third, lost + more + number * -_HALF_PI[3])
    large = ~(x.abs() < _FAST)
    return x.at.rarely_all(
        large, [r, rest, n], lambda: x.at.one_by_one(large.select(x, _FAST), _reduce_large)
    )


def _reduce_single(x: Vec) -> list[Vec]:
    """A float32 x as r + n pi/2: the subtraction is done in float64."""
    number, n = nearest(x, _TWO_OVER_PI)
    wide, times = x.widen(), number.widen()
    first = times.fma(-_HALF_PI[0], wide)
    r = times.fma(-(_HALF_PI[1] + _HALF_PI[2]), first).narrow()
    large = ~(x.abs() < _FAST_SINGLE)

    def rare() -> list[Vec]:
        safe = large.select(x, _FAST_SINGLE).widen()
        angle, _, turns = x.at.one_by_one(safe, _reduce_large)
        return [angle.narrow(), turns.trunc(n.element)]

    return x.at.rarely_all(large, [r, n], rare)


def _sin_and_cos(x: Vec) -> tuple[Vec, Vec, Vec]:
    """The sine and the cosine of the reduced x, and the number of quarter turns taken off."""
    if is_single(x):
        r, n = _reduce_single(x)
        z = r * r
        sine = (r * z).fma(polynomial(z, _SIN_SINGLE), r)
        cosine = (z * z).fma(polynomial(z, _COS_SINGLE), z.fma(-0.5, 1))
        return sine, cosine, n
    r, rest, n = _reduce(x)
    z = r * r
    half = z * 0.5
    sine = r + (r * z * polynomial(z, _SIN) + rest * (1 - half))
    near_one = 1 - half
    lost = (1 - near_one) - half
    cosine = near_one + (lost + (z * z * polynomial(z, _COS) - r * rest))
    return sine, cosine, n


def _turned(sine: Vec, cosine: Vec, n: Vec) -> Vec:
    """sin(r + n pi/2)."""
    value = (n & 1).differs(0).select(cosine, sine)
    sign = (n & 2) << (n.element.width - 2)
    return (value.as_int() ^ sign).as_float()


def sin(x: Vec) -> Vec:
    """The sine of x radians."""
    return x.equals(0).select(x, _turned(*_sin_and_cos(x)))


def cos(x: Vec) -> Vec:
    """The cosine of x radians."""
    sine, cosine, n = _sin_and_cos(x)
    return _turned(sine, cosine, n + 1)


def tan(x: Vec) -> Vec:
    """The tangent of x radians, of float64."""
    sine, cosine, n = _sin_and_cos(x)
    odd = (n & 1).differs(0)
    result = odd.select(-cosine, sine) / odd.select(sine, cosine)
    return x.equals(0).select(x, result)


def _acute(opposite: Vec, adjacent: Vec) -> tuple[Vec, Vec]:
    """atan(opposite / adjacent) of numbers of at least 0, as a sum.

    It is 0 of two zeros and pi/4 of two infinities.
    """
    swap = opposite > adjacent
    less, more = swap.select(adjacent, opposite), swap.select(opposite, adjacent)
    same = opposite.equals(adjacent)
    unit = opposite.equals(0).select(opposite, 1)
    unbounded = same | more.equals(math.inf)
    less, more = unbounded.select(same.select(unit, 0), less), unbounded.select(1, more)
    small, large = less.lift(2.0**-100), less.lift(2.0**100)
    factor = (more > 2.0**900).select(small, (more < 2.0**-900).select(large, 1))
    less, more = less * factor, more * factor
    middle = less > more * (math.sqrt(2) - 1)
    # atan(less / more) = pi/4 + atan((less - more) / (less + more)), with sums as pairs.
    difference, difference_rest = two_sum(less, -more)
    total, total_rest = two_sum(less, more)
    above, below = middle.select(difference, less), middle.select(total, more)
    t = above / below
    product, product_rest = two_product(t, below)
    left = (above - product) - product_rest
    left = left + middle.select(difference_rest - t * total_rest, 0)
    z = t * t
    tail = (left / below) + t * z * polynomial(z, _ATAN)
    base = middle.select(t.lift(math.pi / 4), 0)
    rest = middle.select(t.lift(_HALF_PI_REST / 2), 0)
    high, lost = quick_two_sum(base, t)
    high, low = middle.select(high, t), middle.select(lost + rest + tail, tail)
    turned, lost = quick_two_sum(t.lift(math.pi / 2), -high)
    return swap.select(turned, high), swap.select(lost + _HALF_PI_REST - low, low)


def atan(x: Vec) -> Vec:
    """The angle whose tangent is x, of float64."""
    high, low = _acute(x.abs(), x.lift(1))
    return copysign(high + low, x)


def atan2(y: Vec, x: Vec) -> Vec:
    """The angle of the point (x, y), of float64."""
    high, low = _acute(y.abs(), x.abs())
    turned, lost = quick_two_sum(x.lift(math.pi), -high)
    left = x.as_int() < 0
    result = left.select(turned + (lost + 2 * _HALF_PI_REST - low), high + low)
    result = (x.is_nan() | y.is_nan()).select(x + y, result)
    return copysign(result, y)


def _arc(x: Vec) -> tuple[Vec, Vec, Vec, Vec]:
    """What asin and acos share.

    Whether |x| > 1/2; t = |x|, or sqrt((1 - |x|) / 2); what rounding lost of it; and asin(t) - t.
    """
    size = x.abs()
    large = size > 0.5
    z = large.select((1 - size) * 0.5, size * size)
    root = z.sqrt()
    product, product_rest = two_product(root, root)
    lost = root.equals(0).select(root, ((z - product) - product_rest) / (root * 2))
    t = large.select(root, size)
    tail = t * z * polynomial(z, _ASIN)
    return large, t, large.select(lost, 0), tail


def asin(x: Vec) -> Vec:
    """The angle whose sine is x, of float64."""
    large, t, lost, tail = _arc(x)
    high, rest = quick_two_sum(x.lift(math.pi / 2), t * -2)
    upper = high + (rest + _HALF_PI_REST - (lost + tail) * 2)
    return copysign(large.select(upper, t + tail), x)


def acos(x: Vec) -> Vec:
    """The angle whose cosine is x, of float64."""
    large, t, lost, tail = _arc(x)
    negative = x < 0
    half = x.lift(math.pi / 2)
    signed = negative.select(-t, t)
    high, rest = quick_two_sum(half, -signed)
    near_half = high + (rest + _HALF_PI_REST - negative.select(-tail, tail))
    near_zero = (t + (lost + tail)) * 2
    high, rest = quick_two_sum(x.lift(math.pi), t * -2)
    near_pi = high + (rest + 2 * _HALF_PI_REST - (lost + tail) * 2)
    return large.select(negative.select(near_pi, near_zero), near_half)

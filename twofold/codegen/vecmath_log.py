"""Logarithms, what is made from them (asinh, acosh, atanh, pow), and roots."""

from __future__ import annotations

import math

from .vecmath import I32, Vec, copysign, polynomial
from .vecmath_bits import (
    power_of_two,
    quick_two_sum,
    scale,
    signed_to_float,
    split,
    two_product,
    two_sum,
)
from .vecmath_exp import (
    LOG_2_HIGH,
    LOG_2_HIGH_SINGLE,
    LOG_2_LOW,
    LOG_2_LOW_SINGLE,
    clamp,
    exp,
    exp_parts,
    is_single,
)

# log(1 + f) = f - f^2 / 2 + f^3 P(f)
_LOG_SINGLE = (
    0.33333313, -0.2500001, 0.20002118, -0.16668001, 0.14219567, -0.124055, 0.118879944,
    -0.11676158, 0.0674759,
)  # fmt: skip
# log((1 + s) / (1 - s)) = 2 s + s^3 P(s^2)
_LOG = (
    0.6666666666666666, 0.40000000000006475, 0.2857142856901274, 0.22222222657951093,
    0.18181774762073497, 0.15387130709013253, 0.13249207969099203, 0.1325968233469195,
)  # fmt: skip
# log((1 + s) / (1 - s)) = 2 s + 2/3 s^3 + s^5 P(s^2)
_LOG_TAIL = (
    0.4000000000000234, 0.28571428570055973, 0.2222222252813963, 0.1818178361432461,
    0.15386793399324997, 0.13255948764595965, 0.1320463886820761,
)  # fmt: skip
# An estimate of the cube root of 0.5 to 4.
_CBRT = (
    0.46585650014077734, 0.8357287498601211, -0.4277461587355996, 0.1538928803834205,
    -0.029391421505060883, 0.0022448582677990062,
)  # fmt: skip

_LOG2_E, _LOG2_E_REST = 1.4426950408889634, 2.0355273740931033e-17
_LOG10_E, _LOG10_E_REST = 0.4342944819032518, 1.098319650216765e-17
_LOG10_2_HIGH, _LOG10_2_LOW = 0.3010299955494702, 1.1451100898021838e-10


def split_near_one(x: Vec) -> tuple[Vec, Vec]:
    """A positive finite x as (m, e) with x = m 2^e and sqrt(1/2) <= m < sqrt(2); e is a float."""
    bits, bias, lift = (23, 127, 32) if is_single(x) else (52, 1023, 64)
    tiny = x < 2.0 ** (1 - bias)
    word = tiny.select(x * 2.0**lift, x).as_int()
    root = x.lift(math.sqrt(0.5)).as_int()
    exponent = (word - root) >> bits
    mantissa = (word - (exponent << bits)).as_float()
    number = signed_to_float(exponent)
    return mantissa, tiny.select(number - lift, number)


def _with_limits(x: Vec, result: Vec) -> Vec:
    """A logarithm's values at 0, at infinity and where there is none."""
    usual = (x > 0) & (x < math.inf)
    limit = x.equals(0).select(-math.inf, (x > 0).select(x, math.nan))
    return usual.select(result, limit)


def _log_of_mantissa(m: Vec) -> Vec:
    """log(m) of a float64 m between sqrt(1/2) and sqrt(2)."""
    f = m - 1
    s = f / (f + 2)
    z = s * s
    half_square = f * f * 0.5
    return f - (half_square - s * (half_square + z * polynomial(z, _LOG)))


def _log_single(f: Vec, e: Vec) -> Vec:
    """log((1 + f) 2^e) of float32, 1 + f between sqrt(1/2) and sqrt(2)."""
    square = f * f
    tail = polynomial(f, _LOG_SINGLE) * f * square
    tail = e.fma(LOG_2_LOW_SINGLE, tail)
    tail = square.fma(-0.5, tail)
    return e.fma(LOG_2_HIGH_SINGLE, f + tail)


def log(x: Vec) -> Vec:
    """The natural logarithm."""
    m, e = split_near_one(x)
    f = m - 1
    if is_single(x):
        return _with_limits(x, _log_single(f, e))
    s = f / (f + 2)
    z = s * s
    half_square = f * f * 0.5
    tail = e.fma(LOG_2_LOW, s * (half_square + z * polynomial(z, _LOG)))
    return _with_limits(x, e.fma(LOG_2_HIGH, f - (half_square - tail)))


def log2(x: Vec) -> Vec:
    """The logarithm to base 2, of float64."""
    m, e = split_near_one(x)
    natural = _log_of_mantissa(m)
    high, low = two_product(natural, x.lift(_LOG2_E))
    return _with_limits(x, e + high + natural.fma(_LOG2_E_REST, low))


def log10(x: Vec) -> Vec:
    """The logarithm to base 10, of float64."""
    m, e = split_near_one(x)
    natural = _log_of_mantissa(m)
    high, low = two_product(natural, x.lift(_LOG10_E))
    low = e.fma(_LOG10_2_LOW, natural.fma(_LOG10_E_REST, low))
    high, rest = two_sum(e * _LOG10_2_HIGH, high)
    return _with_limits(x, high + (rest + low))


def _log1p_single(x: Vec) -> Vec:
    """log(1 + x) of float32: as log of the rounded sum, whose rest joins the reduced argument."""
    total, rest = two_sum(x.lift(1), x)
    word, root = total.as_int(), x.lift(math.sqrt(0.5)).as_int()
    exponent = (word - root) >> 23
    m = (word - (exponent << 23)).as_float()
    # Beyond 2^64 the rest is nothing; the power must stay a normal number.
    f = (m - 1) + rest * power_of_two(-(exponent < 64).select(exponent, 64))
    result = _with_limits(total, _log_single(f, signed_to_float(exponent)))
    return x.equals(0).select(x, result)


def log1p(x: Vec) -> Vec:
    """log(1 + x): of float64 the logarithm of the rounded sum, and what rounding lost."""
    if is_single(x):
        return _log1p_single(x)
    total, lost = two_sum(x.lift(1), x)
    result = log(total) + lost / total
    unchanged = x.equals(0) | x.equals(math.inf)
    return unchanged.select(x, (x <= -1).select(log(total), result))


def asinh(x: Vec) -> Vec:
    """log(x + sqrt(x^2 + 1)), of float64."""
    size = x.abs()
    large = size > 2.0**28
    small = large.select(1, size)
    square = small * small
    sum_less_one = small + square / (1 + (1 + square).sqrt())
    logarithm = log1p(large.select(size - 1, sum_less_one))
    return copysign(logarithm + large.select(x.lift(math.log(2)), 0), x)


def acosh(x: Vec) -> Vec:
    """log(x + sqrt(x^2 - 1)), of float64."""
    large = x > 2.0**28
    t = large.select(1, x - 1)
    above = t + (t * 2 + t * t).sqrt()
    result = log1p(large.select(x - 1, above)) + large.select(x.lift(math.log(2)), 0)
    return (x < 1).select(math.nan, result)


def atanh(x: Vec) -> Vec:
    """log((1 + x) / (1 - x)) / 2, of float64."""
    size = x.abs()
    return copysign(log1p(size * 2 / (1 - size)) * 0.5, x)


def _log_twice(x: Vec) -> tuple[Vec, Vec]:
    """log(x) of a float64 x as an unevaluated sum of about 65 digits."""
    m, e = split_near_one(x)
    f = m - 1
    divisor, divisor_rest = two_sum(m, x.lift(1))
    s = f / divisor
    product, product_rest = two_product(s, divisor)
    s_rest = (f - product - product_rest - s * divisor_rest) / divisor
    square, square_rest = two_product(s, s)
    square_rest = square_rest + s * s_rest * 2
    cube, cube_rest = two_product(square, s)
    cube_rest = cube_rest + square * s_rest + square_rest * s
    third, third_rest = two_product(cube, x.lift(2 / 3))
    third_rest = third_rest + cube * 3.7007434154171886e-17 + cube_rest * (2 / 3)
    tail = s * square * square * polynomial(square, _LOG_TAIL)
    high, lost = two_sum(e * LOG_2_HIGH, s * 2)
    high, more = two_sum(high, third)
    rest = lost + more + e.fma(LOG_2_LOW, s_rest * 2) + third_rest + tail
    return quick_two_sum(high, rest)


def power(x: Vec, y: Vec) -> Vec:
    """x^y with C99's special cases."""
    size = x.abs()
    if is_single(x):
        return _with_power_limits(x, y, exp(log(size.widen()) * y.widen()).narrow())
    high, low = _log_twice(size)
    # Beyond the bound x^y is 1, 0 or infinite; a longer y would overflow in parts of the product.
    y_held = clamp(y, -1e30, 1e30)
    product, rest = two_product(y_held, high)
    rest = rest + y_held * low
    finite = product.abs() < 1e4
    p, n = exp_parts(clamp(product, -746.0, 710.0), finite.select(rest, 0))
    # The special cases of the logarithm give infinite products.
    limit = y * _with_limits(size, size)
    result = scale(p, n)
    special = size.equals(0) | size.equals(math.inf)
    edge = (limit > 0).select(x.lift(math.inf), 0)
    edge = (size.equals(0)).select((y < 0).select(x.lift(math.inf), 0), edge)
    return _with_power_limits(x, y, special.select(edge, result))


def _with_power_limits(x: Vec, y: Vec, magnitude: Vec) -> Vec:
    """|x|^y made x^y: signs, and the cases where a product of 0 and infinity would be NaN."""
    whole = y.floor().equals(y)
    half = y * 0.5
    odd = whole & half.floor().differs(half)
    unknown = x.is_nan() | y.is_nan()
    result = unknown.select(x + y, magnitude)
    result = (x.abs().equals(1) & y.abs().equals(math.inf)).select(1, result)
    result = ((x < 0) & (x > -math.inf) & ~whole & ~unknown).select(math.nan, result)
    negative = odd & (x.as_int() < 0) & ~unknown
    result = negative.select(-result, result)
    return (y.equals(0) | x.equals(1)).select(1, result)


def cbrt(x: Vec) -> Vec:
    """The cube root, of float64."""
    size = x.abs()
    usual = (size > 0) & (size < math.inf)
    m, e = split(usual.select(size, 1))
    # e = 3 (q - 1024) + remainder - 1
    shifted = e + (3 * 1024 + 1)
    q = (shifted.trunc(I32) * 43691).shr_logical(17).zext(e.element)
    m = m * power_of_two(shifted - q * 3 - 1)
    t = polynomial(m, _CBRT)
    for _ in range(2):
        cube = t * t * t
        t = t + t * ((m - cube) / (cube * 2 + m))
    return usual.select(copysign(scale(t, q - 1024), x), x)


def hypot(x: Vec, y: Vec) -> Vec:
    """sqrt(x^2 + y^2) without undue overflow."""
    if is_single(x):
        a, b = x.widen(), y.widen()
        result = a.fma(a, b * b).sqrt().narrow()
    else:
        result = _hypot_double(x.abs(), y.abs())
    unbounded = x.abs().equals(math.inf) | y.abs().equals(math.inf)
    return unbounded.select(math.inf, result)


def _hypot_double(x: Vec, y: Vec) -> Vec:
    wider, narrower = (x > y).select(x, y), (x > y).select(y, x)
    usual = (wider > 0) & (wider < math.inf)
    a, e = split(usual.select(wider, 1))
    b = scale(narrower, -e)
    square, rest = two_product(a, a)
    other, other_rest = two_product(b, b)
    total, lost = quick_two_sum(square, other)
    root = total.sqrt()
    product, product_rest = two_product(root, root)
    left = (total - product) + (lost + rest + other_rest - product_rest)
    result = scale(root + left / (root * 2), e)
    return usual.select(result, x + y)

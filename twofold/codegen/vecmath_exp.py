"""Exponentials: exp, exp2, expm1, sinh, cosh, tanh, sigmoid.

All reduce x to n log 2 + r with |r| <= log(2)/2, take a polynomial of r and scale by 2^n. The
polynomials are minimax in relative error, fitted to these intervals.
"""

from __future__ import annotations

from llvmlite import ir

from .vecmath import Vec, copysign, polynomial
from .vecmath_bits import nearest, power_of_two, quick_two_sum, scale

# exp(r) = 1 + r + r^2 P(r)
_EXP_SINGLE = (0.49999994, 0.1666652, 0.041668415, 0.008368826, 0.0013813751)
_EXP = (
    0.5, 0.16666666666666682, 0.04166666666666641, 0.008333333333318224, 0.0013888888888996768,
    0.0001984126989446465, 2.480158712211608e-05, 2.7557236061393077e-06, 2.755743559028689e-07,
    2.511180252896825e-08, 2.0867459410775042e-09,
)  # fmt: skip
# 2^r = 1 + r log 2 + r^2 P(r)
_EXP2 = (
    0.24022650695910133, 0.055504108664821694, 0.009618129107593056, 0.0013333558146385559,
    0.000154035304585639, 1.5252733863605764e-05, 1.3215434524060693e-06, 1.0178047582397841e-07,
    7.073917631836873e-09, 4.457265428284576e-10,
)  # fmt: skip
# sinh(x) = x + x^3 P(x^2), |x| <= 1
_SINH = (
    0.16666666666666669, 0.008333333333333139, 0.00019841269841438223, 2.7557319155143307e-06,
    2.5052123432786218e-08, 1.6057237425469944e-10, 7.759407574184803e-13,
)  # fmt: skip
# tanh(x) = x + x^3 P(x^2), |x| <= 0.6
_TANH_SINGLE = (-0.333333, 0.13331954, -0.053786293, 0.020803792, -0.0059037255)
_TANH = (
    -0.33333333333333326, 0.13333333333331812, -0.05396825396724, 0.02186948850219813,
    -0.008863234862398952, 0.0035921196620374387, -0.0014557640589485223, 0.0005896220410689482,
    -0.00023751206815399964, 9.248807031457861e-05, -3.11770526288721e-05, 6.502604695985784e-06,
)  # fmt: skip

LOG2_E = 1.4426950408889634
LOG_2, LOG_2_REST = 0.6931471805599453, 2.3190468138462996e-17
# High parts with so few digits that a product with an exponent is exact.
LOG_2_HIGH, LOG_2_LOW = 0.6931471803691238, 1.9082149292705877e-10
LOG_2_HIGH_SINGLE, LOG_2_LOW_SINGLE = 0.693145751953125, 1.428606765330187e-06


def is_single(x: Vec) -> bool:
    """Whether x is float32."""
    return isinstance(x.element, ir.FloatType)


def clamp(x: Vec, low: float, high: float) -> Vec:
    """x held between two bounds; NaN stays."""
    return x.lift(high).min(x.lift(low).max(x))


def _reduced(x: Vec) -> tuple[Vec, Vec, Vec]:
    """r and n with x = n log 2 + r, |r| at most about log(2)/2; n as an integer and as a float."""
    number, n = nearest(x, LOG2_E)
    if is_single(x):
        r = number.fma(-LOG_2_HIGH_SINGLE, x)
        return number.fma(-LOG_2_LOW_SINGLE, r), n, number
    r = number.fma(-LOG_2_HIGH, x)
    return number.fma(-LOG_2_LOW, r), n, number


def _exp_less_one(r: Vec) -> Vec:
    """exp(r) - 1 of a reduced float64 r."""
    return polynomial(r, _EXP).fma(r * r, r)


def _exp_reduced(r: Vec) -> Vec:
    """exp(r) of a reduced r."""
    return polynomial(r, (1.0, 1.0, *_EXP_SINGLE)) if is_single(r) else _exp_less_one(r) + 1


def exp_parts(x: Vec, rest: Vec | None = None) -> tuple[Vec, Vec]:
    """p and n with exp(x + rest) = p 2^n, for x in the range where n fits (|x| < 1400)."""
    r, n, _ = _reduced(x)
    return _exp_reduced(r if rest is None else r + rest), n


def exp_times(factor: Vec, x: Vec, rest: Vec, half: bool = False) -> Vec:
    """factor exp(-(x + rest)), or with `half` factor exp(-(x + rest) / 2), for a factor of usual
    size and x < 1400: not rounded in between where the power is below the normal numbers.

    The sign and the half, being powers of two, go into the constants without a change of bits.
    """
    unit = -0.5 if half else -1.0
    number, n = nearest(x, LOG2_E * unit)
    single = is_single(x)
    high, low = (LOG_2_HIGH_SINGLE, LOG_2_LOW_SINGLE) if single else (LOG_2_HIGH, LOG_2_LOW)
    r = number.fma(-high / unit, x)
    r = number.fma(-low / unit, r) + rest
    coefficients = (1.0, *_EXP_SINGLE) if single else (1.0, *_EXP)
    scaled = [c * unit ** (k + 1) for k, c in enumerate(coefficients)]
    if single:
        power = r * polynomial(r, scaled)
    else:
        power = polynomial(r, scaled[1:]).fma(r * r, r * unit)
    return scale(power.fma(factor, factor), n, number)


def _clamped(x: Vec) -> Vec:
    """x where exp(x) is neither 0 nor infinite, else a bound just beyond."""
    return clamp(x, -105.0, 89.0) if is_single(x) else clamp(x, -746.0, 710.0)


def exp(x: Vec) -> Vec:
    """e^x."""
    r, n, number = _reduced(_clamped(x))
    return scale(_exp_reduced(r), n, number)


def exp2(x: Vec) -> Vec:
    """2^x, of float64."""
    x = clamp(x, -1080.0, 1025.0)
    number, n = nearest(x)
    r = x - number
    low = polynomial(r, _EXP2).fma(r * r, r * LOG_2_REST)
    high, rest = quick_two_sum(r.lift(1), r * LOG_2)
    return scale(high + (rest + low), n)


def expm1(x: Vec) -> Vec:
    """e^x - 1, of float64."""
    r, n, _ = _reduced(clamp(x, -50.0, 710.0))
    inverse = power_of_two(-(n < 1000).select(n, 1000))
    result = scale(_exp_less_one(r) + (1 - inverse), n)
    return x.equals(0).select(x, result)


def sinh(x: Vec) -> Vec:
    """(e^x - e^-x) / 2, of float64."""
    size = x.abs()
    square = x * x
    small = (x * square).fma(polynomial(square, _SINH), x)
    p, n = exp_parts(clamp(size, 0.5, 711.0))
    half = scale(p, n - 1)
    return (size < 1).select(small, copysign(half - 0.25 / half, x))


def cosh(x: Vec) -> Vec:
    """(e^x + e^-x) / 2, of float64."""
    p, n = exp_parts(clamp(x.abs(), -1.0, 711.0))
    half = scale(p, n - 1)
    return half + 0.25 / half


def tanh(x: Vec) -> Vec:
    """(e^2x - 1) / (e^2x + 1), as 1 - 2 / (e^2x + 1) where that loses nothing."""
    size = x.abs()
    square = x * x
    small = (x * square).fma(polynomial(square, _TANH_SINGLE if is_single(x) else _TANH), x)
    p, n = exp_parts(clamp(size * 2, -1.0, 20.0 if is_single(x) else 44.0))
    large = 1 - 2 / p.fma(power_of_two(n), 1)
    return copysign((size < 0.6).select(small, large), x)


def sigmoid(x: Vec) -> Vec:
    """1 / (1 + e^-x), left of zero as e^x / (1 + e^x).

    What rounding loses of the divisor is made good by a correction of the quotient.
    """
    power = _exp_left(x)
    divisor = 1 + power
    lost = power - (divisor - 1)
    quotient = (x < 0).select(power, 1) / divisor
    return (-quotient).fma(lost, quotient)


def _exp_left(x: Vec) -> Vec:
    """exp(-|x|)."""
    least = x.lift(-105.0 if is_single(x) else -746.0)
    r, n, number = _reduced(least.max(-x.abs()))
    return scale(_exp_reduced(r), n, number)

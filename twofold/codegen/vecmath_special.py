"""The error function and its kin, and the logarithm of the gamma function with its derivative."""

from __future__ import annotations

import math

from .vecmath import Vec, copysign, polynomial
from .vecmath_angle import sin, tan
from .vecmath_bits import two_product
from .vecmath_exp import clamp, exp, exp_times, is_single
from .vecmath_log import log
from .vecmath_normal import has_tables, normal_tail

# erf(x) = x + x P(x^2), |x| <= 1
_ERF_SINGLE = (
    0.12837917, -0.37612626, 0.112835854, -0.026853815, 0.0051883305, -0.00080102024, 7.85385e-05,
)  # fmt: skip
_ERF = (
    0.1283791670955126, -0.3761263890318375, 0.11283791670954858, -0.02686617064507296,
    0.005223977624781369, -0.0008548326978765144, 0.0001205533103755097, -1.4925593518725646e-05,
    1.6460972954121822e-06, -1.6350026191821794e-07, 1.4657883529677327e-08,
    -1.1365670668620905e-09, 5.945255581176924e-11,
)  # fmt: skip
# erfc(x) = exp(P(x)), 1 <= x <= 4, to float32's precision of erf(x)
_LOG_ERFC_SINGLE = (
    -0.0003327338, -1.1271224, -0.63809335, -0.103148416, 0.021856677, -0.0029520115,
    0.00018679573,
)  # fmt: skip
# exp(x^2) erfc(x) (1 + 2 x) = P((x - 4) / (x + 4)), 1/2 <= x <= 28
_ERFC = (
    1.2329951186255526, -0.1396211168405625, 0.015379652102619873, 0.06809705425468865,
    -0.10103906603631245, 0.0937328349985266, -0.06633036581201905, 0.03716751553393258,
    -0.016197734060338396, 0.00503197001721584, -0.0007577732694226248, -0.00019925695761285805,
    0.0001506215862539334, -2.4398086525709865e-05, -1.1221768762584132e-05, 5.70656256775506e-06,
    2.9334271986777977e-07, -8.196051327315512e-07, 7.512809742592912e-08, 1.033336355003215e-07,
    -1.820162810906786e-08, -9.678471793693375e-09, 1.9061074372970363e-09,
)  # fmt: skip
# exp(a^2 / 2) Phi(-a) = P(a) / Q(a), 0 <= a <= 14.7, to float32's precision
_NORMAL_SINGLE = (0.5, 0.43799454, 0.18298587, 0.040541418, 0.0041003574)
_NORMAL_DIVISOR_SINGLE = (1.0, 1.6738739, 1.2015259, 0.46880558, 0.101628706, 0.010277952)
# An estimate of erfinv(y) / y in -log(1 - y^2) < 5, and of erfinv(y) in its square root beyond.
_ERFINV = (
    0.8862269204971659, 0.23201381821317738, 0.011548652884988565, -0.002334294164113154,
    -0.0001274836599856211, 4.4566357164036986e-05, 3.98285363227076e-06, -1.976385406761838e-06,
    2.2102241185171292e-07, -8.7906561601496e-09,
)  # fmt: skip
_ERFINV_TAIL = (
    -0.026087597082034085, 1.0201125090053758, -0.22546448395966892, 0.19686083303060964,
    -0.08564892413255136, 0.02252849540407748, -0.003754198043487851, 0.00038955489871602414,
    -2.305180569034817e-05, 5.956855211596951e-07,
)  # fmt: skip
# log Gamma(x) = (x - 1) (x - 2) P(x - 3/2), 1 <= x <= 2
_LGAMMA = (
    0.4831289505409809, -0.14595989591430608, 0.06291140107456497, -0.03130848750100946,
    0.016797098631180864, -0.00942562244862872, 0.005446457844966282, -0.0032120740696247596,
    0.001922916125392893, -0.0011644146740541416, 0.000711522573916079, -0.00043799190273358655,
    0.00027127285179166035, -0.00016892745823323147, 0.00010566121615655133, -6.609134241235955e-05,
    4.1556029805634726e-05, -2.7360809808287717e-05, 1.757857625626976e-05, -8.07175661639967e-06,
    4.732197768608219e-06, -7.976803890879792e-06, 5.393977439067031e-06,
)  # fmt: skip
# Stirling's series: B(2k) / (2k (2k - 1)), and B(2k) / (2k) for its derivative.
_STIRLING = (
    1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400,
)  # fmt: skip
_DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)


def _erfc_right(x: Vec) -> Vec:
    """erfc(x) of a float64 x >= 1/2."""
    x = clamp(x, 0.5, 28.0)
    square, rest = two_product(x, x)
    return exp_times(polynomial((x - 4) / (x + 4), _ERFC) / (1 + x * 2), square, rest)


def erf(x: Vec) -> Vec:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    size = x.abs()
    if is_single(x):
        central = x.fma(polynomial(x * x, _ERF_SINGLE), x)
        outer = 1 - exp(polynomial(clamp(size, 0.0, 4.0), _LOG_ERFC_SINGLE))
    else:
        central = x.fma(polynomial(x * x, _ERF), x)
        outer = 1 - _erfc_right(size)
    return (size <= 1).select(central, copysign(outer, x))


def _normal_tail(size: Vec, factor: Vec | None = None) -> Vec:
    """Phi(-size), times a factor if there is one; a float64 size is at least 0.7.

    A quotient times exp(-size^2 / 2), with the square's rounding error made good. The quotient of
    float32, where there are no tables, is taken in float64: its two polynomials would be wrong by
    up to three units in the last place each.
    """
    if is_single(size):
        if has_tables(size.at.target):
            return normal_tail(size, factor)
        wide = size.widen()
        ratio = polynomial(wide, _NORMAL_SINGLE) / polynomial(wide, _NORMAL_DIVISOR_SINGLE)
        product = (ratio if factor is None else ratio * factor.widen()).narrow()
    else:
        z = size * math.sqrt(0.5)
        ratio = polynomial((z - 4) / (z + 4), _ERFC) / (2 + z * 4)
        product = ratio if factor is None else ratio * factor
    square, rest = two_product(size, size)
    return exp_times(product, square, rest, half=True)


def _normal_central(x: Vec) -> Vec:
    """Phi(x) of a small float64 x."""
    z = x * math.sqrt(0.5)
    return z.fma(polynomial(z * z, _ERF), z).fma(0.5, 0.5)


def ndtr(x: Vec) -> Vec:
    """Phi(x), the share of the standard normal distribution below x."""
    size = x.abs()
    if is_single(x):
        left = _normal_tail(x.lift(14.5).min(size))
        return (x < 0).select(left, 1 - left)
    left = _normal_tail(clamp(size, 0.7, 39.0))
    return (size < 0.75).select(_normal_central(x), (x < 0).select(left, 1 - left))


def gelu(x: Vec) -> Vec:
    """x Phi(x) = max(x, 0) - |x| Phi(-|x|)."""
    if is_single(x):
        size = x.lift(14.5).min(x.abs())
        return x.max(0) - _normal_tail(size, size)
    size = clamp(x.abs(), 0.7, 39.0)
    outer = x.max(0) - _normal_tail(size, size)
    return (x.abs() < 0.75).select(x * _normal_central(x), outer)


def erfc(x: Vec) -> Vec:
    """1 - erf(x), precise where that is tiny; of float64."""
    size = x.abs()
    right = _erfc_right(size)
    central = 1 - x.fma(polynomial(x * x, _ERF), x)
    return (size < 0.5).select(central, (x < 0).select(2 - right, right))


def erfinv(y: Vec) -> Vec:
    """The x with erf(x) = y, of float64: an estimate and one step of Halley's."""
    size = y.abs()
    inside = size < 1
    size = inside.select(size, 0.5)
    rest = 1 - size
    w = -log(rest * (1 + size))
    x = (w < 5).select(size * polynomial(w, _ERFINV), polynomial(w.sqrt(), _ERFINV_TAIL))
    right = _erfc_right(x)
    central = x.fma(polynomial(x * x, _ERF), x - size)
    error = (x < 0.5).select(central, rest - right)
    step = error * exp(x * x) * (math.sqrt(math.pi) / 2)
    x = x - step / (1 + x * step)
    outside = y.abs().equals(1).select(x.lift(math.inf), math.nan)
    result = copysign(inside.select(x, outside), y)
    return y.equals(0).select(y, result)


def lgamma(x: Vec) -> Vec:
    """log |Gamma(x)|, of float64."""
    size = x.abs()
    small, large = size < 1, size >= 8
    product, z = size.lift(1), large.select(1.5, small.select(size + 1, size))
    for _ in range(6):
        above = z > 2
        z = above.select(z - 1, z)
        product = above.select(product * z, product)
    argument = large.select(size, small.select(size, product))
    logarithm = log(argument)
    logarithm_or_loss = small.select(-logarithm, logarithm)
    middle = (z - 1) * (z - 2) * polynomial(z - 1.5, _LGAMMA) + logarithm_or_loss
    inverse = 1 / size
    tail = inverse * polynomial(inverse * inverse, _STIRLING) + (0.5 * math.log(2 * math.pi) - 0.5)
    far = (size - 0.5) * (logarithm - 1) + tail
    right = large.select(far, middle)
    right = size.equals(math.inf).select(size, right)

    def reflected() -> Vec:
        apart = size - size.round_even()
        sine = sin(apart * math.pi).abs() * (1 / math.pi)
        pole = apart.equals(0) | size.equals(math.inf)
        return pole.select(math.inf, -log(sine) - log(size) - right)

    return x.at.rarely(x < 0, right, reflected)


def digamma(x: Vec) -> Vec:
    """The derivative of log Gamma, of float64."""

    def right_of_zero(z: Vec) -> Vec:
        total = z.lift(0)
        for _ in range(10):
            below = z < 10
            total = total - below.select(1 / z, 0)
            z = below.select(z + 1, z)
        inverse = 1 / (z * z)
        series = log(z) - 0.5 / z - inverse * polynomial(inverse, _DIGAMMA)
        return z.equals(math.inf).select(z, series) + total

    negative = x <= 0
    result = right_of_zero(negative.select(1 - x, x))

    def reflected() -> Vec:
        apart = x - x.round_even()
        value = result - math.pi / tan(apart * math.pi)
        pole = x.equals(0).select(copysign(x.lift(-math.inf), -x), math.nan)
        return (apart.equals(0) | x.equals(-math.inf)).select(pole, value)

    return x.at.rarely(negative, result, reflected)

"""The left tail of the normal distribution, by tables that AVX-512 keeps in registers.

For a = |x|, with n the integer nearest to -a^2 / STEP, of which the last four bits are j:

    exp(-a^2 / 2) = 2^(n / 16) exp(-r (1 + d) / 2) exp(d a^2 / 2),    r = a^2 + n STEP

STEP is log(2) / 8 cut to 12 bits, so that n STEP is exact, and d = log(2) / (8 STEP) - 1 makes good
what is cut off. The last factor, times exp(a^2 / 2) Phi(-a), is a polynomial of degree 4 on each of
32 intervals of a, which the exponent and three bits of 1 + a name. It is taken about a number at
which its value lies very near to a float32, and all of them are divided by a number ROOT that is
chosen so that the roots 2^(j / 16) ROOT do, too. So little but four products is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..machine import Target
from .vecmath import Vec, polynomial
from .vecmath_bits import lookup, nearest

STEP, ROOT = 0.086639404296875, 1.0323659063874466
_POWER = (-0.50002307, 0.12501562, -0.020836912)
"""(exp(-r (1 + d) / 2) - 1) / r."""

# The intervals lie between 1, 9/8, ..., 15/8, 2, 9/4, ..., 16 of 1 + a.
_CENTRES = (
    0.059983253, 0.18600559, 0.3108158, 0.43481922, 0.5644779, 0.6856737, 0.8151169, 0.93505,
    1.1247511, 1.3724184, 1.626483, 1.8727617, 2.1229935, 2.3724575, 2.624771, 2.8772526,
    3.249957, 3.7495394, 4.2518167, 4.752658, 5.251302, 5.7528486, 6.2515125, 6.748431, 7.4993,
    8.501031, 9.501884, 10.501319, 11.498281, 12.5002985, 13.5000925, 14.252745,
)  # fmt: skip
_COEFFICIENTS = (
    (
        0.46198907, 0.42006218, 0.38424024, 0.3533145, 0.32512614, 0.3020007, 0.28020298,
        0.26228547, 0.23767653, 0.21107526, 0.18880264, 0.17092618, 0.15567413, 0.1427773,
        0.13160728, 0.121955685, 0.10992321, 0.09694488, 0.08656014, 0.07814631, 0.07121298,
        0.0653538, 0.060395475, 0.056139346, 0.050723918, 0.04492763, 0.040316842, 0.03656652,
        0.03346122, 0.030830722, 0.0285899, 0.027108084,
    ),
    (
        -0.358722, -0.30829766, -0.2670023, -0.23280159, -0.20290278, -0.17935564, -0.15803215,
        -0.1411814, -0.119106784, -0.09675469, -0.07936001, -0.06634738, -0.055964675,
        -0.047736395, -0.0410414, -0.0355952, -0.029266734, -0.023044715, -0.01854115,
        -0.015216363, -0.0127025405, -0.010741932, -0.0092026815, -0.007970764, -0.00652469,
        -0.005130284, -0.0041361987, -0.0034039197, -0.002849926, -0.0024180308, -0.0020773385,
        -0.0018658668,
    ),
    (
        0.22024634, 0.18136562, 0.15063034, 0.12604626, 0.105295606, 0.089508794, 0.07569021,
        0.065131694, 0.051847827, 0.039133396, 0.02984921, 0.023321107, 0.018412698, 0.014741929,
        0.011918653, 0.0097444365, 0.0073749935, 0.005235635, 0.0038254915, 0.0028717986,
        0.0022073246, 0.0017273306, 0.0013767235, 0.0011144773, 0.0008297083, 0.0005815932,
        0.00042276614, 0.00031667156, 0.0002432753, 0.00019058774, 0.00015209289, 0.00012966775,
    ),
    (
        -0.11528625, -0.09160955, -0.073462605, -0.059383675, -0.047862783, -0.039359804,
        -0.032137614, -0.026780987, -0.020314917, -0.014382761, -0.010292962, -0.0075736265,
        -0.005636716, -0.0042629885, -0.0032597545, -0.0025252658, -0.0017762106, -0.0011446755,
        -0.00076376775, -0.00052681495, -0.0003741696, -0.00027175844, -0.00020199576,
        -0.00015313183, -0.000104297345, -6.527859e-05, -4.2827516e-05, -2.9217244e-05,
        -2.060197e-05, -1.4904723e-05, -1.1047737e-05, -8.928945e-06,
    ),
    (
        0.05308076, 0.040981013, 0.031863358, 0.024944123, 0.019657068, 0.01559016, 0.012441505,
        0.009988419, 0.007271497, 0.004846186, 0.0032967455, 0.0022859783, 0.0016135758,
        0.0011579868, 0.0008439516, 0.00062397827, 0.00040765706, 0.00024005712, 0.00014743448,
        9.3939954e-05, 6.1818384e-05, 4.1854615e-05, 2.9061352e-05, 2.0636167e-05, 1.28554375e-05,
        7.217994e-06, 4.2874226e-06, 2.6686243e-06, 1.7277425e-06, 1.1567516e-06, 7.971622e-07,
        6.124091e-07,
    ),
)  # fmt: skip
"""Of (a - centre)^k."""

_LIFT = 64
"""The power is made 2^64 times as large, and the polynomial as small, so that both are normal
numbers where their product is not."""


def has_tables(target: Target) -> bool:
    """Whether the target can look up 32 numbers in one instruction."""
    return target.triple.startswith("x86") and target.vector_bytes == 64


def normal_tail(a: Vec, factor: Vec | None = None) -> Vec:
    """Phi(-a) of a float32 a from 0 to 14.5, times a factor if there is one."""
    number, n = nearest(a * a, -1 / STEP)
    r = a.fma(a, number * STEP)
    less_one = polynomial(r, _POWER) * r
    power = lookup(n, [2.0 ** (j / 16 + _LIFT) * ROOT for j in range(16)]).as_int()
    power = (power + ((n & ~15) << 19)).as_float()
    interval = (a + 1).as_int().shr_logical(20)
    apart = a - lookup(interval, _in_order(_CENTRES))
    tables = [_in_order([c * 2.0**-_LIFT for c in row]) for row in _COEFFICIENTS]
    ratio = lookup(interval, tables[-1])
    for table in reversed(tables[:-1]):
        ratio = ratio.fma(apart, lookup(interval, table))
    product = (power if factor is None else power * factor) * ratio
    return product.fma(less_one, product)


def _in_order(values: Sequence[float]) -> list[float]:
    """What is given from 1 to 16, an octave after the other, by the last five bits of exponent and
    mantissa. Those of 1, whose exponent is held as 127, are 24."""
    return [*values[8:], *values[:8]]

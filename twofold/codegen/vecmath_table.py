"""Which function computes which operation on floats."""

from __future__ import annotations

from collections.abc import Callable

from . import vecmath_angle as angle
from . import vecmath_bits as bits
from . import vecmath_exp as exponential
from . import vecmath_log as logarithm
from . import vecmath_special as special
from .vecmath import Vec, copysign
from .vecmath_exp import is_single


def _in_double(function: Callable[..., Vec]) -> Callable[..., Vec]:
    """A function of float64 made one of both: float32 operands are widened, the result rounded."""

    def either(*operands: Vec) -> Vec:
        if is_single(operands[0]):
            return function(*[x.widen() for x in operands]).narrow()
        return function(*operands)

    return either


FUNCTIONS: dict[str, Callable[..., Vec]] = {
    "sqrt": lambda x: x.sqrt(),
    "rsqrt": lambda x: 1 / x.sqrt(),
    "cbrt": _in_double(logarithm.cbrt),
    "floor": lambda x: x.floor(),
    "ceil": lambda x: x.call("ceil"),
    "trunc": lambda x: x.call("trunc"),
    "round": lambda x: x.round_even(),
    "copysign": copysign,
    "nextafter": bits.next_after,
    "fmod": bits.fmod,
    "floordiv": bits.floor_div,
    "floormod": bits.floor_mod,
    "exp": exponential.exp,
    "exp2": _in_double(exponential.exp2),
    "expm1": _in_double(exponential.expm1),
    "sinh": _in_double(exponential.sinh),
    "cosh": _in_double(exponential.cosh),
    "tanh": exponential.tanh,
    "sigmoid": exponential.sigmoid,
    "log": logarithm.log,
    "log2": _in_double(logarithm.log2),
    "log10": _in_double(logarithm.log10),
    "log1p": logarithm.log1p,
    "asinh": _in_double(logarithm.asinh),
    "acosh": _in_double(logarithm.acosh),
    "atanh": _in_double(logarithm.atanh),
    "pow": logarithm.power,
    "hypot": logarithm.hypot,
    "sin": angle.sin,
    "cos": angle.cos,
    "tan": _in_double(angle.tan),
    "asin": _in_double(angle.asin),
    "acos": _in_double(angle.acos),
    "atan": _in_double(angle.atan),
    "atan2": _in_double(angle.atan2),
    "erf": special.erf,
    "erfc": _in_double(special.erfc),
    "ndtr": special.ndtr,
    "gelu": special.gelu,
    "erfinv": _in_double(special.erfinv),
    "lgamma": _in_double(special.lgamma),
    "digamma": _in_double(special.digamma),
}
"""Operations of one or two float32 or float64 values that give the same type."""

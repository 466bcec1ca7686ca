"""Which function computes which operation on floats."""

from __future__ import annotations

from collections.abc import Callable

from . import vecmath_bits as bits
from .vecmath import Vec, copysign

FUNCTIONS: dict[str, Callable[..., Vec]] = {
    "sqrt": lambda x: x.sqrt(),
    "rsqrt": lambda x: 1 / x.sqrt(),
    "floor": lambda x: x.floor(),
    "ceil": lambda x: x.call("ceil"),
    "trunc": lambda x: x.call("trunc"),
    "round": lambda x: x.round_even(),
    "copysign": copysign,
    "nextafter": bits.next_after,
    "fmod": bits.fmod,
    "floordiv": bits.floor_div,
    "floormod": bits.floor_mod,
}
"""Operations of one or two float32 or float64 values that give the same type."""

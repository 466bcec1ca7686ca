"""Operations on the bits of numbers: exponents, exact remainders, neighbours, random words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import llvmlite.ir as ir

from .build import shuffle
from .vecmath import F32, F64, I32, Lanes, Vec, constant, copysign, intrinsic


def mantissa_bits(x: Vec) -> int:
    """Bits of a float's stored mantissa."""
    return 23 if isinstance(x.element, ir.FloatType) else 52


def nearest(x: Vec, factor: float = 1.0) -> tuple[Vec, Vec]:
    """The integer nearest to x * factor as a float and as an integer of x's size, below 2^22.

    Adding 1.5 * 2^(digits - 1) leaves the integer in the low bits: faster than a conversion, which
    x86 before AVX-512 lacks for 64 bits, and defined for NaN.
    """
    magic = x.lift(1.5 * 2.0 ** mantissa_bits(x))
    shifted = x + magic if factor == 1.0 else x.fma(factor, magic)
    return shifted - magic, shifted.as_int() - magic.as_int()


def signed_to_float(n: Vec) -> Vec:
    """An integer below 2^22 in magnitude as the float of its size."""
    if n.element.width == 32:
        return n.to_float(F32)
    magic = n.at.const(1.5 * 2.0**52, F64)
    return (n + magic.as_int()).as_float() - magic


def power_of_two(n: Vec) -> Vec:
    """2^n as a float of n's size, for n in the range of normal exponents."""
    if n.element.width == 32:
        return ((n + 127) << 23).as_float()
    return ((n + 1023) << 52).as_float()


def scale(x: Vec, n: Vec, number: Vec | None = None) -> Vec:
    """x * 2^n for any n that two normal powers of two can make, rounded once.

    AVX-512 has an instruction for it, on vectors, which takes n as a float: `number`, if given.
    """
    target = x.at.target
    if x.at.lanes > 1 and target.vector_bytes == 64 and target.triple.startswith("x86"):
        if number is not None and x.at.lanes * x.bits % 512 == 0:
            return x.at.by_parts(512 // x.bits, _scale_512, x, number)
        short = n if n.element.width == 32 else n.trunc(I32)
        types = [x.value.type, short.value.type]
        arguments = [x.value, short.value]
        return x.at.wrap(intrinsic(x.at.builder, "ldexp", arguments, types[0], types))
    half = n >> 1
    return x * power_of_two(half) * power_of_two(n - half)


def _scale_512(x: Vec, number: Vec) -> Vec:
    """x * 2^number in one register of AVX-512."""
    kind, lanes = ("ps", 16) if x.bits == 32 else ("pd", 8)
    b, all_lanes = x.at.builder, ir.Constant(ir.IntType(lanes), -1)
    rounding = ir.Constant(I32, 4)  # as the machine is set
    args = [x.value, number.value, x.value, all_lanes, rounding]
    return x.at.wrap(intrinsic(b, f"x86.avx512.mask.scalef.{kind}.512", args, x.value.type, []))


def lookup(index: Vec, table: Sequence[float]) -> Vec:
    """The float32 at `index`, modulo 16 or 32, of a table of so many; with AVX-512."""
    b, lanes = index.at.builder, index.at.lanes
    words = max(16, lanes)
    if lanes == 1:
        wide = b.insert_element(
            ir.Constant(ir.VectorType(I32, 16), None), index.value, ir.Constant(I32, 0)
        )
    else:
        wide = shuffle(b, [index.value], [k % lanes for k in range(words)])
    found = Lanes(b, words, index.at.target).wrap(wide)
    kind = ir.VectorType(F32, 16)
    halves = [
        ir.Constant(kind, [constant(v, F32, 1) for v in table[start : start + 16]])
        for start in range(0, len(table), 16)
    ]

    def part(numbers: Vec) -> Vec:
        if len(halves) == 1:
            name, args = "x86.avx512.permvar.sf.512", [halves[0], numbers.value]
        else:
            name, args = "x86.avx512.vpermi2var.ps.512", [halves[0], numbers.value, halves[1]]
        return numbers.at.wrap(intrinsic(b, name, args, kind, []))

    result = found.at.by_parts(16, part, found).value
    if lanes == 1:
        return index.at.wrap(b.extract_element(result, ir.Constant(I32, 0)))
    return index.at.wrap(shuffle(b, [result], range(lanes)) if lanes < 16 else result)


def split(x: Vec) -> tuple[Vec, Vec]:
    """A positive finite x as (m, e) with x = m 2^e and 1 <= m < 2; subnormals too."""
    bits = mantissa_bits(x)
    bias, lift = (127, 32) if bits == 23 else (1023, 64)
    tiny = x < 2.0 ** (1 - bias)
    word = tiny.select(x * 2.0**lift, x).as_int()
    exponent = word.shr_logical(bits) - tiny.select(word.lift(bias + lift), bias)
    mantissa = (word & ((1 << bits) - 1)) | (bias << bits)
    return mantissa.as_float(), exponent


def fmod(a: Vec, b: Vec) -> Vec:
    """The exact remainder of a / b with the sign of a, as C's fmod.

    Long division of the mantissas, 50 bits of the quotient at a time; float32 is done in float64.
    """
    if isinstance(a.element, ir.FloatType):
        return fmod(a.widen(), b.widen()).narrow()
    size, divisor = a.abs(), b.abs()
    m_a, e_a = split(size)
    m_b, e_b = split(divisor)
    valid = (size < math.inf) & (divisor > 0)
    divides = valid & (size >= divisor) & (divisor < math.inf)
    left = divides.select(e_a - e_b, 0)

    def step(rest: Vec, left: Vec) -> list[Vec]:
        shift = (left < 50).select(left, 50)
        rest = rest * power_of_two(shift)
        quotient = (rest / m_b).call("trunc")
        rest = _minus_product(rest, quotient, m_b)
        # The quotient may have been rounded up to the next integer.
        rest = (rest < 0).select(rest + m_b, rest)
        return [rest, left - shift]

    rest, _ = a.at.loop_while([m_a, left], lambda rest, left: left > 0, step)
    rest = (rest >= m_b).select(rest - m_b, rest)
    rest = divides.select(scale(rest, e_b), size)
    result = copysign(rest, a)
    return valid.select(b.is_nan().select(b, result), a * b + math.nan)


def _minus_product(x: Vec, a: Vec, b: Vec) -> Vec:
    """x - a b where that is representable, exactly."""
    if x.at.target.has_fma:
        return (-a).fma(b, x)
    high, low = two_product(a, b)
    return (x - high) - low


def two_product(a: Vec, b: Vec) -> tuple[Vec, Vec]:
    """a b as an unevaluated sum (high, low), exact where nothing over- or underflows."""
    high = a * b
    if a.at.target.has_fma:
        return high, a.fma(b, -high)
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    low = ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low
    return high, low


def _halves(x: Vec) -> tuple[Vec, Vec]:
    """x as a sum of two numbers of half as many digits (Veltkamp's splitting)."""
    c = x * (2.0**12 + 1 if isinstance(x.element, ir.FloatType) else 2.0**27 + 1)
    high = c - (c - x)
    return high, x - high


def two_sum(a: Vec, b: Vec) -> tuple[Vec, Vec]:
    """a + b as an exact unevaluated sum (high, low)."""
    high = a + b
    part = high - a
    return high, (a - (high - part)) + (b - part)


def quick_two_sum(a: Vec, b: Vec) -> tuple[Vec, Vec]:
    """a + b as an exact unevaluated sum (high, low), for |a| >= |b|."""
    high = a + b
    return high, b - (high - a)


def floor_mod(a: Vec, b: Vec) -> Vec:
    """Python's a % b of floats: the sign is that of b."""
    rest = fmod(a, b)
    other_side = rest.differs(0) & ((rest < 0) ^ (b < 0))
    rest = other_side.select(rest + b, rest)
    return rest.equals(0).select(copysign(rest, b), rest)


def floor_div(a: Vec, b: Vec) -> Vec:
    """Python's a // b of floats; a / b where b is 0."""
    rest = fmod(a, b)
    quotient = (a - rest) / b
    other_side = rest.differs(0) & ((rest < 0) ^ (b < 0))
    quotient = other_side.select(quotient - 1, quotient)
    whole = quotient.floor()
    whole = ((quotient - whole) > 0.5).select(whole + 1, whole)
    whole = quotient.equals(0).select(copysign(quotient.lift(0), a / b), whole)
    return b.equals(0).select(a / b, whole)


def next_after(x: Vec, towards: Vec) -> Vec:
    """The number next to x on the way to `towards`."""
    return _next_after_bits(x, towards, x.as_int(), towards.as_int()).as_float()


def next_after_16(x: Vec, towards: Vec, x_bits: Vec, towards_bits: Vec) -> Vec:
    """The bits of the 16-bit number next to x: operands as float32 and as their own 16 bits."""
    return _next_after_bits(x, towards, x_bits, towards_bits)


def _next_after_bits(x: Vec, towards: Vec, bits: Vec, towards_bits: Vec) -> Vec:
    away = (x < towards) ^ (x < 0)
    stepped = bits + away.select(bits.lift(1), -1)
    sign = towards_bits & (-1 << (bits.element.width - 1))
    stepped = x.equals(0).select(sign | 1, stepped)
    stepped = x.equals(towards).select(towards_bits, stepped)
    stepped = towards.is_nan().select(towards_bits, stepped)
    return x.is_nan().select(bits, stepped)


def philox_block(key: Vec, block: Vec) -> list[Vec]:
    """The four words of a Philox 4x32-10 block (see `ops/philox.py`).

    Words live in the low halves of 64-bit lanes: the product of two of them is one instruction.
    """
    low = 0xFFFFFFFF
    c0, c1, c2, c3 = block & low, block.shr_logical(32), block.lift(0), block.lift(0)
    k0, k1 = key & low, key.shr_logical(32)
    for _ in range(10):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1 = p1.shr_logical(32) ^ c1 ^ k0, p1 & low
        c2, c3 = p0.shr_logical(32) ^ c3 ^ k1, p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & low, (k1 + 0xBB67AE85) & low
    return [c0, c1, c2, c3]


def philox_word(key: Vec, counter: Vec) -> Vec:
    """Word `counter & 3` of the Philox 4x32-10 block `counter >> 2`."""
    c0, c1, c2, c3 = philox_block(key, counter.shr_logical(2))
    odd, upper = (counter & 1).differs(0), (counter & 2).differs(0)
    return upper.select(odd.select(c3, c2), odd.select(c1, c0)).trunc(I32)

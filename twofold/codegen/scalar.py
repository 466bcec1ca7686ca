"""The scalar language as LLVM: each operation on one element or on a vector of any length.

In registers a value has its type of computation: float16 and bfloat16 are floats, rounded after
every operation (so a fused body equals one op after another, bit for bit), and bool is one bit. In
memory float16 and bfloat16 are 16 bits and bool a byte of 0 or 1. `load` and `store` convert
between the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.ir as ir

from .. import dtypes
from ..dtypes import DType
from ..errors import InternalError
from ..machine import Target
from ..ops.scalar import COMPARE, LEAVES, Expr, postorder
from . import vecmath_table
from .build import shuffle
from .vecmath import (
    F32,
    F64,
    I1,
    I8,
    I16,
    I32,
    I64,
    Constant,
    Lanes,
    Vec,
    constant,
    intrinsic,
    vector,
)
from .vecmath_bits import next_after_16, philox_word

_REGISTER = {
    "bool": I1, "uint8": I8, "int8": I8, "int16": I16, "int32": I32, "int64": I64,
    "float16": F32, "bfloat16": F32, "float32": F32, "float64": F64,
}  # fmt: skip
_MEMORY = {**_REGISTER, "bool": I8, "float16": I16, "bfloat16": I16}

_EXACT = frozenset(
    "neg abs sign select min max copysign floor ceil trunc round fmod nextafter bitcast".split()
)
"""Operations whose float16 and bfloat16 results need no rounding: they have at most as many digits
as the operands."""


def llvm_type(dtype: DType, lanes: int) -> ir.Type:
    """The type of a value of `dtype` in registers: a scalar for one lane, else a vector."""
    return vector(_REGISTER[dtype.name], lanes)


def memory_type(dtype: DType, lanes: int) -> ir.Type:
    """The type of a value of `dtype` in memory: a scalar for one lane, else a vector."""
    return vector(_MEMORY[dtype.name], lanes)


def load(
    builder: ir.IRBuilder,
    pointer: ir.Value,
    dtype: DType,
    lanes: int,
    target: Target,
    mask: ir.Value | None = None,
    align: int | None = None,
) -> ir.Value:
    """Elements at `pointer` as a register value; 0 in the lanes where `mask` (i1) is false.

    `align` is in bytes, by default that of one element.
    """
    at = Lanes(builder, lanes, target)
    type_ = memory_type(dtype, lanes)
    align = align or dtype.itemsize
    if mask is None:
        raw = builder.load(pointer, align=align, typ=type_)
    elif lanes > _mask_lanes(target):
        low, high = (
            load(
                builder, _element(builder, pointer, type_, half[0]), dtype, len(half), target,
                shuffle(builder, [mask], half), align,
            )
            for half in _halves(lanes)
        )  # fmt: skip
        return shuffle(builder, [low, high], range(lanes))
    else:
        wide, mask = _masked_form(builder, type_, mask)
        zero = ir.Constant(wide, None)
        alignment = ir.Constant(I32, align)
        raw = intrinsic(
            builder, "masked.load", [pointer, alignment, mask, zero], wide, [wide, pointer.type]
        )
        raw = raw if lanes > 1 else builder.extract_element(raw, ir.Constant(I32, 0))
    return _from_memory(at.wrap(raw), dtype).value


def load_as(
    wanted: DType,
    builder: ir.IRBuilder,
    pointer: ir.Value,
    dtype: DType,
    lanes: int,
    target: Target,
    mask: ir.Value | None = None,
) -> ir.Value:
    """Elements at `pointer`, widened to `wanted`."""
    value = load(builder, pointer, dtype, lanes, target, mask=mask)
    if dtype.compute is wanted:
        return value
    return emit_operation(builder, "cast", [value], [dtype], wanted, None, lanes, target)


def store(
    builder: ir.IRBuilder,
    value: ir.Value,
    pointer: ir.Value,
    dtype: DType,
    target: Target,
    mask: ir.Value | None = None,
    nontemporal: bool = False,
    align: int | None = None,
) -> None:
    """Write a register value to `pointer`, only in the lanes where `mask` (i1) is true.

    `nontemporal` passes by the caches; it needs `align` of a whole vector to do any good.
    """
    lanes = value.type.count if isinstance(value.type, ir.VectorType) else 1
    raw = _to_memory(Lanes(builder, lanes, target).wrap(value), dtype).value
    align = align or dtype.itemsize
    if mask is None:
        instruction = builder.store(raw, pointer, align=align)
        if nontemporal:
            one = builder.module.add_metadata([ir.Constant(I32, 1)])
            instruction.set_metadata("nontemporal", one)
        return
    wide, mask = _masked_form(builder, raw.type, mask)
    if lanes > _mask_lanes(target):
        for half in _halves(lanes):
            at, part = (
                _element(builder, pointer, raw.type, half[0]),
                shuffle(builder, [value], half),
            )
            store(builder, part, at, dtype, target, shuffle(builder, [mask], half), align=align)
        return
    if lanes == 1:
        raw = builder.insert_element(ir.Constant(wide, ir.Undefined), raw, ir.Constant(I32, 0))
    args = [raw, pointer, ir.Constant(I32, align), mask]
    intrinsic(builder, "masked.store", args, ir.VoidType(), [wide, pointer.type])


def _mask_lanes(target: Target) -> int:
    """Lanes that one masked load or store may have: LLVM's code for WebAssembly fails beyond 16."""
    return 16 if target.triple.startswith("wasm32") else 1 << 10


def _halves(lanes: int) -> tuple[range, range]:
    return range(lanes // 2), range(lanes // 2, lanes)


def _element(builder: ir.IRBuilder, pointer: ir.Value, type_: Any, number: int) -> ir.Value:
    """Where element `number` of a vector in memory lies."""
    return builder.gep(pointer, [ir.Constant(I64, number)], source_etype=type_.element)


def _masked_form(builder: ir.IRBuilder, type_: ir.Type, mask: ir.Value) -> tuple[ir.Type, ir.Value]:
    """The type and the mask as vectors, which the masked intrinsics ask for even of one lane."""
    if isinstance(type_, ir.VectorType):
        return type_, mask
    one = ir.Constant(ir.VectorType(I1, 1), ir.Undefined)
    return ir.VectorType(type_, 1), builder.insert_element(one, mask, ir.Constant(I32, 0))


def _from_memory(raw: Vec, dtype: DType) -> Vec:
    if dtype is dtypes.bool_:
        return raw.differs(0)
    if dtype is dtypes.bfloat16:
        return (raw.zext(I32) << 16).as_float()
    if dtype is dtypes.float16:
        return half_to_float(raw)
    return raw


def _to_memory(value: Vec, dtype: DType) -> Vec:
    if dtype is dtypes.bool_:
        return value.zext(I8)
    if dtype is dtypes.bfloat16:
        return float_to_bfloat_bits(value).trunc(I16)
    if dtype is dtypes.float16:
        return float_to_half(value)
    return value


def has_half_conversion(target: Target) -> bool:
    """Whether the machine converts between float16 and float32 by an instruction."""
    if not target.triple.startswith("x86"):
        return True
    return "+f16c" in target.features or target.cpu in ("x86-64-v3", "x86-64-v4")


def half_to_float(bits: Vec) -> Vec:
    """float16 bits (i16) as float32."""
    at = bits.at
    if has_half_conversion(at.target):
        half = at.builder.bitcast(bits.value, vector(ir.HalfType(), at.lanes))
        return at.wrap(at.builder.fpext(half, vector(F32, at.lanes)))
    wide = bits.zext(I32)
    magnitude = wide & 0x7FFF
    # The exponent field is 112 too small after the shift; a product also normalises subnormals.
    scaled = ((magnitude << 13).as_float() * 2.0**112).as_int()
    special = (magnitude << 13) | 0x7F800000
    result = (magnitude >= 0x7C00).select(special, scaled)
    return (result | ((wide & 0x8000) << 16)).as_float()


def float_to_half(x: Vec) -> Vec:
    """float32 rounded to nearest even as float16 bits (i16)."""
    at = x.at
    if has_half_conversion(at.target):
        if at.target.triple.startswith("x86"):
            widest = 16 if at.target.vector_bytes == 64 else 8
            return at.wrap(_half_on_x86(at.builder, x.value, at.lanes, widest))
        half = at.builder.fptrunc(x.value, vector(ir.HalfType(), at.lanes))
        return at.wrap(at.builder.bitcast(half, vector(I16, at.lanes)))
    bits = x.as_int()
    magnitude = bits & 0x7FFFFFFF
    odd = magnitude.shr_logical(13) & 1
    normal = (magnitude + (0xFFF - (112 << 23)) + odd).shr_logical(13)
    # Half has steps of 2^-24 below 2^-14, as has float32 just above 0.5: the sum rounds.
    subnormal = (magnitude.as_float() + 0.5).as_int() - 0x3F000000
    special = (magnitude > 0x7F800000).select(at.const(0x7E00, I32), 0x7C00)
    result = (magnitude < 0x38800000).select(subnormal, normal)
    result = (magnitude >= 0x47800000).select(special, result)
    return (result | (bits.shr_logical(16) & 0x8000)).trunc(I16)


def _half_on_x86(builder: ir.IRBuilder, value: ir.Value, lanes: int, widest: int) -> ir.Value:
    """`value` by the instruction itself, at most `widest` lanes at a time: LLVM merges a general
    fptrunc with what comes before, into calls of the C library's that are not there."""
    if lanes > 8 and lanes != widest:
        low = lanes // 2
        numbers = ((0, low), (low, lanes - low))
        parts = [
            _half_on_x86(builder, shuffle(builder, [value], range(start, start + n)), n, widest)
            for start, n in numbers
        ]
        if lanes % 2:
            parts[0] = shuffle(builder, parts[:1], [*range(low), 0])
        places = [*range(low), *range(lanes - low, 2 * (lanes - low))]
        return shuffle(builder, parts, places)
    if lanes == 1:
        four = ir.Constant(ir.VectorType(F32, 4), ir.Undefined)
        value = builder.insert_element(four, value, ir.Constant(I32, 0))
    elif lanes not in (4, 8, 16):
        value = shuffle(builder, [value], [k % lanes for k in range(4 if lanes < 4 else 8)])
    nearest_even = ir.Constant(I32, 0)
    if lanes == 16:
        kind = ir.VectorType(I16, 16)
        args = [value, nearest_even, ir.Constant(kind, ir.Undefined), ir.Constant(I16, -1)]
        return intrinsic(builder, "x86.avx512.mask.vcvtps2ph.512", args, kind, [])
    bits = 128 if lanes <= 4 else 256
    args = [value, nearest_even]
    result = intrinsic(builder, f"x86.vcvtps2ph.{bits}", args, ir.VectorType(I16, 8), [])
    if lanes == 1:
        return builder.extract_element(result, ir.Constant(I32, 0))
    return result if lanes == 8 else shuffle(builder, [result], range(lanes))


def float_to_bfloat_bits(x: Vec) -> Vec:
    """float32 rounded to nearest even as bfloat16 bits in the low half of an i32."""
    bits = x.as_int()
    odd = bits.shr_logical(16) & 1
    rounded = (bits + 0x7FFF + odd).shr_logical(16)
    return x.is_nan().select(x.at.const(0x7FC0, I32), rounded)


def round_to(value: Vec, dtype: DType) -> Vec:
    """A float32 rounded to what float16 or bfloat16 can hold, still as float32."""
    if dtype is dtypes.bfloat16:
        return (float_to_bfloat_bits(value) << 16).as_float()
    if dtype is dtypes.float16:
        return half_to_float(float_to_half(value))
    return value


def emit_const(value: Any, dtype: DType, lanes: int) -> ir.Value:
    """`value` in every lane. Constants of float16 and bfloat16 keep float32's precision."""
    return constant(value, _REGISTER[dtype.name], lanes)


def emit_operation(
    builder: ir.IRBuilder,
    op: str,
    args: Sequence[ir.Value],
    arg_dtypes: Sequence[DType],
    dtype: DType,
    attr: Any,
    lanes: int,
    target: Target,
) -> ir.Value:
    """The operation `op` of `ops/scalar.py` (any but a leaf) on register values.

    May append basic blocks: go on building at the builder's position, not at a block kept from
    before.
    """
    at = Lanes(builder, lanes, target)
    vecs = [at.wrap(a) for a in args]
    if op == "cast":
        return emit_cast(vecs[0], arg_dtypes[0], dtype).value
    if op == "bitcast":
        bits = _to_memory(vecs[0], arg_dtypes[0]).bitcast(_MEMORY[dtype.name])
        return _from_memory(bits, dtype).value
    if op == "random_bits":
        return philox_word(*vecs).value
    if op == "nextafter" and dtype.compute is not dtype:
        return _next_after_narrow(vecs[0], vecs[1], dtype).value
    operand = arg_dtypes[-1]
    if operand.is_floating_point:
        result = _float_operation(op, vecs)
    else:
        result = _integer_operation(op, vecs, operand)
    if dtype.compute is not dtype and op not in _EXACT:
        result = round_to(result, dtype)
    return result.value


def emit_fma(
    builder: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value, dtype: DType, target: Target
) -> ir.Value:
    """x y + z."""
    lanes = x.type.count if isinstance(x.type, ir.VectorType) else 1
    return emit_operation(builder, "fma", [x, y, z], [dtype] * 3, dtype, None, lanes, target)


def _is_number(value: Vec) -> bool:
    """Whether `value` is a constant other than NaN."""
    return isinstance(value.value, Constant) and not value.value.is_nan


def _float_operation(op: str, v: list[Vec]) -> Vec:
    function = _FLOAT.get(op) or vecmath_table.FUNCTIONS.get(op)
    if function is None:
        raise InternalError(f"[codegen] no code for {op!r} of floats")
    return function(*v)


def _minimum(a: Vec, b: Vec) -> Vec:
    """The lesser, the first of equals, NaN if either is: one instruction with a constant second,
    else one and one that need not wait for `a`."""
    least = (b < a).select(b, a)
    return least if _is_number(b) else b.is_nan().select(math.nan, least)


def _maximum(a: Vec, b: Vec) -> Vec:
    """The greater, as `_minimum`."""
    greatest = (b > a).select(b, a)
    return greatest if _is_number(b) else b.is_nan().select(math.nan, greatest)


_FLOAT: dict[str, Callable[..., Vec]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "min": _minimum,
    "max": _maximum,
    "fma": lambda a, b, c: a.fma(b, c),
    "neg": lambda x: -x,
    "abs": lambda x: x.abs(),
    "sign": lambda x: (x > 0).select(x.lift(1), (x < 0).select(x.lift(-1), 0)),
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a.equals(b),
    "ne": lambda a, b: a.differs(b),
    "isnan": lambda x: x.is_nan(),
    "isinf": lambda x: x.abs().equals(math.inf),
    "isfinite": lambda x: x.abs() < math.inf,
    "signbit": lambda x: x.as_int() < 0,
    "select": lambda c, a, b: c.select(a, b),
}


def _integer_operation(op: str, v: list[Vec], dtype: DType) -> Vec:
    """`op` on integers or bools of type `dtype` (for `select`, that of its values)."""
    signed = dtype.is_signed
    if op == "select":
        return v[0].select(v[1], v[2])
    if op in COMPARE:
        sign = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}[op]
        builder = v[0].at.builder
        compare = builder.icmp_signed if signed else builder.icmp_unsigned
        return v[0].at.wrap(compare(sign, v[0].value, v[1].value))
    if dtype is dtypes.bool_ and op in _BOOL:
        return _BOOL[op](*v)
    if op in _INTEGER:
        return _INTEGER[op](*v)
    if op in ("min", "max"):
        name = ("s" if signed else "u") + op
        return v[0].call(name, v[1])
    if op == "abs":
        return v[0].abs() if signed else v[0]
    if op == "sign":
        positive = v[0].differs(0).zext(v[0].element)
        return positive | (v[0] >> (v[0].element.width - 1)) if signed else positive
    if op in ("truncdiv", "truncmod", "floordiv", "floormod"):
        return _divide(op, v[0], v[1], signed)
    if op in ("shl", "shr"):
        return _shift(op, v[0], v[1], signed)
    raise InternalError(f"[codegen] no code for {op!r} of {dtype.name}")


_INTEGER: dict[str, Callable[..., Vec]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "neg": lambda x: -x,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "not": lambda x: ~x,
    "fma": lambda a, b, c: a * b + c,
}

_BOOL: dict[str, Callable[..., Vec]] = {
    "add": lambda a, b: a | b,
    "mul": lambda a, b: a & b,
    "min": lambda a, b: a & b,
    "max": lambda a, b: a | b,
    "abs": lambda x: x,
    "sign": lambda x: x,
}


def _divide(op: str, a: Vec, b: Vec, signed: bool) -> Vec:
    """Division that never traps: 0 by zero; the least integer by -1 wraps."""
    by_zero = b.equals(0)
    build = a.at.builder
    if not signed:
        safe = by_zero.select(1, b)
        name = "udiv" if op.endswith("div") else "urem"
        return by_zero.select(0, a.at.wrap(getattr(build, name)(a.value, safe.value)))
    by_minus_one = b.equals(-1)
    safe = (by_zero | by_minus_one).select(1, b)
    quotient = by_minus_one.select(-a, a / safe)
    remainder = a - quotient * b
    if op.startswith("floor"):
        # The truncated quotient is one too large where the remainder's sign is not the divisor's.
        above = remainder.differs(0) & ((remainder ^ b) < 0)
        quotient = quotient + above.sext(a.element)
        remainder = above.select(remainder + b, remainder)
    return by_zero.select(0, quotient if op.endswith("div") else remainder)


def _shift(op: str, a: Vec, b: Vec, signed: bool) -> Vec:
    """Shifts whose count may be anything: 0, or the sign, where it is no bit's number."""
    width = a.element.width
    inside = b.lt_unsigned(width)
    if op == "shr" and signed:
        return a >> inside.select(b, width - 1)
    count = inside.select(b, 0)
    return inside.select(a << count if op == "shl" else a.shr_logical(count), 0)


def emit_cast(x: Vec, source: DType, to: DType) -> Vec:
    """`x` of type `source` converted to `to`.

    Float to integer truncates. A value out of int32's range (int64's, for int64) saturates and NaN
    gives 0; within it, narrower integers take the low bits.
    """
    register = _REGISTER[to.name]
    if to is dtypes.bool_:
        return x.differs(0) if source is not dtypes.bool_ else x
    if source.is_floating_point:
        if not to.is_floating_point:
            wide = I64 if to is dtypes.int64 else I32
            return x.to_int_saturating(wide).trunc(register)
        if x.element == register:
            narrower = to.compute is not to and source is not to
            return round_to(x, to) if narrower else x
        return x.widen() if register == F64 else round_to(x.narrow(), to)
    if to.is_floating_point:
        value = x.to_float(register) if source.is_signed else x.unsigned_to_float(register)
        return round_to(value, to)
    if x.element.width >= register.width:
        return x.trunc(register)
    return x.sext(register) if source.is_signed else x.zext(register)


def _next_after_narrow(x: Vec, towards: Vec, dtype: DType) -> Vec:
    bits = [_to_memory(v, dtype) for v in (x, towards)]
    return _from_memory(next_after_16(x, towards, *bits), dtype)


class ExprEmitter:
    """Emits expressions at a builder's position, each distinct one once.

    `leaf` gives the value of a leaf other than a constant; a leaf with an argument (a guarded load)
    may call `emit` on it. Values are remembered, so an emitter serves only code that its first
    user's block dominates.
    """

    def __init__(
        self,
        builder: ir.IRBuilder,
        lanes: int,
        target: Target,
        leaf: Callable[[Expr], ir.Value],
    ) -> None:
        self.builder, self.lanes, self.target, self.leaf = builder, lanes, target, leaf
        self.values: dict[Expr, ir.Value] = {}

    def emit(self, root: Expr) -> ir.Value:
        """The register value of `root`."""
        if root in self.values:
            return self.values[root]
        for expr in postorder(root, known=self.values):
            if expr in self.values:  # a guarded load has asked for it
                continue
            if expr.op == "const":
                value = emit_const(expr.attr, expr.dtype, self.lanes)
            elif expr.op in LEAVES:
                value = self.leaf(expr)
            else:
                value = emit_operation(
                    self.builder,
                    expr.op,
                    [self.values[a] for a in expr.args],
                    [a.dtype for a in expr.args],
                    expr.dtype,
                    expr.attr,
                    self.lanes,
                    self.target,
                )
            self.values[expr] = value
        return self.values[root]

"""Values of a kernel's lanes with Python's operators: the notation the vector maths is written in.

`Lanes` says where code goes (a builder), how many elements a value has and what the machine can do.
`Vec` is one value: its operators append instructions. Python numbers become constants of the other
operand's type. One element (`lanes == 1`) is an LLVM scalar, more are an LLVM vector of any length.

No operation here becomes a call into a C library, on any target: `fma` is a product and a sum where
the machine has no such instruction.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import llvmlite.ir as ir

from ..errors import InternalError
from ..machine import Target
from .build import shuffle

F32, F64 = ir.FloatType(), ir.DoubleType()
I1, I8, I16, I32, I64 = (ir.IntType(n) for n in (1, 8, 16, 32, 64))


def vector(element: ir.Type, lanes: int) -> ir.Type:
    """`element` itself for one lane, else a vector of it."""
    return element if lanes == 1 else ir.VectorType(element, lanes)


def element_of(type_: ir.Type) -> ir.Type:
    """The type of one lane."""
    return type_.element if isinstance(type_, ir.VectorType) else type_


def constant(value: float, element: ir.Type, lanes: int) -> ir.Value:
    """`value` in every lane, written as a splat so that text stays short for many lanes."""
    if isinstance(element, ir.IntType):
        bits = int(value) & ((1 << element.width) - 1)
        signed = bits - (1 << element.width) if bits >> (element.width - 1) else bits
        text = ("true" if bits else "false") if element.width == 1 else str(signed)
    else:
        number = float(value)
        if isinstance(element, ir.FloatType):
            number = round_to_float32(number)
        text = f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    if lanes > 1:
        text = f"splat ({element} {text})"
    return Constant(vector(element, lanes), text, value != value)


class Constant(ir.FormattedConstant):
    """A constant made by `constant`; `is_nan` tells what it is not."""

    def __init__(self, type_: ir.Type, text: str, is_nan: bool) -> None:
        self.type, self.constant, self.is_nan = type_, text, is_nan

    def _to_string(self) -> str:
        return f"{self.type} {self.constant}"


def round_to_float32(number: float) -> float:
    """The float32 nearest to `number`, infinite where it is too large."""
    try:
        return struct.unpack("<f", struct.pack("<f", number))[0]
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def type_suffix(type_: ir.Type) -> str:
    """How an overloaded intrinsic names `type_`: `v8f32`, `i64`, `p0`."""
    if isinstance(type_, ir.VectorType):
        return f"v{type_.count}{type_suffix(type_.element)}"
    if isinstance(type_, ir.PointerType):
        return "p0"
    if isinstance(type_, ir.IntType):
        return f"i{type_.width}"
    return {"half": "f16", "float": "f32", "double": "f64"}[str(type_)]


def intrinsic(
    builder: ir.IRBuilder,
    name: str,
    args: list[ir.Value],
    result: ir.Type,
    overload: list[ir.Type],
) -> ir.Value:
    """A call of `llvm.<name>` overloaded on `overload`."""
    full = ".".join(["llvm", name, *map(type_suffix, overload)])
    module = builder.module
    function = module.globals.get(full)
    if function is None:
        function = ir.Function(module, ir.FunctionType(result, [a.type for a in args]), full)
    return builder.call(function, args)


class Lanes:
    """Where instructions go and how many lanes each value has."""

    __slots__ = ("builder", "lanes", "target")

    def __init__(self, builder: ir.IRBuilder, lanes: int, target: Target) -> None:
        self.builder, self.lanes, self.target = builder, lanes, target

    def wrap(self, value: ir.Value) -> Vec:
        """`value`, an LLVM value of this many lanes, with operators."""
        return Vec(self, value)

    def const(self, value: float, element: ir.Type) -> Vec:
        """`value` in every lane."""
        return Vec(self, constant(value, element, self.lanes))

    def loop_while(
        self, state: list[Vec], condition: Callable[..., Vec], body: Callable[..., list[Vec]]
    ) -> list[Vec]:
        """Repeat `state = body(*state)` while `condition(*state)` holds in any lane."""
        b = self.builder
        before = b.block
        head = b.append_basic_block("while")
        work = b.append_basic_block("do")
        done = b.append_basic_block("done")
        b.branch(head)
        b.position_at_end(head)
        phis = [b.phi(v.value.type) for v in state]
        for phi, v in zip(phis, state):
            phi.add_incoming(v.value, before)
        held = [Vec(self, phi) for phi in phis]
        b.cbranch(condition(*held).any(), work, done)
        b.position_at_end(work)
        new = body(*held)
        for phi, v in zip(phis, new):
            phi.add_incoming(v.value, b.block)
        b.branch(head)
        b.position_at_end(done)
        return held

    def rarely(self, condition: Vec, usual: Vec, rare: Callable[[], Vec]) -> Vec:
        """`usual`, but `rare()` where `condition` holds; costs a branch where it holds nowhere."""
        return self.rarely_all(condition, [usual], lambda: [rare()])[0]

    def rarely_all(
        self, condition: Vec, usual: list[Vec], rare: Callable[[], list[Vec]]
    ) -> list[Vec]:
        """`rarely` for several values that are computed together."""
        b = self.builder
        before = b.block
        slow = b.append_basic_block("rare")
        done = b.append_basic_block("usual")
        branch = b.cbranch(condition.any(), slow, done)
        branch.set_weights([1, 1000])
        b.position_at_end(slow)
        fixed = [condition.select(new, old) for new, old in zip(rare(), usual, strict=True)]
        after = b.block
        b.branch(done)
        b.position_at_end(done)
        phis = [b.phi(v.value.type) for v in usual]
        for phi, old, new in zip(phis, usual, fixed):
            phi.add_incoming(old.value, before)
            phi.add_incoming(new.value, after)
        return [Vec(self, phi) for phi in phis]

    def by_parts(self, lanes: int, function: Callable[..., Vec], *operands: Vec) -> Vec:
        """`function` of `lanes` neighbouring lanes at a time; it divides the number of lanes."""
        b, parts = self.builder, []
        for start in range(0, self.lanes, lanes):
            at = Lanes(b, lanes, self.target)
            numbers = range(start, start + lanes)
            parts.append(function(*[Vec(at, shuffle(b, [x.value], numbers)) for x in operands]))
        values = [part.value for part in parts]
        while len(values) > 1:
            width = 2 * values[0].type.count
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [shuffle(b, list(pair), range(width)) for pair in pairs]
        return Vec(self, values[0])

    def one_by_one(self, x: Vec, function: Callable[[Vec], list[Vec]]) -> list[Vec]:
        """`function` of each lane of x in turn, as a loop: short code for what is seldom needed."""
        if self.lanes == 1:
            return function(x)
        b, count = self.builder, ir.Constant(I64, self.lanes)

        def slot(type_: ir.Type) -> ir.Value:
            with b.goto_entry_block():
                place = b.alloca(type_)
            place.type = ir.PointerType()  # not a typed pointer, which LLVM no longer reads
            return place

        source = slot(x.value.type)
        b.store(x.value, source)
        before = b.block
        body = b.append_basic_block("lane")
        done = b.append_basic_block("lanes")
        b.branch(body)
        b.position_at_end(body)
        lane = b.phi(I64)
        lane.add_incoming(ir.Constant(I64, 0), before)
        one = b.load(b.gep(source, [lane], source_etype=x.element), typ=x.element)
        results = function(Vec(Lanes(b, 1, self.target), one))
        slots = []
        for result in results:
            slots.append(slot(vector(result.element, self.lanes)))
            b.store(result.value, b.gep(slots[-1], [lane], source_etype=result.element))
        following = b.add(lane, ir.Constant(I64, 1))
        lane.add_incoming(following, b.block)
        b.cbranch(b.icmp_signed("<", following, count), body, done)
        b.position_at_end(done)
        types = [vector(result.element, self.lanes) for result in results]
        return [Vec(self, b.load(at, typ=type_)) for at, type_ in zip(slots, types)]


class Vec:
    """One value a lane. Comparisons give lanes of bool; `&`, `|`, `^`, `~` act on bools and
    integers.

    Integers are signed, save in `shr_logical`, `lt_unsigned` and where a name says so.
    """

    __slots__ = ("at", "value")

    def __init__(self, at: Lanes, value: ir.Value) -> None:
        self.at, self.value = at, value

    @property
    def element(self) -> ir.Type:
        return element_of(self.value.type)

    @property
    def bits(self) -> int:
        """Bits of one lane of a float or an integer."""
        element = self.element
        if isinstance(element, ir.IntType):
            return element.width
        return 32 if isinstance(element, ir.FloatType) else 64

    @property
    def is_float(self) -> bool:
        return not isinstance(self.element, ir.IntType)

    def lift(self, other: Vec | float) -> Vec:
        """`other` as a value of this type."""
        return other if isinstance(other, Vec) else self.at.const(other, self.element)

    def _binary(self, other: Vec | float, for_float: str, for_int: str) -> Vec:
        other = self.lift(other)
        name = for_float if self.is_float else for_int
        return Vec(self.at, getattr(self.at.builder, name)(self.value, other.value))

    def __add__(self, other: Vec | float) -> Vec:
        return self._binary(other, "fadd", "add")

    def __radd__(self, other: float) -> Vec:
        return self.lift(other) + self

    def __sub__(self, other: Vec | float) -> Vec:
        return self._binary(other, "fsub", "sub")

    def __rsub__(self, other: float) -> Vec:
        return self.lift(other) - self

    def __mul__(self, other: Vec | float) -> Vec:
        return self._binary(other, "fmul", "mul")

    def __rmul__(self, other: float) -> Vec:
        return self.lift(other) * self

    def __truediv__(self, other: Vec | float) -> Vec:
        return self._binary(other, "fdiv", "sdiv")

    def __rtruediv__(self, other: float) -> Vec:
        return self.lift(other) / self

    def __neg__(self) -> Vec:
        b = self.at.builder
        return Vec(self.at, b.fneg(self.value) if self.is_float else b.neg(self.value))

    def __and__(self, other: Vec | int) -> Vec:
        return self._binary(other, "", "and_")

    def __or__(self, other: Vec | int) -> Vec:
        return self._binary(other, "", "or_")

    def __xor__(self, other: Vec | int) -> Vec:
        return self._binary(other, "", "xor")

    def __invert__(self) -> Vec:
        return self ^ -1

    def __lshift__(self, other: Vec | int) -> Vec:
        return self._binary(other, "", "shl")

    def __rshift__(self, other: Vec | int) -> Vec:
        return self._binary(other, "", "ashr")

    def shr_logical(self, other: Vec | int) -> Vec:
        """Shift right, filling with zeros."""
        return self._binary(other, "", "lshr")

    def _compare(self, sign: str, other: Vec | float) -> Vec:
        other = self.lift(other)
        b = self.at.builder
        if self.is_float:
            compare = b.fcmp_unordered if sign == "!=" else b.fcmp_ordered
        else:
            compare = b.icmp_signed
        return Vec(self.at, compare(sign, self.value, other.value))

    def __lt__(self, other: Vec | float) -> Vec:
        return self._compare("<", other)

    def __le__(self, other: Vec | float) -> Vec:
        return self._compare("<=", other)

    def __gt__(self, other: Vec | float) -> Vec:
        return self._compare(">", other)

    def __ge__(self, other: Vec | float) -> Vec:
        return self._compare(">=", other)

    def equals(self, other: Vec | float) -> Vec:
        """Equal; false with NaN."""
        return self._compare("==", other)

    def differs(self, other: Vec | float) -> Vec:
        """Not equal; true with NaN."""
        return self._compare("!=", other)

    def lt_unsigned(self, other: Vec | int) -> Vec:
        """Less than, of integers taken as unsigned."""
        return Vec(self.at, self.at.builder.icmp_unsigned("<", self.value, self.lift(other).value))

    def is_nan(self) -> Vec:
        """Whether a float is not a number."""
        return Vec(self.at, self.at.builder.fcmp_unordered("uno", self.value, self.value))

    def select(self, yes: Vec | float, no: Vec | float) -> Vec:
        """`yes` in the lanes where this bool holds, else `no`."""
        if isinstance(yes, Vec):
            no = yes.lift(no)
        elif isinstance(no, Vec):
            yes = no.lift(yes)
        else:
            raise InternalError("[vecmath] a select of two Python numbers has no type")
        return Vec(self.at, self.at.builder.select(self.value, yes.value, no.value))

    def any(self) -> ir.Value:
        """One i1: whether this bool holds in any lane."""
        if self.at.lanes == 1:
            return self.value
        b = self.at.builder
        bits = b.bitcast(self.value, ir.IntType(self.at.lanes))
        return b.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    def call(self, name: str, *others: Vec | float) -> Vec:
        """The LLVM intrinsic `name`, overloaded on this type, of this and `others`."""
        args = [self.value, *(self.lift(o).value for o in others)]
        type_ = self.value.type
        return Vec(self.at, intrinsic(self.at.builder, name, args, type_, [type_]))

    def fma(self, factor: Vec | float, addend: Vec | float) -> Vec:
        """self * factor + addend, rounded once where the machine has it, else twice."""
        if self.at.target.has_fma:
            return self.call("fma", factor, addend)
        return self * factor + addend

    def abs(self) -> Vec:
        """The magnitude of a float, or of an integer (the least integer stays)."""
        if self.is_float:
            return self.call("fabs")
        return (self < 0).select(-self, self)

    def sqrt(self) -> Vec:
        """The correctly rounded square root."""
        return self.call("sqrt")

    def floor(self) -> Vec:
        return self.call("floor")

    def round_even(self) -> Vec:
        """The nearest integer, halves to even."""
        return self.call("roundeven")

    def min(self, other: Vec | float) -> Vec:
        """The lesser; `other` where either is NaN (one instruction on x86)."""
        other = self.lift(other)
        return (self < other).select(self, other)

    def max(self, other: Vec | float) -> Vec:
        """The greater; `other` where either is NaN (one instruction on x86)."""
        other = self.lift(other)
        return (self > other).select(self, other)

    def as_int(self) -> Vec:
        """A float's bits as an integer of its size."""
        element = I32 if isinstance(self.element, ir.FloatType) else I64
        return self.bitcast(element)

    def as_float(self) -> Vec:
        """An integer's bits as the float of its size."""
        return self.bitcast(F32 if self.element.width == 32 else F64)

    def bitcast(self, element: ir.Type) -> Vec:
        """The same bits as another type of the same size."""
        type_ = vector(element, self.at.lanes)
        return Vec(self.at, self.at.builder.bitcast(self.value, type_))

    def _convert(self, name: str, element: ir.Type) -> Vec:
        type_ = vector(element, self.at.lanes)
        if type_ == self.value.type:
            return self
        return Vec(self.at, getattr(self.at.builder, name)(self.value, type_))

    def to_int(self, element: ir.Type) -> Vec:
        """A float known to be in range, truncated."""
        return self._convert("fptosi", element)

    def to_int_saturating(self, element: ir.Type) -> Vec:
        """Any float, truncated; too large becomes the largest integer, NaN becomes 0."""
        type_ = vector(element, self.at.lanes)
        types = [type_, self.value.type]
        return Vec(self.at, intrinsic(self.at.builder, "fptosi.sat", [self.value], type_, types))

    def to_float(self, element: ir.Type) -> Vec:
        """An integer as a float."""
        return self._convert("sitofp", element)

    def unsigned_to_float(self, element: ir.Type) -> Vec:
        """An unsigned integer or a bool as a float."""
        return self._convert("uitofp", element)

    def widen(self) -> Vec:
        """float32 as float64."""
        return self._convert("fpext", F64)

    def narrow(self) -> Vec:
        """float64 rounded to float32."""
        return self._convert("fptrunc", F32)

    def zext(self, element: ir.Type) -> Vec:
        return self._convert("zext", element)

    def sext(self, element: ir.Type) -> Vec:
        return self._convert("sext", element)

    def trunc(self, element: ir.Type) -> Vec:
        """The low bits of an integer."""
        return self._convert("trunc", element)


def polynomial(x: Vec, coefficients: Sequence[float]) -> Vec:
    """c[0] + c[1] x + c[2] x^2 + ... by Horner's rule."""
    result = x.lift(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        result = result.fma(x, c)
    return result


def copysign(magnitude: Vec, sign: Vec) -> Vec:
    """The magnitude of one float with the sign of another."""
    return magnitude.call("copysign", sign)

"""Small helpers over llvmlite's builder that every emitter uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from llvmlite import ir

from ..machine import Target

I1, I8, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(64)
POINTER = ir.PointerType()
KERNEL = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64, I64, I64])


def i64(value: int) -> ir.Constant:
    """A 64-bit constant."""
    return ir.Constant(I64, value)


def kernel_function(name: str = "kernel") -> tuple[ir.Module, ir.Function, ir.IRBuilder]:
    """A module with one function of the kernels' signature, and a builder in its first block."""
    module = ir.Module(name="twofold")
    function = ir.Function(module, KERNEL, name)
    for argument, text in zip(function.args, ("bases", "args", "begin", "end", "worker")):
        argument.name = text
    function.args[0].add_attribute("noalias")
    function.args[1].add_attribute("noalias")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    return module, function, builder


def internal_function(module: ir.Module, name: str, arguments: str) -> ir.Function:
    """An internal function of pointers (names that end in `_p`), tests (`is_...`) and words."""
    names = arguments.split()
    kinds = [POINTER if a.endswith("_p") else I1 if a.startswith("is_") else I64 for a in names]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.calling_convention = "fastcc"
    function.attributes.add("noinline")
    for value, text in zip(function.args, names):
        value.name = text
        if text.endswith("_p"):
            value.add_attribute("noalias")
    return function


class Words:
    """Reads the words of a launch one after the other."""

    def __init__(self, builder: ir.IRBuilder, bases: ir.Value, args: ir.Value) -> None:
        self.builder, self.bases, self.args, self.at = builder, bases, args, 0

    def integer(self) -> ir.Value:
        """The next word."""
        where = self.builder.gep(self.args, [i64(self.at)], source_etype=I64)
        self.at += 1
        return self.builder.load(where, typ=I64)

    def array(self) -> ir.Value:
        """The address of the next array argument."""
        slot, offset = self.integer(), self.integer()
        where = self.builder.gep(self.bases, [slot], source_etype=I64)
        base = self.builder.load(where, typ=POINTER)
        return self.builder.gep(base, [offset], source_etype=I8)

    def scratch(self, worker: ir.Value) -> ir.Value:
        """The address of this worker's part of the next scratch argument."""
        start, n_bytes = self.array(), self.integer()
        offset = self.builder.mul(worker, n_bytes)
        return self.builder.gep(start, [offset], source_etype=I8)


def note_error(
    builder: ir.IRBuilder, record: ir.Value, site: ir.Value, value: ir.Value, extent: ir.Value
) -> None:
    """Put a bad value into the error record, unless there is one: site, value, extent."""
    found = builder.cmpxchg(record, i64(0), site, "monotonic")
    with builder.if_then(builder.extract_value(found, 1)):
        for k, word in ((1, value), (2, extent)):
            builder.store(word, builder.gep(record, [i64(k)], source_etype=I64))


def prefetch(
    builder: ir.IRBuilder, where: ir.Value, nearness: int = 3, to_write: bool = False
) -> None:
    """Ask memory for a line that will be read, or written (other cores then let go of it): into the
    first cache, or, with nearness 2, the second."""
    i32 = ir.IntType(32)
    function = builder.module.globals.get("llvm.prefetch.p0")
    if function is None:
        kind = ir.FunctionType(ir.VoidType(), [POINTER, i32, i32, i32])
        function = ir.Function(builder.module, kind, "llvm.prefetch.p0")
    is_data = 1
    numbers = [ir.Constant(i32, n) for n in (int(to_write), nearness, is_data)]
    builder.call(function, [where, *numbers])


Body = Callable[[ir.Value, list[ir.Value]], Sequence[ir.Value] | None]


def loop(
    builder: ir.IRBuilder,
    start: ir.Value,
    stop: ir.Value,
    step: ir.Value,
    carried: Sequence[ir.Value],
    body: Body,
    name: str = "loop",
) -> list[ir.Value]:
    """for i = start; i < stop; i += step: carried = body(i, carried). Gives the last carried
    values; the builder then stands behind the loop."""
    before = builder.block
    head = builder.append_basic_block(f"{name}.head")
    inside = builder.append_basic_block(f"{name}.body")
    after = builder.append_basic_block(f"{name}.end")
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(I64, f"{name}.i")
    i.add_incoming(start, before)
    phis = []
    for value in carried:
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        phis.append(phi)
    builder.cbranch(builder.icmp_signed("<", i, stop), inside, after)
    builder.position_at_end(inside)
    new = list(body(i, list(phis)) or ())
    i.add_incoming(builder.add(i, step), builder.block)
    for phi, value in zip(phis, new, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return phis


def while_loop(
    builder: ir.IRBuilder,
    carried: Sequence[ir.Value],
    condition: Callable[[list[ir.Value]], ir.Value],
    body: Callable[[list[ir.Value]], Sequence[ir.Value]],
    name: str = "while",
) -> list[ir.Value]:
    """while condition(carried): carried = body(carried). Gives the last carried values; the builder
    then stands behind the loop."""
    before = builder.block
    head = builder.append_basic_block(f"{name}.head")
    inside = builder.append_basic_block(f"{name}.body")
    after = builder.append_basic_block(f"{name}.end")
    builder.branch(head)
    builder.position_at_end(head)
    phis = []
    for value in carried:
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        phis.append(phi)
    builder.cbranch(condition(list(phis)), inside, after)
    builder.position_at_end(inside)
    new = list(body(list(phis)))
    for phi, value in zip(phis, new, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return phis


def stream_fence(builder: ir.IRBuilder, target: Target) -> None:
    """Put streamed stores in order before those that tell of the work done."""
    if target.triple.startswith("x86"):
        name = "llvm.x86.sse.sfence"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), []), name)
        builder.call(function, [])


def shuffle(builder: ir.IRBuilder, values: Sequence[ir.Value], lanes: Iterable[int]) -> ir.Value:
    """The lanes with these numbers of one vector, or of two vectors laid end to end."""
    i32 = ir.IntType(32)
    numbers = [ir.Constant(i32, k) for k in lanes]
    mask = ir.Constant(ir.VectorType(i32, len(numbers)), numbers)
    second = values[1] if len(values) > 1 else ir.Constant(values[0].type, ir.Undefined)
    return builder.shuffle_vector(values[0], second, mask)


def splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """`value` in every lane."""
    if lanes == 1:
        return value
    one = builder.insert_element(
        ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined),
        value,
        ir.Constant(ir.IntType(32), 0),
    )
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return builder.shuffle_vector(one, ir.Constant(one.type, ir.Undefined), zeros)


def iota(lanes: int) -> ir.Constant:
    """0, 1, ..., lanes - 1 as 64-bit lanes."""
    return ir.Constant(ir.VectorType(I64, lanes), [i64(k) for k in range(lanes)])


def first_lanes(builder: ir.IRBuilder, n: ir.Value, lanes: int) -> ir.Value:
    """A mask of the first n lanes."""
    return builder.icmp_signed("<", iota(lanes), splat(builder, n, lanes))

"""Compaction as LLVM: the mask 64 elements at a time as the bits of a word."""

from __future__ import annotations

from llvmlite import ir

from ..kernels.compact import CompactSpec
from ..machine import Target
from .build import I8, I64, Words, i64, kernel_function, loop, while_loop
from .scalar import memory_type

GROUP = 64


def emit(spec: CompactSpec, target: Target) -> ir.Module:
    """One chunk of the mask an item; for "place", all chunks' counts."""
    return _Compact(spec).module


class _Compact:
    def __init__(self, spec: CompactSpec) -> None:
        self.spec = spec
        self.module, function, self.builder = kernel_function()
        b = self.builder
        bases, args, begin, end, _ = function.args
        words = Words(b, bases, args)
        self.mask, self.counts, self.x, self.out = (words.array() for _ in range(4))
        self.n, self.step, self.x_step, self.chunk, self.chunks, self.limit = (
            words.integer() for _ in range(6)
        )
        if spec.stage == "place":
            self._place()
        else:
            loop(b, begin, end, i64(1), [], self._item, "item")
        b.ret_void()

    def _counter(self, i: ir.Value) -> ir.Value:
        return self.builder.gep(self.counts, [i], source_etype=I64)

    def _place(self) -> None:
        b = self.builder

        def one(i: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
            own = b.load(self._counter(i), typ=I64)
            b.store(total[0], self._counter(i))
            return [b.add(total[0], own)]

        loop(b, i64(0), self.chunks, i64(1), [i64(0)], one, "place")

    def _item(self, item: ir.Value, _: list[ir.Value]) -> None:
        b = self.builder
        low = b.mul(item, self.chunk)
        high = b.add(low, self.chunk)
        high = b.select(b.icmp_signed("<", high, self.n), high, self.n)
        counts = self.spec.stage == "count"
        start = [i64(0) if counts else b.load(self._counter(item), typ=I64)]
        step = self._count if counts else self._write
        whole = low
        if self.spec.adjacent:
            whole = b.sub(high, b.urem(b.sub(high, low), i64(GROUP)))

            def group(i: ir.Value, state: list[ir.Value]) -> list[ir.Value]:
                at = b.gep(self.mask, [i], source_etype=I8)
                wide = ir.VectorType(I8, GROUP)
                held = b.icmp_unsigned("!=", b.load(at, typ=wide, align=1), ir.Constant(wide, None))
                return [step(i, b.bitcast(held, I64), state[0])]

            start = loop(b, low, whole, i64(GROUP), start, group, "group")

        def single(i: ir.Value, state: list[ir.Value]) -> list[ir.Value]:
            at = b.gep(self.mask, [b.mul(i, self.step)], source_etype=I8)
            held = b.icmp_unsigned("!=", b.load(at, typ=I8), ir.Constant(I8, 0))
            return [step(i, b.zext(held, I64), state[0])]

        (total,) = loop(b, whole, high, i64(1), start, single, "single")
        if counts:
            b.store(total, self._counter(item))

    def _count(self, i: ir.Value, bits: ir.Value, total: ir.Value) -> ir.Value:
        b = self.builder
        return b.add(total, b.ctpop(bits))

    def _write(self, i: ir.Value, bits: ir.Value, place: ir.Value) -> ir.Value:
        """Write for each bit, and no more than the output holds; gives the next place."""
        b, dtype = self.builder, self.spec.dtype

        def more(state: list[ir.Value]) -> ir.Value:
            room = b.icmp_signed("<", state[1], self.limit)
            return b.and_(b.icmp_unsigned("!=", state[0], i64(0)), room)

        def one(state: list[ir.Value]) -> list[ir.Value]:
            left, at = state
            here = b.add(i, b.cttz(left, ir.Constant(ir.IntType(1), 1)))
            if dtype is None:
                b.store(here, b.gep(self.out, [at], source_etype=I64))
            else:
                element = memory_type(dtype, 1)
                source = b.gep(self.x, [b.mul(here, self.x_step)], source_etype=element)
                b.store(b.load(source, typ=element), b.gep(self.out, [at], source_etype=element))
            return [b.and_(left, b.sub(left, i64(1))), b.add(at, i64(1))]

        return while_loop(b, [bits, place], more, one, "bit")[1]

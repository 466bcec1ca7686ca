"""Packing of products' operands: panels in the order in which the register tile reads them."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from ..dtypes import DType
from ..machine import Target
from .build import i64, internal_function, iota, loop, splat
from .scalar import emit_operation, load, memory_type, store
from .transpose import turn


class Packer:
    """Functions that copy `lines` rows of A (columns of B) for `steps` of k: step by step, `depth`
    elements each. The argument `spread` is the stride between lines, `pace` that of k."""

    arguments = "from_p spread pace lines steps to_p depth"

    def __init__(self, module: ir.Module, dtype: DType, sums: DType, target: Target) -> None:
        self.module, self.dtype, self.sums, self.target = module, dtype, sums, target
        self.lanes = target.vector_bytes // sums.itemsize
        self.source, self.element = memory_type(dtype, 1), memory_type(sums, 1)
        self.made: dict[str, ir.Function] = {}

    def function(self, mode: str) -> ir.Function:
        """The function for a mode of `MatmulSpec`."""
        if mode not in self.made:
            function = self.made[mode] = internal_function(
                self.module, f"pack_{mode}", self.arguments
            )
            b = ir.IRBuilder(function.append_basic_block("entry"))
            {"across": self._across, "along": self._along, "any": self._any}[mode](
                b, *function.args
            )
            b.ret_void()
        return self.made[mode]

    def _load(
        self, b: ir.IRBuilder, where: ir.Value, lanes: int, mask: ir.Value | None = None
    ) -> ir.Value:
        value = load(b, where, self.dtype, lanes, self.target, mask=mask)
        if self.dtype.compute is self.sums:
            return value
        return emit_operation(b, "cast", [value], [self.dtype], self.sums, None, lanes, self.target)

    def _groups(self, b: ir.IRBuilder, lines: ir.Value, body: Callable[[ir.Value], None]) -> None:
        """`body` for the first of each vector of lines."""
        loop(b, i64(0), lines, i64(self.lanes), [], lambda first, _: body(first), "group")

    def _across(self, b, source, spread, pace, lines, steps, to, depth) -> None:
        """k is adjacent: square blocks are loaded along k and transposed in registers."""
        lanes, last = self.lanes, b.sub(lines, i64(1))
        whole = b.mul(b.udiv(steps, i64(lanes)), i64(lanes))

        def group(first: ir.Value) -> None:
            rows = []
            for r in range(lanes):
                line = b.add(first, i64(r))
                line = b.select(b.icmp_signed("<", line, last), line, last)
                rows.append(b.gep(source, [b.mul(line, spread)], source_etype=self.source))

            def square(k: ir.Value, mask: ir.Value | None) -> None:
                block = [
                    self._load(b, b.gep(row, [k], source_etype=self.source), lanes, mask)
                    for row in rows
                ]
                for i, value in enumerate(turn(b, block)):
                    at = b.add(b.mul(b.add(k, i64(i)), depth), first)
                    where = b.gep(to, [at], source_etype=self.element)
                    store(b, value, where, self.sums, self.target)

            loop(b, i64(0), whole, i64(lanes), [], lambda k, _: square(k, None), "square")
            with b.if_then(b.icmp_signed("<", whole, steps)):
                left = splat(b, b.sub(steps, whole), lanes)
                square(whole, b.icmp_signed("<", iota(lanes), left))

        self._groups(b, lines, group)

    def _along(self, b, source, spread, pace, lines, steps, to, depth) -> None:
        """Lines are adjacent: vectors of them are copied."""
        lanes = self.lanes

        def group(first: ir.Value) -> None:
            left = b.sub(lines, first)

            def copy(mask: ir.Value | None) -> None:
                def step(k: ir.Value, _: list[ir.Value]) -> None:
                    at = b.add(b.mul(k, pace), first)
                    value = self._load(
                        b, b.gep(source, [at], source_etype=self.source), lanes, mask
                    )
                    to_at = b.add(b.mul(k, depth), first)
                    where = b.gep(to, [to_at], source_etype=self.element)
                    store(b, value, where, self.sums, self.target)

                loop(b, i64(0), steps, i64(1), [], step, "step")

            with b.if_else(b.icmp_signed(">=", left, i64(lanes))) as (full, part):
                with full:
                    copy(None)
                with part:
                    copy(b.icmp_signed("<", iota(lanes), splat(b, left, lanes)))

        self._groups(b, lines, group)

    def _any(self, b, source, spread, pace, lines, steps, to, depth) -> None:
        """One element after the other."""

        def step(k: ir.Value, _: list[ir.Value]) -> None:
            def line(i: ir.Value, _: list[ir.Value]) -> None:
                at = b.add(b.mul(k, pace), b.mul(i, spread))
                value = self._load(b, b.gep(source, [at], source_etype=self.source), 1)
                where = b.gep(to, [b.add(b.mul(k, depth), i)], source_etype=self.element)
                store(b, value, where, self.sums, self.target)

            loop(b, i64(0), lines, i64(1), [], line, "line")

        loop(b, i64(0), steps, i64(1), [], step, "step")

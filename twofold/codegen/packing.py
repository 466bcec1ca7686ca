"""Packing of products' operands: panels in the order in which the register tile reads them."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from ..dtypes import DType
from ..machine import Target
from .build import first_lanes, i64, internal_function, loop
from .scalar import load_as, memory_type, store
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
        return load_as(self.sums, b, where, self.dtype, lanes, self.target, mask)

    def _source(self, b: ir.IRBuilder, base: ir.Value, offset: ir.Value) -> ir.Value:
        """An element of the operand."""
        return b.gep(base, [offset], source_etype=self.source)

    def _groups(self, b: ir.IRBuilder, lines: ir.Value, body: Callable[[ir.Value], None]) -> None:
        """`body` for the first of each vector of lines."""
        loop(b, i64(0), lines, i64(self.lanes), [], lambda first, _: body(first), "group")

    def _across(self, b, source, spread, pace, lines, steps, to, depth) -> None:
        """k is adjacent: square blocks are loaded along k and transposed in registers."""
        lanes, last = self.lanes, b.sub(lines, i64(1))

        def group(first: ir.Value) -> None:
            rows = []
            for r in range(lanes):
                line = b.add(first, i64(r))
                line = b.select(b.icmp_signed("<", line, last), line, last)
                rows.append(self._source(b, source, b.mul(line, spread)))

            def square(k: ir.Value, _: list[ir.Value]) -> None:
                # The last square may read past the steps, as memory may be read (see
                # `abi.PADDING`), and fill rows of the panel that are not used.
                block = [self._load(b, self._source(b, row, k), lanes) for row in rows]
                for i, value in enumerate(turn(b, block)):
                    at = b.add(b.mul(b.add(k, i64(i)), depth), first)
                    where = b.gep(to, [at], source_etype=self.element)
                    store(b, value, where, self.sums, self.target)

            loop(b, i64(0), steps, i64(lanes), [], square, "square")

        self._groups(b, lines, group)

    def _along(self, b, source, spread, pace, lines, steps, to, depth) -> None:
        """Lines are adjacent: vectors of them are copied."""
        lanes = self.lanes

        def group(first: ir.Value) -> None:
            left = b.sub(lines, first)

            def copy(mask: ir.Value | None) -> None:
                def step(k: ir.Value, _: list[ir.Value]) -> None:
                    at = b.add(b.mul(k, pace), first)
                    value = self._load(b, self._source(b, source, at), lanes, mask)
                    to_at = b.add(b.mul(k, depth), first)
                    where = b.gep(to, [to_at], source_etype=self.element)
                    store(b, value, where, self.sums, self.target)

                loop(b, i64(0), steps, i64(1), [], step, "step")

            with b.if_else(b.icmp_signed(">=", left, i64(lanes))) as (full, part):
                with full:
                    copy(None)
                with part:
                    copy(first_lanes(b, left, lanes))

        self._groups(b, lines, group)

    def _any(self, b, source, spread, pace, lines, steps, to, depth) -> None:
        """One element after the other."""

        def step(k: ir.Value, _: list[ir.Value]) -> None:
            def line(i: ir.Value, _: list[ir.Value]) -> None:
                at = b.add(b.mul(k, pace), b.mul(i, spread))
                value = self._load(b, self._source(b, source, at), 1)
                where = b.gep(to, [b.add(b.mul(k, depth), i)], source_etype=self.element)
                store(b, value, where, self.sums, self.target)

            loop(b, i64(0), lines, i64(1), [], line, "line")

        loop(b, i64(0), steps, i64(1), [], step, "step")

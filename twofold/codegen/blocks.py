"""Products with weights in strips as LLVM."""

from __future__ import annotations

from llvmlite import ir

from .. import dtypes
from ..kernels.blocks import BlocksSpec
from ..machine import Target
from ..ops.blocks import HALF_BYTE_ZERO, WIDE
from .build import I8, Words, first_lanes, i64, kernel_function, loop, prefetch, splat
from .scalar import emit_const, load, store
from .vecmath import F32, Lanes, Vec, shuffle

I32 = ir.IntType(32)

BYTES_AHEAD = 4096
"""How far ahead memory is asked for."""


def emit(spec: BlocksSpec, target: Target) -> ir.Module:
    """A strip an item."""
    return _Emitter(spec, target).module


class _Emitter:
    def __init__(self, spec: BlocksSpec, target: Target) -> None:
        self.spec, self.target = spec, target
        self.lanes = min(WIDE, target.lanes(4))
        self.vectors = WIDE // self.lanes
        self.module, function, self.builder = kernel_function()
        bases, args, begin, end, worker = function.args
        b = self.builder
        words = Words(b, bases, args)
        self.x, self.codes = words.array(), words.array()
        self.scales = words.array() if spec.scales else None
        self.least = words.array() if spec.least else None
        self.y, self.sums = words.array(), words.scratch(worker)
        self.w = {name: words.integer() for name in "m n k x_row blocks block".split()}
        self.at = Lanes(b, self.lanes, target)
        self.needs_sums = spec.least or (spec.halves and spec.scales is not None)
        if self.needs_sums:
            self._sum_blocks()
        loop(b, begin, end, i64(1), [], lambda item, _: self._item(item), "item")
        b.ret_void()

    def _float(self, base: ir.Value, offset: ir.Value) -> ir.Value:
        """The address of a float32."""
        return self.builder.gep(base, [offset], source_etype=F32)

    def _sum_blocks(self) -> None:
        """The sum of each block of each row of x into scratch memory."""
        b, w, lanes = self.builder, self.w, self.lanes

        def block(j: ir.Value, row: ir.Value) -> None:
            start = self._float(self.x, b.add(b.mul(row, w["x_row"]), b.mul(j, w["block"])))

            def part(i: ir.Value, held: list[ir.Value]) -> list[ir.Value]:
                mask = first_lanes(b, b.sub(w["block"], i), lanes)
                value = load(b, self._float(start, i), dtypes.float32, lanes, self.target, mask)
                return [b.fadd(held[0], value)]

            zero = emit_const(0, dtypes.float32, lanes)
            (total,) = loop(b, i64(0), w["block"], i64(lanes), [zero], part, "part")
            n = lanes
            while n > 1:
                n //= 2
                total = b.fadd(*(shuffle(b, [total], range(k, k + n)) for k in (0, n)))
            if isinstance(total.type, ir.VectorType):
                total = b.extract_element(total, ir.Constant(ir.IntType(32), 0))
            to = self._float(self.sums, b.add(b.mul(row, w["blocks"]), j))
            store(b, total, to, dtypes.float32, self.target)

        def row(r: ir.Value, _: list[ir.Value]) -> None:
            loop(b, i64(0), w["blocks"], i64(1), [], lambda j, _: block(j, r), "block")

        loop(b, i64(0), w["m"], i64(1), [], row, "row")

    def _item(self, strip: ir.Value) -> None:
        b, w = self.builder, self.w
        rows = self.spec.rows

        def some(first: ir.Value, _: list[ir.Value]) -> None:
            left = b.sub(w["m"], first)
            exists = [b.icmp_signed("<", i64(r), left) for r in range(1, rows)]
            # Rows that are lacking are the first.
            numbers = [first] + [
                b.select(e, b.add(first, i64(r)), first) for r, e in enumerate(exists, 1)
            ]
            totals = self._rows(strip, numbers)
            column = b.mul(strip, i64(WIDE))
            for r, number in enumerate(numbers):
                for v in range(self.vectors):
                    at = b.add(column, i64(v * self.lanes))
                    mask = first_lanes(b, b.sub(w["n"], at), self.lanes)
                    to = self._float(self.y, b.add(b.mul(number, w["n"]), at))
                    value = totals[r * self.vectors + v]
                    store(b, value, to, dtypes.float32, self.target, mask)

        loop(b, i64(0), w["m"], i64(rows), [], some, "rows")

    def _rows(self, strip: ir.Value, numbers: list[ir.Value]) -> list[ir.Value]:
        """The sums of some rows: a vector for each row and part of the strip."""
        b, w = self.builder, self.w
        n_sums = len(numbers) * self.vectors
        zeros = [emit_const(0, dtypes.float32, self.lanes)] * n_sums
        steps = b.udiv(w["k"], i64(2)) if self.spec.halves else w["k"]
        codes = b.gep(
            self.codes,
            [b.mul(b.mul(strip, steps), i64(WIDE * self.spec.codes.itemsize))],
            source_etype=I8,
        )
        starts = [self._float(self.x, b.mul(number, w["x_row"])) for number in numbers]

        def block(j: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            first = b.mul(j, w["block"])

            def pair(i: ir.Value, held: list[ir.Value]) -> list[ir.Value]:
                k = b.add(first, i)
                even, odd = self._pair(codes, k)
                x = [self._entry(start, k) for start in starts]
                y = [self._entry(start, b.add(k, i64(1))) for start in starts]
                return self._added(held[:n_sums], x, even) + self._added(held[n_sums:], y, odd)

            whole = b.and_(w["block"], i64(-2))
            held = loop(b, i64(0), whole, i64(2), zeros * 2, pair, "pair")
            if self.spec.scales is None:
                held = self._last(codes, starts, whole, held)
            sums = [b.fadd(x, y) for x, y in zip(held[:n_sums], held[n_sums:])]
            return self._scaled(strip, j, numbers, totals, sums)

        return loop(b, i64(0), w["blocks"], i64(1), zeros, block, "block")

    def _entry(self, start: ir.Value, k: ir.Value) -> Vec:
        """An element of x in every lane."""
        value = load(self.builder, self._float(start, k), dtypes.float32, 1, self.target)
        return self.at.wrap(splat(self.builder, value, self.lanes))

    def _added(self, sums: list[ir.Value], x: list[Vec], weights: list[Vec]) -> list[ir.Value]:
        """The sums with a step added."""
        pairs = ((entry, weight) for entry in x for weight in weights)
        return [e.fma(weight, self.at.wrap(s)).value for s, (e, weight) in zip(sums, pairs)]

    def _pair(self, codes: ir.Value, k: ir.Value) -> tuple[list[Vec], list[Vec]]:
        """The codes of steps k, which is even, and k + 1, as floats."""
        if not self.spec.halves:
            return self._step(codes, k), self._step(codes, self.builder.add(k, i64(1)))
        b = self.builder
        both = [
            self.at.wrap(b.zext(x, ir.VectorType(I32, self.lanes)))
            for x in self._loaded(codes, b.lshr(k, i64(1)))
        ]
        low, high = [x & 15 for x in both], [x.shr_logical(4) for x in both]
        return [x.to_float(F32) for x in low], [x.to_float(F32) for x in high]

    def _loaded(self, codes: ir.Value, step: ir.Value) -> list[ir.Value]:
        """What lies in memory for a step."""
        b, size = self.builder, self.spec.codes.itemsize
        at = b.gep(codes, [b.mul(step, i64(WIDE * size))], source_etype=I8)
        prefetch(b, b.gep(at, [i64(BYTES_AHEAD)], source_etype=I8))
        if size == 4:
            prefetch(b, b.gep(at, [i64(BYTES_AHEAD + 64)], source_etype=I8))
        kind = ir.VectorType(F32 if size == 4 else ir.IntType(8), self.lanes)
        n_bytes = self.lanes * size
        return [
            b.load(b.gep(at, [i64(v * n_bytes)], source_etype=I8), align=size, typ=kind)
            for v in range(self.vectors)
        ]

    def _step(self, codes: ir.Value, k: ir.Value) -> list[Vec]:
        """The codes of a step as floats."""
        b, kind = self.builder, ir.VectorType(I32, self.lanes)
        found = self._loaded(codes, k)
        if self.spec.codes is dtypes.float32:
            return [self.at.wrap(x) for x in found]
        widen = b.sext if self.spec.codes is dtypes.int8 else b.zext
        return [self.at.wrap(widen(x, kind)).to_float(F32) for x in found]

    def _last(
        self, codes: ir.Value, starts: list[ir.Value], k: ir.Value, held: list[ir.Value]
    ) -> list[ir.Value]:
        """An odd number of floats has one even step more."""
        half = len(held) // 2

        def step(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            x = [self._entry(start, k) for start in starts]
            return self._added(sums, x, self._step(codes, k))

        found = loop(self.builder, k, self.w["block"], i64(1), held[:half], step, "last")
        return found + held[half:]

    def _scaled(
        self, strip: ir.Value, j: ir.Value, numbers: list[ir.Value], totals: list[ir.Value],
        sums: list[ir.Value],
    ) -> list[ir.Value]:  # fmt: skip
        """The totals with the sums of block j."""
        b, w, kind = self.builder, self.w, self.spec.scales
        if kind is None:
            return sums
        place = b.mul(b.add(b.mul(strip, w["blocks"]), j), i64(WIDE))

        def numbers_at(base: ir.Value) -> list[Vec]:
            found = []
            for v in range(self.vectors):
                offset = b.mul(b.add(place, i64(v * self.lanes)), i64(kind.itemsize))
                at = b.gep(base, [offset], source_etype=I8)
                found.append(self.at.wrap(load(b, at, kind, self.lanes, self.target)))
            return found

        scales = numbers_at(self.scales)
        least = numbers_at(self.least) if self.spec.least else []
        new = []
        for r, number in enumerate(numbers):
            place_of_sum = b.add(b.mul(number, w["blocks"]), j)
            of_x = [self._entry(self.sums, place_of_sum)] if self.needs_sums else []
            for v in range(self.vectors):
                i = r * self.vectors + v
                total, own = self.at.wrap(totals[i]), self.at.wrap(sums[i])
                for xs in of_x:
                    if least:
                        total = least[v].fma(xs, total)
                    else:
                        own = xs.fma(-HALF_BYTE_ZERO, own)
                new.append(scales[v].fma(own, total).value)
        return new

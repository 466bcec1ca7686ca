"""Products of a few rows and a matrix as LLVM: strips of columns, and transposed squares."""

from __future__ import annotations

from contextlib import nullcontext

from llvmlite import ir

from ..kernels.matvec import MatvecSpec
from ..machine import Target
from .build import I8, POINTER, first_lanes, i64, loop, prefetch, splat
from .loops import LoopEmitter
from .product import ProductEmitter
from .scalar import emit_const, load, load_as, store
from .transpose import turn

ROWS_AHEAD, BYTES_AHEAD = 64, 512
"""How far ahead memory is asked for: down a strip, and in each row of a square."""


def emit(spec: MatvecSpec, target: Target) -> ir.Module:
    """A strip of columns an item."""
    return _Emitter(spec, target).module


class _Emitter(ProductEmitter):
    def __init__(self, spec: MatvecSpec, target: Target) -> None:
        super().__init__(spec, target, "strip strips")
        b, self.lanes = self.builder, target.lanes(spec.sums.itemsize)
        self.exists = [b.icmp_signed("<", i64(r), self.w["m"]) for r in range(1, spec.rows)]
        self.square = b.alloca(ir.ArrayType(self.element, self.lanes**2))
        self.square.align = 64
        self.square.type = POINTER
        self.items(self._item)

    def _load(self, where: ir.Value, lanes: int, mask: ir.Value | None = None) -> ir.Value:
        """Elements of an operand as what sums are made of."""
        spec = self.spec
        return load_as(spec.sums, self.builder, where, spec.dtype, lanes, self.target, mask)

    def _item(self, item: ir.Value, _: list[ir.Value]) -> None:
        b, w = self.builder, self.w
        copy = b.udiv(item, w["strips"])
        column = b.mul(b.urem(item, w["strips"]), w["strip"])
        width = self._least(b.sub(w["n"], column), w["strip"])
        rows = self._rows(self._from(self.a, b.mul(copy, w["a_step"])))
        here = b.add(b.mul(copy, w["b_step"]), b.mul(column, w["b_column"]))
        b_at = self._from(self.b, here)
        if self.c is None:
            sums, c_row = self.scratch, w["strip"]
        else:
            sums = self._at(self.c, b.add(b.mul(copy, w["c_step"]), column))
            c_row = w["c_row"]
        (self._along if self.spec.b == "along" else self._across)(rows, b_at, width, sums, c_row)
        if self.finish is not None:
            self._finish_strip(self.finish, copy, column, width)

    def _rows(self, a_at: ir.Value) -> list[ir.Value]:
        """Where A's rows lie as adjacent sums: in place, or copied behind the strip's sums. Rows
        that are lacking are the first."""
        b, w, spec = self.builder, self.w, self.spec
        copied = self._at(self.scratch, b.mul(w["strip"], i64(spec.rows)))
        is_apart = b.icmp_signed("!=", w["a_k"], i64(1))
        if spec.dtype is not spec.sums:
            is_apart = ir.Constant(is_apart.type, 1)

        def row(r: ir.Value, _: list[ir.Value]) -> None:
            source = self._from(a_at, b.mul(r, w["a_row"]))
            to = self._at(copied, b.mul(r, w["k"]))

            def step(k: ir.Value, _: list[ir.Value]) -> None:
                value = self._load(self._from(source, b.mul(k, w["a_k"])), 1)
                store(b, value, self._at(to, k), spec.sums, self.target)

            loop(b, i64(0), w["k"], i64(1), [], step, "copy")

        with b.if_then(is_apart):
            loop(b, i64(0), w["m"], i64(1), [], row, "row")
        start = b.select(is_apart, copied, a_at)
        step = b.select(is_apart, w["k"], w["a_row"])
        return [start] + [
            self._at(start, b.select(exists, b.mul(step, i64(r)), i64(0)))
            for r, exists in enumerate(self.exists, 1)
        ]

    def _entry(self, row: ir.Value, k: ir.Value) -> ir.Value:
        """A's element in every lane."""
        value = load(self.builder, self._at(row, k), self.spec.sums, 1, self.target)
        return splat(self.builder, value, self.lanes)

    def _store(
        self, values: list[ir.Value], to: ir.Value, c_row: ir.Value, mask: ir.Value | None
    ) -> None:
        """A vector of each row that exists."""
        b = self.builder
        for r, value in enumerate(values):
            with nullcontext() if r == 0 else b.if_then(self.exists[r - 1]):
                where = self._at(to, b.mul(c_row, i64(r)))
                store(b, value, where, self.spec.sums, self.target, mask=mask)

    def _along(self, rows, b_at, width, sums, c_row) -> None:
        """Down k over as many vectors of columns as registers hold sums of, then over fewer."""
        b, w, lanes = self.builder, self.w, self.lanes
        zero = emit_const(0, self.spec.sums, lanes)
        n_rows = len(rows)
        most = min(self.spec.vectors, self.target.vector_registers // 2 // n_rows)

        def strip(first: ir.Value, vectors: int, mask: ir.Value | None) -> None:
            start = self._from(b_at, first)
            n_bytes = vectors * lanes * self.spec.dtype.itemsize

            def step(k: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
                at = self._from(start, b.mul(k, w["b_k"]))
                later = self._from(start, b.mul(b.add(k, i64(ROWS_AHEAD)), w["b_k"]))
                for line in range(0, n_bytes, 64):
                    prefetch(b, b.gep(later, [i64(line)], source_etype=I8), 2)
                entries = [self._entry(row, k) for row in rows]
                new = []
                for j in range(vectors):
                    vector = self._load(self._from(at, i64(j * lanes)), lanes, mask)
                    for r, entry in enumerate(entries):
                        new.append(self._fma(entry, vector, values[j * n_rows + r]))
                return new

            start_values = [zero] * (vectors * n_rows)
            found = loop(b, i64(0), w["k"], i64(1), start_values, step, "step")
            for j in range(vectors):
                to = self._at(sums, b.add(first, i64(j * lanes)))
                self._store(found[j * n_rows : (j + 1) * n_rows], to, c_row, mask)

        done = i64(0)
        for vectors in dict.fromkeys((most, 4)):
            size = i64(vectors * lanes)
            stop = b.sub(width, b.sub(size, i64(1)))

            def full(first: ir.Value, _: list[ir.Value], vectors: int = vectors) -> None:
                strip(first, vectors, None)

            loop(b, done, stop, size, [], full, f"strip{vectors}")
            whole = b.udiv(b.sub(width, done), size)
            done = b.add(done, b.mul(whole, size))

        def part(first: ir.Value, _: list[ir.Value]) -> None:
            strip(first, 1, self._below(b.sub(width, first)))

        loop(b, done, width, i64(lanes), [], part, "part")

    def _below(self, n: ir.Value) -> ir.Value:
        return first_lanes(self.builder, n, self.lanes)

    def _across(self, rows, b_at, width, sums, c_row) -> None:
        """A vector of columns at a time: squares of them and of steps of k are transposed."""
        b, w, lanes = self.builder, self.w, self.lanes
        zero = emit_const(0, self.spec.sums, lanes)
        whole = b.mul(b.udiv(w["k"], i64(lanes)), i64(lanes))
        last = b.sub(width, i64(1))
        distance = i64(BYTES_AHEAD // self.spec.dtype.itemsize)
        jump = b.sub(b.mul(w["b_column"], i64(lanes)), w["k"])

        def group(first: ir.Value, _: list[ir.Value]) -> None:
            columns = []
            for j in range(lanes):
                number = self._least(b.add(first, i64(j)), last)
                columns.append(self._from(b_at, b.mul(number, w["b_column"])))

            def square(k: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
                # Behind the end of these columns come those of the next group.
                later = b.add(k, distance)
                is_over = b.icmp_signed(">=", later, w["k"])
                later = b.add(later, b.select(is_over, jump, i64(0)))
                for column in columns:
                    prefetch(b, self._from(column, later), 2)
                now = list(values)
                for i, vector in enumerate(self._turned([self._from(x, k) for x in columns])):
                    for r, row in enumerate(rows):
                        now[r] = self._fma(self._entry(row, b.add(k, i64(i))), vector, now[r])
                return now

            found = loop(b, i64(0), whole, i64(lanes), [zero] * len(rows), square, "square")
            tail = b.sub(w["k"], whole)
            with b.if_then(b.icmp_signed(">", tail, i64(0))):
                mask = self._below(tail)
                block = [self._load(self._from(x, whole), lanes, mask) for x in columns]
                for i, vector in enumerate(turn(b, block)):
                    at = self._at(self.square, i64(i * lanes))
                    store(b, vector, at, self.spec.sums, self.target)

            def step(i: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
                at = self._at(self.square, b.mul(i, i64(lanes)))
                vector = load(b, at, self.spec.sums, lanes, self.target)
                k = b.add(whole, i)
                return [self._fma(self._entry(x, k), vector, v) for x, v in zip(rows, values)]

            found = loop(b, i64(0), tail, i64(1), found, step, "tail")
            self._store(found, self._at(sums, first), c_row, self._below(b.sub(width, first)))

        loop(b, i64(0), width, i64(lanes), [], group, "group")

    def _turned(self, places: list[ir.Value]) -> list[ir.Value]:
        """The transposed square whose vectors lie at `places`."""
        return turn(self.builder, [self._load(place, self.lanes) for place in places])

    def _finish_strip(
        self, finish: LoopEmitter, copy: ir.Value, column: ir.Value, width: ir.Value
    ) -> None:
        """What is done with complete sums, row by row."""
        b = self.builder
        if self.c is None:
            # The map counts from the first column of the product, the strip from its own.
            finish.bases[0] = self._at(self.scratch, b.neg(column))

        def row(r: ir.Value, _: list[ir.Value]) -> None:
            def part(j: ir.Value, _: list[ir.Value]) -> None:
                mask = self._below(b.sub(width, j))
                finish.points((copy, r, b.add(column, j)), self.lanes, mask)

            loop(b, i64(0), width, i64(self.lanes), [], part, "part")

        loop(b, i64(0), self.w["m"], i64(1), [], row, "finish")

"""Scans as LLVM: running values in registers for rows, in scratch memory for columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from .. import dtypes
from ..dtypes import DType
from ..kernels.scan import COLUMNS, ROWS, CarrySpec, ScanSpec
from ..machine import Target
from .build import I64, Words, i64, kernel_function, loop, splat
from .scalar import emit_const, emit_operation, load, memory_type, store


def emit(spec: ScanSpec, target: Target) -> ir.Module:
    """A few rows, or a block of columns, an item."""
    return _Scan(spec, target).module


def emit_carry(spec: CarrySpec, target: Target) -> ir.Module:
    """One row's totals an item: each is replaced by the scan of those before it."""
    module, function, b = kernel_function()
    bases, args, begin, end, _ = function.args
    words = Words(b, bases, args)
    totals, chunks = words.array(), words.integer()
    element = memory_type(spec.dtype, 1)
    step = _Step(b, spec.function, spec.dtype, spec.dtype, target)

    def item(i: ir.Value, _: list[ir.Value]) -> None:
        row = b.gep(totals, [b.mul(i, chunks)], source_etype=element)

        def chunk(k: ir.Value, state: list[ir.Value]) -> list[ir.Value]:
            at = b.gep(row, [k], source_etype=element)
            own = load(b, at, spec.dtype, 1, target)
            store(b, state[0], at, spec.dtype, target)
            return step(state, [own], k, 1)

        loop(b, i64(0), chunks, i64(1), step.start(1), chunk, "chunk")

    loop(b, begin, end, i64(1), [], item, "item")
    b.ret_void()
    return module


class _Step:
    """One step of a scan on running values (`state`): one, or an extreme and its position."""

    def __init__(
        self, builder: ir.IRBuilder, function: str, dtype: DType, accumulator: DType, target: Target
    ) -> None:
        self.builder, self.function, self.target = builder, function, target
        self.dtype, self.accumulator = dtype, accumulator

    @property
    def finds_position(self) -> bool:
        return self.function.startswith("arg")

    def start(self, lanes: int) -> list[ir.Value]:
        """The state before the first step."""
        dtype = self.accumulator
        if self.finds_position:
            return [emit_const(_worst(self.function, dtype), dtype, lanes), splat_zero(lanes)]
        if self.function == "logaddexp":
            return [emit_const(-float("inf"), dtype, lanes)]
        return [emit_const(1 if self.function == "mul" else 0, dtype, lanes)]

    def __call__(
        self, state: list[ir.Value], values: Sequence[ir.Value], n: ir.Value, lanes: int
    ) -> list[ir.Value]:
        """The state after `values`, in the input's register type, at position n."""
        b, acc = self.builder, self.accumulator
        wide = [self._op("cast", acc, [v], [self.dtype], lanes) for v in values]
        if self.function == "linear":
            product = self._op("mul", acc, [wide[0], state[0]], [acc] * 2, lanes)
            return [self._op("add", acc, [product, wide[1]], [acc] * 2, lanes)]
        if self.function == "logaddexp":
            return [self._log_add(state[0], wide[0], lanes)]
        if not self.finds_position:
            return [self._op(self.function, acc, [state[0], wide[0]], [acc] * 2, lanes)]
        compare = "ge" if self.function == "argmax" else "le"
        take = self._op(compare, dtypes.bool_, [wide[0], state[0]], [acc] * 2, lanes)
        if acc.is_floating_point:
            take = b.or_(take, self._op("isnan", dtypes.bool_, [wide[0]], [acc], lanes))
        return [
            b.select(take, wide[0], state[0]),
            b.select(take, splat(b, n, lanes), state[1]),
        ]

    def _log_add(self, x: ir.Value, y: ir.Value, lanes: int) -> ir.Value:
        """log(e^x + e^y) = high + log1p(e^(low - high)); high itself where it is infinite."""
        acc = self.accumulator
        pair = [acc] * 2
        high = self._op("max", acc, [x, y], pair, lanes)
        low = self._op("min", acc, [x, y], pair, lanes)
        gap = self._op("sub", acc, [low, high], pair, lanes)
        rest = self._op("log1p", acc, [self._op("exp", acc, [gap], [acc], lanes)], [acc], lanes)
        total = self._op("add", acc, [high, rest], pair, lanes)
        infinite = self._op("isinf", dtypes.bool_, [high], [acc], lanes)
        return self.builder.select(infinite, high, total)

    def _op(
        self, name: str, dtype: DType, args: list[ir.Value], of: list[DType], lanes: int
    ) -> ir.Value:
        return emit_operation(self.builder, name, args, of, dtype, None, lanes, self.target)

    def result(self, state: list[ir.Value], dtype: DType, lanes: int) -> ir.Value:
        """What is stored after a step."""
        if self.finds_position:
            return state[1]
        return self._op("cast", dtype, [state[0]], [self.accumulator], lanes)


def splat_zero(lanes: int) -> ir.Constant:
    """Zeros of 64 bits."""
    return i64(0) if lanes == 1 else ir.Constant(ir.VectorType(I64, lanes), None)


def _worst(function: str, dtype: DType) -> float:
    """What every value is at least as extreme as."""
    if dtype.is_floating_point:
        return -float("inf") if function == "argmax" else float("inf")
    bits = 8 * dtype.itemsize - dtype.is_signed
    if function == "argmin":
        return (1 << bits) - 1
    return -(1 << bits) if dtype.is_signed else 0


class _Scan:
    def __init__(self, spec: ScanSpec, target: Target) -> None:
        self.spec, self.target = spec, target
        self.module, function, self.builder = kernel_function()
        b = self.builder
        bases, args, begin, end, worker = function.args
        words = Words(b, bases, args)
        n_inputs = 2 if spec.function == "linear" else 1
        self.arrays = [words.array() for _ in range(n_inputs + 1)]
        self.step = _Step(b, spec.function, spec.dtype, spec.accumulator, target)
        if spec.mode == "columns":
            self.scratch = words.scratch(worker)
            self.n, self.r, self.block = (words.integer() for _ in range(3))
            item = self._columns
        else:
            if spec.mode in ("totals", "starts"):
                self.totals = words.array()
            self.n, self.chunk, self.chunks, self.rows = (words.integer() for _ in range(4))
            item = self._rows
        self.strides = [[words.integer() for _ in range(3)] for _ in self.arrays]
        loop(b, begin, end, i64(1), [], item, "item")
        b.ret_void()

    def _at(self, base: ir.Value, offset: ir.Value, dtype: DType) -> ir.Value:
        return self.builder.gep(base, [offset], source_etype=memory_type(dtype, 1))

    def _least(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed("<", x, y), x, y)

    # Rows.

    def _rows(self, item: ir.Value, _: list[ir.Value]) -> None:
        b = self.builder
        first = b.mul(item, i64(ROWS))
        count = self._least(b.sub(self.rows, first), i64(ROWS))
        with b.if_else(b.icmp_signed("==", count, i64(ROWS))) as (together, apart):
            with together:
                self._walk([b.add(first, i64(k)) for k in range(ROWS)])
            with apart:
                loop(
                    b, first, b.add(first, count), i64(1), [], lambda row, _: self._walk([row]),
                    "row",
                )  # fmt: skip

    def _walk(self, rows: list[ir.Value]) -> None:
        """Walk these rows together as far as the shortest goes, then each on its own."""
        b, spec = self.builder, self.spec
        dtypes_ = [spec.dtype] * (len(self.arrays) - 1) + [spec.result]
        starts, lengths = [], []
        for row in rows:
            batch, chunk = b.udiv(row, self.chunks), b.urem(row, self.chunks)
            low = b.mul(chunk, self.chunk)
            lengths.append(self._least(b.sub(self.n, low), self.chunk))
            starts.append(
                [
                    self._at(base, b.add(b.mul(batch, s[0]), b.mul(low, s[1])), d)
                    for base, s, d in zip(self.arrays, self.strides, dtypes_)
                ]
            )
        states = [self._start(row) for row in rows]
        width = len(states[0])
        common = lengths[0]
        for length in lengths[1:]:
            common = self._least(common, length)

        def step(n: ir.Value, flat: list[ir.Value]) -> list[ir.Value]:
            new: list[ir.Value] = []
            for k in range(len(rows)):
                state = flat[k * width : (k + 1) * width]
                new += self._one(state, starts[k], n)
            return new

        flat = [v for state in states for v in state]
        flat = loop(b, i64(0), common, i64(1), flat, step, "walk")
        for k, row in enumerate(rows):
            state = flat[k * width : (k + 1) * width]
            if len(rows) > 1:
                state = self._alone(starts[k], common, lengths[k], state)
            if spec.mode == "totals":
                at = self._at(self.totals, row, spec.accumulator)
                store(b, state[0], at, spec.accumulator, self.target)

    def _alone(
        self, places: list[ir.Value], low: ir.Value, high: ir.Value, state: list[ir.Value]
    ) -> list[ir.Value]:
        """The steps [low, high) of one row."""

        def step(n: ir.Value, state: list[ir.Value]) -> list[ir.Value]:
            return self._one(state, places, n)

        return loop(self.builder, low, high, i64(1), state, step, "rest")

    def _start(self, row: ir.Value) -> list[ir.Value]:
        if self.spec.mode != "starts":
            return self.step.start(1)
        acc = self.spec.accumulator
        return [load(self.builder, self._at(self.totals, row, acc), acc, 1, self.target)]

    def _one(self, state: list[ir.Value], places: list[ir.Value], n: ir.Value) -> list[ir.Value]:
        """One step of one row."""
        b, spec = self.builder, self.spec
        values = [
            load(b, self._at(x, b.mul(n, s[1]), spec.dtype), spec.dtype, 1, self.target)
            for x, s in zip(places[:-1], self.strides)
        ]
        state = self.step(state, values, n, 1)
        if spec.mode != "totals":
            at = self._at(places[-1], b.mul(n, self.strides[-1][1]), spec.result)
            store(b, self.step.result(state, spec.result, 1), at, spec.result, self.target)
        return state

    # Columns.

    def _columns(self, item: ir.Value, _: list[ir.Value]) -> None:
        b = self.builder
        blocks = b.udiv(b.add(self.r, b.sub(self.block, i64(1))), self.block)
        batch, block = b.udiv(item, blocks), b.urem(item, blocks)
        low = b.mul(block, self.block)
        count = self._least(b.sub(self.r, low), self.block)
        dtypes_ = [self.spec.dtype] * (len(self.arrays) - 1) + [self.spec.result]
        places = [
            self._at(base, b.add(b.mul(batch, s[0]), b.mul(low, s[2])), d)
            for base, s, d in zip(self.arrays, self.strides, dtypes_)
        ]
        lanes = max(2, self.target.vector_bytes // self.spec.accumulator.itemsize)
        self._each(count, lanes, lambda c, width: self._keep(c, self.step.start(width)))

        def step(n: ir.Value, _: list[ir.Value]) -> None:
            rows = [
                self._at(x, b.mul(n, s[1]), d) for x, s, d in zip(places, self.strides, dtypes_)
            ]
            self._each(count, lanes, lambda c, width: self._advance(c, width, rows, n))

        loop(b, i64(0), self.n, i64(1), [], step, "walk")

    def _each(self, count: ir.Value, lanes: int, body: Callable[[ir.Value, int], None]) -> None:
        """body(c, lanes) over all columns: vectors, then one by one. Inputs whose columns are not
        adjacent go one by one throughout."""
        b = self.builder
        adjacent = i64(1)
        for s in self.strides[:-1]:
            same = b.zext(b.icmp_signed("==", s[2], i64(1)), I64)
            adjacent = b.and_(adjacent, same)
        whole = b.mul(b.mul(b.udiv(count, i64(lanes)), i64(lanes)), adjacent)
        loop(b, i64(0), whole, i64(lanes), [], lambda c, _: body(c, lanes), "columns")
        loop(b, whole, count, i64(1), [], lambda c, _: body(c, 1), "column")

    def _kept(self, c: ir.Value) -> list[tuple[ir.Value, DType]]:
        acc = self.spec.accumulator
        second = self._at(self.scratch, i64(COLUMNS), dtypes.int64)
        kept = [(self._at(self.scratch, c, acc), acc)]
        return [*kept, (self._at(second, c, dtypes.int64), dtypes.int64)]

    def _keep(self, c: ir.Value, state: list[ir.Value]) -> None:
        for value, (at, dtype) in zip(state, self._kept(c)):
            store(self.builder, value, at, dtype, self.target)

    def _advance(self, c: ir.Value, lanes: int, rows: list[ir.Value], n: ir.Value) -> None:
        b, spec = self.builder, self.spec
        n_state = 2 if self.step.finds_position else 1
        state = [load(b, at, d, lanes, self.target) for at, d in self._kept(c)[:n_state]]
        values = [
            load(b, self._at(x, b.mul(c, s[2]), spec.dtype), spec.dtype, lanes, self.target)
            for x, s in zip(rows[:-1], self.strides)
        ]
        state = self.step(state, values, n, lanes)
        self._keep(c, state)
        result = self.step.result(state, spec.result, lanes)
        store(b, result, self._at(rows[-1], c, spec.result), spec.result, self.target)

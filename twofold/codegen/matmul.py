"""Matrix products as LLVM: packing of B, and the loops around a register tile of accumulators."""

from __future__ import annotations

from llvmlite import ir

from ..dtypes import DType
from ..kernels.matmul import MatmulSpec, PackSpec
from ..machine import Target
from .build import Words, i64, iota, kernel_function, loop, splat
from .scalar import emit_const, emit_operation, load, memory_type, store


def emit_pack(spec: PackSpec, target: Target) -> ir.Module:
    """Copies one panel of B an item, columns past the end as zeros."""
    module, function, b = kernel_function()
    bases, args, begin, end, _ = function.args
    words = Words(b, bases, args)
    source, to = words.array(), words.array()
    n, k, step, b_k, b_column, panels = (words.integer() for _ in range(6))
    element = memory_type(spec.dtype, 1)
    lanes = spec.columns

    def item(i: ir.Value, _: list[ir.Value]) -> None:
        copy, panel = b.udiv(i, panels), b.urem(i, panels)
        first = b.mul(panel, i64(lanes))
        start = b.add(b.mul(copy, step), b.mul(first, b_column))
        base = b.gep(source, [start], source_etype=element)
        out = b.gep(to, [b.mul(b.mul(i, k), i64(lanes))], source_etype=element)
        left = b.sub(n, first)
        if spec.rows:
            _copy_rows(b, spec.dtype, target, base, out, left, k, b_k, lanes)
        else:
            _copy_columns(b, spec.dtype, base, out, left, k, b_k, b_column, lanes)

    loop(b, begin, end, i64(1), [], item, "item")
    b.ret_void()
    return module


def _copy_rows(
    b: ir.IRBuilder,
    dtype: DType,
    target: Target,
    base: ir.Value,
    out: ir.Value,
    left: ir.Value,
    k: ir.Value,
    b_k: ir.Value,
    lanes: int,
) -> None:
    """Rows of adjacent columns: one masked vector a step of k."""
    element = memory_type(dtype, 1)
    mask = b.icmp_signed("<", iota(lanes), splat(b, left, lanes))

    def row(i: ir.Value, _: list[ir.Value]) -> None:
        at = b.gep(base, [b.mul(i, b_k)], source_etype=element)
        value = load(b, at, dtype, lanes, target, mask=mask)
        where = b.gep(out, [b.mul(i, i64(lanes))], source_etype=element)
        store(b, value, where, dtype, target)

    loop(b, i64(0), k, i64(1), [], row, "row")


def _copy_columns(
    b: ir.IRBuilder,
    dtype: DType,
    base: ir.Value,
    out: ir.Value,
    left: ir.Value,
    k: ir.Value,
    b_k: ir.Value,
    b_column: ir.Value,
    lanes: int,
) -> None:
    """One step of k after the other, gathering its columns; those past the end are zeros."""
    element = memory_type(dtype, 1)
    zero = ir.Constant(element, 0)
    whole = b.icmp_signed(">=", left, i64(lanes))

    def steps(full: bool) -> None:
        def row(i: ir.Value, _: list[ir.Value]) -> None:
            at = b.mul(i, b_k)
            vector = ir.Constant(ir.VectorType(element, lanes), ir.Undefined)
            for lane in range(lanes):
                offset = b.add(at, b.mul(b_column, i64(lane)))
                if full:
                    value = b.load(b.gep(base, [offset], source_etype=element), typ=element)
                else:
                    on = b.icmp_signed("<", i64(lane), left)
                    offset = b.select(on, offset, i64(0))
                    value = b.load(b.gep(base, [offset], source_etype=element), typ=element)
                    value = b.select(on, value, zero)
                vector = b.insert_element(vector, value, ir.Constant(ir.IntType(32), lane))
            where = b.gep(out, [b.mul(i, i64(lanes))], source_etype=element)
            b.store(vector, where, align=dtype.itemsize)

        loop(b, i64(0), k, i64(1), [], row, "row")

    with b.if_else(whole) as (then, otherwise):
        with then:
            steps(True)
        with otherwise:
            steps(False)


def emit(spec: MatmulSpec, target: Target) -> ir.Module:
    """One block of rows and panels an item: for each block of k, each panel, each tile of rows."""
    return _Emitter(spec, target).module


class _Emitter:
    def __init__(self, spec: MatmulSpec, target: Target) -> None:
        self.spec, self.target = spec, target
        self.module, function, self.builder = kernel_function()
        bases, args, begin, end, _ = function.args
        words = Words(self.builder, bases, args)
        self.a, self.b, self.c = words.array(), words.array(), words.array()
        names = (
            "m n k a_step a_row a_k b_step b_k b_panel c_step c_row c_column row_block panel_block "
            "row_items panel_items k_block"
        )
        self.w = {name: words.integer() for name in names.split()}
        self.element = memory_type(spec.dtype, 1)
        loop(self.builder, begin, end, i64(1), [], self._item, "item")
        self.builder.ret_void()

    def _at(self, base: ir.Value, offset: ir.Value) -> ir.Value:
        return self.builder.gep(base, [offset], source_etype=self.element)

    def _least(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed("<", x, y), x, y)

    def _item(self, item: ir.Value, _: list[ir.Value]) -> None:
        b, w, spec = self.builder, self.w, self.spec
        panel_item = b.urem(item, w["panel_items"])
        rest = b.udiv(item, w["panel_items"])
        row_item = b.urem(rest, w["row_items"])
        copy = b.udiv(rest, w["row_items"])
        a = self._at(self.a, b.mul(copy, w["a_step"]))
        b_base = self._at(self.b, b.mul(copy, w["b_step"]))
        c = self._at(self.c, b.mul(copy, w["c_step"]))
        row_low = b.mul(row_item, w["row_block"])
        row_high = self._least(b.add(row_low, w["row_block"]), w["m"])
        panels = b.udiv(b.add(w["n"], i64(spec.columns - 1)), i64(spec.columns))
        panel_low = b.mul(panel_item, w["panel_block"])
        panel_high = self._least(b.add(panel_low, w["panel_block"]), panels)

        def k_block(k_low: ir.Value, _: list[ir.Value]) -> None:
            k_high = self._least(b.add(k_low, w["k_block"]), w["k"])

            def panel(p: ir.Value, _: list[ir.Value]) -> None:
                start = b.mul(p, w["b_panel"])
                b_at = self._at(b_base, b.add(start, b.mul(k_low, w["b_k"])))
                column = b.mul(p, i64(spec.columns))
                left = b.sub(w["n"], column)

                def rows(i: ir.Value, _: list[ir.Value]) -> None:
                    a_at = self._at(a, b.add(b.mul(i, w["a_row"]), b.mul(k_low, w["a_k"])))
                    place = b.add(b.mul(i, w["c_row"]), b.mul(column, w["c_column"]))
                    c_at = self._at(c, place)
                    n_rows = b.sub(row_high, i)
                    full = b.icmp_signed(">=", left, i64(spec.columns))
                    with b.if_else(full) as (then, otherwise):
                        with then:
                            self._tile(a_at, b_at, c_at, k_low, k_high, n_rows, None)
                        with otherwise:
                            mask = b.icmp_signed(
                                "<", iota(spec.columns), splat(b, left, spec.columns)
                            )
                            self._tile(a_at, b_at, c_at, k_low, k_high, n_rows, mask)

                loop(b, row_low, row_high, i64(spec.rows), [], rows, "rows")

            loop(b, panel_low, panel_high, i64(1), [], panel, "panel")

        # With k = 0 the one empty block still writes zeros.
        stop = b.select(b.icmp_signed(">", w["k"], i64(0)), w["k"], i64(1))
        loop(b, i64(0), stop, w["k_block"], [], k_block, "k")

    def _tile(
        self,
        a: ir.Value,
        b_at: ir.Value,
        c: ir.Value,
        k_low: ir.Value,
        k_high: ir.Value,
        n_rows: ir.Value,
        mask: ir.Value | None,
    ) -> None:
        """`rows` x `columns` sums over a block of k, on from what C holds unless it is the
        first."""
        b, w, spec = self.builder, self.w, self.spec
        last = b.sub(n_rows, i64(1))
        a_rows, c_rows = [], []
        for r in range(spec.rows):
            row = self._least(i64(r), last) if r else i64(0)
            a_rows.append(self._at(a, b.mul(row, w["a_row"])))
            c_rows.append(self._at(c, b.mul(row, w["c_row"])))
        half = spec.columns // 2
        halves = [(0, self._half(mask, 0)), (half, self._half(mask, half))]
        carries = b.icmp_signed(">", k_low, i64(0))
        start = self._starts(carries, c_rows, halves)

        def step(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            b_row = self._at(b_at, b.mul(k, w["b_k"] if not spec.packed else i64(spec.columns)))
            whole = None if spec.packed else mask
            values = []
            for offset, part in halves:
                where = self._at(b_row, i64(offset))
                on = None if whole is None else part
                values.append(load(b, where, spec.dtype, half, self.target, mask=on))
            a_k = b.mul(k, w["a_k"])
            new = []
            for r in range(spec.rows):
                x = load(b, self._at(a_rows[r], a_k), spec.dtype, 1, self.target)
                wide = splat(b, x, half)
                for j in range(2):
                    new.append(self._fma(wide, values[j], sums[2 * r + j]))
            return new

        sums = loop(b, i64(0), b.sub(k_high, k_low), i64(1), start, step, "step")
        for r in range(spec.rows):
            with b.if_then(b.icmp_signed("<", i64(r), n_rows)):
                for j, (offset, part) in enumerate(halves):
                    self._store(sums[2 * r + j], c_rows[r], offset, part)

    def _half(self, mask: ir.Value | None, start: int) -> ir.Value | None:
        if mask is None:
            return None
        b, half = self.builder, self.spec.columns // 2
        i32 = ir.IntType(32)
        numbers = [ir.Constant(i32, start + k) for k in range(half)]
        return b.shuffle_vector(
            mask,
            ir.Constant(mask.type, ir.Undefined),
            ir.Constant(ir.VectorType(i32, half), numbers),
        )

    def _starts(
        self,
        carries: ir.Value,
        c_rows: list[ir.Value],
        halves: list[tuple[int, ir.Value | None]],
    ) -> list[ir.Value]:
        """Zeros, or what C holds from the block of k before."""
        b, half = self.builder, self.spec.columns // 2
        compute = self.spec.dtype.compute
        zero = emit_const(0, compute, half)
        before = b.block
        with b.if_then(carries):
            held = [self._read(row, offset, part) for row in c_rows for offset, part in halves]
            inside = b.block
        result = []
        for value in held:
            phi = b.phi(value.type)
            phi.add_incoming(zero, before)
            phi.add_incoming(value, inside)
            result.append(phi)
        return result

    def _read(self, row: ir.Value, offset: int, part: ir.Value | None) -> ir.Value:
        half = self.spec.columns // 2
        where = self._at(row, i64(offset))
        return load(self.builder, where, self.spec.dtype, half, self.target, mask=part)

    def _store(self, value: ir.Value, row: ir.Value, offset: int, part: ir.Value | None) -> None:
        where = self._at(row, i64(offset))
        store(self.builder, value, where, self.spec.dtype, self.target, mask=part)

    def _fma(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        dtype, b = self.spec.dtype.compute, self.builder
        half = self.spec.columns // 2
        return emit_operation(b, "fma", [x, y, z], [dtype] * 3, dtype, None, half, self.target)

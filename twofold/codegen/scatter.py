"""Scatters as LLVM: a walk over the values, and over the columns of each."""

from __future__ import annotations

from llvmlite import ir

from ..kernels.scatter import ScatterSpec
from ..machine import Target
from .build import I64, Words, i64, kernel_function, loop, splat
from .scalar import emit_operation, load, memory_type, store


def emit(spec: ScatterSpec, target: Target) -> ir.Module:
    """One batch, range of rows and block of columns an item."""
    module, function, b = kernel_function()
    bases, args, begin, end, worker = function.args
    words = Words(b, bases, args)
    out, values, positions = words.array(), words.array(), words.array()
    nowhere = words.scratch(worker)
    n, r, s, v_b, v_s, v_r, i_b, i_s = (words.integer() for _ in range(8))
    rows, row_items, columns, column_items = (words.integer() for _ in range(4))
    element = memory_type(spec.dtype, 1)

    def at(base: ir.Value, offset: ir.Value) -> ir.Value:
        return b.gep(base, [offset], source_etype=element)

    def item(i: ir.Value, _: list[ir.Value]) -> None:
        low = b.mul(b.urem(i, column_items), columns)
        high = b.add(low, columns)
        high = b.select(b.icmp_signed("<", high, r), high, r)
        rest = b.udiv(i, column_items)
        first = b.mul(b.urem(rest, row_items), rows)
        batch = b.udiv(rest, row_items)
        to = at(out, b.mul(b.mul(batch, n), r))
        source = at(values, b.mul(batch, v_b))
        where = b.gep(positions, [b.mul(batch, i_b)], source_etype=I64)

        def value(k: ir.Value, _: list[ir.Value]) -> None:
            row = b.load(b.gep(where, [b.mul(k, i_s)], source_etype=I64), typ=I64)
            mine = b.icmp_unsigned("<", b.sub(row, first), rows)
            if spec.single:
                place = b.select(mine, at(to, row), nowhere)
                _combine(b, spec, target, place, at(source, b.mul(k, v_s)), 1)
                return
            with b.if_then(mine):
                _combine_row(b, spec, target, at(to, b.mul(row, r)), at(source, b.mul(k, v_s)),
                             (low, high), v_r)  # fmt: skip

        loop(b, i64(0), s, i64(1), [], value, "value")

    loop(b, begin, end, i64(1), [], item, "item")
    b.ret_void()
    return module


def _combine_row(
    b: ir.IRBuilder,
    spec: ScatterSpec,
    target: Target,
    to: ir.Value,
    source: ir.Value,
    bounds: tuple[ir.Value, ir.Value],
    step: ir.Value,
) -> None:
    """to[c] = f(to[c], source[c * step]) for c within bounds."""
    dtype, (low, high) = spec.dtype, bounds
    element = memory_type(dtype, 1)

    def combine(c: ir.Value, lanes: int) -> None:
        place = b.gep(to, [c], source_etype=element)
        offset = c if spec.step == 1 else b.mul(c, step)
        _combine(b, spec, target, place, b.gep(source, [offset], source_etype=element), lanes)

    if spec.step != "s":
        lanes = max(2, target.vector_bytes // max(4, dtype.compute.itemsize))
        count = b.sub(high, low)
        whole = b.add(low, b.mul(b.udiv(count, i64(lanes)), i64(lanes)))
        loop(b, low, whole, i64(lanes), [], lambda c, _: combine(c, lanes), "columns")
        low = whole
    loop(b, low, high, i64(1), [], lambda c, _: combine(c, 1), "rest")


def _combine(
    b: ir.IRBuilder,
    spec: ScatterSpec,
    target: Target,
    place: ir.Value,
    source: ir.Value,
    lanes: int,
) -> None:
    """f of what is at `place` and at `source`, lanes of them, written to `place`."""
    dtype = spec.dtype
    if spec.step == 0:
        new = splat(b, load(b, source, dtype, 1, target), lanes)
    else:
        new = load(b, source, dtype, lanes, target)
    if spec.function != "set":
        old = load(b, place, dtype, lanes, target)
        new = emit_operation(
            b, spec.function, [old, new], [dtype, dtype], dtype, None, lanes, target
        )
    store(b, new, place, dtype, target)

"""Transposed copies as LLVM."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from ..kernels.transpose import VECTORS_AHEAD, TransposeSpec
from ..machine import Target
from .build import Words, first_lanes, i64, kernel_function, loop, prefetch, shuffle, stream_fence
from .scalar import load, memory_type, store


def turn(b: ir.IRBuilder, vectors: Sequence[ir.Value]) -> list[ir.Value]:
    """The transposed square: as many vectors as each has lanes, a power of two.

    Quarters of 16 bytes change places first, then what is within them: shuffles that need no index
    register and overwrite nothing.
    """
    n = len(vectors)
    kind = vectors[0].type.element
    width = kind.width if isinstance(kind, ir.IntType) else _BITS[str(kind)]
    unit = min(n, 128 // width)
    parts = n // unit
    gathered = [_gather_parts(b, vectors[r::unit], unit) for r in range(unit)]
    result = []
    for p in range(parts):
        result += _turn_within(b, [g[p] for g in gathered], unit, parts)
    return result


_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64}


def _gather_parts(b: ir.IRBuilder, vectors: Sequence[ir.Value], unit: int) -> list[ir.Value]:
    """Part p of each of the vectors, for each p: of one, two or four vectors of as many parts."""
    n = len(vectors)

    def joined(x: ir.Value, y: ir.Value, parts: Sequence[int]) -> ir.Value:
        return shuffle(b, [x, y], [p * unit + k for p in parts for k in range(unit)])

    if n == 1:
        return list(vectors)
    if n == 2:
        return [joined(vectors[0], vectors[1], (p, n + p)) for p in range(n)]
    assert n == 4
    result = []
    for half in (0, 2):
        both = (half, half + 1, n + half, n + half + 1)
        x, y = joined(vectors[0], vectors[1], both), joined(vectors[2], vectors[3], both)
        result += [joined(x, y, (p, p + 2, n + p, n + p + 2)) for p in (0, 1)]
    return result


def _turn_within(
    b: ir.IRBuilder, block: Sequence[ir.Value], unit: int, parts: int
) -> list[ir.Value]:
    """The transposed squares of `unit` that stand side by side in the vectors.

    Each round interleaves vector k with vector k + unit / 2; after log2 rounds lane and number have
    changed places.
    """
    now, n, half = list(block), unit * parts, unit // 2
    low, high = (
        [p * unit + start + k // 2 + (k % 2) * n for p in range(parts) for k in range(unit)]
        for start in (0, half)
    )
    for _ in range(unit.bit_length() - 1):
        now = [
            shuffle(b, [now[k // 2], now[k // 2 + half]], high if k % 2 else low)
            for k in range(unit)
        ]
    return now


def emit(spec: TransposeSpec, target: Target) -> ir.Module:
    """A block of columns an item, a square of lanes at a time."""
    module, function, b = kernel_function()
    bases, args, begin, end, _ = function.args
    words = Words(b, bases, args)
    x, y = words.array(), words.array()
    names = "rows columns block blocks inner x_outer x_inner x_column y_outer y_inner y_row".split()
    w = {name: words.integer() for name in names}
    dtype, element = spec.dtype, memory_type(spec.dtype, 1)
    lanes = target.vector_bytes // dtype.itemsize

    def at(base: ir.Value, offset: ir.Value) -> ir.Value:
        return b.gep(base, [offset], source_etype=element)

    def square(x_at: ir.Value, y_at: ir.Value) -> None:
        vectors = []
        for k in range(lanes):
            source = at(x_at, b.mul(w["x_column"], i64(k)))
            prefetch(b, at(source, i64(VECTORS_AHEAD * lanes)), 2)
            vectors.append(load(b, source, dtype, lanes, target))
        align = lanes * dtype.itemsize if spec.streamed else None
        for k, vector in enumerate(turn(b, vectors)):
            to = at(y_at, b.mul(w["y_row"], i64(k)))
            store(b, vector, to, dtype, target, None, spec.streamed, align)

    def part(x_at: ir.Value, y_at: ir.Value, n_rows: ir.Value, n_columns: ir.Value) -> None:
        in_rows = first_lanes(b, n_rows, lanes)
        in_columns = first_lanes(b, n_columns, lanes)
        last = b.sub(n_columns, i64(1))
        vectors = []
        for k in range(lanes):
            column = b.select(b.icmp_signed("<", i64(k), last), i64(k), last)
            where = at(x_at, b.mul(w["x_column"], column))
            vectors.append(load(b, where, dtype, lanes, target, mask=in_rows))
        for k, vector in enumerate(turn(b, vectors)):
            with b.if_then(b.icmp_signed("<", i64(k), n_rows)):
                where = at(y_at, b.mul(w["y_row"], i64(k)))
                store(b, vector, where, dtype, target, mask=in_columns)

    def item(i: ir.Value, _: list[ir.Value]) -> None:
        rest, block = b.udiv(i, w["blocks"]), b.urem(i, w["blocks"])
        outer, inner = b.udiv(rest, w["inner"]), b.urem(rest, w["inner"])
        low = b.mul(block, w["block"])
        high = b.add(low, w["block"])
        high = b.select(b.icmp_signed("<", high, w["columns"]), high, w["columns"])
        x_outer = at(x, b.add(b.mul(outer, w["x_outer"]), b.mul(inner, w["x_inner"])))
        y_outer = at(y, b.add(b.mul(outer, w["y_outer"]), b.mul(inner, w["y_inner"])))

        def row(r: ir.Value, _: list[ir.Value]) -> None:
            n_rows = b.sub(w["rows"], r)
            x_row, y_row = at(x_outer, r), at(y_outer, b.mul(r, w["y_row"]))

            def column(j: ir.Value, _: list[ir.Value]) -> None:
                n_columns = b.sub(high, j)
                x_at, y_at = at(x_row, b.mul(j, w["x_column"])), at(y_row, j)
                full = b.and_(
                    b.icmp_signed(">=", n_rows, i64(lanes)),
                    b.icmp_signed(">=", n_columns, i64(lanes)),
                )
                with b.if_else(full) as (then, otherwise):
                    with then:
                        square(x_at, y_at)
                    with otherwise:
                        part(x_at, y_at, n_rows, n_columns)

            loop(b, low, high, i64(lanes), [], column, "column")

        loop(b, i64(0), w["rows"], i64(lanes), [], row, "row")

    loop(b, begin, end, i64(1), [], item, "item")
    if spec.streamed:
        stream_fence(b, target)
    b.ret_void()
    return module

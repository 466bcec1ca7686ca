"""The register tile of a product: sums of a few rows and vectors, kept in registers over k."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from llvmlite import ir

from ..dtypes import DType
from ..machine import Target
from .build import I8, i64, internal_function, loop, prefetch, splat
from .scalar import emit_const, emit_fma, load, memory_type, store


def tile_function(
    module: ir.Module,
    sums: DType,
    height: int,
    vectors: int,
    lanes: int,
    target: Target,
    a_row: int | None,
    a_k: int | None,
    lacking: int,
    streams: Sequence[bool],
    name: str = "tile",
) -> ir.Function:
    """C (height x vectors of lanes) = A B over `steps` of k, on from what C holds if `is_carry`.

    A's element (r, k) lies at a_p + r a_row + k a_k, B's row k at b_p + k b_k, C's row r at c_p + r
    c_row, all in elements of type `sums`; strides of A may be fixed. Of A and C only the first
    `rows` rows exist, at most `lacking` fewer than `height`.

    Meanwhile it asks memory, spread over the steps so that they need not wait, for the lines of
    `streams` (rows like C's, `stream_row` bytes apart, to be written or just read), and for
    `next_rows` rows of `next_lines` lines, from next_p on `next_row` bytes apart.
    """
    words = "steps a_p a_row a_k b_p b_k c_p c_row is_carry rows "
    words += "next_p next_row next_rows next_lines "
    words += " ".join(f"stream{i}_p stream{i}_row" for i in range(len(streams)))
    function = internal_function(module, f"{name}_{height}x{vectors}x{lanes}", words)
    b = ir.IRBuilder(function.append_basic_block("entry"))
    steps, a_p, row_word, k_word, b_p, b_k, c_p, c_row, is_carry, rows = function.args[:10]
    row_step = row_word if a_row is None else i64(a_row)
    k_step = k_word if a_k is None else i64(a_k)
    element = memory_type(sums, 1)
    n_bytes = vectors * lanes * sums.itemsize

    def at(base: ir.Value, offset: ir.Value) -> ir.Value:
        return b.gep(base, [offset], source_etype=element)

    exists = [
        b.icmp_signed("<", i64(r), rows) if r >= height - lacking else None for r in range(height)
    ]
    a_rows, c_rows = [], []
    for r, on in enumerate(exists):
        number = i64(r) if on is None or a_row is not None else b.select(on, i64(r), i64(0))
        a_rows.append(at(a_p, b.mul(number, row_step)))
        c_rows.append(
            [at(c_p, b.add(b.mul(i64(r), c_row), i64(j * lanes))) for j in range(vectors)]
        )
    start = _starts(b, sums, lanes, c_rows, exists, is_carry, target)

    def step(k: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        b_row = at(b_p, b.mul(k, b_k))
        ahead = at(b_p, b.mul(b.add(k, i64(8)), b_k))
        for line in range(0, n_bytes, 64):
            prefetch(b, b.gep(ahead, [i64(line)], source_etype=I8))
        row = [load(b, at(b_row, i64(j * lanes)), sums, lanes, target) for j in range(vectors)]
        offset = b.mul(k, k_step)
        new = []
        for r in range(height):
            wide = splat(b, load(b, at(a_rows[r], offset), sums, 1, target), lanes)
            for j in range(vectors):
                new.append(emit_fma(b, wide, row[j], values[r * vectors + j], sums, target))
        return new

    next_p, next_row, next_rows, next_lines, *places = function.args[10:]
    pace = b.udiv(b.add(steps, i64(height - 1)), i64(height))
    share = b.udiv(b.add(next_rows, i64(height - 1)), i64(height))

    def part(r: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        for pointer, row, to_write in zip(places[::2], places[1::2], streams):
            where = b.gep(pointer, [b.mul(r, row)], source_etype=I8)
            for line in range(0, n_bytes, 64):
                line_at = b.gep(where, [i64(line)], source_etype=I8)
                prefetch(b, line_at, to_write=to_write)

        def fetch_row(i: ir.Value, _: list[ir.Value]) -> None:
            where = b.gep(next_p, [b.mul(i, next_row)], source_etype=I8)

            def fetch(line: ir.Value, _: list[ir.Value]) -> None:
                prefetch(b, b.gep(where, [b.mul(line, i64(64))], source_etype=I8), 2)

            loop(b, i64(0), next_lines, i64(1), [], fetch, "line")

        low = b.mul(r, share)
        loop(b, low, b.add(low, share), i64(1), [], fetch_row, "next")
        first = b.mul(r, pace)
        end = b.add(first, pace)
        end = b.select(b.icmp_signed("<", end, steps), end, steps)
        return loop(b, first, end, i64(1), values, step, "step")

    result = loop(b, i64(0), i64(height), i64(1), start, part, "part")
    for r, on in enumerate(exists):
        with nullcontext() if on is None else b.if_then(on):
            for j, place in enumerate(c_rows[r]):
                store(b, result[r * vectors + j], place, sums, target)
    b.ret_void()
    return function


def _starts(
    b: ir.IRBuilder,
    sums: DType,
    lanes: int,
    c_rows: list[list[ir.Value]],
    exists: list[ir.Value | None],
    is_carry: ir.Value,
    target: Target,
) -> list[ir.Value]:
    """Zeros, or what C holds. Rows that do not exist begin anywhere: the first row is read for
    them."""
    zero = emit_const(0, sums, lanes)
    before = b.block
    with b.if_then(is_carry):
        held = []
        for row, on in zip(c_rows, exists):
            for place, other in zip(row, c_rows[0]):
                where = place if on is None else b.select(on, place, other)
                held.append(load(b, where, sums, lanes, target))
        inside = b.block
    result = []
    for value in held:
        phi = b.phi(value.type)
        phi.add_incoming(zero, before)
        phi.add_incoming(value, inside)
        result.append(phi)
    return result

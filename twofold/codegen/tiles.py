"""Blocks of an input that is read across its grain, transposed into memory in which lanes are
neighbours."""

from __future__ import annotations

from llvmlite import ir

from ..dtypes import DType
from ..kernels.loops import TURN_LANES, TURN_ROWS
from ..machine import Target
from .build import POINTER, i64, loop
from .scalar import memory_type
from .transpose import turn


def tile(builder: ir.IRBuilder, dtype: DType) -> ir.Value:
    """Memory for one block, on the stack. To be called in the function's first block."""
    block = builder.alloca(ir.ArrayType(memory_type(dtype, 1), TURN_LANES * TURN_ROWS))
    block.align = 64
    block.type = POINTER
    return block


def fill(
    builder: ir.IRBuilder,
    block: ir.Value,
    source: ir.Value,
    step: ir.Value,
    n_rows: ir.Value,
    n_lanes: ir.Value,
    dtype: DType,
    target: Target,
) -> None:
    """block[row * TURN_LANES + lane] = source[row + lane * step], for rows and lanes below the
    numbers given. Reads up to a vector past the rows, as memory may be read (see `abi.PADDING`)."""
    b, element = builder, memory_type(dtype, 1)
    side = min(16, max(2, target.vector_bytes // dtype.itemsize))
    wide = memory_type(dtype, side)

    def at(base: ir.Value, offset: ir.Value) -> ir.Value:
        return b.gep(base, [offset], source_etype=element)

    def square(first: ir.Value, _: list[ir.Value]) -> None:
        last = b.sub(b.sub(n_lanes, first), i64(1))
        column = at(source, b.mul(first, step))

        def rows(row: ir.Value, _: list[ir.Value]) -> None:
            pointer, vectors = at(column, row), []
            for k in range(side):
                vectors.append(b.load(pointer, align=dtype.itemsize, typ=wide))
                more = b.icmp_signed("<", i64(k), last)
                pointer = at(pointer, b.select(more, step, i64(0)))
            for k, vector in enumerate(turn(b, vectors)):
                place = b.add(b.mul(b.add(row, i64(k)), i64(TURN_LANES)), first)
                b.store(vector, at(block, place), align=side * dtype.itemsize)

        loop(b, i64(0), n_rows, i64(side), [], rows, "turn.rows")

    loop(b, i64(0), n_lanes, i64(side), [], square, "turn")

"""Scans: rows walked several at once, or columns of lanes walked together.

The last axis of (B, N, R) decides: with R = 1 a work item takes a few rows and keeps their running
values in registers; else it takes a block of columns and keeps theirs in scratch memory. A few long
rows are cut into chunks, if the shape says so: the chunks' totals first, then what each chunk
starts from, then the chunks themselves as rows. So the order of a scan follows from its shape
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dtypes import DType
from .launch import Array, Buffer, Launch, Scratch

ROWS = 8
"""Rows that one item walks together."""

COLUMNS, FEW_COLUMNS = 2048, 512
"""Columns of one item, at most; and at least, if there are as many, that all threads have work."""

CHUNK = 4096
"""Steps of one chunk of a long row."""

LONG = 8 * CHUNK
"""Steps from which few rows are cut into chunks."""

SMALL = 16 * 1024
"""Elements below which one thread does it all."""

TURN = 16 * 1024
"""Elements that a thread takes at a time, about, where there are many items."""


@dataclass(frozen=True)
class ScanSpec:
    """y[n] = f(y[n - 1], x[n]). `function` is "add", "mul", "linear" (y[n] = a[n] y[n - 1] + b[n]),
    "logaddexp", "argmax" or "argmin" (the position of the last extreme). `mode` is "rows", "totals"
    (rows, of which the last value alone is stored), "starts" (rows that begin with a given value)
    or "columns"."""

    function: str
    dtype: DType
    accumulator: DType
    result: DType
    mode: str


@dataclass(frozen=True)
class CarrySpec:
    """Turns totals of chunks into what each chunk starts from, row by row, in place."""

    function: str
    dtype: DType


Input = tuple[Array, Sequence[int]]


def schedule(
    function: str,
    types: tuple[DType, DType, DType],
    sizes: tuple[int, int, int],
    inputs: Sequence[Input],
    out: Array,
    reverse: bool,
    threads: int,
) -> list[Launch]:
    """The launches for (B, N, R); `types` are those of the input, the accumulator and the
    result."""
    dtype, accumulator, result = types
    b, n, r = sizes
    arrays = [(x, list(strides)) for x, strides in inputs]
    arrays.append((out, [n * r, r, 1]))
    if reverse:
        arrays = [_from_the_end(x, n, d) for x, d in zip(arrays, [dtype] * len(inputs) + [result])]
    reads = tuple(x.buffer for x, _ in inputs)

    def grain(items: int) -> int:
        """Items that a thread takes at a time."""
        if b * n * r < SMALL:
            return items
        return max(1, min(items // (4 * threads), TURN * items // (b * n * r)))

    steps = [s for _, strides in arrays for s in strides]
    args: list = [x for x, _ in arrays]
    n_bytes = b * n * r * (len(inputs) * dtype.itemsize + result.itemsize)
    if r > 1:
        even = -(-b * r // (4 * threads * FEW_COLUMNS)) * FEW_COLUMNS
        block = min(r, COLUMNS, max(FEW_COLUMNS, even))
        items = b * -(-r // block)
        spec = ScanSpec(function, dtype, accumulator, result, "columns")
        args += [Scratch(2 * 8 * COLUMNS), n, r, block, *steps]
        return [Launch(spec, args, items, grain(items), reads, (out.buffer,), b * n * r, n_bytes)]
    chunked = function in ("add", "mul") and b < 16 and n >= LONG
    chunk = CHUNK if chunked else n
    chunks = -(-n // chunk)
    rows = b * chunks
    items = -(-rows // ROWS)
    words, turn = [n, chunk, chunks, rows, *steps], grain(items)
    if not chunked:
        spec = ScanSpec(function, dtype, accumulator, result, "rows")
        return [Launch(spec, [*args, *words], items, turn, reads, (out.buffer,), b * n, n_bytes)]
    totals = Buffer(rows * accumulator.itemsize, "temp", "totals")
    kept = Array(totals)
    first = ScanSpec(function, dtype, accumulator, result, "totals")
    last = ScanSpec(function, dtype, accumulator, result, "starts")
    # The walk for totals writes nothing: it gets the totals in place of the output.
    return [
        Launch(
            first, [*args[:-1], kept, kept, *words], items, turn, reads, (totals,), b * n, n_bytes
        ),
        Launch(
            CarrySpec(function, accumulator), [kept, chunks], b, b, (totals,), (totals,), rows, 0
        ),
        Launch(
            last, [*args, kept, *words], items, turn, (*reads, totals), (out.buffer,), b * n,
            n_bytes,
        ),
    ]  # fmt: skip


def _from_the_end(array: Input, n: int, dtype: DType) -> tuple[Array, list[int]]:
    """The array walked backwards along its middle axis."""
    at, (outer, step, inner) = array[0], array[1]
    moved = Array(at.buffer, at.offset + (n - 1) * step * dtype.itemsize)
    return moved, [outer, -step, inner]

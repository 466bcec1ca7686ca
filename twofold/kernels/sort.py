"""Sorting rows by the bytes of their keys, least significant first; the largest few by selection.

A key is a value's bits made so that unsigned integers compare as the values do. A radix sort is
stable, and bytes that are the same in all keys cost nothing. Rows are sorted one an item; a few
long ones are cut into chunks, which count their keys' bytes and move their entries side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ..dtypes import DType
from .launch import Array, Buffer, Launch, Scratch

SHORT = 64
"""Longest row that is sorted by insertion."""

LONG = 1 << 15
"""Shortest row that several threads sort together."""

BUCKETS = 256


@dataclass(frozen=True)
class SortSpec:
    """Positions that sort rows. `stage` is "row" (all of it), or a step of the sort of long rows:
    "keys", "count", "place", "move", "out"."""

    dtype: DType
    descending: bool
    stage: str


@dataclass(frozen=True)
class TopSpec:
    """Positions of the largest (or smallest) values of rows; `adjacent` says that a row's values
    are."""

    dtype: DType
    largest: bool
    adjacent: bool


@dataclass(frozen=True)
class SearchSpec:
    """How many of a sorted row lie before each value (or not after it: `right`)."""

    dtype: DType
    right: bool


def entry_bytes(dtype: DType) -> int:
    """Bytes of a key with its position: packed into 64 bits if the key has at most 32."""
    return 16 if dtype.itemsize == 8 else 8


Input = tuple[Array, Sequence[int]]


def schedule(
    dtype: DType, descending: bool, shape: tuple[int, int], x: Input, out: Array, threads: int
) -> list[Launch]:
    """The launches that sort the rows of x (B, N)."""
    b, n = shape
    at, strides = x
    n_bytes = b * n * (dtype.itemsize + 8)
    if n < LONG or b >= 2 * threads or threads == 1:
        scratch = 4 * BUCKETS * dtype.itemsize + 2 * n * entry_bytes(dtype)
        return [
            Launch(
                SortSpec(dtype, descending, "row"),
                [at, out, Scratch(scratch), n, *strides],
                items=b,
                grain=b if b * n < 4096 else max(1, min(2048 // n, -(-b // (4 * threads)))),
                reads=(at.buffer,),
                writes=(out.buffer,),
                n_bytes=n_bytes,
            )
        ]
    chunks = 4 * threads
    entries = [Buffer(b * n * entry_bytes(dtype), "temp", "entries") for _ in range(2)]
    counts = Buffer(b * chunks * BUCKETS * 4, "temp", "counts")
    # For each row: how its keys differ, chunk by chunk; then which entries each pass starts from.
    state = Buffer(b * (chunks + dtype.itemsize + 1) * 8, "temp", "state")
    temps = (*entries, counts, state)
    kept = [Array(x) for x in temps]

    def launch(stage: str, digit: int, items: int) -> Launch:
        reads = temps if stage != "keys" else (at.buffer,)
        writes = (out.buffer,) if stage == "out" else temps
        # A stage gets some other array in place of one that it leaves alone.
        source = at if stage == "keys" else kept[0]
        to = out if stage == "out" else kept[0]
        return Launch(
            SortSpec(dtype, descending, stage),
            [source, to, *kept, n, *strides, chunks, -(-n // chunks), digit],
            items=items,
            grain=1,
            reads=reads,
            writes=writes,
            n_bytes=2 * prod(shape) * entry_bytes(dtype) if stage == "move" else 0,
            label=f"sort {stage}",
        )

    launches = [launch("keys", 0, b * chunks)]
    for digit in range(dtype.itemsize):
        launches.append(launch("count", digit, b * chunks))
        launches.append(launch("place", digit, b))
        launches.append(launch("move", digit, b * chunks))
    return [*launches, launch("out", dtype.itemsize, b * chunks)]


def schedule_top(
    dtype: DType,
    largest: bool,
    shape: tuple[int, int],
    k: int,
    x: Input,
    out: Array,
    threads: int,
) -> list[Launch]:
    """The launch that finds the k largest (or smallest) values in each row of x (B, N)."""
    b, n = shape
    at, strides = x
    return [
        Launch(
            TopSpec(dtype, largest, strides[1] == 1),
            [at, out, Scratch(8 * k), n, k, *strides],
            items=b,
            grain=b if b * n < 4096 else max(1, min(16384 // n, -(-b // (4 * threads)))),
            reads=(at.buffer,),
            writes=(out.buffer,),
            n_bytes=b * (n * dtype.itemsize + 8 * k),
        )
    ]


SEARCHES = 1024
"""Values looked for in one work item."""


def schedule_search(
    dtype: DType,
    right: bool,
    sizes: tuple[int, int, int],
    inputs: Sequence[Input],
    out: Array,
) -> list[Launch]:
    """The launch that looks for K values in each of B rows of N; `sizes` are (B, N, K)."""
    b, n, k = sizes
    (seq, seq_strides), (v, v_strides) = inputs
    items = -(-b * k // SEARCHES)
    return [
        Launch(
            SearchSpec(dtype, right),
            [seq, v, out, n, k, b * k, *seq_strides, *v_strides],
            items=items,
            grain=1,
            reads=(seq.buffer, v.buffer),
            writes=(out.buffer,),
            n_bytes=b * n * dtype.itemsize + b * k * (dtype.itemsize + 8),
        )
    ]

"""Compaction: the places where a mask holds, or the values there, one after the other.

Chunks of the mask count their places, a sum over chunks tells where each writes, and they write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dtypes import DType
from .launch import Array, Buffer, Launch, Scratch

CHUNK = 1 << 14
"""Elements of the mask in one work item."""


@dataclass(frozen=True)
class CompactSpec:
    """`stage` is "count", "place" or "write". `dtype` is the values', None for positions;
    `adjacent` says that the mask's elements are."""

    stage: str
    dtype: DType | None
    adjacent: bool


def schedule(
    dtype: DType,
    n: int,
    count: int,
    inputs: Sequence[tuple[Array, Sequence[int]]],
    out: Array,
) -> list[Launch]:
    """The launches for a mask of n elements that holds at `count` places."""
    (mask, (step,)), *values = inputs
    kind = dtype if values else None
    chunks = -(-n // CHUNK)
    counts = Buffer(chunks * 8, "temp", "counts")
    x_at, (x_step,) = values[0] if values else (mask, (0,))
    own = Array(counts)
    words = [n, step, x_step, CHUNK, chunks, count]
    reads = (mask.buffer,)
    adjacent = step == 1
    n_bytes = n + count * (8 if kind is None else 2 * dtype.itemsize)

    def launch(stage: str, items: int, reads: tuple, writes: tuple, n_bytes: int = 0) -> Launch:
        spec = CompactSpec(stage, kind, adjacent)
        arrays = [mask, own, x_at, out] if stage == "write" else [own] * 4
        arrays[0] = own if stage == "place" else mask
        args: list[Array | Scratch | int] = [*arrays, *words]
        return Launch(spec, args, items, 1, reads, writes, 0, n_bytes, f"compact {stage}")

    return [
        launch("count", chunks, reads, (counts,), n),
        launch("place", 1, (counts,), (counts,)),
        launch("write", chunks, (*reads, x_at.buffer, counts), (out.buffer,), n_bytes),
    ]

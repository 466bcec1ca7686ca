"""Products with weights that lie in strips (see `ops/blocks.py`): a strip is read once, from front
to end, as fast as memory gives it.

A work item is a strip of 32 columns for all rows of x, `ROWS` at a time; its sums stay in
registers. Whole numbers become floats on their way from memory to the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ..dtypes import DType
from .launch import Array, Launch, Scratch

ROWS = 4
"""The most rows whose sums are made together. Kernels are made for one and for this many; the last
of a kernel's rows may be lacking."""

SMALL_BYTES = 64 << 10
"""Smaller weights are read by one thread."""


@dataclass(frozen=True)
class BlocksSpec:
    """y = x W^T for up to `rows` rows at a time. `codes` is the dtype of the codes, `halves` says
    that each has two of them, `scales` is the dtype of scales and of least values, or None."""

    rows: int
    codes: DType
    halves: bool
    scales: DType | None
    least: bool


Input = tuple[Array, Sequence[int]]


def schedule(
    shapes: Sequence[Sequence[int]],
    kinds: Sequence[DType],
    inputs: Sequence[Input],
    n: int,
    out: Array,
    threads: int,
) -> Launch:
    """The launch for x (M, K), codes, and scales and least values where there are any."""
    (m, k), (strips, held, _), *more = shapes
    (x_at, x_strides), *weights = inputs
    blocks = more[0][1] if more else 1
    has_sums = bool(more) and (len(more) == 2 or held != k)
    spec = BlocksSpec(
        rows=1 if m == 1 else ROWS,
        codes=kinds[1],
        halves=held != k,
        scales=kinds[2] if more else None,
        least=len(more) == 2,
    )
    arrays = [x_at, *(at for at, _ in weights)]
    n_bytes = sum(prod(s) * d.itemsize for s, d in zip(shapes[1:], kinds[1:]))
    return Launch(
        spec,
        [
            *arrays, out, Scratch(4 * m * blocks if has_sums else 0), m, n, k, x_strides[0], blocks,
            k // blocks,
        ],
        items=strips,
        grain=strips if n_bytes < SMALL_BYTES else max(1, strips // (8 * threads)),
        reads=tuple(x.buffer for x in arrays),
        writes=(out.buffer,),
        flops=2 * m * n * k,
        n_bytes=n_bytes + 4 * m * (k + n),
    )  # fmt: skip

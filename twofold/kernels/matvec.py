"""Products of a few rows and a matrix, which is read once, where it lies, as fast as memory gives
it.

Each output is one sum over k in order, as in any product (see `matmul.py`), so lanes are columns.
Where B's columns are adjacent ("along"), a work item walks down k over a strip of columns whose
sums stay in registers. Where its steps of k are ("across", a weight that is multiplied
transposed), squares are transposed in registers on their way to the sums.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dtypes import DType
from ..machine import Target
from .finish import Finish, Strided, finish_words
from .launch import Array, Launch, Scratch
from .loops import LoopKernel

HEIGHTS = (1, 4)
"""Rows that kernels are made for; the last of a kernel's rows may be lacking."""

STRIP = 16
"""The most vectors of columns in a work item."""

SMALL_BYTES = 128 << 10
"""Smaller matrices are read by one thread."""


@dataclass(frozen=True)
class MatvecSpec:
    """C = A B, A and C of at most `rows` rows. `b` says which elements of B are adjacent: "along"
    (a row's) or "across" (a column's). `direct` and `finish` are as in `MatmulSpec`."""

    dtype: DType
    sums: DType
    rows: int
    b: str
    direct: bool
    finish: LoopKernel | None = None


def fits(m: int, b: Strided) -> bool:
    """Whether the product is one of few rows and a matrix with adjacent elements."""
    return 0 < m <= HEIGHTS[-1] and 1 in b[1][-2:]


def launch(
    dtype: DType,
    sums: DType,
    sizes: tuple[int, int, int, int],
    a: Strided,
    b: Strided,
    c: Strided | None,
    finish: Finish | None,
    target: Target,
    threads: int,
) -> Launch:
    """The launch of `copies` products; `sizes` are copies, m, n, k, strides (copy, row, column)."""
    copies, m, n, k = sizes
    (a_at, a_strides), (b_at, (b_step, b_k, b_column)) = a, b
    lanes = target.lanes(sums.itemsize)
    vectors = -(-n // lanes)
    strip = min(STRIP, 4 * -(-vectors // (8 * threads)))
    strips = -(-vectors // strip)
    rows = next(h for h in HEIGHTS if h >= m)
    scratch = Scratch(sums.itemsize * rows * (strip * lanes + k))
    args: list[Array | Scratch | int] = [a_at, b_at, *([c[0]] if c else []), scratch, m, n, k]
    args += [*a_strides, b_step, b_k, b_column, *(c[1][:2] if c else ()), strip * lanes, strips]
    reads, writes = [a_at.buffer, b_at.buffer], [c[0].buffer] if c else []
    matrix = copies * k * n * dtype.itemsize
    n_bytes = matrix + copies * (m * k + (m * n if c else 0)) * dtype.itemsize
    kernel = None
    if finish is not None:
        # Where sums are not kept, operand 0 is a strip, whose place the kernel knows.
        first = c if c else (finish.arrays[0][0], (0, strip * lanes, 1))
        kernel, words = finish_words(finish, first, (copies, m, n))
        args += words
        more = finish.touched()
        reads, writes = reads + more[0], writes + more[1]
        n_bytes += copies * m * n * sum(d.itemsize for d in kernel.operands[1:])
    items = copies * strips
    mode = "along" if b_column == 1 else "across"
    return Launch(
        MatvecSpec(dtype, sums, rows, mode, c is not None, kernel),
        args,
        items=items,
        grain=items if matrix < SMALL_BYTES else max(1, items // (8 * threads)),
        reads=tuple(reads),
        writes=tuple(writes),
        flops=2 * copies * m * n * k,
        n_bytes=n_bytes,
    )

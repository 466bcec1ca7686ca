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
from .finish import Strided
from .launch import Launch
from .loops import LoopKernel
from .product import Product

HEIGHTS = (1, 4)
"""Rows that kernels are made for; the last of a kernel's rows may be lacking."""

STRIP = 16
"""The most vectors of columns in a work item."""

SMALL_BYTES = 128 << 10
"""Smaller matrices are read by one thread."""


@dataclass(frozen=True)
class MatvecSpec:
    """C = A B, A and C of at most `rows` rows. `b` says which elements of B are adjacent: "along"
    (a row's) or "across" (a column's). `vectors` of B are read side by side where they are "along".
    `direct` and `finish` are as in `MatmulSpec`."""

    dtype: DType
    sums: DType
    rows: int
    b: str
    direct: bool
    vectors: int = 0
    finish: LoopKernel | None = None


def fits(m: int, b: Strided) -> bool:
    """Whether the product is one of few rows and a matrix with adjacent elements."""
    return 0 < m <= HEIGHTS[-1] and 1 in b[1][-2:]


def launch(product: Product, target: Target, threads: int) -> Launch:
    """The launch of a product that `fits`."""
    (copies, m, n, k), b_column = product.sizes, product.b[1][-1]
    lanes = target.lanes(product.sums.itemsize)
    vectors = -(-n // lanes)
    strip = min(STRIP, 4 * -(-vectors // (8 * threads)))
    strips = -(-vectors // strip)
    items = copies * strips
    rows = next(h for h in HEIGHTS if h >= m)
    mode = "along" if b_column == 1 else "across"
    n_bytes = k * n * product.dtype.itemsize
    # Memory gives a kilobyte of a row faster than half of it, the caches the half.
    side_by_side = 0 if mode == "across" else 16 if n_bytes > target.l3_bytes else 8
    is_small = copies * n_bytes < SMALL_BYTES
    return product.launch(
        MatvecSpec(product.dtype, product.sums, rows, mode, product.c is not None, side_by_side),
        scratch=rows * (strip * lanes + k),
        row=strip * lanes,
        words=(strip * lanes, strips),
        items=items,
        grain=items if is_small else max(1, items // (8 * threads)),
    )

"""What the kernels of matrix products have in common: operands, words, and work that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..dtypes import DType
from .finish import Finish, Strided, finish_words
from .launch import Array, Launch, Scratch


@dataclass(frozen=True)
class Product:
    """C = A B for each of some copies, then `finish`. `sizes` are copies, m, n, k; strides (copy,
    row, column). Without `c` the sums are not kept."""

    dtype: DType
    sums: DType
    sizes: tuple[int, int, int, int]
    a: Strided
    b: Strided
    c: Strided | None
    finish: Finish | None

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        copies, m, n, k = self.sizes
        return 2 * copies * m * n * k

    def launch(
        self,
        spec: Any,
        scratch: int,
        row: int,
        words: Sequence[int],
        items: int,
        grain: int,
    ) -> Launch:
        """The launch of a kernel with `scratch` elements of its own, in which sums that are not
        kept lie in rows of `row` elements; `words` are its own. `spec` lacks its `finish`."""
        copies, m, n, k = self.sizes
        arrays = [self.a, self.b, *((self.c,) if self.c else ())]
        args: list[Array | Scratch | int] = [array for array, _ in arrays]
        args += [Scratch(scratch * self.sums.itemsize), m, n, k, *self.a[1], *self.b[1]]
        args += [*(self.c[1][:2] if self.c else ()), *words]
        reads = [self.a[0].buffer, self.b[0].buffer]
        writes = [self.c[0].buffer] if self.c else []
        n_bytes = copies * (m * k + k * n + (m * n if self.c else 0)) * self.dtype.itemsize
        if self.finish is not None:
            # Where sums are not kept, operand 0 is scratch memory, whose place the kernel knows.
            first = self.c if self.c else (self.finish.arrays[0][0], (0, row, 1))
            kernel, more_words = finish_words(self.finish, first, (copies, m, n))
            spec = replace(spec, finish=kernel)
            args += more_words
            more = self.finish.touched()
            reads, writes = reads + more[0], writes + more[1]
            n_bytes += copies * m * n * sum(d.itemsize for d in kernel.operands[1:])
        return Launch(
            spec,
            args,
            items=items,
            grain=grain,
            reads=tuple(reads),
            writes=tuple(writes),
            flops=self.flops,
            n_bytes=n_bytes,
        )

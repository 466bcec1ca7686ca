"""Elementwise work on a template's result, done on each element as soon as it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .launch import Array, Buffer
from .loop_transform import transform
from .loops import Access, LoopKernel

Strided = tuple[Array, Sequence[int]]


@dataclass(frozen=True)
class Finish:
    """A map over the axes of a template's result that reads its sums as operand 0, and where its
    other operands lie."""

    kernel: LoopKernel
    arrays: Sequence[Strided]
    words: Sequence[int]

    def touched(self) -> tuple[list[Buffer], list[Buffer]]:
        """The buffers that it reads, and those that it writes."""
        written = {t.access.operand for t in self.kernel.stages[0].stores}
        reads: list[Buffer] = []
        writes: list[Buffer] = []
        for i, (array, _) in enumerate(self.arrays):
            (writes if i + 1 in written else reads).append(array.buffer)
        return reads, writes


def finish_words(
    finish: Finish, sums: Strided, extents: Sequence[int]
) -> tuple[LoopKernel, list[Array | int]]:
    """The map over axes of these extents with the kinds of its strides, and its words in a loop
    kernel's order; `sums` are operand 0."""
    arrays = [sums, *finish.arrays]
    last = len(extents) - 1
    kinds, run_time = [], []
    for _, strides in arrays:
        kind = tuple(s if s == 0 or (s, i) == (1, last) else "s" for i, s in enumerate(strides))
        kinds.append(kind)
        run_time += [s for s, how in zip(strides, kind) if how == "s"]
    kernel = transform(finish.kernel, lambda old: Access(old.operand, kinds[old.operand]))
    words: list[Array | int] = [array for array, _ in arrays]
    return replace(kernel, n_outer=len(extents)), [
        *words, *extents, *run_time, 0, 0, *finish.words
    ]  # fmt: skip

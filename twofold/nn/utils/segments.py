"""Packed sequences as a few blocks of steps of one width, for loops over time.

Sequences sorted by length are a staircase: `counts[t]` rows at step t. It is cut where the width,
the count rounded up to whole tiles of a product's rows, changes:

    counts  7 7 6 5 | 4 4 3 2 1        widths  7 | 4        (tiles of 4 rows, 7 sequences)

So what a loop computes in vain lies within tiles that a product computes anyway. Rows move between
the layouts by positions that are data: other lengths change sizes alone, and compile nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...creation import from_numpy
from ...custom_function import Function
from ...functions.pointwise import where
from ...tensor import Tensor

TILE = 4
"""Rows that a product computes together at the least."""

MOST = 8
"""Segments, about, at most: wide batches are cut more coarsely."""


class _Moved(Function):
    """Row places[i] of x as row i, zeros where that is -1; `back` says where each row of x goes, or
    -1. So the gradient is moved, too, not added up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: np.ndarray, back: np.ndarray) -> Tensor:
        ctx.places, ctx.back = places, back
        y = x.index_select(0, from_numpy(np.maximum(places, 0)))
        if places.min(initial=0) >= 0:
            return y
        there = from_numpy(places >= 0).reshape(-1, *[1] * (x.dim() - 1))
        return where(there, y, 0.0)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return _Moved.apply(g, ctx.back, ctx.places), None, None


def _inverse(places: np.ndarray, n: int) -> np.ndarray:
    """For each of n rows the place it is moved to, or -1."""
    back = np.full(n, -1, np.int64)
    back[places[places >= 0]] = np.flatnonzero(places >= 0)
    return back


def moved(x: Tensor, places: np.ndarray) -> Tensor:
    """Row places[i] of x (n, ...) as row i, zeros where that is -1; no row goes to two places."""
    return _Moved.apply(x, places, _inverse(places, x.size(0)))


def staircase(counts: Sequence[int], width: int) -> np.ndarray:
    """For each step and each of `width` rows the number of its element in packed data, or -1."""
    numbers = np.asarray(counts, np.int64)
    row = np.arange(width)
    starts = np.cumsum(numbers) - numbers
    return np.where(row < numbers[:, None], starts[:, None] + row, -1)


@dataclass(frozen=True)
class Segment:
    """Steps of `width` rows each: rows `start` on of the layout; `alive` (steps, width, 1) says
    which are elements of sequences."""

    start: int
    width: int
    alive: np.ndarray

    @property
    def stop(self) -> int:
        """The row behind the last."""
        return self.start + self.alive.size

    def of(self, x: Tensor) -> Tensor:
        """(steps, width, ...) of the rows x of the layout."""
        steps = self.alive.shape[0]
        return x[self.start : self.stop].reshape(steps, self.width, *x.shape[1:])


class Segments:
    """The layout for packed sequences of which counts[t] have a step t."""

    def __init__(self, counts: Sequence[int]) -> None:
        most = counts[0]
        tile = TILE * max(1, -(-most // (TILE * MOST)))
        widths = [min(most, tile * -(-n // tile)) for n in counts]
        first = [t for t, n in enumerate(widths) if not t or n != widths[t - 1]]
        places, start = [], 0
        self.parts: list[Segment] = []
        whole = staircase(counts, most)
        for low, high in zip(first, [*first[1:], len(counts)]):
            block = whole[low:high, : widths[low]]
            places.append(block.ravel())
            self.parts.append(Segment(start, widths[low], (block >= 0)[..., None]))
            start += block.size
        self.places = np.concatenate(places)
        self.back = _inverse(self.places, sum(counts))

    def spread(self, x: Tensor) -> Tensor:
        """Packed rows in this layout, with zeros between."""
        return _Moved.apply(x, self.places, self.back)

    def packed(self, x: Tensor) -> Tensor:
        """Rows of this layout, packed."""
        return _Moved.apply(x, self.back, self.places)

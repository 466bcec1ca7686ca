"""What `torch._utils` has that programs take from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from ...functions.shape import cat
from ...tensor import Tensor


def _accumulate(iterable: Iterable[int]) -> Iterator[int]:
    """Sums of ever more numbers."""
    return itertools.accumulate(iterable)


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """The elements of all tensors, one after the other."""
    return cat([t.contiguous().view(-1) for t in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Parts of `flat` in the shapes of `tensors`: what `_flatten_dense_tensors` joined."""
    parts = flat.split([t.numel() for t in tensors])
    return tuple(part.view_as(t) for part, t in zip(parts, tensors, strict=True))

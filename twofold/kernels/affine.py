"""Affine positions: where, along one axis of a value, a kernel's iteration point lies.

`Affine(terms, offset)` is offset + sum of coefficient * index(axis) over the kernel's axes. All
movement ops turn affine positions into affine positions, save some reshapes (see `split`). A gather
adds terms whose index is not an axis but data (`Chosen`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ops.scalar import Expr


@dataclass(frozen=True)
class Chosen:
    """A position that is data: an int64 expression with a value of [0, extent)."""

    index: Expr
    extent: int


@dataclass(frozen=True)
class Affine:
    """offset + sum of coefficient * index(axis) for (axis, coefficient) in terms, by axis, + the
    same for the data in `chosen`."""

    terms: tuple[tuple[int, int], ...] = ()
    offset: int = 0
    chosen: tuple[tuple[Chosen, int], ...] = ()

    def times(self, factor: int, plus: int = 0) -> Affine:
        """factor * self + plus."""
        if factor == 0:
            return Affine((), plus)
        terms = self.terms if factor == 1 else tuple((a, c * factor) for a, c in self.terms)
        chosen = tuple((i, c * factor) for i, c in self.chosen)
        return Affine(terms, self.offset * factor + plus, chosen)


ZERO = Affine()


def total(parts: Sequence[Affine]) -> Affine:
    """The sum of several positions."""
    sums: dict[int, int] = {}
    for part in parts:
        for axis, coefficient in part.terms:
            sums[axis] = sums.get(axis, 0) + coefficient
    terms = tuple(sorted((a, c) for a, c in sums.items() if c))
    chosen = tuple(term for part in parts for term in part.chosen)
    return Affine(terms, sum(part.offset for part in parts), chosen)


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides, in elements, of a row-major array.

    >>> contiguous((2, 3, 4))
    (12, 4, 1)
    """
    strides = [1] * len(shape)
    for a in range(len(shape) - 2, -1, -1):
        strides[a] = strides[a + 1] * shape[a + 1]
    return tuple(strides)


def bounds(position: Affine, extents: Sequence[int]) -> tuple[int, int]:
    """The smallest and the largest value that a position takes."""
    low = high = position.offset
    for axis, coefficient in position.terms:
        reach = coefficient * (extents[axis] - 1)
        low, high = (low + reach, high) if reach < 0 else (low, high + reach)
    for index, coefficient in position.chosen:
        reach = coefficient * (index.extent - 1)
        low, high = (low + reach, high) if reach < 0 else (low, high + reach)
    return low, high


def split(
    position: Affine, shape: Sequence[int], extents: Sequence[int]
) -> tuple[Affine, ...] | None:
    """A flat row-major position in `shape` as one position per axis; None if they are not affine.

    Terms whose coefficient is a multiple of the inner size belong to the outer axis, the rest must
    stay within the inner size. Of no elements, every position will do.
    """
    if 0 in shape:
        return (ZERO,) * len(shape)
    result: list[Affine] = []
    for size in reversed(shape[1:]):
        if size == 1:
            result.append(ZERO)
            continue
        outer: list[tuple[int, int]] = []
        inner: list[tuple[int, int]] = []
        for axis, coefficient in position.terms:
            if coefficient % size == 0:
                outer.append((axis, coefficient // size))
            elif extents[axis] > 1:
                inner.append((axis, coefficient))
        whole = tuple((i, c // size) for i, c in position.chosen if c % size == 0)
        rest = tuple((i, c) for i, c in position.chosen if c % size)
        quotient, remainder = divmod(position.offset, size)
        part = Affine(tuple(inner), remainder, rest)
        low, high = bounds(part, extents)
        if low < 0 or high >= size:
            return None
        result.append(part)
        position = Affine(tuple(outer), quotient, whole)
    if shape:
        result.append(position)
    return tuple(reversed(result))


def reshape(
    index: Sequence[Affine],
    to_shape: Sequence[int],
    from_shape: Sequence[int],
    extents: Sequence[int],
) -> tuple[Affine, ...] | None:
    """The position in `from_shape` of the element at `index` of `to_shape`; None if not affine."""
    if 0 in from_shape:
        return (ZERO,) * len(from_shape)
    flat = total([i.times(s) for i, s in zip(index, contiguous(to_shape))])
    return split(flat, from_shape, extents)

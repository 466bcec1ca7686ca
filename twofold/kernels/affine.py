"""Affine positions: where, along one axis of a value, a kernel's iteration point lies.

`Affine(terms, offset)` is offset + sum of coefficient * index(axis) over the kernel's axes. All
movement ops turn affine positions into affine positions, save some reshapes (see `split`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Affine:
    """offset + sum of coefficient * index(axis) for (axis, coefficient) in terms, by axis."""

    terms: tuple[tuple[int, int], ...] = ()
    offset: int = 0

    def times(self, factor: int, plus: int = 0) -> Affine:
        """factor * self + plus."""
        if factor == 0:
            return Affine((), plus)
        terms = self.terms if factor == 1 else tuple((a, c * factor) for a, c in self.terms)
        return Affine(terms, self.offset * factor + plus)


ZERO = Affine()


def total(parts: Sequence[Affine]) -> Affine:
    """The sum of several positions."""
    sums: dict[int, int] = {}
    for part in parts:
        for axis, coefficient in part.terms:
            sums[axis] = sums.get(axis, 0) + coefficient
    terms = tuple(sorted((a, c) for a, c in sums.items() if c))
    return Affine(terms, sum(part.offset for part in parts))


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
    return low, high


def split(
    position: Affine, shape: Sequence[int], extents: Sequence[int]
) -> tuple[Affine, ...] | None:
    """A flat row-major position in `shape` as one position per axis; None if they are not affine.

    Terms whose coefficient is a multiple of the inner size belong to the outer axis, the rest must
    stay within the inner size.
    """
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
        quotient, remainder = divmod(position.offset, size)
        part = Affine(tuple(inner), remainder)
        low, high = bounds(part, extents)
        if low < 0 or high >= size:
            return None
        result.append(part)
        position = Affine(tuple(outer), quotient)
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
    flat = total([i.times(s) for i, s in zip(index, contiguous(to_shape))])
    return split(flat, from_shape, extents)

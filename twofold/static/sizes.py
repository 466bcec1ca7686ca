"""Shapes as TensorFlow 1 has them: sizes that may be open."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


class Dimension:
    """A size, or None where it is open."""

    def __init__(self, value: int | None) -> None:
        self.value = value

    def __int__(self) -> int:
        if self.value is None:
            raise TypeError("[shape] the size is not known; try tf.shape(x), which a run computes")
        return self.value

    __index__ = __int__

    def __eq__(self, other: object) -> Any:
        value = other.value if isinstance(other, Dimension) else other
        return None if self.value is None or value is None else self.value == value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"Dimension({self.value})"

    def __str__(self) -> str:
        return "?" if self.value is None else str(self.value)

    def _with(self, other: Any, function: Callable[[int, int], Any]) -> Dimension:
        value = other.value if isinstance(other, Dimension) else other
        if self.value is None or value is None:
            return Dimension(None)
        return Dimension(function(self.value, value))

    def __mul__(self, other: Any) -> Dimension:
        return self._with(other, operator.mul)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Dimension:
        return self._with(other, operator.add)

    __radd__ = __add__

    def __floordiv__(self, other: Any) -> Dimension:
        return self._with(other, operator.floordiv)

    def __sub__(self, other: Any) -> Dimension:
        return self._with(other, operator.sub)


class TensorShape:
    """Sizes of which some, or even their number, may be open."""

    def __init__(self, dims: Any) -> None:
        self._dims: tuple[int | None, ...] | None = None
        if isinstance(dims, TensorShape):
            self._dims = dims._dims
        elif dims is not None:
            listed = dims if isinstance(dims, (list, tuple, np.ndarray)) else [dims]
            self._dims = tuple([_size(n) for n in listed])

    @property
    def dims(self) -> list[Dimension] | None:
        """The sizes; None where their number is open."""
        return None if self._dims is None else [Dimension(n) for n in self._dims]

    @property
    def ndims(self) -> int | None:
        """The number of axes."""
        return None if self._dims is None else len(self._dims)

    rank = ndims

    def as_list(self) -> list[int | None]:
        """The sizes as numbers and None. ValueError where their number is open."""
        return list(self._known())

    def num_elements(self) -> int | None:
        """The number of elements, None where it is open."""
        if self._dims is None or None in self._dims:
            return None
        return int(np.prod([n for n in self._dims if n is not None], dtype=np.int64))

    def is_fully_defined(self) -> bool:
        """Whether all sizes are known."""
        return self._dims is not None and None not in self._dims

    def _known(self) -> tuple[int | None, ...]:
        if self._dims is None:
            raise ValueError("[shape] the number of axes is not known before a run")
        return self._dims

    def __iter__(self) -> Iterator[Dimension]:
        return iter([Dimension(n) for n in self._known()])

    def __len__(self) -> int:
        return len(self._known())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return TensorShape(self._known()[index])
        return Dimension(self._known()[index])

    def __eq__(self, other: object) -> bool:
        return self._dims == TensorShape(other)._dims

    def __hash__(self) -> int:
        return hash(self._dims)

    def __str__(self) -> str:
        if self._dims is None:
            return "<unknown>"
        text = ", ".join("?" if n is None else str(n) for n in self._dims)
        return f"({text},)" if len(self._dims) == 1 else f"({text})"

    def __repr__(self) -> str:
        return f"TensorShape({None if self._dims is None else list(map(Dimension, self._dims))})"


def _size(n: Any) -> int | None:
    value = n.value if isinstance(n, Dimension) else n
    return None if value is None or (isinstance(value, int) and value < 0) else int(value)

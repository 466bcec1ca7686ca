"""Arguments that are one number or one for each axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any


def _ntuple(n: int) -> Callable[[Any], tuple]:
    def parse(x: Any) -> tuple:
        return tuple(x) if isinstance(x, Iterable) else tuple(repeat(x, n))

    parse.__name__ = f"_ntuple_{n}"
    return parse


_single = _ntuple(1)
_pair = _ntuple(2)
_triple = _ntuple(3)
_quadruple = _ntuple(4)


def reversed_twice(padding: Any) -> list[int]:
    """Paddings as `F.pad` takes them: the last axis first, before and after.

    >>> reversed_twice((1, 2))
    [2, 2, 1, 1]
    """
    return [p for p in reversed(padding) for _ in range(2)]

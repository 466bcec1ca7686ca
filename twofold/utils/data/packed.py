"""Many small Python objects in a few large arrays, which worker processes share.

A forked worker shares its parent's memory until one of them writes to it, and Python writes to an
object, to count references, whenever it is looked at: a list of a million texts is soon copied
whole into every worker. Packed, it is two arrays that nobody writes to.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np


class PackedList(Sequence[Any]):
    """A list that cannot be changed, of which each item is made anew when it is asked for.

    >>> names = PackedList(["a.png", "b.png", ("c.png", 3)])
    >>> names[1], names[-1], len(names)
    ('b.png', ('c.png', 3), 3)
    """

    def __init__(self, items: Iterable[Any]) -> None:
        pieces = [_packed(item) for item in items]
        self._ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
        self._bytes = np.frombuffer(b"".join(pieces), np.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        n = len(self._ends)
        at = index.__index__()
        if not -n <= at < n:
            raise IndexError(f"[PackedList] index {at} is out of range for {n} items")
        at %= n
        begin = self._ends[at - 1] if at else 0
        piece = self._bytes[begin : self._ends[at]].tobytes()
        return piece[1:].decode() if piece[:1] == _TEXT else pickle.loads(piece[1:])

    def __repr__(self) -> str:
        return f"PackedList of {len(self)} items in {self._bytes.nbytes + self._ends.nbytes} bytes"


_TEXT, _OTHER = b"t", b"p"


def _packed(item: Any) -> bytes:
    """An item as bytes, of which the first says how."""
    return _TEXT + item.encode() if type(item) is str else _OTHER + pickle.dumps(item, 5)

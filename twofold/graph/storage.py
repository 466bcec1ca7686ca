"""Storages: mutable cells that hold a graph value. Tensors are windows on them."""

from __future__ import annotations

import weakref
from typing import Any

from .node import Node, recorder


class Storage:
    """A cell with its current value (`node`) and a version that grows with every write.

    Live storages whose node has not been run are what the next flush computes. `pinned` is memory
    outside Twofold that every new value is copied back to (an array shared with NumPy).
    """

    __slots__ = ("__weakref__", "epoch", "node", "pinned", "version")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.version = 0
        self.pinned: Any = None
        self.epoch = 0
        if node.value is None:
            track(self)

    def write(self, node: Node) -> None:
        """Make `node` the value."""
        self.node = node
        self.version += 1
        if node.value is None and self.epoch != recorder.epoch:
            track(self)


def track(storage: Storage) -> None:
    """List `storage` among those that the next flush looks at."""
    storage.epoch = recorder.epoch
    recorder.pending.append(weakref.ref(storage))

"""Storages: mutable cells that hold a graph value. Tensors are windows on them."""

from __future__ import annotations

import weakref
from typing import Any

from .node import Node, recorder


class Storage:
    """A cell with its current value (`node`) and a version that grows with every write.

    Live storages whose node has not been run are what the next flush computes. `pinned` is memory
    outside Twofold that every new value is copied back to (an array shared with NumPy). `born` is
    the epoch in which it was made. `ties` are to storages that show parts of its values, or of
    which it shows a part (see `twofold/mirrors.py`).
    """

    __slots__ = ("__weakref__", "born", "epoch", "node", "pinned", "ties", "version")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.version = 0
        self.pinned: Any = None
        self.epoch = 0
        self.ties: tuple[Any, ...] = ()
        self.born = recorder.epoch
        if node.value is None:
            track(self)
        else:
            hold(weakref.ref(self), node)

    def write(self, node: Node) -> None:
        """Make `node` the value."""
        self.node = node
        self.version += 1
        if node.value is None:
            if self.epoch != recorder.epoch:
                track(self)
        else:
            hold(weakref.ref(self), node)


def track(storage: Storage) -> None:
    """List `storage` among those that the next flush looks at."""
    storage.epoch = recorder.epoch
    recorder.pending.append(weakref.ref(storage))


def hold(storage: weakref.ref[Storage], node: Node) -> None:
    """Note that `storage` holds the value of `node`; `shared` once two storages do."""
    known = node.holder
    if known is shared:
        return
    before = None if known is None else known()
    if before is None or before is storage():
        node.holder = storage
    else:
        node.holder = shared


def shared() -> None:
    """The holder of values that several storages hold."""
    return None

"""Parameters made of views: a storage of its own that shows a part of another's values.

A leaf that requires a gradient is a whole storage, so `nn.Parameter(t[1:2])` cannot be a window on
t's. Its storage and t's are tied instead: what is written to one is written to the other. Each has
memory of its own; a tie lasts as long as both live.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator

from .autograd.reverse import grad_mode
from .graph.node import Node
from .graph.storage import Storage
from .ops import custom
from .ops import elementwise as ew
from .windows import Window, read, write


class Tie:
    """`part` shows what `window` shows of `whole`."""

    __slots__ = ("part", "whole", "window")

    def __init__(self, whole: Storage, window: Window, part: Storage) -> None:
        self.whole, self.part = weakref.ref(whole), weakref.ref(part)
        self.window = window


def tied(whole: Storage, window: Window, node: Node) -> Storage:
    """A storage of `node`, which is what `window` shows of `whole`, tied to it."""
    part = Storage(node)
    tie = Tie(whole, window, part)
    for storage in (whole, part):
        storage.ties = (*storage.ties, tie)
    return part


def follow(storage: Storage, value: Node) -> Iterator[tuple[Storage, Node]]:
    """(storage, its new value) for all that is tied to a storage whose value is now `value`."""
    waiting, seen = [(storage, value)], set()
    while waiting:
        storage, value = waiting.pop()
        storage.ties = tuple(tie for tie in storage.ties if tie.whole() and tie.part())
        for tie in storage.ties:
            whole, part = tie.whole(), tie.part()
            if tie in seen or whole is None or part is None:
                continue
            seen.add(tie)
            with grad_mode(False):
                value = ew.detach(value)
                if storage is part:
                    other, new = whole, write(ew.detach(whole.node), tie.window, value)
                else:
                    other, new = part, read(value, tie.window)
                new = _in_place_of(other.node, custom.identity(new))
            waiting.append((other, new))
            yield other, new


def _in_place_of(before: Node, new: Node) -> Node:
    """`new` as the value of a storage whose value was `before`: a leaf stays one."""
    if not before.structure.requires_grad:
        return new
    if not before.inputs or before.structure.op.starts_gradient:
        leaf = ew.variable(new)
        leaf.target = before.target
        return leaf
    with grad_mode(True):
        return custom.replace(before, new)

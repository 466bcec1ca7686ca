"""Small tensors written to in part, or joined, at once, in memory, and not recorded.

A data set may fill its examples piece by piece, each at places of its own: `x[1:1 + n] = word`. A
text may grow by a word with each step: `x = cat([x, word])`. As graphs, these would be ones that no
batch and no step before had, planned anew; done at once, all are the same graph of leaves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import dtypes, engine
from .graph.node import Node, recorder
from .ops import interpret
from .ops.base import get
from .ops.body import recording
from .ops.elementwise import CONSTANT
from .ops.scalar_numpy import to_stored
from .windows import DETACH, Window, numpy_view

MOST_BYTES = 1 << 14
"""Of a tensor written to, all of which is copied, or of those joined."""

MOST_READ = 1 << 20
"""Bytes of the value that what is written is a part of."""

MOST_STEPS = 8

_STEPS = frozenset((DETACH, *map(get, ("slice", "reshape", "permute"))))
_CAST, _EXPAND = map(get, ("cast", "expand"))
_PLAIN = frozenset((_CAST, _EXPAND, *map(get, ("slice", "reshape", "permute"))))
"""What may be between a known value and the one written, and is exact: casts of integers are."""


def written(base: Node, window: Window, value: Node) -> Node | None:
    """A leaf with the values of `base` where `window` does not look, and of `value` where it does.
    None where the write is to be recorded: a tensor is large, a value is pending or has a gradient,
    or the program is being observed."""
    s = base.structure
    if not _may_be_done([base, value], s.type.n_bytes):
        return None
    if any(op not in _STEPS for op, _ in window):
        return None
    part = known(value)
    whole = None if part is None else known(base)
    if whole is None:
        return None
    node = engine.from_numpy(whole, s.type.dtype)
    memory = engine.array_of(node)
    shown = numpy_view(memory, window)
    if not np.may_share_memory(shown, memory):
        return None  # a reshape of permuted axes is a copy
    shown[...] = part
    return node


def joined(nodes: Sequence[Node], axis: int, is_new: bool) -> Node | None:
    """A leaf with the values of `nodes` one after the other along an axis, which they have, or
    which is new. None where that is to be recorded, for the reasons above."""
    n_bytes = sum(n.structure.type.n_bytes for n in nodes)
    if not n_bytes or not _may_be_done(nodes, n_bytes):
        return None
    parts = []
    for node in nodes:
        part = known(node)
        if part is None:
            return None
        parts.append(part)
    join = np.stack if is_new else np.concatenate
    return engine.from_numpy(join(parts, axis), nodes[0].dtype)


def _may_be_done(nodes: Sequence[Node], n_bytes: int) -> bool:
    return (
        n_bytes <= MOST_BYTES
        and recorder.observer is None
        and recorder.tracing is None
        and not recording.depth
        and not any(n.structure.requires_grad for n in nodes)
    )


def known(node: Node) -> np.ndarray | None:
    """The stored elements of a node that has its value, or is but a few movements away from one or
    from a constant; else None."""
    source, s = node, node.structure
    for _ in range(MOST_STEPS):
        op = source.structure.op
        if source.value is not None or op is CONSTANT:
            break
        if op not in _PLAIN or (op is _CAST and source.inputs[0].dtype.is_inexact):
            return None
        source = source.inputs[0]
    else:
        return None
    if source.structure.type.n_bytes > MOST_READ or source.dtype in dtypes.COMPLEX:
        return None
    if source.value is None:
        array = to_stored(np.asarray(CONSTANT.value(source.structure.attrs)), source.dtype)
    else:
        array = engine.array_of(source)
    if source is node or (node.inputs[0] is source and not array.ndim and s.op is _EXPAND):
        return np.broadcast_to(array, node.shape)
    return interpret.evaluate([node], {id(source): array})[0]

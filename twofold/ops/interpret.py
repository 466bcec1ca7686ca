"""A graph run by its ops' NumPy references alone: the oracle of everything compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import BadValue
from ..graph.node import Node, postorder
from .scalar_numpy import to_held, to_stored


def evaluate(roots: Sequence[Node], leaf: dict[int, np.ndarray]) -> list[np.ndarray]:
    """The stored values of `roots`. `leaf` has the stored arrays of nodes that have a value, by
    id."""
    order = postorder(roots, pending_only=True)
    uses: dict[int, int] = {}
    for node in order:
        if id(node) not in leaf:
            for x in node.inputs:
                uses[id(x)] = uses.get(id(x), 0) + 1
    for root in roots:
        uses[id(root)] = uses.get(id(root), 0) + 1
    held: dict[int, np.ndarray] = {}
    for node in order:
        s = node.structure
        if id(node) in leaf:
            held[id(node)] = to_held(leaf[id(node)], s.dtype)
            continue
        arrays = [held[id(x)] for x in node.inputs]
        types = [x.structure.type for x in node.inputs]
        try:
            held[id(node)] = s.op.reference(arrays, types, s.attrs, s.type)
        except BadValue as bad:
            raise s.op.fault(node, bad.value) from None
        for x in node.inputs:
            uses[id(x)] -= 1
            if not uses[id(x)]:
                held.pop(id(x), None)
    return [np.ascontiguousarray(to_stored(held[id(r)], r.dtype)).reshape(r.shape) for r in roots]

"""A name for a graph that does not depend on what else was recorded beside it.

The key of a flush (see `node.py`) costs nothing, but numbers leaves by their first use since the
last flush, by whatever used them. Here they are numbered by a walk from the roots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ..dtypes import DType
from .node import Node, is_given, postorder

_PLAIN = frozenset((int, float, str, bytes, bool, type(None), DType))


def canonical(roots: Sequence[Node]) -> tuple[bytes, list[Node]] | None:
    """A digest that only graphs of one form share, with the leaves in the order of the walk; None
    where an attribute cannot be told by its text."""
    leaves: list[Node] = []
    number: dict[int, int] = {}
    lines: list[tuple] = []
    for node in postorder(roots, pending_only=True):
        number[id(node)] = len(number)
        s = node.structure
        if is_given(node):
            scalar = s.op.kind == "leaf" and s.attrs
            lines.append((s.shape, s.dtype.name, s.type.device, s.requires_grad, scalar))
            leaves.append(node)
        elif not _is_plain(s.attrs):
            return None
        else:
            inputs = [number[id(x)] for x in node.inputs]
            lines.append((s.op.name, s.attrs, s.requires_grad, node.released, inputs))
    lines.append(tuple(number[id(root)] for root in roots))
    return hashlib.blake2b(repr(lines).encode(), digest_size=16).digest(), leaves


def _is_plain(attrs: tuple) -> bool:
    for a in attrs:
        if type(a) not in _PLAIN and not (type(a) is tuple and _is_plain(a)):
            return False
    return True

"""Why a graph had to be compiled: how it differs from the graphs that were compiled before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from .node import Node, is_given, postorder
from .types import Type

_LIMIT = 2048


@dataclass(frozen=True)
class Signature:
    """What of a graph can change by itself: which ops are joined how, the types of the leaves, the
    attributes of the ops, the options. Hashes, where a difference need not be shown."""

    ops: int
    n_ops: int
    leaves: tuple[Type, ...]
    attributes: int
    options: object


def signature(roots: Sequence[Node], options: object) -> Signature:
    """The signature of a graph."""
    order = postorder(roots, pending_only=True)
    number = {id(n): i for i, n in enumerate(order)}
    ops: list[tuple] = []
    leaves, attributes = [], []
    for node in order:
        s = node.structure
        if is_given(node):
            leaves.append(s.type)
            ops.append(("leaf",))
        else:
            ops.append((s.op.name, *[number[id(x)] for x in node.inputs]))
            attributes.append(s.attrs)
    ops.append(("roots", *[number[id(r)] for r in roots]))
    n_ops = len(attributes)
    return Signature(hash(tuple(ops)), n_ops, tuple(leaves), hash(tuple(attributes)), options)


class History:
    """The signatures of what was compiled, the latest for each way of joining ops."""

    def __init__(self) -> None:
        self._found: OrderedDict[int, Signature] = OrderedDict()

    def reason(self, new: Signature) -> str:
        """Why `new` is compiled; it is remembered."""
        old = self._found.pop(new.ops, None)
        self._found[new.ops] = new
        if len(self._found) > _LIMIT:
            self._found.popitem(last=False)
        if old is None:
            return f"new: a graph of {new.n_ops} ops joined as none before"
        if old.leaves != new.leaves:
            changed = [
                f"x{k} was {a!r} and is {b!r}"
                for k, (a, b) in enumerate(zip(old.leaves, new.leaves))
                if a != b
            ]
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            return "sizes or dtypes: " + ", ".join(changed[:3]) + more
        if old.attributes != new.attributes:
            return "attributes: an axis, a slice, a constant or a shape within the graph differs"
        if old.options != new.options:
            return f"options: {_difference(old.options, new.options)}"
        return "order: the same graph, with leaves first used in another order or other values kept"


def _difference(old: object, new: object) -> str:
    names = [n for n in vars(new) if getattr(old, n, None) != getattr(new, n)]
    return ", ".join(f"{n} was {getattr(old, n, None)!r} and is {getattr(new, n)!r}" for n in names)

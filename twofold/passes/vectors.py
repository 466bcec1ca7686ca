"""Write products of vectors as what they are.

    (1, k) @ (k, 1)  =>  sum(a * b)        (m, 1) @ (1, n)  =>  a * b

A dot product then has vector lanes along k and is split over the threads, and an outer product is
fused with what reads it. Narrow floats are multiplied and added as float32, as in other products.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import dtypes
from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import reduce
from .rewrite import rewrite


def products_of_vectors(roots: Sequence[Node]) -> list[Node]:
    """The roots with dot and outer products rewritten."""
    return rewrite(roots, {"matmul": [_outer, _dot]})


def _outer(node: Node) -> Node | None:
    """(m, 1) @ (1, n) = a * b."""
    a, b = node.inputs
    return ew.mul(a, b) if a.shape[-1] == 1 and node.dtype is not dtypes.bool_ else None


def _dot(node: Node) -> Node | None:
    """(1, k) @ (k, 1) = sum(a * b)."""
    a, b = node.inputs
    if node.shape[-2:] != (1, 1) or node.dtype is dtypes.bool_:
        return None
    shape = (*a.shape[:-2], a.shape[-1])
    x, y = (ew.cast(mv.reshape(v, shape), node.dtype.compute) for v in (a, b))
    total = reduce.sum_(ew.mul(x, y), (len(shape) - 1,))
    return mv.reshape(ew.cast(total, node.dtype), node.shape)

"""Products of vectors and matrices."""

from __future__ import annotations

from ..graph.node import Node
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import reduce as rd
from ..tensor import Tensor, wrap
from ._registry import both, method


def matmul_nodes(a: Node, b: Node) -> Node:
    """The product of matrices (the last two axes); other axes broadcast."""
    n, k = a.shape[-2:]
    wide = ew.mul(mv.reshape(a, (*a.shape, 1)), mv.reshape(b, (*b.shape[:-2], 1, *b.shape[-2:])))
    return rd.sum_(wide, (len(wide.shape) - 2,))


@both("matmul")
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product."""
    a, b = input._node(), other._node()
    vector_a, vector_b = len(a.shape) == 1, len(b.shape) == 1
    if vector_a:
        a = mv.reshape(a, (1, *a.shape))
    if vector_b:
        b = mv.reshape(b, (*b.shape, 1))
    y = matmul_nodes(a, b)
    shape = y.shape
    if vector_b:
        shape = shape[:-1]
    if vector_a:
        shape = (*shape[:-2], shape[-1]) if not vector_b else shape[:-1]
    return wrap(mv.reshape(y, shape))


method("__matmul__")(matmul)

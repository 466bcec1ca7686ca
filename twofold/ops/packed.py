"""The family of functions of matrices that give several arrays: NumPy's, packed into one value."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import matrices as mx
from .call import Call, Shape, packed, unpacked


class Packed(Call):
    """A call whose value is the parts of `shapes`, side by side."""

    name = ""
    square = False

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        """The shape of each part, without the batch, for matrices of `shape`."""
        raise NotImplementedError

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        x = types[0]
        mx.require_matrices(f"linalg.{self.name}", x, self.square)
        total = sum(prod(s) for s in self.shapes(x.shape[-2:], attrs))
        return x.with_shape((*x.shape[:-2], total))

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        """The parts as arrays."""
        raise NotImplementedError

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        return packed(self.parts(arrays, attrs), out.shape[:-1], out)

    def of(self, x: Node, *attrs: object) -> list[Node]:
        """The parts of a new node."""
        y = make_node(self, (x,), attrs)
        return unpacked(y, self.shapes(x.shape[-2:], attrs))

    def known(self, node: Node, y: Node) -> list[Node]:
        """The parts of y, which is of the shape of `node`."""
        return unpacked(y, self.shapes(node.inputs[0].shape[-2:], node.attrs))


def each(x: np.ndarray) -> np.ndarray:
    """Matrices (*B, n, m) as (B, n, m)."""
    return x.reshape(prod(x.shape[:-2]), *x.shape[-2:])


def batch_element(a: np.ndarray, k: int) -> str:
    """What an error says of the k-th of matrices (*B, n, m)."""
    return f"(Batch element {k}): " if a.ndim > 2 else ""

"""Bundles: values of ops with several results, of any dtypes and shapes, and the parts of these.

A node has one value. That of a branch or a loop is a bundle, of which only `part` nodes are used:
each is one result, in memory of its own, that the bundle's op writes. The bundle itself has none.

A bundle's type is that of its cotangent: the cotangents of all floating-point results, one after
the other, in one flat value of the widest of their dtypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import movement as mv
from .base import Op, register
from .body import Body, read_body


class Bundle(Op):
    """The family. The first attribute is a body; `parts` tells the types of the results."""

    has_body = True
    is_bundle = True

    def parts(self, attrs: tuple) -> list[Type]:
        """The type of each result."""
        raise NotImplementedError

    def read(self, attrs: tuple) -> tuple:
        return read_body(attrs)

    def check(self, body: Body, given: Sequence[Type]) -> None:
        """RuntimeError unless `body` takes values of these types, and gives no complex ones."""
        wanted = [p.type for p in body.parameters]
        if list(given) != wanted:
            raise RuntimeError(f"[{self.name}] the body takes {wanted}; got {list(given)}")
        if any(y.dtype.is_complex for y in body.outputs):
            raise RuntimeError(f"[{self.name}] results cannot be complex; try .real and .imag")


def flat_type(parts: Sequence[Type]) -> Type:
    """The type of a bundle of such results."""
    floats = [t for t in parts if t.dtype.is_floating_point]
    wide: DType = dtypes.float32
    if any(t.dtype is dtypes.float64 for t in floats):
        wide = dtypes.float64
    return Type((sum(t.size for t in floats),), wide if floats else dtypes.uint8)


class Part(Op):
    """Result number `index` of a bundle, of this dtype and shape.

    Gradient: the cotangent at its place in that of the bundle.
    """

    name = "part"
    kind = "part"
    params = ("index", "dtype", "shape")

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        return Type(attrs[2], attrs[1])

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        (bundle,), index = node.inputs, node.attrs[0]
        start = _starts(bundle.op.parts(bundle.attrs))[index]
        (total,) = bundle.shape
        size = g.type.size
        flat = mv.reshape(ew.cast(g, bundle.dtype), (size,))
        return (mv.pad(flat, ((start, total - start - size),)),)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        index, _, shape = attrs
        y = part(inputs[0], index)
        return mv.expand(y, (size, *shape)) if y.shape == shape else y

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return arrays[0][attrs[0]]

    def fits(self, node: Node) -> bool:
        """Whether the node's input is a bundle that has this part."""
        op, index = node.inputs[0].structure.op, node.attrs[0]
        if not isinstance(op, Bundle) or node.inputs[0].value is not None:
            return False
        types = op.parts(node.inputs[0].attrs)
        return type(index) is int and 0 <= index < len(types) and types[index] == node.type


PART = register(Part())


def _starts(parts: Sequence[Type]) -> list[int]:
    """Where each result begins in the bundle's cotangent."""
    sizes = [t.size if t.dtype.is_floating_point else 0 for t in parts]
    return [0, *accumulate(sizes)][: len(sizes)]


def part(bundle: Node, index: int) -> Node:
    """One result of a bundle."""
    type_ = bundle.op.parts(bundle.attrs)[index]
    return make_node(PART, (bundle,), (index, type_.dtype, type_.shape))


def parts_of(bundle: Node) -> list[Node]:
    """All results of a bundle."""
    return [part(bundle, i) for i in range(len(bundle.op.parts(bundle.attrs)))]


def cotangents_of(g: Node, parts: Sequence[Type]) -> list[Node | None]:
    """The cotangents of the results, from the bundle's; None for those that are no floats."""
    found: list[Node | None] = []
    for t, start in zip(parts, _starts(parts)):
        cut = mv.slice_(g, ((start, t.size, 1),)) if t.dtype.is_floating_point else None
        found.append(None if cut is None else ew.cast(mv.reshape(cut, t.shape), t.dtype))
    return found


def zeros(type_: Type) -> Node:
    """Zeros of a type."""
    return mv.expand(ew.constant(0, type_.dtype), type_.shape)

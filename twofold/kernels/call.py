"""Calls of host functions as steps of a plan (see `ops/call.py`).

A call is a launch like any other, of one work item: its "kernel" is a function of our own that any
thread of the team may enter from native code (see `codegen/call.py`). It meets the launches that it
depends on at the same barriers, and the memory plan places what it reads and writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dtypes import DType
from ..graph.node import Node
from ..graph.types import Type
from .launch import Array, Launch

Input = tuple[Array, Sequence[int]]


@dataclass(frozen=True)
class CallSpec:
    """A call of the function of op `name`. `inputs` are (shape, strides in elements, dtype)."""

    name: str
    attrs: tuple
    inputs: tuple[tuple[tuple[int, ...], tuple[int, ...], DType], ...]
    out: Type


def schedule(node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    """The launch that calls node's function; its last word names the node in errors."""
    types = [x.type for x in node.inputs]
    spec = CallSpec(
        node.structure.op.name,
        node.structure.attrs,
        tuple((t.shape, tuple(s), t.dtype) for t, (_, s) in zip(types, inputs)),
        node.type,
    )
    return [
        Launch(
            spec,
            [*(at for at, _ in inputs), out, id(node)],
            items=1,
            grain=1,
            reads=tuple({id(at.buffer): at.buffer for at, _ in inputs}.values()),
            writes=(out.buffer,),
            n_bytes=sum(t.n_bytes for t in types) + node.type.n_bytes,
            label=f"call {node.structure.op.name}",
        )
    ]

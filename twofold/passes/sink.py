"""Do elementwise work on a product before its rows get their axes back.

    add(reshape(matmul(a, b), (T, N, K)), bias)  =>  reshape(add(matmul(a, b), bias), (T, N, K))

A linear layer on (T, N, C) is one product of T * N rows. Work on its result can be part of the
product's kernel only where both have the same axes. Elementwise work does not care for axes, so the
reshape may as well come after it; each time, it moves nearer to the results.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.node import Node
from ..graph.node import make as make_node
from ..ops import movement as mv
from ..ops.base import registry
from .rewrite import rewrite

Shape = tuple[int, ...]


def sink_reshapes(roots: Sequence[Node]) -> list[Node]:
    """The roots with elementwise work moved before reshapes of products."""
    names = [op.name for op in registry.values() if op.kind == "elementwise" and op.name]
    return rewrite(roots, dict.fromkeys(names, (_sink,)))


def _sink(node: Node) -> Node | None:
    whole = [x for x in node.inputs if x.shape == node.shape]
    shape = next((s for s in map(_rows_of, whole) if s is not None), None)
    if shape is None or not _merges(node.shape, shape):
        return None
    inputs = [_in_rows(x, node.shape, shape) for x in node.inputs]
    if any(x is None for x in inputs):
        return None
    made = make_node(node.op, tuple(x for x in inputs if x is not None), node.attrs)
    return mv.reshape(made, node.shape) if made.shape == shape else None


def _rows_of(x: Node) -> Shape | None:
    """The shape of what x is a reshape of, where that is a product or work on one."""
    if x.value is not None or x.op is not mv.RESHAPE:
        return None
    source = x.inputs[0]
    made = source.value is None and source.op.kind in ("matmul", "elementwise")
    return source.shape if made and source.shape else None


def _merges(shape: Shape, rows: Shape) -> bool:
    """Whether `rows` is `shape` with its leading axes merged into one."""
    tail = len(rows) - 1
    return 0 < tail < len(shape) - 1 and shape[len(shape) - tail :] == rows[1:]


def _in_rows(x: Node, shape: Shape, rows: Shape) -> Node | None:
    """x, which broadcasts to `shape`, as what broadcasts to `rows`; None where that is not free."""
    tail = len(rows) - 1
    while x.value is None and x.op is mv.EXPAND and _is_tail(x.inputs[0].shape, tail):
        x = x.inputs[0]
    if _is_tail(x.shape, tail):
        return mv.reshape(x, x.shape[-tail:]) if len(x.shape) > tail else x
    if x.shape != shape:
        return None
    if x.value is None and x.op is mv.RESHAPE and x.inputs[0].shape == rows:
        return x.inputs[0]
    in_memory = x.value is not None or x.op.kind in ("leaf", "matmul", "reduce", "loop", "part")
    return mv.reshape(x, rows) if in_memory else None


def _is_tail(shape: Shape, tail: int) -> bool:
    """Whether only the last `tail` axes are longer than one."""
    return all(n == 1 for n in shape[: max(0, len(shape) - tail)])

"""Compile and realize: from pending nodes to values, every stage named in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import config, dtypes
from .dtypes import DType
from .graph.node import Node, leaf, postorder, recorder
from .graph.types import Type
from .ops import interpret


def from_numpy(
    array: np.ndarray, dtype: DType | None = None, share: bool = False, requires_grad: bool = False
) -> Node:
    """A leaf with the array's values: a copy, or the array's own memory with `share` (it must then
    be C-contiguous). `dtype` names the type where NumPy has none (bfloat16, held as uint16)."""
    dtype = dtypes.from_numpy(array.dtype) if dtype is None else dtype
    stored = array if share else np.array(array, dtype.storage, order="C", copy=True)
    return leaf(stored, Type(tuple(array.shape), dtype), requires_grad)


def to_numpy(node: Node) -> np.ndarray:
    """The value of `node` as a NumPy array on the value's own memory (bfloat16 as its bits)."""
    if node.value is None:
        realize([node])
    return array_of(node)


def array_of(node: Node) -> np.ndarray:
    if isinstance(node.value, np.ndarray):
        return node.value
    return np.asarray(node.value, node.dtype.storage)


def flush() -> None:
    """Run all that is pending and still referenced."""
    realize([])


def realize(nodes: Sequence[Node]) -> None:
    """Give `nodes`, and every live storage, their values."""
    roots = _roots(nodes)
    if not roots:
        recorder.advance()
        return
    if config.current().backend == "reference":
        _run_reference(roots)
    else:
        _run_reference(roots)
    for root in roots:
        _let_go(root)
    recorder.advance()


def _roots(nodes: Sequence[Node]) -> list[Node]:
    """The nodes to run: those asked for and those that live storages hold, each once, in order."""
    found: dict[int, Node] = {}
    for reference in recorder.pending:
        storage = reference()
        if storage is not None and storage.node.value is None:
            found[id(storage.node)] = storage.node
    for node in nodes:
        if node.value is None:
            found[id(node)] = node
    return list(found.values())


def _run_reference(roots: list[Node]) -> None:
    """Run by the NumPy references; every node that a later backward may need keeps its value."""
    kept = [n for n in postorder(roots, pending_only=True) if n.value is None and _is_kept(n)]
    wanted = list({id(n): n for n in [*roots, *kept]}.values())
    given = {id(n): array_of(n) for n in postorder(roots, pending_only=True) if n.value is not None}
    for node, value in zip(wanted, interpret.evaluate(wanted, given), strict=True):
        node.value = value


def _is_kept(node: Node) -> bool:
    return node.structure.requires_grad and not node.released


def _let_go(node: Node) -> None:
    """Drop the history of a node that has its value, unless a backward may still go through it."""
    s = node.structure
    if not s.requires_grad or node.released or s.op.starts_gradient:
        node.inputs = ()

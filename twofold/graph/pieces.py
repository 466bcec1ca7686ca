"""Cutting a large graph where its parts repeat.

A program that records another number of steps each time (the episodes of reinforcement learning,
sentences read word by word) makes a new graph each time, and planning one takes far longer than
running it. But its parts repeat: a graph of 300 steps holds the pieces of one of 200. So once a
program has shown that its graphs keep growing and shrinking, new ones are cut and run in pieces,
each planned once for all of them.

Cuts must fall at the same place of every step, however long the steps are and wherever they begin.
So they depend on the nodes around them alone: a node begins a piece where the hash of it and its
neighbours is the least among those near by. (This is how backup programs find equal parts in files
that were shifted.)
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from .node import Node, Structure, is_given, postorder

SMALLEST = 512
"""Operations of a graph that is worth cutting."""

_NEAR = 32
_KINDS_BEFORE = 3
_RUNS_IN_PIECES = 8
_REMEMBERED = 4096


def pending_order(roots: Sequence[Node]) -> list[Node]:
    """The nodes to be computed for `roots`, in the order in which they were made."""
    order = [n for n in postorder(roots, pending_only=True) if not is_given(n)]
    order.sort(key=lambda node: node.serial)
    return order


class Changing:
    """Which graphs of a process keep changing their length.

    A family is all graphs of the same set of ops. The first few lengths of a family are taken for
    programs of their own, and so is a graph that comes back several times.
    """

    def __init__(self) -> None:
        self._lengths: dict[frozenset[str], set[int]] = {}
        self._runs: dict[tuple, int] = {}

    def pieces(self, roots: Sequence[Node], key: tuple) -> list[list[Node]]:
        """For a graph that no program is known for: the roots of its pieces, in the order to run
        them; none, where it is to be compiled whole."""
        order = pending_order(roots)
        if len(order) < SMALLEST:
            return []
        family = frozenset(node.structure.op.name for node in order)
        lengths = self._lengths.setdefault(family, set())
        lengths.add(len(order))
        if len(lengths) <= _KINDS_BEFORE:
            return []
        if len(self._runs) > _REMEMBERED:
            self._runs.clear()
        runs = self._runs[key] = self._runs.get(key, 0) + 1
        return [] if runs > _RUNS_IN_PIECES else cut(order, roots)


def cut(order: Sequence[Node], roots: Sequence[Node]) -> list[list[Node]]:
    """The roots of the pieces of a graph whose pending nodes are `order`: what later pieces read,
    and what is asked for."""
    starts = boundaries(order)
    piece_of: dict[int, int] = {}
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(order)], strict=True)):
        for node in order[start:end]:
            piece_of[id(node)] = number
    found: list[dict[int, Node]] = [{} for _ in starts]
    for node in order:
        for x in node.inputs:
            read = _in_memory(x)
            at = piece_of.get(id(read))
            if at is not None and at < piece_of[id(node)] and read.inputs:
                found[at][id(read)] = read
    for root in roots:
        found[piece_of[id(root)]][id(root)] = root
    return [list(piece.values()) for piece in found if piece]


def _in_memory(node: Node) -> Node:
    """What is read through a chain of movements: a view costs nothing, a copy of one would. A part
    of a larger value is copied, though: the size of the whole may be what changes."""
    while not is_given(node) and node.structure.op.kind == "movement":
        (whole,) = node.inputs
        if whole.structure.type.size > node.structure.type.size:
            break
        node = whole
    return node


def boundaries(order: Sequence[Node]) -> list[int]:
    """Where pieces begin, 0 the first."""
    known: dict[Structure, int] = {}
    own = np.array([_hash(node.structure, known) for node in order], np.uint64)
    wide = np.pad(own, 1)
    mixed = own * np.uint64(3) + wide[:-2] * np.uint64(5) + wide[2:] * np.uint64(7)
    mixed = mixed * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)
    padded = np.pad(mixed, _NEAR, constant_values=np.iinfo(np.uint64).max)
    least = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEAR + 1).min(axis=1)
    found = [0]
    for i in np.flatnonzero(mixed == least).tolist():
        if i - found[-1] >= _NEAR:
            found.append(i)
    return found


def _hash(structure: Structure, known: dict[Structure, int]) -> int:
    """A number for an op and its shape, the same in every process; attributes do not count."""
    found = known.get(structure)
    if found is None:
        text = f"{structure.op.name} {structure.shape} {structure.dtype.name}"
        found = known[structure] = zlib.crc32(text.encode())
    return found

"""Lower nodes to expressions over a kernel's axes: elementwise bodies are inlined into one another,
and movement ops become positions.

What a kernel reads appears as `load` leaves whose attribute is a `Ref`: which value, and at which
flat position. Numbers that depend on sizes appear as `word` leaves that carry the number; building
a kernel turns both into operands and run-time words. A load has up to two arguments: a guard, and,
if it is `displaced`, an offset that is data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import dtypes
from ..graph.node import Node
from ..ops import scalar
from ..ops.index import STYLES
from ..ops.scalar import Expr
from . import affine
from .affine import ZERO, Affine, Chosen

SHARING = frozenset(["reshape", "as_real", "as_complex"])
"""Ops whose result is their input's memory."""


def strip(node: Node) -> Node:
    """The node whose memory a reshaped one shares, or one that sees complex numbers as pairs."""
    while node.structure.op.name in SHARING and node.value is None:
        node = node.inputs[0]
    return node


class Cut(Exception):
    """`node` cannot be read at a position that is not affine: it must be computed into memory."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.node = node


@dataclass(frozen=True)
class Ref:
    """An element of the value of node number `node`, at flat `position`; if `displaced`, the load's
    last argument is added to it."""

    node: int
    position: Affine
    displaced: bool = False


Index = tuple[Affine, ...]


class Lowering:
    """Lowers nodes over axes of the given extents.

    `number` gives a node's number if it is in memory (or about to be), else None. The recursion is
    bounded: a value of many inlined ops is put into memory (see `partition.MAX_OPS`).
    """

    def __init__(self, extents: Sequence[int], number: Callable[[Node], int | None]) -> None:
        self.extents = tuple(extents)
        self.number = number
        self.memo: dict[tuple, Expr] = {}

    def axes(self, which: Sequence[int]) -> Index:
        """The index that walks the given axes of the kernel, one for each axis of a value."""
        return tuple(ZERO if self.extents[a] == 1 else Affine(((a, 1),)) for a in which)

    def body(self, node: Node, index: Index) -> Expr:
        """The expression that computes `node` at `index`, even if `node` itself is in memory."""
        return self._compute(node, index, None)

    def lower(self, node: Node, index: Index, guard: Expr | None = None) -> Expr:
        """The expression of `node` at `index`: a load if it is in memory."""
        number = self.number(node)
        if number is not None:
            return self._load(node, number, affine.contiguous(node.shape), index, guard)
        key = (id(node), index, guard)
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = self._compute(node, index, guard)
        return found

    def _load(
        self, node: Node, number: int, strides: Sequence[int], index: Index, guard: Expr | None
    ) -> Expr:
        flat = affine.total([i.times(s) for i, s in zip(index, strides)])
        args = () if guard is None else (guard,)
        if flat.chosen:
            offset = self.position(Affine((), 0, flat.chosen))
            ref = Ref(number, Affine(flat.terms, flat.offset), True)
            return scalar.make("load", (*args, offset), node.dtype, ref)
        return scalar.make("load", args, node.dtype, Ref(number, flat))

    def _compute(self, node: Node, index: Index, guard: Expr | None) -> Expr:
        s = node.structure
        op = s.op
        if op.kind == "elementwise":
            return self._elementwise(node, index, guard)
        if op.name == "iota":
            return self.position(index[0])
        assert op.kind != "leaf"
        if not node.inputs:
            raise Cut(node)
        x = node.inputs[0]
        if op.name == "permute":
            source: list[Affine] = [ZERO] * len(index)
            for to, axis in enumerate(s.attrs[0]):
                source[axis] = index[to]
            return self.lower(x, tuple(source), guard)
        if op.name == "expand":
            return self.lower(x, narrow(index, x.shape), guard)
        if op.name == "slice":
            moved = tuple(i.times(step, start) for i, (start, _, step) in zip(index, s.attrs[0]))
            return self.lower(x, moved, guard)
        if op.name == "windows":
            kernel, stride, dilation = s.attrs
            rank = len(kernel)
            inside = tuple(
                affine.total(
                    [index[1 + a].times(stride[a]), index[1 + rank + a].times(dilation[a])]
                )
                for a in range(rank)
            )
            return self.lower(x, (index[0], *inside, index[-1]), guard)
        if op.name == "reshape":
            return self._reshape(node, index, guard)
        if op.name in ("as_real", "as_complex"):
            number = self.number(strip(x))
            if number is None:
                raise Cut(x)
            return self._load(node, number, affine.contiguous(node.shape), index, guard)
        if op.name == "pad":
            return self._pad(node, index, guard)
        if op.name == "gather":
            return self._gather(node, index, guard)
        if op.name == "checked":
            return self._checked(node, index, guard)
        if op.name == "ravel_index":
            return self._ravel(node, index, guard)
        raise Cut(node)

    def _elementwise(self, node: Node, index: Index, guard: Expr | None) -> Expr:
        s = node.structure
        inputs = [self.lower(x, narrow(index, x.shape), guard) for x in node.inputs]
        root = s.op.expression([x.dtype for x in node.inputs], s.attrs)
        return scalar.substitute(root, lambda e: inputs[e.attr] if e.op == "operand" else None)

    def _gather(self, node: Node, index: Index, guard: Expr | None) -> Expr:
        x, *indices = node.inputs
        (rank,) = node.structure.attrs
        end = len(indices[0].shape)
        sizes = x.shape[rank : rank + len(indices)]
        places = [self.lower(i, index[:end], guard) for i in indices]
        chosen = [Affine((), 0, ((Chosen(at, n), 1),)) for at, n in zip(places, sizes)]
        value = self.lower(x, (*index[:rank], *chosen, *index[end:]), guard)
        # Where x is the same at all positions they are not read, but are checked all the same.
        within = set(scalar.postorder(value))
        for at in places:
            if at not in within and any(e.op == "checked" for e in scalar.postorder(at)):
                other = scalar.const(value.op == "const" and not value.attr, value.dtype)
                value = scalar.select(at >= scalar.const(0, dtypes.int64), value, other)
        return value

    def _checked(self, node: Node, index: Index, guard: Expr | None) -> Expr:
        size, _, style = node.structure.attrs
        site = scalar.make("word", (), dtypes.int64, ("site", id(node)))
        args = [self.lower(node.inputs[0], index, guard), word(size), site]
        if guard is not None:
            args.append(guard)
        return scalar.make("checked", args, dtypes.int64, STYLES[style][0])

    def _ravel(self, node: Node, index: Index, guard: Expr | None) -> Expr:
        (sizes,) = node.structure.attrs
        places = [Chosen(self.lower(i, index, guard), n) for i, n in zip(node.inputs, sizes)]
        return self.position(Affine((), 0, tuple(zip(places, affine.contiguous(sizes)))))

    def _reshape(self, node: Node, index: Index, guard: Expr | None) -> Expr:
        x = node.inputs[0]
        number = self.number(strip(x))
        if number is not None:
            return self._load(x, number, affine.contiguous(node.shape), index, guard)
        moved = affine.reshape(index, node.shape, x.shape, self.extents)
        if moved is None:
            raise Cut(x)
        return self.lower(x, moved, guard)

    def _pad(self, node: Node, index: Index, guard: Expr | None) -> Expr:
        x, value = node.inputs
        inside: Expr | None = None
        moved = []
        for i, n, (lo, hi) in zip(index, x.shape, node.attrs[0]):
            at = i.times(1, -lo)
            moved.append(at)
            if lo or hi:
                where = self.position(at)
                zero = scalar.const(0, dtypes.int64)
                test = (where >= zero) & (where < word(n))
                inside = test if inside is None else inside & test
        assert inside is not None
        both = inside if guard is None else guard & inside
        outside = self.lower(value, (), guard)
        return scalar.select(inside, self.lower(x, tuple(moved), both), outside)

    def position(self, i: Affine) -> Expr:
        """A position as an int64 expression; sizes in it are run-time words."""
        result: Expr | None = word(i.offset) if i.offset else None
        for axis, coefficient in i.terms:
            term = scalar.make("index", (), dtypes.int64, axis)
            if coefficient != 1:
                term = term * word(coefficient)
            result = term if result is None else result + term
        for choice, coefficient in i.chosen:
            term = choice.index if coefficient == 1 else choice.index * word(coefficient)
            result = term if result is None else result + term
        return scalar.const(0, dtypes.int64) if result is None else result


def narrow(index: Index, shape: Sequence[int]) -> Index:
    """The index of a value of `shape` that is broadcast to a value read at `index`."""
    own = index[len(index) - len(shape) :]
    return tuple(ZERO if n == 1 else i for i, n in zip(own, shape))


def word(value: int) -> Expr:
    """A number that depends on sizes, before it has a place among a kernel's words."""
    return scalar.make("word", (), dtypes.int64, ("value", value))


def view(
    node: Node, number: Callable[[Node], int | None]
) -> tuple[Node, int, tuple[int, ...]] | None:
    """`node` as (a node in memory, offset, strides in elements), or None if it must be computed."""
    if number(node) is not None:
        dense = affine.contiguous(node.shape)
        return node, 0, tuple(0 if n == 1 else s for n, s in zip(node.shape, dense))
    lowering = Lowering(node.shape, number)
    try:
        found = lowering.lower(node, lowering.axes(range(len(node.shape))))
    except Cut:
        return None
    if found.op != "load" or found.args:
        return None
    source = _source(node, number, found.attr.node)
    strides = [0] * len(node.shape)
    for axis, coefficient in found.attr.position.terms:
        strides[axis] = coefficient
    return source, found.attr.position.offset, tuple(strides)


def _source(node: Node, number: Callable[[Node], int | None], wanted: int) -> Node:
    """The node in memory, of this number, that a value reads without computing."""
    waiting = [node]
    while True:
        node = waiting.pop()
        found = number(node)
        if found == wanted:
            return node
        if found is None:
            waiting.extend(node.inputs)

"""Turn a group of nodes into a loop kernel: operands, words, and stages in an order that serves
each value before it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..dtypes import DType
from ..ops import scalar
from ..ops.reduce import order_of
from ..ops.scalar import Expr, postorder
from .affine import Affine, contiguous
from .loops import Access, LoopKernel, Reduce, Stage, Store
from .partition import Group, Member, identity


@dataclass(eq=False)
class Operand:
    """An array of a kernel: which value, where it starts (in elements), its strides per axis."""

    number: int
    dtype: DType
    offset: int
    strides: tuple[int, ...]
    is_output: bool = False


@dataclass(eq=False)
class Built:
    """A kernel with what it is to be run on."""

    kernel: LoopKernel
    extents: tuple[int, ...]
    operands: list[Operand]
    words: list[int]


class _Builder:
    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes  # domain axis of each kernel axis
        self.place = {a: k for k, a in enumerate(axes)}
        self.operands: list[Operand] = []
        self.found: dict[tuple[int, Affine, bool], int] = {}
        self.words: list[int] = []
        self.word_of: dict[tuple, int] = {}

    def access(self, number: int, dtype: DType, position: Affine, output: bool = False) -> Access:
        """The access of a value at `position`, as an operand of the kernel."""
        key = (number, position, output)
        at = self.found.get(key)
        if at is None:
            strides = [0] * len(self.axes)
            for axis, coefficient in position.terms:
                strides[self.place[axis]] = coefficient
            at = self.found[key] = len(self.operands)
            self.operands.append(Operand(number, dtype, position.offset, tuple(strides), output))
        kinds = tuple(0 if s == 0 else "s" for s in self.operands[at].strides)
        return Access(at, kinds)

    def rewrite(self, root: Expr, inside: Callable[[int], Expr | None]) -> Expr:
        """`root` with refs made accesses, or what `inside` gives for a member of this kernel."""
        done: dict[Expr, Expr] = {}
        for e in postorder(root):
            args = tuple(done[a] for a in e.args)
            if e.op == "load":
                own = inside(e.attr.node)
                if own is not None:
                    done[e] = own
                    continue
                attr = self.access(e.attr.node, e.dtype, e.attr.position)
                if attr.displaced != e.attr.displaced:
                    attr = replace(attr, displaced=e.attr.displaced)
                done[e] = scalar.make("load", args, e.dtype, attr)
            elif e.op == "index":
                done[e] = scalar.make("index", (), e.dtype, self.place[e.attr])
            elif e.op == "word":
                k = self.word_of.get(e.attr)
                if k is None:
                    k = self.word_of[e.attr] = len(self.words)
                    self.words.append(e.attr[1])
                done[e] = scalar.make("word", (), e.dtype, k)
            elif e.args:
                done[e] = scalar.make(e.op, args, e.dtype, e.attr)
            else:
                done[e] = e
        return done[root]


def build(group: Group, stored: Callable[[int], bool]) -> Built:
    """The kernel of a group; `stored` tells which members other kernels or the caller need."""
    kept, reduced = group.kept, group.reduced
    axes = (*kept, *reduced)
    builder = _Builder(axes)
    extents = tuple(group.domain[a] for a in axes)
    order = order_of(group.domain, reduced)
    values: dict[int, Expr] = {}
    reductions: list[list[Reduce]] = []
    full: dict[int, list[Store]] = {}
    point: list[Store] = []
    for member in group.members:
        expr = builder.rewrite(member.expr, values.get)
        after = 1 + max((e.attr[0] for e in postorder(expr) if e.op == "acc"), default=-1)
        if member.level == "reduce":
            while len(reductions) <= after:
                reductions.append([])
            attr = (after, len(reductions[after]))
            reductions[after].append(Reduce(member.node.structure.op.name, expr))
            expr = scalar.make("acc", (), member.node.dtype, attr)
        values[member.number] = expr
        if stored(member.number):
            store = _store(builder, group, member, expr)
            if member.level == "full":
                full.setdefault(after, []).append(store)
            else:
                point.append(store)
    stages = []
    if reduced:
        for k in range(max([len(reductions), *(a + 1 for a in full)])):
            reduces = tuple(reductions[k]) if k < len(reductions) else ()
            if reduces or k in full:
                stages.append(Stage(True, reduces, tuple(full.get(k, ()))))
        if point:
            stages.append(Stage(False, (), tuple(point)))
    else:
        stages.append(Stage(False, (), tuple(s for k in sorted(full) for s in full[k])))
    kernel = LoopKernel(
        name="reduce" if reduced else "map",
        operands=tuple(o.dtype for o in builder.operands),
        n_outer=len(kept),
        n_inner=len(reduced),
        vector="inner" if reduced and order.rows else "outer",
        stages=tuple(stages),
        n_words=len(builder.words),
        run=order.run,
    )
    return Built(kernel, extents, builder.operands, builder.words)


def _store(builder: _Builder, group: Group, member: Member, expr: Expr) -> Store:
    position = identity(group, member)
    return Store(builder.access(member.number, member.node.dtype, position, True), expr)


SUMS = -1
"""Stands for the number of the sums that a template hands to its finish."""


def finish(group: Group, number: int, sums: DType, stored: Callable[[int], bool]) -> Built:
    """What is done with each element of a template's result, value `number`: a map over its shape
    whose operand 0 holds the sums, which are first rounded to the result's type."""
    node = group.node
    assert node is not None
    builder = _Builder(tuple(range(len(node.shape))))
    place = identity(group, Member(node, number, "full", scalar.const(0, sums), ()))
    raw = scalar.make("load", (), sums, builder.access(SUMS, sums, place))
    values = {number: scalar.cast(raw, node.dtype)}
    stores = []
    if stored(number):
        access = builder.access(number, node.dtype, place, True)
        stores.append(Store(access, values[number]))
    for member in group.members:
        expr = values[member.number] = builder.rewrite(member.expr, values.get)
        if stored(member.number):
            stores.append(_store(builder, group, member, expr))
    kernel = LoopKernel(
        name="finish",
        operands=tuple(o.dtype for o in builder.operands),
        n_outer=len(node.shape),
        n_inner=0,
        vector="outer",
        stages=(Stage(False, (), tuple(stores)),),
        n_words=len(builder.words),
    )
    return Built(kernel, node.shape, builder.operands, builder.words)


def copy_kernel(
    expr: Expr, shape: tuple[int, ...], number: int, dtype: DType, offset: int, strides: list[int]
) -> Built:
    """A map over `shape` that writes `expr` into part of value `number`: at `offset`, by
    `strides`."""
    builder = _Builder(tuple(range(len(shape))))
    value = builder.rewrite(expr, lambda _: None)
    terms = tuple((a, s) for a, (s, n) in enumerate(zip(strides, shape)) if n > 1 and s)
    access = builder.access(number, dtype, Affine(terms, offset), True)
    kernel = LoopKernel(
        name="copy",
        operands=tuple(o.dtype for o in builder.operands),
        n_outer=len(shape),
        n_inner=0,
        vector="outer",
        stages=(Stage(False, (), (Store(access, value),)),),
        n_words=len(builder.words),
    )
    return Built(kernel, shape, builder.operands, builder.words)


def row_major(shape: tuple[int, ...]) -> list[int]:
    """Strides of a dense array of `shape`."""
    return list(contiguous(shape))

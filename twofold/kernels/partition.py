"""Fusion: cut a graph into groups of nodes, each to be one kernel.

`decide` chooses the nodes whose values lie in memory; everything else is inlined into its users.
`group` then merges the loops of those nodes. `may_join` says what is legal, `gain` what is worth
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod

from ..graph.node import Node, is_given
from ..ops.reduce import order_of
from ..ops.scalar import Expr, postorder
from . import attention, convolve
from .affine import Affine, contiguous
from .loops import CHUNK, DEAR, joined
from .lower import Cut, Lowering, strip, view

MAX_OPS = 160
"""Operations inlined into one value, at most about."""

MAX_STORES = 12
MAX_LOADS = 24
"""Arrays that one kernel writes and reads, at most."""

TURN_LIMIT = 16384
"""Elements from which on an array is turned before it is reduced across its rows."""

SLOW = DEAR | {"div", "sqrt", "rsqrt"}
"""Operations that are not done again for every row of what their small result is broadcast to."""

SMALL = 64
"""How many times larger than an array a value is that reads it from a cache."""

ROWS_WORTH = 64
"""Rows from which on they are not."""

INLINED = ("elementwise", "movement", "pad", "iota", "gather", "checked", "ravel_index")
COPIED = ("concatenate", "slice_put")
"""Ops run as copies into parts of their output, whose inputs are inlined into the copies."""


def copied(node: Node) -> tuple[Node, ...]:
    """The inputs that a template does not read from memory but computes in a copy: all of the ops
    in `COPIED`, what a scatter starts from, and what a loop starts with."""
    kind = node.structure.op.kind
    if kind in ("loop", "while"):
        return node.inputs[: node.attrs[1]]
    return node.inputs if kind in COPIED else node.inputs[:1] if kind == "scatter" else ()


def finishes(node: Node) -> bool:
    """Whether a template also does elementwise work on its result, on each element as soon as it is
    there."""
    kind = node.structure.op.kind
    if kind == "conv_input":
        return all(s == 1 for s in node.structure.attrs[1])
    return kind in ("matmul", "conv")


def images(node: Node) -> tuple[Node, ...]:
    """The inputs of a convolution that hold channels at positions: those that are no weights."""
    kind = node.structure.op.kind
    count = {"conv": 1, "conv_input": 1, "conv_weight": 2, "pool_max_input": 2}.get(kind, 0)
    return node.inputs[:count]


@dataclass(eq=False)
class Member:
    """A node in memory or reduced, with its expression over the group's axes."""

    node: Node
    number: int
    level: str  # "full", "point" or "reduce"
    expr: Expr
    refs: tuple[Expr, ...]  # the load leaves


@dataclass(eq=False)
class Group:
    """Nodes that one kernel computes. `domain` are the extents of its axes, `reduced` the reduced
    ones; a template's group has just the template's node."""

    kind: str
    position: int
    domain: tuple[int, ...] = ()
    reduced: tuple[int, ...] = ()
    members: list[Member] = field(default_factory=list)
    node: Node | None = None
    inputs: tuple[tuple[Node, int, tuple[int, ...]], ...] = ()
    upstream: int = 0  # bit set of the groups that must run before

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(a for a in range(len(self.domain)) if a not in self.reduced)

    @property
    def is_row(self) -> bool:
        """Whether lanes lie along the reduced axes and a whole row, which stays in cache, is one
        chunk of its sums."""
        inner = prod(self.domain[a] for a in self.reduced)
        return order_of(self.domain, self.reduced).rows and inner <= CHUNK

    @property
    def walks_once(self) -> bool:
        """Whether no work over the whole domain waits for a result of a reduction."""
        inside = {m.number: m for m in self.members}
        reads = [(m, inside.get(e.attr.node)) for m in self.members for e in m.refs]
        return all(own is None or own.level == "full" for m, own in reads if m.level != "point")


class Partition:
    """The outcome: which nodes are in memory, under which number, and the groups in order."""

    def __init__(self, roots: Sequence[Node], order: Sequence[Node]) -> None:
        self.order = order
        self.numbers: dict[int, int] = {}
        self.nodes: list[Node] = []
        self.roots = {id(strip(r)) for r in roots}
        self.groups: list[Group] = []
        self.home: dict[int, Group] = {}
        self.members: dict[tuple, Member] = {}
        self.lowered: dict[int, Expr] = {}
        _decide(self, roots)
        _group(self)

    def number(self, node: Node) -> int | None:
        """The number of a node in memory, else None."""
        return self.numbers.get(id(node))

    def put(self, node: Node) -> bool:
        """Put `node` into memory; False if it was there."""
        node = strip(node)
        if id(node) in self.numbers:
            return False
        self.numbers[id(node)] = len(self.nodes)
        self.nodes.append(node)
        return True


def _decide(p: Partition, roots: Sequence[Node]) -> None:
    """Choose what is in memory: leaves, roots, reductions, templates and what they read, values
    used more than once that are dear to compute, what is gathered from at more places than it has,
    and what cannot be read through a reshape."""
    uses: dict[int, int] = {}
    for node in p.order:
        if not is_given(node):
            for x in node.inputs:
                uses[id(x)] = uses.get(id(x), 0) + 1
    for root in roots:
        p.put(root)
    size: dict[int, int] = {}
    heavy: dict[int, int] = {}
    loads: dict[int, int] = {}
    large: dict[int, int] = {}
    slow: dict[int, bool] = {}
    for node in p.order:
        kind = node.structure.op.kind
        if is_given(node) or kind not in INLINED:
            p.put(node)
            size[id(node)], heavy[id(node)], loads[id(node)], large[id(node)] = 0, 0, 1, 1
            slow[id(node)] = False
            if not is_given(node) and kind != "reduce":
                _template_inputs(p, node)
            continue
        x = node.inputs[0] if node.inputs else node
        cost = loads[id(x)] + heavy[id(x)] if kind == "gather" else 0
        if prod(node.shape) * cost > prod(x.shape) and not _is_window(p, x):
            p.put(x)
            size[id(x)], heavy[id(x)], loads[id(x)], large[id(x)] = 0, 0, 1, 1
        for x in node.inputs:
            if slow[id(x)] and _is_row(x) and prod(node.shape) >= ROWS_WORTH * prod(x.shape):
                p.put(x)
                size[id(x)], heavy[id(x)], loads[id(x)], large[id(x)] = 0, 0, 1, 1
                slow[id(x)] = False
        slow[id(node)] = node.structure.op.name in SLOW or any(slow[id(x)] for x in node.inputs)
        n = 1 + sum(size[id(x)] for x in node.inputs)
        h = (node.structure.op.name in DEAR) + sum(heavy[id(x)] for x in node.inputs)
        arrays = sum(loads[id(x)] for x in node.inputs if x.shape)
        # What is small stays in a cache: to read it again costs little.
        far = sum(large[id(x)] for x in node.inputs if prod(x.shape) * SMALL >= prod(node.shape))
        scattered = kind == "gather" and len(node.shape) == len(node.inputs[1].shape)
        repeated = uses.get(id(node), 0) > 1 and (kind == "elementwise" or scattered)
        if repeated and (h or far > 2 or n > 8) and prod(node.shape) > 1:
            p.put(node)
        if repeated and (n > 24 or scattered):
            p.put(node)
        if n > MAX_OPS or arrays > MAX_LOADS - 4:
            p.put(node)
        if id(node) in p.numbers:
            n, h, arrays, far = 0, 0, 1, 1
            slow[id(node)] = False
        size[id(node)], heavy[id(node)], loads[id(node)], large[id(node)] = n, h, arrays, far
    _cut(p)


def _is_row(node: Node) -> bool:
    """Whether a node has elements along its last axis alone."""
    return bool(node.shape) and node.shape[-1] == prod(node.shape) > 1


def _is_window(p: Partition, node: Node) -> bool:
    """Whether a node is a value in memory seen through movement alone."""
    while id(node) not in p.numbers:
        if node.structure.op.kind != "movement":
            return False
        node = node.inputs[0]
    return True


def _template_inputs(p: Partition, node: Node) -> None:
    """Put into memory each input that is not a strided view of something in memory."""
    first = len(copied(node))
    kind = node.structure.op.kind
    # A body reads what it gets as dense arrays: a whole constant, or a row of a sequence.
    rows_end = first + node.structure.attrs[2] if kind == "loop" else first
    for i, x in enumerate(node.inputs[first:], first):
        found = view(x, p.number)
        if found is not None and kind in ("loop", "while", "branch"):
            if not _is_dense(x.shape, found[2], 1 if i < rows_end else 0):
                p.put(x)
        elif found is None or not _is_readable(node, x, found[2]):
            p.put(x)


def _is_readable(node: Node, x: Node, strides: tuple[int, ...]) -> bool:
    """Whether the template of `node` reads its input `x` by these strides."""
    if node.structure.op.kind in ("attention", "attention_gradients"):
        is_mask = x in node.structure.op.rest(node.inputs, node.attrs)[0]
        return attention.is_readable(x.shape, strides, is_mask)
    if node.structure.op.kind == "block_product":
        return _is_dense(x.shape, strides, 1 if x is node.inputs[0] else 0)
    return x not in images(node) or convolve.is_readable(x.shape, strides)


def _is_dense(shape: Sequence[int], strides: Sequence[int], first: int) -> bool:
    """Whether the axes from the `first` on are row-major and dense."""
    dense = contiguous(shape)
    return all(n == 1 or s == d for n, s, d in list(zip(shape, strides, dense))[first:])


def _cut(p: Partition) -> None:
    """Lower everything once, putting into memory what cannot be inlined."""
    done = 0
    made: list[tuple[Node, Expr, int]] = []
    while done < len(p.nodes):
        node = p.nodes[done]
        kind = node.structure.op.kind
        try:
            if is_given(node):
                pass
            elif kind in (*INLINED, "reduce"):
                made.append((node, _lowered(p, node), len(p.nodes)))
            else:
                for x in copied(node):
                    lowering = Lowering(x.shape, p.number)
                    lowering.lower(x, lowering.axes(range(len(x.shape))))
        except Cut as cut:
            p.put(cut.node)
            continue
        done += 1
    # What was lowered before the last node was put into memory may have inlined it.
    p.lowered = {id(node): expr for node, expr, n in made if n == len(p.nodes)}


def _lowered(p: Partition, node: Node) -> Expr:
    if node.structure.op.kind == "reduce":
        x = node.inputs[0]
        lowering = Lowering(x.shape, p.number)
        expr = lowering.lower(x, lowering.axes(range(len(x.shape))))
        if _is_ordered(node) and (
            not _walks_joined(x.shape, node.structure.attrs[0], expr) or _is_turned(x.shape, expr)
        ):
            raise Cut(x)
        return expr
    lowering = Lowering(node.shape, p.number)
    return lowering.body(node, lowering.axes(range(len(node.shape))))


def _is_ordered(node: Node) -> bool:
    """Whether the value depends on the order in which elements are reduced."""
    return node.structure.op.kind == "reduce" and (
        node.structure.op.rounds and node.dtype.is_floating_point
    )


def _walks_joined(domain: tuple[int, ...], reduced: tuple[int, ...], expr: Expr) -> bool:
    """Whether the axes that a reduction joins can be walked as one wherever `expr` reads. If not,
    the order of its sums would tell what it is fused with."""
    order = order_of(domain, reduced)
    count = joined(tuple(domain[a] for a in order.axes), order.rows, order.run)
    pairs = list(pairwise(order.axes[len(order.axes) - count :]))
    if not pairs:
        return True
    moving = {a for pair in pairs for a in pair}
    for e in postorder(expr):
        if e.op == "index" and e.attr in moving:
            return False
        if e.op == "load":
            step = dict(e.attr.position.terms)
            if any(step.get(a, 0) != step.get(b, 0) * domain[b] for a, b in pairs):
                return False
    return True


def _is_turned(domain: tuple[int, ...], expr: Expr) -> bool:
    """Whether lanes would lie along an axis whose neighbours are far apart in a large array, since
    another axis has the adjacent ones: it is then faster to turn the array first."""
    if prod(domain) < TURN_LIMIT:
        return False
    last = max(a for a, n in enumerate(domain) if n != 1)
    for e in postorder(expr):
        if e.op == "load":
            step = dict(e.attr.position.terms)
            if abs(step.pop(last, 0)) > 1 and 1 in step.values():
                return True
    return False


def _group(p: Partition) -> None:
    """Place each node in memory in a group, in the order of the graph."""
    for node in p.order:
        if id(node) not in p.numbers or is_given(node) or strip(node) is not node:
            continue
        kind = node.structure.op.kind
        if kind in INLINED or kind == "reduce":
            if prod(node.shape) == 0:
                continue
            _place(p, node)
        else:
            group = _new_group(p, kind)
            group.node = node
            if finishes(node):
                group.domain = node.shape
            _depend(p, group, [_producer(p, x) for x in template_reads(p, node)])
            p.home[p.numbers[id(node)]] = group


def template_reads(p: Partition, node: Node) -> list[Node]:
    """The nodes in memory that a template's node reads."""
    found: dict[int, Node] = {}
    stack = list(node.inputs)
    while stack:
        x = stack.pop()
        if id(x) in p.numbers:
            found[id(x)] = x
        else:
            stack.extend(x.inputs)
    return list(found.values())


def _new_group(p: Partition, kind: str) -> Group:
    group = Group(kind, len(p.groups))
    p.groups.append(group)
    return group


def _producer(p: Partition, node: Node) -> Group | None:
    return p.home.get(p.numbers[id(node)])


def _depend(p: Partition, group: Group, on: Sequence[Group | None]) -> None:
    """Make `group` run after the groups `on`, and tell those that run after it."""
    added = 0
    for other in on:
        if other is not None and other is not group:
            added |= other.upstream | 1 << other.position
    if added & ~group.upstream:
        group.upstream |= added
        bit = 1 << group.position
        for other in p.groups:
            if other.upstream & bit:
                other.upstream |= group.upstream


def _place(p: Partition, node: Node) -> None:
    """Join the latest group that `node` may join and gains from, or start a new one."""
    for group in reversed(p.groups[-48:]):
        member = may_join(p, group, node)
        if member is not None and gain(group, member):
            _join(p, group, member)
            return
    group = _new_group(p, "loops")
    if node.structure.op.kind == "reduce":
        group.domain, group.reduced = node.inputs[0].shape, node.structure.attrs[0]
        level = "reduce"
    else:
        group.domain, level = node.shape, "full"
    _join(p, group, _member(p, group, node, level, range(len(group.domain))))


def _join(p: Partition, group: Group, member: Member) -> None:
    if member.level == "reduce" and not group.reduced:
        group.reduced = member.node.structure.attrs[0]
    group.members.append(member)
    p.home[member.number] = group
    _depend(p, group, [p.home.get(e.attr.node) for e in member.refs])


def _member(p: Partition, group: Group, node: Node, level: str, axes: Sequence[int]) -> Member:
    """`node` over the axes of a group. The same for all groups of one domain, so made once."""
    key = (id(node), level, group.domain, tuple(axes))
    found = p.members.get(key)
    if found is None:
        lowering = Lowering(group.domain, p.number)
        if level != "point" and id(node) in p.lowered:
            expr = p.lowered[id(node)]  # over its own axes, as `_cut` left it
        elif level == "reduce":
            expr = lowering.lower(node.inputs[0], lowering.axes(axes))
        else:
            expr = lowering.body(node, lowering.axes(axes))
        refs = tuple(e for e in postorder(expr) if e.op == "load")
        found = p.members[key] = Member(node, p.numbers[id(node)], level, expr, refs)
    return found


def may_join(p: Partition, group: Group, node: Node) -> Member | None:
    """`node` as a member of `group`, or None where that is not legal.

    Legal: the same domain (or, for a node over the kept axes, their extents); no way round through
    another group; what it reads of the group lies at the very same point; and a second walk over
    the domain only where rows stay in cache.
    """
    if group.node is not None:
        return _may_finish(p, group, node) if finishes(group.node) else None
    reduces = node.structure.op.kind == "reduce"
    axes: tuple[int, ...] = ()
    shape = node.inputs[0].shape if reduces else node.shape
    if len(group.members) >= MAX_STORES:
        return None
    if reduces:
        if shape != group.domain:
            return None
        axes = node.structure.attrs[0]
        if group.reduced and group.reduced != axes:
            return None
        level, over = "reduce", tuple(range(len(shape)))
    elif shape == group.domain:
        level, over = "full", tuple(range(len(shape)))
    elif group.reduced:
        matched = _match(shape, group)
        if matched is None:
            return None
        level, over = "point", matched
    else:
        return None
    member = _member(p, group, node, level, over)
    everyone = [member, *group.members]
    if any(_is_ordered(m.node) for m in everyone) and not all(
        _walks_joined(group.domain, group.reduced or axes, m.expr) for m in everyone
    ):
        return None
    bit = 1 << group.position
    inside = {m.number: m for m in group.members}
    walks_again = False
    arrays = {e.attr.node for e in member.refs}
    for m in group.members:
        arrays.update(e.attr.node for e in m.refs)
    if len(arrays) > MAX_LOADS:
        return None
    for e in member.refs:
        own = inside.get(e.attr.node)
        if own is not None:
            if e.attr.displaced or e.attr.position != identity(group, own):
                return None
            walks_again |= own.level != "full" and level != "point"
            continue
        home = p.home.get(e.attr.node)
        if home is not None and home.upstream & bit:
            return None
    mixes = level != "point" and (
        walks_again
        or (level == "full" and bool(group.reduced))
        or (level == "reduce" and any(m.level == "full" for m in group.members))
    )
    if mixes:
        trial = Group("loops", -1, group.domain, group.reduced or node.structure.attrs[0])
        trial.members = everyone
        if not trial.is_row and (walks_again or not _walks_in_chunks(trial)):
            return None
    return member


def _walks_in_chunks(group: Group) -> bool:
    """Whether a group that reduces rows may share them between threads, chunk by chunk, and write
    other values on the way."""
    ops = [m.node.structure.op for m in group.members if m.level == "reduce"]
    rows = order_of(group.domain, group.reduced).rows
    return rows and not any(op.name.startswith("arg") for op in ops)


def _may_finish(p: Partition, group: Group, node: Node) -> Member | None:
    """`node` as work on the result of a template, or None where that is not legal.

    Legal: elementwise over the result's shape; it reads the result, or what is made of it, at the
    very same point, and nothing that waits for the template.
    """
    assert group.node is not None
    if node.structure.op.kind == "reduce" or node.shape != group.domain:
        return None
    if len(group.members) >= MAX_STORES - 1:
        return None
    member = _member(p, group, node, "full", range(len(node.shape)))
    if any(e.op in ("index", "checked") for e in postorder(member.expr)):
        return None
    inside = {p.numbers[id(group.node)], *(m.number for m in group.members)}
    place, reads = identity(group, member), False
    for e in member.refs:
        if e.attr.node in inside:
            if e.args or e.attr.position != place:
                return None
            reads = True
        elif (home := p.home.get(e.attr.node)) is not None and home.upstream >> group.position & 1:
            return None
    return member if reads else None


def gain(group: Group, member: Member) -> bool:
    """Whether sharing a kernel saves memory traffic: both read one array, or one reads the other.
    A map that turns an array does so in squares, which a kernel that reduces does not have."""
    if group.node is not None:
        return True
    if (group.reduced or member.level == "reduce") and any(
        m.level == "full" and _is_turned(group.domain, m.expr) for m in (member, *group.members)
    ):
        return False
    theirs = {m.number for m in group.members}
    for m in group.members:
        theirs.update(e.attr.node for e in m.refs if e.attr.position.terms)
    return any(e.attr.node in theirs for e in member.refs)


def identity(group: Group, member: Member) -> Affine:
    """The flat position of a member's element at the group's own point."""
    axes = range(len(group.domain)) if member.level == "full" else group.kept
    terms, stride = [], 1
    for a in reversed(axes):
        if group.domain[a] > 1:
            terms.append((a, stride))
        stride *= group.domain[a]
    return Affine(tuple(reversed(terms)))


def _match(shape: tuple[int, ...], group: Group) -> tuple[int, ...] | None:
    """For each axis of `shape`, the kept axis of the group that it walks; None if they differ. Axes
    of one element walk any axis, as they stand still."""
    kept = [a for a in group.kept if group.domain[a] > 1]
    still = next((a for a, n in enumerate(group.domain) if n == 1), None)
    result = []
    for n in shape:
        if n == 1:
            if still is None:
                return None
            result.append(still)
        elif kept and group.domain[kept[0]] == n:
            result.append(kept.pop(0))
        else:
            return None
    return None if kept else tuple(result)

"""Branches and loops of unknown length: the launches of bodies, and the jumps between them.

    branch      unless f0: after A; b0; A: goto E; unless f1: after B; b1; B: goto E; b2; E: mark
    loop        init; A: enter; go; unless go: after B; next; B: goto A

A body is scheduled as a graph of its own, and reads and writes the arrays of the graph around it.
Each carried value of a loop lies in one place. The next one is written there at once where that is
safe (work on each element alone, a row set in an array), else copied there at the end of the round,
so that all of a round is computed from what was before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..graph.node import Node, postorder
from ..ops.body import Body
from . import scatter
from .affine import contiguous
from .launch import Array, Buffer, Jump, Launch
from .lower import strip
from .overwrite import overwrite
from .rounds import hoisted, read_from

if TYPE_CHECKING:
    from .schedule import Scheduler


def branch(s: Scheduler, node: Node) -> list[Launch]:
    """The launches of all branches; each writes the parts that are used."""
    body, branches = node.attrs
    parts = s.parts.get(id(node), {})
    if not parts:
        return []
    flags = s.input(node.inputs[0])[0]
    operands = [s.input(x)[0] for x in node.inputs[1:]]
    into = [Array(s.buffers[k]) for k in parts.values()]
    n = len(body.outputs) // branches
    end = _jump(node, Jump("mark", closes=True))
    launches: list[Launch] = []
    for b in range(branches):
        outputs = [body.outputs[b * n + i] for i in parts]
        work = _written(s, body, outputs, operands, into)
        if b == branches - 1:
            launches += work
            break
        leave = _jump(node, Jump("goto", to=end))
        flag = Array(flags.buffer, flags.offset + b)
        launches.append(_jump(node, Jump("unless", flag, leave, opens=not b), flag.buffer))
        launches += [*work, leave]
    return [*launches, end] if branches > 1 else launches


def _jump(node: Node, jump: Jump, *touched: Buffer) -> Launch:
    label = f"{node.structure.op.name}: {jump.kind}"
    return Launch(None, [], 0, 1, touched, (), label=label, nodes=(node,), jump=jump)


def _written(
    s: Scheduler, body: Body, outputs: Sequence[Node], operands: Sequence[Array],
    into: Sequence[Array],
) -> list[Launch]:  # fmt: skip
    """Launches that write `outputs` of a body over `operands` to arrays."""
    inner = s.inner(outputs)
    known = _given(inner, body, operands)
    launches = list(inner.launches)
    for y, at in zip(outputs, into):
        buffer, _ = inner.where(y)
        if buffer is None or id(buffer) in known:
            buffer, copies = inner.copy_out(y)
            launches += copies
        known[id(buffer)] = at
    return _bound(launches, known)


def _given(inner: Scheduler, body: Body, operands: Sequence[Array]) -> dict[int, Array]:
    """The arrays that stand for the buffers of a body's parameters."""
    known: dict[int, Array] = {}
    for p, at in zip(body.parameters, operands, strict=True):
        number = inner.partition.number(p)
        if number is not None:
            known[id(inner.buffers[number])] = at
    return known


def _bound(launches: list[Launch], known: dict[int, Array]) -> list[Launch]:
    """The launches, reading and writing the arrays that are `known`."""
    for launch in launches:
        read_from(launch, known)
    return launches


def while_loop(s: Scheduler, node: Node) -> list[Launch]:
    """What is carried into the loop goes to its place; then the loop."""
    body, n = node.attrs[:2]
    parts = s.parts.get(id(node), {})
    needed = _needed(body, n, parts)
    place: dict[int, Array] = {}
    launches: list[Launch] = []
    for i in needed:
        x = node.inputs[i]
        buffer = s.buffers[parts[i]] if i in parts else _temporary(x, "carried")
        place[i] = Array(buffer)
        launches += s.copy_to(place[i], x)
    if not parts:
        return []
    unused = Array(Buffer(0, "temp", "unused"))
    operands = [place.get(i, unused) for i in range(n)]
    operands += [s.input(x)[0] for x in node.inputs[n:]]
    flag = Array(Buffer(1, "temp", "go"))
    test = _written(s, body, body.outputs[:1], operands, [flag])
    step = _Step(s, body, place, operands).launches()
    moving = {id(at.buffer) for at in place.values()}
    before, test = hoisted(test, moving, may_be_none=True)
    more, step = hoisted(step, moving, may_be_none=True)
    own = {id(b) for launch in (*test, *step) for b in launch.writes} - moving
    touched = {id(at.buffer): at.buffer for at in place.values()}
    for launch in (*test, *step):
        touched.update((id(b), b) for b in launch.reads if id(b) not in own)
    given = tuple(touched.values())
    enter = _jump(node, Jump("enter", opens=True), *given)
    back = _jump(node, Jump("goto", to=enter, closes=True), *given)
    enter.writes = back.writes = given
    leave = _jump(node, Jump("unless", flag, back, leaves=True), flag.buffer)
    return [*launches, *before, *more, enter, *test, leave, *step, back]


def _temporary(like: Node, name: str) -> Buffer:
    return Buffer(like.type.n_bytes, "temp", name)


def _needed(body: Body, n: int, parts: dict[int, int]) -> list[int]:
    """The carried values that results, the condition, or other needed ones depend on."""
    number = {id(p): i for i, p in enumerate(body.parameters[:n])}
    found: set[int] = set()
    roots = [body.outputs[0], *[body.outputs[1 + i] for i in parts]]
    new = set(parts)
    while roots:
        found |= new
        below = {number[id(x)] for x in postorder(roots) if id(x) in number}
        new = below - found
        roots = [body.outputs[1 + i] for i in new]
    return sorted(found)


@dataclass
class _Rows:
    """A carried array in which one step sets rows."""

    node: Node
    values: Node
    positions: Node


def _rows_set(body: Body, after: dict[int, Node]) -> dict[int, _Rows]:
    """The carried values of which a step only sets rows, and that nothing else reads then."""
    own, found = body.parameters, {}
    for i, y in after.items():
        node = strip(y)
        if node.structure.op.kind == "scatter" and strip(node.inputs[0]) is own[i]:
            found[i] = _Rows(node, *node.inputs[1:])
    while found:
        roots = [y for i, y in after.items() if i not in found]
        for r in found.values():
            roots += [r.values, r.positions]
        read = {id(x) for x in postorder(roots)}
        kept = {i: r for i, r in found.items() if id(r.node) not in read}
        if len(kept) == len(found):
            break
        found = kept
    return found


class _Step:
    """The launches that turn carried values into those of the next round: what is read before
    anything is written, the step itself, what is written at its end."""

    def __init__(
        self, s: Scheduler, body: Body, place: dict[int, Array], operands: Sequence[Array]
    ) -> None:
        own = body.parameters
        after = {i: body.outputs[1 + i] for i in place if body.outputs[1 + i] is not own[i]}
        rows = _rows_set(body, after)
        computed = [i for i in after if i not in rows]
        outputs = [after[i] for i in computed]
        for r in rows.values():
            outputs += [r.values, r.positions]
        self.first: list[Launch] = []
        self.last: list[Launch] = []
        self.threads = s.threads
        inner = self.inner = s.inner(outputs)
        pairs = [(k, own[i]) for k, i in enumerate(computed)]
        self.known = _given(inner, body, operands)
        written = set()
        for k, _ in overwrite(inner, outputs, pairs):
            buffer, _ = inner.where(outputs[k])
            self.known[id(buffer)] = place[computed[k]]
            written.add(computed[k])
        for i in computed:
            if i not in written:
                self._compute(after[i], place[i], inner.partition.number(own[i]) is None)
        for i, r in rows.items():
            self._set_rows(r, place[i])

    def launches(self) -> list[Launch]:
        """All, in order."""
        return _bound([*self.first, *self.inner.launches, *self.last], self.known)

    def _compute(self, y: Node, at: Array, is_free: bool) -> None:
        """Value y comes to lie at `at`, directly if that `is_free`: nobody reads what is there."""
        buffer, _ = self.inner.where(y)
        own = buffer is not None and buffer.kind == "output" and id(buffer) not in self.known
        if is_free and own:
            self.known[id(buffer)] = at
            return
        held = self._held(y)
        to, copies = self.inner.copy_out(y, held)
        self.known[id(to)] = at
        self.last += copies

    def _held(self, y: Node) -> Buffer:
        """The memory that holds y until the end of the step; what is carried may be written over by
        then."""
        buffer, _ = self.inner.where(y)
        if buffer is None:
            buffer = Buffer(y.type.n_bytes, "temp", "held")
            self.first += self.inner.copy_to(Array(buffer), y)
        elif buffer.kind == "output" and id(buffer) not in self.known:
            buffer.kind = "temp"
        return buffer

    def _set_rows(self, r: _Rows, at: Array) -> None:
        """Write rows where the array lies, after all of the step has read it."""
        op, (b, n, width) = r.node.structure.op, r.node.shape
        if not r.values.type.size:
            return
        values = (Array(self._held(r.values)), contiguous(r.values.shape))
        positions = (Array(self._held(r.positions)), contiguous(r.positions.shape))
        sizes = (b, n, width, r.values.shape[1])
        made = scatter.schedule(
            op.function, r.node.dtype, sizes, at, values, positions, self.threads
        )
        for launch in made:
            launch.nodes, launch.label = (r.node,), op.name
        self.last += made

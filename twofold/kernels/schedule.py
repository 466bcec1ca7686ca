"""From a graph to launches: every group of the partition becomes one launch or a few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from ..dtypes import DType
from ..graph.node import LEAF, Node, is_given, postorder
from ..machine import Target
from ..ops import movement as mv
from ..ops.scan import accumulator
from . import (
    attention,
    blocks,
    call,
    compact,
    convolve,
    jumps,
    loop_schedule,
    matmul,
    pool,
    rounds,
    scan,
    scatter,
    sort,
    transpose,
)
from .affine import contiguous
from .build import Built, build, copy_kernel, finish
from .finish import Finish
from .launch import Array, Buffer, Launch
from .lower import Lowering, strip, view
from .partition import Group, Partition

Input = tuple[Array, tuple[int, ...]]
"""A template's input: where it starts, and its strides in elements, one for each axis."""

Template = Callable[["Scheduler", Node, Sequence[Input], Array], list[Launch]]


class Scheduler:
    """Buffers of the values in memory, and the launches that fill them."""

    def __init__(
        self, roots: Sequence[Node], target: Target, threads: int, kept: Sequence[Node] = ()
    ) -> None:
        """`kept` are nodes whose values are to be stored where a template makes them. `order` are
        all nodes, those within loops too."""
        self.target = target
        self.threads = threads
        order = postorder(roots, pending_only=True)
        self.partition = Partition(roots, order)
        self.scalars = Buffer(0, "scalars", "scalars")
        self.buffers: dict[int, Buffer] = {}
        self.scalar_at: dict[int, int] = {}
        self.leaves: list[Node] = []
        self.order = list(order)
        self.wanted = self._wanted(kept)
        self.launches: list[Launch] = []
        self.parts: dict[int, dict[int, int]] = {}
        self._extra = len(self.partition.nodes)
        for k, node in enumerate(self.partition.nodes):
            self._make_buffer(k, node)
            if node.structure.op.kind == "part" and not is_given(node):
                self.parts.setdefault(id(node.inputs[0]), {}).setdefault(node.attrs[0], k)
        for group in self._ordered():
            self.launches += self._launches(group)

    def _wanted(self, kept: Sequence[Node]) -> set[int]:
        """Numbers of the values that must be stored: roots, and what another kernel reads."""
        p = self.partition
        wanted = {p.numbers[i] for i in p.roots}
        for group in p.groups:
            for member in group.members:
                for e in member.refs:
                    if p.home.get(e.attr.node) is not group:
                        wanted.add(e.attr.node)
            if group.node is not None and not group.members:
                wanted.add(p.numbers[id(group.node)])
        stripped = {id(strip(node)) for node in kept}
        wanted.update(p.numbers[i] for i in stripped if i in p.numbers and i in self._templates())
        for group in p.groups:
            if group.node is not None:
                for x in group.node.inputs:
                    wanted.update(self._numbers_below(x))
        return wanted

    def _templates(self) -> set[int]:
        return {id(group.node) for group in self.partition.groups if group.node is not None}

    def _numbers_below(self, x: Node) -> list[int]:
        """Numbers of the values in memory from which `x` is made."""
        found, stack = [], [x]
        while stack:
            node = stack.pop()
            number = self.partition.number(node)
            if number is None:
                stack.extend(node.inputs)
            else:
                found.append(number)
        return found

    def _make_buffer(self, k: int, node: Node) -> None:
        if is_given(node):
            if node.structure.op is LEAF and node.structure.attrs[0]:
                self.scalar_at[k] = len(self.scalar_at)
                self.buffers[k] = self.scalars
                self.scalars.n_bytes += 8
            else:
                self.buffers[k] = Buffer(node.type.n_bytes, "leaf", f"leaf{len(self.leaves)}")
            self.leaves.append(node)
            return
        kind = "output" if id(node) in self.partition.roots else "temp"
        self.buffers[k] = Buffer(node.type.n_bytes, kind, f"{node.structure.op.name}{k}")

    def _ordered(self) -> list[Group]:
        """The groups, each after those it waits for, else in the order they were made."""
        waiting, done, result = list(self.partition.groups), 0, []
        while waiting:
            i = next(i for i, group in enumerate(waiting) if not group.upstream & ~done)
            group = waiting.pop(i)
            result.append(group)
            done |= 1 << group.position
        return result

    def _launches(self, group: Group) -> list[Launch]:
        if group.kind == "loops":
            built = build(group, self.wanted.__contains__)
            nodes = tuple(m.node for m in group.members)
            return self.loops(built, nodes)
        node = group.node
        assert node is not None
        if group.kind == "branch":
            return jumps.branch(self, node)
        if group.kind == "while":
            return jumps.while_loop(self, node)
        if group.kind == "part":
            return self._part(node)
        if prod(node.shape) == 0:
            return []
        if group.kind == "matmul":
            return self._product(group, node)
        if group.kind in ("conv", "conv_input"):
            return self._convolution(group, node)
        out = Array(self.buffers[self.partition.numbers[id(node)]])
        if group.kind == "concatenate":
            return self._concatenate(node)
        if group.kind == "slice_put":
            return self._slice_put(node)
        if group.kind == "scatter":
            return self._scatter(node, out)
        if group.kind == "loop":
            return self._loop(node)
        launches = TEMPLATES[group.kind](self, node, [self.input(x) for x in node.inputs], out)
        for launch in launches:
            launch.nodes = launch.nodes or (node,)
            launch.label = launch.label or node.structure.op.name
        return launches

    def loops(self, built: Built, nodes: tuple[Node, ...]) -> list[Launch]:
        """The launches of a loop kernel."""
        arrays = []
        for o in built.operands:
            at = self.array(o.number, o.offset, o.dtype.itemsize)
            arrays.append((at, o.strides))
        launches = transpose.of_copy(built, arrays, self.target, self.threads)
        if launches is None:
            launches = loop_schedule.schedule(
                built.kernel, built.extents, arrays, built.words, self.target, self.threads
            )
        for launch in launches:
            launch.nodes = nodes
            launch.label = "+".join(n.structure.op.name for n in nodes[:4])
        return launches

    def array(self, number: int, offset: int, itemsize: int) -> Array:
        """Element `offset` of a value in memory."""
        if number in self.scalar_at:
            return Array(self.scalars, self.scalar_at[number] * 8)
        return Array(self.buffers[number], offset * itemsize)

    def input(self, x: Node) -> Input:
        """A template's input as an array with strides."""
        found = view(x, self.partition.number)
        assert found is not None
        source, offset, strides = found
        return self.array(self.partition.numbers[id(source)], offset, x.dtype.itemsize), strides

    def _product(self, group: Group, node: Node) -> list[Launch]:
        """A product and what is done with it. Its sums go straight to its own memory if that is
        wanted and holds them."""
        number = self.partition.numbers[id(node)]
        sums = matmul.sums_dtype(node.dtype)
        direct = number in self.wanted and sums is node.dtype
        c = (Array(self.buffers[number]), contiguous(node.shape)) if direct else None
        work = None
        if group.members or not direct:
            wanted = self.wanted - {number} if direct else self.wanted
            work = self._finish(group, number, sums, wanted)
        *batch, m, n = node.shape
        a, b = (self.input(x) for x in node.inputs)
        sizes = (m, n, node.inputs[0].shape[-1])
        launches = matmul.schedule(
            node.dtype, sizes, batch, a, b, c, work, self.target, self.threads
        )
        return _labelled(launches, group)

    def _finish(self, group: Group, number: int, sums: DType, wanted: set[int]) -> Finish:
        """What is done with a template's result, value `number`, that comes as `sums`."""
        built = finish(group, number, sums, wanted.__contains__)
        arrays = [
            (self.array(o.number, o.offset, o.dtype.itemsize), o.strides)
            for o in built.operands[1:]
        ]
        return Finish(built.kernel, arrays, built.words)

    def _convolution(self, group: Group, node: Node) -> list[Launch]:
        """A convolution and what is done with it."""
        number = self.partition.numbers[id(node)]
        work = None
        if group.members:
            work = self._finish(group, number, node.dtype.compute, self.wanted)
        out = convolve.Output(Array(self.buffers[number]), node.shape, work)
        a, b = (self.input(x) for x in node.inputs)
        shapes = (node.inputs[0].shape, node.inputs[1].shape, node.shape)
        launches = (convolve.forward if group.kind == "conv" else convolve.backward_input)(
            shapes, node.attrs, a, b, out, node.dtype, self.target, self.threads
        )
        return _labelled(launches, group)

    def _concatenate(self, node: Node) -> list[Launch]:
        """One copy for each part, into its place."""
        axis, strides = node.structure.attrs[0], contiguous(node.shape)
        launches: list[Launch] = []
        start = 0
        for x in node.inputs:
            if x.type.size:
                launches += self._copy(node, x, start * strides[axis], strides)
            start += x.shape[axis]
        return launches

    def _slice_put(self, node: Node) -> list[Launch]:
        """A copy of the whole, then of the part over it."""
        x, v = node.inputs
        strides = contiguous(node.shape)
        bounds = node.structure.attrs[0]
        launches = self._copy(node, x, 0, strides)
        if v.type.size:
            offset = sum(start * s for (start, _, _), s in zip(bounds, strides))
            steps = [step * s for (_, _, step), s in zip(bounds, strides)]
            launches += self._copy(node, v, offset, steps)
        return launches

    def _copy(self, node: Node, source: Node, at: int, steps: Sequence[int]) -> list[Launch]:
        """Launches that compute `source` into node's memory from element `at` by `steps`."""
        number = self.partition.numbers[id(node)]
        lowering = Lowering(source.shape, self.partition.number)
        expr = lowering.lower(source, lowering.axes(range(len(source.shape))))
        built = copy_kernel(expr, source.shape, number, source.dtype, at, list(steps))
        return self.loops(built, (node,))

    def _scatter(self, node: Node, out: Array) -> list[Launch]:
        """A copy of the start, then the values one after the other."""
        x, v, i = node.inputs
        b, n, r = node.shape
        launches = self._copy(node, x, 0, contiguous(node.shape))
        if v.type.size:
            launches += scatter.schedule(
                node.structure.op.function,
                node.dtype,
                (b, n, r, v.shape[1]),
                out,
                self.input(v),
                self.input(i),
                self.threads,
            )
            launches[-1].nodes = (node,)
        return launches

    def _loop(self, node: Node) -> list[Launch]:
        """What is carried into the loop goes into its first rows; then the rounds."""
        body, carried, sequences, _, steps, reverse = node.attrs
        out, size = self.buffers[self.partition.numbers[id(node)]], node.dtype.itemsize
        launches: list[Launch] = []
        before, after, start = [], [], 0
        for i, y in enumerate(body.outputs):
            n = prod(y.shape)
            step = -n * size if reverse else n * size
            first, second = (steps, steps - 1) if reverse else (0, 1)
            if i < carried:
                x = node.inputs[i]
                before.append(rounds.Rows(Array(out, (start + first * n) * size), step))
                launches += self._copy(node, x, start + first * n, contiguous(x.shape)) if n else []
            else:
                second = steps - 1 if reverse else 0
            after.append(rounds.Rows(Array(out, (start + second * n) * size), step))
            start += n * (steps + (i < carried))
        if not steps:
            return launches
        inner = self.inner(body.outputs)
        rows, constants = [], {}
        for i, (p, x) in enumerate(zip(body.parameters, node.inputs)):
            number = inner.partition.number(p)
            if number is None:
                continue
            if i < carried:
                rows.append(rounds.place(inner.buffers[number], before[i]))
                continue
            array, strides = self.input(x)
            if i < carried + sequences:
                step = strides[0] * x.dtype.itemsize
                at = array.offset + (step * (steps - 1) if reverse else 0)
                where = rounds.Rows(Array(array.buffer, at), -step if reverse else step)
                rows.append(rounds.place(inner.buffers[number], where))
            else:
                constants[id(inner.buffers[number])] = array
        copies: list[Launch] = []
        for y, where in zip(body.outputs, after):
            buffer, _ = output_buffer(inner, y)
            if buffer is None or buffer.kind != "output":
                buffer, made = inner.copy_out(y)
                copies += made
            rows.append(rounds.place(buffer, where))
        body_launches = [*inner.launches, *copies]
        return launches + rounds.launches_of(node, steps, body_launches, rows, constants)

    def _part(self, node: Node) -> list[Launch]:
        """Nothing, as the op that has several results writes each where it lies; a copy for a
        further node of the same part."""
        first = self.parts[id(node.inputs[0])][node.attrs[0]]
        if self.partition.nodes[first] is node or not node.type.size:
            return []
        return self.copy_to(
            Array(self.buffers[self.partition.numbers[id(node)]]), self.partition.nodes[first]
        )

    def copy_out(self, node: Node, held: Buffer | None = None) -> tuple[Buffer, list[Launch]]:
        """A new output, and launches that copy a value, which may be `held` already, into it."""
        buffer = Buffer(node.type.n_bytes, "output", "copy")
        return buffer, self.copy_to(Array(buffer), node, held)

    def copy_to(self, at: Array, node: Node, held: Buffer | None = None) -> list[Launch]:
        """Launches that copy, or compute, a value, which may be `held` already, into an array."""
        if not node.type.size:
            return []
        source = None if held is None else self._number_of(held)

        def number_of(x: Node) -> int | None:
            return source if x is node and source is not None else self.partition.number(x)

        lowering = Lowering(node.shape, number_of)
        expr = lowering.lower(node, lowering.axes(range(len(node.shape))))
        number = self._number_of(at.buffer)
        strides = list(contiguous(node.shape))
        first = at.offset // node.dtype.itemsize
        built = copy_kernel(expr, node.shape, number, node.dtype, first, strides)
        return self.loops(built, (node,))

    def _number_of(self, buffer: Buffer) -> int:
        """A new number for memory that is no node's."""
        number, self._extra = self._extra, self._extra + 1
        self.buffers[number] = buffer
        return number

    def inner(self, roots: Sequence[Node]) -> Scheduler:
        """A scheduler of a body, whose nodes belong to these, too."""
        made = Scheduler(roots, self.target, self.threads)
        self.order += made.order
        return made

    def where(self, root: Node) -> tuple[Buffer | None, Node]:
        """Where the value of a root lies: its buffer, or the leaf whose value it shares."""
        return output_buffer(self, root)


def _labelled(launches: list[Launch], group: Group) -> list[Launch]:
    """Launches that know of what they do: a template, and then work on its result."""
    assert group.node is not None
    nodes = (group.node, *(member.node for member in group.members))
    for launch in launches:
        launch.nodes = nodes
        launch.label = launch.label or "+".join(x.structure.op.name for x in nodes[:4])
    return launches


def _scan(s: Scheduler, node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    op, dtype = node.structure.op, node.inputs[0].dtype
    wide = dtype.compute if op.function.startswith("arg") else accumulator(dtype)
    reverse = bool(node.attrs and node.attrs[0])
    b, n, r = node.shape
    types = (dtype, wide, node.dtype)
    return scan.schedule(op.function, types, (b, n, r), inputs, out, reverse, s.threads)


def _argsort(s: Scheduler, node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    dtype, (b, n) = node.inputs[0].dtype, node.shape
    return sort.schedule(dtype, node.attrs[0], (b, n), inputs[0], out, s.threads)


def _argtop(s: Scheduler, node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    dtype, (b, n), (k, largest) = node.inputs[0].dtype, node.inputs[0].shape, node.attrs
    return sort.schedule_top(dtype, largest, (b, n), k, inputs[0], out, s.threads)


def _compact(s: Scheduler, node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    return compact.schedule(node.dtype, node.inputs[0].shape[0], node.shape[0], inputs, out)


def _searchsorted(s: Scheduler, node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    seq, (b, k) = node.inputs[0], node.shape
    sizes = (b, seq.shape[1], k)
    return sort.schedule_search(seq.dtype, node.attrs[0], sizes, inputs, out)


def _conv_weight(s: Scheduler, node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    (x, g), (a, b), launches = node.inputs, inputs, []
    shapes, attrs = (x.shape, g.shape, node.shape), node.attrs
    if convolve.needs_padded_copy(shapes, attrs, node.dtype, s.target):
        padding = attrs[2]
        wide = mv.pad(x, ((0, 0), *padding, (0, 0)))
        padded = Array(Buffer(wide.type.n_bytes, "temp", "padded"))
        launches = s.copy_to(padded, wide)
        a = padded, contiguous(wide.shape)
        shapes, attrs = (
            (wide.shape, *shapes[1:]),
            (*attrs[:2], ((0, 0),) * len(padding), *attrs[3:]),
        )
    return launches + convolve.backward_weight(
        shapes, attrs, a, b, out, node.dtype, s.target, s.threads
    )


def _pool(s: Scheduler, node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    shapes = (node.inputs[0].shape, node.inputs[1].shape, node.shape)
    a, b = inputs
    return pool.backward_max(shapes, node.attrs, a, b, out, node.dtype, s.target, s.threads)


def _attention(s: Scheduler, node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    op, attrs = node.structure.op, node.attrs
    masks, stream = op.rest(inputs, attrs)
    mask = None
    if masks:
        given = node.inputs[op.operands]
        mask = masks[0], given.shape, given.dtype
    shapes = [x.shape for x in node.inputs[:3]]
    own, words = inputs[: op.operands], [x for x, _ in stream]
    start = None
    if op.starts:
        start, attrs = words.pop(), (attrs[0], False, 0.0)
    return attention.schedule(node.dtype, shapes, attrs, own, mask, words, start, out, s.target)


def _block_product(s: Scheduler, node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    shapes, kinds = [x.shape for x in node.inputs], [x.dtype for x in node.inputs]
    return [blocks.schedule(shapes, kinds, inputs, node.attrs[0], out, s.threads)]


def _call(s: Scheduler, node: Node, inputs: Sequence[Input], out: Array) -> list[Launch]:
    return call.schedule(node, inputs, out)


TEMPLATES: dict[str, Template] = {
    "attention": _attention,
    "attention_gradients": _attention,
    "block_product": _block_product,
    "call": _call,
    "searchsorted": _searchsorted,
    "compact": _compact,
    "conv_weight": _conv_weight,
    "pool_max_input": _pool,
    "scan": _scan,
    "argsort": _argsort,
    "argtop": _argtop,
}
"""How each kind of template is scheduled."""


def output_buffer(scheduler: Scheduler, root: Node) -> tuple[Buffer | None, Node]:
    """Where the value of a root lies: its buffer, or the leaf whose value it shares."""
    source = strip(root)
    if is_given(source):
        return None, source
    return scheduler.buffers[scheduler.partition.numbers[id(source)]], source

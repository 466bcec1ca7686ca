"""Loops whose number of steps depends on values.

A loop carries values from step to step, from those that it is given, as long as its condition
holds:

    while go(c, w):  c = next(c, w)

Its gradient goes through the same steps from the last to the first, and needs the values that each
step began with. Where the number of steps has a maximum, a loop that gradients will be asked of
records them as it runs, in arrays of so many rows, carried like other values. Else they are
computed again for each step, from the first on: no memory, but time that grows with the square of
the number of steps.

A loop that is to be counted or recorded is a loop with more carried values, so neither has a rule
of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..graph.node import Node, postorder, recorder
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import interpret
from . import movement as mv
from . import reduce as rd
from .base import register
from .body import Body, for_all_steps, pull_back, substitute, trace
from .branch import choose
from .bundle import Bundle, cotangents_of, flat_type, part, parts_of, zeros
from .index import GATHER, SCATTER_SET
from .scalar_numpy import to_held, to_stored

_COUNT = Type((), dtypes.int64)


class While(Bundle):
    """c = next(c, w) while go(c, w), from c given: (*carried, *constants) -> carried. The body's
    outputs are go, a bool without axes, and the next carried values.

    Carried value `counter` counts the steps, of which there are at most `maximum`; -1 where that is
    not known. The last carried values hold what those of numbers `recorded` were before each step.
    """

    name = "while_loop"
    kind = "while"
    params = ("body", "carried", "maximum", "counter", "recorded")

    def parts(self, attrs: tuple) -> list[Type]:
        return [y.type for y in attrs[0].outputs[1:]]

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        body, carried = attrs[:2]
        self.check(body, types)
        go, *after = [y.type for y in body.outputs]
        if go != Type((), dtypes.bool_):
            raise RuntimeError(f"[while_loop] goes on while one bool holds; got {go}")
        if after != types[:carried]:
            raise RuntimeError(
                f"[while_loop] carried values must keep their types; got {after} for "
                f"{types[:carried]}"
            )
        return flat_type(after)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        body, n, maximum, counter, recorded = node.attrs
        if counter < 0:
            made = make_node(self, *_counted(node.inputs, node.attrs))
            of = list(self.gradient(made, g))
            return (*of[:n], *of[n + 1 :])
        carried, constants = node.inputs[:n], node.inputs[n:]
        floats = tuple(i for i, x in enumerate(carried) if x.dtype.is_floating_point)
        wanted = tuple(
            j for j, x in enumerate(constants) if x.requires_grad and x.dtype.is_floating_point
        )
        backward = _Backward(body, n, floats, wanted)
        if maximum >= 0 and not backward.reads <= {counter, *recorded}:
            reads = tuple(sorted(backward.reads - {counter}))
            inputs, attrs = _recording(node.inputs, node.attrs, reads)
            made = make_node(self, inputs, attrs)
            of = list(self.gradient(made, mv.pad(g, ((0, made.shape[0] - g.shape[0]),))))
            return (*of[:n], *of[n + len(reads) :])
        seeds = [s for s in cotangents_of(g, self.parts(node.attrs)) if s is not None]
        found = backward.loop(node, seeds)
        result: list[Node | None] = [None] * len(node.inputs)
        for i, y in zip([*floats, *[n + j for j in wanted]], found, strict=True):
            result[i] = y
        return tuple(result)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        """A loop of the batched body that goes on while it does for an example; those that are done
        keep their values. Carried values that are the same for all examples stay so."""
        body, n, maximum, counter, _ = attrs
        flags = list(batched)
        while True:
            marked = {id(p) for p, flag in zip(body.parameters, flags) if flag}
            _mark(body.outputs, marked)
            go, *after = [id(y) in marked for y in body.outputs]
            grown = [flag or go or new for flag, new in zip(flags, after)]
            if grown == flags[:n]:
                break
            flags[:n] = grown
        given = [
            x if is_batched or not flag else mv.expand(x, (size, *x.shape))
            for x, is_batched, flag in zip(inputs, batched, flags)
        ]

        def step(parameters: list[Node]) -> list[Node]:
            env = {id(p): q for p, q in zip(body.parameters, parameters)}
            marked = {id(p) for p, flag in zip(body.parameters, flags) if flag}
            made = for_all_steps(body.outputs, env, marked, size)
            after = [
                y if id(z) in marked or not flag else mv.expand(y, (size, *y.shape))
                for z, y, flag in zip(body.outputs[1:], made[1:], flags)
            ]
            if id(body.outputs[0]) not in marked:
                return [made[0], *after]
            after = [choose(made[0], y, c) for y, c in zip(after, parameters)]
            return [rd.reduce("any", made[0], (0,)), *after]

        made, numbers = trace(step, [x.type for x in given])
        own = -1 if counter < 0 or flags[counter] else counter
        return make_node(self, (*given, *numbers), (made, n, maximum, own, ()))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> Any:
        body, n = attrs[:2]
        stored = [to_stored(a, t.dtype) for a, t in zip(arrays, types)]
        while True:
            given = {id(p): x for p, x in zip(body.parameters, stored)}
            (go,) = interpret.evaluate(body.outputs[:1], given)
            if not go:
                return [to_held(x, t.dtype) for x, t in zip(stored[:n], types)]
            stored[:n] = interpret.evaluate(body.outputs[1:], given)


WHILE = register(While())


def while_loop(
    body: Body, carried: Sequence[Node], constants: Sequence[Node], maximum: int | None
) -> list[Node]:
    """The values that a loop carries at its end. `body` takes carried values and constants, and
    gives whether to go on, then the next carried values."""
    inputs: tuple[Node, ...] = (*carried, *constants)
    attrs: tuple = (body, len(carried), -1 if maximum is None else maximum, -1, ())
    if maximum is not None:
        inputs, attrs = _counted(inputs, attrs)
        needs = [x.requires_grad and x.dtype.is_floating_point for x in inputs]
        if recorder.grad_enabled and any(needs):
            n = attrs[1]
            floats = tuple(i for i, x in enumerate(inputs[:n]) if x.dtype.is_floating_point)
            wanted = tuple(j for j, needed in enumerate(needs[n:]) if needed)
            reads = _Backward(attrs[0], n, floats, wanted).reads - {attrs[3]}
            inputs, attrs = _recording(inputs, attrs, tuple(sorted(reads)))
    return parts_of(make_node(WHILE, inputs, attrs))[: len(carried)]


def _mark(roots: Sequence[Node], marked: set[int]) -> None:
    """Add the ids of all nodes that depend on `marked`."""
    for node in postorder(roots):
        if any(id(x) in marked for x in node.inputs):
            marked.add(id(node))


def _counted(inputs: Sequence[Node], attrs: tuple) -> tuple[tuple[Node, ...], tuple]:
    """Inputs and attributes of the same loop with a counter as its last carried value."""
    body, n, maximum, _, _ = attrs
    key = f"counted {n} {maximum}"
    if key not in body.derived:
        own = body.parameters

        def step(parameters: list[Node]) -> list[Node]:
            count = parameters[n]
            env = {id(p): q for p, q in zip(own, [*parameters[:n], *parameters[n + 1 :]])}
            go, *after = substitute(body.outputs, env)
            if maximum >= 0:
                go = ew.and_(go, ew.lt(count, ew.constant(maximum, dtypes.int64)))
            return [go, *after, ew.add(count, ew.constant(1, dtypes.int64))]

        types = [p.type for p in own]
        body.derived[key], _ = trace(step, [*types[:n], _COUNT, *types[n:]])
    zero = ew.constant(0, dtypes.int64)
    made = (body.derived[key], n + 1, maximum, n, ())
    return (*inputs[:n], zero, *inputs[n:]), made


def _recording(
    inputs: Sequence[Node], attrs: tuple, reads: tuple[int, ...]
) -> tuple[tuple[Node, ...], tuple]:
    """Inputs and attributes of the same counted loop that also records the values `reads`."""
    body, n, maximum, counter, _ = attrs
    own = body.parameters
    records = [Type((maximum, *own[i].shape), own[i].dtype) for i in reads]
    key = f"recording {n} {maximum} {counter} {reads}"
    if key not in body.derived:
        m = n + len(reads)

        def step(parameters: list[Node]) -> list[Node]:
            env = {id(p): q for p, q in zip(own, [*parameters[:n], *parameters[m:]])}
            made = substitute(body.outputs, env)
            count = parameters[counter]
            rows = [
                _with_row(record, count, parameters[i]) for i, record in zip(reads, parameters[n:m])
            ]
            return [*made, *rows]

        types = [p.type for p in own]
        body.derived[key], _ = trace(step, [*types[:n], *records, *types[n:]])
    empty = [zeros(t) for t in records]
    made = (body.derived[key], n + len(reads), maximum, counter, reads)
    return (*inputs[:n], *empty, *inputs[n:]), made


def _with_row(record: Node, at: Node, value: Node) -> Node:
    """`record` with `value` as row `at`."""
    rows, size = record.shape[0], value.type.size
    flat = mv.reshape(record, (1, rows, size))
    position = mv.reshape(at, (1, 1))
    made = make_node(SCATTER_SET, (flat, mv.reshape(value, (1, 1, size)), position), ())
    return mv.reshape(made, record.shape)


def _row(record: Node, at: Node) -> Node:
    """Row `at` of `record`."""
    shape = record.shape[1:]
    flat = mv.reshape(record, (1, record.shape[0], int(np.prod(shape))))
    return mv.reshape(make_node(GATHER, (flat, mv.reshape(at, (1, 1))), (1,)), shape)


class _Backward:
    """The gradient of one step of `body`: from the cotangents of the carried values `floats` after
    it to those before it, and to those of the constants `wanted`. It `reads` these carried values.
    """

    def __init__(
        self, body: Body, carried: int, floats: tuple[int, ...], wanted: tuple[int, ...]
    ) -> None:
        self.of, self.carried, self.floats, self.wanted = body, carried, floats, wanted
        own = body.parameters
        self.targets = [*[own[i] for i in floats], *[own[carried + j] for j in wanted]]
        key = f"backward {carried} {floats} {wanted}"
        found = body.derived.get(key)
        if found is None:
            seeds = [own[i].type for i in floats]
            made, numbers = trace(self._step, [*[p.type for p in own], *seeds])
            used = {id(n) for n in postorder(made.outputs)}
            before = made.parameters[:carried]
            reads = {i for i, p in enumerate(before) if id(p) in used}
            found = body.derived[key] = made, numbers, reads
        self.body: Body = found[0]
        self.numbers: list[Node] = found[1]
        self.reads: set[int] = found[2]

    def _step(self, parameters: list[Node]) -> list[Node]:
        own = self.of.parameters
        outputs = [self.of.outputs[1 + i] for i in self.floats]
        found = pull_back(outputs, parameters[len(own) :], self.targets)
        env = {id(p): q for p, q in zip(own, parameters)}
        env.update({id(p): p for p in parameters})
        return [
            zeros(p.type) if g is None else substitute([g], env)[0]
            for p, g in zip(self.targets, found)
        ]

    def loop(self, node: Node, seeds: Sequence[Node]) -> list[Node]:
        """The cotangents of the floats that the loop `node` began with and of the constants, from
        those of the floats at its end."""
        n, maximum, counter = node.attrs[1:4]
        constants = node.inputs[n:]
        steps = part(node, counter)
        totals = [zeros(p.type) for p in self.targets[len(self.floats) :]]
        one = ew.constant(1, dtypes.int64)

        def step(parameters: list[Node]) -> list[Node]:
            left, *sums = parameters
            at = ew.sub(left, one)
            before = self._before(node, at)
            given = [*before, *constants, *sums[: len(self.floats)], *self.numbers]
            env = {id(p): q for p, q in zip(self.body.parameters, given) if q is not None}
            made = substitute(self.body.outputs, env)
            own = made[len(self.floats) :]
            added = [ew.add(total, g) for total, g in zip(sums[len(self.floats) :], own)]
            go = ew.gt(left, ew.constant(0, dtypes.int64))
            return [go, at, *made[: len(self.floats)], *added]

        carried = [steps, *seeds, *totals]
        body, outside = trace(step, [x.type for x in carried])
        limit = maximum if maximum >= 0 and recorder.grad_enabled else None
        return while_loop(body, carried, outside, limit)[1:]

    def _before(self, node: Node, at: Node) -> list[Node | None]:
        """What the loop `node` carried before step `at`, where it is read: recorded, or computed
        again."""
        body, n, maximum, counter, recorded = node.attrs
        found: list[Node | None] = [None] * n
        if counter in self.reads:
            found[counter] = at
        rest = self.reads - {counter}
        if rest <= set(recorded):
            first = n - len(recorded)
            for k, i in enumerate(recorded):
                found[i] = _row(part(node, first + k), at)
            return found
        key = f"limited {n} {counter}"
        if key not in body.derived:

            def step(parameters: list[Node]) -> list[Node]:
                *own, limit = parameters
                env = {id(p): q for p, q in zip(body.parameters, own)}
                made = substitute(body.outputs[1:], env)
                return [ew.lt(own[counter], limit), *made]

            types = [p.type for p in body.parameters]
            body.derived[key], _ = trace(step, [*types, _COUNT])
        inputs = (*node.inputs, at)
        again = make_node(WHILE, inputs, (body.derived[key], n, maximum, counter, ()))
        for i in rest:
            found[i] = part(again, i)
        return found

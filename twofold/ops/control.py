"""Control: a loop over time as one op, with a body that is itself a graph.

A loop carries k values from step to step. In step t its body gets the carried values, row t of each
sequence, and the constants, and gives the next carried values and a row of each output:

    c[t + 1], y[t] = body(c[t], s[t], w)        for t = 0 ... T - 1, c[0] given
    c[t], y[t] = body(c[t + 1], s[t], w)        for t = T - 1 ... 0, c[T] given (reverse)

A node has one value, so the loop's is flat: all T + 1 rows of each carried value, one after the
other, then the T rows of each output (`rows` gives them as nodes). The rows of the carried values
are what the gradient needs.

Before the loop is made, `loop` moves out of the body what does not depend on carried values and is
dear: it is computed for all steps at once, by the batching rules of its ops. So the input products
of a recurrent layer are one product. Products that do depend on carried values become outputs, if a
gradient will be asked for. The gradient is a loop the other way, which only takes the cotangents of
the carried values from step to step (what it needs of the forward pass again moves out of it), and
then the gradient of one batched body, for sequences and constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..graph.node import Node, parameter, postorder, recorder
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import interpret
from . import movement as mv
from .base import Op, register
from .body import (
    Body,
    constant,
    for_all_steps,
    interned,
    pull_back,
    read_body,
    recording,
    substitute,
    trace,
)
from .scalar_numpy import to_held, to_stored

_DEAR = frozenset(
    "exp exp2 expm1 log log2 log10 log1p cbrt sin cos tan asin acos atan sinh cosh tanh asinh "
    "acosh atanh erf erfc erfinv lgamma digamma sigmoid pow atan2 hypot div sqrt".split()
)
"""Elementwise ops that are worth computing for all steps at once."""

_CHEAP_KINDS = ("elementwise", "movement", "pad", "iota")
_PRODUCTS = ("matmul", "conv", "conv_input", "conv_weight")
"""Kinds of ops whose results the gradient keeps rather than computes again."""


class Loop(Op):
    """T steps of `body`: (*carried at the start, *sequences (T, ...), *constants) -> all rows of
    carried values (T + 1 each) and of outputs (T each), flat.

    `carried` and `sequences` count those inputs; the last `saved` outputs are products kept for the
    gradient.
    """

    name = "loop"
    kind = "loop"
    has_body = True
    params = ("body", "carried", "sequences", "saved", "steps", "reverse")

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        body, carried, sequences, _, steps, _ = attrs
        given = [p.type for p in body.parameters]
        if len(types) != len(given):
            raise RuntimeError(f"[loop] the body takes {len(given)} values; got {len(types)}")
        for i, (t, wanted) in enumerate(zip(types, given)):
            shape = wanted.shape
            if carried <= i < carried + sequences:
                shape = (steps, *shape)
            if t.shape != shape or t.dtype is not wanted.dtype:
                raise RuntimeError(f"[loop] input {i} must be {wanted} a step; got {t}")
        for i, y in enumerate(body.outputs[:carried]):
            if y.type != types[i]:
                raise RuntimeError(
                    f"[loop] carried value {i} must keep its type; got {y.type!r} for "
                    f"{types[i]!r}; try .to() or expand() on the values that the loop starts with"
                )
        kinds = {y.dtype for y in body.outputs}
        if len(kinds) != 1:
            raise RuntimeError(
                f"[loop] carried values and outputs must have one dtype; got "
                f"{sorted(d.name for d in kinds)}; try .to()"
            )
        return body.outputs[0].type.with_shape((sum(_lengths(attrs)),))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        body, carried, sequences, saved, steps, reverse = node.attrs
        outputs = len(body.outputs) - carried - saved
        inputs = node.inputs
        flat = {"of": rows(node), "g": rows(g, node.attrs)}
        before, after = (1, 0) if reverse else (0, 1)
        given = [cut(r, before, steps) for r in flat["of"][:carried]]
        # Where the gradient will be differentiated, products are computed again: a cotangent of
        # those kept would be work in every first gradient.
        kept = [] if recorder.grad_enabled else flat["of"][carried + outputs :]
        g_carried, g_rows = flat["g"][:carried], flat["g"][carried : carried + outputs]
        last = 0 if reverse else steps
        backward, numbers = _backward_body(body, carried, sequences, saved, bool(kept))
        back = loop(
            backward,
            [row(r, last) for r in g_carried],
            [
                *given,
                *inputs[carried : carried + sequences],
                *kept,
                *g_rows,
                *[cut(r, before, steps) for r in g_carried],
            ],
            [*inputs[carried + sequences :], *numbers],
            steps,
            not reverse,
        )
        totals = back[:carried]
        result: list[Node | None] = [row(r, steps if reverse else 0) for r in totals]
        rest = inputs[carried:]
        if any(x.requires_grad for x in rest):
            seeds = [*[cut(r, after, steps) for r in totals], *g_rows]
            result += _of_all_steps(node.attrs, given, kept, rest, seeds)
        else:
            result += [None] * len(rest)
        return tuple(result)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        """A loop of the batched body; the new axis comes after that of the steps."""
        body, carried, sequences, saved, steps, reverse = attrs
        types, own, flags = [], [], []
        for i, (x, is_batched) in enumerate(zip(inputs, batched)):
            is_sequence = carried <= i < carried + sequences
            if not is_batched and i < carried:
                x, is_batched = mv.expand(x, (size, *x.shape)), True
            if is_batched and is_sequence:
                x = mv.permute(x, (1, 0, *range(2, len(x.shape))))
            own.append(x)
            flags.append(is_batched)
            types.append(x.type.with_shape(x.shape[1:]) if is_sequence else x.type)

        def step(parameters: list[Node]) -> list[Node]:
            env = {id(p): q for p, q in zip(body.parameters, parameters)}
            marked = {id(p) for p, is_batched in zip(body.parameters, flags) if is_batched}
            return [
                y if id(z) in marked else mv.expand(y, (size, *y.shape))
                for z, y in zip(body.outputs, for_all_steps(body.outputs, env, marked, size))
            ]

        made, _ = trace(step, types)
        node = make_node(self, tuple(own), (made, carried, sequences, saved, steps, reverse))
        parts = [
            mv.reshape(mv.permute(r, (1, 0, *range(2, len(r.shape)))), (size, n))
            for r, n in zip(rows(node), _lengths(attrs))
        ]
        return mv.concatenate(parts, 1)

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        body, carried, sequences, _, steps, reverse = attrs
        stored = [to_stored(a, t.dtype) for a, t in zip(arrays, types)]
        state = stored[:carried]
        found: list[list[np.ndarray]] = [[x] for x in state] + [[] for _ in body.outputs[carried:]]
        for t in reversed(range(steps)) if reverse else range(steps):
            now = [
                *state,
                *[s[t] for s in stored[carried : carried + sequences]],
                *stored[carried + sequences :],
            ]
            given = {id(p): x for p, x in zip(body.parameters, now)}
            values = interpret.evaluate(body.outputs, given)
            state = values[:carried]
            for rows_of, value in zip(found, values):
                rows_of.append(value)
        parts = [np.ravel(r[::-1] if reverse else r) for r in found if r]
        return to_held(np.concatenate(parts), out.dtype)

    def read(self, attrs: tuple) -> tuple:
        return read_body(attrs)


LOOP = register(Loop())


def _lengths(attrs: tuple) -> list[int]:
    """Elements of each part of a loop's flat value."""
    body, carried, _, _, steps, _ = attrs
    return [math.prod(y.shape) * (steps + (i < carried)) for i, y in enumerate(body.outputs)]


def rows(node: Node, attrs: tuple | None = None) -> list[Node]:
    """The parts of a loop's value (or of its cotangent, with the loop's `attrs`): (T + 1, ...) for
    each carried value, (T, ...) for each output."""
    attrs = node.attrs if attrs is None else attrs
    body, carried, _, _, steps, _ = attrs
    found, start = [], 0
    for i, (y, n) in enumerate(zip(body.outputs, _lengths(attrs))):
        part = mv.slice_(node, ((start, n, 1),))
        found.append(mv.reshape(part, (steps + (i < carried), *y.shape)))
        start += n
    return found


def cut(x: Node, start: int, size: int) -> Node:
    """Rows `start` to `start + size`."""
    return mv.slice_(x, ((start, size, 1), *((0, n, 1) for n in x.shape[1:])))


def row(x: Node, at: int) -> Node:
    """Row `at`."""
    return mv.reshape(cut(x, at, 1), x.shape[1:])


def loop(
    body: Body,
    carried: Sequence[Node],
    sequences: Sequence[Node],
    constants: Sequence[Node],
    steps: int,
    reverse: bool,
) -> list[Node]:
    """The rows of a loop's carried values and outputs. `body` takes carried values, sequences, and
    constants, in this order."""
    key = f"split {len(carried)} {len(sequences)}"
    split = body.derived.get(key)
    if split is None:
        split = body.derived[key] = _Split(body, len(carried), len(sequences))
    given = [*carried, *sequences, *constants]
    env = {id(p): x for p, x in zip(body.parameters, given, strict=True)}
    n = len(carried)
    batched = {id(p) for p in body.parameters[n : n + len(sequences)]}
    for_all_steps([*split.sequences, *split.constants], env, batched, steps)
    inputs = (*carried, *[env[id(x)] for x in (*split.sequences, *split.constants)])
    body, saved = split.body, 0
    if recorder.grad_enabled and any(x.requires_grad for x in inputs):
        body, saved = _with_products(body)
    attrs = (body, n, len(split.sequences), saved, steps, reverse)
    found = rows(make_node(LOOP, inputs, attrs))
    return found[: len(found) - saved] if saved else found


class _Split:
    """What of a body moves out of its loop: nodes for all steps (`sequences`), nodes that are the
    same in each (`constants`), and the `body` that is left, which takes these in place of its own.
    """

    def __init__(self, body: Body, carried: int, sequences: int) -> None:
        own = body.parameters
        moving = {id(p) for p in own[:carried]}
        by_step = {id(p) for p in own[carried : carried + sequences]}
        dear: set[int] = set()
        order = postorder(body.outputs)
        for node in order:
            below = [id(x) for x in node.inputs]
            if any(i in moving for i in below):
                moving.add(id(node))
            elif any(i in by_step for i in below):
                by_step.add(id(node))
                kind, name = node.structure.op.kind, node.structure.op.name
                if kind not in _CHEAP_KINDS or name in _DEAR or any(i in dear for i in below):
                    dear.add(id(node))
        self.sequences: list[Node] = []
        self.constants: list[Node] = []
        chosen = {id(p) for p in own[:carried]} | constant(body.outputs)

        def choose(x: Node) -> None:
            """Make x a parameter of the body that is left, or what it is made of."""
            if id(x) in chosen or id(x) in moving:
                return
            if id(x) in by_step:
                if x.inputs and id(x) not in dear:
                    for y in x.inputs:
                        choose(y)
                    return
                self.sequences.append(x)
            else:
                self.constants.append(x)
            chosen.add(id(x))

        for node in order:
            if id(node) in moving:
                for x in node.inputs:
                    choose(x)
        for y in body.outputs:
            choose(y)

        def step(parameters: list[Node]) -> list[Node]:
            old = [*own[:carried], *self.sequences, *self.constants]
            return substitute(body.outputs, {id(x): p for x, p in zip(old, parameters)})

        old = [*own[:carried], *self.sequences, *self.constants]
        self.body, _ = trace(step, [x.type for x in old])


def _with_products(body: Body) -> tuple[Body, int]:
    """`body` with its products as further outputs, and how many these are."""
    found = body.derived.get("products")
    if found is None:
        products = [n for n in postorder(body.outputs) if n.structure.op.kind in _PRODUCTS]
        products = [n for n in products if n.dtype is body.outputs[0].dtype]
        made = interned(Body(body.parameters, [*body.outputs, *products]))
        found = body.derived["products"] = (made, len(products))
    return found


def _backward_body(
    body: Body, carried: int, sequences: int, saved: int, keeps: bool
) -> tuple[Body, list[Node]]:
    """One step of the gradient's loop: (cotangents of the carried values after the step; carried
    values before it, rows of sequences, products if it `keeps` them, cotangents of outputs,
    cotangents of the carried values before it; constants) -> (cotangents of the carried values
    before it); and what else it reads, which is numbers."""
    key = f"backward {carried} {sequences} {saved} {keeps}"
    found = body.derived.get(key)
    if found is not None:
        return found
    own = body.parameters
    outputs = body.outputs[carried : len(body.outputs) - saved]
    products = body.outputs[len(body.outputs) - saved :] if keeps else ()
    after = [y.type for y in body.outputs[:carried]]
    split = [
        after,
        [p.type for p in own[: carried + sequences]],
        [z.type for z in products],
        [y.type for y in outputs],
        after,
        [p.type for p in own[carried + sequences :]],
    ]

    def step(parameters: list[Node]) -> list[Node]:
        parts, start = [], 0
        for types in split:
            parts.append(parameters[start : start + len(types)])
            start += len(types)
        g_after, given, kept, g_rows, g_before, constants = parts
        of = pull_back([*body.outputs[:carried], *outputs], [*g_after, *g_rows], own[:carried])
        env = {id(p): q for p, q in zip(own, [*given, *constants])}
        env.update({id(z): q for z, q in zip(products, kept)})
        env.update({id(p): p for p in parameters})
        results = []
        for g, plus in zip(of, g_before):
            results.append(plus if g is None else ew.add(substitute([g], env)[0], plus))
        return results

    body.derived[key] = trace(step, [t for types in split for t in types])
    return body.derived[key]


def _of_all_steps(
    attrs: tuple,
    given: Sequence[Node],
    kept: Sequence[Node],
    rest: Sequence[Node],
    seeds: Sequence[Node],
) -> list[Node | None]:
    """The cotangents of sequences and constants (`rest`): the gradient of the body batched over the
    steps, with carried values `given`, products `kept`, and cotangents `seeds` of its results."""
    body, carried, sequences, saved, steps, _ = attrs
    n = carried + sequences
    outputs = body.outputs[: len(body.outputs) - saved]
    products = body.outputs[len(body.outputs) - saved :]
    real = [*given, *rest]
    with recording:
        stand_ins = [parameter(recording.depth, i, x.type) for i, x in enumerate(real)]
        env = {id(p): q for p, q in zip(body.parameters, stand_ins)}
        batched = {id(p) for p in body.parameters[:n]}
        made = for_all_steps(outputs, env, batched, steps)
        cotangents = [
            parameter(recording.depth, len(real) + i, s.type) for i, s in enumerate(seeds)
        ]
        made = [
            y if id(z) in batched else mv.expand(y, (steps, *y.shape))
            for z, y in zip(outputs, made)
        ]
        of = pull_back(made, cotangents, stand_ins[carried:])
    final = {id(p): x for p, x in zip([*stand_ins, *cotangents], [*real, *seeds])}
    for z, x in zip(products, kept):  # none are kept for a gradient that will be differentiated
        if id(z) in env:
            final[id(env[id(z)])] = x
    return [
        None if g is None or not x.requires_grad else substitute([g], final)[0]
        for g, x in zip(of, rest)
    ]

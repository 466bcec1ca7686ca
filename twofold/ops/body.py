"""Graphs as values: the bodies of loops and branches, how they are recorded and built anew.

A body is a graph over parameters, which have no value. `trace` records one by calling a function;
`substitute` builds its outputs over other nodes, `for_all_steps` over nodes with one more axis, and
`pull_back` builds its gradient.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from typing import Any
from weakref import ref

from .. import dtypes
from ..errors import InternalError
from ..graph.node import NEVER, PARAMETER, Node, is_given, parameter, postorder, recorder
from ..graph.node import make as make_node
from ..graph.text import Graph, parse
from ..graph.types import Type
from . import elementwise as ew
from .base import registry

Env = dict[int, Node]
"""What stands for which node, by its id."""


class Body:
    """A graph as a value: `outputs` over `parameters`. Bodies with one structure are equal.

    `derived` keeps what was worked out of the body (its gradient, what moves out of it).
    """

    __slots__ = ("_hash", "derived", "key", "outputs", "parameters")

    def __init__(self, parameters: Sequence[Node], outputs: Sequence[Node]) -> None:
        self.parameters = tuple(parameters)
        self.outputs = tuple(outputs)
        self.derived: dict[str, Any] = {}
        number = {id(p): i for i, p in enumerate(self.parameters)}
        entries: list[tuple] = []
        for node in postorder(self.outputs):
            if id(node) in number:
                continue
            s = node.structure
            if node.value is not None or s.op is PARAMETER:
                raise InternalError(f"[loop] a body reads its parameters alone; got {node!r}")
            number[id(node)] = len(number)
            where = node.location if s.op.locates else None
            entries.append((s.op, s.attrs, where, *[number[id(x)] for x in node.inputs]))
        types = tuple(p.type for p in self.parameters)
        self.key = (types, tuple(entries), tuple(number[id(y)] for y in self.outputs))
        self._hash = hash(self.key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Body) and self.key == other.key)

    def __repr__(self) -> str:
        """What `read_body` reads."""
        number = {id(p): i for i, p in enumerate(self.parameters)}
        graph = Graph(list(self.outputs), "body")
        used = tuple(number[id(leaf)] for leaf in graph.leaves)
        types = tuple((p.dtype.name, p.shape) for p in self.parameters)
        return repr((str(graph), types, used))


_known: OrderedDict[Body, Body] = OrderedDict()


def interned(body: Body) -> Body:
    """The first body equal to this one, so that what is derived of it is worked out once."""
    found = _known.setdefault(body, body)
    _known.move_to_end(found)
    if len(_known) > 512:
        _known.popitem(last=False)
    return found


def read_body(attrs: tuple) -> tuple:
    """The attributes of an op, whose first is a body, from what their text says: a body's repr."""
    (text, types, used), *rest = attrs
    graph = parse(text, registry)
    names = {d.name: d for d in dtypes.ALL}
    with recording:
        parameters = [
            parameter(recording.depth, i, Type(tuple(shape), names[dtype]))
            for i, (dtype, shape) in enumerate(types)
        ]
        env = {id(leaf): parameters[i] for leaf, i in zip(graph.leaves, used, strict=True)}
        return (interned(Body(parameters, substitute(graph.roots, env))), *rest)


class _Recording(threading.local):
    """Recording of a body, a context manager: gradients are recorded, and nothing is run.

    `depth` says how many are being recorded, one within the other; nodes up to the serial `since`
    are outside of the innermost. Threads record apart.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.since = 0
        self._before: list[tuple[bool, int, int]] = []

    def __enter__(self) -> None:
        self._before.append((recorder.grad_enabled, recorder.flush_at, self.since))
        recorder.grad_enabled, recorder.flush_at = True, NEVER
        self.since = recorder.serial
        self.depth += 1

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is not None:
            self._forget()
        self.depth -= 1
        recorder.grad_enabled, recorder.flush_at, self.since = self._before.pop()

    def _forget(self) -> None:
        """Leave what the body made out of the next flush: a traceback may keep its tensors alive,
        and they have no values."""
        kept = []
        for reference in list.__iter__(recorder.pending):
            storage = reference()
            if storage is not None and storage.node.serial <= self.since:
                kept.append(reference)
        recorder.pending = type(recorder.pending)(kept)


recording = _Recording()


def trace(
    function: Callable[[list[Node]], Sequence[Node]], types: Sequence[Type], whole: bool = False
) -> tuple[Body, list[Node]]:
    """The body of `function`, called with parameters of `types`, and the nodes outside of it that
    it reads: further parameters stand for these. What it makes of these alone lies outside, too,
    unless the body is to be `whole`."""
    with recording:
        parameters = [parameter(recording.depth, i, t) for i, t in enumerate(types)]
        outputs = list(function(parameters))
        inside = _depending(outputs, parameters, recording.since, whole)
        fixed = constant(outputs)
        outside: dict[int, Node] = {}
        env: Env = {id(p): p for p in parameters}

        def stand_in(x: Node) -> None:
            if id(x) in inside or id(x) in env or id(x) in fixed:
                return
            outside[id(x)] = x
            p = parameter(recording.depth, len(parameters), x.type)
            parameters.append(p)
            env[id(x)] = p

        for y in outputs:
            stand_in(y)
        for node in postorder(outputs):
            if id(node) in inside and id(node) not in env:
                for x in node.inputs:
                    stand_in(x)
        return interned(Body(parameters, _as_recorded(outputs, env))), list(outside.values())


def constant(roots: Sequence[Node]) -> set[int]:
    """Ids of the nodes that depend on no value at all, and that no gradient is asked for."""
    found: set[int] = set()
    for node in postorder(roots, pending_only=True):
        given = is_given(node) or node.structure.op.kind == "placeholder"
        given = given or node.structure.requires_grad
        if not given and all(id(x) in found for x in node.inputs):
            found.add(id(node))
    return found


def _depending(
    outputs: Sequence[Node], parameters: Sequence[Node], start: int, whole: bool
) -> set[int]:
    """Ids of the nodes that depend on `parameters`, which are no older than serial `start`; or of
    all that are computed and are no older."""
    found = {id(p) for p in parameters}
    for node in postorder(outputs):
        own = node.serial > start and node.value is None
        if own and (any(id(x) in found for x in node.inputs) or (whole and node.inputs)):
            found.add(id(node))
    return found


def _below(roots: Sequence[Node], known: Container[int]) -> list[Node]:
    """Every node below `roots` that is not `known`, inputs before users."""
    order: list[Node] = []
    seen: set[int] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen and id(node) not in known:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(x, False) for x in reversed(node.inputs)]
    return order


def substitute(roots: Sequence[Node], env: Env) -> list[Node]:
    """`roots` with the nodes in `env` replaced; `env` is added to."""
    for node in _below(roots, env):
        if not node.inputs:
            env[id(node)] = node
            continue
        s = node.structure
        env[id(node)] = make_node(s.op, tuple(env[id(x)] for x in node.inputs), s.attrs)
        env[id(node)].location = node.location
    return [env[id(r)] for r in roots]


def _as_recorded(roots: Sequence[Node], env: Env) -> list[Node]:
    """`substitute` for what a user's function recorded: a graph alone says where gradients stop, so
    what was recorded without gradients, or as a new leaf, is detached."""
    for node in _below(roots, env):
        op, target = node.structure.op, node.target
        is_leaf = op.starts_gradient and isinstance(target, ref)
        if target is not None and not op.starts_gradient:
            raise RuntimeError(
                "[scan] hooks and retain_grad() of tensors within a loop's body would not be run; "
                "try them on what the loop gives"
            )
        (made,) = [env[id(node.inputs[0])]] if is_leaf else substitute([node], env)
        stops = is_leaf or not node.structure.requires_grad
        if made.requires_grad and stops and not op.is_bundle:  # of a bundle, each part is detached
            made = ew.detach(made)
        env[id(node)] = made
    return [env[id(r)] for r in roots]


def for_all_steps(roots: Sequence[Node], env: Env, batched: set[int], size: int) -> list[Node]:
    """`substitute` where the nodes whose ids are in `batched` have one more leading axis, of `size`
    steps; `batched` is added to."""
    for node in _below(roots, env):
        s = node.structure
        inputs = [env[id(x)] for x in node.inputs]
        flags = [id(x) in batched for x in node.inputs]
        if any(flags):
            env[id(node)] = s.op.batch(inputs, flags, s.attrs, size)
            batched.add(id(node))
        elif inputs:
            env[id(node)] = make_node(s.op, tuple(inputs), s.attrs)
        else:
            env[id(node)] = node
    return [env[id(r)] for r in roots]


def pull_back(
    outputs: Sequence[Node], seeds: Sequence[Node], wanted: Sequence[Node]
) -> list[Node | None]:
    """The cotangents of `wanted`, given those of `outputs`; None where there is none."""
    sums: Env = {}

    def add(x: Node, g: Node) -> None:
        sums[id(x)] = ew.add(sums[id(x)], g) if id(x) in sums else g

    for y, seed in zip(outputs, seeds, strict=True):
        if y.structure.requires_grad:
            add(y, seed)
    for node in reversed(postorder(outputs)):
        g = sums.get(id(node))
        if g is None or not node.inputs:
            continue
        if node.structure.op.starts_gradient:
            raise RuntimeError(
                "[scan] a custom autograd.Function cannot stand within a loop's body"
            )
        for x, partial in zip(node.inputs, node.structure.op.gradient(node, g), strict=True):
            if partial is not None and x.structure.requires_grad:
                add(x, partial)
    return [sums.get(id(x)) for x in wanted]

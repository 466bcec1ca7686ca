"""Updates of parameters that come again, step after step, in a plain loop.

Every step of a loop records the same updates, some fifteen operations for each parameter: most of
what Python does in a step. So the second time that an optimizer meets the same graph with the same
options, it is noted what its updates make of it; from then on that program is run, and nothing is
recorded. New values then replace the old ones in memory, if nothing else can still read these.

"The same" is exact: the keys of all that is pending, of the parameters, their gradients and state
(so the structure of all that is below them, and which leaf is which), and the options. Numbers that
change with the steps are read anew.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from sys import getrefcount
from typing import Any

from . import config, engine
from .graph.node import LEAF, Node, leaf, recorder, refresh
from .graph.storage import hold
from .graph.types import Type
from .ops.body import recording
from .runtime.plan import KernelError
from .tensor import Tensor

SEEN = 64
"""Kinds of steps that are remembered until they come again."""

KNOWN = 64
"""Kinds of steps whose programs are kept."""

Record = Callable[[], Mapping[int, Hashable]]
"""Records the updates; gives the names of their numbers by the ids of the nodes."""


@dataclass(eq=False, slots=True)
class _Known:
    """What the updates make of one kind of step: `plain` runs it all, and so does `over`, which
    writes new values of tensors into the memory of the old.

    The first `n_leaves` leaves are the graph's. `numbers` are those of the updates: type, name (or
    None) and value. `targets` say where each root's value goes: to number k of the roots that were
    there before (k, -1), or to tensor j (-1, j). `writes` are how often each tensor is written to,
    `owned` the leaves that `over` overwrites, `located` where the nodes that may meet a bad value
    are among those of the graph before.
    """

    plain: engine.Program
    over: engine.Program
    n_leaves: int
    numbers: list[tuple[Type, Hashable, Any]]
    targets: list[tuple[int, int]]
    writes: list[int]
    owned: list[int]
    located: list[int]


class Repeated:
    """The kinds of steps of one optimizer."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple, None] = OrderedDict()
        self._known: OrderedDict[tuple, _Known | None] = OrderedDict()

    def run(
        self,
        tensors: Sequence[Tensor],
        options: tuple,
        record: Record,
        read: Callable[[Any], float],
    ) -> None:
        """Update `tensors` (parameters, gradients and state, in an order that says which is which)
        as `record()` would under `options`; `read` gives the number of a name as it is now."""
        if not _may_repeat(tensors):
            record()
            return
        with engine.alone():
            roots = engine.roots_of(())
            key = (*options, *_keys(roots, tensors))
            if key in self._known:
                self._known.move_to_end(key)
                known = self._known[key]
                if known is None:
                    record()
                else:
                    _repeat(known, roots, tensors, read)
            elif key in self._seen:
                del self._seen[key]
                self._known[key] = _observe(roots, tensors, record)
                if len(self._known) > KNOWN:
                    self._known.popitem(last=False)
            else:
                record()
                self._seen[key] = None
                if len(self._seen) > SEEN:
                    self._seen.popitem(last=False)


def _may_repeat(tensors: Sequence[Tensor]) -> bool:
    """Whether nobody watches what is recorded, and each tensor has memory of its own."""
    options = config.current()
    if recorder.observer is not None or recorder.tracing is not None or recording.depth:
        return False
    if options.backend == "reference" or options.trap_nan or engine.observers:
        return False
    if any(t._window or t._storage.pinned is not None for t in tensors):
        return False
    return len({id(t._storage) for t in tensors}) == len(tensors)


def _keys(roots: Sequence[Node], tensors: Sequence[Tensor]) -> list[object]:
    epoch = recorder.epoch
    keys: list[object] = [config.current(), len(roots)]
    for root in roots:
        if root.epoch != epoch:
            refresh(root)
        keys += (root.key, root.released)
    for t in tensors:
        node = t._storage.node
        if node.epoch != epoch:
            refresh(node)
        keys.append(node.key)
    return keys


def _observe(before: Sequence[Node], tensors: Sequence[Tensor], record: Record) -> _Known | None:
    """Record the updates, and give what they do; None where that cannot be repeated."""
    epoch, n_leaves = recorder.epoch, len(recorder.leaves)
    old = [t._storage.node for t in tensors]
    versions = [t._storage.version for t in tensors]
    names = record()
    if recorder.epoch != epoch:
        return None
    roots = engine.roots_of(())
    program = engine.program_of(roots)
    places = {id(t._storage.node): (-1, j) for j, t in enumerate(tensors)}
    places |= {id(root): (k, -1) for k, root in enumerate(before)}
    writes = [t._storage.version - v for t, v in zip(tensors, versions, strict=True)]
    first = {id(node): i for i, node in enumerate(engine.located(before))}
    located = [first.get(id(node), -1) for node in engine.located(roots)]
    asked = {id(root) for root in roots}
    made = recorder.leaves[n_leaves:]
    if (
        program.kept
        or -1 in located
        or not asked <= places.keys()
        or not all(node.structure.op is LEAF and node.structure.attrs[0] for node in made)
        or not all(id(t._storage.node) in asked for t, n in zip(tensors, writes) if n)
    ):
        return None
    targets = [places[id(root)] for root in roots]
    pairs = [
        (at, old[j]) for at, (_, j) in enumerate(targets) if j >= 0 and old[j].value is not None
    ]
    over = engine.compile_graph(roots, (), pairs)
    return _Known(
        program,
        over,
        n_leaves,
        [(node.structure.type, names.get(id(node)), node.value) for node in made],
        targets,
        writes,
        [at for kind, at in over.results if kind == "over"],
        located,
    )


def _repeat(
    known: _Known,
    roots: Sequence[Node],
    tensors: Sequence[Tensor],
    read: Callable[[Any], float],
) -> None:
    """Run what is pending and the updates as one known program."""
    leaves = recorder.leaves[: known.n_leaves]
    for type_, name, value in known.numbers:
        leaves.append(leaf(value if name is None else read(name), type_, scalar=True))
    program = known.plain
    if known.owned and _are_alone(roots, [leaves[at] for at in known.owned]):
        program = known.over
    try:
        try:
            outputs = engine.run_program(program, leaves)
        except KernelError as error:
            found = engine.located(roots)
            raise engine.fault(program, [found[i] for i in known.located], error) from None
        values = engine.values_of(program, outputs, leaves)
        for (k, j), (kind, _), value in zip(known.targets, program.results, values, strict=True):
            if k >= 0:
                roots[k].value = value
            else:
                storage = tensors[j]._storage
                node = storage.node
                if kind != "over":
                    s = node.structure
                    storage.node = leaf(value, s.type, s.requires_grad)
                    storage.node.target = node.target
                    hold(weakref.ref(storage), storage.node)
                else:  # as new as the others: backward visits nodes by their serials
                    recorder.serial = node.serial = recorder.serial + 1
        for t, n in zip(tensors, known.writes):
            t._storage.version += n
        for root in roots:
            engine.let_go(root)
    finally:
        recorder.advance()


def _are_alone(roots: Sequence[Node], owned: list[Node]) -> bool:
    """Whether the values of `owned` are known to nothing but their tensors and the graph of
    `roots`, of which nothing is left once it has run."""
    for root in roots:
        s = root.structure
        if s.requires_grad and not root.released and not s.op.starts_gradient:
            return False
    edges, pending, inputs = _below(roots)
    return (
        _others(inputs) == [1] * len(inputs)
        and _others(pending) == [edges[node] + 1 for node in pending]
        and _others(owned) == [edges.get(x, 0) + (x in edges) + _OWNERS for x in owned]
        and _others([node.value for node in owned]) == [1] * len(owned)
    )


_OWNERS = 3
"""The storage, the leaves of the epoch and those of the run know a leaf that may be overwritten."""


def _below(roots: Sequence[Node]) -> tuple[dict[Node, int], list[Node], list[tuple]]:
    """Of the graph below pending roots: how often each node is an input (once more for a root), the
    pending nodes that are no roots, and the tuples of inputs."""
    edges = dict.fromkeys(roots, 1)
    known = edges.get
    pending: list[Node] = []
    tuples = [root.inputs for root in roots if root.inputs]
    for inputs in tuples:
        for x in inputs:
            n = known(x, 0)
            edges[x] = n + 1
            if not n and x.value is None and x.inputs:
                pending.append(x)
                tuples.append(x.inputs)
    return edges, pending, tuples


def _others(values: list[Any]) -> list[int]:
    """How many know each of `values` besides the list, whose owner holds none of them."""
    return [getrefcount(x) - _LISTED for x in values]


_LISTED = 0
(_LISTED,) = _others([object()])

"""`twofold.compile`: a function recorded once and then run as one plan.

The first calls run the function as it is, while an `Observation` notes what the graph does not
show: which storages its leaves came from, which were written, where gradients went, which numbers
are read from the program's state. Once two calls in a row look alike, later calls skip Python: they
put the memory of the arguments and of the state into the plan, run it, and write results,
parameters, gradients and counters where the function would have (`replay.py`). A function whose
calls do not come to look alike, or that looks at a value in its middle, goes on being run as it is,
and says why.

Calls are told apart by the types of their tensors, the values of other arguments, gradient mode,
the options, which leaves have gradients, and `modes.version`, which grows when a module is switched
between training and evaluation. Other Python state counts as constant, and Python code that is no
tensor operation (a print) runs only in calls that are not replayed.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from . import config, engine
from .control import NotRewritable, called, recording_decisions, rewritten
from .graph.modes import modes
from .graph.node import Node, leaf, recorder
from .graph.observe import Observation
from .graph.storage import Storage, shared
from .replay import NEW_GRADIENT, Changed, Part, Place, Run, Target
from .tensor import Tensor, write_back

TRIES = 6
"""Calls that may differ from the one before until a function is left dynamic."""

VARIANTS = 64
"""Kinds of calls that one function keeps."""


class NotCaptured(UserWarning):
    """A compiled function is run as it is, since it cannot be replayed."""


class _Unlike(Exception):
    """Why a run cannot be repeated."""


class _Variant:
    """One kind of call: the last observed run, and whether it may be repeated."""

    __slots__ = ("dynamic", "run", "settled", "tries")

    def __init__(self) -> None:
        self.run: Run | None = None
        self.settled = False
        self.dynamic = False
        self.tries = 0


class Captured:
    """A function that is run as one plan once it was seen to do the same twice. See `compile`.

    `rewritten` is the function with its decisions in the graph, which takes its place once it was
    seen to look at a value; "" until then, and why not, where it cannot be.
    """

    def __init__(
        self, function: Callable[..., Any], control: str = "graph", strict: bool = False
    ) -> None:
        self.function = function
        self.control = control
        self.strict = strict
        self.rewritten: Callable[..., Any] | str = ""
        self.variants: OrderedDict[tuple, _Variant] = OrderedDict()
        self.leaves: list[Tensor] = []
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        options = config.current()
        within = recorder.observer is not None or recorder.tracing is not None
        if within or options.backend == "reference" or options.trap_nan:
            return called(self.function)(*args, **kwargs)
        tensors: list[Tensor] = []
        key = (
            _key([args, kwargs] if kwargs else args, tensors),
            _sharing(tensors),
            tuple([x.grad is None for x in self.leaves]),
            modes.version,
            recorder.grad_enabled,
            recorder.autocast,
            config.current(),
        )
        variant = self.variants.get(key)
        if variant is None:
            variant = self.variants[key] = _Variant()
            if len(self.variants) > VARIANTS:
                self.variants.popitem(last=False)
        if variant.settled:
            assert variant.run is not None
            try:
                return variant.run.repeat(tensors)
            except Changed:
                variant.settled, variant.run, variant.tries = False, None, 0
        if variant.dynamic:
            return self.function(*args, **kwargs)
        return self._observe(variant, args, kwargs, tensors)

    def as_recorded(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as it is captured, with its decisions in the graph where they are."""
        if isinstance(self.rewritten, str):
            return self.function(*args, **kwargs)
        with recording_decisions():
            return self.rewritten(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A compiled method captures for each instance apart, since its state is the instance's."""
        if instance is None:
            return self
        bound = Captured(self.function.__get__(instance, owner), self.control, self.strict)
        try:
            instance.__dict__[self.function.__name__] = bound
        except AttributeError:
            return bound
        return bound

    def _observe(self, variant: _Variant, args: Any, kwargs: Any, tensors: list[Tensor]) -> Any:
        """Run the function and note what it did."""
        engine.flush()
        recorder.advance()
        inside = _Arguments(tensors)
        observation = Observation()
        start = recorder.serial
        recorder.observer = observation
        try:
            if isinstance(self.rewritten, str):
                result, against = self.function(*inside.replace(args), **inside.replace(kwargs)), {}
            else:
                with recording_decisions() as against:
                    result = self.rewritten(*inside.replace(args), **inside.replace(kwargs))
        finally:
            recorder.observer = None
        why = ""
        run: Run | None = None
        with engine.alone():
            if observation.broken is not None:
                file, line, _ = observation.broken
                why = f"a value is asked for within it ({file}:{line})"
                if self.control == "graph" and self.rewritten == "":
                    variant.tries = -1
                    self.rewritten = _rewritten(self.function)
                if isinstance(self.rewritten, str) or variant.tries >= 0:
                    variant.dynamic = True
                    reason = against.get((file, line)) or self.rewritten
                    why += f": {reason}" if isinstance(reason, str) and reason else ""
            elif (
                recorder.epoch != observation.epoch
            ):  # another thread ran a plan: nothing was learnt
                variant.tries -= 1
            else:
                try:
                    if _is_kept([result]):
                        raise _Unlike("a tensor that it makes is kept besides being returned")
                    run = _run_of(observation, inside, result, start)
                    variant.settled = variant.run is not None and run.same(variant.run)
                    if variant.settled:
                        _overwrite(run)
                except _Unlike as reason:
                    why = str(reason)
            engine.flush()
        inside.pass_on()
        variant.run = run
        if not variant.settled:
            variant.tries += 1
            if variant.tries >= TRIES:
                variant.dynamic = True
        if variant.dynamic:
            why = why or "what it reads or writes differs from call to call"
            name = getattr(self.function, "__qualname__", repr(self.function))
            if self.strict:
                raise RuntimeError(f"[compile] {name} cannot be one graph: {why}")
            warnings.warn(
                f"[compile] {name} is run as it is, not replayed: {why}", NotCaptured, stacklevel=3
            )
        known = {id(x) for x in self.leaves}
        self.leaves += [x for x, _ in observation.grads.values() if id(x) not in known]
        return inside.outside(result)


class _Arguments:
    """The tensors of a call, and the stand-ins that the observed function gets: tensors on storages
    of their own, so that nothing else that it reads can be taken for an argument."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors
        self.stand_ins: list[Tensor] = []
        self.position: dict[int, int] = {}
        self.first: dict[int, Tensor] = {}
        for i, x in enumerate(tensors):
            base = x._storage.node
            known = self.first.get(id(x._storage))
            stand_in = x
            if type(x) is Tensor and not base.structure.requires_grad and x._target is None:
                stand_in = object.__new__(Tensor)
                if known is None:
                    stand_in._storage = Storage(leaf(base.value, base.structure.type))
                    stand_in._storage.born = -1
                else:
                    stand_in._storage = known._storage
                stand_in._window = x._window
                stand_in.grad = x.grad
            self.first.setdefault(id(x._storage), stand_in)
            self.stand_ins.append(stand_in)
            self.position.setdefault(id(stand_in._storage), i)
        self.versions = [x._storage.version for x in self.stand_ins]
        self._next = 0

    def replace(self, value: Any) -> Any:
        """`value` with stand-ins for its tensors."""
        if isinstance(value, Tensor):
            self._next += 1
            return self.stand_ins[self._next - 1]
        if isinstance(value, tuple):
            parts = [self.replace(v) for v in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        if isinstance(value, list):
            return [self.replace(v) for v in value]
        if isinstance(value, dict):
            return {k: self.replace(v) for k, v in value.items()}
        return value

    def pass_on(self) -> None:
        """Give the arguments what was written to their stand-ins."""
        for x, stand_in, version in zip(self.tensors, self.stand_ins, self.versions):
            shown = stand_in._storage.pinned
            if stand_in is not x and (shown is not None or stand_in._storage.version != version):
                storage, node = x._storage, stand_in._storage.node
                if storage.node is not node:
                    storage.write(node if storage.pinned is None else write_back(storage, node))
                    if storage.pinned is None:
                        storage.pinned = shown  # what is written through NumPy is seen further on

    def outside(self, result: Any) -> Any:
        """`result` with the arguments for their stand-ins."""
        if isinstance(result, Tensor):
            at = self.position.get(id(result._storage))
            if at is None or self.stand_ins[at] is self.tensors[at]:
                return result
            x = self.tensors[at]
            if result._window == x._window:
                return x
            made = object.__new__(Tensor)
            made._storage, made._window = x._storage, result._window
            return made
        if isinstance(result, tuple):
            parts = [self.outside(r) for r in result]
            return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
        if isinstance(result, list):
            return [self.outside(r) for r in result]
        if isinstance(result, dict):
            return {k: self.outside(r) for k, r in result.items()}
        return result


def _key(value: Any, tensors: list[Tensor]) -> Any:
    """What tells `value` from others, as a hashable; its tensors are appended to `tensors`."""
    if isinstance(value, Tensor):
        tensors.append(value)
        base = value._storage.node.structure
        return (Tensor, base.shape, base.dtype, base.requires_grad, value._window)
    if isinstance(value, (tuple, list)):
        return (type(value), *[_key(v, tensors) for v in value])
    if isinstance(value, dict):
        return (dict, *[(k, _key(v, tensors)) for k, v in value.items()])
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"[compile] arguments are tensors, numbers, strings and containers of them; got "
            f"{type(value).__name__}; try twofold.from_numpy(...) outside of the compiled function"
        ) from None
    return (type(value), value)


def _sharing(tensors: Sequence[Tensor]) -> tuple:
    """Which arguments lie in one storage; empty where none do."""
    if len(tensors) < 2:
        return ()
    places: dict[int, int] = {}
    found = tuple([places.setdefault(id(x._storage), i) for i, x in enumerate(tensors)])
    return found if len(places) < len(tensors) else ()


def _is_kept(box: list[Any]) -> bool:
    """Whether new tensors in the result, in `box`, are known to others than the box and its
    owner."""
    leaves: list[Any] = []
    probes: list[Any] = []
    probe = [_probe(box[0])]
    _leaves_of(box, leaves)
    _leaves_of(probe, probes)
    owner = isinstance(box[0], Tensor)  # the caller's own name for a single tensor
    counts = [sys.getrefcount(x) for x in leaves]
    usual = [sys.getrefcount(x) + owner for x in probes]
    epoch = recorder.epoch
    return any(
        x._storage.born == epoch and n > m for x, n, m in zip(leaves, counts, usual, strict=True)
    )


def _leaves_of(value: Any, found: list[Any]) -> None:
    """The tensors, or probes, in `value`."""
    if isinstance(value, (Tensor, _Probe)):
        found.append(value)
    elif isinstance(value, dict):
        for v in value.values():
            _leaves_of(v, found)
    elif isinstance(value, (list, tuple)):
        for v in value:
            _leaves_of(v, found)


class _Probe:
    """Stands where a tensor stands, to count what a container holds."""


def _probe(value: Any) -> Any:
    """`value` with a new probe for each tensor."""
    if isinstance(value, Tensor):
        return _Probe()
    if isinstance(value, tuple):
        return tuple([_probe(v) for v in value])
    if isinstance(value, list):
        return [_probe(v) for v in value]
    if isinstance(value, dict):
        return {k: _probe(v) for k, v in value.items()}
    return value


def _run_of(o: Observation, inside: _Arguments, result: Any, start: int) -> Run:
    """What the observed run did. `_Unlike` where it cannot be repeated."""
    roots = engine.roots_of(())
    program = engine.program_of(roots)
    script = {id(node): k for k, (node, _) in enumerate(o.script) if node is not None}
    accumulated = {
        id(x.grad._storage): Place("gradient", 0, x)
        for x, was_none in o.grads.values()
        if not was_none and x.grad is not None
    }
    read = {at for _, at in program.leaves} | {at for _, at, _ in program.scalars}
    read |= {at for kind, at in program.results if kind == "leaf"}
    leaves, types = {}, {}
    for at in sorted(read):
        node = recorder.leaves[at]
        leaves[at] = _source(node, inside, script, accumulated, o.epoch, start)
        types[at] = node.structure.type
    numbers = {id(root): i for i, root in enumerate(roots)}
    made: dict[int, int] = {}
    parts = _parts(result, inside, numbers, made, o.epoch)
    targets = _targets(roots, inside, o, accumulated, made)
    calls = [call for _, call in o.script]
    return Run(program, leaves, types, targets, parts, calls, engine.located(roots))


def _overwrite(run: Run) -> None:
    """Compile the observed graph, still pending, so that new values of state replace the old."""
    pairs = [(position, recorder.leaves[at]) for position, at in run.overwritten()]
    if pairs:
        run.in_place(engine.compile_graph(engine.roots_of(()), (), pairs))


def _source(
    node: Node,
    inside: _Arguments,
    script: dict[int, int],
    accumulated: dict[int, Place],
    epoch: int,
    start: int,
) -> Place:
    """Where a leaf's value comes from."""
    scalar = node.structure.op.kind == "leaf" and node.structure.attrs[0]
    if id(node) in script:
        return Place("script", script[id(node)])
    holder = node.holder
    if holder is shared:
        raise _Unlike("two tensors that it reads hold one value; try clone() on one of them")
    storage = None if holder is None else holder()
    if storage is not None and id(storage) in inside.position:
        return Place("argument", inside.position[id(storage)])
    if scalar:
        return Place("number", -1, node.value)
    if storage is not None and storage.born != epoch:
        return accumulated.get(id(storage)) or Place("storage", -1, storage)
    if node.serial <= start:
        raise _Unlike("it replaces a tensor that it reads by a new one; try an in-place method")
    return Place("constant", -1, node.value)


def _parts(
    result: Any, inside: _Arguments, roots: dict[int, int], made: dict[int, int], epoch: int
) -> Any:
    """The result with `Part`s for tensors; `made` gets the roots that new tensors hold, by
    storage."""
    if isinstance(result, Tensor):
        storage = result._storage
        if id(storage) in inside.position:
            return Part("argument", inside.position[id(storage)], result._window)
        if storage.born != epoch:
            return Part("tensor", what=result)
        at = roots.get(id(storage.node))
        if at is None:
            raise _Unlike("it returns a tensor made of data that is no argument")
        made[id(storage)] = at
        return Part("root", at, result._window)
    if isinstance(result, tuple):
        parts = [_parts(r, inside, roots, made, epoch) for r in result]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    if isinstance(result, list):
        return [_parts(r, inside, roots, made, epoch) for r in result]
    if isinstance(result, dict):
        return {k: _parts(r, inside, roots, made, epoch) for k, r in result.items()}
    return result


def _targets(
    roots: Sequence[Node],
    inside: _Arguments,
    o: Observation,
    accumulated: dict[int, Place],
    made: dict[int, int],
) -> list[Target]:
    """Where the value of each root goes."""
    fresh = {
        id(x.grad._storage): x
        for x, was_none in o.grads.values()
        if was_none and x.grad is not None
    }
    holders: dict[int, list[Storage]] = {}
    for reference in recorder.pending:
        storage = reference()
        if storage is not None:
            holders.setdefault(id(storage.node), []).append(storage)
    targets = []
    for root in roots:
        storages = {id(s): s for s in holders[id(root)]}
        if len(storages) > 1:
            raise _Unlike("two tensors that it makes hold one value; try clone() on one of them")
        (storage,) = storages.values()
        s = root.structure
        place = None
        if id(storage) in inside.position:
            place = Place("argument", inside.position[id(storage)])
        elif id(storage) in fresh:
            place = Place("gradient", NEW_GRADIENT, fresh[id(storage)])
        elif storage.born != o.epoch:
            place = accumulated.get(id(storage)) or Place("storage", -1, storage)
        elif id(storage) in made:
            place = Place("new")
        if place is None:
            raise _Unlike("a tensor that it makes is kept and not returned")
        ended = root.released or s.op.starts_gradient or not s.requires_grad
        if not ended:
            raise _Unlike("gradients go through what it returns; call backward() within it")
        leaf_like = s.op.starts_gradient and s.requires_grad
        targets.append(Target(place, s.type, leaf_like, root.target if leaf_like else None))
    return targets


def _rewritten(function: Callable[..., Any]) -> Callable[..., Any] | str:
    """`function` with its decisions in the graph, or why that cannot be."""
    try:
        return rewritten(function)
    except NotRewritable as error:
        return str(error)


def compile(
    function: Callable[..., Any] | None = None, *, control: str = "graph", **options: Any
) -> Any:
    """`function` run as one plan, as `twofold.compile` tells, which is this but for modules.

    >>> double = compile(lambda x: x * 2)
    >>> double(2.5)
    5.0
    """
    known = {"fullgraph", "dynamic", "backend", "mode", "options", "disable"}
    unknown = set(options) - known
    if unknown:
        raise TypeError(f"[compile] an unknown option; got {sorted(unknown)}; try {sorted(known)}")
    if control not in ("graph", "dynamic"):
        raise ValueError(f"[compile] control must be 'graph' or 'dynamic'; got {control!r}")
    if function is None:
        return functools.partial(compile, control=control, **options)
    if options.get("disable"):
        return function
    return Captured(function, control, bool(options.get("fullgraph")))

"""Compile and realize: from pending nodes to values, every stage named in order."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from . import config, dtypes, machine, passes, trace
from .codegen import emit
from .codegen.jit import compile_kernels, compile_text, counts, one_spec
from .dtypes import DType
from .graph.canonical import canonical
from .graph.history import History, signature
from .graph.node import LEAF, PARAMETER, Node, leaf, postorder, recorder, refresh, user_location
from .graph.pieces import Changing
from .graph.storage import hold
from .graph.types import Type
from .kernels.launch import Buffer as PlanBuffer
from .kernels.lower import strip
from .kernels.memory import FIRST_SLOT, MemoryPlan, PlannedLaunch, plan_memory
from .kernels.overwrite import overwrite
from .kernels.schedule import Scheduler, output_buffer
from .kernels.text import kernel_text
from .kernels.verify import verify_launches
from .ops import interpret
from .ops.body import recording
from .ops.elementwise import DETACH
from .ops.scalar_numpy import held_dtype, to_held, to_stored
from .runtime import walker
from .runtime.buffers import Buffer, may_be_read_past
from .runtime.plan import KernelError, Plan, PlanLaunch
from .runtime.pool import Pool

_PROGRAM_LIMIT = 2048
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Birth:
    """Why a program was compiled, when (`time.perf_counter`), in how many seconds, and what became
    of its kernels: compiled, from disk, from memory."""

    reason: str
    at: float
    seconds: float
    kernels: Mapping[str, int]


@dataclass(eq=False, slots=True)
class Program:
    """A compiled graph: where its leaves and outputs go, and the plan that runs it.

    `leaves` are (slot, index into the epoch's leaves); `scalars` are (index into the scalars'
    words, index into the epoch's leaves, dtype). `outputs` are (slot, bytes). `results` say for
    each root where its value is: ("output", position), ("leaf", index), or, where it replaces the
    value of a leaf, ("over", index); `kept` the same for nodes that a later backward may read, by
    their position among the candidates. `sites` tell which node a kernel's error record means (see
    `_sites`).
    """

    plan: Plan
    leaves: tuple[tuple[int, int], ...]
    scalars: tuple[tuple[int, int, DType], ...]
    outputs: tuple[tuple[int, int], ...]
    results: tuple[tuple[str, int], ...]
    kept: tuple[tuple[int, int], ...]
    birth: Birth
    sites: dict[int, int] = field(default_factory=dict)


@dataclass(eq=False)
class Planned:
    """A graph after all passes, cut into launches over placed buffers; not yet machine code."""

    results: list[Node]
    scheduler: Scheduler
    memory: MemoryPlan
    kept: list[tuple[int, PlanBuffer]]
    leaves: list[PlanBuffer]
    outputs: list[PlanBuffer]


Observer = Callable[[list[Node], list[Node], Program, list[Buffer]], None]

observers: list[Observer] = []
"""Called after each run of a program with its roots, candidates and outputs, before the graph lets
go of its past (see `explanation.py`)."""

_programs: OrderedDict[tuple, Program] = OrderedDict()
_forms: OrderedDict[tuple, tuple[Program, tuple[int, ...]]] = OrderedDict()
_history = History()
_changing = Changing()


def from_numpy(
    array: np.ndarray, dtype: DType | None = None, share: bool = False, requires_grad: bool = False
) -> Node:
    """A leaf with the array's values: a copy, or the array's own memory with `share` (it must then
    be C-contiguous), unless a mapping ends with it, which kernels would read past. `dtype` names
    the type where NumPy has none (bfloat16, held as uint16)."""
    dtype = dtypes.from_numpy(array.dtype) if dtype is None else dtype
    if share and may_be_read_past(array):
        buffer = Buffer.of_array(array)
    else:
        buffer = Buffer(array.size * dtype.itemsize)
        buffer.as_numpy(dtype.storage, array.shape)[...] = array
    return leaf(buffer, Type(tuple(array.shape), dtype), requires_grad)


def rows(node: Node, bounds: Sequence[tuple[int, int, int]]) -> Node | None:
    """The rows that `bounds` cut out of a value in memory, as a leaf of their own on the same
    memory: which rows is then no part of a graph, and a loop over batches plans one step, not one
    for each place; so for rows of one row, and so on. None where they do not lie in one piece:
    later axes are cut, too, or the step is not 1."""
    if not isinstance(node.value, Buffer):
        return None
    sizes = [size for _, size, _ in bounds]
    cut = next((i for i, size in enumerate(sizes) if size != 1), len(sizes) - 1)
    if not sizes[cut] or (sizes[cut] > 1 and bounds[cut][2] != 1):
        return None
    if any(b != (0, n, 1) for b, n in zip(bounds[cut + 1 :], node.shape[cut + 1 :])):
        return None
    offset, block = 0, node.structure.type.n_bytes // max(1, math.prod(node.shape[: cut + 1]))
    type_ = node.structure.type.with_shape(tuple(sizes))
    for (start, _, _), extent in zip(reversed(bounds[: cut + 1]), reversed(node.shape[: cut + 1])):
        offset += start * block
        block *= extent
    return leaf(Buffer.within(node.value, offset, type_.n_bytes), type_)


def to_numpy(node: Node) -> np.ndarray:
    """The value of `node` as a NumPy array on the value's own memory (bfloat16 as its bits)."""
    note_look()
    if node.value is None:
        realize([node])
    elif recorder.observer is not None:
        recorder.observer.looked_at(node)
    return array_of(node)


def note_look() -> None:
    """Tell who observes the program that a value is looked at: what follows may depend on it."""
    if recorder.observer is not None and recorder.observer.broken is None:
        recorder.observer.broken = user_location() or ("unknown", 0, "")


def array_of(node: Node) -> np.ndarray:
    """The stored elements of a node that has its value."""
    if isinstance(node.value, Buffer):
        return node.value.as_numpy(node.dtype.storage, node.shape)
    with np.errstate(over="ignore"):
        held = np.asarray(node.value).astype(held_dtype(node.dtype))
    return to_stored(held, node.dtype).reshape(node.shape)


def flush() -> None:
    """Run all that is pending and still referenced. Within a function that is being captured, this
    waits for its end."""
    if recorder.observer is None:
        realize([])


def realize(nodes: Sequence[Node]) -> None:
    """Give `nodes`, and every live storage, their values."""
    if recorder.tracing is not None:
        recorder.tracing(nodes)
    note_look()
    with _one_at_a_time:
        roots = roots_of(nodes)
        try:
            if roots:
                if config.current().backend == "reference":
                    _run_reference(roots)
                else:
                    _run_native(roots)
                if config.current().trap_nan:
                    _trap_nan(roots)
                for root in roots:
                    let_go(root)
        finally:
            # After an error too: what failed is then run again only if it is asked for.
            recorder.advance()


_one_at_a_time = threading.RLock()


def alone() -> contextlib.AbstractContextManager[object]:
    """A block in which no other thread runs a plan, and so begins an epoch."""
    return _one_at_a_time


def _after_fork() -> None:
    """A lock that another thread held at the fork would never be let go in the child."""
    global _one_at_a_time
    _one_at_a_time = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def roots_of(nodes: Sequence[Node]) -> list[Node]:
    """The nodes to run: those asked for and those that live storages hold, each once, in order;
    while a loop's body is being recorded, none of its own are run unasked."""
    found: dict[int, Node] = {}
    last = recording.since if recording.depth else recorder.serial
    for reference in recorder.pending:
        storage = reference()
        if storage is not None and storage.node.value is None and storage.node.serial <= last:
            found[id(storage.node)] = storage.node
            hold(reference, storage.node)
    for node in nodes:
        if node.value is None and not _is_cut_off(node):
            found[id(node)] = node
    return list(found.values())


def _is_cut_off(node: Node) -> bool:
    """Whether `node` is but a value in memory without its history, which it then is given."""
    if node.structure.op is not DETACH or recorder.observer is not None:
        return False
    (source,) = node.inputs
    if isinstance(source.value, Buffer):
        node.value = source.value
        let_go(node)
    return node.value is not None


def _run_native(roots: list[Node]) -> None:
    """Find the compiled program of `roots` by their keys, or compile it; then run it. A graph of a
    kind that keeps changing its length runs in pieces."""
    key = _key(roots)
    if key not in _programs:
        pieces = _changing.pieces(roots, key)
        for piece in pieces:
            _run_native(piece)
            for node in piece:
                let_go(node)
            recorder.advance()
        if pieces:
            return
    program = program_of(roots)
    candidates = _candidates(roots) if program.kept else []
    try:
        values = run_program(program, recorder.leaves)
    except KernelError as error:
        raise fault(program, located([*roots, *_candidates(roots)]), error) from None
    for observe in observers:
        observe(roots, candidates, program, values)
    found = values_of(program, values, recorder.leaves)
    for root, value in zip(roots, found, strict=True):
        root.value = value
    for position, at in program.kept:
        candidates[position].value = values[at]


def values_of(program: Program, outputs: Sequence[Buffer], leaves: Sequence[Node]) -> list[Buffer]:
    """The value of each root, after a run on `leaves` that gave `outputs`."""
    return [
        outputs[at] if kind == "output" else _memory_of(leaves[at]) for kind, at in program.results
    ]


def _memory_of(source: Node) -> Buffer:
    """The memory of a leaf's value: that of a number is made."""
    value = source.value
    return value if isinstance(value, Buffer) else from_numpy(array_of(source), source.dtype).value


def program_of(roots: list[Node]) -> Program:
    """The compiled program of `roots`, found by their keys, else compiled."""
    key = _key(roots)
    program = _programs.get(key)
    if program is None:
        program = _programs[key] = _same_elsewhere(roots) or compile_graph(
            roots, _candidates(roots)
        )
        if len(_programs) > _PROGRAM_LIMIT:
            _programs.popitem(last=False)
    else:
        _programs.move_to_end(key)
    return program


def _same_elsewhere(roots: list[Node]) -> Program | None:
    """The program of a graph of the same form whose leaves had other numbers, with these numbers;
    without one, `roots` are compiled under the form's name."""
    form = canonical(roots)
    if form is None:
        return None
    digest, leaves = form
    index = {id(n): i for i, n in enumerate(recorder.leaves)}
    if any(id(n) not in index for n in leaves):
        PARAMETER.reference()
    numbers = _one(tuple(index[id(n)] for n in leaves))
    name = (config.current(), digest)
    found = _forms.get(name)
    if found is None:
        program = compile_graph(roots, _candidates(roots))
        _forms[name] = program, numbers
        if len(_forms) > _PROGRAM_LIMIT:
            _forms.popitem(last=False)
        return program
    _forms.move_to_end(name)
    program, old = found
    now = dict(zip(old, numbers, strict=True))
    return replace(
        program,
        leaves=_one(tuple((slot, now[i]) for slot, i in program.leaves)),
        scalars=_one(tuple((at, now[i], dtype) for at, i, dtype in program.scalars)),
        results=_one(tuple((k, at if k == "output" else now[at]) for k, at in program.results)),
    )


def fault(program: Program, nodes: Sequence[Node], error: KernelError) -> Exception:
    """The user's error behind a kernel's, where `nodes` are those that `located` gave."""
    node = nodes[program.sites[error.code]]
    return node.structure.op.fault(node, error.value)


def located(roots: Sequence[Node]) -> list[Node]:
    """The nodes that may meet a bad value as they run, in an order that the structure fixes."""
    found: list[Node] = []
    for node in postorder(roots, pending_only=True):
        if node.structure.op.has_body and node.value is None:
            found += located(node.attrs[0].outputs)
        elif node.structure.op.locates:
            found.append(node)
    return found


def _sites(order: Sequence[Node], located: Sequence[Node]) -> dict[int, int]:
    """For each site that a kernel may name (the id of a node in `order`, after all passes), the
    position in `located` of the node it came from."""
    origin: dict[tuple, int] = {}
    for position, node in enumerate(located):
        origin.setdefault((node.location, node.structure.attrs), position)
    return {id(n): origin[n.location, n.structure.attrs] for n in order if n.structure.op.locates}


def _key(roots: list[Node]) -> tuple:
    epoch = recorder.epoch
    keys: list[object] = [config.current()]
    for root in roots:
        if root.epoch != epoch:
            refresh(root)
        keys += (root.key, root.released)
    return tuple(keys)


def _candidates(roots: list[Node]) -> list[Node]:
    """Pending nodes besides the roots that a later backward may read, in an order that the
    structure fixes: those that gradients of the roots pass through."""
    found: list[Node] = []
    seen = {id(root) for root in roots}
    stack = [r for r in roots if r.structure.requires_grad and not r.released]
    while stack:
        node = stack.pop()
        if node.structure.op.starts_gradient:
            continue
        for x in node.inputs:
            s = x.structure
            if s.requires_grad and x.value is None and not x.released and id(x) not in seen:
                seen.add(id(x))
                stack.append(x)
                if not s.op.is_bundle:  # its parts have the values
                    found.append(x)
    return found


Pairs = Sequence[tuple[int, Node]]
"""Positions of roots, with the leaves whose memory they may take over."""


def plan_graph(roots: Sequence[Node], candidates: Sequence[Node] = (), over: Pairs = ()) -> Planned:
    """Rewrite, partition, schedule, place: all of the path that needs no machine code. Where it
    changes no result, roots take the place of the leaves that `over` pairs them with."""
    options = config.current()
    clocks = [time.perf_counter()]
    rewritten = passes.run([*roots, *candidates])
    clocks.append(time.perf_counter())
    results, extras = rewritten[: len(roots)], rewritten[len(roots) :]
    target = machine.target_for(options.target)
    scheduler = Scheduler(results, target, options.threads, extras)
    kept = _keep(scheduler, extras)
    overwrite(scheduler, results, over)
    clocks.append(time.perf_counter())
    outputs = [b for b in scheduler.buffers.values() if b.kind == "output"]
    leaves = [b for b in scheduler.buffers.values() if b.kind == "leaf"]
    memory = plan_memory(scheduler.launches, [*leaves, *outputs], options.threads)
    clocks.append(time.perf_counter())
    if options.verify:
        verify_launches(memory)
    passing, cutting, placing = (1e3 * (b - a) for a, b in itertools.pairwise(clocks))
    trace.write(
        trace.STAGES,
        f"planned: passes {passing:.1f} ms, fusion and schedules {cutting:.1f} ms, "
        f"memory {placing:.1f} ms",
    )
    return Planned(results, scheduler, memory, kept, leaves, outputs)


def compile_graph(
    roots: Sequence[Node], candidates: Sequence[Node] = (), over: Pairs = ()
) -> Program:
    """The whole path from a graph to a program; `over` as for `plan_graph`."""
    if any(node.structure.op is PARAMETER for node in postorder(roots, pending_only=True)):
        PARAMETER.reference()
    options = config.current()
    target = machine.target_for(options.target)
    clock, before = time.perf_counter(), dict(counts)
    reason = _history.reason(signature(roots, options))
    trace.write(trace.STAGES, f"compile: {reason}")
    planned = plan_graph(roots, candidates, over)
    memory = planned.memory
    _trace_launches(memory)
    planned_at = time.perf_counter()

    addresses = addresses_of(memory, target)
    plan = Plan(
        [
            PlanLaunch(address, p.words, p.items, p.grain, p.barrier_after, kind_of(p))
            for address, p in zip(addresses, memory.launches)
        ],
        FIRST_SLOT + len(memory.slots),
        memory.arena_bytes,
        len(planned.scheduler.scalar_at),
    )
    done = time.perf_counter()
    kernels = {name: counts[name] - before[name] for name in counts}
    trace.write(
        trace.STAGES,
        f"compiled: {len(memory.launches)} launches, arena {memory.arena_bytes / 1e6:.2f} MB; "
        f"plan {1e3 * (planned_at - clock):.1f} ms, kernels {1e3 * (done - planned_at):.1f} ms "
        f"({kernels['compiled']} compiled, {kernels['from_disk']} from disk, "
        f"{kernels['from_memory']} known)",
    )
    for launch in memory.launches:
        launch.source.nodes = ()  # a program must not keep the graph, nor the leaves' values
    origins = _kept_tuples.setdefault(tuple(kernels.items()), kernels)
    program = _program(planned, plan, Birth(reason, clock, done - clock, origins))
    program.sites = _sites(planned.scheduler.order, located([*roots, *candidates]))
    return program


def addresses_of(memory: MemoryPlan, target: machine.Target) -> list[int]:
    """The machine code of each launch; 0 for what directs the walk."""
    specs = [one_spec(p.spec) for p in memory.launches if p.spec is not None]
    codes = iter(compile_kernels(specs, emit.emit, target))
    return [0 if p.spec is None else next(codes) for p in memory.launches]


def kind_of(p: PlannedLaunch) -> int:
    """What the walker is to do with a launch."""
    if p.source.jump is not None:
        return _JUMPS[p.source.jump.kind]
    if p.source.begins is not None:
        return walker.BEGIN
    return walker.LAUNCH if p.source.ends is None else walker.END


_JUMPS = {
    "enter": walker.ENTER, "unless": walker.UNLESS, "goto": walker.GOTO, "mark": walker.MARK,
}  # fmt: skip


def _trace_launches(memory: MemoryPlan) -> None:
    """Say what is launched, and how each loop nest looks."""
    if not trace.at(trace.KERNELS):
        return
    for k, p in enumerate(memory.launches):
        source = p.source
        trace.write(
            trace.KERNELS,
            f"launch {k}: {source.label}, {p.items} items of at most {p.grain} a turn, "
            f"{source.n_bytes} bytes, {source.flops} operations"
            + (", then all meet" if p.barrier_after else ""),
        )
        if p.spec is not None:
            trace.write(trace.LOOPS, kernel_text(p.spec))


def _keep(scheduler: Scheduler, extras: Sequence[Node]) -> list[tuple[int, PlanBuffer]]:
    """Turn temporaries that a later backward may read into outputs."""
    kept = []
    p = scheduler.partition
    for position, node in enumerate(extras):
        number = p.number(strip(node))
        if number is None:
            continue
        buffer = scheduler.buffers[number]
        if buffer.kind == "temp" and number in scheduler.wanted:
            buffer.kind = "output"
        if buffer.kind == "output":
            kept.append((position, buffer))
    return kept


def _program(planned: Planned, plan: Plan, birth: Birth) -> Program:
    """Tie slots to the leaves of the epoch and to the roots."""
    scheduler, memory = planned.scheduler, planned.memory
    index = {id(n): i for i, n in enumerate(recorder.leaves)}
    slot = {id(b): FIRST_SLOT + i for i, b in enumerate(memory.slots)}
    out_at = {id(b): i for i, b in enumerate(planned.outputs)}
    leaf_slots, scalars = [], []
    leaf_of: dict[int, int] = {}
    for number, node in enumerate(scheduler.partition.nodes):
        if node.value is None and node.structure.op is not LEAF:
            continue
        if number in scheduler.scalar_at:
            scalars.append((scheduler.scalar_at[number], index[id(node)], node.dtype))
        else:
            leaf_of[id(scheduler.buffers[number])] = index[id(node)]
            leaf_slots.append((slot[id(scheduler.buffers[number])], index[id(node)]))
    where: list[tuple[str, int]] = []
    for root in planned.results:
        buffer, source = output_buffer(scheduler, root)
        if buffer is None:
            where.append(("leaf", index[id(source)]))
        elif buffer.kind == "alias":
            where.append(("over", leaf_of[id(buffer.source)]))
        else:
            where.append(("output", out_at[id(buffer)]))
    return Program(
        plan,
        _one(tuple(leaf_slots)),
        _one(tuple(scalars)),
        tuple((slot[id(b)], b.n_bytes) for b in planned.outputs),
        _one(tuple(where)),
        _one(tuple((position, out_at[id(b)]) for position, b in planned.kept)),
        birth,
    )


_kept_tuples: dict[Any, Any] = {}


def _one(value: T) -> T:
    """The one that is kept of all that are equal: programs of one form and many sizes share it."""
    if len(_kept_tuples) > _PROGRAM_LIMIT:
        _kept_tuples.clear()
    return _kept_tuples.setdefault(value, value)


def run_program(program: Program, leaves: Sequence[Node]) -> list[Buffer]:
    """Run on the given leaves; gives a buffer for each output."""
    values = [Buffer(n_bytes) for _, n_bytes in program.outputs]
    addresses = [(slot, leaves[i].value.address) for slot, i in program.leaves]
    addresses += [(slot, b.address) for (slot, _), b in zip(program.outputs, values)]
    scalars = [(at, leaves[i].value, dtype.name) for at, i, dtype in program.scalars]
    program.plan.run(team(), addresses, scalars)
    return values


_teams: dict[tuple[int, str], Pool] = {}


def team() -> Pool:
    """The threads that the options ask for."""
    options = config.current()
    key = (options.threads, options.target)
    found = _teams.get(key)
    if found is None:
        target = machine.target_for(options.target)
        text = walker.text(target.triple.split("-")[0], sys.platform.startswith("linux"))
        names = ("twofold_worker", "twofold_run")
        found = _teams[key] = Pool(options.threads, *compile_text(text, names, target))
    return found


def _run_reference(roots: list[Node]) -> None:
    """Run by the NumPy references; every node that a later backward may need keeps its value."""
    wanted = list({id(n): n for n in [*roots, *_candidates(roots)]}.values())
    given = {id(n): array_of(n) for n in postorder(roots, pending_only=True) if n.value is not None}
    try:
        values = interpret.evaluate(wanted, given)
    except MemoryError as error:
        raise RuntimeError(f"[cpu] not enough memory: {error}; try smaller sizes") from None
    for node, value in zip(wanted, values, strict=True):
        node.value = from_numpy(value, node.dtype).value


def let_go(node: Node) -> None:
    """Drop the history of a node that has its value, unless a backward may still go through it."""
    s = node.structure
    if not s.requires_grad or node.released or s.op.starts_gradient:
        node.inputs = ()


def _has_nan(node: Node, array: np.ndarray) -> bool:
    return node.dtype.is_inexact and bool(np.isnan(to_held(array, node.dtype)).any())


def _trap_nan(roots: list[Node]) -> None:
    """RuntimeError, with the op and the user's line, if a value that was asked for has a NaN: it
    names the first op that made one, which the references find."""
    for root in roots:
        if root.structure.op is LEAF or not _has_nan(root, array_of(root)):
            continue
        below = postorder(root.inputs, pending_only=True)
        order = [*[n for n in below if not n.structure.op.is_bundle], root]
        given = {id(n): array_of(n) for n in order[:-1] if n.value is not None}
        arrays = [*interpret.evaluate(order[:-1], given), array_of(root)]
        bad = next(n for n, array in zip(order, arrays) if _has_nan(n, array))
        what = "gave NaN"
        if bad.value is not None and bad is not root:
            bad = next(n for n in order if any(x is bad for x in n.inputs))
            what = "was given NaN"
        where = ""
        if bad.location is not None:
            file, line, function = bad.location
            where = f"; asked for in {file}, line {line}, in {function}"
        shapes = ", ".join(repr(x.type) for x in bad.inputs)
        raise RuntimeError(
            f"[{bad.structure.op.name}] {what} (trap_nan is on); got {shapes}{where}"
        )


def _locate(options: config.Config) -> None:
    """Note the user's lines while they may be asked for."""
    recorder.locate = options.trap_nan


config.listeners.append(_locate)
_locate(config.current())

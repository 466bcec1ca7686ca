"""`twofold.explain`: what became of a function's graph, kernel by kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from . import config, engine, machine
from .capture import Captured
from .graph.node import Node, recorder
from .graph.svg import draw
from .graph.text import Graph
from .kernels.launch import Launch
from .kernels.text import kernel_text
from .runtime.buffers import Buffer
from .runtime.plan import Plan, PlanLaunch
from .tensor import Tensor

REPEATS = 5
"""Times that each kernel is run to be timed; the median counts."""


@dataclass
class KernelReport:
    """One kernel of a program. `stores` are the nodes whose values it writes to memory, `inlined`
    those computed on the way, `reads` those it reads, by their names in the graph after all passes.
    `seconds` is its median time on data that is as warm as a run before leaves it."""

    label: str
    stores: list[str]
    inlined: list[str]
    reads: list[str]
    n_bytes: int
    flops: int
    items: int
    seconds: float
    text: str


@dataclass
class ProgramReport:
    """A program that ran. `recorded` is its graph as it was recorded, `graph` after all passes.
    `reason` says why it was compiled during the call; it is None where the program was known."""

    recorded: str
    graph: str
    kernels: list[KernelReport]
    arena_bytes: int
    reason: str | None
    compile_seconds: float
    compiled: Mapping[str, int]
    svg: str

    @property
    def seconds(self) -> float:
        """The sum of the kernels' times."""
        return sum(k.seconds for k in self.kernels)

    def __str__(self) -> str:
        n = len(self.kernels)
        lines = [
            f"program of {n} kernel{'s' * (n != 1)}: {_time(self.seconds)}, "
            f"{sum(k.flops for k in self.kernels):,} operations, "
            f"{sum(k.n_bytes for k in self.kernels):,} bytes, arena {self.arena_bytes:,} bytes"
        ]
        if self.reason is None:
            lines.append("known: nothing was compiled")
        else:
            c = self.compiled
            lines.append(
                f"compiled in {_time(self.compile_seconds)} ({c['compiled']} kernels compiled, "
                f"{c['from_disk']} from disk, {c['from_memory']} known); why: {self.reason}"
            )
        lines.append(f"  {'':3s} {'time':>9s} {'GFLOP/s':>8s} {'GB/s':>7s}  kernel")
        for i, k in enumerate(self.kernels):
            seconds = max(k.seconds, 1e-9)
            what = f"{k.label}: {' '.join(k.stores)} from {' '.join(k.reads) or 'nothing'}"
            if k.inlined:
                what += f", fused with {' '.join(k.inlined)}"
            lines.append(
                f"  {i:3d} {_time(k.seconds):>9s} {k.flops / seconds / 1e9:8.1f} "
                f"{k.n_bytes / seconds / 1e9:7.1f}  {what}"
            )
        return "\n".join([*lines, "graph after all passes:", self.graph])


@dataclass
class Explanation:
    """What `explain` gives: the function's result, and a report of each program that ran."""

    result: Any
    programs: list[ProgramReport] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.programs:
            return "nothing ran: no value was pending"
        return "\n\n".join(map(str, self.programs))

    def svg(self, program: int = -1) -> str:
        """A program's graph as a picture, one colour for each kernel."""
        return self.programs[program].svg

    def save(self, path: str | Path, program: int = -1) -> None:
        """Write the picture to an SVG file."""
        Path(path).write_text(self.svg(program), encoding="utf-8")


def explain(
    function: Callable[..., Any], *args: Any, show: bool = True, **kwargs: Any
) -> Explanation:
    """Call `function(*args, **kwargs)`, run all that it makes pending, and tell (and print, unless
    `show` is False) what was fused into what, each kernel's time, bytes and operations, what was
    compiled and why. A compiled function is run as it was captured.

    The function is called once; the kernels are run a few times more, on the same values.

    >>> import twofold as tf
    >>> x = tf.ones(4, 4)
    >>> found = explain(lambda x: (x * 3).relu().sum(), x, show=False)
    >>> len(found.programs[0].kernels), found.result.item()
    (1, 48.0)
    """
    captured = getattr(function, "_captured", function)  # of a module
    if isinstance(captured, Captured):
        function = captured.as_recorded
    engine.flush()
    reports: list[ProgramReport] = []
    begin = time.perf_counter()

    def observe(
        roots: list[Node], candidates: list[Node], program: engine.Program, values: list[Buffer]
    ) -> None:
        reports.append(_report(roots, candidates, program, values, begin))

    engine.observers.append(observe)
    try:
        with config.override(backend="native"):
            result = function(*args, **kwargs)
            engine.realize([t._node() for t in _tensors(result)])
    finally:
        engine.observers.remove(observe)
    explanation = Explanation(result, reports)
    if show:
        print(explanation)
    return explanation


def _tensors(value: Any) -> list[Tensor]:
    """Every tensor in a result."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [t for part in value for t in _tensors(part)]
    return []


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def _report(
    roots: list[Node],
    candidates: list[Node],
    program: engine.Program,
    values: list[Buffer],
    begin: float,
) -> ProgramReport:
    """The report of a program that has just run."""
    planned, seconds = _timed(roots, candidates, program, values)
    after = Graph(planned.results)
    names = after.names()
    kernels: list[KernelReport] = []
    for k, p in enumerate(planned.memory.launches):
        stores, inlined, reads = _parts(p.source, planned)
        kernels.append(
            KernelReport(
                p.source.label,
                _named(stores, names),
                _named(inlined, names),
                _named(reads, names),
                p.source.n_bytes,
                p.source.flops,
                p.items,
                seconds[k],
                "" if p.spec is None else kernel_text(p.spec),
            )
        )
    legend = [f"{k} {r.label}, {_time(r.seconds)}" for k, r in enumerate(kernels)]
    birth = program.birth
    fresh = birth.at >= begin
    return ProgramReport(
        str(Graph(roots)),
        str(after),
        kernels,
        planned.memory.arena_bytes,
        birth.reason if fresh else None,
        birth.seconds if fresh else 0.0,
        birth.kernels if fresh else dict.fromkeys(birth.kernels, 0),
        picture(planned, legend),
    )


def _timed(
    roots: list[Node], candidates: list[Node], program: engine.Program, values: list[Buffer]
) -> tuple[engine.Planned, list[float]]:
    """The plan of a program that has just run, and the seconds that each kernel takes."""
    with config.override(debug=0):
        planned = engine.plan_graph(roots, candidates)
        return planned, _time_launches(planned, program, values)


class KernelTime(NamedTuple):
    """A kernel of a program: its label, the seconds it takes, its bytes and operations."""

    label: str
    seconds: float
    n_bytes: int
    flops: int


def kernel_times(
    roots: list[Node], candidates: list[Node], program: engine.Program, values: list[Buffer]
) -> list[KernelTime]:
    """The kernels of a program that has just run."""
    planned, seconds = _timed(roots, candidates, program, values)
    sources = [p.source for p in planned.memory.launches]
    return [KernelTime(s.label, t, s.n_bytes, s.flops) for s, t in zip(sources, seconds)]


def picture(planned: engine.Planned, legend: Sequence[str]) -> str:
    """The planned graph as SVG; a node has the colour of the kernel that computes it."""
    kernel_of: dict[int, int] = {}
    for k, p in enumerate(planned.memory.launches):
        stores, inlined, _ = _parts(p.source, planned)
        for node in (*inlined, *stores):
            kernel_of[id(node)] = k
    return draw(planned.results, kernel_of, legend)


def _named(nodes: Sequence[Node], names: dict[int, str]) -> list[str]:
    """The names of nodes, constants left out, each once."""
    return list(dict.fromkeys(names[id(n)] for n in nodes if id(n) in names))


def _parts(launch: Launch, planned: engine.Planned) -> tuple[list[Node], list[Node], list[Node]]:
    """Of a launch: nodes it stores, nodes computed on the way, nodes in memory it reads."""
    number = planned.scheduler.partition.number
    own = {id(n) for n in launch.nodes}
    inlined: dict[int, Node] = {}
    reads: dict[int, Node] = {}
    stack = [x for n in launch.nodes for x in n.inputs]
    while stack:
        node = stack.pop()
        if id(node) in own or id(node) in inlined:
            continue
        if number(node) is not None:
            reads[id(node)] = node
        else:
            inlined[id(node)] = node
            stack.extend(node.inputs)
    wanted = planned.scheduler.wanted
    stores = [n for n in launch.nodes if number(n) in wanted]
    passing = [n for n in launch.nodes if number(n) not in wanted]
    return stores, [*reversed(inlined.values()), *passing], list(reads.values())


def _time_launches(
    planned: engine.Planned, program: engine.Program, values: list[Buffer]
) -> list[float]:
    """The median seconds of each launch, in order on the memory of the run, over all rounds. (A run
    whose thread moved to a core with another clock tells nonsense.)"""
    target = machine.target_for(config.current().target)
    memory, team = planned.memory, engine.team()
    addresses = [(slot, recorder.leaves[i].value.address) for slot, i in program.leaves]
    addresses += [(slot, b.address) for (slot, _), b in zip(program.outputs, values)]
    scalars = [(at, recorder.leaves[i].value, dtype.name) for at, i, dtype in program.scalars]
    n_slots, n_scalars = engine.FIRST_SLOT + len(memory.slots), len(planned.scheduler.scalar_at)
    launches = [
        PlanLaunch(code, p.words, p.items, p.grain, p.barrier_after, engine.kind_of(p))
        for code, p in zip(engine.addresses_of(memory, target), memory.launches)
    ]
    plan = Plan(launches, n_slots, memory.arena_bytes, n_scalars)
    runs = [plan.run_timed(team, addresses, scalars) for _ in range(REPEATS)]
    return [median(times) for times in zip(*runs)]

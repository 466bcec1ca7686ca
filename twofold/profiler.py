"""`torch.profiler`: which kernels a part of a program ran, how often and for how long.

What runs are kernels into which operations are fused, so those are the events, under the labels of
`twofold.explain`. A program (all that was pending at a time) is timed kernel by kernel when it
first runs, by running its kernels a few times more; further runs of it count with those times.
Blocks of `record_function` are events, too: while a profile records, what is pending runs at their
beginning and end, so that their time is that of what they asked for.
"""

from __future__ import annotations

import enum
import functools
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import engine
from .explanation import KernelTime, kernel_times
from .graph.node import Node
from .runtime.buffers import Buffer

_running: list[profile] = []


class ProfilerActivity(enum.Enum):
    """What is measured: of these, the CPU."""

    CPU = 0
    XPU = 1
    CUDA = 2


class ProfilerAction(enum.Enum):
    """What a profile does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Callable[[int], ProfilerAction]:  # fmt: skip
    """What to do in each step: after `skip_first` steps, `repeat` times (0: for ever) nothing for
    `wait` steps, then `warmup` without recording, then record `active` steps."""
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        if repeat and step // length >= repeat:
            return ProfilerAction.NONE
        at = step % length
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if at < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[Any], None]:
    """For `on_trace_ready`: writes each trace to a file of its own in a folder."""
    if use_gzip:
        raise ValueError("[tensorboard_trace_handler] traces are written as plain JSON")

    def write(p: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        name = f"{worker_name or os.uname().nodename}_{os.getpid()}.{time.time_ns()}"
        p.export_chrome_trace(os.path.join(dir_name, f"{name}.pt.trace.json"))

    return write


@dataclass
class Event:
    """A kernel or a named block that ran: times in seconds, from the profile's beginning."""

    name: str
    start: float
    seconds: float
    is_kernel: bool
    n_bytes: int = 0
    flops: int = 0


@dataclass
class Average:
    """All events of one name; times in microseconds."""

    key: str
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    flops: int = 0
    n_bytes: int = 0

    @property
    def cpu_time(self) -> float:
        """The mean time of an event."""
        return self.cpu_time_total / self.count if self.count else 0.0


class Averages(list[Average]):
    """The events of a profile, by name."""

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all kernels."""
        return sum(a.self_cpu_time_total for a in self)

    def total_average(self) -> Average:
        """All in one."""
        total = Average("Total")
        for a in self:
            total.count += a.count
            total.cpu_time_total += a.cpu_time_total
            total.self_cpu_time_total += a.self_cpu_time_total
            total.flops, total.n_bytes = total.flops + a.flops, total.n_bytes + a.n_bytes
        return total

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_name_column_width: int = 55,
        **kwargs: Any,
    ) -> str:  # fmt: skip
        """A row for each name: `self` is the time of kernels, `total` that of blocks, too."""
        rows = list(self)
        if sort_by is not None:
            names = {"cpu_time": "cpu_time", "count": "count", "flops": "flops"}
            field = names.get(sort_by) or (
                "self_cpu_time_total" if sort_by.startswith("self") else "cpu_time_total"
            )
            rows.sort(key=lambda a: -getattr(a, field))
        whole = self.self_cpu_time_total or 1.0
        width = min(max_name_column_width, max((len(a.key) for a in rows), default=4))
        heads = "Self CPU %", "Self CPU", "CPU total", "CPU time avg", "# of Calls", "GFLOP/s"
        lines = ["  ".join(["Name".ljust(width), *(h.rjust(12) for h in (*heads, "GB/s"))])]
        lines.insert(0, "-" * len(lines[0]))
        lines.append(lines[0])
        for a in rows if row_limit < 0 else rows[:row_limit]:
            seconds = a.self_cpu_time_total / 1e6
            cells = [
                f"{100 * a.self_cpu_time_total / whole:.2f}%", _shown(a.self_cpu_time_total),
                _shown(a.cpu_time_total), _shown(a.cpu_time), str(a.count),
                f"{a.flops / seconds / 1e9:.1f}" if seconds else "",
                f"{a.n_bytes / seconds / 1e9:.1f}" if seconds else "",
            ]  # fmt: skip
            name = a.key if len(a.key) <= width else a.key[: width - 3] + "..."
            lines.append("  ".join([name.ljust(width), *(c.rjust(12) for c in cells)]))
        lines += [lines[0], f"Self CPU time total: {_shown(self.self_cpu_time_total)}"]
        return "\n".join(lines)


def _shown(us: float) -> str:
    if us >= 1e6:
        return f"{us / 1e6:.3f}s"
    return f"{us / 1e3:.3f}ms" if us >= 1e3 else f"{us:.3f}us"


class profile:
    """Notes what runs within its block.

    `schedule` says in which steps (`step()` ends one) to record; `on_trace_ready` is called with
    the profile when a recording is complete. Only the CPU is measured, whatever `activities` names;
    shapes, memory and stacks are not noted.

    >>> import twofold as tf
    >>> with profile() as p:
    ...     (tf.ones(8, 8) @ tf.ones(8, 8)).sum().item()
    512.0
    >>> len(p.key_averages()) > 0
    True
    """

    def __init__(
        self, activities: Iterable[ProfilerActivity] | None = None, *,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None, record_shapes: bool = False,
        profile_memory: bool = False, with_stack: bool = False, with_flops: bool = False,
        with_modules: bool = False, experimental_config: Any = None, acc_events: bool = False,
    ) -> None:  # fmt: skip
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self._action = schedule or (lambda step: ProfilerAction.RECORD)
        self._found: list[Event] = []
        self._known: dict[int, tuple[engine.Program, list[KernelTime]]] = {}
        self._origin = 0.0
        self._lost = 0.0  # seconds spent on timing kernels

    @property
    def current_action(self) -> ProfilerAction:
        """What is done in this step."""
        return self._action(self.step_num)

    @property
    def recording(self) -> bool:
        """Whether events are noted now."""
        return self.current_action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)

    def start(self) -> None:
        """Begin."""
        engine.flush()
        self._origin = time.perf_counter()
        engine.observers.append(self._observe)
        _running.append(self)

    def stop(self) -> None:
        """Run what is pending, and end."""
        try:
            engine.flush()
        finally:
            engine.observers.remove(self._observe)
            _running.remove(self)
        if self.on_trace_ready is not None and self.recording and self._found:
            self.on_trace_ready(self)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()

    def step(self) -> None:
        """A step of the program has ended."""
        engine.flush()
        ended = self.current_action
        self.step_num += 1
        if ended is ProfilerAction.RECORD_AND_SAVE:
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)
            if self.current_action is not ProfilerAction.NONE or self.on_trace_ready is not None:
                self._found = []

    def _now(self) -> float:
        return time.perf_counter() - self._origin - self._lost

    def _observe(
        self, roots: list[Node], candidates: list[Node], program: engine.Program,
        values: list[Buffer],
    ) -> None:  # fmt: skip
        if not self.recording:
            return
        ended, before = self._now(), time.perf_counter()
        known = self._known.get(id(program))
        if known is None:
            known = program, kernel_times(roots, candidates, program, values)
            self._known[id(program)] = known
        at = ended - sum(k.seconds for k in known[1])
        for k in known[1]:
            self._found.append(Event(k.label, at, k.seconds, True, k.n_bytes, k.flops))
            at += k.seconds
        self._lost += time.perf_counter() - before

    def events(self) -> list[Event]:
        """What ran, in order."""
        return list(self._found)

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **kwargs: Any
    ) -> Averages:
        """What ran, by name."""
        found: dict[str, Average] = {}
        for e in self._found:
            a = found.setdefault(e.name, Average(e.name))
            a.count += 1
            a.cpu_time_total += e.seconds * 1e6
            if e.is_kernel:
                a.self_cpu_time_total += e.seconds * 1e6
            a.flops, a.n_bytes = a.flops + e.flops, a.n_bytes + e.n_bytes
        return Averages(found.values())

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the events as JSON for chrome://tracing and Perfetto."""
        events = [
            {
                "ph": "X", "name": e.name, "cat": "kernel" if e.is_kernel else "user_annotation",
                "ts": e.start * 1e6, "dur": e.seconds * 1e6, "pid": os.getpid(),
                "tid": 0 if e.is_kernel else 1,
                "args": {"bytes": e.n_bytes, "flops": e.flops} if e.is_kernel else {},
            }
            for e in self._found
        ]  # fmt: skip
        text = json.dumps({"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": events})
        Path(path).write_text(text, encoding="utf-8")

    def __str__(self) -> str:
        return self.key_averages().table()


class record_function:
    """A block with a name, which is an event of the profiles around it; also a decorator."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        self._profiles = [p for p in _running if p.recording]
        if self._profiles:
            engine.flush()
        self._starts = [p._now() for p in self._profiles]
        return self

    def __exit__(self, *details: object) -> None:
        if self._profiles:
            engine.flush()
        for p, start in zip(self._profiles, self._starts):
            p._found.append(Event(self.name, start, p._now() - start, False))

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return function(*args, **kwargs)

        return inside

"""`torch.autograd.profiler`: times of blocks that the program names.

Ops are not told apart: they run later, together. `twofold.explain` tells what a step does.
"""

from __future__ import annotations

import time
from typing import Any

from ..library import Library

_running: list[profile] = []


class _Table:
    """Times by name."""

    def __init__(self, blocks: list[tuple[str, float]]) -> None:
        self.blocks = blocks

    def table(self, *args: Any, **kwargs: Any) -> str:
        """A line for each name: how often, and milliseconds in all."""
        lines = ["Name                                      Calls     Total ms"]
        for name in dict.fromkeys(name for name, _ in self.blocks):
            times = [t for n, t in self.blocks if n == name]
            lines.append(f"{name:<40} {len(times):>6} {sum(times) * 1e3:>12.3f}")
        return "\n".join(lines)


class profile:
    """Notes the times of `record_function` blocks within its own; `on_trace_ready` is called with
    it at its end."""

    def __init__(
        self, enabled: Any = True, *args: Any, on_trace_ready: Any = None, **kwargs: Any
    ) -> None:
        self.enabled = enabled is not False  # the first of `torch.profiler.profile` is another
        self.blocks: list[tuple[str, float]] = []
        self.on_trace_ready = on_trace_ready

    def __enter__(self) -> profile:
        if self.enabled:
            _running.append(self)
        return self

    def __exit__(self, *details: object) -> None:
        if self.enabled:
            _running.remove(self)
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def key_averages(self, *args: Any, **kwargs: Any) -> _Table:
        """The times by name."""
        return _Table(self.blocks)

    def step(self) -> None:
        """Nothing: all steps are noted."""

    def __str__(self) -> str:
        return _Table(self.blocks).table()


class record_function:
    """A block with a name, whose time a profile around it notes."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        self.start = time.perf_counter()
        return self

    def __exit__(self, *details: object) -> None:
        for p in _running:
            p.blocks.append((self.name, time.perf_counter() - self.start))


def _enter(name: str, args: str | None = None) -> record_function:
    return record_function(name).__enter__()


def _exit(block: record_function) -> None:
    block.__exit__()


_library = Library("profiler", "DEF")
_library.impl("_record_function_enter", _enter)
_library.impl("_record_function_exit", _exit)

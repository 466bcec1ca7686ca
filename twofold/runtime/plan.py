"""Plans: launches as plain words in memory, run by the pool in one call."""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from .buffers import Buffer
from .pool import Pool
from .walker import (
    BEGIN,
    END,
    ENTER,
    ENTRY_BYTES,
    GOTO,
    LAUNCH,
    LOG_BYTES,
    MAX_DEPTH,
    PLAN_BYTES,
    UNLESS,
)

_FORMATS = {
    "bool": "?", "uint8": "B", "int8": "b", "int16": "h", "int32": "i", "int64": "q",
    "float32": "f", "float64": "d",
}  # fmt: skip


@dataclass
class PlanLaunch:
    """A kernel's address, its words, its items, and whether all threads meet after it; or what
    directs the walk (`kind`, see `walker.py`)."""

    address: int
    words: list[int]
    items: int
    grain: int
    barrier_after: bool
    kind: int = LAUNCH


class Arena:
    """The memory of all temporaries, shared by all plans, grown to the largest need."""

    def __init__(self) -> None:
        self.buffer = Buffer(0)

    def address(self, n_bytes: int) -> int:
        """Memory of at least `n_bytes`."""
        if self.buffer.n_bytes < n_bytes:
            self.buffer = Buffer(n_bytes)
        return self.buffer.address


ARENA = Arena()


class KernelError(Exception):
    """A kernel found a value that it cannot work with: (code, value, extent)."""

    def __init__(self, code: int, value: int, extent: int, launch: int) -> None:
        super().__init__(code, value, extent, launch)
        self.code, self.value, self.extent, self.launch = code, value, extent, launch


class Plan:
    """Launches, ready to run. Slot 0 of the bases is the error record (code, value, extent, launch
    as int64), slot 1 the arena, slot 2 the run-time numbers; the others are given with each run."""

    def __init__(
        self, launches: Sequence[PlanLaunch], n_slots: int, arena_bytes: int, n_scalars: int
    ) -> None:
        n = len(launches)
        words = np.array([w for launch in launches for w in launch.words], np.int64)
        table = PLAN_BYTES
        bases = table + ENTRY_BYTES * n
        scalars = bases + 8 * n_slots
        error = scalars + 8 * n_scalars
        log = error + 64
        decides = any(launch.kind == UNLESS for launch in launches)
        first = log + LOG_BYTES * decides
        # All of a plan in one block, since programs of many shapes keep many plans.
        self._memory = np.zeros((first + words.nbytes + 64) // 8, np.int64)
        start = -(-self._memory.ctypes.data // 64) * 64
        self._plan = start
        at = start + first
        ctypes.memmove(at, words.ctypes.data, words.nbytes)
        for i, launch in enumerate(launches):
            meets = launch.barrier_after or i + 1 == n
            entry = (ctypes.c_int64 * 6).from_address(start + table + i * ENTRY_BYTES)
            grain = max(1, launch.grain)
            entry[:] = [launch.address, at, launch.items, grain, meets, launch.kind]
            at += 8 * len(launch.words)
        self._bases = (ctypes.c_int64 * n_slots).from_address(start + bases)
        self._error = (ctypes.c_int64 * 4).from_address(start + error)
        self._scalars = (
            (ctypes.c_char * (8 * n_scalars)).from_address(start + scalars) if n_scalars else None
        )
        self._bases[0] = start + error
        self._bases[2] = start + scalars
        self._arena_bytes = arena_bytes
        self.n_launches = n
        depths = accumulate(map(_deeper, launches))
        if (depth := max(depths, default=0)) > MAX_DEPTH:
            raise RuntimeError(
                f"[loop] loops may lie {MAX_DEPTH} deep in one another; got {depth}; try "
                "reshaping so that one loop runs over several axes"
            )
        alone = all(launch.grain >= launch.items for launch in launches)
        loops = any(launch.kind != LAUNCH for launch in launches)
        self._header()[:] = [
            n, start + table, start + bases, 0, alone, n_slots if loops else 0, 0,
            start + log if decides else 0,
        ]  # fmt: skip

    def _header(self) -> ctypes.Array:
        """The plan's first words (see `walker.py`)."""
        return (ctypes.c_int64 * 8).from_address(self._plan)

    def run(
        self,
        pool: Pool,
        addresses: Iterable[tuple[int, int]],
        scalars: Iterable[tuple[int, float, str]] = (),
    ) -> None:
        """Run with (slot, address) of leaves and outputs, and (position, value, dtype) of the
        numbers. KernelError if a kernel met a bad value."""
        bases = self._bases
        with pool.lock:
            for slot, address in addresses:
                bases[slot] = address
            for position, value, dtype in scalars:
                pack_scalar(self._scalars, position, value, dtype)
            bases[1] = ARENA.address(self._arena_bytes)
            pool._run(pool._team, self._plan)
            if self._error[0]:
                code, value, extent, launch = self._error
                self._error[:] = [0, 0, 0, 0]
                raise KernelError(code, value, extent, launch)

    def run_timed(
        self,
        pool: Pool,
        addresses: Iterable[tuple[int, int]],
        scalars: Iterable[tuple[int, float, str]] = (),
    ) -> list[float]:
        """Run, meeting after each launch; gives the seconds of each, over all rounds of loops."""
        times = np.zeros(max(1, self.n_launches), np.int64)
        self._header()[3] = times.ctypes.data
        try:
            begin = time.perf_counter()
            self.run(pool, addresses, scalars)
            seconds = time.perf_counter() - begin
        finally:
            self._header()[3] = 0
        ticks = times[: self.n_launches]
        return list(ticks / max(ticks.sum(), 1) * seconds)


def _deeper(launch: PlanLaunch) -> int:
    """How much deeper in loops what comes after lies."""
    ends = launch.kind == END or (launch.kind == GOTO and launch.words[1])
    return int(launch.kind in (BEGIN, ENTER)) - int(ends)


def pack_scalar(into: Any, position: int, value: float, dtype: str) -> None:
    """Write a number as `dtype` into the 8 bytes at `position`."""
    if dtype in _FORMATS:
        kind = _FORMATS[dtype]
        number = value if kind in "fd?" else int(value)
        try:
            struct.pack_into(kind, into, 8 * position, number)
        except (OverflowError, struct.error):
            held = np.float32 if kind == "f" else np.dtype(dtype).type
            with np.errstate(all="ignore"):
                rounded = np.array(value).astype(held)
            into[8 * position : 8 * position + rounded.nbytes] = rounded.tobytes()
    elif dtype == "float16":
        struct.pack_into("<H", into, 8 * position, int(np.float16(value).view(np.uint16)))
    else:
        bits = int(np.float32(value).view(np.uint32))
        rounded_bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 if value == value else 0x7FC0
        struct.pack_into("<H", into, 8 * position, rounded_bits & 0xFFFF)

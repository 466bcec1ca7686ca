"""The memory plan: where each buffer lies, which launches must wait for which, and the words of
each launch.

Launches between two barriers form a phase and may run at once. A temporary lives from the phase
that first writes it to the phase that last touches it; two that live in one phase never share
memory, so reuse adds no waiting. Temporaries and threads' scratch lie in one arena.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..abi import ALIGNMENT, PADDING
from ..errors import InternalError
from .launch import Array, Buffer, Jump, Launch, Rounds, Scratch

ERROR_SLOT, ARENA_SLOT, SCALARS_SLOT, FIRST_SLOT = 0, 1, 2, 3


@dataclass
class PlannedLaunch:
    """A launch with all words known. One that directs the walk has no `spec`."""

    spec: Any
    words: list[int]
    items: int
    grain: int
    barrier_after: bool
    source: Launch


@dataclass
class MemoryPlan:
    """What a run needs: base addresses for `slots` (leaves, outputs, then loops' rows), an arena of
    `arena_bytes`, and the launches."""

    launches: list[PlannedLaunch]
    slots: list[Buffer]
    arena_bytes: int
    temp_bytes: int


def plan_memory(launches: Sequence[Launch], given: Sequence[Buffer], threads: int) -> MemoryPlan:
    """Place every buffer of `launches`. `given` are those whose addresses come with each run."""
    phases = _phases(launches)
    found = [b for launch in launches if launch.begins for b, _, _ in launch.begins.rows]
    slots = [*given, *found]
    slot_of = {id(b): FIRST_SLOT + i for i, b in enumerate(slots)}
    lives = _lifetimes(launches, phases, slot_of)
    scratch: dict[tuple[int, int], Buffer] = {}
    for i, launch in enumerate(launches):
        for k, arg in enumerate(launch.args):
            if isinstance(arg, Scratch):
                block = Buffer(_round(arg.n_bytes) * threads, "temp", "scratch")
                scratch[i, k] = block
                lives[id(block)] = (block, phases[i], phases[i])
    offsets, arena_bytes = _place(list(lives.values()))

    def where(buffer: Buffer) -> tuple[int, int]:
        buffer = _root(buffer)
        if id(buffer) in slot_of:
            return slot_of[id(buffer)], 0
        if id(buffer) in offsets:
            return ARENA_SLOT, offsets[id(buffer)]
        if buffer.kind == "scalars":
            return SCALARS_SLOT, 0
        raise InternalError(f"[memory] a buffer without a place; got {buffer}")

    planned: list[PlannedLaunch] = []
    begins: list[int] = []
    index = {id(launch): i for i, launch in enumerate(launches)}
    for i, launch in enumerate(launches):
        words: list[int] = []
        for k, arg in enumerate(launch.args):
            if isinstance(arg, Array):
                slot, offset = where(arg.buffer)
                words += [slot, offset + arg.offset]
            elif isinstance(arg, Scratch):
                slot, offset = where(scratch[i, k])
                words += [slot, offset, _round(arg.n_bytes)]
            else:
                words.append(int(arg))
        if launch.begins is not None:
            begins.append(i)
            words = [launch.begins.count, *_row_words(launch.begins, where)]
        elif launch.ends is not None:
            words = [begins.pop(), launch.ends.count, *_row_words(launch.ends, where)]
        elif launch.jump is not None:
            words = list(_jump_words(launch.jump, index, where))
        last = i + 1 == len(launches)
        barrier = not last and phases[i + 1] != phases[i]
        planned.append(
            PlannedLaunch(launch.spec, words, launch.items, launch.grain, barrier, launch)
        )
    temp_bytes = sum(b.n_bytes for b, _, _ in lives.values())
    return MemoryPlan(planned, slots, arena_bytes, temp_bytes)


def _row_words(rounds: Rounds, where: Callable[[Buffer], tuple[int, int]]) -> Iterator[int]:
    """The words that say how rows move; see `runtime/walker.py`."""
    yield len(rounds.rows)
    for row, start, step in rounds.rows:
        slot, offset = where(start.buffer)
        yield from (where(row)[0], slot, offset + start.offset, step)


def _jump_words(
    jump: Jump, index: dict[int, int], where: Callable[[Buffer], tuple[int, int]]
) -> Iterator[int]:
    """The words of a jump; see `runtime/walker.py`."""
    if jump.flag is not None:
        slot, offset = where(jump.flag.buffer)
        yield from (slot, offset + jump.flag.offset)
    if jump.to is not None:
        target = jump.to.jump
        back = jump.kind == "goto" and target is not None and target.kind == "enter"
        yield from (index[id(jump.to)], int(jump.leaves or back))


def _round(n_bytes: int) -> int:
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT


def _root(buffer: Buffer) -> Buffer:
    while buffer.kind == "alias" and buffer.source is not None:
        buffer = buffer.source
    return buffer


def _phases(launches: Sequence[Launch]) -> list[int]:
    """The phase of each launch: a new one begins where a launch touches what another wrote in the
    current phase, or writes what another read, or writes over a leaf while another may yet find
    that the run cannot go on."""
    phases: list[int] = []
    phase, checks = 0, False
    written: set[int] = set()
    read: set[int] = set()
    for launch in launches:
        reads = {id(_root(b)) for b in launch.reads}
        writes = {id(_root(b)) for b in launch.writes}
        must_wait = checks and any(b.kind == "alias" for b in launch.writes)
        if launch.directs or must_wait or (reads | writes) & written or writes & read:
            phase += 1
            written, read, checks = set(), set(), False
        if launch.directs:
            phases.append(phase)
            phase += 1
            continue
        written |= writes
        read |= reads
        checks |= launch.checks
        phases.append(phase)
    return phases


def _lifetimes(
    launches: Sequence[Launch], phases: list[int], slot_of: dict[int, int]
) -> dict[int, tuple[Buffer, int, int]]:
    lives: dict[int, tuple[Buffer, int, int]] = {}
    for launch, phase in zip(launches, phases):
        for buffer in (*launch.reads, *launch.writes):
            if id(_root(buffer)) in slot_of or buffer.kind == "scalars":
                continue
            if buffer.kind != "temp":
                raise InternalError(f"[memory] only temporaries may be unplaced; got {buffer}")
            _, first, _ = lives.get(id(buffer), (buffer, phase, phase))
            lives[id(buffer)] = (buffer, first, phase)
    return lives


def _place(lives: list[tuple[Buffer, int, int]]) -> tuple[dict[int, int], int]:
    """Offsets in the arena, largest first, each at the lowest place free while it lives."""
    placed: list[tuple[int, int, int, int]] = []
    offsets: dict[int, int] = {}
    end = 0
    for buffer, first, last in sorted(lives, key=lambda entry: -entry[0].n_bytes):
        size = _round(buffer.n_bytes + PADDING)
        at = 0
        for low, high, since, until in sorted(placed):
            if since <= last and first <= until:
                if low >= at + size:
                    break
                at = max(at, high)
        placed.append((at, at + size, first, last))
        offsets[id(buffer)] = at
        end = max(end, at + size)
    return offsets, end

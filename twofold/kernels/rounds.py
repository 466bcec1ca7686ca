"""Loops: the launches of a body, between a begin and an end, once for all rounds.

A body is scheduled as a graph of its own. What it reads and writes of the loop's arrays are rows:
buffers that move on by a fixed number of bytes each round. Launches that read constants alone, such
as the packing of a weight, are made before the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..abi import ALIGNMENT
from ..graph.node import Node
from ..ops.scalar import postorder
from .call import CallSpec
from .launch import Array, Buffer, Launch, Rounds
from .loop_transform import exprs
from .loops import LoopKernel


@dataclass(frozen=True)
class Rows:
    """Where rows lie: the first round's, and how many bytes on the next round's is."""

    first: Array
    step: int


def place(buffer: Buffer, rows: Rows) -> tuple[Buffer, Array, int]:
    """Make `buffer` a row."""
    buffer.kind = "row"
    buffer.is_aligned = rows.first.is_aligned and not rows.step % ALIGNMENT
    return buffer, rows.first, rows.step


def launches_of(
    node: Node,
    steps: int,
    inner: Sequence[Launch],
    rows: Sequence[tuple[Buffer, Array, int]],
    constants: dict[int, Array],
) -> list[Launch]:
    """The launches of a loop of `steps` rounds over the launches `inner`, in which the buffers
    `constants` (by id) stand for arrays."""
    for launch in inner:
        read_from(launch, constants)
        launch.nodes = (node,)
        launch.label = f"{launch.label}, in a loop"
    before, within = hoisted(inner, {id(buffer) for buffer, _, _ in rows})
    rounds = Rounds(steps, list(rows))
    own = {id(b) for launch in within for b in launch.writes} | {id(b) for b, _, _ in rows}
    touched: dict[int, Buffer] = {id(first.buffer): first.buffer for _, first, _ in rows}
    for launch in within:
        launch.flops, launch.n_bytes = launch.flops * steps, launch.n_bytes * steps
        touched.update((id(b), b) for b in launch.reads if id(b) not in own)
    given = tuple(touched.values())
    edge = Launch(None, [], 0, 1, given, given, label="loop", nodes=(node,))
    begin = replace(edge, begins=rounds, label=f"loop of {steps} rounds")
    end = replace(edge, ends=rounds, label="end of the loop")
    return [*before, begin, *within, end]


def hoisted(
    inner: Sequence[Launch], moving: set[int], may_be_none: bool = False
) -> tuple[list[Launch], list[Launch]]:
    """The launches that do the same in each round, as they depend on no buffer of `moving` (ids),
    and the others. Where there `may_be_none`, no round, those that may meet a bad value stay."""
    before: list[Launch] = []
    within: list[Launch] = []
    depth = 0  # a loop within this one stays whole
    # What several launches write is written anew in each round: its memory is not its own between.
    writes = [id(b) for launch in inner for b in launch.writes]
    moving = moving | {i for i in writes if writes.count(i) > 1}
    for launch in inner:
        change = launch.depth
        depth += max(change, 0)
        stays = depth or (may_be_none and _may_fail(launch))
        if stays or any(id(b) in moving for b in (*launch.reads, *launch.writes)):
            moving.update(map(id, launch.writes))
            within.append(launch)
        else:
            before.append(launch)
        depth += min(change, 0)
    return before, within


def _may_fail(launch: Launch) -> bool:
    """Whether a launch may meet a value that it cannot work with."""
    if isinstance(launch.spec, CallSpec):
        return True
    if not isinstance(launch.spec, LoopKernel):
        return False
    return any(e.op == "checked" for e in postorder(*exprs(launch.spec)))


def read_from(launch: Launch, constants: dict[int, Array]) -> None:
    """Let `launch` use arrays outside of the body in place of its own buffers, given by id."""

    def outside(at: Array) -> Array:
        known = constants.get(id(at.buffer))
        return at if known is None else Array(known.buffer, known.offset + at.offset)

    def whole(buffer: Buffer) -> Buffer:
        known = constants.get(id(buffer))
        return buffer if known is None else known.buffer

    launch.args = [outside(arg) if isinstance(arg, Array) else arg for arg in launch.args]
    launch.reads = tuple(map(whole, launch.reads))
    launch.writes = tuple(map(whole, launch.writes))
    if launch.begins is not None:
        launch.begins.rows = [(b, outside(first), step) for b, first, step in launch.begins.rows]
    if launch.jump is not None and launch.jump.flag is not None:
        launch.jump.flag = outside(launch.jump.flag)

"""Launches of kernels over symbolic buffers: what scheduling hands to the memory plan.

A kernel is described by a frozen dataclass (a `spec`) whose repr names it wholly: the repr, the
target and the version are its key in the compiled-kernel cache, so no code need be made to look it
up. Sizes and strides are run-time words of a launch, not part of a spec.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..abi import ALIGNMENT


@dataclass(eq=False)
class Buffer:
    """A block of memory of a plan, before it has an address.

    `kind` is "leaf" (given by the caller), "output" (kept after the run), "temp" (lives in the
    arena between its first and last use), "alias" (the memory of the leaf `source`, which the
    caller gives up), "row" (a row of what a loop walks over, at another place in each round; see
    `Rounds`) or "scalars" (the run-time numbers of the program). A row may begin anywhere, so it is
    not `is_aligned`.
    """

    n_bytes: int
    kind: str
    name: str = ""
    source: Buffer | None = None
    is_aligned: bool = True


@dataclass(frozen=True)
class Array:
    """An array argument: `offset` bytes into `buffer`."""

    buffer: Buffer
    offset: int = 0

    @property
    def is_aligned(self) -> bool:
        """Whether it starts on a multiple of `ALIGNMENT`."""
        return self.buffer.is_aligned and not self.offset % ALIGNMENT


@dataclass(frozen=True)
class Scratch:
    """Memory of its own for each thread, `n_bytes` a thread, undefined when a launch begins."""

    n_bytes: int


@dataclass
class Rounds:
    """What the begin and the end of a loop say: how often what lies between is run, and for each
    row (`buffer`) where it is in the first round and how many bytes it moves on each round."""

    count: int
    rows: list[tuple[Buffer, Array, int]]


@dataclass
class Jump:
    """What directs the walk by values: "enter" begins a loop without a number of rounds; "unless"
    goes on after `to` if the bool at `flag` does not hold, and `leaves` the loop if it is one's;
    "goto" goes on after `to`, and so begins the next round if that is where the loop begins;
    "mark" does nothing, but can be gone to.

    Launches between one that `opens` and one that `closes` stay together.
    """

    kind: str
    flag: Array | None = None
    to: Launch | None = None
    leaves: bool = False
    opens: bool = False
    closes: bool = False


@dataclass
class Launch:
    """One kernel over `items` independent work items, handed out at most `grain` at a time.

    The begin and the end of a loop, and jumps, are launches without a kernel (`spec` is None). They
    read and write all that the loop reads and writes of what is not its own.

    `args` become the words that the ABI describes: two for an `Array`, three for a `Scratch`, one
    for an int. `reads` and `writes` order launches; a buffer that is both is updated in place.
    `checks` says that a bad value may first be met here, after which no launch of a later phase
    runs.
    """

    spec: Any
    args: list[Array | Scratch | int]
    items: int
    grain: int
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    flops: int = 0
    n_bytes: int = 0
    label: str = ""
    nodes: tuple[Any, ...] = field(default=())
    begins: Rounds | None = None
    ends: Rounds | None = None
    jump: Jump | None = None
    checks: bool = False

    @property
    def directs(self) -> bool:
        """Whether this is the begin or the end of a loop or a jump, not a kernel."""
        return self.begins is not None or self.ends is not None or self.jump is not None

    @property
    def depth(self) -> int:
        """1 where this opens a block that stays together, -1 where it closes one, else 0."""
        jump = self.jump
        opens = self.begins is not None or (jump is not None and jump.opens)
        return int(opens) - int(self.ends is not None or (jump is not None and jump.closes))

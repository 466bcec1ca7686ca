"""Launches of kernels over symbolic buffers: what scheduling hands to the memory plan.

A kernel is described by a frozen dataclass (a `spec`) whose repr names it wholly: the repr, the
target and the version are its key in the compiled-kernel cache, so no code need be made to look it
up. Sizes and strides are run-time words of a launch, not part of a spec.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Buffer:
    """A block of memory of a plan, before it has an address.

    `kind` is "leaf" (given by the caller), "output" (kept after the run), "temp" (lives in the
    arena between its first and last use), "alias" (the memory of the leaf `source`, which the
    caller gives up) or "scalars" (the run-time numbers of the program).
    """

    n_bytes: int
    kind: str
    name: str = ""
    source: Buffer | None = None


@dataclass(frozen=True)
class Array:
    """An array argument: `offset` bytes into `buffer`."""

    buffer: Buffer
    offset: int = 0


@dataclass(frozen=True)
class Scratch:
    """Memory of its own for each thread, `n_bytes` a thread, undefined when a launch begins."""

    n_bytes: int


@dataclass
class Launch:
    """One kernel over `items` independent work items, handed out at most `grain` at a time.

    `args` become the words that the ABI describes: two for an `Array`, three for a `Scratch`, one
    for an int. `reads` and `writes` order launches; a buffer that is both is updated in place.
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

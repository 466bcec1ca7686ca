"""One debug ladder: `TWOFOLD_DEBUG` from stages and times (1) to assembly (6)."""

from __future__ import annotations

import sys

from . import config

STAGES, KERNELS, GRAPHS, LOOPS, LLVM_IR, ASSEMBLY = 1, 2, 3, 4, 5, 6
"""1 stages and times; 2 kernels and bytes; 3 the graph after each pass; 4 loop nests; 5 LLVM
IR; 6 assembly."""


def at(level: int) -> bool:
    """Whether messages of this level are wanted."""
    return config.current().debug >= level


def write(level: int, text: str) -> None:
    """Print `text` on standard error if messages of this level are wanted."""
    if config.current().debug >= level:
        print(text, file=sys.stderr)

"""A number that grows when a program's own switches change.

Captured functions take it into account: what they recorded while a module was training does not
hold once it is evaluated.
"""

from __future__ import annotations


class Modes:
    """`version` counts the changes."""

    __slots__ = ("version",)

    def __init__(self) -> None:
        self.version = 0

    def change(self) -> None:
        """Say that a switch was set to something else."""
        self.version += 1


modes = Modes()

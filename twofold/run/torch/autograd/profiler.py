"""`torch.autograd.profiler`: `twofold.profiler` by its older name."""

from __future__ import annotations

from typing import Any

from ....profiler import profile as _profile
from ....profiler import record_function
from ..library import Library


class profile(_profile):
    """As `torch.profiler.profile`, which may be turned off."""

    def __init__(self, enabled: bool = True, **kwargs: Any) -> None:
        super().__init__()
        self.enabled = enabled

    def start(self) -> None:
        """Begin, if it is on."""
        if self.enabled:
            super().start()

    def stop(self) -> None:
        """End."""
        if self.enabled:
            super().stop()


def _enter(name: str, args: str | None = None) -> record_function:
    return record_function(name).__enter__()


def _exit(block: record_function) -> None:
    block.__exit__()


_library = Library("profiler", "DEF")
_library.impl("_record_function_enter", _enter)
_library.impl("_record_function_exit", _exit)

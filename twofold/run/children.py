"""Processes that a program starts anew have the import hook, too.

A spawned process is a new Python: it reads first what `multiprocessing` prepared for it, then runs
the program's file again, which says `import torch`. So the preparation carries an object whose
unpickling installs the hook.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import spawn
from typing import Any


class _Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def prepare(install: Callable[[str, str], None], name: str, version: str) -> None:
    """Let each process that is spawned from here on call `install(name, version)` before it runs
    anything of the program."""
    before = spawn.get_preparation_data

    call = _Call(install, name, version)

    def preparation(name: str) -> dict[str, Any]:
        return {"twofold": call, **before(name)}

    spawn.get_preparation_data = preparation

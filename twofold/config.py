"""Every option in one frozen record, which is part of each cache key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import machine


@dataclass(frozen=True)
class Config:
    """All that changes what is compiled or how it runs.

    `backend`: "native" compiles; "reference" runs every op by its NumPy reference.
    `target`: processor to make code for (see `machine.target_for`).
    `threads`: threads a plan runs on.
    `debug`: 0 to 6, nearer to the metal as it grows (see `trace`).
    `cache_dir`: folder of the compiled-kernel cache; None keeps kernels in memory only.
    `pending_limit`: operations recorded before they are run unasked.
    `verify`: check the rules of each stage as a graph is compiled (see `graph/verify.py`).
    `trap_nan`: raise at the op whose value is not a number.
    `winograd`: float32 convolutions by 3 x 3 kernels may use short algorithms, whose rounding
        errors are about twice as large (see `kernels/winograd.py`).
    """

    backend: str = "native"
    target: str = "host"
    threads: int = 1
    debug: int = 0
    cache_dir: str | None = None
    pending_limit: int = 20_000
    trap_nan: bool = False
    verify: bool = False
    winograd: bool = True


def _from_environment() -> Config:
    get = os.environ.get
    home = get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    cache_dir: str | None = get("TWOFOLD_CACHE_DIR", str(Path(home) / "twofold"))
    if cache_dir in ("", "0"):
        cache_dir = None
    backend = get("TWOFOLD_BACKEND", "native")
    if backend not in ("native", "reference"):
        raise ValueError(f"[TWOFOLD_BACKEND] must be native or reference; got {backend!r}")
    return Config(
        backend=backend,
        target=machine.target_for(get("TWOFOLD_TARGET", "host")).name,
        threads=_threads(),
        debug=_whole("TWOFOLD_DEBUG", get("TWOFOLD_DEBUG") or "0", 0, 6),
        cache_dir=cache_dir,
        trap_nan=get("TWOFOLD_TRAP_NAN", "") not in ("", "0"),
        winograd=get("TWOFOLD_WINOGRAD", "1") not in ("", "0"),
        verify=get("TWOFOLD_VERIFY", get("TWOFOLD_DEBUG", "")) not in ("", "0"),
    )


def _whole(name: str, text: str, least: int, most: int) -> int:
    """The number in an environment variable."""
    if not text.strip().isdecimal() or not least <= int(text) <= most:
        raise ValueError(f"[{name}] must be a whole number from {least} to {most}; got {text!r}")
    return int(text)


def _threads() -> int:
    """TWOFOLD_THREADS, else OMP_NUM_THREADS (of whose list the first counts), else all cores."""
    for name in ("TWOFOLD_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name)
        if text:
            return _whole(name, text.split(",")[0], 1, 1024)
    return machine.cores()


_current = [_from_environment()]

listeners: list[Callable[[Config], None]] = []
"""Called with the new options whenever they change."""


def current() -> Config:
    """The options in force."""
    return _current[0]


def _set(options: Config) -> None:
    _current[0] = options
    for listener in listeners:
        listener(options)


def update(**changes: object) -> None:
    """Change options for the rest of the process.

    >>> before = current(); update(debug=1); current().debug
    1
    >>> update(debug=before.debug)
    """
    _set(replace(_current[0], **changes))  # type: ignore[arg-type]


@contextmanager
def override(**changes: object) -> Iterator[Config]:
    """Change options within a `with` block.

    >>> with override(threads=1) as options:
    ...     options.threads
    1
    """
    before = _current[0]
    _set(replace(before, **changes))  # type: ignore[arg-type]
    try:
        yield _current[0]
    finally:
        _set(before)

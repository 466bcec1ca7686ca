"""Colours for terminals, and lines that show how a wait goes on."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream goes to a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """`text` in a colour or weight, where the stream (standard output) is a terminal and colours
    are wanted (https://no-color.org)."""
    if not is_terminal(stream or sys.stdout) or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{_CODES[style]}m{text}\033[0m"


def label(text: str) -> str:
    """The first column of a line of a report."""
    return styled(f"{text:<11}", "cyan")


@contextlib.contextmanager
def waiting(describe: Callable[[], str], stream: TextIO | None = None) -> Iterator[None]:
    """Show on a terminal, ten times a second, what is waited for and for how long."""
    stream = stream or sys.stderr
    if not is_terminal(stream):
        yield
        return
    done = threading.Event()
    begin = time.perf_counter()

    def show() -> None:
        while not done.wait(0.1):
            stream.write(f"\r\033[2K{describe()}  {time.perf_counter() - begin:.1f} s")
            stream.flush()

    thread = threading.Thread(target=show, name="twofold-waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        stream.write("\r\033[2K")
        stream.flush()

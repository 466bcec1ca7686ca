"""Tracebacks that begin and end in the program's own code.

Above a program's frames are those of the launcher, and below them may be Twofold's own, where
PyTorch has machine code, which no traceback shows. They are left out, and a line says so.
"""

from __future__ import annotations

import os
import sys
from types import FrameType, TracebackType

from ..trace import at

_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def _is_ours(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return file.startswith(_FOLDER) or file == "<frozen runpy>"


def _trimmed(found: TracebackType | None) -> tuple[TracebackType | None, int]:
    """The traceback without frames of Twofold and its launcher, and how many of Twofold's came
    after a frame of the program."""
    kept: list[TracebackType] = []
    left_out = 0
    while found is not None:
        if not _is_ours(found.tb_frame):
            kept.append(found)
        elif kept:
            left_out += 1
        found = found.tb_next
    result = None
    for t in reversed(kept):
        result = TracebackType(result, t.tb_frame, t.tb_lasti, t.tb_lineno)
    return result, left_out


def trim(error: BaseException) -> int:
    """Leave Twofold's frames out of the tracebacks of an error and of those that it came from; how
    many were left out."""
    left_out, seen, todo = 0, set(), [error]
    while todo:
        e = todo.pop()
        if id(e) in seen:
            continue
        seen.add(id(e))
        e.__traceback__, n = _trimmed(e.__traceback__)
        left_out += n
        todo += [x for x in (e.__cause__, e.__context__) if x is not None]
    return left_out


def install() -> None:
    """Let uncaught errors be printed so, unless `TWOFOLD_DEBUG` asks for more."""
    before = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, found: TracebackType | None) -> None:
        if at(1):
            before(kind, error, found)
            return
        left_out = trim(error)
        before(kind, error, error.__traceback__)
        if left_out:
            text = f"(frames of Twofold left out: {left_out}; TWOFOLD_DEBUG=1 shows them)"
            print(text, file=sys.stderr)

    sys.excepthook = show

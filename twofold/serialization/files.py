"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


class FormatError(RuntimeError):
    """A file is not what it should be: of another format, cut short, or damaged."""


def write_atomically(
    path: str | os.PathLike[str],
    write: Callable[[BinaryIO], object],
    previous: str | os.PathLike[str] | None = None,
) -> None:
    """Let `write` fill a file that then takes its place at `path`.

    A reader finds the old file or the new one, each whole, whatever happens meanwhile; after a
    crash of the machine too, since the data is on the disk before the name is. With `previous` the
    old file is kept at that place. OSError leaves the old file untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            _keep(path, Path(previous))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _keep(path: Path, previous: Path) -> None:
    """Give the file at `path` the second name `previous`; copy it where links cannot be made."""
    link = previous.with_name(f".{previous.name}.{os.getpid()}.part")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:
        shutil.copyfile(path, link)
    os.replace(link, previous)


def _sync_folder(folder: Path) -> None:
    """Have the folder's entries on the disk, on systems where folders can be opened."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

"""Compiled kernels on disk, shared by processes.

An entry is a file: 32 bytes of SHA-256 of the rest, then the object code. It is written beside its
place and renamed, so readers see all of it or nothing; one that fails its checksum is as good as
absent. Since the code is run, the folder must belong to this user and be writable by no one else. A
folder that cannot be used is said once, and kernels then live in memory only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import warnings
from pathlib import Path

LIMIT_BYTES = 256 << 20
TRIM_EVERY = 16 << 20
"""The cache is trimmed when a process first writes, and then each time it has written so much."""


class DiskCache:
    """Entries by key in `folder`; None for a cache that holds nothing."""

    def __init__(self, folder: str | None) -> None:
        self.folder = Path(folder) if folder else None
        self.writable = self.folder is not None
        self._checked = False
        self._written = TRIM_EVERY
        self._lock = threading.RLock()

    def _refuse(self, why: str, read: bool = False) -> None:
        """Stop using the folder (with `read`, stop writing to it), and say so once."""
        with self._lock:
            if not self.writable:
                return
            self.writable = False
        warnings.warn(
            f"[cache] the folder of compiled kernels {self.folder} {why}; new kernels are kept in "
            "memory only; try another TWOFOLD_CACHE_DIR",
            RuntimeWarning,
            stacklevel=2,
        )
        if not read:
            self.folder = None

    def _usable(self) -> bool:
        with self._lock:
            if not self._checked and self.folder is not None:
                self._checked = True
                self._check(self.folder)
            return self.folder is not None

    def _check(self, folder: Path) -> None:
        """Make the folder, and refuse it if others may put code there."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.stat()
        except OSError as error:
            self._refuse(f"cannot be made ({error.strerror})")
            return
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            self._refuse("belongs to another user")
        elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            self._refuse("can be written by other users")

    def get(self, key: str) -> bytes | None:
        """The entry of `key`, or None."""
        if not self._usable() or self.folder is None:
            return None
        try:
            data = (self.folder / key).read_bytes()
        except OSError:
            return None
        payload = data[32:]
        return payload if payload and hashlib.sha256(payload).digest() == data[:32] else None

    def put(self, key: str, payload: bytes) -> None:
        """Store an entry; a disk that takes none makes the cache read-only."""
        if not self.writable or not self._usable() or self.folder is None:
            return
        temporary = self.folder / f".{key}.{os.getpid()}.{threading.get_ident()}"
        try:
            with open(temporary, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, self.folder / key)
        except OSError as error:
            self._refuse(f"cannot be written to ({error.strerror})", read=True)
            _remove(temporary)
            return
        with self._lock:
            self._written += len(payload)
            due, self._written = self._written >= TRIM_EVERY, self._written % TRIM_EVERY
        if due:
            self.trim()

    def trim(self) -> None:
        """Delete the oldest entries beyond the limit."""
        if not self._usable() or self.folder is None:
            return
        entries = []
        with os.scandir(self.folder) as files:
            for file in files:
                try:
                    found = file.stat()
                except FileNotFoundError:
                    continue
                entries.append((found.st_mtime, found.st_size, Path(file.path)))
        excess = sum(size for _, size, _ in entries) - LIMIT_BYTES
        for _, size, path in sorted(entries):
            if excess <= 0:
                break
            _remove(path)
            excess -= size


def _remove(path: Path) -> None:
    """Delete a file if that can be done."""
    with contextlib.suppress(OSError):
        path.unlink()

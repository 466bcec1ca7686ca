"""Compiled kernels on disk, shared by processes.

An entry is a file: 32 bytes of SHA-256 of the rest, then the object code. It is written beside its
place and renamed, so readers see all of it or nothing; one that fails its checksum is as good as
absent. Since the code is run, the folder must belong to this user and be writable by no one else. A
folder that cannot be used is said once, and kernels then live in memory only.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from pathlib import Path

LIMIT_BYTES = 256 << 20


class DiskCache:
    """Entries by key in `folder`; None for a cache that holds nothing."""

    def __init__(self, folder: str | None) -> None:
        self.folder = Path(folder) if folder else None
        self.writable = self.folder is not None
        self._checked = False

    def _refuse(self, why: str) -> None:
        """Stop using the folder, and say so once."""
        warnings.warn(
            f"[cache] the folder of compiled kernels {self.folder} {why}; kernels are kept in "
            "memory only; try another TWOFOLD_CACHE_DIR",
            RuntimeWarning,
            stacklevel=2,
        )
        self.folder, self.writable = None, False

    def _usable(self) -> bool:
        if self.folder is None:
            return False
        if self._checked:
            return True
        self._checked = True
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.stat()
        except OSError as error:
            self._refuse(f"cannot be made ({error.strerror})")
            return False
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            self._refuse("belongs to another user")
            return False
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            self._refuse("can be written by other users")
            return False
        return True

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
        """Store an entry; a disk that takes none turns the cache read-only."""
        if not self.writable or not self._usable() or self.folder is None:
            return
        temporary = self.folder / f".{key}.{os.getpid()}"
        try:
            with open(temporary, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, self.folder / key)
        except OSError as error:
            self.writable = False
            temporary.unlink(missing_ok=True)
            warnings.warn(
                f"[cache] cannot write to {self.folder} ({error.strerror}); kernels are kept in "
                "memory only; try another TWOFOLD_CACHE_DIR",
                RuntimeWarning,
                stacklevel=2,
            )

    def trim(self) -> None:
        """Delete the oldest entries beyond the limit."""
        if not self._usable() or self.folder is None:
            return
        entries = []
        for path in self.folder.iterdir():
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            entries.append((found.st_mtime, found.st_size, path))
        excess = sum(size for _, size, _ in entries) - LIMIT_BYTES
        for _, size, path in sorted(entries):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size

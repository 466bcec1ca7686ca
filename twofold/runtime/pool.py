"""The team of threads that walks plans."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from typing import ClassVar

from .walker import TEAM_BYTES


class Pool:
    """Threads in the worker loop of `walker.py`, whose functions lie at the given addresses.

    The calling thread is one of `threads`. One plan runs at a time; callers wait for their turn. A
    child process made by fork starts threads of its own.
    """

    alive: ClassVar[list[Pool]] = []

    def __init__(self, threads: int, worker_address: int, run_address: int) -> None:
        self.threads = threads
        self.lock = threading.Lock()
        self._worker = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(worker_address)
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(run_address)
        self._start()
        Pool.alive.append(self)

    def _start(self) -> None:
        self._memory = ctypes.create_string_buffer(TEAM_BYTES + 64)
        base = ctypes.addressof(self._memory)
        self._team = -(-base // 64) * 64
        ctypes.c_int64.from_address(self._team + 136).value = self.threads
        self._workers = []
        for k in range(1, self.threads):
            thread = threading.Thread(
                target=self._worker, args=(self._team, k), name=f"twofold-{k}", daemon=True
            )
            thread.start()
            self._workers.append(thread)

    def run(self, plan_address: int) -> None:
        """Walk the plan at this address with all threads; returns when all are through."""
        with self.lock:
            self._run(self._team, plan_address)

    def close(self) -> None:
        """Send the threads home, once the plan of another thread is through; later ones are walked
        by their callers alone."""
        with self.lock:
            if self._workers:
                self._run(self._team, None)
                for thread in self._workers:
                    thread.join()
                self._workers = []

    def after_fork(self) -> None:
        """Start anew in a child process, which has none of the threads."""
        self.lock = threading.Lock()
        self._start()


def _close_all() -> None:
    for pool in Pool.alive:
        pool.close()


def _after_fork() -> None:
    for pool in Pool.alive:
        pool.after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

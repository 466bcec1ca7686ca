"""Worker threads that read batches ahead: `DataLoader(..., multiprocessing_context="thread")`.

They share the data set and its memory, send batches without copying them, and start at once. They
read at the same time where Python lets them: while files, decoders and NumPy work. Random numbers
are each batch's own, as with worker processes.
"""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from ... import engine
from ...graph.node import let_threads_record
from ...tensor import Tensor
from .fetch import EndOfStream, StreamReader
from .job import Job, WorkerInfo, set_worker_info
from .streams import Stream, begin_in_thread

_GOODBYE_SECONDS = 0.5


def _tensors(value: Any) -> list[Tensor]:
    """The tensors within a batch."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for v in value.values() for t in _tensors(v)]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _tensors(v)]
    return []


def _serve(
    tasks: queue.SimpleQueue[Any], results: queue.SimpleQueue[Any], job: Job, info: WorkerInfo,
    init: Callable[[int], None] | None,
) -> None:  # fmt: skip
    """The life of a worker thread."""
    begin_in_thread()
    set_worker_info(info)
    trouble: BaseException | None = None
    reader: StreamReader | None = None
    try:
        if init is not None:
            with Stream(info.seed, 0):
                init(info.id)
    except BaseException as error:
        trouble = error
    while (task := tasks.get()) is not None:
        kind, epoch, number, what = task
        try:
            if trouble is not None:
                raise trouble
            if kind == "start":
                info.seed, skip, state = what
                with Stream(info.seed, 0):
                    reader = job.open(skip, state) if job.streamed else None
                continue
            batch = job.read(info.seed, number, what, reader)
            engine.realize([t._node() for t in _tensors(batch)])
            results.put((epoch, number, "batch", (batch, job.position())))
        except EndOfStream:
            results.put((epoch, number, "end", None))
        except BaseException as error:
            if kind == "start":
                trouble = error
                continue
            error.add_note(f"[DataLoader] in worker thread {info.id}")
            results.put((epoch, number, "error", error))


def _close(tasks: list[queue.SimpleQueue[Any]], threads: list[threading.Thread]) -> None:
    """Send the threads home. One that is amid a batch is a daemon: nobody waits for it long."""
    for own in tasks:
        own.put(None)
    deadline = time.monotonic() + _GOODBYE_SECONDS
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))


class Threads:
    """`count` threads that do a job's tasks; results come in the order of their numbers."""

    def __init__(
        self, job: Job, count: int, seed: int, init: Callable[[int], None] | None, timeout: float
    ) -> None:
        let_threads_record()
        self.count, self.timeout = count, timeout
        self.epoch = 0
        self.done: dict[int, tuple[str, Any]] = {}
        self.owner: dict[int, int] = {}
        self.results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.tasks: list[queue.SimpleQueue[Any]] = []
        threads = []
        for i in range(count):
            tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
            thread = threading.Thread(
                target=_serve,
                args=(tasks, self.results, job, WorkerInfo(i, count, seed, job.dataset), init),
                name=f"twofold-loader-{i}",
                daemon=True,
            )
            thread.start()
            self.tasks.append(tasks)
            threads.append(thread)
        self.close = weakref.finalize(self, _close, self.tasks, threads)

    def start(self, seed: int, skip: int, state: Any) -> None:
        """Begin an epoch; what is still under way of the one before is dropped."""
        self.epoch += 1
        self.done.clear()
        self.owner.clear()
        for tasks in self.tasks:
            tasks.put(("start", self.epoch, -1, (seed, skip, state)))

    def submit(self, number: int, indices: Any) -> None:
        """Ask the thread with the fewest tasks for a batch."""
        load = [0] * self.count
        for worker in self.owner.values():
            load[worker] += 1
        self.owner[number] = worker = load.index(min(load))
        self.tasks[worker].put(("read", self.epoch, number, indices))

    def take(self, number: int) -> tuple[Any, Any]:
        """Batch `number` and the position of its stream. EndOfStream after the last; the thread's
        own error; RuntimeError if it took too long."""
        while number not in self.done:
            try:
                epoch, at, kind, value = self.results.get(timeout=self.timeout or None)
            except queue.Empty:
                raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds") from None
            if epoch == self.epoch:
                self.done[at] = (kind, value)
                self.owner.pop(at, None)
        kind, value = self.done.pop(number)
        if kind == "end":
            raise EndOfStream
        if kind == "error":
            raise value
        return value

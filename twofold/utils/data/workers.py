"""Worker processes that read batches ahead, and the thread that takes in what they send.

A worker gets tasks over a pipe and sends batches back pickled, with the arrays' memory beside the
pickle. A thread of the main process empties the pipes, so workers are never held up by a main
process that is busy training. A worker that dies is noticed by the end of its pipe; a worker whose
main process dies leaves by itself.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Sequence
from multiprocessing import connection
from typing import Any

from ... import config
from .fetch import EndOfStream, StreamReader, shown
from .job import Job, WorkerInfo, set_worker_info
from .streams import Stream

_PARENT_CHECK_SECONDS = 2.0
_GOODBYE_SECONDS = 0.5


def _packed(error: BaseException, worker: int) -> bytes:
    """An error as bytes: itself where it can be pickled, its notes, and its traceback as text."""
    text = "".join(traceback.format_exception(error))
    notes = list(getattr(error, "__notes__", ()))
    error = error.with_traceback(None)
    error.__cause__ = error.__context__ = None
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        data = pickle.dumps(RuntimeError(f"[DataLoader] {type(error).__name__}: {error}"))
    return pickle.dumps((data, notes, f"in worker {worker}, whose traceback was:\n{text}"))


def _raise_packed(packed: bytes) -> None:
    data, notes, text = pickle.loads(packed)
    error = pickle.loads(data)
    error.__notes__ = [*notes, f"[DataLoader] {text}"]
    raise error


def _serve(
    pipe: connection.Connection, job: Job, at: Any, info: WorkerInfo, init: Any, parent: int
) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    config.update(threads=1)
    set_worker_info(info)
    job.at = at
    reader: StreamReader | None = None
    seed = info.seed
    trouble: BaseException | None = None
    try:
        if init is not None:
            with Stream(seed, 0):
                init(info.id)
    except Exception as error:
        trouble = error
    while True:
        while not pipe.poll(_PARENT_CHECK_SECONDS):
            if os.getppid() != parent:
                return
        task = pipe.recv()
        if task is None:
            return
        kind, epoch, *what = task
        try:
            if trouble is not None:
                raise trouble
            if kind == "start":
                seed, skip, state = what
                info.seed = seed
                if job.streamed:
                    with Stream(seed, 0):
                        reader = job.open(skip, state)
                continue
            number, indices = what
            batch = job.read(seed, number, indices, reader)
        except EndOfStream:
            pipe.send((epoch, what[0], "end", 0))
        except Exception as error:
            if kind == "start":
                trouble = error
                continue
            pipe.send((epoch, what[0], "error", 0))
            pipe.send_bytes(_packed(error, info.id))
        else:
            parts: list[pickle.PickleBuffer] = []
            data = pickle.dumps((batch, job.position()), 5, buffer_callback=parts.append)
            pipe.send((epoch, number, "batch", len(parts)))
            pipe.send_bytes(data)
            for part in parts:
                pipe.send_bytes(part.raw())


def _worker(pipe: connection.Connection, others: Sequence[Any], *rest: Any) -> None:
    for other in others:
        other.close()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError, EOFError):
        _serve(pipe, *rest)


def _take_in(pipes: list[connection.Connection], results: queue.SimpleQueue[Any]) -> None:
    """Move what workers send into a queue until all pipes are closed."""
    open_pipes = {pipe: number for number, pipe in enumerate(pipes)}
    while open_pipes:
        for pipe in connection.wait(list(open_pipes)):
            assert isinstance(pipe, connection.Connection)
            try:
                epoch, number, kind, n_parts = pipe.recv()
                data = pipe.recv_bytes() if kind != "end" else b""
                parts = [pipe.recv_bytes() for _ in range(n_parts)]
            except (EOFError, OSError):
                results.put((None, open_pipes.pop(pipe), "dead", b"", []))
            else:
                results.put((epoch, number, kind, data, parts))


def _close(
    pipes: list[connection.Connection], processes: list[Any], receiver: threading.Thread, main: int
) -> None:
    """Send the workers home, and end those that do not go."""
    if os.getpid() != main:
        return
    for pipe in pipes:
        with contextlib.suppress(OSError):
            pipe.send(None)
    deadline = time.monotonic() + _GOODBYE_SECONDS
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.terminate()
            process.join(_GOODBYE_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
    receiver.join(_GOODBYE_SECONDS)
    for pipe in pipes:
        pipe.close()


class Workers:
    """`count` processes that do a job's tasks; results come in the order of their numbers."""

    def __init__(
        self,
        job: Job,
        count: int,
        method: Any,
        seed: int,
        init: Callable[[int], None] | None,
        timeout: float,
    ) -> None:
        context: Any = method
        if method is None or isinstance(method, str):
            kinds = multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context(method or ("fork" if "fork" in kinds else None))
        self.job, self.count, self.timeout = job, count, timeout
        self.epoch = 0
        self.done: dict[int, tuple[str, bytes, list[bytes]]] = {}
        self.owner: dict[int, int] = {}
        self.indices: dict[int, Any] = {}
        self.at = [context.RawArray("q", 2) for _ in range(count)]
        self.results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.pipes: list[connection.Connection] = []
        self.processes: list[Any] = []
        for i in range(count):
            ours, theirs = context.Pipe()
            others = [ours, *self.pipes] if context.get_start_method() == "fork" else []
            info = WorkerInfo(i, count, seed, job.dataset)
            process = context.Process(
                target=_worker,
                args=(theirs, others, job, self.at[i], info, init, os.getpid()),
                name=f"twofold-loader-{i}",
                daemon=True,
            )
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)
        receiver = threading.Thread(
            target=_take_in,
            args=(self.pipes, self.results),
            name="twofold-loader-receiver",
            daemon=True,
        )
        receiver.start()
        self.close = weakref.finalize(
            self, _close, self.pipes, self.processes, receiver, os.getpid()
        )

    def start(self, seed: int, skip: int, state: Any) -> None:
        """Begin an epoch; what is still under way of the one before is dropped."""
        self.epoch += 1
        self.done.clear()
        self.owner.clear()
        self.indices.clear()
        for i in range(len(self.pipes)):
            self._send(i, ("start", self.epoch, seed, skip, state))

    def submit(self, number: int, indices: Any) -> None:
        """Ask the worker with the fewest tasks for a batch."""
        load = [0] * len(self.pipes)
        for worker in self.owner.values():
            load[worker] += 1
        worker = load.index(min(load))
        self.owner[number], self.indices[number] = worker, indices
        self._send(worker, ("read", self.epoch, number, indices))

    def take(self, number: int) -> tuple[Any, Any]:
        """Batch `number` and the position of its stream. EndOfStream after the last; the worker's
        own error; RuntimeError if it died or took too long."""
        while number not in self.done:
            try:
                result = self.results.get(timeout=self.timeout or None)
            except queue.Empty:
                raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds") from None
            epoch, at, kind, data, parts = result
            if kind == "dead":
                self._dead(at)
            if epoch == self.epoch:
                self.done[at] = (kind, data, parts)
                self.owner.pop(at, None)
                self.indices.pop(at, None)
        kind, data, parts = self.done.pop(number)
        if kind == "end":
            raise EndOfStream
        if kind == "error":
            _raise_packed(data)
        return pickle.loads(data, buffers=parts)

    def _send(self, worker: int, task: tuple[Any, ...]) -> None:
        try:
            self.pipes[worker].send(task)
        except (BrokenPipeError, ConnectionResetError):
            self._dead(worker)

    def _dead(self, worker: int) -> None:
        process = self.processes[worker]
        process.join(_GOODBYE_SECONDS)
        code = process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"
        raise RuntimeError(
            f"DataLoader worker (pid {process.pid}) exited unexpectedly with {how}"
            f"{self._reading(worker)}; try num_workers=0 to see its error, or fewer workers if "
            "memory ran out"
        )

    def _reading(self, worker: int) -> str:
        """What a worker is reading, in words; nothing if it has no task."""
        number, place = self.at[worker]
        if self.owner.get(number) != worker:
            return ""
        indices = self.indices[number]
        if indices is None:
            return f", while reading batch {number} of the stream"
        if not isinstance(indices, list):
            return f", while reading sample {indices!r} of the dataset"
        if place < 0:
            return f", while reading the samples {shown(indices)} of the dataset"
        return f", while reading sample {indices[place]!r} of the dataset"

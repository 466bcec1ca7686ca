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
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

from ... import config
from .fetch import Collate, EndOfStream, StreamReader, fetch
from .streams import Stream

_PARENT_CHECK_SECONDS = 2.0
_GOODBYE_SECONDS = 0.5


@dataclass
class WorkerInfo:
    """What `get_worker_info` tells in a worker: its number, how many there are, the seed of the
    epoch, and the worker's copy of the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: list[WorkerInfo | None] = [None]


def get_worker_info() -> WorkerInfo | None:
    """The worker that this process is; None in the main process."""
    return _info[0]


@dataclass
class Job:
    """What a loader reads: batches of `dataset` by index or, if `streamed`, as they come."""

    dataset: Any
    collate: Collate
    streamed: bool
    batch_size: int | None
    drop_last: bool

    def open(self, skip: int, state: Any) -> StreamReader:
        """A reader of the stream that stands behind `skip` batches, or at a state of the
        dataset."""
        if state is not None:
            self.dataset.load_state_dict(state)
        reader = StreamReader(self.dataset, self.batch_size, self.drop_last, self.collate)
        if state is None:
            reader.skip(skip)
        return reader

    def read(self, seed: int, number: int, indices: Any, reader: StreamReader | None) -> Any:
        """Batch `number` of an epoch, with its own random stream. EndOfStream after the last."""
        with Stream(seed, number + 1):
            return fetch(self.dataset, indices, self.collate) if reader is None else reader.read()

    def position(self) -> Any:
        """Where a stream stands, if its dataset can tell."""
        return self.dataset.state_dict() if self.streamed and is_stateful(self.dataset) else None


def is_stateful(dataset: Any) -> bool:
    """Whether a dataset's position can be read and set."""
    return hasattr(dataset, "state_dict") and hasattr(dataset, "load_state_dict")


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


def _serve(pipe: connection.Connection, job: Job, info: WorkerInfo, init: Any, parent: int) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    config.update(threads=1)
    _info[0] = info
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
        self.job, self.timeout = job, timeout
        self.epoch = 0
        self.done: dict[int, tuple[str, bytes, list[bytes]]] = {}
        self.owner: dict[int, int] = {}
        self.results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.pipes: list[connection.Connection] = []
        self.processes: list[Any] = []
        for i in range(count):
            ours, theirs = context.Pipe()
            others = [ours, *self.pipes] if context.get_start_method() == "fork" else []
            info = WorkerInfo(i, count, seed, job.dataset)
            process = context.Process(
                target=_worker,
                args=(theirs, others, job, info, init, os.getpid()),
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
        for i in range(len(self.pipes)):
            self._send(i, ("start", self.epoch, seed, skip, state))

    def submit(self, number: int, indices: Any) -> None:
        """Ask the worker with the fewest tasks for a batch."""
        load = [0] * len(self.pipes)
        for worker in self.owner.values():
            load[worker] += 1
        worker = load.index(min(load))
        self.owner[number] = worker
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
            f"DataLoader worker (pid {process.pid}) exited unexpectedly with {how}; "
            "try num_workers=0 to see its error, or fewer workers if memory ran out"
        )

"""What workers do: batches of a data set, by index or as a stream gives them; and who they are."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from .fetch import Collate, StreamReader, fetch
from .streams import Stream


@dataclass
class WorkerInfo:
    """What `get_worker_info` tells in a worker: its number, how many there are, the seed of the
    epoch, and the data set (a process has a copy of its own)."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Here(threading.local):
    info: WorkerInfo | None = None


_here = _Here()


def get_worker_info() -> WorkerInfo | None:
    """The worker that this process or thread is; None where the loader is iterated over."""
    return _here.info


def set_worker_info(info: WorkerInfo) -> None:
    """Let this process or thread be a worker."""
    _here.info = info


@dataclass
class Job:
    """What a loader reads: batches of `dataset` by index or, if `streamed`, as they come.

    `at` holds the number of the batch that is being read, and the place of the sample in it, -1 for
    all of them.
    """

    dataset: Any
    collate: Collate
    streamed: bool
    batch_size: int | None
    drop_last: bool
    at: Any = field(default_factory=lambda: [0, 0])

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
        self.at[0] = number
        with Stream(seed, number + 1):
            if reader is not None:
                return reader.read()
            return fetch(self.dataset, indices, self.collate, self.at)

    def position(self) -> Any:
        """Where a stream stands, if its dataset can tell."""
        return self.dataset.state_dict() if self.streamed and is_stateful(self.dataset) else None


def is_stateful(dataset: Any) -> bool:
    """Whether a dataset's position can be read and set."""
    return hasattr(dataset, "state_dict") and hasattr(dataset, "load_state_dict")

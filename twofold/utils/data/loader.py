"""The loader: batches of a data set, read ahead by worker processes, with a position to save."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from ...functions.random import Generator
from .collate import default_collate, default_convert
from .dataset import IterableDataset
from .fetch import EndOfStream
from .job import Job
from .sampler import BatchSampler, RandomSampler, SequentialSampler
from .streams import Stream, draw_seed
from .threads import Threads
from .workers import Workers

T = TypeVar("T", covariant=True)


class DataLoader(Generic[T]):
    """Iterate over batches of a data set, with PyTorch's arguments.

    One seed is drawn from `generator` (by default Twofold's own) at each start of an epoch; the
    order and all that is random in reading follow from it. Batches are the same for any number of
    workers. With `num_workers=0` the calling thread reads; else that many processes read up to
    `prefetch_factor` batches each ahead, or that many threads with
    `multiprocessing_context="thread"`: these share the data set's memory, copy no batch and start
    at once, and read at the same time while files, decoders or NumPy work. An `IterableDataset` is
    read by one worker.

    `state_dict` tells the position, also amid an epoch, and `load_state_dict` takes it up: the next
    iteration gives the batches that had not been given.

    `pin_memory`, `pin_memory_device` and `in_order` are taken for the sake of PyTorch's programs;
    they change nothing.

    Errors of a data set keep their class and carry a note that names the sample. `wait_share` tells
    how much of the time of an epoch the program waited for batches.

    >>> for batch in DataLoader(range(5), batch_size=2):
    ...     print(batch)
    tensor([0, 1])
    tensor([2, 3])
    tensor([4])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self._check(num_workers, timeout, prefetch_factor, persistent_workers)
        streamed = isinstance(dataset, IterableDataset)
        if streamed and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader with IterableDataset: expected unspecified shuffle, sampler and "
                "batch_sampler options; the stream sets its own order"
            )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )
        elif batch_size is not None and (not isinstance(batch_size, int) or batch_size <= 0):
            raise ValueError(
                f"batch_size should be a positive integer value, but got batch_size={batch_size}"
            )
        if sampler is None and not streamed and batch_sampler is None:
            sampler = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
        if sampler is not None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        batched = batch_sampler is not None or (streamed and batch_size is not None)
        if collate_fn is None:
            collate_fn = default_collate if batched else default_convert
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.prefetch_factor = (prefetch_factor or 2) if num_workers else None
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._streamed = streamed
        self._workers: Workers | Threads | None = None
        self._position: _Epoch | None = None
        self._resume: Mapping[str, Any] | None = None

    @staticmethod
    def _check(workers: int, timeout: float, ahead: int | None, persistent: bool) -> None:
        if workers < 0:
            raise ValueError(
                "num_workers option should be non-negative; use num_workers=0 to disable "
                "multiprocessing."
            )
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if not workers and ahead is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing. let "
                "num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
            )
        if ahead is not None and ahead <= 0:
            raise ValueError("prefetch_factor option should be positive")
        if persistent and not workers:
            raise ValueError("persistent_workers option needs num_workers > 0")

    def __len__(self) -> int:
        """The number of batches. TypeError if the data set or the sampler does not know."""
        if self._streamed:
            n = len(self.dataset)
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        order: Any = self.batch_sampler if self.batch_sampler is not None else self.sampler
        return len(order)

    def __iter__(self) -> Iterator[T]:
        self._position = _Epoch(self, self._resume)
        self._resume = None
        return self._position

    def state_dict(self) -> dict[str, Any]:
        """The position as plain numbers: what has been given of the epoch under way, if any, and
        how to make the rest."""
        if self._resume is not None:
            return dict(self._resume)
        epoch = self._position
        under_way = epoch is not None and not epoch.finished
        return {
            "epoch": epoch.state() if under_way and epoch is not None else None,
            "generator": None if self.generator is None else _words(self.generator),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a position that `state_dict` gave."""
        if set(state) != {"epoch", "generator"}:
            raise ValueError(
                "[DataLoader.load_state_dict] expected what state_dict gave, with the keys "
                f"'epoch' and 'generator'; got {sorted(state)}"
            )
        if state["generator"] is not None and self.generator is not None:
            self.generator.key, self.generator.offset = state["generator"]
        self._resume = state if state["epoch"] is not None else None
        self._position = None

    @property
    def wait_share(self) -> float:
        """The share, from 0 to 1, of the latest epoch's time that the program waited for batches:
        near 0 the loader keeps up; near 1 more workers, or less work for a sample, would help."""
        epoch = self._position
        if epoch is None or epoch.began is None:
            return 0.0
        return epoch.waited / max(epoch.latest - epoch.began, 1e-9)

    def _job(self) -> Job:
        return Job(self.dataset, self.collate_fn, self._streamed, self.batch_size, self.drop_last)

    def _take_workers(self, seed: int) -> Workers | Threads:
        if self._workers is not None:
            return self._workers
        count = 1 if self._streamed else self.num_workers
        how, init = self.multiprocessing_context, self.worker_init_fn
        workers: Workers | Threads
        if how == "thread":
            workers = Threads(self._job(), count, seed, init, self.timeout)
        else:
            workers = Workers(self._job(), count, how, seed, init, self.timeout)
        if self.persistent_workers:
            self._workers = workers
        return workers


class _Epoch(Iterator[Any]):
    """One pass over a loader's batches."""

    def __init__(self, loader: DataLoader[Any], resume: Mapping[str, Any] | None) -> None:
        self.loader = loader
        self.finished = False
        self.began: float | None = None
        self.waited, self.latest = 0.0, 0.0
        given = resume["epoch"] if resume is not None else None
        self.seed: int = draw_seed(loader.generator) if given is None else given["seed"]
        self.position: int = 0 if given is None else given["position"]
        self.stream_state: Any = None if given is None else given["stream"]
        self.order_state = self._order_generator(None if given is None else given["order"])
        self.order_stream = Stream(self.seed, 0)
        self.job = loader._job()
        self.workers: Workers | Threads | None = None
        self.reader = None
        if loader.num_workers:
            self.workers = loader._take_workers(self.seed)
            self.workers.start(self.seed, self.position, self.stream_state)
        with self.order_stream:
            if loader._streamed:
                self.order: Iterator[Any] | None = None
                if self.workers is None:
                    self.reader = self.job.open(self.position, self.stream_state)
            else:
                source: Any = loader.batch_sampler
                source = loader.sampler if source is None else source
                self.order = iter(source)
                collections.deque(zip(range(self.position), self.order), maxlen=0)
        self.asked = self.position

    def _order_generator(self, words: Any) -> Any:
        """The state, at the start of the epoch, of a generator that the sampler owns."""
        sampler: Any = self.loader.sampler
        if sampler is None:
            sampler = getattr(self.loader.batch_sampler, "sampler", None)
        generator = getattr(sampler, "generator", None)
        if not isinstance(generator, Generator):
            return None
        if words is not None:
            generator.key, generator.offset = words
        return _words(generator)

    def state(self) -> dict[str, Any]:
        """The position as plain numbers."""
        return {
            "seed": self.seed,
            "position": self.position,
            "stream": self.stream_state,
            "order": self.order_state,
        }

    def __len__(self) -> int:
        return len(self.loader)

    def _next_indices(self) -> Any:
        """The indices of the next batch to ask for. StopIteration at the end of the order."""
        if self.order is None:
            return None
        with self.order_stream:
            return next(self.order)

    def __next__(self) -> Any:
        if self.finished:
            raise StopIteration
        asked = time.perf_counter()
        if self.began is None:
            self.began = asked
        try:
            return self._take()
        finally:
            self.latest = time.perf_counter()
            self.waited += self.latest - asked

    def _take(self) -> Any:
        """The next batch. StopIteration after the last."""
        try:
            batch = self._read() if self.workers is None else self._receive(self.workers)
        except (StopIteration, EndOfStream):
            self._finish()
            raise StopIteration from None
        except Exception:
            self.position += 1
            raise
        self.position += 1
        return batch

    def _read(self) -> Any:
        indices = self._next_indices()
        batch = self.job.read(self.seed, self.position, indices, self.reader)
        self.stream_state = self.job.position()
        return batch

    def _receive(self, workers: Workers | Threads) -> Any:
        ahead = (self.loader.prefetch_factor or 1) * workers.count
        while self.asked < self.position + ahead:
            try:
                indices = self._next_indices()
            except StopIteration:
                break
            workers.submit(self.asked, indices)
            self.asked += 1
        if self.asked == self.position:
            raise StopIteration
        batch, self.stream_state = workers.take(self.position)
        return batch

    def _finish(self) -> None:
        """Let workers go that are not kept for the next epoch."""
        self.finished = True
        if self.workers is not None and self.loader._workers is None:
            self.workers.close()


def _words(generator: Generator) -> list[int]:
    return [generator.key, generator.offset]

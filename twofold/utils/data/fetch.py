"""Reading the samples of one batch, with errors that name the sample."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from .collate import default_collate

Collate = Callable[[Any], Any]


class EndOfStream(Exception):
    """An iterable dataset has no more batches."""


def fail(error: Exception, where: str) -> NoReturn:
    """Raise `error` with a note that says where it arose. A StopIteration, which would end the
    epoch unseen, is raised as a RuntimeError."""
    if isinstance(error, StopIteration):
        raise RuntimeError(f"[DataLoader] StopIteration was raised {where}") from error
    error.add_note(f"[DataLoader] {where}")
    raise error


def fetch(dataset: Any, indices: Any, collate: Collate, at: Any) -> Any:
    """The batch of these indices; of one index, that sample. Errors carry a note with the index;
    `at[1]` is the place in the batch of the sample that is being read, -1 for all."""
    at[1] = -1
    if not isinstance(indices, list):
        return collate(_sample(dataset, indices))
    whole = getattr(dataset, "get_batch", None) if collate is default_collate else None
    try:
        if whole is not None:
            return whole(indices)
        if hasattr(dataset, "__getitems__"):
            samples = dataset.__getitems__(indices)
        else:
            samples = None
    except Exception as error:
        fail(error, f"while reading the samples {shown(indices)} of the dataset")
    if samples is None:
        samples = []
        for at[1], i in enumerate(indices):
            samples.append(_sample(dataset, i))
        at[1] = -1
    return _together(samples, collate, f"the samples {shown(indices)} of the dataset")


class StreamReader:
    """Batches of an iterable dataset: `size` samples each, or one sample as it is with None."""

    def __init__(self, dataset: Any, size: int | None, drop_last: bool, collate: Collate) -> None:
        self.dataset, self.size, self.drop_last, self.collate = dataset, size, drop_last, collate
        self.samples: Iterator[Any] = iter(dataset)
        self.n_read = 0

    def skip(self, batches: int) -> None:
        """Read and forget this many batches."""
        for _ in range(batches * (self.size or 1)):
            next(self.samples, None)
            self.n_read += 1

    def read(self) -> Any:
        """The next batch. EndOfStream when there is none."""
        samples: list[Any] = []
        try:
            samples.extend(itertools.islice(self.samples, self.size or 1))
        except Exception as error:
            at = self.n_read + len(samples)
            fail(error, f"while reading sample {at} of the stream")
        if not samples or (self.drop_last and len(samples) < (self.size or 1)):
            raise EndOfStream
        first, self.n_read = self.n_read, self.n_read + len(samples)
        where = f"the samples {first} to {self.n_read - 1} of the stream"
        return _together(samples if self.size else samples[0], self.collate, where)


def _sample(dataset: Any, index: Any) -> Any:
    try:
        return dataset[index]
    except Exception as error:
        fail(error, f"while reading sample {index!r} of the dataset")


def _together(samples: Any, collate: Collate, where: str) -> Any:
    try:
        return collate(samples)
    except Exception as error:
        fail(error, f"while putting together {where}")


def shown(indices: Sequence[Any]) -> str:
    """The indices, or the first few of many.

    >>> shown([1, 2]), shown(range(100))
    ('[1, 2]', '[0, 1, 2, 3, 4, 5, 6, 7, ...]')
    """
    few = ", ".join(str(i) for i in itertools.islice(indices, 8))
    return f"[{few}{', ...' if len(indices) > 8 else ''}]"

"""Streams of random numbers for loading data.

The order of an epoch and everything random in reading its batches follow from one seed and the
number of the batch. So they are the same for any number of workers, and an epoch can be taken up in
its middle. Within a stream Twofold's default generator, NumPy's global one and that of Python's
`random` are replaced by generators of the stream; outside they are untouched.

A worker thread has such generators of its own (`begin_in_thread`). Twofold's default generator
tells threads apart; the functions of the modules `random` and `numpy.random` that draw from those
modules' one generator are replaced, once a process has worker threads, by functions that ask which
thread calls (names that a program took from the modules before that are not).
"""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ...functions.random import Generator, default_generator, host_words, stream_of_thread

_MASK = (1 << 64) - 1


def _numpy_random() -> Any:
    """NumPy's random module, whose stubs leave out its global bit generator."""
    return np.random


class _Own(threading.local):
    """The generators of `random` and `numpy.random` that a worker thread draws from."""

    python: random.Random | None = None
    numpy: np.random.RandomState | None = None


_own = _Own()


def _by_thread(f: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """f, a method of a module's generator; in worker threads, that of the thread's own."""
    name = f.__name__

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        own = getattr(_own, kind)
        return f(*args, **kwargs) if own is None else getattr(own, name)(*args, **kwargs)

    return call


@functools.cache
def _tell_threads_apart() -> None:
    modules: tuple[tuple[ModuleType, type, str], ...] = (
        (random, random.Random, "python"), (np.random, np.random.RandomState, "numpy"),
    )  # fmt: skip
    for module, generator, kind in modules:
        for name, f in list(vars(module).items()):
            if callable(f) and isinstance(getattr(f, "__self__", None), generator):
                setattr(module, name, _by_thread(f, kind))


def begin_in_thread() -> None:
    """Give this thread generators of its own."""
    _tell_threads_apart()
    stream_of_thread()
    _own.python = random.Random()
    _own.numpy = np.random.RandomState()


def draw_seed(generator: Generator | None) -> int:
    """A seed of 64 bits, signed, from the stream of a generator."""
    return int(host_words(2, generator).view(np.int64)[0])


class Stream:
    """Stream number `number` of a seed, as a context that can be entered again to go on."""

    def __init__(self, seed: int, number: int) -> None:
        self.state = (seed, number << 32)
        self.numpy = np.random.Philox(key=seed & _MASK, counter=[0, 0, 0, number])
        random_bits = random.Random((seed & _MASK) << 64 | number)
        self.python = random_bits.getstate()
        self._outside: list[list[Any]] = []

    def __enter__(self) -> Stream:
        before: list[Any] = [
            default_generator.key, default_generator.offset, None, random.getstate(),
        ]  # fmt: skip
        if _own.numpy is None:
            before[2] = _numpy_random().get_bit_generator()
            _numpy_random().set_bit_generator(self.numpy)
        else:
            before[2], _own.numpy = _own.numpy, np.random.RandomState(self.numpy)
        self._outside.append(before)
        default_generator.key, default_generator.offset = self.state
        random.setstate(self.python)
        return self

    def __exit__(self, *failure: object) -> None:
        self.state = (default_generator.key, default_generator.offset)
        self.python = random.getstate()
        key, offset, numbers, python = self._outside.pop()
        default_generator.key, default_generator.offset = key, offset
        if _own.numpy is None:
            _numpy_random().set_bit_generator(numbers)
        else:
            _own.numpy = numbers
        random.setstate(python)

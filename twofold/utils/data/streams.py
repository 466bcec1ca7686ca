"""Streams of random numbers for loading data.

The order of an epoch and everything random in reading its batches follow from one seed and the
number of the batch. So they are the same for any number of workers, and an epoch can be taken up in
its middle. Within a stream Twofold's default generator, NumPy's global one and that of Python's
`random` are replaced by generators of the stream; outside they are untouched.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from ...functions.random import Generator, default_generator, host_words

_MASK = (1 << 64) - 1


def _numpy_random() -> Any:
    """NumPy's random module, whose stubs leave out its global bit generator."""
    return np.random


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
        self._outside: list[tuple[Any, ...]] = []

    def __enter__(self) -> Stream:
        self._outside.append(
            (
                default_generator.key,
                default_generator.offset,
                _numpy_random().get_bit_generator(),
                random.getstate(),
            )
        )
        default_generator.key, default_generator.offset = self.state
        _numpy_random().set_bit_generator(self.numpy)
        random.setstate(self.python)
        return self

    def __exit__(self, *failure: object) -> None:
        self.state = (default_generator.key, default_generator.offset)
        self.python = random.getstate()
        key, offset, bits, python = self._outside.pop()
        default_generator.key, default_generator.offset = key, offset
        _numpy_random().set_bit_generator(bits)
        random.setstate(python)

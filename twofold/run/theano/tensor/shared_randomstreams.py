"""Random numbers: new ones at each call of a function that needs them."""

from __future__ import annotations

from typing import Any

from .... import dtypes
from ....creation import as_tensor
from ....functions import functions as tf
from ....functions.random import Generator
from ..variable import Variable, float_type


def _shape(size: Any, *others: Any) -> tuple[int, ...]:
    if size is None:
        return tuple(tf["broadcast_tensors"](*[as_tensor(o) for o in others])[0].shape)
    return tuple(int(n) for n in size)


def _uniform(generator: Generator, size: Any, low: Any, high: Any, dtype: Any) -> Any:
    drawn = tf["rand"](_shape(size, low, high), generator=generator, dtype=dtype)
    return drawn * (as_tensor(high) - as_tensor(low)).to(dtype) + as_tensor(low).to(dtype)


def _normal(generator: Generator, size: Any, avg: Any, std: Any, dtype: Any) -> Any:
    drawn = tf["randn"](_shape(size, avg, std), generator=generator, dtype=dtype)
    return drawn * as_tensor(std).to(dtype) + as_tensor(avg).to(dtype)


def _binomial(generator: Generator, size: Any, n: int, p: Any, dtype: Any) -> Any:
    chance = as_tensor(p)
    shape = _shape(size, chance)
    drawn = tf["rand"]((n, *shape), generator=generator)
    return (drawn < chance).sum(0).to(dtype)


def _permutation(generator: Generator, size: Any, n: int) -> Any:
    return tf["randperm"](int(n), generator=generator)


def _kind(dtype: Any) -> Any:
    if dtype is None or dtype == "floatX":
        return float_type()
    return getattr(dtypes, str(dtype))


class RandomStreams:
    """A source of random numbers; each call of its methods is a stream of its own, which depends on
    the seed and on how many were made before."""

    def __init__(self, seed: int | None = None, **ignored: Any) -> None:
        self.default_seed = 0 if seed is None else int(seed)
        self._made = 0

    def _generator(self) -> Generator:
        self._made += 1
        return Generator().manual_seed((self.default_seed * 1_000_003 + self._made) % 2**63)

    def seed(self, seed: int | None = None) -> None:
        """The seed of what is made from here on."""
        self.default_seed, self._made = 0 if seed is None else int(seed), 0

    def uniform(
        self, size: Any = None, low: Any = 0.0, high: Any = 1.0, ndim: Any = None,
        dtype: Any = None,
        **ignored: Any,
    ) -> Variable:  # fmt: skip
        """Numbers from low to high, each as likely."""
        return Variable(_uniform, (self._generator(), size, low, high, _kind(dtype)))

    def normal(
        self, size: Any = None, avg: Any = 0.0, std: Any = 1.0, ndim: Any = None, dtype: Any = None,
        **ignored: Any,
    ) -> Variable:  # fmt: skip
        """Numbers of the normal distribution."""
        return Variable(_normal, (self._generator(), size, avg, std, _kind(dtype)))

    def binomial(
        self, size: Any = None, n: int = 1, p: Any = 0.5, ndim: Any = None, dtype: Any = "int64",
        prob: Any = None, **ignored: Any,
    ) -> Variable:  # fmt: skip
        """How many of n trials succeed, where each does with chance p."""
        chance = p if prob is None else prob
        return Variable(_binomial, (self._generator(), size, n, chance, _kind(dtype)))

    def permutation(self, size: Any = None, n: int = 1, **ignored: Any) -> Variable:
        """The numbers below n in a random order. NotImplementedError for several of them."""
        if size is not None and size != ():
            raise NotImplementedError(f"[permutation] only one is drawn; got size={size}")
        return Variable(_permutation, (self._generator(), size, n))

    def updates(self) -> list[tuple[Any, Any]]:
        """The streams' updates, for `function`: there are none, since each stream keeps its own
        place."""
        return []

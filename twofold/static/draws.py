"""TensorFlow 1's random numbers: new ones with each run, the same ones for the same seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..functions import functions as tf
from ..functions.random import Generator
from .arrays import sizes_of
from .graph import Tensor, as_dtype, get_default_graph
from .graph import add as new
from .operations import value_of


def seeded(seed: int | None) -> Generator | None:
    """A generator for the default graph's next random operation, which has this seed of its own;
    None for one that differs from run to run."""
    mixed = get_default_graph().next_seed(seed)
    return None if mixed is None else Generator().manual_seed(mixed)


def _random(title: str) -> Callable[[Callable[..., Any]], Callable[..., Tensor]]:
    """A decorator: draws (generator, sizes, ...) as an operation with a seed of its own."""

    def decorate(draw: Callable[..., Any]) -> Callable[..., Tensor]:
        def make(shape: Any, *args: Any, **kwargs: Any) -> Tensor:
            name = kwargs.pop("name", None) or title
            generator = seeded(kwargs.pop("seed", None))
            return new(name, draw, (generator, shape, *args), kwargs)

        make.__name__ = make.__qualname__ = title
        make.__doc__ = draw.__doc__
        return make

    return decorate


@_random("random_normal")
def random_normal(
    generator: Any, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32
) -> Any:
    """Numbers of the normal distribution, new ones with each run."""
    drawn = tf["randn"](sizes_of(shape), generator=generator, dtype=as_dtype(dtype))
    return drawn * value_of(stddev, drawn.dtype) + value_of(mean, drawn.dtype)


@_random("truncated_normal")
def truncated_normal(
    generator: Any, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32
) -> Any:
    """Numbers of the normal distribution within two standard deviations."""
    low = 0.02275013194817921
    u = tf["rand"](sizes_of(shape), generator=generator, dtype=as_dtype(dtype))
    drawn = tf["erfinv"]((u * (1 - 2 * low) + low) * 2 - 1) * 2**0.5
    return drawn.clamp(-2, 2) * value_of(stddev, drawn.dtype) + value_of(mean, drawn.dtype)


@_random("random_uniform")
def random_uniform(
    generator: Any, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = dtypes.float32
) -> Any:
    """Numbers from minval to maxval (1), each as likely."""
    kind, sizes = as_dtype(dtype), sizes_of(shape)
    if not kind.is_inexact:
        if maxval is None:
            raise ValueError(f"Must specify maxval for integer dtype {kind.name}")
        return tf["randint"](minval, maxval, tuple(sizes), generator=generator, dtype=kind)
    drawn = tf["rand"](sizes, generator=generator, dtype=kind)
    high = value_of(1.0 if maxval is None else maxval, kind)
    return drawn * (high - value_of(minval, kind)) + value_of(minval, kind)


def random_shuffle(value: Any, seed: int | None = None, name: str = "RandomShuffle") -> Tensor:
    """The rows in a random order."""
    return new(name, _shuffled, (seeded(seed), value))


def _shuffled(generator: Any, value: Any) -> Any:
    x = value_of(value)
    return x[tf["randperm"](len(x), generator=generator)]

"""Random numbers: Philox, counted. A generator is a key and an offset, both run-time inputs.

Each call takes as many words of the generator's stream as it needs and moves the offset on, so the
numbers depend on the seed and the order of calls alone: not on threads, fusion or the device.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import numpy as np

from .. import dtypes, engine
from ..devices import usable
from ..dtypes import DType
from ..graph.node import Node, leaf, make, recorder
from ..graph.types import Type
from ..ops import complex as cx
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import philox
from ..ops import sort as st
from ..ops.reduce import ANY
from ..ops.scan import CUMSUM
from ..tensor import Tensor, broadcast_to, number, wrap
from ._registry import both, by_name, function, method
from .complex import view_as_real
from .shape import shape_args

_WORD = Type((), dtypes.int64)


class Generator:
    """A stream of random words: the seed is its key, the offset says how many words were taken.

    >>> g = Generator().manual_seed(7)
    >>> g.initial_seed()
    7
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = usable(device)
        self.key = 0
        self.offset = 0

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed`."""
        self.key, self.offset = _signed(int(seed)), 0
        return self

    def seed(self) -> int:
        """Start a stream with a seed of the system's choosing, which is returned."""
        seed = int.from_bytes(os.urandom(8), "little") >> 1
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self.key

    def get_state(self) -> Tensor:
        """The key and the offset as 16 bytes."""
        state = np.array([self.key, self.offset], np.int64).view(np.uint8)
        return wrap(engine.from_numpy(state))

    def set_state(self, state: Tensor) -> Generator:
        """Go on from a state that `get_state` gave. RuntimeError for anything else."""
        if state.dtype is not dtypes.uint8 or state.numel() != 16:
            raise RuntimeError(
                f"[set_state] expected 16 bytes of uint8; got {state.numel()} of {state.dtype}"
            )
        key, offset = np.array(state.detach().numpy()).view(np.int64).tolist()
        self.key, self.offset = key, offset
        return self

    def take(self, n: int) -> int:
        """Take n words: gives the position of the first."""
        start = self.offset
        self.offset += n
        return start


def _signed(seed: int) -> int:
    """A seed of 64 bits as a signed integer."""
    seed &= 0xFFFFFFFFFFFFFFFF
    return seed - (1 << 64) if seed >> 63 else seed


class _DefaultGenerator(Generator):
    """The process's generator; `stream_of_thread` gives a thread one of its own in its place."""

    @property
    def key(self) -> int:
        return _streams.state[0]

    @key.setter
    def key(self, key: int) -> None:
        _streams.state[0] = key

    @property
    def offset(self) -> int:
        return _streams.state[1]

    @offset.setter
    def offset(self, offset: int) -> None:
        _streams.state[1] = offset


_process_state = [0, 0]


class _Streams(threading.local):
    def __init__(self) -> None:
        self.state = _process_state


_streams = _Streams()


def stream_of_thread() -> None:
    """From now on this thread draws from a stream of its own where no generator is named: what it
    draws does not depend on what others do."""
    _streams.state = [0, 0]


default_generator = _DefaultGenerator().manual_seed(67280421310721)


@function()
def manual_seed(seed: int) -> Generator:
    """Start the stream of `seed` in the default generator."""
    return default_generator.manual_seed(seed)


@function()
def seed() -> int:
    """Start a stream with a seed of the system's choosing, which is returned."""
    return default_generator.seed()


@function()
def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


@function()
def get_rng_state() -> Tensor:
    """The state of the default generator."""
    return default_generator.get_state()


@function()
def set_rng_state(new_state: Tensor) -> None:
    """Let the default generator go on from a state."""
    default_generator.set_state(new_state)


# Nodes of random numbers.


class _Loops(threading.local):
    """The loops whose bodies are being recorded in a thread, outermost first: how many steps each
    has, and the number of its step."""

    def __init__(self) -> None:
        self.found: list[tuple[int, Node]] = []
        self.barred: list[str] = []


_loops = _Loops()

positions: WeakSet[Node] = WeakSet()
"""Numbers that say where in a stream a call's words begin."""


@contextmanager
def in_loop(steps: int, step: Node) -> Iterator[None]:
    """Let each of so many steps, numbered by `step`, draw numbers of its own."""
    _loops.found.append((steps, step))
    try:
        yield
    finally:
        _loops.found.pop()


_ROUNDS = (
    "random numbers within a loop take a number of rounds that is known; try maximum=, or draw "
    "them before the loop"
)


@contextmanager
def no_random(op: str, reason: str = _ROUNDS) -> Iterator[None]:
    """Refuse to draw random numbers: how many would be taken is not known."""
    _loops.barred.append(f"[{op}] {reason}")
    try:
        yield
    finally:
        _loops.barred.pop()


def stretch(n: int, generator: Generator | None = None) -> tuple[Node, Node]:
    """The key of the stream and the position of the first of n words taken from it; within loops,
    each step has a stretch of its own."""
    generator = generator or default_generator
    if _loops.barred:
        raise RuntimeError(_loops.barred[-1])
    taken = n * math.prod(steps for steps, _ in _loops.found)
    key = leaf(generator.key, _WORD, False, True)
    first = leaf(generator.take(taken), _WORD, False, True)
    positions.add(first)
    if recorder.observer is not None:
        recorder.observer.live(key, lambda: generator.key)
        recorder.observer.live(first, lambda: generator.take(taken))
    own = taken
    for steps, step in _loops.found:
        own //= max(steps, 1)
        first = ew.add(first, ew.mul(step, number(own, dtypes.int64)))
    return key, first


def _words(n: int, each: int, generator: Generator | None) -> list[Node]:
    """`each` int32 vectors of n random words."""
    key, first = stretch(n * each, generator)
    key = broadcast_to(key, (n,))
    counter = ew.add(mv.iota(n), broadcast_to(first, (n,)))
    words = [ew.random_bits(key, counter)]
    for i in range(1, each):
        ahead = number(n * i, dtypes.int64)
        words.append(ew.random_bits(key, ew.add(counter, broadcast_to(ahead, (n,)))))
    return words


def _high_bits(word: Node, bits: int) -> Node:
    """The upper bits of a word as a non-negative int32."""
    shifted = ew.shr(word, ew.constant(32 - bits, dtypes.int32))
    return ew.and_(shifted, ew.constant((1 << bits) - 1, dtypes.int32))


def _fraction(word: Node, bits: int, dtype: DType) -> Node:
    """Uniform on [0, 1) with so many bits."""
    whole = ew.cast(_high_bits(word, bits), dtype)
    return ew.mul(whole, ew.constant(2.0**-bits, dtype))


_BITS = {dtypes.float32: 24, dtypes.float16: 11, dtypes.bfloat16: 8}


def uniform_node(shape: tuple[int, ...], dtype: DType, generator: Generator | None) -> Node:
    """Uniform on [0, 1), with as many bits as `dtype` has."""
    n = math.prod(shape)
    if dtype is dtypes.float64:
        high, low = _words(n, 2, generator)
        upper = ew.mul(ew.cast(_high_bits(high, 27), dtype), ew.constant(2.0**-27, dtype))
        lower = ew.mul(ew.cast(_high_bits(low, 26), dtype), ew.constant(2.0**-53, dtype))
        return mv.reshape(ew.add(upper, lower), shape)
    (word,) = _words(n, 1, generator)
    return mv.reshape(_fraction(word, _BITS[dtype], dtype), shape)


def normal_node(shape: tuple[int, ...], dtype: DType, generator: Generator | None) -> Node:
    """Standard normal by Box and Muller: sqrt(-2 log u) cos(2 pi v), u on (0, 1]."""
    n = math.prod(shape)
    wide = dtypes.float64 if dtype is dtypes.float64 else dtypes.float32
    if wide is dtypes.float64:
        u, v = uniform_node((n,), wide, generator), uniform_node((n,), wide, generator)
        u = ew.sub(ew.constant(1, wide), u)
    else:
        first, second = _words(n, 2, generator)
        u = ew.sub(ew.constant(1, wide), _fraction(first, 24, wide))
        v = _fraction(second, 24, wide)
    radius = ew.sqrt(ew.mul(ew.constant(-2, wide), ew.log(u)))
    angle = ew.mul(ew.constant(2 * math.pi, wide), v)
    return mv.reshape(ew.cast(ew.mul(radius, ew.cos(angle)), dtype), shape)


def integer_node(
    shape: tuple[int, ...], low: int, high: int, dtype: DType, generator: Generator | None
) -> Node:
    """Integers of [low, high), by scaling 53 random bits."""
    u = uniform_node(shape, dtypes.float64, generator)
    scaled = ew.floor(ew.mul(u, number(float(high - low), dtypes.float64)))
    whole = ew.add(ew.cast(scaled, dtypes.int64), number(low, dtypes.int64))
    return ew.cast(whole, dtype)


def _finish(node: Node, requires_grad: bool, device: Any) -> Tensor:
    if device is not None:
        usable(device)
    result = wrap(node)
    return result.requires_grad_() if requires_grad else result


def _float_dtype(name: str, dtype: DType | None) -> DType:
    dtype = dtype or dtypes.get_default()
    if dtype.kind != "float":
        raise RuntimeError(f"\"{name}\" not implemented for '{dtype}'; try a floating-point dtype")
    return dtype


def _by_parts(
    name: str,
    draw: Callable[..., Node],
    shape: tuple[int, ...],
    dtype: DType | None,
    generator: Generator | None,
    scale: float,
) -> Node:
    """Numbers drawn by `draw`; of a complex dtype, its parts times `scale`."""
    if dtype is None or not dtype.is_complex:
        return draw(shape, _float_dtype(name, dtype), generator)
    real = dtype.to_real()
    a, b = (ew.mul(draw(shape, real, generator), number(scale, real)) for _ in range(2))
    return cx.complex_(a, b)


@function()
@by_name("size")
def rand(
    *size: Any, generator: Generator | None = None, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Uniform numbers on [0, 1); of complex ones, both parts."""
    node = _by_parts("rand", uniform_node, shape_args(size), dtype, generator, 1.0)
    return _finish(node, requires_grad, device)


@function()
@by_name("size")
def randn(
    *size: Any, generator: Generator | None = None, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Normal numbers of mean 0 and variance 1; of complex ones, 1/2 for each part."""
    node = _by_parts("randn", normal_node, shape_args(size), dtype, generator, math.sqrt(0.5))
    return _finish(node, requires_grad, device)


@function()
def randint(
    *bounds: Any, low: int = 0, high: int | None = None, size: Any = None,
    generator: Generator | None = None, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Integers of [low, high): randint(high, size) or randint(low, high, size)."""
    given = list(bounds)
    if given and not isinstance(given[-1], (int, np.integer)):
        size = given.pop()
    if len(given) == 2:
        low, high = given
    elif len(given) == 1:
        high = given[0]
    if high is None or size is None:
        raise TypeError("randint() received an invalid combination of arguments")
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= "
                           f"to={high}")  # fmt: skip
    node = integer_node(shape_args((size,)), low, high, dtype or dtypes.int64, generator)
    return _finish(node, requires_grad, device)


@function()
def rand_like(input: Tensor, *, dtype: DType | None = None, device: Any = None,
              requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Uniform numbers in input's shape and dtype."""
    return rand(*input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


@function()
def randn_like(input: Tensor, *, dtype: DType | None = None, device: Any = None,
               requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Normal numbers in input's shape and dtype."""
    return randn(*input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


@function()
def randint_like(
    input: Tensor, low: int, high: int | None = None, *, dtype: DType | None = None
) -> Tensor:
    """Integers of [low, high) in input's shape and dtype."""
    low, high = (0, low) if high is None else (low, high)
    return wrap(integer_node(tuple(input.shape), low, high, dtype or input.dtype, None))


def host_words(n: int, generator: Generator | None = None) -> np.ndarray:
    """n random words at once, as uint32, for choices made in Python. RuntimeError within the body
    of a loop, where each step would make the same."""
    if _loops.found:
        raise RuntimeError(
            "[scan] numbers that are drawn on the host would be the same in each step; try drawing "
            "them before the loop, as one of its xs"
        )
    generator = generator or default_generator
    start = generator.take(n)
    counter = np.arange(start, start + n, dtype=np.int64)
    return philox.random_bits(np.asarray(generator.key, np.int64), counter).view(np.uint32)


@function()
def randperm(
    n: int, *, generator: Generator | None = None, dtype: DType | None = None, device: Any = None
) -> Tensor:
    """0, ..., n - 1 in random order, by sorting 64-bit words."""
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    high, low = (ew.cast(word, dtypes.int64) for word in _words(n, 2, generator))
    high = ew.mul(high, number(1 << 32, dtypes.int64))
    keys = ew.add(high, ew.and_(low, number((1 << 32) - 1, dtypes.int64)))
    order = mv.reshape(st.argsort(mv.reshape(keys, (1, n)), False), (n,))
    return wrap(ew.cast(order, dtype or dtypes.int64))


@both()
def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with the probabilities in input (or p), else 0, in input's dtype."""
    x = input._node()
    u = uniform_node(x.shape, dtypes.float32 if x.dtype.kind != "float" else x.dtype, generator)
    chance = number(p, u.dtype) if p is not None else ew.cast(x, u.dtype)
    return wrap(ew.cast(ew.lt(u, chance), x.dtype))


@function()
def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None,
    dtype: DType | None = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal numbers of these means and standard deviations."""
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        like: Any = (mean if isinstance(mean, Tensor) else 0.0) + (
            std * 0 if isinstance(std, Tensor) else 0.0
        )
        return randn(*like.shape, dtype=like.dtype, generator=generator) * std + mean
    result = randn(*shape_args((size,)), dtype=dtype, generator=generator) * std + mean
    return result.requires_grad_() if requires_grad else result


@both()
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Places drawn with the weights in the last axis of input."""
    x = input.detach()._node()
    if not x.dtype.is_floating_point:
        raise RuntimeError("multinomial only supports floating-point dtypes for input")
    if len(x.shape) not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    b, n = x.shape if len(x.shape) == 2 else (1, x.shape[0])
    if not replacement and num_samples > n:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    weights = ew.cast(mv.reshape(x, (b, n)), dtypes.float64)
    steps = mv.reshape(make(CUMSUM, (mv.reshape(weights, (b, n, 1)),), (False,)), (b, n))
    if replacement:
        total = mv.slice_(steps, ((0, b, 1), (n - 1, 1, 1)))
        u = uniform_node((b, num_samples), dtypes.float64, generator)
        at = ew.mul(u, broadcast_to(total, (b, num_samples)))
        picked = make(st.SEARCHSORTED, (steps, at), (True,))
        picked = ew.minimum(picked, number(n - 1, dtypes.int64))
    else:
        # The first of n clocks that ring after exponential times of these rates.
        u = ew.sub(ew.constant(1, dtypes.float64), uniform_node((b, n), dtypes.float64, generator))
        picked = st.argtop(ew.div(ew.neg(ew.log(u)), weights), num_samples, False)
    result = wrap(mv.reshape(picked, (*x.shape[:-1], num_samples)))
    _check_weights(weights, steps)  # looks at values: those of the result come with them
    return result


def _check_weights(weights: Node, steps: Node) -> None:
    """RuntimeError unless no weight is negative or infinite and each row has one above zero."""
    zero = ew.constant(0, dtypes.float64)
    wrong = ew.not_(ew.and_(ew.ge(weights, zero), ew.isfinite(weights)))
    b, n = steps.shape
    total = mv.slice_(steps, ((0, b, 1), (n - 1, 1, 1)))
    found = [make(ANY, (part,), ((0, 1),)) for part in (wrong, ew.le(total, zero))]
    wrong_weight, empty_row = wrap(mv.concatenate([mv.reshape(f, (1,)) for f in found], 0)).tolist()
    if wrong_weight:
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if empty_row:
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


# Filling tensors.


@method("uniform_")
def uniform_(
    self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with uniform numbers on [a, b)."""
    if a > b:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}"
        )
    if self.is_complex():
        uniform_(view_as_real(self), a, b, generator=generator)
        return self
    s = self._node().structure
    u = uniform_node(s.shape, _float_dtype("uniform_", s.dtype), generator)
    if (a, b) != (0, 1):
        u = ew.add(ew.mul(u, number(b - a, s.dtype)), number(a, s.dtype))
    self._write(u)
    return self


@method("normal_")
def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with normal numbers."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if self.is_complex():
        normal_(view_as_real(self), 0.0, std * math.sqrt(0.5), generator=generator)
        return self.add_(mean) if mean else self
    s = self._node().structure
    x = normal_node(s.shape, _float_dtype("normal_", s.dtype), generator)
    if (mean, std) != (0, 1):
        x = ew.add(ew.mul(x, number(std, s.dtype)), number(mean, s.dtype))
    self._write(x)
    return self


@method("bernoulli_")
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with 1 with probability p (a number or a tensor), else 0."""
    if isinstance(p, Tensor):
        drawn = bernoulli(p, generator=generator)
    else:
        drawn = bernoulli(self.detach(), p, generator=generator)
    self._write(broadcast_to(ew.cast(drawn._node(), self.dtype), tuple(self.shape)))
    return self


@method("random_")
def random_(
    self: Tensor, low: int = 0, high: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Fill with integers of [low, high)."""
    s = self._node().structure
    top = {"float": 1 << 24, "bool": 2}.get(s.dtype.kind, 1 << min(8 * s.dtype.itemsize - 1, 53))
    high = top if high is None else high
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    self._write(integer_node(s.shape, low, high, s.dtype, generator))
    return self


@method("exponential_")
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with exponentially distributed numbers."""
    _require(lambd > 0, "exponential_", "lambda > 0.0", f"lambda={lambd}")
    s = self._node().structure
    u = uniform_node(s.shape, _float_dtype("exponential_", s.dtype), generator)
    self._write(ew.div(ew.neg(ew.log1p(ew.neg(u))), number(lambd, s.dtype)))
    return self


def _require(holds: bool, name: str, rule: str, got: str) -> None:
    if not holds:
        raise RuntimeError(f"{name} expects {rule}, but found {got}")


@method("geometric_")
def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with the number of trials, each won with probability p, up to the first that is won."""
    _require(0 < p < 1, "geometric_", "p to be in (0, 1)", f"p={p}")
    s = self._node().structure
    u = uniform_node(s.shape, dtypes.float64, generator)
    trials = ew.ceil(ew.div(ew.log1p(ew.neg(u)), number(math.log1p(-p), dtypes.float64)))
    self._write(ew.cast(ew.maximum(trials, ew.constant(1, dtypes.float64)), s.dtype))
    return self


@method("log_normal_")
def log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with e to the power of normal numbers."""
    _require(std > 0, "log_normal_", "std > 0.0", f"std={std}")
    s = self._node().structure
    x = normal_node(s.shape, _float_dtype("log_normal_", s.dtype), generator)
    x = ew.add(ew.mul(x, number(std, s.dtype)), number(mean, s.dtype))
    self._write(ew.exp(x))
    return self


@method("cauchy_")
def cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with numbers of the Cauchy distribution: median + sigma tan(pi (u - 1/2))."""
    _require(sigma > 0, "cauchy_", "sigma > 0.0", f"sigma={sigma}")
    s = self._node().structure
    u = uniform_node(s.shape, _float_dtype("cauchy_", s.dtype), generator)
    angle = ew.mul(ew.sub(u, number(0.5, s.dtype)), number(math.pi, s.dtype))
    self._write(ew.add(ew.mul(ew.tan(angle), number(sigma, s.dtype)), number(median, s.dtype)))
    return self


def host_generator(generator: Generator | None = None) -> np.random.Generator:
    """NumPy's generator, seeded with the next words of a stream, for distributions that are drawn
    on the host."""
    words = host_words(4, generator)
    return np.random.Generator(np.random.Philox(key=words[:2].view(np.uint64)[0]))


@function()
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of the Poisson distribution with the rates in input, which are looked at."""
    rates = input.detach()._held().astype(np.float64)
    if (rates < 0).any():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    drawn = np.asarray(host_generator(generator).poisson(rates)).astype(np.float64)
    return wrap(ew.cast(engine.from_numpy(drawn), input.dtype))


@function()
def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of `count` trials, each won with probability `prob`, are won; both are looked at."""
    n, p = count.detach()._held(), prob.detach()._held().astype(np.float64)
    drawn = host_generator(generator).binomial(n.astype(np.int64), np.clip(p, 0, 1))
    return wrap(ew.cast(engine.from_numpy(np.asarray(drawn).astype(np.float64)), count.dtype))

"""Random numbers: known words, repeatable streams, and their distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold.ops import philox

N = 200_000


def test_philox_gives_the_published_words() -> None:
    """The known answers of the paper's own test vectors (Random123, philox4x32-10)."""
    ones = 0xFFFFFFFF
    cases = [
        ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ones,) * 2, (ones,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0xA4093822, 0x299F31D0),
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ]
    for key, counter, want in cases:
        words = philox.block(
            (np.uint64(key[0]), np.uint64(key[1])), [np.asarray(c, np.uint64) for c in counter]
        )
        assert tuple(int(w) for w in words) == want


SOURCES: dict[str, Callable[[], Any]] = {
    "rand": lambda: tf.rand(1001),
    "rand float64": lambda: tf.rand(7, 11, dtype=tf.float64),
    "randn": lambda: tf.randn(1001),
    "randint": lambda: tf.randint(-5, 9, (1001,)),
    "randperm": lambda: tf.randperm(1001),
    "bernoulli": lambda: tf.bernoulli(tf.full((1001,), 0.3)),
    "multinomial": lambda: tf.multinomial(tf.arange(1.0, 40), 20),
    "multinomial again": lambda: tf.multinomial(tf.ones(3, 7), 50, True),
    "dropout": lambda: tf.nn.functional.dropout(tf.ones(1001), 0.4),
    "uniform_": lambda: tf.empty(1001).uniform_(-1, 3),
    "exponential_": lambda: tf.empty(1001).exponential_(2.0),
}


@pytest.mark.parametrize("name", SOURCES)
def test_streams(name: str) -> None:
    """One seed gives the same bits twice, on any number of threads, compiled or by reference, and
    after a state is put back; a second draw differs."""
    source = SOURCES[name]
    tf.manual_seed(5)
    state = tf.get_rng_state()
    first = source().numpy()
    second = source().numpy()
    assert not np.array_equal(first, second)
    for threads in (1, 2, 3):
        with tf.config.override(threads=threads):
            tf.manual_seed(5)
            assert np.array_equal(source().numpy(), first)
    tf.set_rng_state(state)
    assert np.array_equal(source().numpy(), first)
    assert np.array_equal(source().numpy(), second)
    with tf.config.override(backend="reference"):
        tf.manual_seed(5)
        np.testing.assert_allclose(source().numpy(), first, rtol=2e-6, atol=1e-6)


def test_pending_draws_keep_their_order() -> None:
    tf.manual_seed(1)
    a, b = tf.rand(5), tf.rand(5)
    late = (b * 1).tolist(), (a * 1).tolist()
    tf.manual_seed(1)
    assert late[1] == tf.rand(5).tolist() and late[0] == tf.rand(5).tolist()


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """How many standard deviations the statistic lies above its mean."""
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = len(counts) - 1
    return float((statistic - freedom) / math.sqrt(2 * freedom))


def distance(values: np.ndarray, distribution: Callable[[np.ndarray], np.ndarray]) -> float:
    """Kolmogorov and Smirnov's distance times the root of the number of values: above 1.95 once in
    a thousand samples."""
    n = len(values)
    at = distribution(np.sort(values.astype(np.float64)))
    steps = np.arange(n + 1) / n
    return float(max((steps[1:] - at).max(), (at - steps[:-1]).max()) * math.sqrt(n))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_distributions(dtype: Any) -> None:
    tf.manual_seed(12)
    normal = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)))
    u = tf.rand(N, dtype=dtype).numpy()
    assert u.min() >= 0 and u.max() < 1
    assert distance(u, lambda x: x) < 1.95
    assert distance(tf.randn(N // 4, dtype=dtype).numpy(), normal) < 1.95
    e = tf.empty(N, dtype=dtype).exponential_(1.5).numpy()
    assert distance(e, lambda x: 1 - np.exp(-1.5 * x)) < 1.95
    pairs = u.reshape(-1, 2)
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 4 / math.sqrt(N / 2)


def test_integers_and_choices() -> None:
    tf.manual_seed(3)
    draws = tf.randint(0, 10, (N,)).numpy()
    assert chi_square(np.bincount(draws, minlength=10), np.full(10, N / 10)) < 4
    weights = np.array([1.0, 0.0, 3.0, 6.0])
    picked = tf.multinomial(tf.tensor(weights), N, True).numpy()
    counts = np.bincount(picked, minlength=4)
    assert counts[1] == 0
    assert chi_square(counts[weights > 0], N * weights[weights > 0] / 10) < 4
    first = tf.multinomial(tf.tensor(weights).expand(20_000, 4), 3)
    assert all(len(set(row)) == 3 for row in first.tolist()[:100])
    counts = np.bincount(first.numpy()[:, 0], minlength=4)
    assert chi_square(counts[weights > 0], 2000 * weights[weights > 0]) < 4
    kept = tf.bernoulli(tf.full((N,), 0.3)).numpy()
    assert abs(kept.mean() - 0.3) < 4 * math.sqrt(0.21 / N)


def test_permutations() -> None:
    tf.manual_seed(3)
    for n in (0, 1, 2, 100, 50_000):
        assert np.array_equal(np.sort(tf.randperm(n).numpy()), np.arange(n))
    orders = [tuple(tf.randperm(3).tolist()) for _ in range(600)]
    counts = np.unique(np.array(orders), axis=0, return_counts=True)[1]
    assert len(counts) == 6 and chi_square(counts, np.full(6, 100.0)) < 4
    assert tf.randperm(5, dtype=tf.int32).dtype is tf.int32


WRONG: dict[str, Callable[[], Any]] = {
    "negative weight": lambda: tf.multinomial(tf.tensor([1.0, -1.0]), 1),
    "infinite weight": lambda: tf.multinomial(tf.tensor([1.0, math.inf]), 1),
    "no weight": lambda: tf.multinomial(tf.zeros(2, 3), 1),
    "too many": lambda: tf.multinomial(tf.ones(3), 4),
    "none": lambda: tf.multinomial(tf.ones(3), 0),
    "state": lambda: tf.set_rng_state(tf.zeros(3, dtype=tf.uint8)),
    "empty range": lambda: tf.randint(3, 3, (2,)),
    "integers": lambda: tf.rand(3, dtype=tf.int64),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use(name: str) -> None:
    with pytest.raises(RuntimeError):
        WRONG[name]()

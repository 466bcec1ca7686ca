"""Philox 4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy
as 1, 2, 3" (SC 2011)."""

from __future__ import annotations

import numpy as np

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_MASK = np.uint64(0xFFFFFFFF)


def block(key: tuple[np.ndarray, np.ndarray], counter: list[np.ndarray]) -> list[np.ndarray]:
    """Ten rounds on a counter of four 32-bit words; gives four words."""
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ k0,
            p1 & _MASK,
            (p0 >> np.uint64(32)) ^ c3 ^ k1,
            p0 & _MASK,
        )
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return [c0, c1, c2, c3]


def random_bits(key: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """The 32-bit word number `counter & 3` of block `counter >> 2` under the 64-bit `key`, as
    int32.

    >>> random_bits(np.int64(0), np.arange(2)).astype(np.uint32)
    array([1713891541, 3781805453], dtype=uint32)
    """
    key, counter = np.broadcast_arrays(np.asarray(key, np.int64), np.asarray(counter, np.int64))
    k, n = key.astype(np.uint64), counter.astype(np.uint64)
    b, word = n >> np.uint64(2), n & np.uint64(3)
    zero = np.zeros_like(b)
    words = block((k & _MASK, k >> np.uint64(32)), [b & _MASK, b >> np.uint64(32), zero, zero])
    return np.choose(word.astype(np.int64), words).astype(np.uint32).view(np.int32)

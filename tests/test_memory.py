"""Memory of plans and buffers stays small over many shapes."""

from __future__ import annotations

import ctypes
import gc
import mmap
import sys

import numpy as np
import pytest

import twofold as tf
from twofold import engine
from twofold.codegen import jit
from twofold.graph.node import recorder
from twofold.runtime import buffers

_WEIGHT = np.random.default_rng(0).standard_normal((32, 10)).astype(np.float32)


def _step(weight: tf.Tensor, n: int) -> None:
    x = tf.from_numpy(np.ones((n, 32), np.float32))
    loss = (x @ weight).relu().pow(2).mean()
    loss.backward()
    with tf.no_grad():
        weight.sub_(1e-3 * weight.grad)
        weight.grad = None
    engine.flush()


def test_new_sizes_compile_nothing_and_hold_no_values() -> None:
    weight = tf.tensor(_WEIGHT).requires_grad_()
    for n in (3, 200, 3, 200):
        _step(weight, n)
    gc.collect()
    compiled, live = jit.counts["compiled"], buffers.allocated_bytes()
    for n in range(40, 90):
        _step(weight, n)
    gc.collect()
    assert jit.counts["compiled"] - compiled <= 12
    assert buffers.allocated_bytes() - live < 16_384


def test_known_sizes_add_nothing() -> None:
    weight = tf.tensor(_WEIGHT).requires_grad_()
    for n in (5, 6, 7, 5, 6, 7):
        _step(weight, n)
    before = len(recorder.table)
    for n in (5, 6, 7) * 10:
        _step(weight, n)
    assert len(recorder.table) == before


def test_free_blocks_stay_near_the_peak() -> None:
    buffers.empty_cache()
    for n in range(1, 300):
        buffers.Buffer(n * 40_000)
    counts = buffers._counts
    assert counts["cached"] + counts["allocated"] <= max(
        buffers.CACHE_FLOOR, counts["peak"] * 5 // 4
    )


@pytest.mark.skipif(sys.platform != "linux", reason="maps pages as Linux does")
@pytest.mark.parametrize("behind", ["nothing", "a page that may not be read"])
def test_an_array_that_ends_with_its_mapping_is_not_read_past(behind: str) -> None:
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    page = mmap.PAGESIZE
    start = libc.mmap(None, ctypes.c_size_t(2 * page), 3, 0x22, -1, ctypes.c_long(0))
    second, n = ctypes.c_void_p(start + page), ctypes.c_size_t(page)
    gone = libc.munmap(second, n) if behind == "nothing" else libc.mprotect(second, n, 0)
    assert gone == 0
    for dtype in (np.float16, np.float32, np.uint8):
        n_bytes = 3 * np.dtype(dtype).itemsize
        memory = (ctypes.c_uint8 * n_bytes).from_address(start + page - n_bytes)
        array = np.frombuffer(memory, dtype)
        array[:] = 1
        with pytest.warns(UserWarning, match="its memory mapping ends"):
            x = tf.from_numpy(array)
        assert (x * 2).tolist() == [2, 2, 2]
        x.add_(1)
        assert x.tolist() == [2, 2, 2]
        assert array.tolist() == [2, 2, 2]

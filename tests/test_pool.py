"""The team of threads: the same results and no collapse with more threads than cores, and forks."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time

import numpy as np
import pytest

import twofold as tf
from twofold import config


def _work(n: int) -> np.ndarray:
    x = tf.from_numpy(np.arange(n * 64, dtype=np.float32).reshape(n, 64) / (64 * n))
    y = (x * 2 + 1).sum(0, keepdim=True) * x
    return (y @ x.T).sum(1).numpy()


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_same_bits_on_any_number_of_threads(threads: int) -> None:
    with config.override(threads=1):
        expected = _work(700)
    with config.override(threads=threads):
        for _ in range(20):
            assert np.array_equal(_work(700), expected)


@pytest.mark.parametrize("rows", [1, 3, 20, 500, 5000])
def test_each_part_is_done_once(rows: int) -> None:
    """Few parts, which threads begin at different places of, and many."""
    x = np.arange(rows * 600, dtype=np.float32).reshape(rows, 600) % 7
    for threads in (1, 2, 3, 5):
        with config.override(threads=threads):
            y = tf.from_numpy(x.copy())
            for _ in range(3):
                y += 1
                y *= y.sum(1, keepdim=True) > 0
                tf.eval(y)
            assert np.array_equal(y.numpy(), x + 3)


def test_more_threads_than_cores_do_not_collapse() -> None:
    seconds = {}
    for threads in (1, 16):
        with config.override(threads=threads):
            _work(700)
            begin = time.perf_counter()
            for _ in range(50):
                _work(700)
            seconds[threads] = time.perf_counter() - begin
    assert seconds[16] < 20 * seconds[1] + 1


def _child(queue: multiprocessing.Queue) -> None:
    queue.put(_work(300))


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_forked_child_computes() -> None:
    expected = _work(300)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    got = queue.get(timeout=60)
    child.join(timeout=60)
    assert np.array_equal(got, expected)
    assert child.exitcode == 0


_LEAVES = """
import threading, time
import twofold as tf

def work():
    while True:
        (tf.randn(300, 300) @ tf.randn(300, 300)).sum().item()

for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.7)
print("leaving", flush=True)
"""


def test_a_process_ends_while_other_threads_run_plans() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LEAVES], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and done.stdout == "leaving\n", done.stderr

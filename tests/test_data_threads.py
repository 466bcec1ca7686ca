"""Worker threads of the loader: the same batches, no shared modes, nothing left behind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import twofold as tf
from twofold import nn
from twofold.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info


class Noisy(Dataset):
    """Draws from every generator there is, and takes longer for some samples than for others."""

    def __len__(self) -> int:
        return 23

    def __getitem__(self, i: int):
        first = random.random(), random.gauss(0, 1), random.randint(0, 1000)
        time.sleep(0.002 * (i % 3))
        drawn = tf.randn(2) * float(np.random.normal())
        return i, first, np.random.permutation(4), drawn, random.choice("abcdefgh")


def plain(batch):
    if isinstance(batch, tf.Tensor):
        return batch.tolist()
    return [plain(b) for b in batch] if isinstance(batch, (list, tuple)) else batch


def contents(loader) -> list:
    return [plain(batch) for batch in loader]


def threads(data, n: int = 3, **options) -> DataLoader:
    return DataLoader(data, num_workers=n, multiprocessing_context="thread", **options)


def test_content_does_not_depend_on_threads():
    def run(make):
        tf.manual_seed(5)
        loader = make()
        return [contents(loader) for _ in range(2)], tf.rand(3).tolist()

    expected = run(lambda: DataLoader(Noisy(), batch_size=4, shuffle=True))
    for n in (1, 4):
        assert run(lambda n=n: threads(Noisy(), n, batch_size=4, shuffle=True)) == expected
    assert run(lambda: DataLoader(Noisy(), batch_size=4, shuffle=True, num_workers=2)) == expected


def test_the_program_draws_as_if_there_were_no_threads():
    def run(n: int) -> list:
        random.seed(1), np.random.seed(2), tf.manual_seed(3)
        options = {"multiprocessing_context": "thread"} if n else {}
        drawn = []
        for _ in DataLoader(Noisy(), batch_size=2, num_workers=n, **options):
            drawn.append((random.random(), np.random.rand(), np.random.randn(), tf.rand(1).item()))
            time.sleep(0.001)
        return drawn

    assert run(3) == run(0)


class Switching(Dataset):
    """Switches modes while others read."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, i: int):
        assert tf.is_grad_enabled() and not tf.is_inference_mode_enabled()
        with tf.no_grad():
            time.sleep(0.001)
            x = tf.full((3,), float(i)) / 8
            assert not tf.is_grad_enabled()
        with tf.autocast("cpu"):
            time.sleep(0.001)
            assert (tf.eye(2) @ tf.eye(2)).dtype is tf.bfloat16
        x[0] += 1  # in place, and asked for, while the program records
        return x, x.sum().item()


@pytest.mark.parametrize("captured", [False, True])
def test_training_sees_nothing_of_modes_in_threads(captured):
    def run(n: int) -> list:
        tf.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        optimizer = tf.optim.SGD(model.parameters(), 0.01)

        def step(x, y):
            optimizer.zero_grad()
            out = model(x)
            assert out.requires_grad and out.dtype is tf.float32
            loss = (out.squeeze(1) - y).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        take = tf.compile(step) if captured else step
        options = {"multiprocessing_context": "thread"} if n else {}
        loader = DataLoader(Switching(), batch_size=4, num_workers=n, **options)
        return [take(x, y.float()).item() for _ in range(3) for x, y in loader]

    assert run(4) == run(0)


def test_modes_of_threads_are_their_own():
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with tf.no_grad():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with tf.no_grad():
        thread.start()
        inside.wait(10)
    assert tf.is_grad_enabled()
    leave.set()
    thread.join()
    assert tf.is_grad_enabled() and (tf.ones(1, requires_grad=True) * 2).requires_grad


class Broken(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, i: int) -> int:
        if i == 7:
            raise KeyError("no such picture")
        if i == 9:
            raise SystemExit(3)
        return i


def test_errors_name_the_sample_and_keep_their_traceback():
    epoch = iter(threads(Broken(), 2, batch_size=4))
    assert plain(next(epoch)) == [0, 1, 2, 3]
    with pytest.raises(KeyError, match="no such picture") as caught:
        next(epoch)
    notes = "\n".join(caught.value.__notes__)
    assert "while reading sample 7 of the dataset" in notes and "in worker thread" in notes
    assert caught.traceback[-1].name == "__getitem__"
    with pytest.raises(SystemExit):
        next(epoch)


class Numbers(IterableDataset):
    def __iter__(self):
        return iter(range(7))


class Where(Dataset):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: int):
        info = get_worker_info()
        time.sleep(0.002)
        return info.id, info.num_workers, os.getpid()


def test_streams_and_who_reads():
    assert contents(threads(Numbers(), 2, batch_size=3)) == [[0, 1, 2], [3, 4, 5], [6]]
    begun = []
    loader = threads(
        Where(), 2, batch_size=2, persistent_workers=True, worker_init_fn=begun.append,
        pin_memory=True,
    )  # fmt: skip
    for _ in range(2):
        batches = contents(loader)
        assert {i for b in batches for i in b[0]} == {0, 1}
        assert {tuple(b[1]) for b in batches} == {(2, 2)}
        assert {p for b in batches for p in b[2]} == {os.getpid()}
    assert sorted(begun) == [0, 1] and get_worker_info() is None

    def refuse(worker: int) -> None:
        raise ValueError(f"no start for {worker}")

    with pytest.raises(ValueError, match="no start for"):
        list(threads(Where(), 1, worker_init_fn=refuse))


class Slow(Dataset):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, i: int) -> int:
        time.sleep(0.02)
        return i


def test_threads_read_at_the_same_time_and_end():
    before = set(threading.enumerate())
    loader = threads(Slow(), 4, batch_size=1)
    begin = time.perf_counter()
    for _ in loader:
        time.sleep(0.02)
    seconds = time.perf_counter() - begin
    assert seconds < 0.6 or loader.wait_share < 0.4  # one after the other: 0.64 s, half waited
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not before.issuperset(threading.enumerate()):
        time.sleep(0.01)
    assert before.issuperset(threading.enumerate())


class Sleeps(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> int:
        time.sleep(60)
        return i


def test_timeout():
    with pytest.raises(RuntimeError, match=r"timed out after 0\.2 seconds"):
        list(threads(Sleeps(), 2, timeout=0.2))


SCRIPT = """
import sys, time
from twofold.utils.data import DataLoader
class Sleeps:
    def __len__(self): return 40
    def __getitem__(self, i):
        time.sleep(60 * (i > 3))
        return i
epoch = iter(DataLoader(Sleeps(), num_workers=2, multiprocessing_context="thread"))
next(epoch)
{end}
"""


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise KeyError"])
def test_nothing_hangs_at_exit(end):
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(end=end)], timeout=50, check=False)
    assert done.returncode == (3 if end.startswith("sys") else 1)

"""Data sets, samplers, collation, and the loader: order, content, errors, positions, deaths."""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import twofold as tf
from twofold.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    PackedList,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)


class Noisy(Dataset):
    """Samples with noise from all three sources of random numbers."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int):
        return i, tf.rand(2) + i, np.random.rand(), random.random()


class Numbers(IterableDataset):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


class Broken(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, i: int) -> int:
        if i == 7:
            raise KeyError("no such picture")
        return i


def plain(batch):
    """A batch as nested lists of numbers."""
    if isinstance(batch, tf.Tensor):
        return batch.tolist()
    return [plain(b) for b in batch] if isinstance(batch, (list, tuple)) else batch


def contents(loader):
    return [plain(b) for b in loader]


# Data sets.


def test_tensor_dataset_rows_and_batches():
    x, y = tf.arange(12).reshape(6, 2).to(tf.bfloat16), tf.arange(6)
    data = TensorDataset(x, y)
    assert len(data) == 6 and plain(data[2]) == [[4.0, 5.0], 2]
    batch = data.get_batch([5, 0])
    assert batch[0].dtype is tf.bfloat16 and plain(batch) == [[[10.0, 11.0], [0.0, 1.0]], [5, 0]]
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        TensorDataset(x, tf.arange(5))


def test_tensor_dataset_sees_later_writes():
    x = tf.zeros(4)
    data = TensorDataset(x)
    x[1] = 3.0
    assert plain(data.get_batch([1, 2])) == [[3.0, 0.0]]


def test_datasets_of_datasets():
    a = ConcatDataset([[1, 2], [3], [4, 5]])
    assert [a[i] for i in range(-5, 5)] == [1, 2, 3, 4, 5] * 2
    with pytest.raises(IndexError, match=r"\[ConcatDataset\].*got 5"):
        a[5]
    with pytest.raises(AssertionError):
        ConcatDataset([])
    assert list(ChainDataset([Numbers(2), Numbers(3)])) == [0, 1, 0, 1, 2]
    assert list(Numbers(1) + Numbers(2)) == [0, 0, 1]
    stacked = StackDataset(x=[1, 2], y=[3, 4])
    assert stacked[1] == {"x": 2, "y": 4} and len(stacked) == 2
    with pytest.raises(ValueError, match="Size mismatch"):
        StackDataset([1], [1, 2])
    subset = Subset(TensorDataset(tf.arange(10)), [7, 3, 5])
    assert plain(subset[1]) == [3] and plain(subset.get_batch([0, 2])) == [[7, 5]]
    assert contents(DataLoader(subset, batch_size=2)) == [[[7, 3]], [[5]]]


def test_random_split():
    parts = random_split(range(10), [7, 3], generator=tf.Generator().manual_seed(1))
    again = random_split(range(10), [7, 3], generator=tf.Generator().manual_seed(1))
    assert [p.indices for p in parts] == [p.indices for p in again]
    assert sorted(parts[0].indices + parts[1].indices) == list(range(10))
    assert [len(p) for p in random_split(range(11), [0.5, 0.25, 0.25])] == [6, 3, 2]
    with pytest.raises(ValueError, match="Sum of input lengths does not equal"):
        random_split(range(10), [5, 4])


# Samplers.


def test_samplers():
    assert list(SequentialSampler("abc")) == [0, 1, 2]
    g = tf.Generator().manual_seed(0)
    order = list(RandomSampler(range(100), generator=g))
    assert sorted(order) == list(range(100)) and order != list(range(100))
    assert order != list(RandomSampler(range(100), generator=g))
    assert len(list(RandomSampler(range(4), num_samples=10))) == 10
    drawn = list(RandomSampler(range(4), replacement=True, num_samples=50))
    assert len(drawn) == 50 and set(drawn) <= {0, 1, 2, 3}
    endless = iter(RandomSampler(range(4), replacement=True, num_samples=10**10))
    assert {next(endless) for _ in range(600)} == {0, 1, 2, 3}
    assert sorted(SubsetRandomSampler([4, 7, 9])) == [4, 7, 9]
    assert set(WeightedRandomSampler([0.0, 1.0, 0.0, 2.0], 40)) == {1, 3}
    assert sorted(WeightedRandomSampler([1.0, 1.0, 1.0], 3, replacement=False)) == [0, 1, 2]
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(BatchSampler(range(5), 2, False)) == 3 and len(BatchSampler(range(5), 2, True)) == 2
    with pytest.raises(ValueError, match="num_samples should be a positive integer"):
        RandomSampler([])
    with pytest.raises(ValueError, match="batch_size should be a positive integer"):
        BatchSampler(range(3), 0, False)
    with pytest.raises(ValueError, match="weights should be a 1d sequence"):
        WeightedRandomSampler([[1.0]], 1)


# Collation.

Point = collections.namedtuple("Point", "x y")


def test_collate_kinds():
    batch = default_collate(
        [
            {"a": 1.5, "b": Point(1, np.float32(2)), "c": ("s", b"t", True), "d": [1, [2]]},
            {"a": 2.5, "b": Point(3, np.float32(4)), "c": ("u", b"v", False), "d": [3, [4]]},
        ]
    )
    assert batch["a"].dtype is tf.float64 and plain(batch["a"]) == [1.5, 2.5]
    assert isinstance(batch["b"], Point) and batch["b"].y.dtype is tf.float32
    assert batch["c"][0] == ("s", "u") and batch["c"][1] == (b"t", b"v")
    assert batch["c"][2].dtype is tf.bool
    assert plain(batch["d"]) == [[1, 3], [[2, 4]]]
    arrays = default_collate([np.ones((2, 3), np.int16), np.zeros((2, 3), np.int16)])
    assert arrays.dtype is tf.int16 and arrays.shape == (2, 2, 3)
    assert isinstance(default_convert([np.ones(2)])[0], tf.Tensor)


def test_collate_matches_pytorch():
    torch = pytest.importorskip("torch")
    cases = [
        [1, 2],
        [1.0, 2.0],
        [True, False],
        [(1, "a"), (2, "b")],
        [{"x": 1}, {"x": 2}],
        ["a", "b"],
        [np.float32(1), np.float32(2)],
        [np.arange(3), np.arange(3)],
        [Point(1, 2), Point(3, 4)],
        [[1, 2], [3, 4]],
    ]

    def spelt(x):
        if hasattr(x, "tolist"):
            return str(x.dtype).rpartition(".")[2], x.tolist()
        if isinstance(x, dict):
            return {k: spelt(v) for k, v in x.items()}
        return type(x), [spelt(v) for v in x] if isinstance(x, (list, tuple)) else x

    for case in cases:
        theirs = torch.utils.data.default_collate(case)
        assert spelt(default_collate(case)) == spelt(theirs), case


def test_collate_gradient_flows():
    x = tf.tensor([1.0, 2.0], requires_grad=True)
    default_collate([x * 2, x * 3]).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_collate_errors():
    with pytest.raises(RuntimeError, match=r"equal size, but got \[2\] at entry 0 and \[3\]"):
        default_collate([tf.zeros(2), tf.zeros(3)])
    with pytest.raises(TypeError, match="batch must contain tensors, numpy arrays"):
        default_collate([object()])
    with pytest.raises(RuntimeError, match="should be of equal size"):
        default_collate([[1, 2], [1]])


# The loader.


def test_shuffles_anew_each_epoch_and_repeats_by_seed():
    def epochs():
        tf.manual_seed(3)
        loader = DataLoader(range(50), batch_size=8, shuffle=True)
        return [contents(loader) for _ in range(2)]

    first, second = epochs()
    assert first != second and [first, second] == epochs()
    assert sorted(i for batch in first for i in batch) == list(range(50)) and len(first) == 7


@pytest.mark.parametrize("workers", [1, 3])
def test_content_does_not_depend_on_workers(workers):
    def run(n):
        tf.manual_seed(5)
        loader = DataLoader(Noisy(23), batch_size=4, shuffle=True, num_workers=n)
        return [contents(loader) for _ in range(2)], tf.rand(3).tolist()

    assert run(workers) == run(0)


def test_reading_leaves_other_random_numbers_alone():
    random.seed(1), np.random.seed(2), tf.manual_seed(3)
    loader = DataLoader(Noisy(6), batch_size=2)
    epoch = iter(loader)
    before = random.getstate(), np.random.get_state()[1].tolist(), tf.get_rng_state().tolist()
    list(epoch)
    after = random.getstate(), np.random.get_state()[1].tolist(), tf.get_rng_state().tolist()
    assert before == after


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [0, 3, 6])
def test_position_is_taken_up(workers, stop):
    def loader():
        return DataLoader(Noisy(23), batch_size=4, shuffle=True, num_workers=workers)

    tf.manual_seed(9)
    whole = loader()
    expected = contents(whole) + contents(whole)

    tf.manual_seed(9)
    first = loader()
    epoch = iter(first)
    got = [plain(next(epoch)) for _ in range(stop)]
    state, words = first.state_dict(), tf.get_rng_state()
    del epoch
    tf.manual_seed(0)
    second = loader()
    second.load_state_dict(state)
    tf.set_rng_state(words)
    assert second.state_dict() == state
    got += contents(second) + contents(second)
    assert got == expected


def test_position_with_a_generator_of_the_sampler():
    def loader():
        data = range(20)
        order = RandomSampler(data, generator=tf.Generator().manual_seed(4))
        return DataLoader(data, batch_size=3, sampler=order)

    whole = loader()
    expected = contents(whole) + contents(whole)
    first = loader()
    epoch = iter(first)
    got = [plain(next(epoch)) for _ in range(4)]
    second = loader()
    second.load_state_dict(first.state_dict())
    assert got + contents(second) + contents(second) == expected


def test_position_is_refused_if_it_is_none():
    with pytest.raises(ValueError, match=r"\[DataLoader.load_state_dict\] expected"):
        DataLoader([1]).load_state_dict({"a": 1})


@pytest.mark.parametrize("workers", [0, 2])
def test_streams(workers):
    loader = DataLoader(Numbers(10), batch_size=4, num_workers=workers)
    assert contents(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert contents(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    dropped = DataLoader(Numbers(10), batch_size=4, drop_last=True, num_workers=workers)
    assert contents(dropped) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    one = DataLoader(Numbers(3), batch_size=None, num_workers=workers)
    assert contents(one) == [0, 1, 2]
    epoch = iter(loader)
    next(epoch)
    again = DataLoader(Numbers(10), batch_size=4, num_workers=workers)
    again.load_state_dict(loader.state_dict())
    assert contents(again) == [[4, 5, 6, 7], [8, 9]]


class Counter(IterableDataset):
    """A stream that can tell where it stands."""

    def __init__(self) -> None:
        self.at = 0
        self.read = 0

    def __iter__(self):
        while self.at < 10:
            self.at += 1
            self.read += 1
            yield self.at - 1

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


@pytest.mark.parametrize("workers", [0, 1])
def test_stateful_streams_are_not_read_again(workers):
    loader = DataLoader(Counter(), batch_size=2, num_workers=workers)
    epoch = iter(loader)
    assert [plain(next(epoch)) for _ in range(2)] == [[0, 1], [2, 3]]
    state = loader.state_dict()
    assert state["epoch"]["stream"] == {"at": 4}
    data = Counter()
    again = DataLoader(data, batch_size=2, num_workers=workers)
    again.load_state_dict(state)
    assert contents(again) == [[4, 5], [6, 7], [8, 9]]
    assert data.read == (6 if workers == 0 else 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_name_the_sample(workers):
    loader = DataLoader(Broken(), batch_size=4, num_workers=workers)
    epoch = iter(loader)
    assert plain(next(epoch)) == [0, 1, 2, 3]
    with pytest.raises(KeyError, match="no such picture") as caught:
        next(epoch)
    notes = "\n".join(caught.value.__notes__)
    assert "while reading sample 7 of the dataset" in notes
    if workers:
        assert "in worker" in notes and 'raise KeyError("no such picture")' in notes
    assert plain(next(epoch)) == [8, 9]


class Ends(Dataset):
    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> int:
        raise self.error("odd")


@pytest.mark.parametrize("workers", [0, 1])
def test_no_error_ends_an_epoch_unseen(workers):
    with pytest.raises(RuntimeError, match="StopIteration was raised while reading sample 0"):
        list(DataLoader(Ends(StopIteration), num_workers=workers))
    with pytest.raises(EOFError, match="odd"):
        list(DataLoader(Ends(EOFError), num_workers=workers))


def test_errors_of_collation_name_the_samples():
    with pytest.raises(RuntimeError, match="equal size") as caught:
        list(DataLoader([tf.zeros(1), tf.zeros(2)], batch_size=2))
    assert "while putting together the samples [0, 1]" in caught.value.__notes__[0]


class Info(Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int):
        info = get_worker_info()
        return info.id, info.num_workers, os.getpid()


def test_worker_info_and_init():
    assert get_worker_info() is None
    seen = set()
    for batch in DataLoader(Info(), num_workers=2, batch_size=2):
        assert batch[1].tolist() == [2, 2]
        seen |= set(batch[2].tolist())
    assert os.getpid() not in seen and len(seen) == 2

    def refuse(worker: int) -> None:
        raise ValueError(f"no start for {worker}")

    with pytest.raises(ValueError, match="no start for"):
        list(DataLoader(Info(), num_workers=1, worker_init_fn=refuse))


def test_persistent_workers_stay():
    loader = DataLoader(Info(), num_workers=2, batch_size=2, persistent_workers=True)
    pids = [{p for batch in loader for p in batch[2].tolist()} for _ in range(2)]
    assert pids[0] == pids[1]
    epoch = iter(loader)
    next(epoch)
    assert len(list(loader)) == 4  # an epoch broken off leaves nothing behind


class Dies(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> int:
        if i == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return i


def test_a_killed_worker_is_told():
    words = "exited unexpectedly with signal SIGKILL, while reading sample 2 of the dataset"
    with pytest.raises(RuntimeError, match=words):
        list(DataLoader(Dies(), batch_size=2, num_workers=1))


class Sleeps(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> int:
        time.sleep(60)
        return i


def test_timeout_and_quick_close():
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match=r"timed out after 0\.2 seconds"):
        list(DataLoader(Sleeps(), num_workers=2, timeout=0.2))
    assert time.monotonic() - begin < 10


def test_spawned_workers():
    loader = DataLoader(Noisy(4), batch_size=2, num_workers=1, multiprocessing_context="spawn")
    tf.manual_seed(1)
    got = contents(loader)
    tf.manual_seed(1)
    assert got == contents(DataLoader(Noisy(4), batch_size=2))


SCRIPT = """
import sys, os, twofold as tf
from twofold.utils.data import DataLoader
loader = DataLoader(range(100), batch_size=2, num_workers=2, persistent_workers=True)
epoch = iter(loader)
next(epoch)
print(*[p.pid for p in epoch.workers.processes], flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise KeyError", "os.kill(os.getpid(), 9)"])
def test_nothing_hangs_or_stays_at_exit(end):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(end=end)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == {"s": 3, "r": 1, "o": -9}[end[0]]
    pids = [int(p) for p in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 15
    while any(os.path.exists(f"/proc/{p}") for p in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(os.path.exists(f"/proc/{p}") for p in pids)


def test_large_batches_travel_whole():
    x = np.random.default_rng(0).normal(size=(8, 300_000)).astype(np.float32)
    loader = DataLoader(list(x), batch_size=4, num_workers=2)
    for i, batch in enumerate(loader):
        np.testing.assert_array_equal(batch.numpy(), x[4 * i : 4 * i + 4])


def test_arguments_are_checked():
    for kwargs, words in [
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"timeout": -1}, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, "prefetch_factor option could only be specified"),
        ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
        ({"batch_size": 0}, "batch_size should be a positive integer"),
        ({"sampler": [0], "shuffle": True}, "sampler option is mutually exclusive"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler option is mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, "batch_size=None option disables auto-batching"),
    ]:
        with pytest.raises(ValueError, match=words):
            DataLoader([1, 2], **kwargs)
    with pytest.raises(ValueError, match="IterableDataset"):
        DataLoader(Numbers(2), shuffle=True)
    loader = DataLoader([1, 2, 3], batch_size=2, pin_memory=True)
    assert len(loader) == 2 and len(DataLoader([1, 2, 3], batch_sampler=[[0], [2]])) == 2
    assert contents(DataLoader([1, 2, 3], batch_sampler=[[0], [2]])) == [[1], [3]]
    assert [plain(x) for x in DataLoader([5, 6], batch_size=None)] == [5, 6]


# Memory and time.


class Names(Dataset):
    """Gives, last, how much memory the process that reads has that no other has, in bytes."""

    def __init__(self, names) -> None:
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> int:
        assert self.names[index] == f"folder/picture number {index}.png"
        if index < len(self.names) - 1:
            return 0
        with open("/proc/self/smaps_rollup") as file:
            return next(int(x.split()[1]) for x in file if x.startswith("Private_Dirty")) << 10


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux's counts")
def test_packed_texts_do_not_multiply():
    texts = [f"folder/picture number {i}.png" for i in range(200_000)]
    packed = PackedList(texts)
    assert list(packed[:3]) == texts[:3] and packed[-1] == texts[-1] and len(packed) == 200_000
    assert repr(packed).startswith("PackedList of 200000 items in")
    with pytest.raises(IndexError, match="index 200000 is out of range"):
        packed[200_000]

    def worst(names):
        order = BatchSampler(SequentialSampler(names), 10_000, False)
        loader = DataLoader(Names(names), batch_sampler=order, num_workers=1, collate_fn=max)
        return max(loader)

    assert worst(packed) < worst(texts) - 8_000_000


def test_items_of_a_packed_list_are_made_anew():
    items = [("a", 1), {"b": [2]}, None, "ünï", 2.5]
    packed = PackedList(items)
    assert list(packed) == items
    packed[1]["b"].append(3)
    assert packed[1] == {"b": [2]}


class Slow(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        time.sleep(0.02)
        return index


def test_the_share_of_time_waited_is_told():
    loader = DataLoader(Slow(), batch_size=1)
    assert loader.wait_share == 0
    for _ in loader:
        pass
    assert loader.wait_share > 0.9
    loader = DataLoader(range(4))
    for _ in loader:
        time.sleep(0.02)
    assert loader.wait_share < 0.3

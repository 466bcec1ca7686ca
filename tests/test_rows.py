"""Rows of a value in memory are values of their own: which rows is no part of a graph."""

from __future__ import annotations

import numpy as np
import pytest

import twofold as tf
from twofold import engine


def data(n: int = 96) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(0)
    x = tf.tensor(rng.standard_normal((n, 5)).astype(np.float32))
    return x, tf.tensor(rng.integers(0, 3, n))


def test_a_loop_over_batches_plans_one_step() -> None:
    """Steps on x[i : i + n] share their programs."""
    x, y = data()
    model = tf.nn.Linear(5, 3)
    optimizer = tf.optim.SGD(model.parameters(), lr=0.1)
    programs = []
    for i in range(0, 96, 8):
        optimizer.zero_grad()
        tf.nn.functional.cross_entropy(model(x[i : i + 8]), y[i : i + 8]).backward()
        optimizer.step()
        programs.append(len(engine._programs))
    assert programs[2] == programs[-1]


def test_rows_follow_what_is_written() -> None:
    """Views stay views: of rows, of rows of rows, both ways."""
    x, _ = data()
    rows = x[3:8]
    inner = rows[1:3]
    (inner + 1).numpy()
    x[4] = 5.0
    assert (rows * 1)[1, 0].item() == (inner + 0)[0, 0].item() == 5.0
    inner.zero_()
    assert x[4:6].abs().sum().item() == 0 and rows[1:3].abs().sum().item() == 0
    np.testing.assert_array_equal((x[7] + 0).numpy(), x.numpy()[7])
    assert (x[2:2] + 1).shape == (0, 5)
    np.testing.assert_array_equal(x.flip(0)[3:5].numpy(), x.numpy()[::-1][3:5])


def test_rows_of_a_value_that_goes_away() -> None:
    """The memory lives as long as its rows."""
    rows = (tf.arange(1000.0) * 2 + 1)[10:14]
    rows.numpy()
    part = tf.arange(1000.0).clone()[20:24] * 1
    for _ in range(5):
        tf.ones(1000).numpy()
    assert rows.tolist() == [21, 23, 25, 27] and part.tolist() == [20, 21, 22, 23]


def test_captured_functions_see_where_rows_come_from() -> None:
    """A function that reads rows, cut in it or before, sees later writes."""
    x, _ = data()
    rows = x[10:12]
    (rows + 0).numpy()

    @tf.compile
    def total(z: tf.Tensor) -> tf.Tensor:
        return (rows * z).sum() + (x[5:9] * z).sum()

    def expected() -> float:
        return float(x.numpy()[10:12].sum() + x.numpy()[5:9].sum())

    for _ in range(4):
        np.testing.assert_allclose(total(tf.ones(1)).item(), expected(), rtol=1e-5)
    x[10], x[6] = 1.0, -3.0
    np.testing.assert_allclose(total(tf.ones(1)).item(), expected(), rtol=1e-5)


@pytest.mark.filterwarnings("ignore::twofold.capture.NotCaptured")
@pytest.mark.parametrize("way", ["copy", "multiply", "fill"])
def test_captured_writes_to_memory_that_is_shared(way: str) -> None:
    """NumPy sees each, and what it writes is seen."""
    array = np.ones((4, 2))
    x = tf.from_numpy(array)

    @tf.compile
    def write(v: tf.Tensor) -> None:
        if way == "copy":
            x.copy_(v)
        elif way == "multiply":
            x.mul_(v)
        else:
            x.fill_(3)

    for t in range(1, 6):
        v = tf.tensor(np.full((4, 2), float(t)))
        expected = {"copy": v.numpy().copy(), "multiply": array * t, "fill": np.full((4, 2), 3)}
        write(v)
        np.testing.assert_array_equal(array, expected[way])
        np.testing.assert_array_equal((x + 0).numpy(), expected[way])
        array[1, 0] = 7
        assert x[1, 0].item() == 7


@pytest.mark.filterwarnings("ignore::twofold.capture.NotCaptured")
@pytest.mark.parametrize("captured", [False, True])
def test_graphs_keep_rows_of_memory_that_is_shared(captured: bool) -> None:
    """A gradient needs the rows as they were before a write that NumPy sees."""
    array = np.ones((4, 2))
    x = tf.from_numpy(array)
    w = tf.ones(2, 2, dtype=tf.float64, requires_grad=True)

    def write() -> None:
        x.add_(1)

    if captured:
        write = tf.compile(write)
    for t in range(1, 6):
        w.grad = None
        rows = x[1:3]
        loss = (w * rows[:1] + w[:1] * rows).sum()
        loss.item()
        write()
        loss.backward()
        assert w.grad.tolist() == [[3 * t, 3 * t], [t, t]]
        assert (array == t + 1).all() and rows.tolist() == array[1:3].tolist()


def test_gradients_pass_through_rows() -> None:
    """Rows of what needs a gradient are cut as ever."""
    x = tf.arange(12.0).reshape(6, 2).requires_grad_()
    (x[1:3] * 2 + x[2:4]).sum().backward()
    assert x.grad[:, 0].tolist() == [0, 2, 3, 1, 0, 0]


def test_rows_of_one_row_lie_in_one_piece() -> None:
    """What is cut out of the last axis of a single row, too; and not what lies in several pieces"""
    array = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    x = tf.tensor(array)
    for place in (
        np.s_[1:2, 2:3, 1:3], np.s_[1:2, 0:2], np.s_[0:1, 1:2, 3:4], np.s_[1:2, 1:3, 1:3],
        np.s_[1, 1, 1:4:2], np.s_[1, 2, 3], np.s_[:, 1:2, :], np.s_[1:2, 1:1],
    ):  # fmt: skip
        np.testing.assert_array_equal((x[place] + 0).numpy(), array[place])
    in_one_piece = [x[1:2, 2:3, 1:3], x[1:2, 0:2], x[0:1, 1:2, 3:4], x[1:2, 2:3]]
    assert all(view._node().structure.op.name == "leaf" for view in in_one_piece)
    x[1, 2, 1] = 99.0
    assert in_one_piece[0].tolist() == [[[99.0, 22.0]]]

"""Writes to parts of small tensors that hold values: done at once, with the meaning of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold.at_once import MOST_BYTES
from twofold.codegen.jit import counts
from twofold.engine import _programs

DTYPES = [
    tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.int64, tf.uint8, tf.bool, tf.complex64,
]  # fmt: skip


def is_done(x: tf.Tensor) -> bool:
    return x._storage.node.value is not None


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_written_parts_hold_what_was_written(dtype: Any) -> None:
    """On constants, on numbers, on tensors; through slices, steps, transposes and reshapes."""
    x = tf.zeros(4, 6, dtype=dtype)
    y = np.zeros((4, 6), np.complex64)
    for place, value in (
        ((slice(1, 3), slice(None, None, 2)), 1), ((0, 5), 1.0), ((3,), np.arange(6) % 2),
        ((slice(None), -1), np.array([0, 1, 1, 0])),
    ):  # fmt: skip
        x[place] = tf.tensor(value).to(dtype) if isinstance(value, np.ndarray) else value
        y[place] = value
    x.t()[2, 1:3] = 0
    x.view(2, 12)[1, 3:5] = tf.tensor(1, dtype=tf.int32)
    y.T[2, 1:3] = 0
    y.reshape(2, 12)[1, 3:5] = 1
    assert np.array_equal(x.to(tf.complex64).numpy(), y)
    assert dtype is tf.complex64 or is_done(x)


def test_what_was_read_before_keeps_its_value_and_views_see_the_write() -> None:
    x = tf.tensor([1.0, 2.0, 3.0])
    twice, view, copy = x * 2, x[1:], x.clone()
    x[1] = 7.0
    assert is_done(x)
    assert twice.tolist() == [2, 4, 6] and copy.tolist() == [1, 2, 3]
    assert view.tolist() == [7, 3] and x._version == 1
    view[1] = x[0]
    assert x.tolist() == [1, 7, 1]


def test_shared_memory_is_written_to() -> None:
    array = np.zeros(4, np.float32)
    tf.from_numpy(array)[1:3] = 5
    assert array.tolist() == [0, 5, 5, 0]


def test_other_writes_are_recorded() -> None:
    """Pending values, gradients, large tensors, functions that are captured."""
    x = tf.zeros(3)
    x[0] = (tf.rand(1) * 2)[0]
    assert not is_done(x)
    weight = tf.ones(2, requires_grad=True)
    y = tf.zeros(2)
    y[:1] = weight[:1] * 3
    y.sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [3, 0]
    large = tf.zeros(MOST_BYTES)
    large[3] = 1
    assert not is_done(large) and large.sum().item() == 1

    @tf.compile
    def captured(z: tf.Tensor) -> tf.Tensor:
        part = tf.zeros(3)
        part[1:] = 2
        return part * z

    assert [captured(tf.full((3,), float(k))).tolist() for k in (1, 2, 3)] == [
        [0, 2, 2], [0, 4, 4], [0, 6, 6],
    ]  # fmt: skip


def test_batches_of_pieces_at_other_places_are_one_program() -> None:
    def batch(seed: int) -> tf.Tensor:
        rows = []
        for n in np.random.default_rng(seed).integers(1, 9, 6):
            row = tf.zeros(10, dtype=tf.int64)
            row[1 : 1 + int(n)] = tf.tensor([1] * int(n))
            row[int(n) :] = -1
            rows.append(row)
        return tf.stack(rows).sum()

    batch(0).item()
    known, before = len(_programs), dict(counts)
    for seed in range(1, 8):
        batch(seed).item()
    assert len(_programs) == known and counts == before


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d is not tf.complex64], ids=str)
def test_what_is_joined_is_there_at_once(dtype: Any) -> None:
    x = np.arange(6).reshape(2, 3) % 2
    a, b = tf.tensor(x).to(dtype).clone(), tf.ones(2, 3, dtype=dtype)
    (a * 1).tolist(), a.tolist()
    for axis in (0, 1, -1):
        cat, stack = tf.cat([a, b, b], axis), tf.stack([a, b], axis)
        assert is_done(cat) and is_done(stack)
        assert np.array_equal(cat.to(tf.int64).numpy(), np.concatenate([x, x**0, x**0], axis))
        assert np.array_equal(stack.to(tf.int64).numpy(), np.stack([x, x**0], axis))
    a[0, 0] = 1
    assert cat.dtype is dtype and not cat[0, 0].item()
    assert not is_done(tf.cat([a, (a + b)]))
    assert not is_done(tf.cat([tf.zeros(MOST_BYTES), tf.ones(1)]))
    with pytest.raises(RuntimeError):
        tf.cat([a, tf.ones(2, 2, dtype=dtype)])


def test_a_text_that_grows_is_read_by_one_program() -> None:
    """The last words of it, once there are as many as the net looks back."""
    net = tf.nn.Embedding(5, 4)
    text = tf.tensor([[1, 2, 3]])
    programs = []
    with tf.no_grad():
        for _ in range(12):
            chances = net(text[:, -3:]).sum(1).softmax(-1)
            text = tf.cat([text, tf.multinomial(chances, 1)], dim=1)
            programs.append(len(_programs))
    assert programs[3] == programs[-1] and text.shape == (1, 15)

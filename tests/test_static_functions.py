"""`twofold.function`: graphs that are defined first, and run afterwards."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import twofold as tf
from twofold.static.expression import apply, grad

pytestmark = pytest.mark.filterwarnings("error::twofold.capture.NotCaptured")


def test_outputs_updates_and_defaults() -> None:
    """Outputs come from before the updates; inputs are given by position or name."""
    x = tf.placeholder((None, 4), name="x")
    scale = tf.placeholder((), name="scale")
    w = tf.shared(np.ones((4, 3), np.float32), "w")
    cost = ((x @ w) ** 2).sum() * scale
    f = tf.function([x, tf.In(scale, 1.0)], cost, updates=[(w, w - 0.1 * grad(cost, w))])
    value, data = np.ones((4, 3)), np.arange(8.0).reshape(2, 4) / 8
    for _ in range(5):
        expected = ((data @ value) ** 2).sum()
        assert float(f(data)) == pytest.approx(expected, rel=1e-5)
        value = value - 0.1 * 2 * data.T @ (data @ value)
        np.testing.assert_allclose(w.get_value(), value, rtol=1e-5)
    assert float(f(x=data, scale=2.0)) == pytest.approx(2 * ((data @ value) ** 2).sum(), rel=1e-5)


def test_a_window_chosen_by_a_number_is_one_plan() -> None:
    """Which rows are read is no part of the compiled function."""
    data = tf.shared(np.arange(40, dtype=np.float32).reshape(10, 4))
    labels = data.sum(dim=1).to(tf.int64)
    i = tf.placeholder((), tf.int64)
    x, y = tf.placeholder((None, 4)), tf.placeholder((None,), tf.int64)
    f = tf.function(
        [i],
        [x.sum(), y],
        givens={x: data[i * 2 : (i + 1) * 2], y: labels[i * 2 : (i + 1) * 2]},
    )
    for k in range(5):
        total, rows = f(k)
        expected = np.arange(40).reshape(10, 4)[2 * k : 2 * k + 2]
        assert float(total) == expected.sum()
        assert rows.tolist() == expected.sum(1).tolist()
    assert len(f._captured.variants) == 1
    data.set_value(np.ones((10, 4), np.float32))
    assert f(3)[1].tolist() == [4, 4]


def test_sizes_are_open() -> None:
    """What depends on an open size is open, what does not is known; sizes fit where they can."""
    x = tf.placeholder((None, 784))
    assert x.reshape(-1, 28, 28).known == ((None, 28, 28), tf.float32)
    matrix = tf.placeholder((None, None))
    assert (matrix @ tf.shared(np.zeros((784, 10), np.float32))).known == ((None, 10), tf.float32)
    assert apply(tf.nn.Linear(784, 5), x).known == ((None, 5), tf.float32)
    f = tf.function([x], x.reshape((x.shape[0] * 2, 392)).sum(dim=1))
    assert f(np.ones((3, 784))).shape == (6,)


def test_refusals() -> None:
    """Mistakes are errors where they are made."""
    x, w = tf.placeholder((3, 4)), tf.shared(np.zeros((3, 4), np.float32))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        x @ w
    with pytest.raises(TypeError, match="Python bool"):
        bool(x.sum() > 0)
    with pytest.raises(ValueError, match=r"needs an input that nobody gives.*line"):
        tf.function([], x.sum())
    with pytest.raises(ValueError, match="nothing needs"):
        tf.function([x, tf.placeholder(())], x.sum())
    with pytest.warns(UserWarning, match="nothing needs"):
        tf.function([x, tf.placeholder(())], x.sum(), on_unused_input="warn")
    with pytest.raises(ValueError, match="on_unused_input"):
        tf.function([x], x.sum(), on_unused_input="warm")
    with pytest.raises(ValueError, match="updated twice"):
        tf.function([x], updates=[(w, x), (w, x)])
    with pytest.raises(ValueError, match="must depend"):
        grad(x.sum(), w)
    with pytest.raises(TypeError, match="takes shape"):
        tf.function([x], x.sum())(np.zeros((2, 4)))
    with pytest.raises(TypeError, match="is missing"):
        tf.function([x], x.sum())()


def test_symbols_are_pickled() -> None:
    """With all that they are computed from."""
    x = tf.placeholder((None,), name="x")
    w = tf.shared([1.0, 2.0])
    again_x, again = pickle.loads(pickle.dumps((x, (x * w).sum())))
    assert float(tf.function([again_x], again)([3.0, 4.0])) == 11.0


def test_misspelled_options() -> None:
    """Are no options."""
    x = tf.placeholder(())
    with pytest.raises(TypeError, match="udpates"):
        tf.function([x], x, udpates=[])
    with pytest.raises(TypeError, match="nmae"):
        tf.shared(1.0, nmae="x")
    assert repr(tf.shared(1.0)) == "<Shared Variable: float32[]>"
    assert repr(x) == "<Placeholder Placeholder: float32[]>"

"""What TensorFlow 1's options do in `twofold.static`, and which of them are refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import twofold.static as tf
from twofold.run.tensorflow import contrib, estimator, metrics

pytestmark = pytest.mark.filterwarnings("error::twofold.capture.NotCaptured")


@pytest.fixture(autouse=True)
def _new_graph() -> Iterator[None]:
    with tf.Graph().as_default():
        yield


def _value(x: Any, feed: Any = None) -> Any:
    with tf.Session() as session:
        if tf.global_variables():
            session.run(tf.global_variables_initializer())
        return session.run(x, feed)


def test_whole_numbers_stay_what_they_are() -> None:
    """Sums, products and means have the dtype of what they are of."""
    x = tf.constant([[1, 2], [4, -9]])
    for function, expected in (
        (tf.reduce_sum, -2), (tf.reduce_prod, -72), (tf.reduce_mean, 0), (tf.reduce_max, 4),
    ):  # fmt: skip
        found = _value(function(x))
        assert (found, found.dtype) == (expected, np.int32)
    assert _value(tf.reduce_mean(x, 1)).tolist() == [1, -2]
    assert _value(tf.cumsum(x, 1)).dtype == np.int32
    with pytest.raises(TypeError, match=r"Expected int32, got 1\.5"):
        x * 1.5


def test_out_type() -> None:
    """The dtype that sizes are asked for in."""
    x = tf.placeholder(tf.float32, [None, 3])
    shape, size = tf.shape(x, out_type=tf.int64), tf.size(x, out_type=tf.int64)
    again = tf.reshape(x, tf.shape(x)[::-1])
    found = _value([shape, size, tf.shape(x), again], {x: np.zeros((2, 3))})
    assert [f.dtype for f in found[:3]] == [np.int64, np.int64, np.int32]
    assert (found[0].tolist(), found[1], found[3].shape) == ([2, 3], 6, (3, 2))


def test_conjugates_and_axes() -> None:
    """Options that change values."""
    z = np.array([[1 + 2j, 3 - 1j]])
    np.testing.assert_array_equal(_value(tf.transpose(z, conjugate=True)), z.conj().T)
    np.testing.assert_allclose(_value(tf.matmul(z, z, adjoint_b=True)), z @ z.conj().T)
    np.testing.assert_allclose(_value(tf.matmul(z, z, adjoint_a=True)), z.conj().T @ z)
    rows = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(
        _value(tf.gather(rows, [[1, 0]], axis=-1)), np.take(rows, [[1, 0]], -1)
    )
    chances = np.exp(rows) / np.exp(rows).sum(0)
    np.testing.assert_allclose(
        _value(tf.nn.softmax_cross_entropy_with_logits(labels=rows, logits=rows, axis=0)),
        -(rows * np.log(chances)).sum(0),
    )
    x, w = np.arange(9.0).reshape(1, 9, 1), np.ones((2, 1, 1))
    assert _value(tf.nn.conv1d(x, w, dilations=3)).ravel().tolist() == [3, 5, 7, 9, 11, 13]
    kernel = tf.ones_initializer()
    y = tf.layers.conv1d(x, 1, 2, dilation_rate=3, kernel_initializer=kernel)
    assert _value(y).ravel().tolist() == [3, 5, 7, 9, 11, 13]
    y = tf.nn.depthwise_conv2d(x[..., None], w[..., None], [1, 1, 1, 1], "VALID", rate=[3, 1])
    assert _value(y).ravel().tolist() == [3, 5, 7, 9, 11, 13]
    first = tf.layers.flatten(
        tf.constant(np.arange(8.0).reshape(1, 2, 2, 2)), None, "channels_first"
    )
    assert _value(first).tolist() == [[0, 4, 1, 5, 2, 6, 3, 7]]


def test_losses_do_not_broadcast() -> None:
    """Predictions of (n, 1) for labels of (n,) are the mistake that this is for."""
    with pytest.raises(ValueError, match="incompatible"):
        tf.losses.mean_squared_error([0.0, 1.0], [[1.0], [2.0]])
    logits = [[1.0, 2.0], [3.0, 1.0]]
    each = _value(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[0, 1], logits=logits))
    loss = tf.losses.sparse_softmax_cross_entropy([0, 1], logits, weights=[[1.0], [0.0]])
    np.testing.assert_allclose(_value(loss), each[0], rtol=1e-6)
    loss = tf.losses.mean_squared_error(np.zeros((2, 2)), np.array(logits), weights=[1.0, 0.0])
    assert _value(loss) == 2.5
    with pytest.raises(ValueError, match="can not be broadcast"):
        tf.losses.mean_squared_error(logits, logits, weights=[[1.0, 0.0, 0.0]])


def test_shapes_that_are_said() -> None:
    """`set_shape` is known from there on, and feeds must fit."""
    x = tf.placeholder(tf.float32)
    x.set_shape([None, 3])
    assert tf.layers.dense(x, 2).shape.as_list() == [None, 2]
    x.set_shape([5, None])
    assert (x * 2.0).shape.as_list() == [5, 3]
    with pytest.raises(ValueError, match="incompatible"):
        x.set_shape([5])
    with pytest.raises(ValueError, match="Cannot feed"):
        _value(x, {x: np.zeros((4, 3))})
    with pytest.raises(TypeError, match="not compatible with Tensor type int32"):
        number = tf.placeholder(tf.int32, [])
        _value(number, {number: 2**40})


def test_graphs_are_not_mixed() -> None:
    """Operations go to the graph of their inputs."""
    x = tf.constant(1.0)
    with tf.Graph().as_default() as other:
        y = tf.constant(2.0)
    assert (y + 1.0).graph is other and (y + 1.0).name == "add_1:0"
    with pytest.raises(ValueError, match="same graph"):
        x + y


def test_variables_and_scopes() -> None:
    """Reuse is inherited; a value says its dtype; updates keep shape and dtype."""
    with tf.variable_scope("a"):
        v = tf.get_variable("v", [2])
    with tf.variable_scope("", reuse=True), tf.variable_scope("a", reuse=False):
        assert tf.get_variable("v") is v
        with pytest.raises(ValueError, match="dtype"):
            tf.get_variable("v", [2], tf.int32)
    assert tf.get_variable("count", initializer=0).dtype is tf.int32
    for update in (tf.assign, tf.assign_add, tf.assign_sub):
        with pytest.raises(ValueError, match="Only variables"):
            update(tf.constant(1.0), 1.0)
        with pytest.raises(ValueError, match="Dimension mismatch"):
            update(tf.Variable(1.0), [1.0, 2.0])
    assert tf.layers.dense(tf.constant(np.ones((2, 3))), 2).dtype is tf.float64
    assert [v.name for v in tf.global_variables("a/")] == ["a/v:0"]


def _transposed(shape: list[int], padding: str) -> Any:
    x, w = tf.ones([1, 2, 2, 1]), tf.ones([3, 3, 1, 1])
    return tf.nn.conv2d_transpose(x, w, shape, 2, padding)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (NotImplementedError, lambda: tf.get_variable("v", [1], constraint=lambda v: v)),
        (NotImplementedError, lambda: tf.Variable(1.0, constraint=lambda v: v)),
        (NotImplementedError, lambda: tf.nn.embedding_lookup(np.eye(2), [0], max_norm=1.0)),
        (NotImplementedError, lambda: tf.train.ExponentialMovingAverage(0.9, zero_debias=True)),
        (TypeError, lambda: tf.get_variable("v", [1], initialiser=1.0)),
        (TypeError, lambda: tf.layers.dense(tf.zeros([1, 2]), 3, activatoin=tf.tanh)),
        (TypeError, lambda: tf.layers.dense(tf.zeros([1, 2], tf.int32), 3)),
        (TypeError, lambda: tf.constant([1, 2, 3, 4], shape=[2, 2], verify_shape=True)),
        (TypeError, lambda: tf.while_loop(lambda i: i < 3, lambda i: tf.to_float(i) + 1.5, [0])),
        (ValueError, lambda: tf.split(tf.zeros([5]), 2)),
        (ValueError, lambda: tf.pad(tf.zeros([5]), [[1, 1]], "MIRROR")),
        (ValueError, lambda: tf.nn.dropout(tf.zeros([5]))),
        (ValueError, lambda: tf.squeeze(tf.zeros([1, 2]), [1])),
        (ValueError, lambda: tf.add_n([])),
        (ValueError, lambda: tf.losses.mean_squared_error([1.0], [2.0], reduction="mean")),
        (TypeError, lambda: tf.cond(tf.constant(1.5), lambda: 1, lambda: 2)),
        (NotImplementedError, lambda: tf.Session("grpc://localhost:2222")),
        (ValueError, lambda: tf.random_uniform([2], dtype=tf.int32)),
        (ValueError, lambda: _transposed([1, 9, 9, 1], "SAME")),
        (ValueError, lambda: _transposed([1, 4, 4, 1], "FULL")),
        (ValueError, lambda: tf.nn.dropout(tf.zeros([5]), 1.5)),
        (ValueError, lambda: tf.layers.conv2d(tf.zeros([1, 8, 8, 3]), 2, 3, data_format="NHWC")),
    ],
)  # fmt: skip
def test_what_is_refused(error: type[Exception], call: Callable[[], Any]) -> None:
    """Nothing that TensorFlow would act on, or refuse, is passed over."""
    with pytest.raises(error):
        call()


def test_summaries_and_checkpoints(tmp_path: Path) -> None:
    """A family is part of the tag; `write_state=False` leaves the file `checkpoint` alone."""
    made = tf.summary.scalar("loss", tf.constant(1.0), family="train")
    assert _value(made).tag == "train/train/loss"
    v = tf.Variable(1.0)
    with tf.Session() as session:
        session.run(v.initializer)
        tf.train.Saver().save(session, str(tmp_path / "model"), write_state=False)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_contrib_and_metrics() -> None:
    """Cells have their own names; metrics are entered into collections."""
    cell = contrib.rnn.LSTMCell(2)
    contrib.rnn.static_rnn(cell, [tf.zeros([1, 3])], dtype=tf.float32)
    assert tf.trainable_variables()[0].name == "rnn/lstm_cell/kernel:0"
    with pytest.raises(NotImplementedError, match="state_is_tuple"):
        contrib.rnn.BasicLSTMCell(2, state_is_tuple=False)
    with pytest.raises(TypeError, match="num_proj"):
        contrib.rnn.LSTMCell(2, num_proj=3)
    value, update = metrics.accuracy([0, 1], [0, 1], None, ["values"], ["updates"])
    assert (tf.get_collection("values"), tf.get_collection("updates")) == ([value], [update])


def test_estimators() -> None:
    """`predict_keys` chooses; hooks are refused."""

    def model(features: Any, labels: Any, mode: str) -> Any:
        y = tf.layers.dense(features["x"], 1)
        return estimator.EstimatorSpec(mode, {"y": y, "twice": y * 2.0})

    inputs = estimator.inputs.numpy_input_fn({"x": np.ones((3, 2), np.float32)}, shuffle=False)
    made = estimator.Estimator(model, config=estimator.RunConfig(tf_random_seed=1))
    found = list(made.predict(inputs, predict_keys=["twice"]))
    assert [list(row) for row in found] == [["twice"]] * 3
    assert found[0] == next(iter(made.predict(inputs, ["twice"])))
    with pytest.raises(NotImplementedError, match="hooks"):
        made.train(inputs, hooks=[None])


def test_top_k_and_in_top_k() -> None:
    """The largest of each row, and where they are."""
    rows = [[1.0, 5.0, 3.0], [2.0, 1.0, 0.0]]
    values, places = _value(tf.nn.top_k(rows, 2))
    assert (values.tolist(), places.tolist()) == ([[5, 3], [2, 1]], [[1, 2], [0, 1]])
    assert _value(tf.nn.in_top_k(rows, [2, 2], 2)).tolist() == [True, False]


def test_threads_have_graphs_of_their_own() -> None:
    """Blocks that are open in one thread are not in another, and may end in any order."""
    inside, leave = threading.Event(), threading.Event()
    seen = []

    def other() -> None:
        with tf.Graph().as_default() as graph, tf.Session():
            inside.set()
            leave.wait(20)
            seen.append(tf.constant(1.0).graph is graph)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(20)
    with tf.Graph().as_default() as mine:
        assert tf.constant(1.0).graph is mine and tf.get_default_session() is None
        leave.set()
        thread.join()
        assert tf.get_default_graph() is mine
    assert seen == [True]


def test_more_values() -> None:
    """One axis as a number, a list of one tensor, regularizers of a normalization."""
    x = np.arange(6.0).reshape(2, 3)
    mean, variance = _value(tf.nn.moments(x, 0))
    assert (mean.tolist(), variance.tolist()) == ([1.5, 2.5, 3.5], [2.25] * 3)
    yes = tf.constant(True)
    assert _value(tf.cond(yes, lambda: [1], lambda: [2])) == 1
    assert _value(tf.cond(yes, lambda: [1], lambda: [2], strict=True)) == [1]
    tf.layers.batch_normalization(tf.ones([2, 3]), gamma_regularizer=tf.nn.l2_loss)
    assert _value(tf.losses.get_regularization_losses()) == [1.5]


def test_whole_numbers_carry_no_gradient() -> None:
    """What is only reached by way of whole numbers has none, and cannot be minimized."""
    v = tf.Variable([1.0, 2.0])
    place = tf.to_float(tf.argmax(v))
    assert tf.gradients(place, v) == [None]
    assert _value(tf.gradients(place + tf.reduce_sum(v), v))[0].tolist() == [1, 1]
    with pytest.raises(ValueError, match="No gradients provided"):
        tf.train.GradientDescentOptimizer(0.1).minimize(place)

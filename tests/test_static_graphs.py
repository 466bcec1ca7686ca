"""`twofold.static`: TensorFlow 1's graphs and sessions."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import twofold.static as tf

pytestmark = pytest.mark.filterwarnings("error::twofold.capture.NotCaptured")


@pytest.fixture(autouse=True)
def _new_graph() -> Iterator[None]:
    with tf.Graph().as_default():
        yield


def test_names() -> None:
    """As TensorFlow makes them."""
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    with tf.variable_scope("net"):
        h = tf.layers.dense(x, 8, activation=tf.nn.relu)
        tf.layers.dense(h, 3)
    with tf.variable_scope("net", reuse=True):
        again = tf.layers.dense(x, 8)
    with tf.name_scope("part"):
        a = tf.add(h, 1.0)
        b = tf.add(h, 1.0)
    tf.Variable(tf.zeros([2]), name="v")
    tf.Variable(tf.zeros([2]), name="v")
    assert [v.name for v in tf.global_variables()] == [
        "net/dense/kernel:0", "net/dense/bias:0", "net/dense_1/kernel:0", "net/dense_1/bias:0",
        "v:0", "v_1:0",
    ]  # fmt: skip
    assert (a.name, b.name, again.shape.as_list()) == ("part/add:0", "part/add_1:0", [None, 8])
    assert tf.get_default_graph().get_tensor_by_name("x:0") is x
    assert (x.op.type, str(h.shape), x.op.name) == ("Placeholder", "(?, 8)", "x")


def test_only_what_is_fetched_runs() -> None:
    """The bug of the lecture: updates that no fetch needs. A warning names them."""
    x = tf.placeholder(tf.float32, [None, 2])
    w = tf.Variable(tf.ones([2, 1]))
    loss = tf.reduce_sum(tf.matmul(x, w) ** 2.0)
    (slope,) = tf.gradients(loss, [w])
    new_w = w.assign(w - 0.1 * slope)
    feed = {x: np.ones((1, 2))}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.warns(tf.NeverUpdated, match=r"Assign.*line \d+"):
            seen = [float(session.run([loss, slope], feed)[0]) for _ in range(12)]
        assert set(seen) == {4.0}
        losses = [float(session.run([loss, new_w], feed)[0]) for _ in range(5)]
        np.testing.assert_allclose(losses, 4 * 0.36 ** np.arange(5), rtol=1e-5)
        text = session.explain([loss, tf.group(new_w)], feed)
        assert "fed 8 bytes, fetched 4 bytes" in text and "kernel" in text


def test_order_of_reads_and_updates() -> None:
    """Reads see the value from before the run, unless they wait for an update."""
    v = tf.Variable(1.0)
    before = v * 10.0
    up = tf.assign_add(v, 1.0)
    with tf.control_dependencies([up]):
        after = tf.identity(v)
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run([before, up, after]) == [10.0, 2.0, 2.0]
        assert session.run(before) == 20.0
        assert session.run([tf.assign_add(v, 1.0), tf.assign_add(v, 5.0)]) == [3.0, 8.0]
        assert v.eval() == 8.0
    wide = tf.Variable(tf.zeros([3]))
    up = tf.assign_add(wide, tf.ones([3]))
    with tf.Session() as session:
        session.run(wide.initializer)
        seen = []
        for _ in range(5):
            seen.append(session.run(wide))
            session.run(up)
        assert [a.tolist() for a in seen] == [[float(k)] * 3 for k in range(5)]


@pytest.mark.parametrize("name", "GradientDescent Momentum Adam RMSProp Adagrad Adadelta".split())
def test_optimizers_against_their_formulas(name: str) -> None:
    """Ten steps on a bowl, in float64."""
    w = tf.Variable(np.array([1.0, -2.0]))
    loss = tf.reduce_sum(w * w * np.array([1.0, 3.0]))
    extra = {"momentum": 0.9} if name == "Momentum" else {}
    step = getattr(tf.train, f"{name}Optimizer")(learning_rate=0.1, **extra).minimize(loss)
    x = np.array([1.0, -2.0])
    m = np.zeros(2) if name != "RMSProp" else np.ones(2)
    v = np.full(2, 0.1) if name == "Adagrad" else np.zeros(2)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for t in range(1, 11):
            session.run(step)
            g = 2 * x * np.array([1.0, 3.0])
            if name == "GradientDescent":
                x = x - 0.1 * g
            elif name == "Momentum":
                m = 0.9 * m + g
                x = x - 0.1 * m
            elif name == "Adam":
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                x = x - 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
            elif name == "RMSProp":
                m = 0.9 * m + 0.1 * g * g
                x = x - 0.1 * g / np.sqrt(m + 1e-10)
            elif name == "Adagrad":
                v = v + g * g
                x = x - 0.1 * g / np.sqrt(v)
            else:
                v = 0.95 * v + 0.05 * g * g
                d = np.sqrt((m + 1e-8) / (v + 1e-8)) * g
                m = 0.95 * m + 0.05 * d * d
                x = x - 0.1 * d
            # beta powers of Adam are float32, as TensorFlow's of a float32 variable
            np.testing.assert_allclose(session.run(w), x, rtol=1e-4)


def test_convolutions() -> None:
    """SAME and VALID against sums written out."""
    rng = np.random.RandomState(0)
    x, w = rng.normal(size=(2, 7, 6, 3)), rng.normal(size=(3, 2, 3, 4))
    for stride in (1, 2):
        for padding in ("SAME", "VALID"):
            pads = []
            for n, k in ((7, 3), (6, 2)):
                out = -(-n // stride) if padding == "SAME" else (n - k) // stride + 1
                total = max((out - 1) * stride + k - n, 0) if padding == "SAME" else 0
                pads.append((out, total // 2, total - total // 2))
            wide = np.pad(x, [(0, 0), pads[0][1:], pads[1][1:], (0, 0)])
            expected = np.zeros((2, pads[0][0], pads[1][0], 4))
            for i in range(pads[0][0]):
                for j in range(pads[1][0]):
                    part = wide[:, i * stride : i * stride + 3, j * stride : j * stride + 2]
                    expected[:, i, j] = np.einsum("nhwc,hwco->no", part, w)
            y = tf.nn.conv2d(x, w, [1, stride, stride, 1], padding)
            back = tf.nn.conv2d_transpose(y, w, x.shape, [1, stride, stride, 1], padding)
            seed = rng.normal(size=expected.shape)
            given = tf.placeholder(tf.float64, x.shape)
            (slope,) = tf.gradients(
                tf.nn.conv2d(given, w, [1, stride, stride, 1], padding), given, seed
            )
            with tf.Session() as session:
                np.testing.assert_allclose(session.run(y), expected, rtol=1e-9, atol=1e-12)
                np.testing.assert_allclose(
                    session.run(back, {y: seed}), session.run(slope, {given: x}), atol=1e-10
                )


def test_layers_train_and_are_saved(tmp_path: Path) -> None:
    """A net with batch normalization and dropout; a restored one predicts the same."""
    rng = np.random.RandomState(0)
    data = rng.normal(size=(60, 8, 8, 1)).astype(np.float32)
    truth = (data.mean((1, 2, 3)) > 0).astype(np.int64)
    tf.set_random_seed(1)
    x, y = tf.placeholder("float", [None, 8, 8, 1]), tf.placeholder(tf.int64, [None])
    training = tf.placeholder(tf.bool, [])
    h = tf.layers.max_pooling2d(tf.layers.conv2d(x, 4, 3, padding="same"), 2, 2)
    h = tf.nn.relu(tf.layers.batch_normalization(h, training=training))
    h = tf.layers.dropout(tf.layers.flatten(h), 0.2, training=training)
    logits = tf.layers.dense(h, 2)
    loss = tf.losses.sparse_softmax_cross_entropy(y, logits)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        step = tf.train.AdamOptimizer(0.01).minimize(loss, tf.train.get_or_create_global_step())
    saver = tf.train.Saver()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        losses = [
            session.run([loss, step], {x: data, y: truth, training: True})[0] for _ in range(40)
        ]
        assert losses[-1] < losses[0] / 3
        mean = session.run("batch_normalization/moving_mean:0")
        assert np.abs(mean).sum() > 0
        path = saver.save(session, str(tmp_path / "model.ckpt"), tf.train.get_global_step())
        expected = session.run(logits, {x: data, training: False})
    assert path.endswith("-40") and tf.train.latest_checkpoint(str(tmp_path)) == path
    with tf.Session() as session:
        saver.restore(session, path)
        np.testing.assert_array_equal(session.run(logits, {x: data, training: False}), expected)


def test_branches_and_loops() -> None:
    """What is taken is decided by each run; gradients go through it."""
    x = tf.placeholder(tf.float32, [])
    y = tf.cond(x > 0, lambda: x * x, lambda: -x)
    (slope,) = tf.gradients(y, x)
    count, total = tf.while_loop(lambda i, t: t < 100.0, lambda i, t: [i + 1, t + x], [0, 0.0])
    folded = tf.foldl(lambda a, e: a * 10.0 + e, tf.constant([1.0, 2.0, 3.0]), 0.0)
    squares = tf.map_fn(lambda e: e * e, tf.constant([1.0, 2.0, 3.0]))
    with tf.Session() as session:
        assert session.run([y, slope], {x: 3.0}) == [9.0, 6.0]
        assert session.run([y, slope], {x: -2.0}) == [2.0, -1.0]
        assert session.run([count, total], {x: 7.0}) == [15, 105.0]
        assert session.run(folded) == 123.0
        assert session.run(squares).tolist() == [1, 4, 9]


def test_refusals() -> None:
    """Errors of TensorFlow's classes, where the mistake is."""
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    w = tf.Variable(tf.zeros([3, 2]))
    y = tf.matmul(x, w)
    with pytest.raises(ValueError, match="cannot be multiplied"):
        tf.matmul(tf.zeros([2, 3]), tf.zeros([2, 3]))
    with pytest.raises(ValueError, match="Dimension mismatch"):
        w.assign(tf.zeros([2, 2]))
    with tf.Session() as session:
        with pytest.raises(tf.errors.FailedPreconditionError, match="uninitialized value Variable"):
            session.run(y, {x: np.zeros((1, 3))})
        session.run(tf.global_variables_initializer())
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"feed a value.*'x'.*line \d+"):
            session.run(y)
        with pytest.raises(ValueError, match="Cannot feed value of shape"):
            session.run(y, {x: np.zeros((1, 4))})
        with pytest.raises(TypeError, match="Fetch argument"):
            session.run(3)
    with pytest.raises(RuntimeError, match="closed"):
        session.run(y)
    rows, numbers = tf.placeholder(tf.float32), tf.placeholder(tf.int64, [None])
    product, picked = tf.matmul(rows, w), tf.gather(w, numbers)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        here = r"multiplied.*'MatMul_\d:0'.*test_static_graphs.py, line \d+$"
        with pytest.raises((RuntimeError, ValueError), match=here):
            session.run(product, {rows: np.zeros((1, 4))})
        for _ in range(5):
            assert session.run(picked, {numbers: [2, 0]}).shape == (2, 2)
            with pytest.raises(IndexError, match=r"test_static_graphs.py, line \d+"):
                session.run(picked, {numbers: [2, 9]})
    with pytest.raises(ValueError, match="already exists"):
        tf.get_variable("v", [1])
        tf.get_variable("v", [1])


PROGRAM = """
import tensorflow as tf
from tensorflow.examples.tutorials.mnist import input_data
try:
    input_data.read_data_sets("missing")
except FileNotFoundError as error:
    print("train-images-idx3-ubyte.gz" in str(error))
x = tf.placeholder("float", [None, 5, 3])
lengths = tf.placeholder(tf.int32, [None])
cell = tf.contrib.rnn.BasicLSTMCell(4)
outputs, state = tf.contrib.rnn.static_rnn(
    cell, tf.unstack(x, 5, 1), dtype=tf.float32, sequence_length=lengths)
loss = tf.reduce_mean(tf.square(state.h - 0.5))
train = tf.train.GradientDescentOptimizer(1.0).minimize(loss)
with tf.Session(config=tf.ConfigProto(log_device_placement=False)) as sess:
    sess.run(tf.global_variables_initializer())
    feed = {x: [[[1.0, 0.0, 2.0]] * 5] * 2, lengths: [5, 2]}
    first = sess.run(loss, feed)
    for _ in range(50):
        sess.run(train, feed)
    print(sess.run(loss, feed) < first / 2, sess.run(outputs[4], feed)[1].tolist())
print([v.name for v in tf.trainable_variables()])
"""


def test_a_program(tmp_path: Path) -> None:
    """`import tensorflow` under the import hook."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, "-m", "twofold.run", "--as", "tensorflow==1", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.stdout.splitlines() == [
        "True",
        "True [0.0, 0.0, 0.0, 0.0]",
        "['rnn/basic_lstm_cell/kernel:0', 'rnn/basic_lstm_cell/bias:0']",
    ], done.stderr


def test_a_step_is_one_plan() -> None:
    """No run of a training step is left dynamic."""
    x = tf.placeholder(tf.float32, [None, 4])
    loss = tf.reduce_mean(tf.square(tf.layers.dense(x, 3)))
    step = tf.train.AdamOptimizer().minimize(loss)
    with tf.Session() as session, warnings.catch_warnings():
        warnings.simplefilter("error")
        session.run(tf.global_variables_initializer())
        for _ in range(5):
            session.run([loss, step], {x: np.ones((2, 4))})
        program = session._programs[next(reversed(session._programs))]
        assert [v.settled for v in program.captured.variants.values()] == [True]

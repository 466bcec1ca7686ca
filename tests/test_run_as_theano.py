"""Programs written for Theano."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from twofold.run import theano
from twofold.run.theano import tensor as T

PROGRAM = """
import pickle
import numpy, theano
import theano.tensor as T
from theano.tensor.signal import pool
from theano.tensor.nnet import conv2d

rng = numpy.random.RandomState(0)
x, y = T.matrix("x"), T.ivector("y")
W = theano.shared(rng.normal(size=(4, 1, 3, 3)).astype(theano.config.floatX), name="W", borrow=True)
V = theano.shared(numpy.zeros((36, 3), theano.config.floatX))
maps = conv2d(input=x.reshape((-1, 1, 8, 8)), filters=W, filter_shape=(4, 1, 3, 3))
hidden = T.tanh(pool.pool_2d(input=maps, ds=(2, 2), ignore_border=True)).flatten(2)
p = T.nnet.softmax(T.dot(hidden, V))
assert p.ndim == 2 and y.dtype.startswith("int")
cost = -T.mean(T.log(p)[T.arange(y.shape[0]), y])
params = [W, V]
updates = [(v, v - 0.5 * g) for v, g in zip(params, T.grad(cost, params))]
data = theano.shared(rng.normal(size=(30, 64)).astype(theano.config.floatX))
labels = T.cast(theano.shared(rng.randint(0, 3, 30).astype(theano.config.floatX)), "int32")
i = T.lscalar()
step = theano.function([i], cost, updates=updates, givens={
    x: data[i * 10: (i + 1) * 10], y: labels[i * 10: (i + 1) * 10]})
errors = theano.function([x, y], T.mean(T.neq(T.argmax(p, axis=1), y)))
first = step(0)
for k in range(60):
    last = step(k % 3)
assert isinstance(last, numpy.ndarray) and last < first / 2, (first, last)
print(float(errors(data.get_value(), labels.eval())) < 0.2, len(pickle.dumps(p)) > 0)
"""


def test_a_program(tmp_path: Path) -> None:
    """A convolutional net, trained."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, "-m", "twofold.run", "--as", "theano", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.stdout == "True True\n", done.stderr


def test_scan() -> None:
    """A loop, its gradient, and a state carried beside a sequence."""
    a = T.dvector("a")
    powers, updates = theano.scan(
        fn=lambda prior, a: prior * a, outputs_info=T.ones_like(a), non_sequences=a, n_steps=3
    )
    f = theano.function([a], [powers[-1], T.grad(powers[-1].sum(), a)], updates=updates)
    value, slope = f(np.arange(4.0))
    np.testing.assert_allclose(value, np.arange(4.0) ** 3)
    np.testing.assert_allclose(slope, 3 * np.arange(4.0) ** 2)
    rows = T.dmatrix("rows")
    sums, _ = theano.scan(lambda row, total: total + row.sum(), sequences=rows, outputs_info=0.0)
    assert theano.function([rows], sums)(np.ones((4, 3))).tolist() == [3, 6, 9, 12]


def test_functions() -> None:
    """Against NumPy."""
    x = T.dmatrix("x")
    data = np.random.RandomState(0).normal(size=(3, 4))
    pairs = [
        (x.dimshuffle(1, "x", 0), data.T[:, None]),
        (T.max(x, axis=1), data.max(1)),
        (x.mean(axis=0, keepdims=True), data.mean(0, keepdims=True)),
        (T.switch(x > 0, x, 0), np.where(data > 0, data, 0)),
        (T.set_subtensor(x[1:, 0], 7.0), np.concatenate([data[:1], np.hstack(
            [np.full((2, 1), 7.0), data[1:, 1:]])])),
        (T.concatenate([x, x], axis=1), np.concatenate([data, data], 1)),
        (T.clip(x, -0.5, 0.5), data.clip(-0.5, 0.5)),
        (T.var(x), data.var()),
        (T.nnet.binary_crossentropy(T.nnet.sigmoid(x), 1.0), np.log1p(np.exp(-data))),
        (x.T.dot(x), data.T @ data),
        (T.round(x * 10), np.trunc(data * 10 + np.copysign(0.5, data))),
    ]  # fmt: skip
    found = theano.function([x], [symbol for symbol, _ in pairs])(data)
    for got, (symbol, expected) in zip(found, pairs, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, err_msg=repr(symbol))


def test_random_numbers() -> None:
    """New ones at each call; the same ones for the same seed."""
    draws = []
    for _ in range(2):
        streams = T.shared_randomstreams.RandomStreams(3)
        f = theano.function([], streams.binomial(size=(50,), p=0.3))
        draws.append([f() for _ in range(4)])
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0][0], draws[0][3])


def test_updates_alone() -> None:
    """A function without outputs; whole numbers take no fractions."""
    x, i = T.dvector("x"), T.iscalar("i")
    total, count = theano.shared(0.0), theano.shared(0)
    add = theano.function([x], updates=[(total, total + x.sum())])
    for _ in range(4):
        assert add([1.0, 2.0]) is None
    assert total.get_value() == 12.0
    with pytest.raises(TypeError, match="dtype of its variable"):
        theano.function([x], updates=[(count, x.sum())])
    with pytest.raises(TypeError, match="takes int32"):
        theano.function([i], i * 2)(1.5)
    assert theano.function([i], i * 2, allow_input_downcast=True)(1.5) == 2


def test_what_is_refused() -> None:
    """What Theano would act on is no silence here."""
    x, s = T.dvector("x"), theano.shared(1.0)
    streams = T.shared_randomstreams.RandomStreams(3)
    cost = (x * x).sum()
    for call in (
        lambda: theano.grad(cost, x, consider_constant=[x, x + 1.0]),
        lambda: theano.grad(cost, x, known_grads={x: x}),
        lambda: theano.scan(lambda e: (e, {s: s + 1}), sequences=x),
        lambda: theano.function([x], cost, no_default_updates=True),
        lambda: streams.permutation(size=(2,), n=3),
    ):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(ValueError, match="disconnected_inputs"):
        theano.grad(cost, x, disconnected_inputs="none")
    with pytest.raises(ValueError, match="5 steps"):
        theano.function([x], theano.scan(lambda e: e, sequences=x, n_steps=5)[0])([1.0, 2.0])
    found = theano.function([], T.take(np.arange(6.0).reshape(2, 3), [[2, 0]], axis=-1))()
    np.testing.assert_array_equal(found, [[[2, 0]], [[5, 3]]])


def test_constants_of_gradients() -> None:
    """Nothing goes by way of them; what is reached otherwise counts."""
    x, w = T.dvector("x"), theano.shared(np.array([2.0, 3.0]))
    c = w * w * x
    cost = (c * w).sum() + (x * c).sum()
    f = theano.function([x], theano.grad(cost, [w, x], consider_constant=[c]))
    for got, expected in zip(f([1.0, 2.0]), ([4.0, 18.0], [4.0, 18.0]), strict=True):
        np.testing.assert_allclose(got, expected)


def test_whether_there_is_a_variable() -> None:
    """`if not W: W = ...` is how tutorials ask; a chain of comparisons is a mistake."""
    w, x = theano.shared(np.zeros((2, 2))), T.dscalar("x")
    assert w and x and w + x
    with pytest.raises(TypeError, match="boolean operations"):
        x < 1 < 2  # noqa: B015

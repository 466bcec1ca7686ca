"""Parts that are added on zeros become one concatenation, bit for bit the same."""

from __future__ import annotations

import numpy as np

import twofold as tf
from twofold import config, passes
from twofold.graph.node import postorder


def ops_of(x: tf.Tensor) -> list[str]:
    return [n.op.name for n in postorder(passes.run([x._node()]))]


def test_the_gradient_of_a_cut_is_one_concatenation() -> None:
    """Three parts, no zeros, no sums."""
    x = tf.rand(4, 6, requires_grad=True)
    a, b, c = x.chunk(3, -1)
    (g,) = tf.autograd.grad((a * 2).sum() + (b * b).sum() + c.exp().sum(), x)
    names = ops_of(g)
    assert names.count("concatenate") == 1 and "slice_put" not in names


def test_bits() -> None:
    """-0, infinities and NaN come out as the sums would give them."""
    values = np.array([-0.0, 0.0, np.inf, np.nan, 1.5, -0.0], np.float32)

    def run() -> np.ndarray:
        g = tf.tensor(values)
        x = tf.zeros(12, requires_grad=True)
        (found,) = tf.autograd.grad([x[:6], x[6:], x[3:5]], x, [g, g, g[:2]])
        return found.numpy().view(np.uint32).copy()

    with config.override(backend="reference"):
        expected = run()
    np.testing.assert_array_equal(run(), expected)


def test_what_overlaps_is_added() -> None:
    """Parts on top of one another stay sums; gaps are zeros."""
    x = tf.arange(8.0, requires_grad=True)
    (g,) = tf.autograd.grad(x[1:4].sum() + (x[2:7] * 3).sum(), x)
    assert g.tolist() == [0, 1, 4, 4, 3, 3, 3, 0]
    (g,) = tf.autograd.grad(x[1:3].sum() + (x[5:7] * 3).sum(), x)
    assert g.tolist() == [0, 1, 1, 0, 0, 3, 3, 0]

"""Work on a product's rows is done in the product's kernel."""

from __future__ import annotations

import numpy as np

import twofold as tf
from twofold import config, engine
from twofold.graph.node import Node
from twofold.kernels.partition import Partition
from twofold.passes import run


def groups(*roots: tf.Tensor) -> list[list[str]]:
    """For each kernel, its ops."""
    nodes: list[Node] = run([x._node() for x in roots])
    partition = Partition(nodes, engine.postorder(nodes, pending_only=True))
    return [
        [*([g.node.op.name] if g.node is not None else []), *[m.node.op.name for m in g.members]]
        for g in partition.groups
    ]


def test_a_linear_layer_with_its_activation_is_one_kernel() -> None:
    """Bias and activation of (T, N, C) stand in the product's kernel."""
    x, layer = tf.rand(5, 3, 8), tf.nn.Linear(8, 16)
    engine.flush()
    with tf.no_grad():
        found = groups(tf.nn.functional.relu(layer(x)) * 2)
    assert len(found) == 1 and found[0][0] == "matmul"


def test_two_products_are_added_in_one_kernel() -> None:
    """A residual sum of two products, each with its reshape, needs two kernels."""
    x, a, b = tf.rand(5, 3, 8), tf.rand(8, 8), tf.rand(8, 8)
    engine.flush()
    assert len(groups(x @ a + x @ b)) == 2


def test_a_product_that_broadcasts_stays() -> None:
    """The reshape of a product that is itself broadcast has too few rows."""
    a, b, c = tf.rand(6, 4, 3), tf.rand(6, 3, 5), tf.rand(2, 3, 7, 4, 5)
    engine.flush()
    found = (a @ b).reshape(2, 3, 1, 4, 5) + c
    expected = (a.numpy() @ b.numpy()).reshape(2, 3, 1, 4, 5) + c.numpy()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_bits_are_those_of_parts() -> None:
    """What is fused gives the bits of what is not."""
    rng = np.random.default_rng(0)
    x, mask = tf.tensor(rng.standard_normal((2, 4, 6, 8))), tf.tensor(rng.random((6, 6)) < 0.5)

    def scores() -> tf.Tensor:
        return x @ x.transpose(-1, -2)

    def work(product: tf.Tensor) -> tf.Tensor:
        return (product / 3).masked_fill(mask, -1.0).sigmoid()

    whole = work(scores()).numpy()
    parts = work(tf.tensor(scores().numpy().copy())).numpy()
    with config.override(backend="reference"):
        expected = work(scores()).numpy()
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_allclose(whole, expected, rtol=1e-12)

"""Products that only their transpose is read of are computed transposed, with the same bits."""

from __future__ import annotations

import numpy as np

import twofold as tf
from twofold.graph.node import Node, postorder
from twofold.passes.transpose import transpose_products


def _array(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def _ops(roots: list[Node]) -> list[str]:
    return [n.structure.op.name for n in postorder(roots, pending_only=True) if n.value is None]


def test_the_outer_permute_goes() -> None:
    a, b = tf.tensor(_array(3, 7, 5)), tf.tensor(_array(3, 5, 4))
    y = (a @ b).transpose(1, 2)
    (root,) = transpose_products([y._node()])
    assert root.structure.op.name == "matmul"
    assert _ops([root]).count("matmul") == 1
    y = (a @ b).transpose(1, 2)
    assert np.array_equal(y.numpy(), (a @ b).numpy().transpose(0, 2, 1))


def test_a_product_read_both_ways_is_computed_once() -> None:
    a, b = tf.tensor(_array(7, 5)), tf.tensor(_array(5, 7))
    product = a @ b
    y = product + product.T
    (root,) = transpose_products([y._node()])
    assert _ops([root]).count("matmul") == 1


def test_gradients_of_a_linear_layer_keep_their_bits() -> None:
    x, w = tf.tensor(_array(9, 6)), tf.tensor(_array(4, 6)).requires_grad_()
    (x @ w.T).pow(2).sum().backward()
    whole = (x.T @ (2 * (x @ w.detach().T))).numpy().T
    assert np.array_equal(w.grad.numpy(), whole)

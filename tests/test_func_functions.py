"""Functions of the user's own under vmap: by each example, or by a rule for batches."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

import twofold as tf
from twofold.func import grad, vmap

X = tf.arange(6.0).reshape(3, 2) / 3
W = tf.tensor([2.0, 3.0])


class Scaled(tf.autograd.Function):
    """Its gradient is ten times too large, which tells it from that of its forward."""

    @staticmethod
    def forward(x, w, k):
        return x * w * k, x + w

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, w, ctx.k = inputs
        ctx.save_for_backward(x, w)

    @staticmethod
    def backward(ctx, g, h):
        x, w = ctx.saved_tensors
        return 10 * (g * w * ctx.k + h), 10 * (g * x * ctx.k + h), None


class OldForm(tf.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, k):
        ctx.save_for_backward(x, w)
        ctx.k = k
        return x * w * k, x + w

    backward = Scaled.backward


class Sine(tf.autograd.Function):
    """By NumPy, which no placeholder can go through."""

    seen: ClassVar[list] = []

    @staticmethod
    def forward(x):
        return tf.tensor(np.sin(x.detach().numpy()))

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x.cos()

    @staticmethod
    def vmap(info, in_dims, x):
        Sine.seen.append((info.batch_size, info.randomness, in_dims, tuple(x.shape)))
        return Sine.apply(x), in_dims[0]


def close(got, want) -> None:
    np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("function", [Scaled, OldForm])
def test_gradients_pass_vmap_by_the_functions_backward(function):
    def total(x, w):
        a, b = vmap(lambda row: function.apply(row, w, 5))(x)
        return (a * a).sum() + b.sum()

    def plain(x, w):
        return ((x * w * 5) ** 2).sum() + (x + w).sum()

    for got, want in zip(grad(total, (0, 1))(X, W), grad(plain, (0, 1))(X, W), strict=True):
        close(got, 10 * want)
    x = X.clone().requires_grad_()
    total(x, W).backward()
    close(x.grad, 10 * grad(plain)(X, W))
    inside = vmap(grad(lambda row: function.apply(row, W, 5)[0].sum()))(X)
    close(inside, (10 * 5 * W).expand(3, 2))
    close(vmap(lambda row: function.apply(row, W, 5)[0], 1, 1)(X.t()), (X * W * 5).t())


def test_a_rule_for_batches_is_used():
    Sine.seen.clear()
    close(vmap(Sine.apply)(X), X.sin())
    assert Sine.seen == [(3, "error", (0,), (3, 2))]
    close(grad(lambda x: vmap(Sine.apply)(x).sum())(X), X.cos())
    close(vmap(grad(lambda row: Sine.apply(row).sum()))(X), X.cos())
    close(vmap(vmap(Sine.apply))(X), X.sin())
    close(grad(lambda x: vmap(vmap(Sine.apply))(x).sum())(X), X.cos())
    close(vmap(lambda row: Sine.apply(row * 2) + row, 1)(X), (2 * X).t().sin() + X.t())
    assert vmap(lambda row: row + Sine.apply(tf.ones(2)))(X).shape == (3, 2)


def test_rules_for_batches_that_are_wrong():
    class Wrong(Sine):
        @staticmethod
        def vmap(info, in_dims, x):
            return x

    with pytest.raises(RuntimeError, match=r"to return \(output, out_dims\); got Tensor"):
        vmap(Wrong.apply)(X)
    with pytest.raises(RuntimeError, match="numbers drawn at random within vmap"):
        vmap(lambda row: Sine.apply(row + tf.rand(2)), randomness="different")(X)

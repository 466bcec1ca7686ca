"""Autocasting: which functions compute in which dtype, with which values, and what passes back."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import twofold as tf
import twofold.nn.functional as F
from twofold.amp import autocast, custom_bwd, custom_fwd

RNG = np.random.default_rng(0)
HALF = tf.bfloat16


def numbers(*shape: int) -> tf.Tensor:
    return tf.tensor(RNG.uniform(0.1, 0.9, shape).astype(np.float32))


X, V, T3, IMAGE = numbers(4, 4), numbers(4), numbers(2, 4, 4), numbers(1, 3, 6, 6)
DEFINITE = X @ X.t() + 4 * tf.eye(4)
CLASSES = tf.tensor([0, 1, 2, 3])

LOWERED = {
    "matmul": lambda c: c(X) @ c(X),
    "matmul of vectors": lambda c: c(V) @ c(V),
    "mm": lambda c: tf.mm(c(X), c(X)),
    "bmm": lambda c: tf.bmm(c(T3), c(T3)),
    "addmm": lambda c: tf.addmm(c(V), c(X), c(X)),
    "baddbmm": lambda c: tf.baddbmm(c(T3), c(T3), c(T3)),
    "einsum": lambda c: tf.einsum("ij,jk,k->i", c(X), c(X), c(V)),
    "tensordot": lambda c: tf.tensordot(c(X), c(X), 1),
    "multi_dot": lambda c: tf.linalg.multi_dot([c(X), c(X), c(X)]),
    "linear": lambda c: F.linear(c(X), c(X), c(V)),
    "conv2d": lambda c: F.conv2d(c(IMAGE), c(numbers(2, 3, 3, 3)), c(numbers(2))),
    "conv_transpose2d": lambda c: F.conv_transpose2d(c(IMAGE), c(numbers(3, 2, 3, 3))),
    "prelu": lambda c: F.prelu(c(X), c(numbers(1))),
    "attention": lambda c: F.scaled_dot_product_attention(c(T3), c(T3), c(T3)),
    "LSTM": lambda c: tf.nn.LSTM(4, 3)(T3)[0],
    "MultiheadAttention": lambda c: tf.nn.MultiheadAttention(4, 2)(X, X, X)[0],
}
IN_FLOAT32 = {
    "mse_loss": lambda c: F.mse_loss(c(X), c(X)),
    "cross_entropy": lambda c: F.cross_entropy(c(X), CLASSES),
    "binary_cross_entropy": lambda c: F.binary_cross_entropy(c(V), c(V)),
    "kl_div": lambda c: F.kl_div(c(X), c(X), reduction="sum"),
    "prod": lambda c: c(X).prod(),
    "quantile": lambda c: tf.quantile(c(X), 0.5),
    "cdist": lambda c: tf.cdist(c(X), c(X)),
    "trace": lambda c: c(X).trace(),
    "grid_sample": lambda c: F.grid_sample(c(IMAGE), c(numbers(1, 4, 4, 2)), align_corners=False),
    "max_pool3d": lambda c: F.max_pool3d(c(numbers(1, 1, 4, 4, 4)), 2),
    "reflection": lambda c: F.pad(c(IMAGE), (1, 1, 1, 1), "reflect"),
    "inverse": lambda c: tf.inverse(c(DEFINITE)),
    "solve": lambda c: tf.linalg.solve(c(DEFINITE), c(X)),
    "cat": lambda c: tf.cat([c(X), X]),
    "index_copy": lambda c: tf.index_copy(c(X), 0, CLASSES[:1], X[:1]),
    "GRU": lambda c: tf.nn.GRU(4, 3)(T3)[0],
}
AS_GIVEN = {
    "mv": lambda c: tf.mv(c(X), c(V)),
    "dot": lambda c: tf.dot(c(V), c(V)),
    "outer": lambda c: tf.outer(c(V), c(V)),
    "bilinear": lambda c: F.bilinear(c(X), c(X), c(numbers(2, 4, 4)), c(numbers(2))),
    "relu": lambda c: c(X).relu(),
    "softmax": lambda c: c(X).softmax(1),
    "layer_norm": lambda c: F.layer_norm(c(X), (4,), V, V),
    "batch_norm": lambda c: F.batch_norm(c(X), V, V, V, V),
    "max_pool2d": lambda c: F.max_pool2d(c(IMAGE), 2),
    "interpolate": lambda c: F.interpolate(c(IMAGE), scale_factor=2, mode="bilinear"),
    "zero padding": lambda c: F.pad(c(IMAGE), (1, 1)),
    "sum": lambda c: c(X).sum(),
}


@pytest.mark.parametrize("name", [*LOWERED, *IN_FLOAT32, *AS_GIVEN])
def test_dtypes_are_pytorchs(name):
    f = {**LOWERED, **IN_FLOAT32, **AS_GIVEN}[name]
    with autocast("cpu", dtype=HALF):
        found = f(lambda x: x).dtype, f(lambda x: x.to(HALF)).dtype
    if name in AS_GIVEN:
        assert found == (tf.float32, HALF)
    else:
        assert found == ((HALF, HALF) if name in LOWERED else (tf.float32, tf.float32))


def test_products_are_rounded_as_pytorchs():
    torch = pytest.importorskip("torch")
    a, b = (RNG.normal(size=(48, 80)).astype(np.float32) for _ in range(2))
    with autocast("cpu"):
        got = tf.tensor(a) @ tf.tensor(b).t()
    with torch.autocast("cpu"):
        want = torch.tensor(a) @ torch.tensor(b).T
    want = want.float().numpy()
    # Sums that differ in their last bits may round to neighbours, 2^-7 apart.
    np.testing.assert_allclose(got.float().numpy(), want, rtol=2.0**-7, atol=2.0**-7)
    exact = a.astype(np.float64) @ b.T.astype(np.float64)
    assert np.abs(got.float().numpy() - exact).max() > 1e-3  # not a float32 product


def test_a_training_step_is_pytorchs():
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=(16, 8)).astype(np.float32)
    y = RNG.integers(0, 3, 16)

    def step(m, model):
        with m.autocast("cpu", dtype=m.bfloat16):
            out = model(m.tensor(x))
            loss = m.nn.functional.cross_entropy(out, m.tensor(y))
        loss.backward()
        grads = [p.grad for p in model.parameters()]
        assert str(out.dtype).endswith("bfloat16")
        assert {str(g.dtype).partition(".")[2] for g in grads} == {"float32"}
        return loss.item(), [g.numpy() for g in grads]

    def net(nn):
        return nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 3))

    theirs, ours = net(torch.nn), net(tf.nn)
    ours.load_state_dict({k: tf.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    loss, grads = step(tf, ours)
    wanted_loss, wanted = step(torch, theirs)
    assert abs(loss - wanted_loss) < 2e-2
    for got, want in zip(grads, wanted, strict=True):
        np.testing.assert_allclose(got, want, atol=0.03 * np.abs(want).max())


def test_blocks_nest_and_decorate():
    @autocast("cpu", dtype=HALF)
    def product(x):
        with autocast("cpu", enabled=False):
            inner = x @ x
        return inner, x @ x

    inner, outer = product(X)
    assert inner.dtype is tf.float32 and outer.dtype is HALF
    assert (X @ X).dtype is tf.float32
    with autocast("cpu", dtype=tf.float16):
        assert (X @ X).dtype is tf.float16
        with autocast("cpu", dtype=HALF):
            assert (X @ X).dtype is HALF
        assert (X @ X).dtype is tf.float16
        assert (X.double() @ X.double()).dtype is tf.float64
    with pytest.raises(KeyError), autocast("cpu"):
        raise KeyError
    assert (X @ X).dtype is tf.float32


def test_captured_functions_know_of_autocast():
    product = tf.compile(lambda x: x @ x)
    for _ in range(4):
        assert product(X).dtype is tf.float32
        with autocast("cpu"):
            assert product(X).dtype is HALF


def test_wrong_devices_and_dtypes():
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
        autocast(HALF)
    with pytest.raises(RuntimeError, match="device_type must be one of"):
        autocast("toaster")
    with pytest.warns(UserWarning, match="no such device"), autocast("cuda"):
        assert (X @ X).dtype is tf.float32
    with pytest.warns(UserWarning, match="target dtype is not supported"):
        block = autocast("cpu", dtype=tf.float64)
    with block:
        assert (X @ X).dtype is tf.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        autocast("cuda", enabled=False)


def test_functions_of_ones_own_choose():
    seen = []

    class Given(tf.autograd.Function):
        @staticmethod
        @custom_fwd(device_type="cpu")
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x @ x

        @staticmethod
        @custom_bwd(device_type="cpu")
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            seen.append((g @ x.t()).dtype)
            return (g @ x.t() + x.t() @ g).to(x.dtype)

    class Wide(tf.autograd.Function):
        @staticmethod
        @custom_fwd(device_type="cpu", cast_inputs=tf.float32)
        def forward(ctx, x):
            seen.append(x.dtype)
            return x @ x

        @staticmethod
        @custom_bwd(device_type="cpu")
        def backward(ctx, g):
            seen.append((g @ g).dtype)
            return g

    x = X.clone().requires_grad_()
    with autocast("cpu"):
        y = Given.apply(x)
    assert y.dtype is HALF
    y.sum().backward()
    assert seen == [HALF] and x.grad.dtype is tf.float32
    seen.clear()
    with autocast("cpu"):
        assert Wide.apply(x.to(HALF)).dtype is tf.float32
        Wide.apply(x).sum().backward()
    assert seen == [tf.float32, tf.float32, tf.float32]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.softmax(-1), lambda x: F.log_softmax(x, -1), F.silu, F.mish, F.softplus,
        lambda x: F.layer_norm(x, (96,)),
        lambda x: F.interpolate(x[None], scale_factor=3, mode="linear"),
    ],
)  # fmt: skip
def test_functions_of_16_bits_round_once(f):
    x = tf.tensor(RNG.normal(size=(16, 96)) * 2, dtype=tf.float64).to(HALF)
    want = f(x.double()).numpy()
    got = f(x).double().numpy()
    step = 2.0 ** (np.floor(np.log2(np.maximum(np.abs(want), 0.05))) - 7)
    assert (np.abs(got - want) / step).max() < 0.52

"""Convolutions and pooling against PyTorch in float64: values, both gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest

import twofold as tf
from twofold import config
from twofold.functions import convolution, pooling

torch = pytest.importorskip("torch")
F = torch.nn.functional

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


def check(name, *arrays, second=False, tolerance=1e-9, **options):
    """Compare a function of this name, its gradient, and the gradient of its gradient's square."""
    ours = getattr(convolution, name, None) or getattr(pooling, name)
    theirs = getattr(F, name)
    a = [tf.tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, z = ours(*a, **options), theirs(*b, **options)
    close(y, z, tolerance)
    g = RNG.normal(size=tuple(z.shape)).astype(arrays[0].dtype)
    if not second:
        y.backward(tf.tensor(g))
        z.backward(torch.tensor(g))
        for u, v in zip(a, b):
            close(u.grad, v.grad, tolerance)
        return
    g_ours = tf.tensor(g, requires_grad=True)
    g_theirs = torch.tensor(g, requires_grad=True)
    first = tf.autograd.grad(y, a, g_ours, create_graph=True)
    wanted = torch.autograd.grad(z, b, g_theirs, create_graph=True)
    sum((u * u).sum() for u in first).backward()
    sum((v * v).sum() for v in wanted).backward()
    for u, v in zip(
        [*first, *(x.grad for x in [*a, g_ours])], [*wanted, *(x.grad for x in [*b, g_theirs])]
    ):
        if u is None:
            assert v is None or not v.any()
        elif v is not None:
            close(u, v, tolerance)


def close(ours, theirs, tolerance):
    assert tuple(ours.shape) == tuple(theirs.shape)
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(
        ours, theirs, rtol=tolerance, atol=tolerance * max(1, abs(theirs).max(initial=0))
    )


CONV_OPTIONS = [
    {},
    {"stride": 2},
    {"padding": 1},
    {"padding": "same"},
    {"padding": "valid"},
    {"dilation": 2, "stride": 3, "padding": (2, 1)},
]


@pytest.mark.parametrize("options", CONV_OPTIONS, ids=str)
def test_conv2d(options):
    check("conv2d", normal(2, 3, 9, 10), normal(4, 3, 3, 3), normal(4), **options)
    check("conv2d", normal(4, 9, 10), normal(6, 2, 3, 2), normal(6), groups=2, **options)


TRANSPOSED_OPTIONS = [
    {},
    {"stride": 2},
    {"padding": 1},
    {"stride": 2, "output_padding": 1},
    {"dilation": 3, "stride": 2, "padding": 1, "output_padding": 2},
    {"stride": 3, "padding": 1, "output_padding": 2},
]


@pytest.mark.parametrize("options", TRANSPOSED_OPTIONS, ids=str)
def test_conv_transpose2d(options):
    check("conv_transpose2d", normal(2, 3, 4, 5), normal(3, 4, 3, 3), normal(4), **options)
    check("conv_transpose2d", normal(4, 4, 5), normal(4, 3, 3, 2), normal(6), groups=2, **options)


@pytest.mark.parametrize("options", CONV_OPTIONS, ids=str)
def test_depthwise(options):
    check("conv2d", normal(2, 5, 9, 10), normal(5, 1, 3, 3), normal(5), groups=5, **options)
    check("conv2d", normal(2, 3, 9, 10), normal(6, 1, 3, 3), normal(6), groups=3, **options)


def test_depthwise_of_other_ranks():
    check("conv1d", normal(2, 20, 9), normal(20, 1, 3), padding=1, groups=20, second=True)
    check("conv3d", normal(1, 3, 4, 5, 6), normal(3, 1, 2, 2, 3), groups=3)
    check("conv_transpose2d", normal(2, 3, 4, 5), normal(3, 1, 3, 3), stride=2, groups=3)


def test_convolutions_of_one_and_three_axes():
    check("conv1d", normal(2, 3, 9), normal(4, 3, 3), normal(4), padding=2)
    check("conv3d", normal(2, 3, 5, 6, 7), normal(4, 3, 3, 2, 1), normal(4), padding=2, stride=2)
    check("conv_transpose1d", normal(2, 3, 9), normal(3, 4, 3), normal(4), padding=2)
    check("conv_transpose3d", normal(2, 3, 3, 2, 4), normal(3, 2, 3, 2, 1), normal(2), stride=2)


POOL_OPTIONS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
]


@pytest.mark.parametrize("options", POOL_OPTIONS, ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_max_pool(rank, options):
    shape = (2, 3, 9, 7, 6)[: 2 + rank]
    for more in ({}, {"dilation": 2}):
        check(f"max_pool{rank}d", normal(*shape), **options, **more)
        x = normal(*shape[1:])
        _, i = getattr(pooling, f"max_pool{rank}d")(
            tf.tensor(x), return_indices=True, **options, **more
        )
        _, j = getattr(F, f"max_pool{rank}d")(
            torch.tensor(x), return_indices=True, **options, **more
        )
        assert (i.numpy() == j.numpy()).all()


def test_gradient_of_equal_elements_goes_to_the_first():
    x = RNG.integers(0, 3, (2, 3, 8, 8)).astype(float)
    check("max_pool2d", x, kernel_size=2)
    check("max_pool2d", x, kernel_size=3, stride=2, padding=1)


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradient_where_all_is_minus_infinity_goes_to_the_first_that_is_no_padding(rank, backend):
    shape = (2, 3, 9, 7, 6)[: 2 + rank]
    x = np.where(RNG.random(shape) < 0.3, RNG.standard_normal(shape), -np.inf)
    wide = {"kernel_size": 5, "stride": 1, "padding": 2}
    with config.override(backend=backend):
        for options in (*POOL_OPTIONS, wide):
            for more in ({}, {"dilation": 2}):
                a = tf.tensor(x, requires_grad=True)
                b = torch.tensor(x, requires_grad=True)
                y, i = getattr(pooling, f"max_pool{rank}d")(
                    a, return_indices=True, **options, **more
                )
                z, j = getattr(F, f"max_pool{rank}d")(b, return_indices=True, **options, **more)
                assert (i.numpy() == j.numpy()).all()
                z.backward(torch.ones_like(z))
                y.backward(tf.ones_like(y))
                assert (a.grad.numpy() == b.grad.numpy()).all()


@pytest.mark.parametrize("options", POOL_OPTIONS, ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_avg_pool(rank, options):
    x = normal(*(2, 3, 9, 7, 6)[: 2 + rank])
    check(f"avg_pool{rank}d", x, **options)
    check(f"avg_pool{rank}d", x, count_include_pad=False, **options)
    if rank > 1:
        check(f"avg_pool{rank}d", x, divisor_override=3, **options)


@pytest.mark.parametrize("size", [1, 3, 4, 5, (3, None, 2)], ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_adaptive_pool(rank, size):
    shape = (2, 3, 9, 7, 6)[: 2 + rank]
    size = size[:rank] if isinstance(size, tuple) else size
    check(f"adaptive_avg_pool{rank}d", normal(*shape), output_size=size)
    check(f"adaptive_max_pool{rank}d", normal(*shape), output_size=size)
    x, name = normal(*shape), f"adaptive_max_pool{rank}d"
    _, i = getattr(pooling, name)(tf.tensor(x), size, return_indices=True)
    _, j = getattr(F, name)(torch.tensor(x), size, return_indices=True)
    assert (i.numpy() == j.numpy()).all()


def test_second_gradients():
    check(
        "conv2d",
        normal(2, 3, 7, 6),
        normal(4, 3, 3, 3),
        normal(4),
        padding=1,
        stride=2,
        second=True,
    )
    check("conv_transpose2d", normal(2, 3, 4, 5), normal(3, 4, 3, 3), normal(4), second=True)
    check("max_pool2d", normal(2, 3, 7, 6), kernel_size=2, second=True)
    check("avg_pool2d", normal(2, 3, 7, 6), kernel_size=3, stride=2, padding=1, second=True)


def lenet(conv2d, max_pool2d):
    def run(x, w1, b1, w2, b2, w3, b3, w4, b4):
        h = max_pool2d(conv2d(x, w1, b1), 2)
        h = max_pool2d(conv2d(h, w2, b2), 2)
        h = (h.reshape(h.shape[0], -1) @ w3 + b3).relu()
        return h @ w4 + b4

    return run


def test_lenet():
    shapes = [
        (8, 1, 28, 28),
        (20, 1, 5, 5),
        (20,),
        (50, 20, 5, 5),
        (50,),
        (800, 500),
        (500,),
        (500, 10),
        (10,),
    ]
    arrays = [normal(*s) for s in shapes]
    a = [tf.tensor(x, requires_grad=True) for x in arrays]
    b = [torch.tensor(x, requires_grad=True) for x in arrays]
    y = lenet(convolution.conv2d, pooling.max_pool2d)(*a)
    z = lenet(F.conv2d, F.max_pool2d)(*b)
    close(y, z, 1e-10)
    y.square().sum().backward()
    z.square().sum().backward()
    for u, v in zip(a, b):
        close(u.grad, v.grad, 1e-9)


ERRORS = [
    lambda t, f: f.conv2d(t.zeros(2, 3), t.zeros(4, 3, 3, 3)),
    lambda t, f: f.conv2d(t.zeros(1, 2, 5, 5), t.zeros(4, 3, 3, 3)),
    lambda t, f: f.conv2d(t.zeros(1, 3, 2, 2), t.zeros(4, 3, 3, 3)),
    lambda t, f: f.conv2d(t.zeros(1, 3, 5, 5), t.zeros(4, 3, 3, 3), t.zeros(5)),
    lambda t, f: f.conv2d(t.zeros(1, 4, 5, 5), t.zeros(3, 2, 3, 3), groups=2),
    lambda t, f: f.conv2d(t.zeros(1, 4, 5, 5), t.zeros(1, 2, 3, 3), groups=2),
    lambda t, f: f.conv2d(t.zeros(1, 3, 5, 5), t.zeros(4, 3, 3, 3), stride=0),
    lambda t, f: f.conv2d(t.zeros(1, 3, 5, 5), t.zeros(4, 3, 3, 3), padding=-1),
    lambda t, f: f.conv2d(t.zeros(1, 3, 5, 5), t.zeros(4, 3, 3, 3), dilation=0),
    lambda t, f: f.conv2d(t.zeros(1, 3, 5, 5), t.zeros(4, 3, 3, 3), groups=0),
    lambda t, f: f.conv2d(t.zeros(1, 3, 5, 5), t.zeros(4, 3, 3, 3), stride=2, padding="same"),
    lambda t, f: f.conv2d(t.zeros(1, 3, 5, 5), t.zeros(4, 3, 3, 3), padding="foo"),
    lambda t, f: f.conv2d(t.zeros(1, 3, 5, 5), t.zeros(4, 3, 3, 3), stride=(1, 2, 3)),
    lambda t, f: f.conv2d(t.zeros(1, 3, 5, 5, dtype=t.float64), t.zeros(4, 3, 3, 3)),
    lambda t, f: f.conv2d(t.zeros(1, 3, 5, 5), t.zeros(4, 3, 3, 3), t.zeros(4).double()),
    lambda t, f: f.conv_transpose2d(t.zeros(1, 3, 5, 5), t.zeros(4, 3, 3, 3)),
    lambda t, f: f.conv_transpose2d(t.zeros(1, 3, 5, 5), t.zeros(3, 4, 3, 3), output_padding=1),
    lambda t, f: f.conv_transpose2d(t.zeros(1, 3, 5, 5), t.zeros(3, 4, 3, 3), t.zeros(3)),
    lambda t, f: f.conv_transpose2d(t.zeros(1, 3, 1, 1), t.zeros(3, 4, 3, 3), padding=2),
    lambda t, f: f.conv_transpose2d(t.zeros(1, 3, 5, 5), t.zeros(3, 4, 3, 3), padding="same"),
    lambda t, f: f.max_pool2d(t.zeros(1, 2, 1, 1), 2),
    lambda t, f: f.max_pool2d(t.zeros(1, 2, 5, 5), 2, padding=2),
    lambda t, f: f.max_pool2d(t.zeros(1, 2, 5, 5), 2, stride=0),
    lambda t, f: f.max_pool2d(t.zeros(1, 2, 5, 5), (2, 2, 2)),
    lambda t, f: f.avg_pool2d(t.zeros(1, 2, 5, 5), 2, divisor_override=0),
    lambda t, f: f.avg_pool2d(t.zeros(1, 2, 1, 1), 2),
    lambda t, f: f.adaptive_avg_pool2d(t.zeros(1, 2), 2),
    lambda t, f: f.adaptive_avg_pool2d(t.zeros(1, 2, 5, 5), (2, 2, 2)),
]


class Ours:
    """Our functions by PyTorch's names."""

    def __getattr__(self, name):
        return getattr(convolution, name, None) or getattr(pooling, name)


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pytorchs(case):
    with pytest.raises(Exception) as wanted:
        case(torch, F)
    with pytest.raises(type(wanted.value)) as got:
        case(tf, Ours())
    assert str(got.value) == str(wanted.value)


def test_batch_of_none():
    y = convolution.conv2d(tf.zeros(0, 3, 5, 5), tf.zeros(4, 3, 3, 3))
    assert tuple(y.shape) == (0, 4, 3, 3) and y.numpy().size == 0
    y = pooling.max_pool2d(tf.zeros(0, 3, 5, 5), 2)
    assert tuple(y.shape) == (0, 3, 2, 2) and y.numpy().size == 0


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_sums_over_no_channels_are_zeros(rank):
    """What is left is the bias, and what is done with it."""
    x = tf.zeros(2, 0, *(6, 5, 4)[:rank], requires_grad=True)
    w = tf.zeros(3, 0, *(3,) * rank, requires_grad=True)
    bias = tf.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = getattr(convolution, f"conv{rank}d")(x, w, bias, padding=1).relu()
    wanted = np.broadcast_to(np.array([1, 0, 3]).reshape(3, *(1,) * rank), y.shape)
    assert (y.detach().numpy() == wanted).all()
    y.sum().backward()
    n = y.numel() / 3
    assert bias.grad.tolist() == [n, 0, n]
    assert x.grad.shape == x.shape and w.grad.shape == w.shape

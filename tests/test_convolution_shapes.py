"""Convolutions of any size, stride, padding, dilation and groups, and by Winograd's algorithms,
against PyTorch in float64."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twofold as tf
from twofold import config
from twofold.kernels import winograd, winograd_weight
from twofold.kernels.conv import Geometry
from twofold.machine import target_for

torch = pytest.importorskip("torch")
F = tf.nn.functional


@st.composite
def convolutions(draw):
    """(shape of x, shape of w, options), with channels around the numbers of lanes."""
    rank = draw(st.integers(1, 3))
    groups = draw(st.sampled_from((1, 1, 1, 2, 3)))
    channels = st.sampled_from((1, 3, 16, 17))
    c, o = draw(channels), draw(channels)
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    stride = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilation = [draw(st.integers(1, 2)) for _ in range(rank)]
    padding = [draw(st.integers(0, 3)) for _ in range(rank)]
    spatial = [
        draw(st.integers(max(1, (k - 1) * d + 1 - 2 * p), (k - 1) * d + 1 + (9, 7, 3)[rank - 1]))
        for k, d, p in zip(kernel, dilation, padding)
    ]
    x = (draw(st.integers(1, 3)), c * groups, *spatial)
    w = (o * groups, c, *kernel)
    return x, w, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def compare(x, w, options, dtype, tolerance):
    """Value and gradients of one convolution against PyTorch's in float64."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(dtype) for s in (x, w, w[:1])]
    ours = [tf.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a.astype(np.float64), requires_grad=True) for a in arrays]
    name = f"conv{len(x) - 2}d"
    y = getattr(F, name)(*ours, **options)
    z = getattr(torch.nn.functional, name)(*theirs, **options)
    g = rng.standard_normal(tuple(z.shape)).astype(dtype)
    y.backward(tf.tensor(g))
    z.backward(torch.tensor(g.astype(np.float64)))
    pairs = [(y.detach(), z.detach()), *((a.grad, b.grad) for a, b in zip(ours, theirs))]
    for a, b in pairs:
        wanted = b.numpy()
        assert a.shape == wanted.shape
        error = np.abs(a.numpy() - wanted).max(initial=0)
        assert error <= tolerance * max(1.0, np.abs(wanted).max(initial=0))


@settings(max_examples=int(os.environ.get("TWOFOLD_CONVOLUTIONS", 12)), deadline=None)
@given(convolutions())
def test_any_convolution(case):
    compare(*case, np.float64, 1e-12)
    compare(*case, np.float32, 1e-5)


def geometry(batch, channels, outputs, size, padding=1):
    count = size + 2 * padding - 2
    return Geometry(
        batch, (1, size, size), (1, count, count), (1, 3, 3), (1, 1, 1), (1, 1, 1),
        (0, padding, padding), channels, outputs, 1, (0, 0, 0, 0), (0, 0, 0, 0),
    )  # fmt: skip


def test_which_algorithm():
    target = target_for("x86-64-v4")
    assert winograd.choice(geometry(8, 64, 64, 56), tf.float32, target).m == 4
    assert winograd.choice(geometry(1, 64, 64, 2), tf.float32, target) is None
    assert winograd.choice(geometry(8, 64, 64, 56), tf.float64, target) is None
    assert winograd.choice(geometry(8, 3, 64, 56), tf.float32, target) is None
    with config.override(winograd=False):
        assert winograd.choice(geometry(8, 64, 64, 56), tf.float32, target) is None


def convolve(x, w, padding):
    return F.conv2d(tf.tensor(x), tf.tensor(w), padding=padding).numpy()


def planned_anew(compute):
    """What `compute` gives by plans of its own, the same on one, two and three threads."""
    tf.engine._programs.clear()
    tf.engine._forms.clear()
    results = []
    for threads in (1, 2, 3):
        with config.override(threads=threads):
            results.append(compute())
    tf.engine._programs.clear()
    tf.engine._forms.clear()
    assert (results[0] == results[1]).all() and (results[0] == results[2]).all()
    return results[0]


@pytest.mark.native
@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize(
    "n, c, h, w, o, padding", [(2, 16, 9, 14, 48, 1), (1, 32, 6, 5, 80, 0), (1, 48, 3, 4, 32, 2)]
)
def test_winograd_is_as_exact_as_it_says(monkeypatch, m, n, c, h, w, o, padding):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, h, w)).astype(np.float32)
    weights = rng.standard_normal((o, c, 3, 3)).astype(np.float32)
    exact = torch.nn.functional.conv2d(
        torch.tensor(x).double(), torch.tensor(weights).double(), padding=padding
    ).numpy()
    with config.override(winograd=False):
        direct = convolve(x, weights, padding)

    def forced(g, dtype, target):
        return next(s for s, _ in winograd.candidates(g, dtype, target) if s.m == m)

    monkeypatch.setattr(winograd, "choice", forced)
    found = planned_anew(lambda: convolve(x, weights, padding))
    assert (found != direct).any()
    error, limit = np.abs(found - exact).max(), np.abs(direct - exact).max()
    assert error <= 10 * limit


def weight_gradient(x, g, padding):
    w = tf.zeros(g.shape[1], x.shape[1], 3, 3, requires_grad=True)
    y = F.conv2d(tf.tensor(x), w, padding=padding)
    return tf.autograd.grad(y, w, tf.tensor(g))[0].numpy()


@pytest.mark.native
@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize(
    "n, c, h, w, o, padding, chunk",
    [(2, 16, 9, 14, 48, 1, 1), (1, 32, 6, 5, 80, 0, 1 << 20), (3, 48, 9, 10, 32, 2, 1)],
)
def test_winograd_weight_gradients_are_as_exact_as_direct_ones(
    monkeypatch, m, n, c, h, w, o, padding, chunk
):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, h, w)).astype(np.float32)
    shape = (n, o, h + 2 * padding - 2, w + 2 * padding - 2)
    g = rng.standard_normal(shape).astype(np.float32)
    exact = torch.nn.grad.conv2d_weight(
        torch.tensor(x).double(), (o, c, 3, 3), torch.tensor(g).double(), padding=padding
    ).numpy()
    with config.override(winograd=False):
        direct = weight_gradient(x, g, padding)
    spec = winograd.WinogradSpec(
        tf.float32, m, 0, 0, target_for(config.current().target).vector_bytes // 4
    )
    monkeypatch.setattr(winograd_weight, "choice", lambda *_: spec)
    monkeypatch.setattr(winograd_weight, "CHUNK_BYTES", chunk)
    found = planned_anew(lambda: weight_gradient(x, g, padding))
    assert (found != direct).any()
    assert np.abs(found - exact).max() <= 10 * np.abs(direct - exact).max()


def test_which_weight_gradients_go_by_winograd():
    target = target_for("x86-64-v4")
    assert winograd_weight.choice(geometry(8, 64, 64, 56, 0), tf.float32, target).m == 4
    assert winograd_weight.choice(geometry(8, 64, 64, 56, 0), tf.float64, target) is None
    assert winograd_weight.choice(geometry(8, 3, 64, 56, 0), tf.float32, target) is None
    assert winograd_weight.choice(geometry(1, 512, 512, 4, 0), tf.float32, target) is None
    with config.override(winograd=False):
        assert winograd_weight.choice(geometry(8, 64, 64, 56, 0), tf.float32, target) is None


def test_gradients_through_winograd():
    options = {"stride": 1, "padding": 1}
    x, w = (4, 32, 24, 20), (64, 32, 3, 3)
    assert winograd.choice(geometry(4, 32, 64, 20), tf.float32, target_for("host")) is not None
    compare(x, w, options, np.float32, 2e-5)


def test_threads_change_no_bits():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 33, 13, 11)).astype(np.float32)
    w = rng.standard_normal((70, 33, 3, 2)).astype(np.float32)
    found = []
    for threads in (1, 2, 5):
        with config.override(threads=threads):
            a, b = tf.tensor(x, requires_grad=True), tf.tensor(w, requires_grad=True)
            y = F.conv2d(a, b, stride=2, padding=1)
            y.sum().backward()
            found.append([y.detach().numpy(), a.grad.numpy(), b.grad.numpy()])
    for other in found[1:]:
        for one, two in zip(found[0], other):
            assert (one == two).all()


FINISHED = [
    ("conv1d", (2, 17, 20), (70, 17, 3), {"stride": 2}),
    ("conv2d", (2, 3, 9, 10), (5, 3, 3, 3), {"padding": 1}),
    ("conv2d", (2, 32, 20, 22), (48, 32, 3, 3), {"padding": 1}),
    ("conv2d", (2, 32, 13, 11), (70, 16, 2, 3), {"padding": 1, "groups": 2}),
    ("conv3d", (2, 4, 5, 6, 7), (20, 4, 3, 3, 2), {"padding": 1, "stride": 2}),
    ("conv_transpose2d", (2, 16, 9, 10), (16, 20, 3, 3), {"padding": 1}),
]


@pytest.mark.native
@pytest.mark.parametrize("name, x, w, options", FINISHED, ids=str)
def test_work_on_the_result_is_done_with_it_and_changes_no_bits(name, x, w, options):
    rng = np.random.default_rng(0)
    x, w = (tf.tensor(rng.standard_normal(s).astype(np.float32)) for s in (x, w))
    convolve = getattr(F, name)
    channels = convolve(x, w, **options).shape[1]
    shape = (1, -1) + (1,) * (len(x.shape) - 2)
    scale = tf.tensor(rng.standard_normal(channels).astype(np.float32)).reshape(shape)

    def fused():
        y = (convolve(x, w, **options) * scale + 1).relu()
        return (y + convolve(x * 0.5, w, **options)).amax(1)

    def apart():
        parts = [convolve(x, w, **options), convolve(x * 0.5, w, **options)]
        tf.eval(*parts)
        y = (parts[0] * scale + 1).relu()
        tf.eval(y)
        z = y + parts[1]
        tf.eval(z)
        return z.amax(1)

    found = tf.explain(fused, show=False)
    assert (found.result.numpy() == apart().numpy()).all()
    labels = [k.label for program in found.programs for k in program.kernels]
    assert not {"relu", "add", "mul+add+relu"} & set(labels), labels


def test_gradients_of_many_weights_of_1_x_1_kernels():
    """They are products of matrices of pixels and channels."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2, 256, 5, 3)).astype(np.float32)
    g = rng.standard_normal((2, 300, 5, 3)).astype(np.float32)
    w = tf.zeros(300, 256, 1, 1, requires_grad=True)
    y = tf.nn.functional.conv2d(tf.from_numpy(x), w)
    (got,) = tf.autograd.grad(y, [w], tf.from_numpy(g))
    expected = np.einsum("nohw,nchw->oc", g.astype(np.float64), x.astype(np.float64))
    assert got.shape == (300, 256, 1, 1)
    np.testing.assert_allclose(got.numpy()[:, :, 0, 0], expected, atol=2e-5)


@pytest.mark.parametrize(
    "kernel, stride, padding, dilation, channels, size",
    [
        ((3, 3), 1, 1, 1, 32, (9, 16)),
        ((3, 3), 2, 1, 1, 48, (15, 15)),
        ((5, 3), (1, 2), (2, 0), 1, 21, (8, 11)),
        ((3, 7), 1, (3, 6), (1, 2), 16, (6, 20)),
        ((1, 9), (2, 1), (0, 4), 1, 96, (5, 3)),
        ((2, 2), 3, 0, 1, 7, (7, 7)),
        ((5, 5), 1, 2, 1, 64, (7, 7)),
        ((7, 7), 1, 3, 1, 40, (9, 8)),  # more sums than registers hold
    ],
)
def test_depthwise_convolutions_against_float64(kernel, stride, padding, dilation, channels, size):
    """Edges, strides, dilations and channels that fill no vector; with work on the result too."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, channels, *size)).astype(np.float32)
    w = rng.standard_normal((channels, 1, *kernel)).astype(np.float32)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": channels}
    wide = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, w)]
    expected = torch.nn.functional.conv2d(*wide, **options)
    ours = [tf.tensor(v, requires_grad=True) for v in (x, w)]
    y = tf.nn.functional.conv2d(*ours, **options)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), atol=3e-5)
    cut = tf.nn.functional.conv2d(*ours, **options).relu() + 1
    np.testing.assert_array_equal(cut.detach().numpy(), np.maximum(y.detach().numpy(), 0) + 1)
    g = rng.standard_normal(tuple(expected.shape)).astype(np.float32)
    expected.backward(torch.tensor(g, dtype=torch.float64))
    y.backward(tf.from_numpy(g))
    for a, b in zip(ours, wide):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-4)

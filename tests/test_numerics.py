"""Numbers at their limits: promotion, wrapping, conversions, variance, long sums, nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import twofold as tf
from twofold import dtypes

torch = pytest.importorskip("torch")

NAMES = [d.name for d in dtypes.ALL]
NUMBERS = {"bool": True, "int": 2, "float": 1.5}


def _name(x: object) -> str:
    """The name of its dtype; Twofold has no complex numbers of two float16."""
    return str(x.dtype).rpartition(".")[2].replace("complex32", "complex64")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("a", "b"), itertools.product(NAMES, NAMES))
def test_promotion(a: str, b: str) -> None:
    """Tensors of every two dtypes, with axes and without, and Python numbers: PyTorch's dtype."""
    found = tf.promote_types(getattr(tf, a), getattr(tf, b))
    assert str(found) == str(torch.promote_types(getattr(torch, a), getattr(torch, b))).replace(
        "torch", "twofold"
    )
    for left, right in itertools.product([(), (2,)], [(), (2,)]):
        ours = tf.ones(left, dtype=getattr(tf, a)) * tf.ones(right, dtype=getattr(tf, b))
        theirs = torch.ones(left, dtype=getattr(torch, a)) * torch.ones(
            right, dtype=getattr(torch, b)
        )
        assert _name(ours) == _name(theirs), (left, right)
    for number in NUMBERS.values():
        ours, theirs = tf.ones(2, dtype=getattr(tf, a)), torch.ones(2, dtype=getattr(torch, a))
        assert _name(ours * number) == _name(theirs * number), number


@pytest.mark.parametrize("name", ["uint8", "int8", "int16", "int32", "int64"])
def test_integers_wrap(name: str) -> None:
    bounds = np.iinfo(name)
    values = np.array([bounds.min, bounds.max, bounds.max - 1, 3], name)
    ours, theirs = tf.tensor(values), torch.tensor(values)
    for f in (
        lambda x: x + x, lambda x: x * x, lambda x: x - 1, lambda x: -x, lambda x: x * 7 + 100,
        lambda x: x.sum(), lambda x: x.cumsum(0), lambda x: x.abs(),
    ):  # fmt: skip
        assert np.array_equal(f(ours).numpy(), f(theirs).numpy())


@pytest.mark.parametrize("name", ["uint8", "int8", "int32", "int64"])
def test_division_of_integers_by_zero(name: str) -> None:
    """An error, at once for a number and at the look for a tensor; nothing traps."""
    x = tf.tensor([1, 0, 7], dtype=getattr(tf, name))
    divisions = (
        lambda a, b: a // b,
        lambda a, b: a % b,
        lambda a, b: a.fmod(b),
        lambda a, b: a.div(b, rounding_mode="trunc"),
    )
    for divide in divisions:
        for zero in (0, tf.zeros_like(x), tf.tensor([1, 2, 0], dtype=x.dtype)):
            with pytest.raises(RuntimeError, match="ZeroDivisionError"):
                divide(x, zero).tolist()
        assert divide(x, tf.tensor(3, dtype=x.dtype)).numel() == 3
        assert divide(x[:0], tf.zeros_like(x)[:0]).tolist() == []


def test_division_at_the_limits() -> None:
    least = tf.tensor([-(2**31), -(2**31)], dtype=tf.int32)
    assert (least // -1).tolist() == [-(2**31)] * 2
    assert tf.tensor([1.0, -1.0]).div(0).tolist() == [float("inf"), -float("inf")]


def test_conversions_of_floats_to_integers() -> None:
    """Within range they are cut towards zero; NaN gives 0; both backends agree on the rest."""
    x = tf.tensor([1.9, -1.9, 0.0, -0.0, 255.5, 3e9, -3e9, float("nan"), float("inf")])
    assert x[:4].int().tolist() == [1, -1, 0, 0] and x[4].to(tf.uint8).item() == 255
    assert x[5].long().item() == 3_000_000_000 and x[7].int().item() == 0
    with tf.config.override(backend="reference"):
        expected = [x.clone().to(d).tolist() for d in dtypes.INTEGERS]
    assert [x.clone().to(d).tolist() for d in dtypes.INTEGERS] == expected


def test_variance_is_stable() -> None:
    """Values far from 0 do not swamp their spread."""
    for offset in (0.0, 1e3, 1e5):
        x = np.random.default_rng(0).standard_normal(10_001).astype(np.float32) + np.float32(offset)
        exact = x.astype(np.float64).var(ddof=1)
        assert abs(tf.tensor(x).var().item() - exact) <= 2e-5 * exact
        wide = tf.tensor(x[:10_000].reshape(100, 100))
        rows = x[:10_000].reshape(100, 100).astype(np.float64).var(1, ddof=1)
        np.testing.assert_allclose(wide.var(1).numpy(), rows, rtol=2e-5)
        np.testing.assert_allclose(wide.T.var(0).numpy(), rows, rtol=2e-5)


def test_means_of_float16_whose_sum_is_out_of_range() -> None:
    x = tf.full((4, 100), 1200.0, dtype=tf.float16)
    assert x.mean().item() == 1200 and x.mean(1).dtype is tf.float16
    assert x.std(1).tolist() == [0.0] * 4


def test_equal_values_have_no_variance_below_zero() -> None:
    for value in np.random.default_rng(0).random(20, np.float32):
        for shape in ((7,), (3, 1001), (1001, 3)):
            x = tf.full(shape, float(value) * 1e4)
            assert x.std(0).max().item() < 1e-3 and x.std().item() < 1e-3


def test_normalisation_far_from_zero() -> None:
    """As near to float64 as a mean rounded to float32 lets it."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((64, 32)) + 1e5).astype(np.float32)
    for ours, axis in (
        (tf.nn.functional.layer_norm(tf.tensor(x), (32,)), 1),
        (tf.nn.functional.batch_norm(tf.tensor(x), None, None, training=True), 0),
    ):
        wide = x.astype(np.float64)
        off = wide - wide.mean(axis, keepdims=True)
        exact = off / np.sqrt((off * off).mean(axis, keepdims=True) + 1e-5)
        assert np.abs(ours.numpy() - exact).max() < 8e-3
        assert abs(ours.numpy().std(axis) - 1).max() < 1e-4


@pytest.mark.parametrize("n", [1, 1000, 1_000_003, 5_000_000])
def test_long_sums_are_accurate(n: int) -> None:
    x = np.random.default_rng(0).random(n, np.float32)
    exact = x.astype(np.float64).sum()
    assert abs(tf.tensor(x).sum().item() - exact) <= 1e-6 * exact
    if n % 1000 == 0:
        columns = tf.tensor(x.reshape(-1, 10)).sum(0).numpy()
        np.testing.assert_allclose(columns, x.reshape(-1, 10).astype(np.float64).sum(0), rtol=3e-6)


def test_nothing_at_all() -> None:
    """Everything takes tensors without elements, as PyTorch does."""
    for f in (
        lambda t: t.zeros(0) + 1, lambda t: t.zeros(0, 3).sum(0), lambda t: t.zeros(0).sum(),
        lambda t: t.zeros(0).prod(), lambda t: t.zeros(0, 3) @ t.zeros(3, 2),
        lambda t: t.zeros(2, 0) @ t.zeros(0, 3), lambda t: t.zeros(0).cumsum(0),
        lambda t: t.zeros(0, 3).softmax(1), lambda t: t.cat([t.zeros(0, 2), t.ones(1, 2)]),
        lambda t: t.zeros(3, 0).reshape(0, 7), lambda t: t.zeros(0).sort()[0],
        lambda t: t.zeros(0, 4)[:, 1:3].T, lambda t: t.zeros(0).mean(), lambda t: t.zeros(0) > 0,
        lambda t: t.zeros(4)[t.zeros(4) > 0], lambda t: t.zeros(0, dtype=t.int64).sum(),
        lambda t: t.nn.functional.relu(t.zeros(0, 2)), lambda t: t.zeros(0).all(),
        lambda t: t.nn.functional.conv2d(t.zeros(0, 3, 5, 5), t.ones(2, 3, 3, 3)),
    ):  # fmt: skip
        ours, theirs = f(tf), f(torch)
        assert tuple(ours.shape) == tuple(theirs.shape) and _name(ours) == _name(theirs)
        assert np.array_equal(ours.numpy(), theirs.numpy(), equal_nan=ours.is_floating_point())


@pytest.mark.parametrize(
    "text",
    [
        "ones(2, 3)", "zeros(0)", "tensor(3)", "tensor(2.5)", "tensor([True, False])",
        "tensor([1e10, 1.0])", "tensor([1e-8, 1.0])", "tensor([float('nan'), 1.0])",
        "tensor([float('inf'), -1.5])", "arange(2000)", "ones(30, 40)", "zeros(2, 0, 3)",
        "tensor([[1, -20], [300, 4]])", "ones(2, 2, 2)", "tensor([0.1, 0.25], dtype=T.float64)",
        "tensor([1.5], dtype=T.bfloat16)", "tensor([1.5, 2], dtype=T.float16)", "tensor([])",
        "ones(3, requires_grad=True)", "tensor([1.0, 2.0, 3.0])", "tensor([12345.678, 0.001])",
        "arange(5, dtype=T.uint8)", "tensor([[[1.5]]])", "full((2,), 1e20)", "tensor(-0.0)",
    ],
)  # fmt: skip
def test_printing(text: str) -> None:
    """As PyTorch prints it, but for the package's name."""
    ours = eval(f"T.{text}", {"T": tf})
    theirs = eval(f"T.{text}", {"T": torch})
    assert repr(ours) == repr(theirs).replace("torch.", "twofold.")

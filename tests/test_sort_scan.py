"""Sorting, scanning, searching and counting, against PyTorch and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import config

torch = pytest.importorskip("torch")


def agree(y: Any, want: Any, tolerance: float = 0) -> None:
    """Equal shapes, dtypes and values; tuples element by element."""
    if isinstance(want, tuple):
        assert len(y) == len(want)
        for a, b in zip(y, want):
            agree(a, b, tolerance)
        return
    assert tuple(y.shape) == tuple(want.shape)
    assert str(y.dtype).split(".")[1] == str(want.dtype).split(".")[1]
    np.testing.assert_allclose(
        y.detach().numpy(), want.detach().numpy(), rtol=tolerance, atol=tolerance, equal_nan=True
    )


def check(
    f: Callable[[Any, Any], Any], x: np.ndarray, tolerance: float = 1e-5, grad: bool = True
) -> None:
    """f(x, module) gives what PyTorch gives, and its gradient too."""
    a, b = tf.tensor(x), torch.tensor(x)
    if grad and x.dtype.kind == "f":
        a.requires_grad_()
        b.requires_grad_()
    y, want = f(a, tf), f(b, torch)
    agree(y, want, tolerance)
    if isinstance(want, tuple):
        y, want = y[0], want[0]
    if not want.requires_grad:
        return
    weight = np.random.default_rng(1).standard_normal(tuple(want.shape)).astype(x.dtype)
    (y * tf.tensor(weight)).sum().backward()
    (want * torch.tensor(weight)).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-4, atol=1e-4)


SHAPES = [(5,), (64,), (65,), (9, 17), (17, 100, 3), (2, 3, 300), (4, 0, 3), (1,)]
DTYPES = ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"]


def mixed(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Values with many equals and, for floats, both zeros, infinities and NaNs."""
    x = np.random.default_rng(seed).standard_normal(shape) * 30
    flat = x.reshape(-1)
    if dtype.startswith("float"):
        flat[::3] = flat[::3].round()
        for step, value in ((7, np.nan), (9, -0.0), (10, 0.0), (11, np.inf), (12, -np.inf)):
            flat[step % 5 :: step] = value
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sort_and_topk(shape: tuple[int, ...], dtype: str) -> None:
    x = mixed(shape, dtype)
    a, b = tf.tensor(x), torch.tensor(x)
    for dim in range(len(shape)):
        for descending in (False, True):
            y, want = a.sort(dim, descending), b.sort(dim=dim, descending=descending, stable=True)
            agree(y, tuple(want))
            for k in (1, 3, 40):
                if k <= shape[dim]:
                    top = a.topk(k, dim, descending)
                    agree(top, tuple(t.narrow(dim, 0, k) for t in want))


@pytest.mark.parametrize("dtype", ["float32", "int64", "float16"])
@pytest.mark.parametrize("shape", [(50_000,), (2, 40_000)])
def test_long_rows_on_several_threads(shape: tuple[int, ...], dtype: str) -> None:
    x = mixed(shape, dtype)
    want = torch.tensor(x).sort(dim=-1, stable=True)
    for threads in (1, 2, 3):
        with config.override(threads=threads):
            agree(tf.tensor(x).sort(), tuple(want))


def test_sort_of_windows() -> None:
    x = mixed((12, 30), "float32")
    check(lambda x, m: x.T.sort(dim=0, stable=True), x, grad=False)
    check(lambda x, m: x[::2, 3:20].sort(dim=1, descending=True, stable=True), x, grad=False)
    check(lambda x, m: x.T.topk(3, 0)[0], np.arange(360.0).reshape(12, 30)[::-1].copy())
    check(lambda x, m: (x * 2).flip(1).sort(dim=1, stable=True), x, grad=False)


def test_gradients_of_sorted_values() -> None:
    x = np.random.default_rng(0).permutation(60).reshape(5, 12).astype("float32")
    check(lambda x, m: x.sort(dim=1), x)
    check(lambda x, m: x.topk(3, 0), x)
    check(lambda x, m: x.kthvalue(4, 1), x)
    check(lambda x, m: x.median(1), x)
    check(lambda x, m: m.msort(x), x)
    check(lambda x, m: x.cummax(1), x)
    check(lambda x, m: x.quantile(0.3, 1), x)
    check(lambda x, m: x.quantile(m.tensor([0.1, 0.5, 1.0]), 0, keepdim=True), x)


RANKED: dict[str, Callable[[Any, Any], Any]] = {
    "median": lambda x, m: x.median(),
    "median 0": lambda x, m: x.median(0)[0],
    "median 1": lambda x, m: x.median(1, keepdim=True)[0],
    "nanmedian": lambda x, m: x.nanmedian(),
    "nanmedian 0": lambda x, m: x.nanmedian(0)[0],
    "kthvalue": lambda x, m: x.kthvalue(3, 1)[0],
    "quantile": lambda x, m: x.quantile(0.25),
    "quantile rows": lambda x, m: x.quantile(m.tensor([0.0, 0.31, 1.0]), 1),
    "nanquantile": lambda x, m: x.nanquantile(0.6, 0, keepdim=True),
}
for how in ("lower", "higher", "midpoint", "nearest"):
    RANKED[f"quantile {how}"] = lambda x, m, how=how: x.nanquantile(0.37, 1, interpolation=how)


@pytest.mark.parametrize("name", RANKED)
def test_order_statistics(name: str) -> None:
    x = np.random.default_rng(2).standard_normal((9, 14)).astype("float32")
    check(RANKED[name], x, grad=False)
    x[3, 5] = x[7, 0] = x[2] = np.nan
    if name != "kthvalue":
        check(RANKED[name], x, grad=False)


def test_mode() -> None:
    x = np.random.default_rng(2).integers(0, 4, (9, 14))
    check(lambda x, m: x.mode(1)[0], x)
    check(lambda x, m: x.mode(0, keepdim=True)[0], x)
    assert tf.tensor([1, 2, 2, 3, 3]).mode() == (tf.tensor(2), tf.tensor(2))


SCANNED = [(5,), (40_001,), (3, 40_001), (9, 17), (17, 9, 5), (2, 3, 700), (4, 0, 3), (1,), ()]


@pytest.mark.parametrize("shape", SCANNED)
def test_scans(shape: tuple[int, ...]) -> None:
    x = np.asarray(np.random.default_rng(0).standard_normal(shape) * 1.2).astype("float32")
    short = x.size < 10_000
    for d in range(max(1, len(shape))):
        check(lambda x, m, d=d: x.cumsum(d), x, 1e-4)
        check(lambda x, m, d=d: x.cummax(d)[0], x, grad=shape != ())
        check(lambda x, m, d=d: x.cummin(d)[1], x, grad=False)
        check(lambda x, m, d=d: x.cumsum(d), (x * 10).astype("int32"))
        check(lambda x, m, d=d: x.cumprod(d), (x * 10).astype("int8"))
        check(lambda x, m, d=d: x.cummax(d), (x * 2).astype("int32"))
        if short:
            check(lambda x, m, d=d: x.cumprod(d), x)
            check(lambda x, m, d=d: x.cumprod(d), np.where(abs(x) < 0.4, 0, x).astype("f4"))
            check(lambda x, m, d=d: m.logcumsumexp(x, d), x)
        if shape:
            check(lambda x, m, d=d: x.permute(*range(x.dim())[::-1]).cumsum(d), x, 1e-4)


def test_scans_of_special_values() -> None:
    x = np.array([1, np.nan, 3, -np.inf, np.inf, 5], "float32")
    check(lambda x, m: x.cummax(0), x, grad=False)
    check(lambda x, m: x.cummin(0), x, grad=False)
    check(lambda x, m: x.cumsum(0), x, grad=False)
    y = np.array([-np.inf, -np.inf, 1, 1000, -1000, np.inf, 2, np.nan], "float32")
    check(lambda x, m: m.logcumsumexp(x, 0), y, grad=False)
    half = np.full(3000, 0.1, "float16")
    check(lambda x, m: x.cumsum(0), half, 1e-3, grad=False)


def test_second_gradients_of_scans() -> None:
    x = tf.tensor(np.random.default_rng(0).standard_normal((3, 5)), requires_grad=True)
    for f in (tf.cumsum, tf.cumprod, tf.logcumsumexp):
        assert tf.autograd.gradcheck(lambda x, f=f: f(x, 1), (x,))
        assert tf.autograd.gradgradcheck(lambda x, f=f: f(x * x, 1), (x,))
    zeros = tf.tensor([[1.0, 0.0, 2.0, 0.0]], dtype=tf.float64, requires_grad=True)
    assert tf.autograd.gradcheck(lambda x: tf.cumprod(x, 1), (zeros,))


def test_scans_do_not_depend_on_threads() -> None:
    x = np.random.default_rng(0).standard_normal((3, 100_000)).astype("float32")
    results = []
    for threads in (1, 2, 3):
        with config.override(threads=threads):
            results.append([tf.tensor(x).cumsum(d).numpy() for d in (0, 1)])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other))


OTHERS: dict[str, Callable[[Any, Any], Any]] = {
    "diff": lambda x, m: x.diff(),
    "diff twice": lambda x, m: m.diff(x, 2, 0, x[:1], x[2:4]),
    "trapezoid": lambda x, m: m.trapezoid(x, dx=0.5),
    "trapezoid at": lambda x, m: m.trapezoid(x, x[0].detach(), dim=1),
    "cumulative trapezoid": lambda x, m: m.cumulative_trapezoid(x, dim=0),
    "histc": lambda x, m: m.histc(x.detach(), 7),
    "histc within": lambda x, m: m.histc(x.detach(), 5, -1, 0.5),
    "masked_select": lambda x, m: x.masked_select(x.detach()[0] > 0),
    "masked_fill": lambda x, m: x.masked_fill(x.detach() > 0, 2.5),
    "masked_scatter": lambda x, m: x.masked_scatter(x.detach() > 0, x.flip(0) * 2),
    "select_scatter": lambda x, m: x.select_scatter(x[0] * 3, 0, -2),
    "slice_scatter": lambda x, m: x.slice_scatter(x[:, :4] * 3, 1, 1, 9, 2),
    "diagonal_scatter": lambda x, m: x.diagonal_scatter(x[:7, 0] * 3, 1),
    "diagonal_scatter below": lambda x, m: x.diagonal_scatter(x[:4, 0] * 3, -2),
    "nonzero": lambda x, m: (x > 0).nonzero(),
    "nonzero tuple": lambda x, m: (x > 0).nonzero(as_tuple=True),
    "where": lambda x, m: m.where(x > 0),
    "argwhere": lambda x, m: m.argwhere(x > 0),
    "searchsorted": lambda x, m: m.searchsorted(m.sort(x.detach(), 1)[0], x.detach()),
    "searchsorted right": lambda x, m: m.searchsorted(m.arange(-2.0, 2), x.detach(), right=True),
    "searchsorted sorter": lambda x, m: m.searchsorted(
        x[0].detach(), x.detach(), sorter=m.argsort(x[0].detach()), out_int32=True
    ),
    "bucketize": lambda x, m: m.bucketize(x.detach(), m.tensor([-1.0, 0.0, 1.0])),
    "isin": lambda x, m: m.isin(x.detach(), x[0].detach()),
    "tril_indices": lambda x, m: m.tril_indices(4, 6, -1),
    "triu_indices": lambda x, m: m.triu_indices(4, 6, 2),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str) -> None:
    x = np.random.default_rng(4).standard_normal((6, 8)).astype("float32")
    check(OTHERS[name], x)


def test_counts() -> None:
    x = np.random.default_rng(4).integers(0, 9, 300)
    check(lambda x, m: x.bincount(), x)
    check(lambda x, m: m.bincount(x, minlength=20), x)
    check(lambda x, m: m.bincount(x, m.arange(300.0)), x)
    with pytest.raises(RuntimeError, match="non-negative"):
        tf.bincount(tf.tensor([3, -1])).tolist()


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_unique(dtype: str) -> None:
    x = np.random.default_rng(4).integers(-4, 5, (20, 3)).astype(dtype)
    everything = {"return_inverse": True, "return_counts": True}
    for dim in (None, 0, 1):
        check(lambda x, m, d=dim: m.unique(x, dim=d, **everything), x, grad=False)
        check(lambda x, m, d=dim: m.unique_consecutive(x, dim=d, **everything), x, grad=False)
    check(lambda x, m: m.unique(x), x, grad=False)
    assert tf.unique(tf.zeros(0)).shape == (0,)


def test_masks_of_many_elements() -> None:
    for n in (0, 1, 63, 64, 65, 16_384, 50_001):
        mask = np.random.default_rng(n).random(n) < 0.3
        x = np.arange(n, dtype="int32")
        assert np.array_equal(tf.tensor(x)[tf.tensor(mask)].numpy(), x[mask])
        assert np.array_equal(tf.tensor(mask).nonzero().numpy()[:, 0], np.nonzero(mask)[0])
        twice = tf.tensor(np.repeat(mask, 2))[::2]
        assert np.array_equal(tf.tensor(x)[twice].numpy(), x[mask])


WRONG: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "topk": (lambda x: x.topk(9), RuntimeError),
    "topk below": (lambda x: x.topk(-1), RuntimeError),
    "kthvalue": (lambda x: x.kthvalue(0), RuntimeError),
    "dim": (lambda x: x.sort(5), IndexError),
    "cumsum dim": (lambda x: x.cumsum(-3), IndexError),
    "quantile": (lambda x: x.quantile(1.5), RuntimeError),
    "median of nothing": (lambda x: x[:, :0].median(1), IndexError),
    "searchsorted": (lambda x: tf.searchsorted(x, x[0]), RuntimeError),
    "masked_scatter": (
        lambda x: x.masked_scatter(x == x, x[0]).tolist(),
        RuntimeError,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use(name: str) -> None:
    f, kind = WRONG[name]
    with pytest.raises(kind):
        f(tf.ones(3, 4))


@pytest.mark.parametrize("shape", [(3, 40, 5001), (9000, 7), (2, 700, 33)])
def test_threads_do_not_change_scans_or_scatters(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    positions = np.random.default_rng(1).integers(0, 50, shape[0])
    results = []
    for threads in (1, 2, 3):
        with config.override(threads=threads):
            t = tf.tensor(x)
            start = tf.zeros(50, *shape[1:])
            added = start.index_add(0, tf.tensor(positions), t)
            results.append([t.cumsum(a).numpy() for a in range(len(shape))] + [added.numpy()])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    for axis, got in enumerate(results[0][:-1]):
        np.testing.assert_allclose(got, x.astype(np.float64).cumsum(axis), rtol=1e-4, atol=1e-3)
    want = np.zeros((50, *shape[1:]))
    np.add.at(want, positions, x)
    np.testing.assert_allclose(results[0][-1], want, rtol=1e-4, atol=1e-3)

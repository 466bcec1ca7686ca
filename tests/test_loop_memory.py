"""How loop kernels move data: turned inputs, streamed outputs, kept values, columns."""

from __future__ import annotations

import numpy as np
import pytest

import twofold as tf
from twofold import config, engine, machine
from twofold.kernels import loop_memory, loop_schedule
from twofold.kernels.launch import Scratch
from twofold.kernels.loops import LoopKernel

pytestmark = pytest.mark.native

RANDOM = np.random.default_rng(0)


def _array(shape: tuple[int, ...], kind: type = np.float32) -> np.ndarray:
    return (RANDOM.normal(size=shape) * 50).astype(kind)


def _specs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[LoopKernel, list]]:
    """The loop kernels scheduled from now on, with their launches' arguments."""
    seen: list[tuple[LoopKernel, list]] = []
    original = loop_schedule._launch

    def spy(*args: object, **kwargs: object) -> object:
        launch = original(*args, **kwargs)  # type: ignore[arg-type]
        seen.append((launch.spec, launch.args))
        return launch

    monkeypatch.setattr(loop_schedule, "_launch", spy)
    return seen


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int8, np.uint8, np.int16, np.int64])
@pytest.mark.parametrize("shape", [(513, 77), (16, 16), (8, 9), (100, 300)])
@pytest.mark.parametrize("target", ["host", "x86-64-v2"])
def test_transposed_input(shape: tuple[int, ...], kind: type, target: str) -> None:
    x = _array(shape, kind)
    with config.override(target=target):
        np.testing.assert_array_equal((tf.tensor(x).t() + 1).numpy(), x.T + kind(1))


@pytest.mark.parametrize("shape", [(4, 3, 20, 20), (2, 64, 28, 28), (3, 17, 5, 9), (2, 9, 8, 31)])
def test_permuted_input(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    x, seen = _array(shape), _specs(monkeypatch)
    last = (tf.tensor(x).permute(0, 2, 3, 1) * 2).numpy()
    np.testing.assert_array_equal(last, x.transpose(0, 2, 3, 1) * 2)
    first = (tf.tensor(x).permute(0, 3, 1, 2) * 2).numpy()
    np.testing.assert_array_equal(first, x.transpose(0, 3, 1, 2) * 2)
    assert any(spec.turned for spec, _ in seen) == (min(shape[1:]) >= 8 or shape[3] >= 8)


def test_sum_with_the_transpose() -> None:
    x = _array((300, 300))
    np.testing.assert_array_equal((tf.tensor(x) + tf.tensor(x).t()).numpy(), x + x.T)
    np.testing.assert_array_equal((tf.tensor(x).t() > 0).numpy(), x.T > 0)


@pytest.mark.parametrize("extra", [0, 5])
def test_large_outputs_are_streamed(extra: int, monkeypatch: pytest.MonkeyPatch) -> None:
    n = machine.target_for("host").l3_bytes // 8 + 64 + extra
    x, seen = _array((n,)), _specs(monkeypatch)
    np.testing.assert_array_equal((tf.tensor(x) * 2).numpy(), x * 2)
    assert seen[-1][0].streamed


def test_rows_that_start_amid_a_line_are_not_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    n = int((machine.target_for("host").l3_bytes // 8) ** 0.5) + 64 | 1
    x, y, seen = _array((n, n)), _array((n,)), _specs(monkeypatch)
    np.testing.assert_array_equal((tf.tensor(x) * tf.tensor(y)).numpy(), x * y)
    assert not seen[-1][0].streamed


@pytest.mark.parametrize("shape", [(37, 100), (5, 4096), (2, 3, 1001), (3, 70_000)])
def test_dear_values_are_kept(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    x, seen = (_array(shape) / 50).astype(np.float32), _specs(monkeypatch)
    got = tf.tensor(x).softmax(-1).numpy()
    e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    np.testing.assert_allclose(got, e / e.sum(-1, keepdims=True), rtol=2e-6)
    kept = [spec for spec, args in seen if any(isinstance(a, Scratch) for a in args)]
    assert bool(kept) == (shape[-1] * 4 <= loop_memory.KEPT_BYTES)
    with config.override(backend="reference"):
        np.testing.assert_allclose(got, tf.tensor(x).softmax(-1).numpy(), rtol=2e-6)


@pytest.mark.parametrize(
    "shape", [(100, 5), (1000, 100), (33, 128), (600, 515), (7, 2000), (9, 4201)]
)
def test_sums_of_columns(shape: tuple[int, ...]) -> None:
    x = _array(shape)
    exact = x.astype(np.float64).sum(0)
    size = np.abs(x).sum(0)
    got = tf.tensor(x).sum(0).numpy()
    assert np.all(np.abs(got - exact) <= 1e-6 * size)
    several = [tf.tensor(x).sum(0), tf.tensor(x).max(0).values, (tf.tensor(x) ** 2).sum(0)]
    engine.flush()
    np.testing.assert_array_equal(several[0].numpy(), got)
    np.testing.assert_array_equal(several[1].numpy(), x.max(0))


def test_threads_do_not_change_bits() -> None:
    x = _array((700, 900))
    results = []
    for threads in (1, 2, 3):
        with config.override(threads=threads):
            t = tf.tensor(x)
            results.append([t.sum(0).numpy(), t.softmax(1).numpy(), (t.t() + 1).numpy()])
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("n", [9000, 16384, 16385, 70000])
def test_sums_do_not_depend_on_what_is_written(n: int) -> None:
    """A row's sum alone, beside its values, and before what is made of it; on some threads."""
    x = _array((3, n)) / 20
    results = []
    for threads in (1, 2, 3):
        with config.override(threads=threads):
            t = tf.tensor(x)
            alone = t.exp().sum(1).numpy()
            e = t.exp()
            beside = e.sum(1)
            tf.eval(e, beside)
            np.testing.assert_allclose(e.numpy(), np.exp(x), rtol=1e-6)
            e = t.exp()
            total = e.sum(1, keepdim=True)
            tf.eval(total, e / total)
            results += [alone, beside.numpy(), total.numpy()[:, 0]]
    assert len({r.tobytes() for r in results}) == 1


def test_an_update_in_place_beside_its_sum() -> None:
    """New values over old ones, in the kernel that also sums both."""
    x = _array((90001,))

    @tf.compile
    def step(p: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        before = (p * p).sum()
        p.mul_(0.5).add_(1.0)
        return before, p.sum()

    p = tf.tensor(x)
    for _ in range(4):
        before, after = step(p)
        np.testing.assert_allclose(before.item(), (x.astype(np.float64) ** 2).sum(), rtol=1e-5)
        x = x * np.float32(0.5) + 1
        np.testing.assert_allclose(after.item(), x.astype(np.float64).sum(), rtol=1e-4)
        np.testing.assert_allclose(p.numpy(), x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("columns", [1040, 1531])
def test_rows_whose_last_walk_is_late(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long inputs are normalised row by row to the bits of short ones, on some threads; and values
    beside a row's results are its own."""
    n = machine.target_for("host").l3_bytes // (8 * columns) + 3
    x, w, seen = _array((n, columns)), tf.tensor(_array((columns,))), _specs(monkeypatch)
    few = [0, 1, n // 2, n - 1]

    def shares(t: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        apart = t - t.mean(1, keepdim=True)
        total = (apart * apart).sum(1, keepdim=True)
        result = apart / total * w
        del apart
        tf.eval(result, total)
        return result.numpy(), total.numpy()

    for threads in (1, 2, 3):
        with config.override(threads=threads):
            large = shares(tf.tensor(x))
            assert seen[-1][0].late
            small = shares(tf.tensor(x[few]))
            assert not seen[-1][0].late
            np.testing.assert_array_equal(large[0][few], small[0])
            np.testing.assert_array_equal(large[1][few], small[1])
    exact = x.astype(np.float64) - x.mean(1, keepdims=True, dtype=np.float64)
    exact *= w.numpy() / (exact * exact).sum(1, keepdims=True)
    np.testing.assert_allclose(large[0], exact, rtol=1e-4, atol=1e-7)


def test_nan_reaches_the_largest_and_the_least() -> None:
    x = _array((5, 300))
    x[1, 7], x[2, 299], x[3, 0] = np.nan, -np.nan, np.nan
    for t, axis in ((tf.tensor(x), 1), (tf.tensor(np.ascontiguousarray(x.T)), 0)):
        for got, want in ((t.max(axis), x.max(1)), (t.min(axis), x.min(1))):
            np.testing.assert_array_equal(got.values.numpy(), want)
    pair = tf.maximum(tf.tensor(x), tf.tensor(x[::-1].copy())).numpy()
    np.testing.assert_array_equal(pair, np.maximum(x, x[::-1]))

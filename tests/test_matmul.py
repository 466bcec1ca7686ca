"""Products of matrices: against float64, against PyTorch, on each kind of processor, and their
bits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import twofold as tf
from twofold import config, dtypes, engine, machine
from twofold.codegen import jit
from twofold.kernels import matmul
from twofold.kernels.launch import Array, Buffer

TARGETS = ("host", "x86-64-v2", "x86-64-v3")
SIZES = [
    (1, 1, 1),
    (3, 5, 7),
    (13, 17, 33),
    (64, 100, 100),
    (15, 700, 16),
    (100, 70, 130),
    (5, 0, 3),
    (29, 9, 10),
    (2, 1300, 300),
    (150, 50, 200),
    (1, 700, 530),
    (4, 37, 290),
    (300, 90, 1),
]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def tolerance(k: int, scale: float = 1.0) -> float:
    return 4e-6 * max(k, 1) ** 0.5 * scale


def layouts(x: np.ndarray) -> list[tf.Tensor]:
    """Tensors equal to x: dense, transposed, a slice with gaps, and every other element."""
    m, n = x.shape
    wide = np.full((m + 2, n + 3), np.nan, x.dtype)
    wide[1:-1, 2:-1] = x
    sparse = np.full((m, 2 * n), np.nan, x.dtype)
    sparse[:, ::2] = x
    return [
        tf.tensor(x),
        tf.tensor(np.ascontiguousarray(x.T)).T,
        tf.tensor(wide)[1:-1, 2:-1],
        tf.tensor(sparse)[:, ::2],
    ]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_layout(size: tuple[int, int, int], target: str) -> None:
    m, k, n = size
    a, b = random(m, k), random(k, n, seed=1)
    want = a.astype(np.float64) @ b
    with config.override(target=target):
        results = [(x @ y).numpy() for x, y in itertools.product(layouts(a), layouts(b))]
    for got in results:
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=tolerance(k))
        assert got.tobytes() == results[0].tobytes()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", [d.name for d in dtypes.FLOATS])
def test_floats(name: str, target: str) -> None:
    torch = pytest.importorskip("torch")
    for m, k, n in [(3, 5, 7), (33, 70, 40), (1, 900, 10)]:
        a, b = torch.randn(m, k), torch.randn(k, n)
        a, b = a.to(getattr(torch, name)), b.to(getattr(torch, name))
        want = (a.double() @ b.double()).to(a.dtype).double().numpy()
        dtype = getattr(tf, name)
        with config.override(target=target):
            x = tf.tensor(a.float().numpy()).to(dtype)
            y = tf.tensor(b.float().numpy()).to(dtype)
            if name == "float64":
                x, y = tf.tensor(a.numpy()), tf.tensor(b.numpy())
            got = (x @ y).to(tf.float64).numpy()
            turned = (y.T @ x.T).T.to(tf.float64).numpy()
        digits = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 1e-5, "float64": 1e-12}[name]
        np.testing.assert_allclose(got, want, rtol=digits, atol=digits * k**0.5 / 4)
        np.testing.assert_array_equal(got, turned)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", [d.name for d in dtypes.INTEGERS])
def test_integers_wrap_around(name: str, target: str) -> None:
    info = np.iinfo(name)
    rng = np.random.default_rng(0)
    for m, k, n in [(3, 5, 7), (20, 70, 40), (1, 9, 1)]:
        a = rng.integers(info.min, info.max, (m, k), name, endpoint=True)
        b = rng.integers(info.min, info.max, (k, n), name, endpoint=True)
        with config.override(target=target):
            got = (tf.tensor(a) @ tf.tensor(b)).numpy()
            turned = (tf.tensor(b).T @ tf.tensor(a).T).T.numpy()
        np.testing.assert_array_equal(got, a @ b)
        np.testing.assert_array_equal(turned, a @ b)


@pytest.mark.parametrize(
    "shapes",
    [
        ((4,), (4,)),
        ((4,), (4, 3)),
        ((3, 4), (4,)),
        ((5, 3, 4), (4,)),
        ((4,), (5, 4, 3)),
        ((5, 3, 4), (5, 4, 2)),
        ((5, 3, 4), (4, 2)),
        ((3, 4), (5, 4, 2)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((2, 5, 3, 4), (2, 1, 4, 6)),
        ((0, 3, 4), (0, 4, 2)),
        ((2, 3, 0), (2, 0, 4)),
        ((2, 0, 3), (2, 3, 4)),
        ((2, 40, 30), (2, 30, 50)),
    ],
    ids=str,
)
def test_stacks_and_vectors(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = random(*shapes[0]), random(*shapes[1], seed=1)
    got = (tf.tensor(a) @ tf.tensor(b)).numpy()
    want = np.matmul(a.astype(np.float64), b)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_stacks_that_do_not_merge() -> None:
    a, b = random(3, 2, 7, 5), random(2, 3, 5, 6, seed=1)
    got = tf.tensor(a).permute(1, 0, 2, 3) @ tf.tensor(b)
    want = a.transpose(1, 0, 2, 3).astype(np.float64) @ b
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-5)


def test_bits_do_not_depend_on_threads() -> None:
    for m, k, n in [(64, 1000, 100), (300, 300, 300), (1, 3000, 500), (20, 5000, 25)]:
        a, b = random(m, k), random(k, n, seed=1)
        results = []
        for threads in (1, 2, 3, 7):
            with config.override(threads=threads):
                results.append((tf.tensor(a) @ tf.tensor(b)).numpy().tobytes())
        assert len(set(results)) == 1


@pytest.mark.parametrize("rows", [1, 2, 4, 5])
def test_few_rows_and_what_is_done_with_them(rows: int) -> None:
    x, w, b = random(3, rows, 70), random(3, 130, 70, seed=1), random(130)
    want = np.maximum(x.astype(np.float64) @ w.transpose(0, 2, 1) + b, 0) * 2
    for weights in (tf.tensor(w).mT, tf.tensor(np.ascontiguousarray(w.transpose(0, 2, 1)))):
        for dtype, digits in ((tf.float32, 1e-5), (tf.float64, 1e-5), (tf.bfloat16, 3e-2)):
            fused = (tf.tensor(x).to(dtype) @ weights.to(dtype) + tf.tensor(b).to(dtype)).relu() * 2
            got = fused.to(tf.float64).numpy()
            np.testing.assert_allclose(got, want, rtol=digits, atol=digits * 30)
    sums = (tf.tensor(x) @ tf.tensor(w).mT).numpy()
    fused = (tf.tensor(x) @ tf.tensor(w).mT + tf.tensor(b)).relu()
    np.testing.assert_array_equal(fused.numpy(), np.maximum(sums + b, 0))
    turned = (tf.tensor(w) @ tf.tensor(x).mT + tf.tensor(b)[:, None]).relu()
    np.testing.assert_array_equal(turned.numpy(), fused.mT.numpy())


def test_values_given_begin_where_lines_do() -> None:
    for n in (1000, 1001, 70000):
        assert tf.tensor(np.zeros(n, np.float32)).data_ptr() % 64 == 0
        assert tf.tensor([0.5] * n, dtype=tf.bfloat16).data_ptr() % 64 == 0


def test_special_values_stay_in_their_rows_and_columns() -> None:
    a, b = random(20, 30), random(30, 20, seed=1)
    a[3, 4], b[6, 19] = np.nan, np.inf
    with np.errstate(all="ignore"):
        want = a.astype(np.float64) @ b
    got = (tf.tensor(a) @ tf.tensor(b)).numpy()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))


def launches(*tensors: tf.Tensor) -> int:
    """Launches that computing the tensors takes."""
    nodes = [t._node() for t in tensors]
    return len(engine.plan_graph(nodes).memory.launches)


def work(a: tf.Tensor, b: tf.Tensor, bias: tf.Tensor, rest: tf.Tensor) -> list[tf.Tensor]:
    y = a @ b
    h = (y + bias).relu()
    return [h * rest, h, (y * 0.25).tanh()]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("size", [(3, 5, 7), (40, 50, 33), (13, 700, 64)], ids=str)
def test_work_on_a_product_keeps_its_bits(
    size: tuple[int, int, int], name: str, target: str
) -> None:
    m, k, n = size
    dtype = getattr(tf, name)
    arrays = [random(m, k), random(k, n, seed=1), random(n, seed=2), random(m, n, seed=3)]
    with config.override(target=target):
        a, b, bias, rest = (tf.tensor(x).to(dtype) for x in arrays)
        engine.flush()
        fused = [t.to(tf.float64).numpy() for t in work(a, b, bias, rest)]
        y = a @ b
        engine.flush()
        h = y + bias
        engine.flush()
        h = h.relu()
        engine.flush()
        cut = [t.to(tf.float64).numpy() for t in (h * rest, h, (y * 0.25).tanh())]
    for got, want in zip(fused, cut):
        np.testing.assert_array_equal(got, want)


def test_work_on_a_product_is_one_launch() -> None:
    a, b, bias = tf.tensor(random(8, 9)), tf.tensor(random(9, 40)), tf.tensor(random(40))
    rest = tf.tensor(random(8, 40))
    engine.flush()
    assert launches((a @ b + bias).relu()) == 1
    assert launches(*work(a, b, bias, rest)) == 1
    stack = tf.tensor(random(3, 8, 9)).requires_grad_(False)
    engine.flush()
    assert launches((stack @ stack.transpose(1, 2) * 0.5).exp()) == 1


def test_a_raw_product_is_kept_where_it_is_read() -> None:
    a, b = random(30, 20), random(20, 50, seed=1)
    y = tf.tensor(a) @ tf.tensor(b)
    z, total = y.exp(), y.sum(0)
    want = a.astype(np.float64) @ b
    np.testing.assert_allclose(z.numpy(), np.exp(want), rtol=1e-4)
    np.testing.assert_allclose(total.numpy(), want.sum(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(y.numpy(), want, rtol=1e-4, atol=1e-5)


def test_backward_after_the_value_was_looked_at() -> None:
    a = tf.tensor(random(6, 5)).requires_grad_()
    b = tf.tensor(random(5, 40, seed=1))
    y = tf.nn.functional.gelu(a @ b)
    assert np.isfinite(y.detach().numpy()).all()
    y.sum().backward()
    assert a.grad is not None
    step = 1e-3
    up, down = a.detach().numpy().copy(), a.detach().numpy().copy()
    up[2, 3] += step
    down[2, 3] -= step
    with tf.no_grad():
        high, low = (
            tf.nn.functional.gelu(tf.tensor(x).double() @ b.double()).sum().item()
            for x in (up, down)
        )
    assert abs((high - low) / (2 * step) - a.grad.numpy()[2, 3]) < 1e-2


def test_a_reader_that_waits_for_the_product_does_not_join_it() -> None:
    a, b = random(12, 12), random(12, 12, seed=1)
    y = tf.tensor(a) @ tf.tensor(b)
    share = y / y.sum()
    want = a.astype(np.float64) @ b
    np.testing.assert_allclose(share.numpy(), want / want.sum(), rtol=1e-3, atol=1e-4)


def test_sizes_do_not_compile_anew() -> None:
    w = tf.tensor(random(64, 48))
    for m in (2, 30, 500):
        (tf.tensor(random(m, 64)) @ w).numpy()
    before = jit.counts["compiled"] + jit.counts["from_disk"]
    for m in range(3, 53):
        (tf.tensor(random(m, 64)) @ w).numpy()
    assert jit.counts["compiled"] + jit.counts["from_disk"] - before <= 2


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "int8", "int64"])
def test_products_of_vectors(name: str) -> None:
    dtype = getattr(tf, name)
    whole = dtype.kind != "float"
    a, b = (
        np.round(random(900, seed=seed) * 3) if whole else random(900, seed=seed) for seed in (0, 1)
    )
    x, y = tf.tensor(a).to(dtype), tf.tensor(b).to(dtype)
    dot, outer = (x @ y).double().numpy(), x[:30].reshape(30, 1) @ y[:40].reshape(1, 40)
    held_x, held_y = x.double().numpy(), y.double().numpy()
    want = held_x @ held_y
    if whole:
        bits = 8 * dtype.itemsize
        want = (int(want) + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    np.testing.assert_allclose(dot, want, rtol=1e-2 if name.startswith("b") else 2e-3, atol=0.02)
    product = np.outer(held_x[:30], held_y[:40])
    np.testing.assert_allclose(outer.double().numpy(), product, rtol=5e-3)


def test_a_column_keeps_its_bits_in_every_layout() -> None:
    a, v = random(70, 900), random(900, 1, seed=1)
    results = {(x @ y).numpy().tobytes() for x in layouts(a) for y in layouts(v)}
    results |= {(y.T @ x.T).T.numpy().tobytes() for x in layouts(a) for y in layouts(v)}
    assert len(results) == 1


def test_an_outer_product_is_fused_with_its_readers() -> None:
    a, b = tf.tensor(random(30)), tf.tensor(random(40))
    engine.flush()
    assert launches((a.reshape(-1, 1) @ b.reshape(1, -1) + 1).exp()) == 1


def test_a_fixed_number_of_columns_takes_a_small_kernel_and_a_varying_one_takes_two() -> None:
    rng = np.random.default_rng(5)
    a = rng.integers(-9, 9, (40, 37)).astype(np.int64)
    sizes = (32, 64, 10, 7, 33, 48, 41, 80, 9, 70)
    # Narrow tiles pack A where 64 columns use it, and do not for 32: twice as many kernels.
    most = 1 if machine.target_for(config.current().target).vector_bytes == 64 else 2
    before = dict(jit.counts)
    for n in sizes:
        b = rng.integers(-9, 9, (37, n)).astype(np.int64)
        got = np.asarray(tf.from_numpy(a) @ tf.from_numpy(b))
        assert np.array_equal(got, a @ b)
        if n == sizes[1]:
            fixed = jit.counts["compiled"] + jit.counts["from_disk"]
            # None where a test before has brought it into the process.
            assert fixed - before["compiled"] - before["from_disk"] <= most
    known = jit.counts["compiled"] + jit.counts["from_disk"]
    assert known - fixed <= most


def test_threads_take_many_small_products_at_a_time() -> None:
    target = machine.target_for("host")
    for copies, size, least in ((4096, 8, 40), (64, 128, 1)):
        buffer = Buffer(4 * copies * size * size, "leaf")
        dense = Array(buffer), (size * size, size, 1)
        (launch,) = matmul.schedule(
            dtypes.float32, (size, size, size), (copies,), dense, dense, dense, None, target, 2
        )
        assert least <= launch.grain <= max(1, launch.items // 8)

"""Indexing by arrays and masks, to read and to write, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import twofold as tf

torch = pytest.importorskip("torch")

SHAPE = (5, 6, 7)


def base(dtype: str = "float32") -> np.ndarray:
    values = np.random.default_rng(3).standard_normal(SHAPE) * 4
    return values.astype(dtype)


def ints(m: Any, *shape: int, high: int, low: int = 0) -> Any:
    return m.tensor(np.random.default_rng(sum(shape)).integers(low, high, shape))


def check(f: Callable[[Any, Any], Any], x: np.ndarray | None = None, grad: bool = True) -> None:
    """f(x, module) gives what PyTorch gives, and its gradient too."""
    x = base() if x is None else x
    grad = grad and x.dtype.kind == "f"
    a, b = tf.tensor(x), torch.tensor(x)
    if grad:
        a.requires_grad_()
        b.requires_grad_()
    y, want = f(a, tf), f(b, torch)
    assert tuple(y.shape) == tuple(want.shape)
    assert str(y.dtype).split(".")[1] == str(want.dtype).split(".")[1]
    np.testing.assert_allclose(
        y.detach().numpy(), want.detach().numpy(), rtol=1e-5, atol=1e-5, equal_nan=True
    )
    if not (grad and want.requires_grad):
        return
    weight = np.random.default_rng(1).standard_normal(tuple(want.shape)).astype(x.dtype)
    (y * tf.tensor(weight)).sum().backward()
    (want * torch.tensor(weight)).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-4, atol=1e-4)


READS: dict[str, Callable[[Any, Any], Any]] = {
    "vector": lambda x, m: x[ints(m, 3, high=5)],
    "negative": lambda x, m: x[ints(m, 9, high=5, low=-5)],
    "matrix on axis 1": lambda x, m: x[:, ints(m, 3, 2, high=6)],
    "separated": lambda x, m: x[ints(m, 3, high=5), :, ints(m, 3, high=7)],
    "adjacent": lambda x, m: x[1:, ints(m, 3, high=6), ints(m, 2, 1, high=7)],
    "all axes": lambda x, m: x[ints(m, 3, high=5), ints(m, 3, high=6), ints(m, 3, high=7)],
    "mask": lambda x, m: x[x.detach() > 0],
    "row mask": lambda x, m: x[x[:, 0, 0] > 0],
    "mask on axis 1": lambda x, m: x[:, x[0, :, 0] > 0],
    "mask and integers": lambda x, m: x[x[:, 0, 0] > 0, 0],
    "list": lambda x, m: x[..., -1, [0, 2]],
    "new axis": lambda x, m: x[None, [0, 2]],
    "new axis within": lambda x, m: x[[0, 2], None, :, [1, 3]],
    "step": lambda x, m: x[::2, [1, 1, 0], 1::3],
    "array": lambda x, m: x[np.array([0, 4])],
    "numpy mask": lambda x, m: x[np.arange(5) > 2],
    "0-d": lambda x, m: x[m.tensor(2)],
    "0-d and slice": lambda x, m: x[1:, m.tensor(2)],
    "empty list": lambda x, m: x[[]],
    "int32": lambda x, m: x[m.tensor([0, 3], dtype=m.int32)],
    "transposed": lambda x, m: x.permute(2, 0, 1)[[6, 0, 0]],
    "flipped": lambda x, m: x.flip(0)[[4, 0, 0], :, 2],
    "twice": lambda x, m: x[[1, 2, 3]][:, [0, 0]],
    "of a product": lambda x, m: (x * 2 + 1)[[1, 2, 3]],
    "of a ratio": lambda x, m: (x / (x * x).sum(2, keepdim=True))[:, [0, 5]],
    "of a padding": lambda x, m: m.cat([x, x * 2], 1)[:, [0, 7, 11]],
    "of a reshape": lambda x, m: x.permute(1, 0, 2).reshape(-1)[[0, 209, 17]],
    "expanded": lambda x, m: x[:, :1].expand(5, 4, 7)[[0, 1], [2, 3]],
    "gather 0": lambda x, m: m.gather(x, 0, ints(m, 2, 6, 2, high=5)),
    "gather 1": lambda x, m: m.gather(x, 1, ints(m, 3, 4, 7, high=6)),
    "gather 2": lambda x, m: x.gather(-1, ints(m, 5, 6, 9, high=7)),
    "take": lambda x, m: x.take(ints(m, 5, 5, high=200, low=-200)),
    "take_along_dim": lambda x, m: m.take_along_dim(x, ints(m, 5, 1, 7, high=6), 1),
    "take_along_dim flat": lambda x, m: m.take_along_dim(x, ints(m, 5, high=200)),
    "index_select 0": lambda x, m: x.index_select(0, ints(m, 7, high=5)),
    "index_select 1": lambda x, m: m.index_select(x, 1, ints(m, 7, high=6)),
    "index_select 2": lambda x, m: x.index_select(-1, ints(m, 3, high=7)),
}


@pytest.mark.parametrize("name", READS)
def test_reads(name: str) -> None:
    check(READS[name])


WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "index_add": lambda x, m: x.index_add(1, ints(m, 8, high=6), x[:, [0] * 8] * 2, alpha=2),
    "index_copy": lambda x, m: x.index_copy(1, m.tensor([2, 1]), x[:, :2] * 3),
    "index_fill": lambda x, m: x.index_fill(2, m.tensor([2, 1]), 3.5),
    "scatter": lambda x, m: x.scatter(1, m.argsort(x.detach(), 1), x * 2),
    "scatter small": lambda x, m: x.scatter(0, ints(m, 1, 3, 4, high=5), x[:1, :3, :4] * 2),
    "scatter number": lambda x, m: x.scatter(0, ints(m, 5, 6, 7, high=5), 2.5),
    "put": lambda x, m: x.clone().put_(m.tensor([3, 150, 20, 7, 9]), x[0, 0, :5]),
    "put and add": lambda x, m: x.clone().put_(ints(m, 99, high=9), x[0, 0, [0] * 99], True),
}
for axis in range(3):
    WRITES[f"scatter_add {axis}"] = lambda x, m, d=axis: x.scatter_add(
        d, ints(m, 5, 5, 5, high=5), x[:, :5, :5] * 2
    )
    for how in ("sum", "prod", "mean", "amax", "amin"):
        for own in (True, False):
            WRITES[f"scatter_reduce {axis} {how} {own}"] = lambda x, m, d=axis, how=how, own=own: (
                x.scatter_reduce(d, ints(m, 5, 6, 7, high=5), x * 2, how, include_self=own)
            )


@pytest.mark.parametrize("name", WRITES)
def test_writes(name: str) -> None:
    if "argsort" in WRITES[name].__code__.co_names and not hasattr(tf, "argsort"):
        pytest.skip("needs argsort")
    check(WRITES[name])


ASSIGNMENTS: dict[str, tuple[Callable, Callable]] = {
    "mask, number": (lambda x, m: x > 0, lambda x, m: 0.5),
    "mask, values": (lambda x, m: x > 0, lambda x, m: x[x > 0] * 3),
    "row mask": (lambda x, m: x[:, 0, 0] > 0, lambda x, m: x[0] * 0 + 7),
    "list": (lambda x, m: (slice(None), [1, 2]), lambda x, m: m.ones(2, 7)),
    "separated": (
        lambda x, m: (m.tensor([1, 2]), slice(None), m.tensor([0, 3])),
        lambda x, m: x[0, 0, 0] * m.ones(6) * 3,
    ),
    "transposed": (lambda x, m: (..., [0, 3]), lambda x, m: x[:, :, 1:3] * 2),
    "negative": (lambda x, m: [-1, -5], lambda x, m: 2),
}


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_assignments(name: str) -> None:
    index, value = ASSIGNMENTS[name]

    def assigned(x: Any, m: Any) -> Any:
        y = x * 1
        y[index(y.detach(), m)] = value(y, m)
        return y

    check(assigned)


def test_one_storage_seen_through_a_window() -> None:
    x = tf.zeros(4, 5)
    view = x.T[1:]
    view[[0, 2]] = tf.arange(8.0).reshape(2, 4)
    assert x[:, 1].tolist() == [0, 1, 2, 3] and x[:, 3].tolist() == [4, 5, 6, 7]
    assert x.sum().item() == 28


def test_repeated_positions_add_up_in_order() -> None:
    n = 40_000
    i = np.random.default_rng(0).integers(0, 50, n)
    v = np.random.default_rng(1).standard_normal((n, 3)).astype("f4")
    want = np.zeros((50, 3), "f4")
    for k, row in zip(i, v):
        want[k] += row
    got = tf.zeros(50, 3).index_add(0, tf.tensor(i), tf.tensor(v))
    assert np.array_equal(got.numpy(), want)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64, tf.int8, tf.bool, tf.uint8])
def test_dtypes(dtype: Any) -> None:
    x = tf.tensor(np.arange(24).reshape(4, 6) % 5).to(dtype)
    i = tf.tensor([3, 0, 0])
    assert x[i].tolist() == [x.tolist()[k] for k in (3, 0, 0)]
    y = x.clone()
    y[:, i] = x[:, :3]
    want = np.array(x.tolist())
    want[:, [3, 0, 0]] = np.array(x.tolist())[:, :3]
    assert y.tolist() == want.tolist()


def test_embedding_and_its_gradient() -> None:
    w = np.random.default_rng(0).standard_normal((20, 8)).astype("f4")
    i = np.random.default_rng(1).integers(0, 20, (4, 9))
    for padding, by_frequency in ((-1, False), (3, False), (2, True)):
        a = tf.tensor(w, requires_grad=True)
        b = torch.tensor(w, requires_grad=True)
        y = tf.embedding(a, tf.tensor(i), padding, by_frequency)
        want = torch.embedding(b, torch.tensor(i), padding, by_frequency)
        np.testing.assert_array_equal(y.detach().numpy(), want.detach().numpy())
        (y * y).sum().backward()
        (want * want).sum().backward()
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5, atol=1e-5)


def test_second_gradients() -> None:
    x = tf.tensor(base("float64"), requires_grad=True)
    i = tf.tensor([0, 3, 3])
    assert tf.autograd.gradcheck(lambda x: x[i, i], (x,))
    assert tf.autograd.gradgradcheck(lambda x: (x[i] ** 3).sum((1, 2)), (x,))
    v = tf.tensor(base("float64")[:3], requires_grad=True)
    assert tf.autograd.gradcheck(lambda x, v: x.index_add(0, i, v), (x, v))
    assert tf.autograd.gradcheck(lambda x, v: x.index_copy(0, i, v), (x, v))


BAD: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "index": (lambda x: x[tf.tensor([0, 9])], IndexError, "index 9 is out of bounds for dim"),
    "axis 1": (lambda x: x[:, [0, -7]], IndexError, "index -7 is out of bounds for dimension 1"),
    "gather": (
        lambda x: x.gather(0, tf.full((1, 6, 7), -1, dtype=tf.int64)),
        RuntimeError,
        "index -1 is out of bounds",
    ),
    "index_select": (lambda x: x.index_select(0, tf.tensor([5])), IndexError, "index out of range"),
    "embedding": (lambda x: tf.embedding(x, tf.tensor([5])), IndexError, "index out of range"),
    "take": (lambda x: x.take(tf.tensor([210])), IndexError, "out of range: tried to access"),
    "write": (lambda x: x.index_add(0, tf.tensor([7]), x[:1]), IndexError, "index out of range"),
    "of zeros": (lambda x: tf.zeros(3)[tf.tensor([1, 3])], IndexError, "index 3 is out of bounds"),
    "of ones, gathered": (
        lambda x: tf.ones(3, 4).gather(1, tf.tensor([[4]])) * 2,
        RuntimeError,
        "index 4 is out of bounds",
    ),
    "of one row": (lambda x: x[:1].expand(4, 6, 7)[tf.tensor([4])], IndexError, "index 4 is out"),
    "one_hot": (lambda x: tf.one_hot(tf.tensor([4]), 3), RuntimeError, "Class values must be"),
}


@pytest.mark.parametrize("name", BAD)
def test_positions_out_of_range(name: str) -> None:
    f, kind, text = BAD[name]
    x = tf.tensor(base())
    bad = f(x)
    with pytest.raises(kind, match=text) as caught:
        bad.tolist()
    assert "test_indexing.py" in str(caught.value)
    with pytest.raises(kind, match=text):
        (bad + 1).sum().item()
    # Others go on.
    assert (x - x).sum().item() == 0


WRONG: dict[str, tuple[Callable[[Any], Any], type[Exception]]] = {
    "float index": (lambda x: x[tf.tensor([0.5])], IndexError),
    "too many": (lambda x: x[[0], [0], [0], [0]], IndexError),
    "no broadcast": (lambda x: x[[0, 1], [0, 1, 2]], IndexError),
    "mask shape": (lambda x: x[tf.ones(4, dtype=tf.bool)], IndexError),
    "gather rank": (lambda x: x.gather(0, tf.tensor([0])), RuntimeError),
    "gather dtype": (lambda x: x.gather(0, x), RuntimeError),
    "gather size": (lambda x: x.gather(0, tf.zeros(1, 7, 7, dtype=tf.int64)), RuntimeError),
    "value shape": (lambda x: x.__setitem__([0, 1], tf.ones(3)), RuntimeError),
    "index_add rows": (lambda x: x.index_add(0, tf.tensor([0]), x), RuntimeError),
    "index matrix": (lambda x: x.index_select(0, tf.tensor([[0]])), IndexError),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use(name: str) -> None:
    f, kind = WRONG[name]
    with pytest.raises(kind):
        f(tf.tensor(base()))


def test_nothing() -> None:
    x = tf.zeros(0, 3)
    assert x[tf.zeros(0, dtype=tf.int64)].shape == (0, 3)
    assert tf.zeros(4, 0)[[1, 2]].shape == (2, 0)
    with pytest.raises(IndexError):
        x[[0]]
    y = tf.ones(3)
    y[tf.zeros(0, dtype=tf.int64)] = 5.0
    assert y.tolist() == [1, 1, 1]


def test_threads_do_not_matter() -> None:
    n = 30_000
    i = tf.tensor(np.random.default_rng(0).integers(0, 97, n))
    v = tf.tensor(np.random.default_rng(1).standard_normal(n).astype("f4"))
    results = []
    for threads in (1, 2, 3):
        with tf.config.override(threads=threads):
            results.append(tf.zeros(97).index_add(0, i, v).numpy())
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.float16, tf.int64])
def test_a_number_written_to_the_only_place(dtype: Any) -> None:
    x = tf.ones(1, dtype=dtype)
    x[0] = 3
    assert x.tolist() == [3] and (x + 1).tolist() == [4]
    y = tf.ones(1, dtype=dtype)
    y[0] = 3
    z = y * 2
    assert y.shape == (1,) and z.tolist() == [6] and (y + z).tolist() == [9]

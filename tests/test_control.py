"""Branches and loops of unknown length as ops: against the same Python run step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import config
from twofold.graph.text import Graph, parse, same
from twofold.ops.base import registry


def values(*shapes: tuple[int, ...], dtype: type = np.float64, seed: int = 0) -> list[tf.Tensor]:
    rng = np.random.default_rng(seed)
    found = [tf.tensor((rng.standard_normal(s) / 2).astype(dtype)) for s in shapes]
    return [x.requires_grad_() for x in found]


def eager_cond(pred: Any, true_fn: Callable, false_fn: Callable, *inputs: Any) -> Any:
    return true_fn(*inputs) if bool(pred) else false_fn(*inputs)


def eager_while(cond_fn: Callable, body_fn: Callable, state: tuple, maximum: Any = None) -> tuple:
    steps = 0
    while (maximum is None or steps < maximum) and bool(cond_fn(*state)):
        state, steps = body_fn(*state), steps + 1
    return state


def branches(cond: Callable, x: tf.Tensor, w: tf.Tensor) -> Any:
    """Products, a tensor from outside, results of several kinds, one that depends on nothing."""
    return cond(
        x.sum() > 0,
        lambda a, b: (a @ b, (a * w[0]).sum(), a.argmax(), tf.zeros(2, dtype=a.dtype)),
        lambda a, b: (b.T.exp()[: a.shape[0]], w.mean(), a.argmin(), a[0, :2]),
        x,
        w,
    )


def newton(loop: Callable, x: tf.Tensor, w: tf.Tensor, maximum: Any = None) -> Any:
    """A counter, a matrix, values that swap places, a bool; the length depends on values."""

    def go(i: Any, a: Any, b: Any, c: Any, flag: Any) -> Any:
        return (i < 9) & (a.abs().sum() > 1.5) & flag

    def step(i: Any, a: Any, b: Any, c: Any, flag: Any) -> Any:
        return i + 1, (a @ w).tanh() * 0.9 + a.sin() / 3, c, b * 0.5 + a.sum(), i < 7

    return loop(go, step, (tf.tensor(0), x, x.sum(), w.mean(), tf.tensor(True)), maximum)


def flat(result: Any) -> list[tf.Tensor]:
    if isinstance(result, tf.Tensor):
        return [result]
    return [y for part in result for y in flat(part)]


def assert_same_with_gradients(
    written: Callable, recorded: Callable, *given: tf.Tensor, exact: bool = True
) -> None:
    """Values are the same bits, gradients agree to rounding."""
    found = []
    for function in (written, recorded):
        own = [x.detach().clone().requires_grad_() for x in given]
        results = flat(function(*own))
        total = sum((y * tf.arange(1, y.numel() + 1).reshape(y.shape)).sum()
                    for y in results if y.is_floating_point())  # fmt: skip
        if total.requires_grad:
            total.backward()
        found.append(([y.detach().numpy() for y in results], [x.grad for x in own]))
    for a, b in zip(found[0][0], found[1][0], strict=True):
        assert a.dtype == b.dtype
        (np.testing.assert_array_equal if exact else np.testing.assert_allclose)(b, a)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        a = np.zeros(1) if a is None else a.numpy()
        b = np.zeros(1) if b is None else b.numpy()
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_branch_is_the_function_it_takes(sign: int) -> None:
    x, w = values((3, 4), (4, 4))
    x = x.abs() * sign
    assert_same_with_gradients(
        lambda x, w: branches(eager_cond, x, w), lambda x, w: branches(tf.cond, x, w), x, w
    )


@pytest.mark.parametrize("maximum", [None, 3, 20])
def test_a_loop_is_the_steps_it_takes(maximum: int | None) -> None:
    x, w = values((3, 4), (4, 4))
    assert_same_with_gradients(
        lambda x, w: newton(eager_while, x, w, maximum),
        lambda x, w: newton(tf.while_loop, x, w, maximum),
        x,
        w,
    )


@pytest.mark.parametrize("maximum", [None, 6])
def test_second_gradients(maximum: int | None) -> None:
    """Gradients are branches and loops, which have gradients."""
    x, w = values((2,), (2,), seed=3)

    def function(x: tf.Tensor, w: tf.Tensor) -> Any:
        (y,) = tf.while_loop(
            lambda y: y.sum() < 4, lambda y: (y * y.exp() + w * w + 1,), (x,), maximum
        )
        return tf.cond(y.sum() > 0, lambda y: y.sin() * w, lambda y: y, y)

    assert tf.autograd.gradcheck(function, (x, w))
    assert tf.autograd.gradgradcheck(function, (x, w))


def test_a_branch_that_is_not_taken_is_not_run() -> None:
    """Not even what depends on nothing that the branch is given."""
    x = tf.tensor([1.0, 2.0])
    at = tf.tensor(7)
    y = tf.cond(x.sum() > 0, lambda: x * 2, lambda: x[at] + x)
    assert y.tolist() == [2.0, 4.0]
    with pytest.raises(IndexError, match="out of bounds"):
        tf.cond(x.sum() < 0, lambda: x * 2, lambda: x[at] + x).tolist()


def nested(cond: Callable, loop: Callable, x: tf.Tensor) -> Any:
    """A loop within a loop, with a branch in it, of which the inner one's length varies."""

    def inner(n: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        def step(k: Any, y: Any) -> Any:
            return k + 1, cond(
                y.sum() > 0, lambda y: y * 0.5 - k, lambda y: loop(
                    lambda y: y.max() < 1, lambda y: ((y + 0.7) * 1.1,), (y,), 9)[0], y
            )  # fmt: skip

        return loop(lambda k, y: k < n, step, (tf.tensor(0), y), 5)[1]

    return loop(lambda i, y: i < 4, lambda i, y: (i + 1, inner(i, y).cos()), (tf.tensor(0), x), 6)


def test_control_within_control() -> None:
    (x,) = values((5,))
    assert_same_with_gradients(
        lambda x: nested(eager_cond, eager_while, x), lambda x: nested(tf.cond, tf.while_loop, x), x
    )


def test_control_within_a_scan_and_a_scan_within_control() -> None:
    (xs,) = values((6, 3))

    def function(cond: Callable, loop: Callable, xs: tf.Tensor) -> Any:
        def step(c: Any, x: Any) -> Any:
            c = cond(x.sum() > 0, lambda c: c + x, lambda c: c * 2 - x.exp(), c)
            (c,) = loop(lambda c: c.abs().sum() > 3, lambda c: (c / 2,), (c,), 8)
            return c, c.sum()

        def looped(xs: Any) -> Any:
            if loop is tf.while_loop:
                return tf.scan(step, xs[0], xs)
            c, ys = xs[0], []
            for x in xs:
                c, y = step(c, x)
                ys.append(y)
            return c, tf.stack(ys)

        return loop(
            lambda xs, i: i < 2, lambda xs, i: (xs + looped(xs)[0], i + 1), (xs, tf.tensor(0)), 4
        )

    assert_same_with_gradients(
        lambda x: function(eager_cond, eager_while, x),
        lambda x: function(tf.cond, tf.while_loop, x),
        xs,
    )


def test_rows_are_set_in_place_and_read_at_their_time() -> None:
    """An array that is written a row at a time, and read before and after."""

    def function(loop: Callable, x: tf.Tensor) -> Any:
        def step(i: Any, out: Any, y: Any) -> Any:
            out = out.index_copy(0, i.reshape(1), (y * 2 + out[(i + 3) % 7]).reshape(1, -1))
            return i + 1, out, (y + out.sum(0)).sin()

        def lone(i: Any, out: Any, y: Any) -> Any:
            return i + 1, out.index_copy(0, i.reshape(1), y.reshape(1, -1)), (y + i).sin()

        start = (tf.tensor(0), tf.zeros(7, 3, dtype=x.dtype), x)
        return [loop(lambda i, out, y: i < 6, f, start, 8) for f in (step, lone)]

    (x,) = values((3,))
    assert_same_with_gradients(
        lambda x: function(eager_while, x), lambda x: function(tf.while_loop, x), x
    )


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16, tf.int32, tf.uint8])
def test_dtypes(dtype: tf.dtype) -> None:
    x = (tf.arange(8) % 5).to(dtype)

    def function(cond: Callable, loop: Callable) -> Any:
        i, y = loop(lambda i, y: y.sum() < 90, lambda i, y: (i + 1, y + 1), (tf.tensor(0), x))
        return i, y, cond(y[0] > 3, lambda y: y * 2, lambda y: y, y)

    a, b = function(eager_cond, eager_while), function(tf.cond, tf.while_loop)
    for p, q in zip(a, b, strict=True):
        assert p.dtype is q.dtype and bool((p == q).all())


def test_switch_and_foldl() -> None:
    (x,) = values((4,))
    functions = [lambda x: x.exp(), lambda x: x * x, lambda x: x.sin()]
    for index, chosen in ((-3, 0), (0, 0), (1, 1), (2, 2), (9, 2)):
        assert_same_with_gradients(
            functions[chosen], lambda x, i=index: tf.switch(tf.tensor(i), functions, x), x
        )
    y = tf.foldl(lambda c, x: c * x + 1, tf.tensor(2.0, dtype=tf.float64), x)
    expected = 2.0
    for v in x.tolist():
        expected = expected * v + 1
    assert float(y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("batched_choice", [True, False])
def test_vmap(batched_choice: bool) -> None:
    """Examples that choose for themselves, and examples that are chosen for."""
    xs, w = values((6, 3), (3,))

    def one(x: tf.Tensor, w: tf.Tensor) -> Any:
        key = x if batched_choice else w
        y = tf.cond(key.sum() > 0, lambda x: x * w, lambda x: x.exp(), x)
        i, z, _ = tf.while_loop(
            lambda i, y, k: (i < 7) & (k.abs().sum() < 4),
            lambda i, y, k: (i + 1, y * 1.3 + w, k * 1.2),
            (tf.tensor(0), y, key), 9,
        )  # fmt: skip
        return y, z, i

    def gradient(x: tf.Tensor, w: tf.Tensor) -> Any:
        return tf.func.grad(lambda x, w: (one(x, w)[1] ** 2).sum(), argnums=(0, 1))(x, w)

    for f in (one, gradient):
        found = tf.func.vmap(f, in_dims=(0, None))(xs, w)
        for k, x in enumerate(xs):
            for a, b in zip(found, f(x, w), strict=True):
                np.testing.assert_allclose(
                    a[k].detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-13
                )
    batch = xs.detach().clone().requires_grad_()
    sum(y.sum() for y in tf.func.vmap(one, in_dims=(0, None))(batch, w)[:2]).backward()
    own = xs.detach().clone().requires_grad_()
    sum(y.sum() for x in own for y in one(x, w)[:2]).backward()
    np.testing.assert_allclose(batch.grad.numpy(), own.grad.numpy(), rtol=1e-12)


def test_bits_do_not_depend_on_threads() -> None:
    """Large steps that all threads share, decided many times: whoever is late goes the same way."""
    (x,) = values((64, 700), dtype=np.float32)

    def run() -> list[np.ndarray]:
        def step(i: Any, y: Any, s: Any) -> Any:
            y = tf.cond(s > 0, lambda y: y * 1.01 - 0.02, lambda y: y.cos(), y)
            return i + 1, y, (y.sum() * i).sin()

        i, y, s = tf.while_loop(
            lambda i, y, s: i < 1500, step, (tf.tensor(0), x.detach(), tf.tensor(1.0))
        )
        return [y.numpy().copy(), s.numpy().copy(), i.numpy().copy()]

    with config.override(threads=1):
        expected = run()
    for threads in (2, 5):
        with config.override(threads=threads):
            for a, b in zip(expected, run(), strict=True):
                np.testing.assert_array_equal(a, b)


def test_references_agree() -> None:
    x, w = values((3, 4), (4, 4))

    def run() -> list[np.ndarray]:
        results = [*branches(tf.cond, x, w), *newton(tf.while_loop, x, w, 20)]
        total = sum(y.sum() for y in results if y.is_floating_point())
        return [y.detach().numpy() for y in [*results, *tf.autograd.grad(total, [x, w])]]

    found = run()
    with config.override(backend="reference"):
        expected = run()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_graph_with_control_can_be_pasted_back() -> None:
    x, w = values((3, 4), (4, 4))
    results = [*branches(tf.cond, x, w), *newton(tf.while_loop, x, w, 20)]
    roots = [y._node() for y in [*results, *tf.autograd.grad(results[1].sum(), [w])]]
    assert same(parse(str(Graph(roots)), registry).roots, roots)


def test_captured_steps_keep_both_ways() -> None:
    """A training step with a branch and a loop is replayed, whichever way it goes."""
    (w,) = values((4, 4), dtype=np.float32)

    def loss_of(cond: Callable, loop: Callable, x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
        (y,) = loop(lambda y: y.abs().sum() < 30, lambda y: (y * 1.5 + x @ w,), (x,), 12)
        return cond(x.sum() > 0, lambda y: (y * y).sum(), lambda y: y.abs().mean(), y)

    def trained(cond: Callable, loop: Callable, compiled: bool) -> list[np.ndarray]:
        own = w.detach().clone().requires_grad_()
        optimizer = tf.optim.SGD([own], lr=1e-4)

        def step(x: tf.Tensor) -> tf.Tensor:
            optimizer.zero_grad()
            loss = loss_of(cond, loop, x, own)
            loss.backward()
            optimizer.step()
            return loss.detach()

        step = tf.compile(step) if compiled else step
        losses = []
        for k in range(8):
            x = tf.full((2, 4), 0.1 * (k + 1) * (-1) ** (k // 2))
            losses.append(float(step(x)))
        if compiled:
            assert any(v.settled for v in step.variants.values())
        return [np.array(losses), own.detach().numpy()]

    expected = trained(eager_cond, eager_while, False)
    for compiled in (False, True):
        for a, b in zip(trained(tf.cond, tf.while_loop, compiled), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_nans_are_found_in_branches() -> None:
    x = tf.tensor([1.0, -2.0], requires_grad=True)
    with config.override(trap_nan=True):
        y, _ = tf.cond(x.sum() < 9, lambda x: (x.log(), x.argmax()), lambda x: (x, x.argmin()), x)
        with pytest.raises(RuntimeError, match=r"\[part\] gave NaN.*test_control.py"):
            y.tolist()


def test_errors_name_the_rule() -> None:
    x = tf.tensor([1.0, 1.0, 1.0])
    with pytest.raises(RuntimeError, match=r"\[cond\] branches must return the same kinds.*lambda"):
        tf.cond(x.sum() > 0, lambda x: x, lambda x: x[:2], x)
    with pytest.raises(RuntimeError, match=r"\[cond\] takes one value to decide by.*any\(\)"):
        tf.cond(x > 0, lambda x: x, lambda x: x, x)
    with pytest.raises(RuntimeError, match=r"\[while_loop\] value 0 must keep its type"):
        tf.while_loop(lambda x: x.sum() < 9, lambda x: tf.cat([x, x]), x)
    with pytest.raises(RuntimeError, match=r"\[while_loop\] .*form of loop_vars"):
        tf.while_loop(lambda x, y: x.sum() < 9, lambda x, y: (x,), (x, x))
    with pytest.raises(RuntimeError, match=r"\[while_loop\] random numbers.*maximum"):
        tf.while_loop(lambda x: x.sum() < 9, lambda x: x + tf.rand(3), x)
    with pytest.raises(IndexError, match="out of bounds"):
        _, y = tf.while_loop(
            lambda i, y: i < 5, lambda i, y: (i + 1, y + x[i]), (tf.tensor(0), tf.tensor(0.0))
        )
        y.tolist()
    _, y = tf.while_loop(
        lambda i, y: i < 0, lambda i, y: (i + 1, y + x[tf.tensor(7)]), (tf.tensor(0), x)
    )
    assert y.tolist() == x.tolist()  # what is never run raises nothing


def test_random_numbers_of_a_loop_with_a_maximum() -> None:
    """Each round draws numbers of its own, and the same seed gives the same."""

    def draw() -> list[float]:
        tf.manual_seed(3)
        _, y = tf.while_loop(
            lambda i, y: i < 4,
            lambda i, y: (i + 1, y.index_copy(0, i.reshape(1), tf.rand(1))),
            (tf.tensor(0), tf.zeros(6)), 6,
        )  # fmt: skip
        return y.tolist()

    found = draw()
    assert found == draw() and len(set(found[:4])) == 4 and found[4:] == [0, 0]


def test_pytorch_gives_the_same() -> None:
    torch = pytest.importorskip("torch")
    for total in (1.0, -1.0):
        found = []
        for lib in (torch, tf):
            x = lib.tensor([total, 0.5], requires_grad=True)
            y = lib.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.exp(), (x,))
            y.sum().backward()
            found.append((y.tolist(), x.grad.tolist()))
        np.testing.assert_allclose(found[1], found[0], rtol=1e-6)

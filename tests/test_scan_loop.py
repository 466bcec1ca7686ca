"""`twofold.scan`: a loop over time as one op, against the same steps written out."""

from __future__ import annotations

import numpy as np
import pytest

import twofold as tf
from twofold import config, engine
from twofold.graph.text import Graph, parse, same
from twofold.ops.base import registry

SIZES = ((0, 3, 4, 6), (1, 3, 4, 6), (5, 1, 1, 1), (7, 5, 3, 17), (3, 16, 8, 32))


def values(*shapes: tuple[int, ...], dtype: type = np.float64, seed: int = 0) -> list[tf.Tensor]:
    rng = np.random.default_rng(seed)
    found = [tf.tensor((rng.standard_normal(s) / 2).astype(dtype)) for s in shapes]
    return [x.requires_grad_() for x in found]


def cell(state: tuple, x: tf.Tensor, w: tf.Tensor, u: tf.Tensor, b: tf.Tensor) -> tuple:
    """An LSTM-like step: two carried values, a product of each kind."""
    h, c = state
    i, f, g = (x @ w + h @ u + b).chunk(3, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = c.tanh() * (x.sum(-1, keepdim=True) + 1)
    return (h, c), h + 2 * c


def written_out(xs: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *weights: tf.Tensor, reverse: bool):
    state, ys = (h, c), [None] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        state, ys[t] = cell(state, xs[t], *weights)
    return state, tf.stack(ys) if ys else h.new_zeros(0, *h.shape)


def looped(xs: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *weights: tf.Tensor, reverse: bool):
    return tf.scan(lambda s, x: cell(s, x, *weights), (h, c), xs, reverse=reverse)


def inputs(t: int, n: int, i: int, h: int, dtype: type = np.float64) -> list[tf.Tensor]:
    return values((t, n, i), (n, h), (n, h), (i, 3 * h), (h, 3 * h), (3 * h,), dtype=dtype)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients(sizes: tuple[int, ...], reverse: bool) -> None:
    """Results, and the gradients of all inputs, are those of the steps written out."""
    found = []
    for function in (written_out, looped):
        given = inputs(*sizes)
        (h, c), ys = function(*given, reverse=reverse)
        weights = tf.arange(ys.numel(), dtype=tf.float64).reshape(ys.shape).cos()
        ((ys * weights).sum() + (h * h).sum() + c.sin().sum()).backward()
        found.append([h, c, ys, *[x.grad for x in given]])
    for a, b in zip(*found, strict=True):
        if a is None:  # no step, so nothing flows to the weights
            assert b is None or not b.numel() or float(b.abs().max()) == 0
            continue
        np.testing.assert_allclose(b.detach().numpy(), a.detach().numpy(), rtol=1e-9, atol=1e-11)


def test_second_gradients() -> None:
    """The gradient is a loop, which has a gradient."""
    given = inputs(3, 2, 2, 3)

    def function(*given: tf.Tensor) -> tuple:
        (h, _), ys = looped(*given, reverse=False)
        return h, ys

    assert tf.autograd.gradcheck(function, given)
    assert tf.autograd.gradgradcheck(function, given)


def test_threads_and_backends_agree() -> None:
    """Bits do not depend on the number of threads; the references give the same to rounding."""
    given = inputs(9, 16, 8, 40)

    def run() -> list[np.ndarray]:
        for x in given:
            x.grad = None
        (_, c), ys = looped(*given, reverse=False)
        (ys.sum() + c.sum()).backward()
        return [ys.detach().numpy(), *[x.grad.numpy() for x in given]]

    with config.override(threads=1):
        one = run()
    with config.override(threads=2):
        two = run()
    with config.override(backend="reference"):
        slow = run()
    for a, b, c in zip(one, two, slow):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-9, atol=1e-9)


def test_a_new_length_compiles_nothing() -> None:
    """Machine code is the same for every length."""
    (w,) = values((4, 4), dtype=np.float32)

    def run(t: int) -> None:
        xs = tf.ones(t, 3, 4)
        _, ys = tf.scan(lambda h, x: ((h @ w + x).tanh(),) * 2, tf.zeros(3, 4), xs)
        ys.sum().backward()
        engine.flush()

    run(5)
    run(6)
    before = engine.counts["compiled"]
    for t in (7, 11, 30, 2):
        run(t)
    assert engine.counts["compiled"] == before


def test_a_loop_within_a_loop() -> None:
    """Bodies may hold loops."""
    xs, w = values((4, 3, 2), (2, 2))

    def row(h: tf.Tensor, x: tf.Tensor) -> tuple:
        return tf.scan(lambda c, v: (((c + v) @ w).tanh(), c.sum()), h, x)

    carry, ys = tf.scan(row, tf.zeros(2, dtype=tf.float64), xs)
    (carry.sum() + (ys * ys).sum()).backward()
    found = [carry.detach(), ys.detach(), xs.grad, w.grad]
    xs.grad = w.grad = None
    h, rows = tf.zeros(2, dtype=tf.float64), []
    for x in xs:
        part = []
        for v in x:
            part.append(h.sum())
            h = ((h + v) @ w).tanh()
        rows.append(tf.stack(part))
    (h.sum() + (tf.stack(rows) * tf.stack(rows)).sum()).backward()
    for a, b in zip(found, [h.detach(), tf.stack(rows).detach(), xs.grad, w.grad]):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12)


def test_what_does_not_depend_on_the_carry_moves_out() -> None:
    """The product of the inputs is one product, before the loop."""
    given = inputs(6, 2, 3, 4)
    _, ys = looped(*given, reverse=False)
    node = ys._node()
    while node.op.name != "loop":
        node = node.inputs[0]
    within = [n.op.name for n in engine.postorder(node.attrs[0].outputs)]
    assert within.count("matmul") == 1


def test_carries_pass_through() -> None:
    """Outputs may be inputs, and one value several outputs."""
    xs = tf.arange(6.0).reshape(3, 2)
    (a, b), (c, d, e) = tf.scan(
        lambda s, x: ((s[1], s[0]), (x, s[0], s[0])), (tf.zeros(2), tf.ones(2)), xs
    )
    assert a.tolist() == [1, 1] and b.tolist() == [0, 0]
    assert c.tolist() == xs.tolist() and d.tolist() == e.tolist()
    assert d[:, 0].tolist() == [0, 1, 0]


def test_captured_steps() -> None:
    """A compiled training step with a loop in it does what the plain one does."""
    losses = []
    for wrap in (lambda f: f, tf.compile):
        (w,) = values((3, 3), dtype=np.float32)
        optimizer = tf.optim.SGD([w], lr=0.1)

        @wrap
        def step(xs: tf.Tensor) -> tf.Tensor:
            _, ys = tf.scan(lambda h, x: ((h @ w + x).tanh(),) * 2, tf.zeros(2, 3), xs)  # noqa: B023
            loss = (ys - 0.5).square().mean()
            optimizer.zero_grad()  # noqa: B023
            loss.backward()
            optimizer.step()  # noqa: B023
            return loss.detach()

        xs = tf.arange(30.0).reshape(5, 2, 3).sin()
        losses.append([step(xs).item() for _ in range(6)])
    assert losses[0] == losses[1]


def test_text_is_read_back() -> None:
    """A graph with a loop prints as text that gives the same graph."""
    given = inputs(4, 2, 3, 2)
    _, ys = looped(*given, reverse=True)
    text = str(Graph([ys._node()]))
    assert "loop(" in text
    assert same(parse(text, registry).roots, [ys._node()])


def test_user_errors() -> None:
    """Wrong bodies are refused at the call."""
    xs = tf.ones(3, 2)
    with pytest.raises(RuntimeError, match="must keep its type"):
        tf.scan(lambda c, x: (c.sum(), x), tf.zeros(2), xs)
    with pytest.raises(RuntimeError, match="one length"):
        tf.scan(lambda c, x: (c, x[0]), tf.zeros(2), (xs, tf.ones(4, 2)))
    with pytest.raises(TypeError, match=r"\(carry, y\)"):
        tf.scan(lambda c, x: c, tf.zeros(2), xs)
    with pytest.raises(RuntimeError, match="known only as the loop runs"):
        tf.scan(lambda c, x: (c + float(x[0]), x), tf.zeros(2), xs)
    kept = []
    tf.scan(lambda c, x: (kept.append(c + x) or c, x), tf.zeros(2), xs)
    with pytest.raises(RuntimeError, match="known only as the loop runs"):
        kept[0].tolist()
    kept.clear()
    assert (tf.ones(2) + 1).tolist() == [2, 2]


def test_an_index_out_of_range_in_a_loop() -> None:
    """The user's IndexError comes from within the loop."""
    table = tf.ones(4, 2)
    places = tf.tensor([0, 3, 4])
    _, ys = tf.scan(lambda c, i: (c, table[i] + c), tf.zeros(2), places)
    with pytest.raises(IndexError):
        ys.tolist()

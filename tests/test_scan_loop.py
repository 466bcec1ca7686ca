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


def test_gradients_reach_what_was_not_run_yet() -> None:
    """A parameter made of a number is no constant of the body."""
    w = tf.zeros(2, requires_grad=True)
    carry, _ = tf.scan(lambda c, x: (c * 2 + w * x, None), tf.zeros(2), tf.ones(3, 2))
    carry.sum().backward()
    assert w.grad.tolist() == [7, 7]


@pytest.mark.parametrize("way", ["no_grad", "detach", "leaf"])
def test_gradients_stop_where_the_body_says(way: str) -> None:
    """What is recorded without gradients, detached, or made a leaf, passes none."""

    def step(c: tf.Tensor, x: tf.Tensor) -> tuple:
        if way == "no_grad":
            with tf.no_grad():
                stopped = c * w * x
        else:
            stopped = (c * w * x).detach()
        if way == "leaf":
            stopped.requires_grad_()
        return c * w + stopped, c * w

    found = []
    for is_looped in (False, True):
        (w,) = values((2,))
        c, xs = tf.ones(2, dtype=tf.float64), tf.ones(3, 2, dtype=tf.float64)
        if is_looped:
            c, _ = tf.scan(step, c, xs)
        else:
            for x in xs:
                c, _ = step(c, x)
        c.sum().backward()
        found.append(w.grad.tolist())
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_each_step_draws_numbers_of_its_own() -> None:
    """Also in loops within loops and in captured functions; the gradient sees the same ones."""
    tf.manual_seed(0)
    x = tf.ones(5, 3, 40, requires_grad=True)

    def run() -> tf.Tensor:
        def row(c: tf.Tensor, v: tf.Tensor) -> tuple:
            return tf.scan(lambda a, u: (a, tf.nn.functional.dropout(u, 0.5)), c, v)

        return tf.scan(row, tf.zeros(40), x)[1]

    ys = run()
    ys.sum().backward()
    assert tf.equal(ys.detach(), x.grad)
    later = tf.nn.functional.dropout(tf.ones(1, 1, 40), 0.5)
    rows = tf.cat([ys.detach().reshape(15, 40), later.reshape(1, 40)]).numpy()
    assert len(np.unique(rows, axis=0)) == 16
    captured = tf.compile(run)
    calls = np.stack([captured().detach().numpy().copy().reshape(15, 40) for _ in range(5)])
    assert len(np.unique(calls.reshape(75, 40), axis=0)) == 75
    tf.manual_seed(0)
    assert tf.equal(run().detach(), ys.detach())


def test_examples_of_a_batch_draw_numbers_of_their_own() -> None:
    """Under vmap each example's steps do, or all examples' the same."""

    def run(xs: tf.Tensor) -> tf.Tensor:
        return tf.scan(lambda c, x: (c, x + tf.rand(5)), tf.zeros(5), xs)[1]

    for randomness, count in (("different", 12), ("same", 4)):
        ys = tf.func.vmap(run, randomness=randomness)(tf.zeros(3, 4, 5)).numpy()
        assert len(np.unique(ys.reshape(12, 5), axis=0)) == count


def test_bodies_may_look_at_values_from_outside() -> None:
    """Those are known while the body is recorded, though its own are not."""
    scale = tf.ones(3) * 2

    def step(c: tf.Tensor, x: tf.Tensor) -> tuple:
        y = c + x
        return y * int(scale.sum()), y

    carry, ys = tf.scan(step, tf.zeros(()), tf.ones(3))
    assert carry.item() == 258 and ys.tolist() == [1, 7, 43]


def test_bodies_have_no_side_effects() -> None:
    """Writes to tensors from outside, and hooks, are refused at the call; own tensors are written
    to as ever."""
    total, w = tf.zeros(2), tf.ones(2, requires_grad=True)
    xs = tf.ones(3, 2)

    def add(c: tf.Tensor, x: tf.Tensor) -> tuple:
        total.add_(1)
        return c, x

    def assign(c: tf.Tensor, x: tf.Tensor) -> tuple:
        total[0] = x[0]
        return c, x

    def hook(c: tf.Tensor, x: tf.Tensor) -> tuple:
        y = c * w
        y.register_hook(lambda g: g * 2)
        return y, x

    def replace(c: tf.Tensor, x: tf.Tensor) -> tuple:
        total.data = tf.ones(2)
        return c, x

    def draw(c: tf.Tensor, x: tf.Tensor) -> tuple:
        return c, tf.poisson(xs[0])

    for body, message in (
        (add, "cannot write"),
        (assign, "cannot write"),
        (replace, "cannot write"),
        (hook, "hooks"),
        (draw, "on the host"),
    ):
        with pytest.raises(RuntimeError, match=message):
            tf.scan(body, tf.zeros(2), xs)
    assert total.tolist() == [0, 0]
    total.add_(1)

    def own(c: tf.Tensor, x: tf.Tensor) -> tuple:
        y = x.clone()
        y[0] = 5
        c += y
        return c, y

    carry, ys = tf.scan(own, total, xs)
    assert carry.tolist() == [16, 4] and ys[2].tolist() == [5, 1] and total.tolist() == [1, 1]


@pytest.mark.native
def test_loops_too_deep_in_one_another() -> None:
    """Eight are run, nine refused."""

    def nested(n: int, c: tf.Tensor) -> tf.Tensor:
        return tf.scan(lambda c, x: (nested(n - 1, c), None), c, tf.ones(2))[0] if n else c + 1

    assert nested(8, tf.zeros(())).item() == 256
    with pytest.raises(RuntimeError, match="deep in one another"):
        nested(9, tf.zeros(())).item()


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


def test_views_as_constants() -> None:
    """What the body reads from outside may be a column, a part, or one number for all."""
    whole = tf.arange(48.0).reshape(6, 8)
    vectors = (whole[:, 1], whole.t()[2, :6], whole[2, 3].expand(6), whole.flip(0)[:, 0])
    for v in vectors:
        _, ys = tf.scan(lambda c, x: (c, x * v), tf.zeros(6), tf.ones(2, 6))  # noqa: B023
        assert ys.tolist() == [v.tolist()] * 2
    for m in (whole[:, :5], whole[:, 2:7].clone(), whole[1].expand(6, 8)[:, 3:]):
        _, ys = tf.scan(lambda c, x: (c, x * m), tf.zeros(6, 5), tf.ones(2, 6, 5))  # noqa: B023
        assert ys.tolist() == [m.tolist()] * 2


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
    with pytest.raises(RuntimeError, match="axis of steps"):
        tf.scan(lambda c, x: (c, x), tf.zeros(2), tf.ones(()))
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


def test_a_body_that_fails_leaves_nothing_pending() -> None:
    """Though its traceback is kept, as by an interactive session."""
    kept = []

    def body(carry: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        kept.append(carry + x)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        tf.scan(body, tf.zeros(()), tf.ones(3))
    assert (tf.ones(2) + 1).tolist() == [2.0, 2.0]

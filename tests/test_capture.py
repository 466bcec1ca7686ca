"""Captured functions do what the functions do, call by call."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import twofold as tf
from twofold.capture import NotCaptured
from twofold.graph.modes import modes
from twofold.graph.observe import each_call, live
from twofold.ops.elementwise import detach
from twofold.tensor import wrap

pytestmark = pytest.mark.native


def _settled(captured) -> bool:
    return any(v.settled for v in captured.variants.values())


def _same_calls(make, calls: int = 6) -> None:
    """`make()` gives (function, arguments of call k, state); captured and plain must agree bit for
    bit, and the captured one must come to be replayed."""
    plain, arguments, state = make()
    captured_function, _, captured_state = make()
    captured = tf.compile(captured_function)
    for k in range(calls):
        expected, got = plain(*arguments(k)), captured(*arguments(k))
        np.testing.assert_array_equal(expected.tolist(), got.tolist())
        for a, b in zip(state(), captured_state(), strict=True):
            np.testing.assert_array_equal(a.tolist(), b.tolist())
    assert _settled(captured)


def _array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _batch(k: int) -> tuple:
    return (tf.tensor(_array(8, 5, seed=k + 1)),)


def test_a_function_of_tensors() -> None:
    _same_calls(lambda: (lambda x: (x * 2 + 1).sum(0), _batch, lambda: []))


def test_training_with_momentum() -> None:
    def make():
        w = tf.tensor(_array(5, 3)).requires_grad_()
        state = {}

        def step(x):
            w.grad = None
            loss = (x @ w).pow(2).mean()
            loss.backward()
            with tf.no_grad():
                if "momentum" not in state:
                    state["momentum"] = w.grad.clone()
                else:
                    state["momentum"].mul_(0.9).add_(w.grad)
                w.sub_(0.1 * state["momentum"])
            return loss

        return step, _batch, lambda: [w, w.grad, state["momentum"]]

    _same_calls(make)


def test_gradients_that_add_up() -> None:
    def make():
        w = tf.tensor(_array(5, 3)).requires_grad_()

        def step(x):
            loss = (x @ w).pow(2).mean()
            loss.backward()
            return loss

        return step, _batch, lambda: [w.grad]

    _same_calls(make, 8)


def test_gradients_cleared_outside() -> None:
    w = tf.tensor(_array(5, 3)).requires_grad_()

    @tf.compile
    def step(x):
        loss = (x @ w).pow(2).mean()
        loss.backward()
        return loss

    for k in range(8):
        w.grad = None
        step(*_batch(k))
        once = w.grad.numpy().copy()
        step(*_batch(k))
        np.testing.assert_allclose(w.grad.numpy(), 2 * once, rtol=1e-6)


def test_live_numbers_and_actions() -> None:
    def make():
        w = tf.tensor(_array(5, 3)).requires_grad_()
        settings = {"lr": 1.0, "step": 0}

        def count() -> None:
            settings["step"] += 1

        def step(x):
            w.grad = None
            loss = (x @ w).pow(2).mean()
            loss.backward()
            each_call(count)
            rate = live(lambda: settings["lr"]) / (1 + live(lambda: settings["step"]))
            with tf.no_grad():
                w.sub_(rate * w.grad)
            return loss

        def arguments(k):
            settings["lr"] = 0.1 * (k + 1)
            return _batch(k)

        return step, arguments, lambda: [w, tf.tensor(settings["step"])]

    plain, plain_arguments, plain_state = make()
    function, arguments, state = make()
    captured = tf.compile(function)
    for k in range(7):
        plain(*plain_arguments(k))
        captured(*arguments(k))
        for a, b in zip(plain_state(), state(), strict=True):
            np.testing.assert_array_equal(a.tolist(), b.tolist())
    assert _settled(captured)


def test_random_numbers_go_on() -> None:
    captured = tf.compile(lambda x: x + tf.rand(4))
    x = tf.zeros(4)
    tf.manual_seed(3)
    got = [captured(x).tolist() for _ in range(5)]
    after = tf.rand(2).tolist()
    tf.manual_seed(3)
    assert got == [(x + tf.rand(4)).tolist() for _ in range(5)]
    assert after == tf.rand(2).tolist()
    assert _settled(captured)


def test_arguments_written_in_place() -> None:
    def step(x, y):
        x.add_(y)
        y[0] = 7
        return x * y

    captured = tf.compile(step)
    x, y = tf.ones(3), tf.ones(3)
    a, b = tf.ones(3), tf.ones(3)
    for _ in range(5):
        assert captured(x, y).tolist() == step(a, b).tolist()
        assert x.tolist() == a.tolist()
        assert y.tolist() == b.tolist()
    assert _settled(captured)


def test_one_tensor_for_two_arguments() -> None:
    captured = tf.compile(lambda x, y: x.add_(1) + y)
    for _ in range(4):
        x = tf.ones(2)
        assert captured(x, x).tolist() == [4.0, 4.0]
        assert captured(tf.ones(2), tf.ones(2)).tolist() == [3.0, 3.0]


def test_results_of_every_shape() -> None:
    kept = tf.ones(2)

    def f(x):
        y = x + 1
        return {"same": x, "kept": kept, "view": y.reshape(4)[1:], "pair": (y, None, "text")}

    captured = tf.compile(f)
    for _ in range(5):
        x = tf.ones(2, 2)
        result = captured(x)
        assert result["same"] is x
        assert result["kept"] is kept
        assert result["view"].tolist() == [2.0, 2.0, 2.0]
        assert result["pair"][0].tolist() == [[2.0, 2.0], [2.0, 2.0]]
        assert result["pair"][1:] == (None, "text")
    assert _settled(captured)


def test_other_shapes_and_numbers_are_other_calls() -> None:
    captured = tf.compile(lambda x, k: x * k)
    for n in (1, 2, 3):
        for k in (2, 3.5):
            for _ in range(3):
                assert captured(tf.ones(n), k).tolist() == [float(k)] * n


def test_a_value_looked_at_within() -> None:
    def f(x):
        return x + 1 if x.sum().item() > 0 else x - 1

    captured = tf.compile(f)
    with pytest.warns(NotCaptured, match=r"a value is asked for within it \(.*test_capture.py"):
        for _ in range(2):
            assert captured(tf.ones(2)).tolist() == [2.0, 2.0]
    assert captured(-tf.ones(2)).tolist() == [-2.0, -2.0]


def test_a_tensor_kept_outside() -> None:
    losses = []

    def f(x):
        y = x.sum()
        losses.append(y)
        return y

    captured = tf.compile(f)
    with pytest.warns(NotCaptured):
        for k in range(8):
            captured(tf.ones(2) * k)
    assert [y.item() for y in losses] == [2.0 * k for k in range(8)]


def test_numbers_that_change_are_not_frozen() -> None:
    counter = {"n": 0}

    def f(x):
        counter["n"] += 1
        return x * (counter["n"] + 0.5)

    captured = tf.compile(f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotCaptured)
        got = [captured(tf.ones(1)).item() for _ in range(8)]
    assert got == [k + 1.5 for k in range(8)]


def test_switches_make_new_captures() -> None:
    training = {"on": True}
    captured = tf.compile(lambda x: x * 2 if training["on"] else x)
    assert [captured(tf.ones(1)).item() for _ in range(4)] == [2.0] * 4
    training["on"] = False
    modes.change()
    assert [captured(tf.ones(1)).item() for _ in range(4)] == [1.0] * 4


def test_gradients_through_the_result() -> None:
    w = tf.tensor(_array(5, 3)).requires_grad_()
    captured = tf.compile(lambda x: (x @ w).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotCaptured)
        for k in range(8):
            w.grad = None
            captured(*_batch(k)).backward()
            expected = _batch(k)[0].sum(0).numpy()[:, None] * np.ones((1, 3), np.float32)
            np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_an_error_leaves_nothing_behind() -> None:
    def f(x):
        raise ValueError("no")

    captured = tf.compile(f)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            captured(tf.ones(1))
    assert (tf.ones(1) + 1).item() == 2.0


def test_arguments_that_cannot_be_told_apart() -> None:
    with pytest.raises(TypeError, match=r"\[compile\] arguments are tensors"):
        tf.compile(lambda x: x)(np.ones(3))


def test_numpy_memory_follows() -> None:
    array = np.ones(3, np.float32)
    x = tf.from_numpy(array)
    captured = tf.compile(lambda x: x.add_(1).sum())
    for k in range(6):
        assert captured(x).item() == 3.0 * (k + 2)
        assert array.tolist() == [k + 2.0] * 3
    assert _settled(captured)


def test_a_bad_index_is_the_users_error() -> None:
    table = tf.tensor(_array(5, 3))
    captured = tf.compile(lambda i: table[i].sum(0))
    for _ in range(4):
        captured(tf.tensor([1, 4]))
    assert _settled(captured)
    with pytest.raises(IndexError, match=r"test_capture.py"):
        captured(tf.tensor([1, 5]))
    assert captured(tf.tensor([1, 4])).shape == (3,)


def test_a_number_written_outside_or_within_is_seen() -> None:
    c = tf.full((), 0.25)
    d = tf.ones(())

    @tf.compile
    def f(x: tf.Tensor) -> tf.Tensor:
        d.fill_(3)
        return x * c

    for _ in range(4):
        assert f(tf.ones(2)).tolist() == [0.25, 0.25]
    c.fill_(0.5)
    for _ in range(4):
        d.zero_()
        assert f(tf.ones(2)).tolist() == [0.5, 0.5]
        assert d.item() == 3


def test_an_argument_copied_outside() -> None:
    kept = tf.zeros(3)

    @tf.compile
    def f(x: tf.Tensor) -> tf.Tensor:
        kept.copy_(x)
        return x + 1

    for n in range(5):
        f(tf.full((3,), float(n)).clone())
        assert kept.tolist() == [n, n, n]


def test_counters_that_start_alike() -> None:
    counters = [tf.zeros((), dtype=tf.int64), tf.zeros((), dtype=tf.int64)]
    for c in counters:
        c.zero_()

    @tf.compile
    def f() -> tf.Tensor:
        for c in counters:
            c.add_(1)
        return counters[0] + counters[1]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(1, 10):
            assert f().item() == 2 * n


def test_state_is_overwritten_only_where_nothing_else_sees_it() -> None:
    w = tf.tensor(_array(64, 64)).requires_grad_()
    moment = tf.zeros(64, 64)
    half = w.detach()[:32]

    @tf.compile
    def step(x):
        w.grad = None
        loss = (x @ w).pow(2).mean()
        loss.backward()
        with tf.no_grad():
            moment.mul_(0.5).add_(w.grad)
            w.sub_(0.1 * moment)
        return loss

    x = tf.tensor(_array(8, 64, seed=5))
    for _ in range(3):
        step(x)
    (run,) = [v.run for v in step.variants.values() if v.settled]
    assert [kind for kind, _ in run.program.results].count("over") == 2
    address = w._storage.node.value.address
    step(x)
    assert w._storage.node.value.address == address
    # A graph, a clone, a window and an array that saw the value keep it, or follow it.
    before = w.detach().numpy().copy()
    later = (w * 2).sum()
    clone, pending, array = w.detach().clone(), w.detach() + 0, w.detach().numpy()
    step(x)
    after = w.detach().numpy().copy()
    assert not np.array_equal(before, after)
    assert np.array_equal(clone.numpy(), before)
    assert np.array_equal(pending.numpy(), before)
    assert np.array_equal(array, after)
    assert np.array_equal(half.numpy(), after[:32])
    later.backward()
    assert np.isclose(later.item(), 2 * before.sum(), rtol=1e-4)
    for _ in range(3):
        step(x)
    assert np.array_equal(array, w.detach().numpy())
    assert np.array_equal(half.numpy(), array[:32])


def test_state_read_again_after_its_new_value_keeps_both() -> None:
    def make():
        w = tf.tensor(_array(32, 32))

        def step(x):
            old = w.clone()
            w.add_(x.mean())
            return (old * w).sum() + (w - old.T).sum()

        return step, _batch, lambda: [w]

    _same_calls(make)


def test_swapped_state() -> None:
    def make():
        a, b = tf.tensor(_array(40)), tf.tensor(_array(40, seed=1))

        def step(x):
            old = a.clone()
            a.copy_(b * 2)
            b.copy_(old + x.sum())
            return (a + b).sum()

        return step, _batch, lambda: [a, b]

    _same_calls(make)


def test_a_compiled_function_within_vmap_is_run_as_it_is() -> None:
    double = tf.compile(lambda x: x * 2 + 1)
    x = tf.arange(6.0).reshape(3, 2)
    for _ in range(4):
        assert tf.vmap(double)(x).tolist() == (x * 2 + 1).tolist()


def test_a_bad_class_leaves_the_weights_as_they_were() -> None:
    """What a step writes in place it writes after all that can go wrong in it."""
    tf.manual_seed(0)
    net = tf.nn.Sequential(tf.nn.Linear(6, 300), tf.nn.ReLU(), tf.nn.Linear(300, 5))
    optimizer = tf.optim.Adam(net.parameters(), lr=0.1)

    @tf.compile
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        optimizer.zero_grad()
        loss = tf.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    x = tf.randn(4, 6)
    for _ in range(4):
        step(x, tf.tensor([0, 1, 2, 3]))
    assert _settled(step)
    state = [s[k] for s in optimizer.state.values() for k in ("exp_avg", "exp_avg_sq")]
    before = [t.detach().numpy().copy() for t in (*net.parameters(), *state)]
    with pytest.raises(IndexError):
        step(x, tf.tensor([0, 1, 5, 3]))
    for old, t in zip(before, (*net.parameters(), *state), strict=True):
        np.testing.assert_array_equal(old, t.detach().numpy())


def test_values_asked_for_before_a_step_writes_in_place_are_the_old_ones() -> None:
    """Copies that have not run yet; views see the new values."""
    net = tf.nn.Linear(3, 4)
    optimizer = tf.optim.SGD(net.parameters(), lr=0.5)

    @tf.compile
    def step(x: tf.Tensor) -> None:
        optimizer.zero_grad()
        net(x).sum().backward()
        optimizer.step()

    x = tf.ones(2, 3)
    for _ in range(4):
        step(x)
    assert _settled(step)
    for _ in range(3):
        weight = net.weight.detach().numpy().copy()
        view = net.weight.detach()[:2]
        copy = net.weight.detach()[:2] + 0
        step(x)
        np.testing.assert_array_equal(copy.numpy(), weight[:2])
        np.testing.assert_array_equal(view.numpy(), weight[:2] - 1)


LOOKS = {
    "numpy": lambda x: x.detach().numpy()[0],
    "item": lambda x: x[0].item(),
    "bool": lambda x: bool(x[0]),
    "tolist": lambda x: x.tolist()[0],
    "array": lambda x: np.asarray(x)[0],
    "repr": lambda x: float(repr(x)[8]),
}


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_at_a_value_that_is_there_is_noticed(name: str) -> None:
    """Branches that depend on an argument's own values, however often they went the same way."""

    def step(x: tf.Tensor) -> tf.Tensor:
        return x + (10 if LOOKS[name](x) > 0 else 20)

    fast = tf.compile(step)
    given = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    with pytest.warns(NotCaptured, match="a value is asked for"):
        found = [fast(tf.tensor([v, 0.0])).tolist() for v in given]
    assert found == [step(tf.tensor([v, 0.0])).tolist() for v in given]


def test_a_write_through_numpy_is_seen() -> None:
    """By what comes after it in the function, by its result, and by the caller."""

    @tf.compile
    def step(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x.numpy()[1:] = 7
        return x, x + 1

    with pytest.warns(NotCaptured):
        for k in range(4):
            x = tf.tensor([k, 1, 2])
            same, more = step(x)
            assert same is x
            assert (x.tolist(), more.tolist()) == ([k, 7, 7], [k + 1, 8, 8])


def test_a_new_value_of_state_that_is_a_result_too() -> None:
    """The value that takes the place of the old one is that of a new tensor as well."""
    w, p = tf.zeros(3), tf.ones(3, requires_grad=True)

    @tf.compile
    def step(x: tf.Tensor) -> tf.Tensor:
        new = w * p + 1 + x
        with tf.no_grad():
            w.copy_(new)
        return wrap(detach(new._node()))

    for k in range(1, 7):
        assert step(tf.ones(3)).tolist() == w.tolist() == [2.0 * k] * 3

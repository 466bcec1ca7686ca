"""Plain Python decisions on tensors in captured functions: the same bits as without."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold.capture import NotCaptured
from twofold.control.decide import reasons, recording_decisions

pytestmark = pytest.mark.native


def check(function: Callable[..., Any], *inputs: tuple, rounds: int = 3) -> Any:
    """The captured function gives the plain one's bits for all inputs, and is replayed: one plan
    for each kind of argument, whichever way it goes."""
    captured = tf.compile(function, fullgraph=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotCaptured)
        for _ in range(rounds):
            for given in inputs:
                expected, got = function(*given), captured(*given)
                assert type(expected) is type(got)
                parts = expected if isinstance(expected, tuple) else (expected,)
                own = got if isinstance(got, tuple) else (got,)
                for a, b in zip(parts, own, strict=True):
                    a, b = tf.as_tensor(a), tf.as_tensor(b)
                    assert a.dtype is b.dtype
                    np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert all(v.settled for v in captured.variants.values())
    return captured


def rows(*numbers: float) -> list[tuple[tf.Tensor]]:
    return [(tf.tensor([n, n / 2 + 1, 0.25]),) for n in numbers]


def test_if_else_and_what_follows() -> None:
    def f(x: Any) -> Any:
        y = x + 1
        if x.sum() > 0:
            y = y * 2
            z = y.exp()
        elif x[0] < -3:
            z = y - 7
        else:
            z, y = y, x
        return y + z

    check(f, *rows(1, -2, -9, 4))


def test_early_returns() -> None:
    def f(x: Any) -> Any:
        if x.sum() > 10:
            return x * 100, 1.5
        y = x.sin()
        if x[0] > 2:
            if x[1] > 2.2:
                return y * 2, 2.5
            y = y + 5
        return y, y.mean()

    def g(x: Any) -> Any:
        a, b = f(x)
        return a, tf.as_tensor(b)

    check(g, *rows(1, 2.1, 3, 20, -4))


def test_while_with_numbers_break_and_continue() -> None:
    def f(x: Any) -> Any:
        i, total, halved = 0, 0.0, False
        while x.abs().sum() > 0.1:
            i += 1
            if x[0] < 0:
                x = -x
                continue
            x = x / 2 - 0.01
            halved = True
            total = total + x.sum()
            if i > 6:
                break
            total = total * 0.9
        return x, total if halved else x.sum(), i * x

    check(f, *rows(1, -5, 300, 2000))


def test_for_over_a_range() -> None:
    def f(x: Any, n: Any) -> Any:
        y = x
        for i in range(n):
            y = y * 1.1 + i
            if y.sum() > 20:
                break
        for k in range(2, 12, 3):
            if y[0] > k:
                y = y - k
        return y

    check(f, *[(x, tf.tensor(n)) for (x,), n in zip(rows(1, -5, 3), (4, 9, 0))])


def test_loops_in_loops_and_arrays_written_by_rows() -> None:
    def f(x: Any) -> Any:
        out = tf.zeros(6, 3)
        i = 0
        while i < 6 and x.sum() < 40:
            out[i] = x
            y = x
            while not y.max() < 1:
                y = y * 0.5
            x = x + y + 1
            i = i + 1
        return out, x, 0 < x.sum() < 41 or x[0] > 100

    check(f, *rows(1, 7, 30))


def test_closures_defaults_helpers_and_modules() -> None:
    scale, offset = tf.tensor(3.0), [1.0]

    def helper(x: Any) -> Any:
        return x if x.sum() > 0 else -x

    class Gate(tf.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = tf.nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            y = self.linear(x)
            if y.sum() > 0:
                y = y.relu()
            return y

    gate = Gate()

    def f(x: Any, *, times: int = 2) -> Any:
        def local(y: Any) -> Any:
            if y[0] > 1:
                return y / scale
            return y + offset[0]

        for _ in range(times):
            x = helper(x) - 1
        with tf.no_grad():
            return gate(local(x)) * (2 if x[0] > 0 else 3)

    check(f, *rows(1, -2, 5, 0.5))
    assert "forward" not in gate.__dict__


def test_what_is_changed_in_place_is_changed() -> None:
    state = tf.zeros(3)

    def f(x: Any) -> Any:
        y = x * 1
        if x.sum() > 0:
            y += 1
            y.mul_(2)
        while y[0] < 9:
            y[0] = y[0] + 4
        state.copy_(y)
        return y + state

    check(f, *rows(1, -2, 5))


def test_training_steps() -> None:
    """A loss that chooses, in a loop: parameters stay the same bits, gradients flow."""

    def run(compiled: bool) -> list[np.ndarray]:
        w = tf.full((3,), 0.3, requires_grad=True)
        optimizer = tf.optim.Adam([w], lr=0.05)

        def step(x: Any) -> Any:
            y = x * w
            for _ in range(4):
                if y.sum() > 1:
                    y = y * y * 0.5
                    break
                y = y + w
            loss = y.abs().sum()
            if loss > 2:
                loss = loss.sqrt()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        own = tf.compile(step, fullgraph=False) if compiled else step
        losses = [own(x).numpy().copy() for (x,) in rows(1, 9, -3, 2, 1, 40, 5, 2)]
        if compiled:
            assert any(v.settled for v in own.variants.values())
        return [*losses, w.detach().numpy()]

    for a, b in zip(run(False), run(True), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def test_what_cannot_be_recorded_runs_as_it_is_and_says_where() -> None:
    seen: list[float] = []

    def effect(x: Any) -> Any:
        if x.sum() > 0:
            seen.append(1.0)
        return x * 2

    def shapes(x: Any) -> Any:
        y = x
        if x.sum() > 0:
            y = x[:2]
        return y * 2

    def grows(x: Any) -> Any:
        while x.sum() < 9:
            x = tf.cat([x, x + 1])
        return x

    def helped(x: Any) -> Any:
        calls = 0

        def count() -> int:
            nonlocal calls
            calls += 1
            return calls

        if x.sum() > 0:
            x = x * count()
        else:
            x = x - count()
        return x

    for f, words in (
        (helped, r"calls, of another scope, is set in line \d+"),
        (effect, r"test_decisions.py:\d+\): a call is made for its effect in line \d+"),
        (shapes, r"y is float32\[2\] after one branch of line \d+ and float32\[3\]"),
        (grows, r"x is float32\[3\] before and float32\[6\] after a round of the loop in line"),
    ):
        captured = tf.compile(f)
        with pytest.warns(NotCaptured, match=words):
            for _ in range(2):
                for (x,) in rows(1, -2):
                    assert captured(x).tolist() == f(x).tolist()
        with pytest.raises(RuntimeError, match=r"\[compile\] .*cannot be one graph"):
            strict = tf.compile(f, fullgraph=True)
            for _ in range(3):
                strict(rows(1)[0][0])
    assert len(seen) > 4

    def plain(x: Any) -> Any:
        return x if x.sum() > 0 else -x

    dynamic = tf.compile(plain, control="dynamic")
    with pytest.warns(NotCaptured, match="a value is asked for"):
        assert dynamic(tf.ones(2)).tolist() == [1, 1]


def test_explanations_show_the_branches() -> None:
    def f(x: Any) -> Any:
        while x.sum() < 100:
            x = x * 2 if x[0] > 0 else x + 1
        return x

    captured = tf.compile(f)
    for _ in range(3):
        captured(tf.ones(4))
    found = tf.explain(captured, tf.ones(4), show=False)
    assert len(found.programs) == 1 and "while_loop" in str(found)
    assert found.result.tolist() == f(tf.ones(4)).tolist()


def test_a_captured_function_within_another() -> None:
    class Positive:
        def __call__(self, x: Any, sign: int) -> Any:
            return x * sign if x.sum() > 0 else x

    inner = tf.compile(functools.partial(Positive(), sign=-1))

    def f(x: Any) -> Any:
        return inner(x) if x[0] < 5 else inner(x + 1) * 2

    check(f, *rows(1, -2, 7))
    check(functools.partial(Positive(), sign=-1), *rows(1, -2, 7))


class _Base:
    def shifted(self, x: Any) -> Any:
        return x + 1


class _Derived(_Base):
    def shifted(self, x: Any) -> Any:
        if x.sum() > 0:
            x = x * 2
        return super().shifted(x)


def _nonlocal(x: Any) -> Any:
    calls = 0

    def one_or_two() -> int:
        nonlocal calls
        calls += 1
        return 1 if calls > 1 else 2

    return x * one_or_two() * (1 if x.sum() > 0 else 3) * one_or_two()


def _return_in_a_loop(x: Any) -> Any:
    for i in range(5):
        if i == 3:
            return x * i
        x = x.abs() if x[0] < 0 else x + 1
    return x


def _try_and_with(x: Any) -> Any:
    try:
        y = x * 2
        if x.sum() > 0:
            y = x * 3
    except ValueError:
        y = x
    with tf.no_grad():
        if y.sum() > 10:
            y = y - 1
    return y


def _lists_and_dicts(x: Any) -> Any:
    ys, state = [x * i for i in range(3)], {"n": 0, "x": x}
    if x.sum() > 0:
        ys = [y + 1 for y in ys]
        state = {"n": 1, "x": x * 2}
    return sum(ys) + state["x"] * (state["n"] + 1)


def _continue_by_turns(x: Any) -> Any:
    i = 0
    while i < 8:
        i += 1
        if i % 2:
            continue
        if x.sum() > 20:
            continue
        x = x + i
    return x


def _breaks_in_loops(x: Any) -> Any:
    total = x * 0
    for i in range(4):
        for j in range(4):
            if total.sum() > 9:
                break
            total = total + i * j * x.abs()
        if total[0] > 6:
            break
    return total


def _a_sum_that_starts_at_0(x: Any) -> Any:
    total = 0
    for i in range(3):
        if x[i] > 0:
            total += x[i]
    return tf.as_tensor(total)


def _while_and_else(x: Any) -> Any:
    i = 0
    while i < 3:
        i += 1
        if x[0] < i:
            x = x + 1
    else:
        x = x * 2
    return x


def _options(x: Any, *, a: int = 2, b: Any = None) -> Any:
    if b is None:
        b = a
    assert x.dim() == 1
    if x.sum() > 0 and b > 1:
        unused = x * b
        x = unused
    return x


@pytest.mark.parametrize(
    "function",
    [
        _Derived().shifted, _nonlocal, _return_in_a_loop, _try_and_with, _lists_and_dicts,
        _continue_by_turns, _breaks_in_loops, _a_sum_that_starts_at_0, _while_and_else, _options,
    ],
)  # fmt: skip
def test_ways_of_writing(function: Any) -> None:
    check(function, *[(tf.tensor(v),) for v in ([1.0, 2, 3], [-5.0, 1, 2], [0.1, 0.2, 0.3])])


def test_an_argument_that_is_looked_at_is_no_constant() -> None:
    """Its value decides at each call, though it is known when the function is recorded."""

    def f(x: Any, flag: Any) -> Any:
        if flag:
            return x * 2
        return x * 3

    captured = tf.compile(f)
    for flag in (True, True, True, True, False, True):
        assert captured(tf.ones(2), tf.tensor(flag)).tolist() == [2.0 if flag else 3.0] * 2


def test_tensors_of_other_scopes_changed_in_place() -> None:
    """Names that are not the function's own are not bound anew by what is made of it."""
    total, rows = tf.zeros(2), tf.zeros(3)

    @tf.compile
    def step(x: tf.Tensor, add: bool) -> tf.Tensor:
        if add:
            total.add_(x)
            rows[0] = 1.0
        if x.sum() > 0:
            return x
        return -x

    for k in range(1, 6):
        assert step(tf.ones(2), True).tolist() == [1.0, 1.0]
        assert total.tolist() == [float(k)] * 2 and rows.tolist() == [1.0, 0.0, 0.0]


def _bound_on_one_way(x: Any) -> Any:
    if x.sum() > 0:
        y = x * 2
    return y if x.sum() > 0 else x


def _bound_in_a_loop(x: Any) -> Any:
    while x.sum() < 9:
        last = x
        x = x + 1
    return x, last


def _unbound_is_python_s_error(x: Any) -> Any:
    if x.sum() > 0:
        y = 1
    try:
        return x * y
    except UnboundLocalError:
        return x * 9


def _read_by_a_function_within(x: Any) -> Any:
    k, r = x, x

    def get() -> Any:
        return k

    if x.sum() > 0:
        k = x * 5
        r = get()
    return r


def _bound_by_a_function_within(x: Any) -> Any:
    a = x

    def bind() -> Any:
        nonlocal a
        a = a + 1
        return a

    if x.sum() > 0:
        a = a * 2
        bind()
    return a


def _functions_made_in_a_loop(x: Any) -> Any:
    made = []
    for i in range(3):
        if x.sum() > i:
            made.append(lambda v, i=i: v * i)
        else:
            made.append(lambda v: v + i)  # noqa: B023  # which sees the last i
    return sum(f(x) for f in made)


def _other_name_of_what_is_changed(x: Any) -> Any:
    y = x.clone()
    other = y
    if x.sum() > 0:
        y += 2
        z = other * 3
    else:
        z = other
    return y, z


def _other_name_given_back(x: Any) -> Any:
    y = x.clone()
    other = y
    if x.sum() > 0:
        y += 2
        z = other
    else:
        z = x
    return y, z


def _dict_changed(x: Any) -> Any:
    held = {"a": x}
    if x.sum() > 0:
        held["a"] = x * 2
    return held["a"]


def _list_changed(x: Any) -> Any:
    held = [x]
    other = held
    if x.sum() > 0:
        held += [x]
    return x * len(other)


def _set_item(held: Any, x: Any) -> Any:
    held["a"] = x
    return x


def _dict_changed_by_a_function(x: Any) -> Any:
    held = {"a": x}
    y = x
    if x.sum() > 0:
        y = _set_item(held, x * 2)
    return held["a"] + y


def _first_that_is_true(x: Any) -> Any:
    return x[0] or x[1], (x[0] > 0 and x[1]), (x[1] > 0 or None) is None


def _bound_by_match(x: Any) -> Any:
    k, a = 3, 0
    if x.sum() > 0:
        match k:
            case a:
                pass
    return x * a


def _bound_in_a_comprehension(x: Any) -> Any:
    last = 0
    if x.sum() > 0:
        y = sum([(last := k) for k in (1, 2)])
    else:
        y = 5
    return x * (y + last)


def _effects_in_expressions(x: Any) -> Any:
    numbers, held = [1, 2, 3], iter([4, 5])
    first = numbers.pop() if x.sum() > 0 else 1
    second = next(held) if x[0] > 1 else 2
    if x[0] > 2:
        third = {}.setdefault("a", len(numbers))
    else:
        third = next(held)
    return x * first * second * third * next(held, 7) * len(numbers)


def _effects_in_a_loop(x: Any) -> Any:
    found: list[Any] = []
    while x.sum() < 9 and (len(found) > 4 or found.append(1) is None):
        x = x + 1
    return x * len(found)


def _effects_of_parts(x: Any) -> Any:
    found: list[Any] = []
    numbers = iter([1, 2])
    keep = lambda v: found.append(v) or v  # noqa: E731
    y = keep(x) if x.sum() > 0 else x
    if x[0] > 1:
        z = sum([found.append(k) or k for k in (1, 2)])
    else:
        z = 1
    if x[0] > 2:
        for k in numbers:
            z = z + k
    return y * z * len(found) + len(list(numbers))


def _guarded(x: Any) -> Any:
    known = {"a": x} if float(x[0]) > 0 else {}
    return x * 2 if x[0] > 0 and known["a"].sum() > 0 else x * 3


@pytest.mark.parametrize(
    "function",
    [
        _bound_on_one_way, _bound_in_a_loop, _unbound_is_python_s_error,
        _read_by_a_function_within, _bound_by_a_function_within, _functions_made_in_a_loop,
        _other_name_of_what_is_changed, _other_name_given_back, _dict_changed, _list_changed,
        _dict_changed_by_a_function, _first_that_is_true, _bound_by_match,
        _bound_in_a_comprehension, _effects_in_expressions, _effects_in_a_loop,
        _effects_of_parts, _guarded,
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::twofold.capture.NotCaptured")
def test_what_is_no_graph_is_python_s(function: Any) -> None:
    captured = tf.compile(function)
    for numbers in ([1.0, 2], [-1.0, 2], [3.0, 1], [-1.0, -2], [0.0, 2], [-1.0, -2], [2.0, 2]):
        expected, got = function(tf.tensor(numbers)), captured(tf.tensor(numbers))
        for a, b in zip(*[r if isinstance(r, tuple) else (r,) for r in (expected, got)]):
            assert isinstance(b, (tf.Tensor, bool)) and type(a) is type(b)
            np.testing.assert_array_equal(a, b)


class _Private:
    def __call__(self, x: Any) -> Any:
        if x.sum() > 0:
            return self.__own(x)
        return x - 1

    def __own(self, x: Any) -> Any:
        return x * 2 if x[0] > 0 else x


def test_private_names_of_a_class() -> None:
    check(_Private(), *rows(1, -2, -9, 4))


def test_threads_record_decisions_apart() -> None:
    found = []
    with recording_decisions():
        thread = threading.Thread(target=lambda: found.append(reasons.on))
        thread.start()
        thread.join()
        assert reasons.on
    assert found == [False]


@pytest.mark.filterwarnings("ignore::twofold.capture.NotCaptured")
def test_a_branch_that_is_not_taken_draws_no_random_numbers() -> None:
    def f(x: Any) -> Any:
        if x.sum() > 0:
            return x + tf.rand(2)
        return x

    def drawn(function: Any, sign: float) -> list[Any]:
        tf.manual_seed(0)
        return [function(tf.tensor([sign, sign])).tolist(), tf.rand(2).tolist()]

    captured = tf.compile(f)
    for sign in (1.0, -1.0, 1.0, -1.0, -1.0, 1.0):
        assert drawn(captured, sign) == drawn(f, sign)


def _tenfold(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(x: Any) -> Any:
        if x.sum() > 0:
            return function(x) * 10
        return function(x)

    return wrapper


@_tenfold
def _wrapped(x: Any) -> Any:
    if x.sum() > -3:
        return x + 1
    return x - 1


def test_a_wrapper_is_not_what_it_wraps() -> None:
    def calls(x: Any) -> Any:
        return _wrapped(x) + 1

    check(_wrapped, *rows(1, -2, -9, 4))
    check(calls, *rows(1, -2, -9, 4))


def _own_lambda(x: Any, of: Any = lambda y: y * 2 if y.sum() > 0 else y) -> Any:
    return of(x)


@pytest.mark.filterwarnings("ignore::twofold.capture.NotCaptured")
def test_a_lambda_is_not_the_function_around_it() -> None:
    captured = tf.compile(_own_lambda)
    for sign in (1.0, -1.0, 1.0, -1.0):
        x = tf.tensor([sign])
        assert captured(x).tolist() == _own_lambda(x).tolist()

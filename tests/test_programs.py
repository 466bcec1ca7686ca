"""Which graphs are planned anew, and which have a program already."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import twofold as tf
from twofold import engine
from twofold.graph.canonical import canonical
from twofold.ops import movement as mv

pytestmark = pytest.mark.native


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one entry with each graph that is planned."""
    found: list[int] = []
    plan = engine.compile_graph

    def counted(*args: object, **options: object) -> engine.Program:
        found.append(len(found))
        return plan(*args, **options)

    monkeypatch.setattr(engine, "compile_graph", counted)
    return found


def _trained(before: Callable[[tf.Tensor, tf.Tensor], object], steps: int) -> list[list]:
    """The weights after each step of a small net; `before` leaves unfinished work behind."""
    w = tf.from_numpy(np.linspace(-1, 1, 35, dtype=np.float32).reshape(5, 7)).requires_grad_()
    left, seen = [], []
    for k in range(steps):
        x = tf.from_numpy(np.linspace(0, k + 1, 20, dtype=np.float32).reshape(4, 5))
        target = tf.tensor([0, 6, k % 7, 2])
        left.append(before(x, target))
        loss = tf.nn.functional.cross_entropy((x @ w * (1.25 + k)).tanh(), target)
        loss.backward()
        with tf.no_grad():
            w.sub_(0.1 * w.grad)
            w.grad = None
        seen.append([loss.item(), w.tolist()])
    return seen


def test_unfinished_work_does_not_make_a_step_a_new_one(planned: list[int]) -> None:
    """Leaves that other work used first have other numbers: the same plan runs, and rightly."""
    expected = _trained(lambda x, target: None, 3)
    count = len(planned)
    for before in (
        lambda x, target: (target + 1) is None,
        lambda x, target: (x * 3).sum() is None,
        lambda x, target: (tf.tensor(4.5) * x + target[:, None]) is None,
    ):
        assert _trained(before, 3) == expected
    assert len(planned) == count


def test_an_error_names_its_line_in_a_plan_of_other_numbers(planned: list[int]) -> None:
    table = tf.arange(5.0)
    tf.eval(table)
    planned.clear()
    for extra in (False, True):
        place = tf.tensor([1, 5])
        if extra:
            assert (place * 2) is not None
        with pytest.raises(IndexError, match=r"5 is out of bounds.*test_programs\.py"):
            (table[place] * 2).tolist()
    assert len(planned) == 1


def test_graphs_that_differ_in_an_attribute_have_other_forms() -> None:
    """Also in -1 and -2, which have one hash in Python."""
    x = tf.arange(8)._node()
    forms = [canonical([mv.slice_(x, ((6, 2, step),))]) for step in (-1, -2, 1)]
    assert len({form[0] for form in forms if form is not None}) == 3

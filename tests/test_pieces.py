"""Programs whose graphs have another length each time run in pieces, with the same results."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

import twofold as tf
from twofold import engine
from twofold.graph.node import Node, postorder
from twofold.graph.pieces import SMALLEST, Changing, boundaries, pending_order


def episode(steps: int) -> list[np.ndarray]:
    """The loss and gradients of a net that sees `steps` small inputs one at a time."""
    r = np.random.RandomState(steps)
    w = tf.from_numpy(r.randn(4, 8).astype(np.float32)).requires_grad_()
    v = tf.from_numpy(r.randn(8, 2).astype(np.float32)).requires_grad_()
    weights = tf.from_numpy(r.randn(steps).astype(np.float32))
    terms = []
    for weight in weights:
        state = tf.from_numpy(r.randn(1, 4).astype(np.float32))
        terms.append(-((state @ w).relu() @ v).log_softmax(1)[:, 1] * weight)
    loss = tf.cat(terms).sum()
    loss.backward()
    tf.eval(loss, w.grad, v.grad)
    return [loss.detach().numpy(), w.grad.numpy(), v.grad.numpy()]


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of operations of each graph that is planned, in a process without a past."""
    monkeypatch.setattr(engine, "_changing", Changing())
    sizes: list[int] = []
    compile_graph: Callable = engine.compile_graph

    def count(roots: list[Node], *more: object) -> engine.Program:
        sizes.append(sum(n.value is None for n in postorder(roots, pending_only=True)))
        return compile_graph(roots, *more)

    monkeypatch.setattr(engine, "compile_graph", count)
    return sizes


@pytest.mark.native
def test_new_lengths_plan_only_what_is_new(planned: list[int]) -> None:
    for steps in (21, 22, 23):
        episode(steps)
    assert max(planned) >= SMALLEST
    episode(24)
    del planned[:]
    episode(25)
    assert max(planned, default=0) < SMALLEST
    assert sum(planned) < 300, "the pieces of 24 steps are those of 25, but for what joins them"


@pytest.mark.native
def test_pieces_give_the_bits_of_the_whole(
    planned: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = episode(26)
    for steps in (27, 28, 29):
        episode(steps)
    engine._programs.clear()
    engine._forms.clear()
    del planned[:]
    cut = episode(26)
    assert max(planned) < SMALLEST
    for a, b in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.native
def test_a_graph_that_comes_back_is_planned_whole(planned: list[int]) -> None:
    for steps in (30, 31, 32):
        episode(steps)
    for _ in range(8):
        episode(33)
    del planned[:]
    episode(33)
    assert max(planned) >= SMALLEST
    del planned[:]
    episode(33)
    assert not planned


def test_cuts_fall_at_the_same_place_of_every_step() -> None:
    def middle(before: int, steps: int) -> set[tuple[str, ...]]:
        """The pieces, but for the first and last ones, as names of ops."""
        x = tf.ones(5)
        for _ in range(before):
            x = x.reshape(5, 1).reshape(5).sqrt()
        for _ in range(steps):
            x = ((x * 3).exp() + 1).log().reshape(1, 5).sum(0).sin() * 2
        order = pending_order([x._node()])
        names = [node.structure.op.name for node in order]
        starts = boundaries(order)
        return {tuple(names[a:b]) for a, b in itertools.pairwise(starts[3:-1])}

    assert middle(0, 100) == middle(7, 120)
    assert len(middle(11, 90)) == 1

"""einsum in all of its forms against PyTorch, and the order of its products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold.functions.einsum import _order
from twofold.gradcheck import gradcheck

RNG = np.random.default_rng(5)
CASES: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    ("ij,jk->ik", ((3, 4), (4, 5))),
    ("ij,jk", ((3, 4), (4, 5))),
    ("ba,cb", ((3, 4), (5, 3))),
    ("ii->i", ((4, 4),)),
    ("ii", ((4, 4),)),
    ("...ij,...jk->...ik", ((2, 1, 3, 4), (5, 4, 2))),
    ("i...,i...", ((3, 2, 4), (3, 4))),
    ("...", ((2, 3),)),
    ("ij->ji", ((3, 4),)),
    ("ij,ij,ij->", ((3, 4),) * 3),
    ("ab,bc,cd,de,ea->", ((2, 3), (3, 4), (4, 5), (5, 6), (6, 2))),
    ("iij,jk->ik", ((3, 3, 4), (4, 2))),
    ("i,j,k->ijk", ((2,), (3,), (4,))),
    (",i->i", ((), (3,))),
    ("bhqd,bhkd->bhqk", ((2, 2, 3, 4), (2, 2, 5, 4))),
    ("ij,kj->ik", ((3, 1), (4, 5))),
    (",".join("ab bc cd de ef fg gh hi ij".split()) + "->aj", ((2, 2),) * 9),
]


@pytest.mark.parametrize(("equation", "shapes"), CASES, ids=[c[0] for c in CASES])
def test_equations_match_pytorch(equation: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    torch = pytest.importorskip("torch")
    arrays = [RNG.standard_normal(s) for s in shapes]
    got, expected = (
        lib.einsum(equation, *(lib.tensor(a) for a in arrays)).numpy() for lib in (tf, torch)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


def test_lists_of_numbers() -> None:
    torch = pytest.importorskip("torch")
    a, b = RNG.standard_normal((2, 3, 4)), RNG.standard_normal((4, 5))

    def each(lib: Any) -> list[Any]:
        x, y = lib.tensor(a), lib.tensor(b)
        return [
            lib.einsum(x, [..., 0], y, [0, 1], [..., 1]).numpy(),
            lib.einsum(x, [7, 1, 3], y, [3, 2]).numpy(),
        ]

    for got, expected in zip(each(tf), each(torch), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_the_order_costs_least() -> None:
    """A matrix chain from its cheap end; an outer product last."""
    assert _order(("ab", "bc", "cd"), ((100, 100), (100, 100), (100, 1)), "ad") == ((1, 2), (0, 1))
    assert _order(("ab", "bc", "cd"), ((1, 100), (100, 100), (100, 100)), "ad")[0] == (0, 1)
    assert _order(("i", "j", "ij"), ((50,), (50,), (50, 50)), "")[0] != (0, 1)


def test_gradient() -> None:
    x, y, z = (
        tf.tensor(RNG.standard_normal((2, 3)), requires_grad=True),
        tf.tensor(RNG.standard_normal((3, 2)), requires_grad=True),
        tf.tensor(RNG.standard_normal(2), requires_grad=True),
    )
    assert gradcheck(lambda *v: tf.einsum("ij,jk,k->i", *v), (x, y, z))


@pytest.mark.parametrize(
    ("equation", "words"),
    [
        ("ij,jk->ik", "fewer operands"),
        ("i->i", "does not match the number"),
        ("ij->iz", "does not appear"),
        ("ij->ii", "more than once"),
        ("i1->i", "invalid subscript"),
    ],
)
def test_errors(equation: str, words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        tf.einsum(equation, tf.ones(2, 3))

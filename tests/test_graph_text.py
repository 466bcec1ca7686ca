"""Graphs as text: golden text, round trips, refusals; and the verifier's verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from op_rows import ROWS

from twofold import config, dtypes, engine, passes
from twofold.autograd.reverse import cotangents
from twofold.errors import InternalError
from twofold.graph import node as graph
from twofold.graph.node import Node, postorder
from twofold.graph.text import Given, Graph, parse, same
from twofold.graph.types import Type
from twofold.graph.verify import verify
from twofold.ops import base, interpret, reduce
from twofold.ops import contract as ct
from twofold.ops import elementwise as ew
from twofold.ops import movement as mv


def leaf(*shape: int, seed: int = 0, requires_grad: bool = False) -> Node:
    values = np.random.default_rng(seed).standard_normal(shape).astype("f4")
    return engine.from_numpy(values, requires_grad=requires_grad)


def net() -> list[Node]:
    """The loss of a little net, with a number, constants, a cast and movement."""
    x, w, y = leaf(4, 3), leaf(3, 5, seed=1), leaf(4, 5, seed=2)
    h = ew.relu(ct.matmul(x, w))
    scaled = ew.mul(h, ew.number(0.1, dtypes.float32))
    error = ew.sub(scaled, y)
    loss = reduce.sum_(ew.mul(error, error), (0, 1))
    return [loss, ew.cast(mv.permute(h, (1, 0)), dtypes.float64)]


GOLDEN = """\
def graph(x0: float32[4, 3], x1: float32[3, 5], x2: number(float32), x3: float32[4, 5]):
    v0: float32[4, 5] = matmul(x0, x1)
    v1: float32[4, 5] = relu(v0)
    v2: float32[4, 5] = mul(v1, x2)
    v3: float32[4, 5] = sub(v2, x3)
    v4: float32[4, 5] = mul(v3, v3)
    v5: float32 = sum(v4, axes=(0, 1))
    v6: float32[5, 4] = permute(v1, axes=(1, 0))
    v7: float64[5, 4] = cast(v6, dtype=float64)
    return v5, v7"""


def test_golden_text() -> None:
    assert str(Graph(net())) == GOLDEN


def test_text_can_be_pasted_back_and_run() -> None:
    roots = net()
    read = parse(str(Graph(roots)), base.registry)
    assert same(read.roots, roots)
    given = dict(zip(map(id, read.leaves), map(engine.array_of, Graph(roots).leaves)))
    arrays = {id(n): engine.array_of(n) for n in Graph(roots).leaves}
    for got, want in zip(interpret.evaluate(read.roots, given), interpret.evaluate(roots, arrays)):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("value", [0, 0.5, -1, float("inf"), float("-inf"), float("nan"), 1e-45])
def test_constants_keep_their_bits(value: float) -> None:
    root = ew.add(leaf(2), ew.constant(value, dtypes.float32))
    read = parse(str(Graph([root])), base.registry)
    assert read.roots[0].inputs[1].attrs == root.inputs[1].attrs


def test_every_pass_prints_what_can_be_read() -> None:
    now = net()
    for rewrite in passes.PASSES:
        now = rewrite(now)
        assert same(parse(str(Graph(now)), base.registry).roots, now)


def test_a_gradient_prints_too() -> None:
    w = leaf(3, 5, requires_grad=True)
    loss = reduce.sum_(ew.exp(ct.matmul(leaf(4, 3), w)), (0, 1))
    found = cotangents([loss], [ew.constant(1, dtypes.float32)], wanted={id(w)})
    g = [cotangent for node, cotangent in found if node is w]
    assert g and same(parse(str(Graph(g)), base.registry).roots, g)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "expected one function"),
        ("def graph(:", "not a graph"),
        ("def graph(x):\n    return x", "x has no type"),
        ("def graph(x: float31[2]):\n    return x", "float31.* is no type"),
        ("def graph(x: float32[2]):\n    return y", "y is not defined"),
        ("def graph(x: float32[2]):\n    return exq(x)", "no op is called exq"),
        ("def graph(x: float32[2]):\n    return sum(x)", "has the attributes"),
        ("def graph(x: float32[2]):\n    v: float32[3] = exp(x)\n    return v", "not float32"),
        ("def graph(x: float32[2]):\n    v = exp(x)", "expected NAME: TYPE"),
        ("def graph(x: float32[2]):\n    v: float32[2] = exp(x)", "returns nothing"),
    ],
)
def test_bad_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text, base.registry)


def test_no_limit_on_the_length_of_a_chain() -> None:
    x = leaf(2)
    for _ in range(3000):
        x = ew.add(x, x)
    assert str(Graph([x])).count("\n") == 3001
    verify([x], base.registry, "recording")


# The verifier.


def test_the_verifier_passes_what_is_right() -> None:
    verify(net(), base.registry, "recording")


def test_a_wrong_type_is_named_with_its_stage() -> None:
    roots = net()
    wrong = roots[0].inputs[0]
    old = wrong.structure
    wrong.structure = graph.Structure(old.op, old.attrs, Type((9, 9), dtypes.float32), False)
    with pytest.raises(InternalError, match=r"after fold: v4.*|after fold: mul.*float32\[4, 5\]"):
        verify(roots, base.registry, "fold")


def test_a_way_round_is_found() -> None:
    x = ew.exp(leaf(2))
    y = ew.exp(x)
    x.inputs = (y,)
    with pytest.raises(InternalError, match="an input of itself"):
        verify([y], base.registry, "fold")


def test_an_unknown_op_and_missing_attributes_are_found() -> None:
    root = reduce.sum_(leaf(2, 3), (1,))
    with pytest.raises(InternalError, match="registered"):
        verify([root], {}, "fold")
    s = root.structure
    root.structure = graph.Structure(s.op, (), s.type, False)
    with pytest.raises(InternalError, match="parameters"):
        verify([root], base.registry, "fold")


def test_a_root_keeps_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def widen(roots: list[Node]) -> list[Node]:
        return [ew.cast(r, dtypes.float64) for r in roots]

    monkeypatch.setattr(passes, "PASSES", (widen,))
    with config.override(verify=True), pytest.raises(InternalError, match="after widen: root 0"):
        passes.run([ew.exp(leaf(2))])


def test_passes_are_shown_with_what_they_changed(capsys: pytest.CaptureFixture[str]) -> None:
    with config.override(debug=3):
        passes.run([ew.exp(ew.mul(leaf(2), ew.constant(1, dtypes.float32)))])
    shown = capsys.readouterr().err
    assert "def recorded(" in shown and "def simplify(" in shown
    assert "pull_permutes: unchanged" in shown
    assert (
        len(postorder(parse(shown[: shown.index("split_complex: unchanged")], base.registry).roots))
        == 4
    )


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_op_can_be_pasted_back(name: str) -> None:
    row = ROWS[name]
    for case in row.cases:
        inputs = []
        for k, shape in enumerate(case.shapes):
            dtype = case.dtypes[k - 1] if k and k <= len(case.dtypes) else None
            inputs.append(graph.leaf(Given(f"x{k}"), Type(shape, dtype or row.dtypes[0])))
        root = graph.make(base.registry[name], tuple(inputs), case.attrs)
        text = str(Graph([root]))
        read = parse(text, base.registry)
        assert str(read) == text
        assert read.roots[0].structure.attrs == root.structure.attrs
        assert read.roots[0].type == root.type

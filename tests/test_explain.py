"""`explain` and the picture of a graph."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

import twofold as tf
from twofold import engine
from twofold.graph.svg import BOX_GAP, _layers, _order, _place, draw
from twofold.ops import elementwise as ew
from twofold.runtime.plan import Plan


def net(n: int) -> tuple:
    x, w = tf.ones(n, 7), tf.ones(7, 3, requires_grad=True)

    def step() -> tf.Tensor:
        loss = ((x @ w).relu() * 0.3).sum()
        loss.backward()
        with tf.no_grad():
            w.sub_(0.1 * w.grad)
            w.grad = None
        return loss.detach()

    return step, w


def test_the_function_runs_once_and_its_result_is_given() -> None:
    (step, w), (plain, expected) = net(5), net(5)
    found = tf.explain(step, show=False)
    assert found.result.item() == plain().item()
    assert w.tolist() == expected.tolist()
    step()
    plain()
    assert w.tolist() == expected.tolist()


def test_it_tells_kernels_and_why_they_were_compiled(capsys: pytest.CaptureFixture[str]) -> None:
    step, _ = net(6)
    first = tf.explain(step)
    assert "GFLOP/s" in capsys.readouterr().out
    (program,) = first.programs
    assert program.reason is not None
    assert "def graph(" in program.graph and "matmul" in program.recorded
    labels = [k.label for k in program.kernels]
    assert sum(label.startswith("matmul") for label in labels) == 2
    for kernel in program.kernels:
        assert kernel.stores and kernel.n_bytes > 0 and 0 <= kernel.seconds < 1 and kernel.text
    assert any(k.inlined for k in program.kernels)
    assert sum(k.flops for k in program.kernels) >= 2 * 2 * 6 * 7 * 3
    again = tf.explain(step, show=False)
    assert again.programs[0].reason is None and "known" in str(again)
    other, _ = net(9)
    changed = tf.explain(other, show=False)
    assert "[6, 7]" in changed.programs[0].reason or "[9, 7]" in changed.programs[0].reason


def test_an_observer_is_gone_after_an_error() -> None:
    def fail() -> None:
        raise KeyError("own")

    with pytest.raises(KeyError):
        tf.explain(fail, show=False)
    assert not engine.observers


def test_a_function_that_looks_at_values_is_several_programs() -> None:
    def look(x: tf.Tensor) -> tf.Tensor:
        return x * 2 if x.sum().item() > 0 else x

    assert len(tf.explain(look, tf.ones(3), show=False).programs) == 2


def test_a_compiled_function_is_explained_as_it_is_written() -> None:
    f = tf.compile(lambda x: x * 5 + 1)
    for _ in range(3):
        f(tf.ones(2))
    found = tf.explain(f, tf.ones(2), show=False)
    assert found.result.tolist() == [6.0, 6.0] and len(found.programs) == 1


def test_nothing_to_run_is_said() -> None:
    assert "nothing ran" in str(tf.explain(lambda: 3, show=False))


def test_the_picture_is_xml_with_a_box_for_each_node(tmp_path: Path) -> None:
    step, _ = net(5)
    found = tf.explain(step, show=False)
    path = tmp_path / "graph.svg"
    found.save(path)
    root = ElementTree.parse(path).getroot()
    text = " ".join(t.text or "" for t in root.iter("{http://www.w3.org/2000/svg}text"))
    for name in re.findall(r"^    (v\d+):", found.programs[0].graph, re.M):
        assert f"{name} = " in text


def test_boxes_do_not_overlap_and_edges_go_down() -> None:
    x = engine.from_numpy(tf.ones(2).numpy())
    level = [ew.mul(x, ew.constant(k + 3, x.dtype)) for k in range(6)]
    top = level
    while len(top) > 1:
        top = [ew.add(a, b) for a, b in itertools.pairwise(top)]
    layers = _layers([top[0], level[0]])
    _order(layers)
    width = _place(layers)
    for layer in layers:
        for a, b in itertools.pairwise(layer):
            assert a.x + a.width + BOX_GAP <= b.x + 1e-6
        for box in layer:
            assert box.x >= 0 and box.x + box.width <= width
            assert all(below.layer == box.layer + 1 for below in box.below)


def test_text_in_the_picture_is_escaped() -> None:
    svg = draw([ew.exp(engine.from_numpy(tf.ones(2).numpy()))], {}, ["a < b & c"])
    ElementTree.fromstring(svg)
    assert "a &lt; b &amp; c" in svg


def test_a_clock_that_jumps_spoils_one_run_only(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = iter([[1e-3], [0.0], [2e-3], [3e-3], [5.0]])
    monkeypatch.setattr(Plan, "run_timed", lambda *_: next(runs))
    found = tf.explain(lambda x: x * 3, tf.ones(4), show=False)
    assert found.programs[0].kernels[0].seconds == 2e-3


def test_wide_graphs_are_drawn_in_time_that_grows_with_their_size() -> None:
    """Thousands of nodes side by side, as in the update of a net with many parameters."""
    x = tf.ones(3)
    wide = [(x * (k + 3.5))._node() for k in range(3000)]
    begin = time.thread_time()
    text = draw(wide, {}, [])
    assert text.count("<rect") >= 3000
    assert time.thread_time() - begin < 5

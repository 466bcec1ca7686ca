"""The debug ladder: each level shows what it names, and a compile says why it happens."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from twofold import config, dtypes, engine
from twofold.graph.history import History, signature
from twofold.graph.node import Node
from twofold.kernels.text import kernel_text
from twofold.ops import contract as ct
from twofold.ops import elementwise as ew
from twofold.ops import reduce


def leaf(*shape: int) -> Node:
    return engine.from_numpy(np.ones(shape, "f4"))


def run_at(level: int, n: int, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said at `level` while a graph over (n, 3) is compiled and run."""
    with config.override(debug=level, cache_dir=None):
        x = ct.matmul(leaf(n, 3), leaf(3, 5))
        engine.realize([reduce.sum_(ew.relu(ew.mul(x, x)), (1,))])
    return capsys.readouterr().err


LEVELS = {
    1: "compiled: ",
    2: "launch 0: matmul",
    3: "def recorded(",
    4: "acc0_0 = sum(",
    5: "define void @",
    6: ".globl",
}


@pytest.mark.native
@pytest.mark.parametrize("level", range(7))
def test_each_level_shows_its_own_and_all_below(
    level: int, capsys: pytest.CaptureFixture[str]
) -> None:
    # Sizes of its own for each level: a known program says nothing. Shapes are no part of kernels,
    # so the code is shown for the first of these only; see the next test.
    text = run_at(level, 20 + level, capsys)
    for k, mark in LEVELS.items():
        if k <= 4 or k > level:
            assert (mark in text) == (k <= level), mark


@pytest.mark.native
def test_code_is_shown_even_if_the_disk_knows_it(
    capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = str(tmp_path_factory.mktemp("cache"))
    for op in (ew.floor, ew.ceil):
        with config.override(debug=6, cache_dir=folder):
            engine.realize([op(ew.sub(leaf(3), leaf(3)))])
        text = capsys.readouterr().err
        assert "define void @" in text and ".globl" in text


def test_reasons() -> None:
    history = History()
    options = config.current()

    def why(root: Node, options: object = options) -> str:
        return history.reason(signature([root], options))

    assert why(ew.exp(leaf(2))).startswith("new: a graph of 1 ops")
    assert "x0 was float32[2] and is float32[3]" in why(ew.exp(leaf(3)))
    assert "attributes" not in why(reduce.sum_(leaf(2, 2), (1,)))
    assert why(reduce.sum_(leaf(2, 2), (0,))).startswith("attributes")
    with config.override(threads=7) as other:
        assert "threads was" in why(reduce.sum_(leaf(2, 2), (0,)), other)


def test_a_program_keeps_no_values_alive() -> None:
    x = leaf(41)
    y = reduce.sum_(ew.relu(ew.add(ew.mul(x, ew.constant(1, dtypes.float32)), x)), (0,))
    engine.realize([y])
    value = weakref.ref(x.value)
    del x, y
    gc.collect()
    assert value() is None


def test_a_loop_nest_reads_as_one() -> None:
    x = leaf(6, 10)
    top = reduce.spread(reduce.reduce("max", x, (1,)), x.shape, (1,))
    planned = engine.plan_graph([reduce.sum_(ew.mul(ew.sub(x, top), ew.sub(x, top)), (1,))])
    (launch,) = planned.memory.launches
    assert kernel_text(launch.spec, (6, 10)) == (
        "reduce(a: float32, b: float32)\n"
        "  for i < 6:\n"
        "    for j < 10 *lanes:\n"
        "      acc0_0 = max(a[i:, j])\n"
        "    for j < 10 *lanes:\n"
        "      t0 = (a[i:, j] - acc0_0)\n"
        "      acc1_0 = sum((t0 * t0))\n"
        "    b[i:] = acc1_0"
    )
    assert dtypes.float32.name in kernel_text(launch.spec)

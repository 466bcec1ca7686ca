"""Long chains, repeatable bits, other targets, the references as a backend, and the NaN trap."""

from __future__ import annotations

import itertools

import llvmlite.binding as llvm
import numpy as np
import pytest

import twofold as tf
from twofold import config
from twofold.codegen import emit
from twofold.codegen.llvm_target import machine_for
from twofold.engine import plan_graph
from twofold.machine import target_for


def _net(seed: int = 0) -> list[np.ndarray]:
    """A few steps of a small net with every kind of kernel; all that it leaves."""
    tf.manual_seed(seed)
    x, y = tf.randn(65, 33), tf.randint(0, 7, (65,))
    w = tf.randn(33, 19, requires_grad=True)
    v = tf.randn(19, 7, requires_grad=True)
    left = []
    for _ in range(3):
        hidden = tf.nn.functional.dropout((x @ w).tanh(), 0.3, True)
        scores = (hidden @ v).log_softmax(1)
        loss = -scores.gather(1, y[:, None]).mean() + 0.01 * (w.var() + v.norm())
        gw, gv = tf.autograd.grad(loss, (w, v))
        with tf.no_grad():
            w -= 0.1 * gw
            v -= 0.1 * gv
        left += [loss.detach().numpy().copy(), gw.cumsum(0).numpy()]
        left.append(scores.detach().sort(1)[0].numpy())
    return [*left, w.detach().numpy().copy(), v.detach().numpy().copy()]


def _same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(p.tobytes() == q.tobytes() for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_bits_do_not_depend_on_threads(threads: int) -> None:
    with config.override(threads=1):
        expected = _net()
    with config.override(threads=threads):
        assert _same(_net(), expected)


@pytest.mark.parametrize("shape", [(5, 37), (8, 100, 7), (3, 4, 5, 40)])
def test_bits_do_not_depend_on_where_a_graph_is_cut(shape: tuple[int, ...]) -> None:
    """Sums over each choice of axes of each permutation, while the permutation is pending and once
    it lies in memory."""
    base = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    axes = range(len(shape))
    x = tf.tensor(base)
    for order in itertools.permutations(axes):
        moved = tf.tensor(np.ascontiguousarray(base.transpose(order)))
        some = [c for k in axes for c in itertools.combinations(axes, k + 1)]
        pending = tf.cat([x.permute(order).sum(c).reshape(-1) for c in some]).numpy()
        realized = tf.cat([moved.sum(c).reshape(-1) for c in some]).numpy()
        assert pending.tobytes() == realized.tobytes(), order


def test_a_seed_gives_the_same_bits_twice() -> None:
    assert _same(_net(5), _net(5))
    assert not _same(_net(5), _net(6))


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3"])
def test_other_levels_of_the_processor(target: str) -> None:
    """The same values, but for the last digits, without AVX and without AVX-512."""
    if not target_for("host").triple.startswith("x86_64"):
        pytest.skip("needs x86-64")
    expected = _net()
    with config.override(target=target):
        for a, b in zip(_net(), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


def test_the_references_run_everything() -> None:
    expected = _net()
    with config.override(backend="reference"):
        for a, b in zip(_net(), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


def test_arm_code_is_emitted() -> None:
    """Kernels for aarch64 use its vector registers, and only functions that are there."""
    arm = target_for("aarch64")
    with config.override(target="aarch64"):
        x, w = tf.randn(64, 48), tf.randn(48, 32)
        y = ((x @ w).tanh() + 1).sum(1)
        planned = plan_graph([y._node()])
    machine = machine_for(arm)
    for launch in planned.memory.launches:
        module = emit.emit(launch.spec, arm)
        module.triple = arm.triple
        text = machine.emit_assembly(llvm.parse_assembly(str(module)))
        assert ".4s" in text, launch.spec
        calls = {line.split()[1] for line in text.splitlines() if line.startswith("\tbl\t")}
        assert {name for name in calls if f"\n{name}:" not in text} == set()


@pytest.mark.parametrize("n", [20_000])
def test_a_chain_of_nodes(n: int) -> None:
    """Forward and backward through a deep chain: nothing here recurses."""
    x = tf.ones(4, requires_grad=True)
    y = x
    for k in range(n):
        y = y + x if k % 2 else y * 0.5
    y.sum().backward()
    assert x.grad is not None
    # y' = (y / 2) + x: the gradient tends to 2.
    np.testing.assert_allclose(x.grad.numpy(), 2.0, rtol=1e-5)


def test_trap_nan_names_the_op_and_the_line() -> None:
    with config.override(trap_nan=True):
        x = tf.tensor([1.0, -1.0])
        y = x.log()  # the line that is named
        with pytest.raises(RuntimeError, match=r"\[log\] gave NaN.*test_robust\.py, line \d+"):
            (y * 2 + 1).numpy()
        with pytest.raises(RuntimeError, match=r"\[add\] was given NaN"):
            (tf.tensor([float("nan")]) + 1).numpy()
        assert (x * 2).sum().item() == 0
    assert np.isnan(x.log().numpy()[1])


def test_trap_nan_in_a_gradient() -> None:
    with config.override(trap_nan=True):
        x = tf.zeros(2, requires_grad=True)
        with pytest.raises(RuntimeError, match="NaN"):
            (x.sqrt() * 0).sum().backward()
            assert x.grad is not None
            x.grad.numpy()


def test_sizes_that_cannot_be() -> None:
    """An absurd size is an error, not a crash."""
    for shape in [(1 << 40, 1 << 20), (1 << 62, 4)]:
        with pytest.raises(RuntimeError, match=r"not enough memory|overflowed"):
            (tf.zeros(*shape) + 1).numpy()
    assert tf.ones(3).sum().item() == 3, "an allocation that failed leaves no trace"
    with pytest.raises(RuntimeError):
        tf.zeros(-1)

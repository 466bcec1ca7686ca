"""Blocks whose values are computed again for their gradients: `utils.checkpoint`."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential

RNG = np.random.default_rng(11)
X = RNG.standard_normal((5, 8)).astype(np.float32)


def net() -> tf.nn.Sequential:
    tf.manual_seed(2)
    blocks = [tf.nn.Sequential(tf.nn.Linear(8, 8), tf.nn.Tanh()) for _ in range(4)]
    return tf.nn.Sequential(*blocks)


def gradients(run: Any) -> tuple[float, list[np.ndarray]]:
    model = net()
    x = tf.tensor(X, requires_grad=True)
    loss = (run(model, x) ** 2).sum()
    loss.backward()
    return loss.item(), [x.grad.numpy(), *(p.grad.numpy() for p in model.parameters())]


def blocks(model: Any, x: Any) -> Any:
    for block in model:
        x = checkpoint(block, x, use_reentrant=False)
    return x


@pytest.mark.parametrize(
    "run",
    [
        blocks,
        lambda model, x: checkpoint_sequential(model, 2, x, use_reentrant=False),
        lambda model, x: checkpoint(lambda x: checkpoint(model, x), x),
        lambda model, x: checkpoint(lambda z: {"y": [model(z["x"])]}, {"x": x})["y"][0],
    ],
    ids=["each", "sequential", "nested", "containers"],
)
def test_results_and_gradients_are_those_without(run: Any) -> None:
    loss, expected = gradients(lambda model, x: model(x))
    got_loss, got = gradients(run)
    assert got_loss == pytest.approx(loss, rel=1e-6)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_block_runs_again_with_the_same_random_numbers_and_leaves_the_others() -> None:
    x = tf.ones(1000, requires_grad=True)
    tf.manual_seed(4)
    y = checkpoint(lambda x: tf.nn.functional.dropout(x * 1.0, 0.5), x)
    after = tf.rand(3).tolist()
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()
    tf.manual_seed(4)
    tf.nn.functional.dropout(tf.ones(1000), 0.5)
    assert tf.rand(3).tolist() == after


def test_a_block_runs_twice_and_gives_gradients_of_what_it_reads() -> None:
    calls = []
    w = tf.tensor(3.0, requires_grad=True)

    def block(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        calls.append(tf.is_grad_enabled())
        return x * w, (x * w).exp(), tf.arange(3)

    x = tf.tensor(0.5)
    a, b, numbers = checkpoint(block, x)
    assert calls == [True] and numbers.tolist() == [0, 1, 2] and not numbers.requires_grad
    (g,) = tf.autograd.grad(a + 2 * b, w)
    assert len(calls) == 2
    assert g.item() == pytest.approx(0.5 + 2 * 0.5 * np.exp(1.5), rel=1e-6)


def test_second_gradients_pass_through_a_block() -> None:
    x = tf.tensor(2.0, requires_grad=True)
    (g,) = tf.autograd.grad(checkpoint(lambda x: x**3, x), x, create_graph=True)
    (h,) = tf.autograd.grad(g, x)
    assert (g.item(), h.item()) == (12.0, 12.0)


def test_a_block_that_changes_is_refused_and_one_without_gradients_runs_once() -> None:
    sizes = iter((2, 3))
    y = checkpoint(lambda x: x.expand(next(sizes)) * 1.0, tf.ones(1, requires_grad=True))
    with pytest.raises(CheckpointError, match="must do the same"):
        y.sum().backward()
    with tf.no_grad():
        assert checkpoint(lambda x: x + 1, tf.ones(1)).item() == 2


MEASURE = """
import sys
import twofold as tf
from twofold.utils.checkpoint import checkpoint
def made():
    return tf.nn.Sequential(tf.nn.Linear(64, 512), tf.nn.Tanh(), tf.nn.Linear(512, 64))
net = [made() for _ in range(16)]
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
def step():
    x = tf.randn(8192, 64).requires_grad_()
    for block in net:
        x = checkpoint(block, x) if sys.argv[1] == "yes" else block(x)
    x.square().mean().backward()
    for block in net:
        for p in block.parameters():
            p.grad.sum().item()
            p.grad = None
tf.ones(3).sum().item()
before = peak()
step()
step()
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_that_of_one_block() -> None:
    def peak(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, how], check=True, capture_output=True, text=True
        )
        return int(done.stdout)

    assert peak("yes") < 0.6 * peak("no")  # 16 MB a block of 16, and 2 MB of inputs

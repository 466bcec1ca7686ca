"""Whole trainings against PyTorch's: the same weights and data give the same losses, and a loop
compiles in its first two steps only."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import twofold as tf

torch = pytest.importorskip("torch")

STEPS = 100


def _mlp(f: Any) -> Any:
    n = f.nn
    return n.Sequential(n.Linear(20, 32), n.ReLU(), n.Linear(32, 32), n.Tanh(), n.Linear(32, 5))


def _cnn(f: Any) -> Any:
    n = f.nn
    return n.Sequential(
        n.Conv2d(1, 6, 3, padding=1), n.BatchNorm2d(6), n.ReLU(), n.MaxPool2d(2),
        n.Conv2d(6, 8, 3), n.GELU(), n.AdaptiveAvgPool2d(2), n.Flatten(), n.Linear(32, 5),
    )  # fmt: skip


def _transformer(f: Any) -> Any:
    n = f.nn

    class Model(n.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = n.Embedding(11, 16)
            self.place = n.Parameter(f.zeros(8, 16))
            layer = n.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
            self.body = n.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = n.Linear(16, 11)

        def forward(self, x):
            mask = n.Transformer.generate_square_subsequent_mask(8)
            return self.head(self.body(self.token(x) + self.place, mask)).transpose(1, 2)

    return Model()


def _rnn(f: Any) -> Any:
    n = f.nn

    class Model(n.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = n.LSTM(4, 8, batch_first=True)
            self.head = n.Linear(8, 5)

        def forward(self, x):
            return self.head(self.body(x)[0][:, -1])

    return Model()


def _data(kind: str, step: int) -> tuple[np.ndarray, np.ndarray]:
    """A batch of step % 10."""
    rng = np.random.default_rng(step % 10)
    if kind == "transformer":
        x = rng.integers(0, 11, (6, 9))
        return x[:, :-1].copy(), x[:, 1:].copy()
    shape = {"mlp": (16, 20), "cnn": (8, 1, 10, 10), "rnn": (6, 5, 4)}[kind]
    return rng.standard_normal(shape).astype(np.float32), rng.integers(0, 5, shape[0])


ROWS = [
    ("mlp", _mlp, lambda f, p: f.optim.Adam(p, lr=3e-3)),
    ("mlp", _mlp, lambda f, p: f.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)),
    ("cnn", _cnn, lambda f, p: f.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=1e-4)),
    ("cnn", _cnn, lambda f, p: f.optim.AdamW(p, lr=1e-3)),
    ("transformer", _transformer, lambda f, p: f.optim.AdamW(p, lr=2e-3, betas=(0.9, 0.95))),
    ("rnn", _rnn, lambda f, p: f.optim.RMSprop(p, lr=2e-3)),
]


def _train(f: Any, kind: str, net: Any, make_optimizer: Any) -> tuple[list[float], list[int]]:
    optimizer = make_optimizer(f, net.parameters())
    schedule = f.optim.lr_scheduler.OneCycleLR(
        optimizer, [g["lr"] for g in optimizer.param_groups], STEPS + 1, cycle_momentum=False
    )
    losses, programs = [], []
    for step in range(STEPS):
        x, y = (f.tensor(a) for a in _data(kind, step))
        optimizer.zero_grad()
        loss = f.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        f.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        programs.append(len(tf.engine._programs))
    return losses, programs


@pytest.mark.parametrize("row", ROWS, ids=[f"{r[0]}-{i}" for i, r in enumerate(ROWS)])
def test_losses_are_pytorchs(row: tuple) -> None:
    kind, make, make_optimizer = row
    torch.manual_seed(0)
    theirs, ours = make(torch), make(tf)
    ours.load_state_dict({k: tf.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    a, programs = _train(tf, kind, ours, make_optimizer)
    b, _ = _train(torch, kind, theirs, make_optimizer)
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert np.mean(a[-10:]) < np.mean(a[:10])  # ten batches over and over
    if tf.config.current().backend == "native":
        assert programs[1] == programs[-1]


FRESH = """
import twofold as tf
net = tf.nn.Sequential(tf.nn.Linear(7, 5), tf.nn.ReLU(), tf.nn.Linear(5, 3))
optimizer = tf.optim.Adam(net.parameters())
x, y = tf.tensor([[0.5] * 7] * 11), tf.tensor([1] * 11)
for _ in range(4):
    optimizer.zero_grad()
    loss = tf.nn.functional.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
    print(len(tf.engine._programs), end=" ")
"""


@pytest.mark.native
def test_the_first_step_of_a_process_has_the_structure_of_all() -> None:
    """Initial values are one program, and all steps another."""
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True)
    assert done.stdout == "2 2 2 2 "

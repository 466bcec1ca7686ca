"""Packed sequences run as loops of machine code, one for each width of their staircase."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import config
from twofold.codegen.jit import counts as kernels
from twofold.nn.utils import rnn
from twofold.nn.utils.segments import Segments, moved, staircase

LENGTHS = [1, 9, 4, 4, 7, 2, 9, 9, 3, 5, 8, 1, 6]


def test_widths_are_whole_tiles_that_never_cover_a_step_of_padding_alone() -> None:
    """7 sequences in tiles of 4: 7 rows, then 4."""
    found = Segments([7, 7, 6, 5, 4, 4, 3, 2, 1])
    assert [(p.width, len(p.alive)) for p in found.parts] == [(7, 4), (4, 5)]
    assert sum(int(p.alive.sum()) for p in found.parts) == 39
    wide = Segments(sorted(range(1, 300), reverse=True))
    assert len(wide.parts) <= 8
    assert [(p.width, len(p.alive)) for p in Segments([1, 1, 1]).parts] == [(1, 3)]


def test_rows_go_there_and_back() -> None:
    """Through the layout, and their gradients."""
    counts = [7, 7, 6, 5, 4, 4, 3, 2, 1]
    layout = Segments(counts)
    x = tf.randn(39, 3).requires_grad_()
    y = layout.packed(layout.spread(x))
    np.testing.assert_array_equal(y.detach().numpy(), x.detach().numpy())
    weights = tf.randn(39, 3)
    (y * weights).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), weights.numpy())
    assert layout.spread(tf.ones(39)).sum().item() == 39


def test_rows_that_go_nowhere_have_no_gradient() -> None:
    """-1 gives zeros."""
    x = tf.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = moved(x, np.array([2, -1, 0]))
    (y * tf.tensor([1.0, 5.0, 7.0])).sum().backward()
    assert y.tolist() == [3, 0, 1] and x.grad.tolist() == [7, 0, 1]
    assert staircase([2, 1], 3).tolist() == [[0, 1, -1], [2, -1, -1]]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("name", "options"),
    [("RNN", {}), ("GRU", {"bidirectional": True}), ("LSTM", {"num_layers": 2, "proj_size": 3})],
)
def test_several_widths_are_as_pytorch_has_them(name: str, options: dict, threads: int) -> None:
    """Outputs, last states and all gradients, with states given."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x = rng.standard_normal((9, 13, 4)).astype(np.float32)
    rows = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    sizes = [options.get("proj_size", 6), 6] if name == "LSTM" else [6]
    states = [rng.standard_normal((rows, 13, n)).astype(np.float32) for n in sizes]
    theirs = getattr(torch.nn, name)(4, 6, **options)
    ours = getattr(tf.nn, name)(4, 6, **options)
    ours.load_state_dict({k: tf.tensor(v.numpy()) for k, v in theirs.state_dict().items()})

    def run(framework: Any, module: Any) -> list[Any]:
        given = framework.tensor(x, requires_grad=True)
        state = [framework.tensor(s, requires_grad=True) for s in states]
        nn = framework.nn.utils.rnn
        packed = nn.pack_padded_sequence(given, framework.tensor(LENGTHS), enforce_sorted=False)
        y, last = module(packed, tuple(state) if len(state) > 1 else state[0])
        padded, _ = nn.pad_packed_sequence(y, padding_value=0.5, total_length=11)
        last = last if isinstance(last, tuple) else (last,)
        ((padded**2).sum() + sum((s**3).sum() for s in last)).backward()
        found = [padded, *last, given.grad, *(s.grad for s in state)]
        return [t.detach().numpy() for t in (*found, *(p.grad for p in module.parameters()))]

    with config.override(threads=threads):
        mine = run(tf, ours)
    for a, b in zip(mine, run(torch, theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def test_other_lengths_compile_nothing() -> None:
    """The first few patterns meet all kernels there are."""
    rng = np.random.default_rng(2)
    lstm = tf.nn.LSTM(8, 8)

    def step() -> None:
        lengths = np.sort(rng.integers(1, 40, 12))[::-1].copy()
        x = tf.tensor(rng.standard_normal((lengths.max(), 12, 8)).astype(np.float32))
        y, _ = lstm(rnn.pack_padded_sequence(x, tf.tensor(lengths)))
        y.data.square().sum().backward()
        lstm.weight_hh_l0.grad.numpy()

    for _ in range(3):
        step()
    before = kernels["compiled"] + kernels["from_disk"]
    for _ in range(3):
        step()
    assert kernels["compiled"] + kernels["from_disk"] == before

"""Recurrent nets: a training step of an LSTM language model, and reading a sequence step by step.
JAX has no LSTM of its own, and does not take part."""

from __future__ import annotations

import numpy as np

from ..contestants import Framework
from ..workload import Step, Workload, add

VOCABULARY, HIDDEN, BATCH, STEPS, LAYERS = 10_000, 256, 32, 35, 2


def _fill(f: Framework, *modules: object) -> None:
    """The same small weights for every contestant."""
    rng = np.random.default_rng(0)
    with f.module.no_grad():
        for module in modules:
            for p in module.parameters():
                p.copy_(f.array((rng.random(tuple(p.shape)) - 0.5).astype(np.float32) / 8))


def _language_model(f: Framework) -> Step:
    """Forward, backward and update of 2 x LSTM, hidden 256, batch 32, 35 steps, 10,000 words."""
    nn, functional = f.module.nn, f.module.nn.functional
    words = nn.Embedding(VOCABULARY, HIDDEN)
    lstm, scores = nn.LSTM(HIDDEN, HIDDEN, LAYERS), nn.Linear(HIDDEN, VOCABULARY)
    _fill(f, words, lstm, scores)
    parameters = [p for m in (words, lstm, scores) for p in m.parameters()]
    optimizer = f.module.optim.SGD(parameters, lr=0.1)
    rng = np.random.default_rng(1)
    x, y = (f.array(rng.integers(0, VOCABULARY, (STEPS, BATCH))) for _ in range(2))

    def step():
        optimizer.zero_grad()
        guess = scores(lstm(words(x))[0]).reshape(STEPS * BATCH, VOCABULARY)
        loss = functional.cross_entropy(guess, y.reshape(-1))
        loss.backward()
        optimizer.step()
        f.ready(loss, *parameters)
        return loss.detach()

    return step


def _language_model_flops() -> float:
    """Multiplications and additions of products: forward, and both gradients."""
    lstm = LAYERS * 2 * 4 * HIDDEN * HIDDEN
    return 2.0 * 3 * STEPS * BATCH * (lstm + HIDDEN * VOCABULARY)


def _reader(f: Framework, kind: str) -> Step:
    """One sequence of 200 steps through a layer of 256, without gradients."""
    layer = getattr(f.module.nn, kind)(HIDDEN, HIDDEN)
    _fill(f, layer)
    x = f.array(np.random.default_rng(1).standard_normal((200, 1, HIDDEN)).astype(np.float32))

    def step():
        with f.module.no_grad():
            y = layer(x)[0]
        f.ready(y)
        return y

    return step


add(
    Workload(
        "lstm",
        "a training step of a language model, LSTM of 2 x 256, batch 32, 35 steps, 10,000 words",
        {"dynamic": {}},
        _language_model,
        flops=_language_model_flops,
        peers=("torch",),
        target=1.3,
        check_steps=3,
    )
)
add(
    Workload(
        "recurrent",
        "reading one sequence of 200 steps, 256 wide",
        {"LSTM": {"kind": "LSTM"}, "GRU": {"kind": "GRU"}},
        _reader,
        flops=lambda kind: 2.0 * 200 * 2 * (4 if kind == "LSTM" else 3) * HIDDEN * HIDDEN,
        peers=("torch",),
        target=2.0,
    )
)

"""Training steps: the two-layer net of the lecture, an MLP with Adam, LeNet with momentum. Each as
a plain dynamic loop and captured as one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..contestants import Framework
from ..workload import ALL_PEERS, Step, Workload, add

Arrays = list[np.ndarray]


def _finish(f: Framework, step: Callable[[], Any], state: list[Any], captured: bool) -> Step:
    """`step` (which gives the loss), captured or not, run to the end. The loss of the third step
    tells whether two of them were right; weights are not compared, since Adam moves one whose
    gradient is rounding noise by a whole step either way."""
    run = f.captured(step) if captured else step

    def whole() -> Any:
        loss = run()
        f.ready(loss, *state)
        return loss

    return whole


def _jax_loop(f: Framework, update: Callable[..., Any], state: list[Any]) -> Step:
    """`update(*state) -> (loss, state)` as a loop that gives its old state away."""
    run = f.module.jit(update, donate_argnums=tuple(range(len(state))))
    held = [state]

    def whole() -> Any:
        loss, held[0] = run(*held[0])
        f.module.block_until_ready(held[0])
        return f.ready(loss)

    return whole


# The two-layer net.

RATE = 1e-6


def _two_layer_arrays() -> Arrays:
    rng = np.random.default_rng(0)
    shapes = ((64, 1000), (64, 1000), (1000, 100), (100, 1000))
    return [rng.standard_normal(s).astype(np.float32) for s in shapes]


def _two_layer(f: Framework, captured: bool) -> Step:
    t = f.module
    x, y, w1, w2 = (f.array(a, requires_grad=i > 1) for i, a in enumerate(_two_layer_arrays()))

    def step():
        loss = (x.mm(w1).relu().mm(w2) - y).pow(2).sum()
        loss.backward()
        with t.no_grad():
            for w in (w1, w2):
                w.sub_(RATE * w.grad)
                w.grad = None
        return loss.detach()

    return _finish(f, step, [w1, w2], captured)


def _two_layer_jax(f: Framework, captured: bool) -> Step:
    jax, np_ = f.module, f.module.numpy
    x, y, w1, w2 = map(f.array, _two_layer_arrays())

    def loss_of(w1, w2):
        return ((np_.maximum(x @ w1, 0) @ w2 - y) ** 2).sum()

    def update(w1, w2):
        loss, (g1, g2) = jax.value_and_grad(loss_of, (0, 1))(w1, w2)
        return loss, [w1 - RATE * g1, w2 - RATE * g2]

    return _jax_loop(f, update, [w1, w2])


# The MLP.


def _load(f: Framework, model: Any, arrays: Arrays) -> None:
    """Set the model's parameters, in order."""
    with f.module.no_grad():
        for p, a in zip(model.parameters(), arrays, strict=True):
            p.copy_(f.array(a))


def _weights(rng: np.random.Generator, shapes: tuple[tuple[int, ...], ...]) -> Arrays:
    arrays = []
    for shape in shapes:
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        arrays.append((rng.standard_normal(shape) * scale).astype(np.float32))
        arrays.append(np.zeros(shape[0], np.float32))
    return arrays


def _fused(f: Framework) -> dict[str, bool]:
    """PyTorch's one-kernel optimizers, which it does not choose by itself on a CPU."""
    return {"fused": True} if f.name == "torch" else {}


def _train(
    f: Framework, model: Any, optimizer: Any, images: np.ndarray, labels: np.ndarray, captured: bool
) -> Step:
    x, y = f.array(images), f.array(labels)
    cross_entropy = f.module.nn.functional.cross_entropy

    def step():
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return _finish(f, step, list(model.parameters()), captured)


def _jax_cross_entropy(f: Framework, scores: Any, y: Any) -> Any:
    logs = f.module.nn.log_softmax(scores)
    return -f.module.numpy.take_along_axis(logs, y[:, None], axis=1).mean()


def _mlp_arrays() -> tuple[np.ndarray, np.ndarray, Arrays]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((128, 784)).astype(np.float32)
    y = rng.integers(0, 10, 128)
    return x, y, _weights(rng, ((512, 784), (512, 512), (10, 512)))


def _mlp(f: Framework, captured: bool) -> Step:
    nn, optim = f.module.nn, f.module.optim
    x, y, weights = _mlp_arrays()
    model = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    _load(f, model, weights)
    optimizer = optim.Adam(model.parameters(), lr=1e-3, **_fused(f))
    return _train(f, model, optimizer, x, y, captured)


def _mlp_jax(f: Framework, captured: bool) -> Step:
    jax, np_ = f.module, f.module.numpy
    x, y, weights = _mlp_arrays()
    x, y = f.array(x), f.array(y)

    def loss_of(p):
        h = np_.maximum(x @ p[0].T + p[1], 0)
        h = np_.maximum(h @ p[2].T + p[3], 0)
        return _jax_cross_entropy(f, h @ p[4].T + p[5], y)

    def update(p, m, v, t):
        loss, g = jax.value_and_grad(loss_of)(p)
        t = t + 1
        m = [0.9 * a + 0.1 * b for a, b in zip(m, g)]
        v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g)]
        size, root = 1e-3 / (1 - 0.9**t), np_.sqrt(1 - 0.999**t)
        p = [a - size * b / (np_.sqrt(c) / root + 1e-8) for a, b, c in zip(p, m, v)]
        return loss, [p, m, v, t]

    p = [f.array(w) for w in weights]
    zeros = [[np_.zeros_like(a) for a in p] for _ in range(2)]
    return _jax_loop(f, update, [p, *zeros, np_.float32(0)])


# LeNet.

LENET_SHAPES = ((20, 1, 5, 5), (50, 20, 5, 5), (500, 800), (10, 500))
LEARNING_RATE, MOMENTUM = 0.01, 0.9


def _lenet_arrays() -> tuple[np.ndarray, np.ndarray, Arrays]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 1, 28, 28)).astype(np.float32)
    y = rng.integers(0, 10, 64)
    return x, y, _weights(rng, LENET_SHAPES)


def lenet(f: Framework, captured: bool) -> Step:
    """A step of Caffe's LeNet: two convolutions with pooling, two linear layers."""
    nn, optim = f.module.nn, f.module.optim
    x, y, weights = _lenet_arrays()
    model = nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip
    _load(f, model, weights)
    model = f.layout(model)
    optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, **_fused(f))
    return _train(f, model, optimizer, x, y, captured)


def lenet_jax(f: Framework, captured: bool) -> Step:
    """The same in JAX."""
    jax, np_ = f.module, f.module.numpy
    x, y, weights = _lenet_arrays()
    x, y = f.array(x), f.array(y)

    def conv(x, w, b):
        return jax.lax.conv(x, w, (1, 1), "VALID") + b[:, None, None]

    def pool(x):
        return jax.lax.reduce_window(x, -np_.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def loss_of(p):
        h = pool(conv(pool(conv(x, p[0], p[1])), p[2], p[3])).reshape(64, 800)
        h = np_.maximum(h @ p[4].T + p[5], 0)
        return _jax_cross_entropy(f, h @ p[6].T + p[7], y)

    def update(p, m):
        loss, g = jax.value_and_grad(loss_of)(p)
        m = [MOMENTUM * a + b for a, b in zip(m, g)]
        return loss, [[a - LEARNING_RATE * b for a, b in zip(p, m)], m]

    p = [f.array(w) for w in weights]
    return _jax_loop(f, update, [p, [np_.zeros_like(a) for a in p]])


# The table.


def _matmul_flops(*layers: tuple[int, int, int]) -> float:
    """Forward, and both gradients but for the first layer's input."""
    return sum(2.0 * m * k * n * (3 if i else 2) for i, (m, k, n) in enumerate(layers))


_LENET_FORWARD = (24 * 24 * 20 * 25, 8 * 8 * 50 * 500, 800 * 500, 500 * 10)

_NETS = (
    (
        "two_layer", "the lecture's two-layer net, N=64 D=1000 H=100, SGD", _two_layer,
        _two_layer_jax, lambda captured: _matmul_flops((64, 1000, 100), (64, 100, 1000)), 1.5, 1.7,
    ),
    (
        "mlp", "MLP 784-512-512-10, batch 128, Adam", _mlp, _mlp_jax,
        lambda captured: _matmul_flops((128, 784, 512), (128, 512, 512), (128, 512, 10)), 1.4, 1.4,
    ),
    (
        "lenet", "Caffe's LeNet, batch 64, SGD with momentum", lenet, lenet_jax,
        lambda captured: 2.0 * 64 * (3 * sum(_LENET_FORWARD) - _LENET_FORWARD[0]), 1.4, 1.4,
    ),
)  # fmt: skip

for _name, _summary, _torch, _jax, _flops, _dynamic, _captured in _NETS:
    for _is_captured in (False, True):
        _how = "captured" if _is_captured else "dynamic"
        add(
            Workload(
                _name if not _is_captured else f"{_name}_captured",
                f"a training step of {_summary}; {_how}",
                {_how: {"captured": _is_captured}},
                _torch,
                _jax,
                flops=_flops,
                peers=ALL_PEERS if _is_captured else ("torch",),
                layouts="peers" if _name == "lenet" else "",
                target=_captured if _is_captured else _dynamic,
                tolerance=1e-4,
                check_steps=3,
            )
        )

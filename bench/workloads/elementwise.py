"""Work that memory bounds: chains, softmax, layer norm; and functions on numbers in cache."""

from __future__ import annotations

import numpy as np

from ..contestants import Framework
from ..workload import Step, Workload, add


def _normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _chain(f: Framework, n: int) -> Step:
    x, y = f.array(_normal(n)), f.array(_normal(n, seed=1))

    def chain(x, y):
        z = (x * y + x * 0.5).relu() - y
        return z, z.sum(), (z * z).mean(), z.max()

    run = f.compiled(chain)

    def step():
        result = run(x, y)
        f.ready(*result)
        return result

    return step


def _chain_jax(f: Framework, n: int) -> Step:
    np_ = f.module.numpy
    x, y = f.array(_normal(n)), f.array(_normal(n, seed=1))

    def chain(x, y):
        z = np_.maximum(x * y + x * 0.5, 0) - y
        return z, z.sum(), (z * z).mean(), z.max()

    run = f.captured(chain)

    def step():
        result = run(x, y)
        f.ready(*result)
        return result

    return step


add(
    Workload(
        "chain",
        "relu(x*y + x/2) - y on 16M floats, with its sum, mean square and maximum",
        {"16M": {"n": 1 << 24}},
        _chain,
        _chain_jax,
        n_bytes=lambda n: 12.0 * n,
        target=1.2,
        tolerance=1e-3,
    )
)


def _softmax(f: Framework, rows: int, columns: int) -> Step:
    x = f.array(_normal(rows, columns))
    run = f.compiled(lambda x: x.softmax(-1))
    return lambda: f.ready(run(x))


def _softmax_jax(f: Framework, rows: int, columns: int) -> Step:
    x = f.array(_normal(rows, columns))
    softmax = f.module.nn.softmax
    run = f.captured(lambda x: softmax(x, axis=-1))
    return lambda: f.ready(run(x))


add(
    Workload(
        "softmax",
        "softmax along the rows of a matrix",
        {"4096x4096": {"rows": 4096, "columns": 4096}},
        _softmax,
        _softmax_jax,
        n_bytes=lambda rows, columns: 8.0 * rows * columns,
        target=1.2,
    )
)


def _layer_norm(f: Framework, rows: int, columns: int) -> Step:
    x, w, b = f.array(_normal(rows, columns)), f.array(_normal(columns)), f.array(_normal(columns))
    layer_norm = f.module.nn.functional.layer_norm
    run = f.compiled(lambda x, w, b: layer_norm(x, (columns,), w, b))
    return lambda: f.ready(run(x, w, b))


def _layer_norm_jax(f: Framework, rows: int, columns: int) -> Step:
    x, w, b = f.array(_normal(rows, columns)), f.array(_normal(columns)), f.array(_normal(columns))
    lax = f.module.lax

    def norm(x, w, b):
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        return centred * lax.rsqrt(variance + 1e-5) * w + b

    run = f.captured(norm)
    return lambda: f.ready(run(x, w, b))


add(
    Workload(
        "layer_norm",
        "layer norm along the rows of a matrix, with weight and bias",
        {"4096x4096": {"rows": 4096, "columns": 4096}},
        _layer_norm,
        _layer_norm_jax,
        n_bytes=lambda rows, columns: 8.0 * rows * columns,
        target=1.2,
    )
)

FUNCTIONS = ("exp", "log", "tanh", "erf", "sigmoid", "gelu")


def _function(f: Framework, name: str) -> Step:
    values = _normal(1 << 20)
    x = f.array(np.abs(values) + np.float32(1e-3) if name == "log" else values)
    t = f.module
    function = t.nn.functional.gelu if name == "gelu" else getattr(t, name)
    run = f.compiled(lambda x: function(x))
    return lambda: f.ready(run(x))


def _function_jax(f: Framework, name: str) -> Step:
    values = _normal(1 << 20)
    x = f.array(np.abs(values) + np.float32(1e-3) if name == "log" else values)
    jax = f.module
    special = {
        "erf": jax.scipy.special.erf,
        "sigmoid": jax.nn.sigmoid,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    }
    run = f.captured(special[name] if name in special else getattr(jax.numpy, name))
    return lambda: f.ready(run(x))


add(
    Workload(
        "math",
        "exp, log, tanh, erf, sigmoid and gelu on 1M floats in cache",
        {name: {"name": name} for name in FUNCTIONS},
        _function,
        _function_jax,
        target=1.2,
        tolerance=1e-5,
        quick=6,
    )
)

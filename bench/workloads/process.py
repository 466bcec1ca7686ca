"""What is paid once a process, and what must not grow: imports, first steps, compiles, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..contestants import Framework
from ..workload import Workload, add
from .nets import lenet, lenet_jax


def _import(f: Framework) -> float:
    begin = time.perf_counter()
    _ = f.module
    return time.perf_counter() - begin


add(
    Workload(
        "import",
        "seconds to import the library in a process that has NumPy",
        {"beyond numpy": {}},
        once=_import,
        limit=0.1,
    )
)


def _first_step(f: Framework, warm: bool) -> float:
    """Seconds from the end of the imports to the end of LeNet's first step. `warm` lets another
    process do it before, with the same cache on disk."""
    with tempfile.TemporaryDirectory() as folder:
        if f.is_twofold:
            os.environ["TWOFOLD_CACHE_DIR"] = folder
            if warm:
                command = [sys.executable, "-m", "bench.worker", "--contestant", "twofold"]
                command += ["--workload", "first_step_fill", "--once", "fill"]
                command += ["--threads", str(f.threads)]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        t = f.module
        if f.name != "jax":
            _ = t.nn.functional, t.optim
        begin = time.perf_counter()
        (lenet_jax if f.name == "jax" else lenet)(f, captured=f.contestant.compiled)()
        return time.perf_counter() - begin


def _fill(f: Framework) -> float:
    """LeNet's first step with the cache that the environment names."""
    begin = time.perf_counter()
    lenet(f, captured=False)()
    return time.perf_counter() - begin


for _warm, _limit in ((False, 2.0), (True, 0.3)):
    _how = "warm" if _warm else "cold"
    add(
        Workload(
            f"first_step_{_how}",
            f"LeNet's first step in a fresh process, after the imports, {_how} disk cache",
            {_how: {"warm": _warm}},
            once=_first_step,
            limit=_limit,
        )
    )
add(
    Workload(
        "first_step_fill", "fills a cache for first_step_warm", {"fill": {}}, once=_fill, peers=()
    )
)

SIZES = [int(n) for n in np.random.default_rng(0).permutation(np.arange(3, 200))[:50]]
"""Fifty batch sizes or sequence lengths."""


def _mlp_step(t: Any, weights: list[Any], size: int) -> None:
    x = t.ones(size, 32)
    loss = ((x @ weights[0]).relu() @ weights[1]).softmax(-1).pow(2).mean()
    loss.backward()
    with t.no_grad():
        for w in weights[:2]:
            w.sub_(0.1 * w.grad)
            w.grad = None
    loss.item()


def _attention_step(t: Any, weights: list[Any], size: int) -> None:
    x = t.ones(4, size, 32)
    q, k = x @ weights[0], x @ weights[2]
    y = (q @ k.transpose(1, 2)).softmax(-1) @ x
    loss = y.pow(2).mean()
    loss.backward()
    with t.no_grad():
        for w in (weights[0], weights[2]):
            w.sub_(0.1 * w.grad)
            w.grad = None
    loss.item()


def _packed_step(t: Any, lstm: Any, size: int) -> None:
    """Twelve sequences of uneven length, the longest of `size` steps."""
    lengths = np.sort(np.random.default_rng(size).integers(1, size + 1, 12))[::-1]
    lengths[0] = size
    x = t.ones(size, 12, 32)
    packed = t.nn.utils.rnn.pack_padded_sequence(x, t.tensor(lengths.tolist()))
    loss = lstm(packed)[0].data.pow(2).mean()
    loss.backward()
    with t.no_grad():
        for w in lstm.parameters():
            w.sub_(0.1 * w.grad)
            w.grad = None
    loss.item()


def _weights(t: Any) -> list[Any]:
    rng = np.random.default_rng(0)
    shapes = ((32, 64), (64, 10), (32, 64))
    arrays = [rng.standard_normal(s).astype(np.float32) * np.float32(0.1) for s in shapes]
    return [t.from_numpy(a).requires_grad_() for a in arrays]


def _compiles(f: Framework, kind: str) -> float:
    """Kernels compiled for fifty sizes, in units of those compiled for the first."""
    os.environ["TWOFOLD_CACHE_DIR"] = ""
    t = f.module
    steps = {"mlp": _mlp_step, "attention": _attention_step, "packed": _packed_step}
    step = steps[kind]
    weights = t.nn.LSTM(32, 32) if kind == "packed" else _weights(t)
    counts = sys.modules["twofold.codegen.jit"].counts
    step(t, weights, SIZES[0])
    first = counts["compiled"]
    for size in SIZES[1:]:
        step(t, weights, size)
    return counts["compiled"] / first


add(
    Workload(
        "compiles",
        "kernels compiled when a size takes 50 values, in sets of those for the first value",
        {
            "batch size": {"kind": "mlp"},
            "sequence length": {"kind": "attention"},
            "lengths of packed sequences": {"kind": "packed"},
        },
        once=_compiles,
        unit="sets",
        peers=(),
        limit=2,
        quick=2,
    )
)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _memory(f: Framework, steps: int, shapes: int) -> float:
    """Bytes that the process grows by each step, from the end of a first step, of the largest
    shape, to the last."""
    t = f.module
    weights = _weights(t)
    _mlp_step(t, weights, shapes)
    before = _resident()
    for k in range(steps):
        _mlp_step(t, weights, 1 + k % shapes)
    return (_resident() - before) / steps


add(
    Workload(
        "memory",
        "bytes that a process grows by each step over steps of many shapes",
        {"10000 steps of 500 shapes": {"steps": 10_000, "shapes": 500}},
        once=_memory,
        unit="B/step",
        peers=("torch",),
        limit=1000,
    )
)

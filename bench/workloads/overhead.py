"""What Python costs: recording an op, a long chain of small ops, a call of a captured function."""

from __future__ import annotations

import numpy as np

from ..contestants import Framework
from ..workload import Step, Workload, add

LENGTH = 1000


def _ten(value: float) -> np.ndarray:
    return np.full(10, value, np.float32)


def _record(f: Framework) -> Step:
    x, y = f.array(_ten(0.0), requires_grad=True), f.array(_ten(1.0))

    def step():
        total = x
        for _ in range(LENGTH):
            total = total + y
        return LENGTH

    return step


add(
    Workload(
        "record",
        "recording an addition of 10 floats that needs a gradient (peers also do it)",
        {"add": {}},
        _record,
        peers=("torch",),
        per=LENGTH,
        limit=2e-6,
    )
)


def _chain(f: Framework) -> Step:
    x, y = f.array(_ten(0.0), requires_grad=True), f.array(_ten(1.0))

    def step():
        total = x
        for _ in range(LENGTH):
            total = total + y
        total.sum().backward()
        gradient = f.ready(x.grad)
        x.grad = None
        return gradient

    return step


add(
    Workload(
        "add_chain",
        f"a chain of {LENGTH} additions of 10 floats, forward and backward, dynamic; time an op",
        {"dynamic": {}},
        _chain,
        peers=("torch",),
        per=2 * LENGTH,
        target=1.0,
    )
)


def _call(f: Framework) -> Step:
    a, b = f.array(np.array(1.0, np.float32)), f.array(np.array(2.0, np.float32))
    run = f.captured(lambda a, b: a + b)
    return lambda: f.ready(run(a, b))


add(
    Workload(
        "call",
        "a call of a captured function that adds two numbers",
        {"add": {}},
        _call,
        _call,
        limit=20e-6,
    )
)

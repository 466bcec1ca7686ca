"""Products of float32 matrices, none of them packed beforehand."""

from __future__ import annotations

import numpy as np

from ..contestants import Framework
from ..workload import Step, Workload, add

SIZES = (
    (2048, 2048, 2048),
    (1024, 1024, 1024),
    (512, 512, 512),
    (256, 1024, 1024),
    (64, 1000, 100),
)
"""(m, k, n)"""


def _operands(f: Framework, m: int, k: int, n: int, form: str) -> tuple:
    """a, b as stored: each as it is used ("n") or transposed ("t")."""
    rng = np.random.default_rng(0)
    shapes = ((m, k) if form[0] == "n" else (k, m), (k, n) if form[1] == "n" else (n, k))
    return tuple(f.array(rng.standard_normal(s).astype(np.float32)) for s in shapes)


def _torch(f: Framework, m: int, k: int, n: int, form: str) -> Step:
    a, b = _operands(f, m, k, n, form)

    def product(a, b):
        return (a if form[0] == "n" else a.T) @ (b if form[1] == "n" else b.T)

    run = f.compiled(product)
    return lambda: f.ready(run(a, b))


def _jax(f: Framework, m: int, k: int, n: int, form: str) -> Step:
    a, b = _operands(f, m, k, n, form)
    run = f.captured(lambda a, b: (a if form[0] == "n" else a.T) @ (b if form[1] == "n" else b.T))
    return lambda: f.ready(run(a, b))


add(
    Workload(
        "matmul",
        "products of float32 matrices in all four transposes",
        {
            f"{m}x{k}x{n} {form}": {"m": m, "k": k, "n": n, "form": form}
            for form in ("nn", "nt", "tn", "tt")
            for m, k, n in SIZES
        },
        _torch,
        _jax,
        flops=lambda m, k, n, form: 2.0 * m * k * n,
        target=1.0,
        quick=5,
    )
)

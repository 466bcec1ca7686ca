"""Attention alone, causal, forward and backward: time and memory over the number of tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contestants import Framework
from ..workload import Step, Workload, add

HEADS, SIZE = 8, 64


def _shape(tokens: int) -> tuple[int, ...]:
    return (1, HEADS, tokens, SIZE)


def _attention(f: Framework, tokens: int) -> Step:
    """Forward and backward of 8 heads of 64, each token looking at those before it."""
    rng = np.random.default_rng(0)
    *given, g = (f.array(rng.standard_normal(_shape(tokens), dtype=np.float32)) for _ in range(4))
    inputs = [x.requires_grad_() for x in given]

    def step():
        y = f.module.nn.functional.scaled_dot_product_attention(*inputs, is_causal=True)
        found = f.module.autograd.grad(y, inputs, g)
        f.ready(*found)
        return found[1]

    return step


def _in_jax(f: Framework, tokens: int) -> Step:
    jax = f.module
    rng = np.random.default_rng(0)
    *given, g = (
        f.array(rng.standard_normal(_shape(tokens), dtype=np.float32).swapaxes(1, 2))
        for _ in range(4)
    )

    def attend(q: Any, k: Any, v: Any) -> Any:
        return jax.nn.dot_product_attention(q, k, v, is_causal=True)

    @jax.jit
    def gradients(q: Any, k: Any, v: Any, g: Any) -> Any:
        return jax.vjp(attend, q, k, v)[1](g)

    def step():
        found = gradients(*given, g)
        f.ready(*found)
        return found[1].swapaxes(1, 2)

    return step


def _flops(tokens: int) -> float:
    """Of seven products of the lower half: two forward, five backward."""
    return 7.0 * 2 * HEADS * SIZE * tokens * tokens / 2


add(
    Workload(
        "attention",
        "causal attention of 8 heads of 64 over so many tokens, forward and backward",
        {str(n): {"tokens": n} for n in (1024, 2048, 4096, 8192)},
        _attention,
        _in_jax,
        flops=_flops,
        target=1.5,
    )
)

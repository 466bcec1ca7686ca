"""A training step of a language model of transformer blocks: GPT-2's layers (normalise first, GELU,
learned positions, no biases), cross-entropy, gradients clipped by their norm, AdamW."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contestants import Framework
from ..workload import Step, Workload, add

RATE, DECAY, BETAS, EPSILON, CLIP = 1e-3, 0.1, (0.9, 0.99), 1e-8, 1.0

NAMES = ("attn_norm", "qkv", "attn_out", "mlp_norm", "up", "down")
"""A block's weights, in order."""


def _sizes(layers: int, heads: int, width: int, tokens: int, batch: int) -> dict[str, int]:
    """Of a case; 65 characters are told apart."""
    return {
        "layers": layers, "heads": heads, "width": width, "tokens": tokens, "batch": batch,
        "words": 65,
    }  # fmt: skip


def _arrays(layers: int, width: int, tokens: int, batch: int, words: int, **_: int) -> Any:
    """Weights by name, each (out, in) as PyTorch stores them, then token numbers in and out."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return (0.02 * rng.standard_normal(shape)).astype(np.float32)

    ones = np.ones(width, np.float32)
    weights = {"words": normal(words, width), "places": normal(tokens, width)}
    for i in range(layers):
        block = (
            ones, normal(3 * width, width), normal(width, width),
            ones, normal(4 * width, width), normal(width, 4 * width),
        )  # fmt: skip
        weights |= {f"{name}{i}": value for name, value in zip(NAMES, block)}
    weights |= {"last_norm": ones, "scores": normal(words, width)}
    return weights, *rng.integers(0, words, (2, batch, tokens))


def _gpt(f: Framework, **sizes: int) -> Step:
    t = f.module
    functional = t.nn.functional
    layers, heads, width = sizes["layers"], sizes["heads"], sizes["width"]
    weights, x, y = _arrays(**sizes)
    w = {name: f.array(a, requires_grad=True) for name, a in weights.items()}
    x, y = f.array(x), f.array(y)
    fused = {"fused": True} if f.name == "torch" else {}
    decayed = [p for p in w.values() if p.dim() > 1]
    others = [p for p in w.values() if p.dim() == 1]
    optimizer = t.optim.AdamW(
        [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=RATE, betas=BETAS, eps=EPSILON, **fused,
    )  # fmt: skip

    def norm(h: Any, scale: Any) -> Any:
        return functional.layer_norm(h, (width,), scale)

    def attention(h: Any, i: int) -> Any:
        batch, tokens, _ = h.shape
        parts = functional.linear(h, w[f"qkv{i}"]).split(width, dim=2)
        q, k, v = (a.view(batch, tokens, heads, width // heads).transpose(1, 2) for a in parts)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return out.transpose(1, 2).contiguous().view(batch, tokens, width)

    def loss_of(x: Any, y: Any) -> Any:
        h = functional.embedding(x, w["words"]) + w["places"]
        for i in range(layers):
            out = attention(norm(h, w[f"attn_norm{i}"]), i)
            h = h + functional.linear(out, w[f"attn_out{i}"])
            up = functional.gelu(functional.linear(norm(h, w[f"mlp_norm{i}"]), w[f"up{i}"]))
            h = h + functional.linear(up, w[f"down{i}"])
        scores = functional.linear(norm(h, w["last_norm"]), w["scores"])
        return functional.cross_entropy(scores.view(-1, scores.shape[-1]), y.view(-1))

    forward = f.compiled(loss_of)

    def step() -> Any:
        loss = forward(x, y)
        loss.backward()
        t.nn.utils.clip_grad_norm_(list(w.values()), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        f.ready(loss, *w.values())
        return loss.detach()

    return step


def _gpt_jax(f: Framework, **sizes: int) -> Step:
    jax, n = f.module, f.module.numpy
    layers, heads, width = sizes["layers"], sizes["heads"], sizes["width"]
    weights, x, y = _arrays(**sizes)
    x, y = f.array(x), f.array(y)

    def norm(h, scale):
        h = h - h.mean(-1, keepdims=True)
        return h / n.sqrt((h * h).mean(-1, keepdims=True) + 1e-5) * scale

    def attention(h, w):
        q, k, v = (
            a.reshape(*a.shape[:2], heads, width // heads) for a in n.split(h @ w.T, 3, axis=2)
        )
        return jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(h.shape)

    def loss_of(w):
        h = w["words"][x] + w["places"]
        for i in range(layers):
            h = h + attention(norm(h, w[f"attn_norm{i}"]), w[f"qkv{i}"]) @ w[f"attn_out{i}"].T
            up = jax.nn.gelu(norm(h, w[f"mlp_norm{i}"]) @ w[f"up{i}"].T, approximate=False)
            h = h + up @ w[f"down{i}"].T
        logs = jax.nn.log_softmax(norm(h, w["last_norm"]) @ w["scores"].T)
        return -n.take_along_axis(logs, y[..., None], axis=-1).mean()

    def update(w, m, v, t):
        loss, g = jax.value_and_grad(loss_of)(w)
        length = n.sqrt(sum((a * a).sum() for a in g.values()))
        scale = n.minimum(CLIP / (length + 1e-6), 1.0)
        t = t + 1
        b1, b2 = BETAS
        m = {k: b1 * m[k] + (1 - b1) * scale * g[k] for k in w}
        v = {k: b2 * v[k] + (1 - b2) * (scale * g[k]) ** 2 for k in w}
        rate, root = RATE / (1 - b1**t), n.sqrt(1 - b2**t)
        keep = {k: 1 - RATE * DECAY * (a.ndim > 1) for k, a in w.items()}
        w = {k: keep[k] * w[k] - rate * m[k] / (n.sqrt(v[k]) / root + EPSILON) for k in w}
        return loss, [w, m, v, t]

    run = jax.jit(update, donate_argnums=(0, 1, 2, 3))
    w = {name: f.array(a) for name, a in weights.items()}
    zeros = [{k: n.zeros_like(a) for k, a in w.items()} for _ in range(2)]
    state = [w, *zeros, n.float32(0)]

    def step():
        nonlocal state
        loss, state = run(*state)
        jax.block_until_ready(state)
        return f.ready(loss)

    return step


def _flops(layers: int, width: int, tokens: int, batch: int, words: int, **_: int) -> float:
    """Multiplications and additions of products: forward, and both gradients. Of attention, the
    half below the diagonal."""
    block = 2 * 12 * width * width + 2 * tokens * width
    return 3.0 * batch * tokens * (layers * block + 2 * width * words)


add(
    Workload(
        "gpt",
        "a training step of a GPT on characters, with clipped gradients and AdamW",
        {
            "6 x 384, 8 x 256 tokens": _sizes(6, 6, 384, 256, 8),
            "4 x 128, 12 x 64 tokens": _sizes(4, 4, 128, 64, 12),
        },
        _gpt,
        _gpt_jax,
        flops=_flops,
        target=1.25,
        tolerance=1e-4,
        check_steps=3,
        quick=0,
    )
)

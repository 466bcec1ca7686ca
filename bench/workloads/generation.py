"""One token at a time from a net of SmolLM2-135M's sizes, batch 1, with a cache of 512 tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contestants import Framework
from ..workload import Step, Workload, add

TOKENS, LAYERS, WIDTH, HEADS, SHARED, HIDDEN = 49152, 30, 576, 9, 3, 1536
SIZE = WIDTH // HEADS
CONTEXT = 512
SHAPES = {
    "attention.q": (WIDTH, WIDTH), "attention.k": (SHARED * SIZE, WIDTH),
    "attention.v": (SHARED * SIZE, WIDTH), "attention.output": (WIDTH, WIDTH),
    "feed_forward.gate": (HIDDEN, WIDTH), "feed_forward.up": (HIDDEN, WIDTH),
    "feed_forward.down": (WIDTH, HIDDEN),
}  # fmt: skip
N_WEIGHTS = TOKENS * WIDTH + LAYERS * sum(m * n for m, n in SHAPES.values())


def _weights() -> dict[str, np.ndarray]:
    """The same random matrices for everyone; the factors of norms are 1."""
    rng = np.random.default_rng(0)

    def matrix(shape: tuple[int, int]) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(shape[1] ** -0.5)

    found = {"embedding": matrix((TOKENS, WIDTH))}
    for i in range(LAYERS):
        found |= {f"{i}.{name}": matrix(shape) for name, shape in SHAPES.items()}
    return found


def _ours(f: Framework, bits: int) -> Step:
    language = f.module.models.language
    packed = f.module.nn.PackedLinear
    sizes = f.module.models.LlamaSizes(
        TOKENS, LAYERS, WIDTH, HEADS, SHARED, HIDDEN, CONTEXT, 1e5, 1e-5
    )
    net = f.module.models.Llama(sizes)
    for name, weight in _weights().items():
        if name == "embedding":
            net.embedding = f.module.nn.PackedEmbedding.from_array(weight, bits)
            net.head = packed.sharing(net.embedding)
            continue
        layer, place = name.split(".", 1)
        parent, last = place.split(".")
        module = net.blocks[int(layer)].get_submodule(parent)
        setattr(module, last, packed.from_array(weight, bits))
    generator = language.Generator(net.eval(), CONTEXT)

    def step():
        if generator.read == CONTEXT:
            generator.clear()
        return generator.add([7])

    return step


def _theirs(f: Framework) -> Step:
    torch = f.module
    functional = torch.nn.functional
    w = {name: torch.from_numpy(x) for name, x in _weights().items()}
    ones = torch.ones(WIDTH)
    caches = [[torch.zeros(1, SHARED, CONTEXT, SIZE) for _ in range(LAYERS)] for _ in range(2)]
    rates = 1e5 ** (-torch.arange(0, SIZE, 2, dtype=torch.float32) / SIZE)
    state = {"read": 0}

    def turned(x: Any, cos: Any, sin: Any) -> Any:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)

    def logits(read: int) -> Any:
        angles = read * rates
        cos, sin = angles.cos(), angles.sin()
        x = w["embedding"][7].reshape(1, WIDTH)
        for i in range(LAYERS):
            own = {name: w[f"{i}.{name}"] for name in SHAPES}
            y = functional.rms_norm(x, (WIDTH,), ones, 1e-5)
            q, k, v = (
                functional.linear(y, own[f"attention.{n}"]).reshape(1, -1, 1, SIZE) for n in "qkv"
            )
            keys, values = caches[0][i], caches[1][i]
            keys[:, :, read : read + 1] = turned(k, cos, sin)
            values[:, :, read : read + 1] = v
            y = functional.scaled_dot_product_attention(
                turned(q, cos, sin), keys[:, :, : read + 1], values[:, :, : read + 1],
                enable_gqa=True,
            )  # fmt: skip
            x = x + functional.linear(y.reshape(1, WIDTH), own["attention.output"])
            y = functional.rms_norm(x, (WIDTH,), ones, 1e-5)
            gate = functional.silu(functional.linear(y, own["feed_forward.gate"]))
            up = functional.linear(y, own["feed_forward.up"])
            x = x + functional.linear(gate * up, own["feed_forward.down"])
        return functional.linear(functional.rms_norm(x, (WIDTH,), ones, 1e-5), w["embedding"])[0]

    def step():
        with torch.no_grad():
            found = logits(state["read"])
        state["read"] = (state["read"] + 1) % CONTEXT
        return found

    return step


def _generate(f: Framework, bits: int) -> Step:
    """The logits after one token more."""
    return _ours(f, bits) if f.is_twofold else _theirs(f)


add(
    Workload(
        "generate",
        "one token of a net of SmolLM2-135M's sizes, batch 1, a cache of 512 tokens",
        {"float32": {"bits": 32}, "8 bits, theirs float32": {"bits": 8},
         "4 bits, theirs float32": {"bits": 4}},
        _generate,
        flops=lambda bits: 2.0 * N_WEIGHTS,
        n_bytes=lambda bits: N_WEIGHTS * (4.0 if bits == 32 else bits / 8 + 4 / 32),
        peers=("torch",),
        tolerance=0.5,
    )
)  # fmt: skip

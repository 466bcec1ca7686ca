"""Language models from GGUF files, and text from language models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd_api import no_grad
from ..capture import compile
from ..creation import from_numpy
from ..nn.modules.packed import PackedEmbedding, PackedLinear
from ..serialization.gguf import GGUF
from ..tensor import Tensor
from .llama import Cache, Llama, LlamaSizes
from .tokenizer import Tokenizer

CHUNK = 64
"""Tokens of a prompt that are read at once."""

_NAMES = {
    "attn_norm": "attention_norm", "attn_q": "attention.q", "attn_k": "attention.k",
    "attn_v": "attention.v", "attn_output": "attention.output", "ffn_norm": "feed_forward_norm",
    "ffn_gate": "feed_forward.gate", "ffn_up": "feed_forward.up", "ffn_down": "feed_forward.down",
}  # fmt: skip
"""The modules of a block by their names in files."""


def load_gguf(path: str | os.PathLike[str], packed: bool = True) -> tuple[Llama, Tokenizer]:
    """The net and the tokenizer of a GGUF file. `packed` keeps weights in the bits that the file
    has; else they are floats. The values are the same either way.

    Errors: FormatError for files that are damaged, of another kind of net, or whose sizes do not
    fit together.
    """
    file = GGUF(path)
    sizes = _sizes(file)
    with no_grad():
        net = Llama(sizes)
    net.embedding = _matrix(file, "token_embd", sizes.n_tokens, sizes.n, packed, PackedEmbedding)
    if "output.weight" in file.entries:
        net.head = _matrix(file, "output", sizes.n_tokens, sizes.n, packed)
    else:
        net.head = PackedLinear.sharing(net.embedding)
    net.norm.weight = _vector(file, "output_norm", sizes.n)
    for i, block in enumerate(net.blocks):
        for name, place in _NAMES.items():
            parent, _, last = place.rpartition(".")
            own, wanted = block.get_submodule(place), f"blk.{i}.{name}"
            if isinstance(own, nn.Linear):
                new = _matrix(file, wanted, own.out_features, own.in_features, packed)
                setattr(block.get_submodule(parent), last, new)
            else:
                own.weight = _vector(file, wanted, sizes.n)
    tokenizer = Tokenizer(file.metadata)
    if len(tokenizer.tokens) != sizes.n_tokens:
        raise file.bad(f"there are {sizes.n_tokens} tokens", len(tokenizer.tokens))
    return net.eval(), tokenizer


def _vector(file: GGUF, name: str, n: int) -> nn.Parameter:
    """The factors of a norm."""
    _require_shape(file, name, (n,))
    return nn.Parameter(from_numpy(file.array(f"{name}.weight")), requires_grad=False)


def _matrix(
    file: GGUF, name: str, n: int, k: int, packed: bool, kind: type[Any] = PackedLinear
) -> Any:
    """A layer's weights, (n, k)."""
    _require_shape(file, name, (n, k))
    held = file.quantized(f"{name}.weight") if packed else None
    if held is None:
        return kind.from_array(file.array(f"{name}.weight"))
    return kind.from_blocks(held.bits, held.codes, held.scales, held.least)


def _require_shape(file: GGUF, name: str, shape: tuple[int, ...]) -> None:
    found = file.entry(f"{name}.weight").shape
    if found != shape:
        raise file.bad(f"{name}.weight must be of {shape}", found)


def _sizes(file: GGUF) -> LlamaSizes:
    """What the metadata say of the net."""
    kind = file.metadata.get("general.architecture")
    if kind != "llama":
        raise file.bad("nets of the architecture 'llama' are read", repr(kind)[:80])

    def number(name: str, type_: type, default: Any = None) -> Any:
        value: Any = file.metadata.get(f"llama.{name}", default)
        fits = type(value) is type_ and isinstance(value, (int, float))
        if not fits or not 0 < value < 2.0**31:
            raise file.bad(f"llama.{name} must be a {type_.__name__} above 0", repr(value)[:80])
        return value

    n, heads = number("embedding_length", int), number("attention.head_count", int)
    n_layers = number("block_count", int)
    if n_layers > len(file.entries):
        raise file.bad("there are more layers than tensors", n_layers)
    if number("rope.dimension_count", int, n // heads) != n // heads:
        raise file.bad("positions must turn whole heads")
    scaling = file.metadata.get("llama.rope.scaling.type", "none")
    if scaling != "none":
        raise file.bad("positions are not scaled", repr(scaling)[:80])
    shape = file.entry("token_embd.weight").shape
    if len(shape) != 2 or shape[1] != n:
        raise file.bad(f"token_embd.weight must have rows of {n}", shape)
    try:
        return LlamaSizes(
            n_tokens=shape[0],
            n_layers=n_layers,
            n=n,
            n_heads=heads,
            n_shared_heads=number("attention.head_count_kv", int, heads),
            n_hidden=number("feed_forward_length", int),
            n_context=number("context_length", int),
            base=number("rope.freq_base", float, 10000.0),
            eps=number("attention.layer_norm_rms_epsilon", float),
        )
    except ValueError as error:
        raise file.bad(str(error)) from None


def sampler(
    temperature: float = 0.0, top_k: int = 0, top_p: float = 1.0, seed: int | None = None
) -> Callable[[np.ndarray], int]:
    """Choose a token by its logits: the likeliest with temperature 0; else one by its probability
    under logits / temperature, among the `top_k` likeliest (0: all) and the fewest likeliest whose
    probabilities reach `top_p` (Holtzman et al., 2020).

    Errors: ValueError for a negative temperature or top_k, and top_p outside (0, 1].

    >>> choose = sampler(temperature=0.8, top_k=2, seed=0)
    >>> {choose(np.array([5.0, 4.9, -1.0])) for _ in range(20)} == {0, 1}
    True
    """
    if not (temperature >= 0 and top_k >= 0 and 0 < top_p <= 1):
        raise ValueError(
            "[sampler] temperature and top_k are at least 0, top_p is within (0, 1]; got "
            f"{temperature}, {top_k} and {top_p}"
        )
    numbers = np.random.default_rng(seed)

    def choose(logits: np.ndarray) -> int:
        if temperature == 0:
            return int(logits.argmax())
        kept = np.arange(logits.size)
        if 0 < top_k < logits.size:
            kept = np.argpartition(logits, -top_k)[-top_k:]
        scaled = logits[kept].astype(np.float64) / temperature
        weights = np.exp(scaled - scaled.max())
        if top_p < 1:
            order = np.argsort(-weights)
            sums = np.cumsum(weights[order])
            order = order[: int(np.searchsorted(sums, top_p * sums[-1])) + 1]
            kept, weights = kept[order], weights[order]
        sums = np.cumsum(weights)
        place = np.searchsorted(sums, numbers.random() * sums[-1], side="right")
        return int(kept[min(int(place), kept.size - 1)])

    return choose


class Generator:
    """Continues sequences of tokens by a net, one at a time.

    The keys and values of `n_context` tokens are kept in place; reading a prompt (in chunks of 64)
    and adding a token are each captured once, whatever the lengths.

    >>> import twofold as tf
    >>> sizes = LlamaSizes(n_tokens=50, n_layers=2, n=32, n_heads=4, n_shared_heads=2, n_hidden=48)
    >>> generator = Generator(Llama(sizes), 32)
    >>> len(list(generator.tokens([3, 1, 4], most=5)))
    5
    """

    def __init__(self, net: Llama, n_context: int | None = None) -> None:
        wanted = net.sizes.n_context if n_context is None else n_context
        if wanted < 1:
            raise ValueError(f"[Generator] n_context must be at least 1; got {wanted}")
        self.net = net
        self.n_context = wanted
        # A chunk is written whole, and only so much of it as there is counts.
        self.cache = Cache(net.sizes, -(-wanted // CHUNK) * CHUNK)
        self.read = 0
        self._run = compile(self._logits)

    def _logits(self, tokens: Tensor, last: Tensor) -> Tensor:
        with no_grad():
            hidden = self.net.hidden(tokens, self.cache)
            return self.net.head(hidden[0].index_select(0, last))[0]

    def add(self, tokens: Sequence[int]) -> np.ndarray:
        """The logits after tokens that follow those read so far."""
        if not tokens:
            raise ValueError("[Generator] there must be a token to follow; got none")
        if self.read + len(tokens) > self.n_context:
            raise ValueError(
                f"[Generator] there is room for {self.n_context} tokens; got "
                f"{self.read + len(tokens)}"
            )
        logits = None
        at = 0
        while at < len(tokens):
            # Single tokens follow one another until a chunk begins at a multiple of its size.
            part = tokens[at : at + CHUNK]
            if len(part) < 4 or self.read + CHUNK > self.cache.n_context:
                part = part[:1]
            size = 1 if len(part) == 1 else CHUNK
            block = np.zeros((1, size), np.int64)
            block[0, : len(part)] = part
            logits = self._run(from_numpy(block), from_numpy(np.array([len(part) - 1])))
            at += len(part)
            self.read += len(part)
            if len(part) < size:
                self.cache.length.fill_(self.read)
        assert logits is not None
        return logits.numpy()

    def clear(self) -> None:
        """Forget all tokens."""
        self.read = 0
        self.cache.length.fill_(0)

    def tokens(
        self,
        prompt: Sequence[int],
        choose: Callable[[np.ndarray], int] | None = None,
        most: int | None = None,
        end: int | None = None,
    ) -> Iterator[int]:
        """The tokens that follow, as `choose` chooses them (see `sampler`), until `end` (which is
        not given), `most` tokens, or the end of the context."""
        choose = choose or sampler()
        left = self.n_context - self.read - len(prompt)
        left = left if most is None else min(left, most)
        logits = self.add(prompt)
        while left > 0:
            token = choose(logits)
            if token == end:
                return
            yield token
            left -= 1
            if left:
                logits = self.add([token])

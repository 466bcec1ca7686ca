"""GGUF files: elements of all types, tokens, and files that are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

import twofold as tf
from twofold.models.language import load_gguf
from twofold.models.tokenizer import Tokenizer
from twofold.serialization import FormatError
from twofold.serialization.gguf import GGUF, write_gguf
from twofold.serialization.gguf_types import QUANTIZED, TYPES, dequantized

RNG = np.random.default_rng(0)
LETTERS = [*map(chr, range(33, 127)), "Ġ", "Ċ", "th", "the", "Ġthe", "<end>", "Ã", "©", "Ã©"]
TOKENS = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": LETTERS,
    "tokenizer.ggml.merges": ["t h", "th e", "Ġ the", "Ã ©"],
    "tokenizer.ggml.token_type": [3 if t == "<end>" else 1 for t in LETTERS],
    "tokenizer.ggml.eos_token_id": LETTERS.index("<end>"),
}
SIZES = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.context_length": 256,
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 48,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}


def arrays() -> dict[str, np.ndarray]:
    """The weights of a small net; `output` is the embedding."""
    found = {"token_embd.weight": RNG.standard_normal((len(LETTERS), 32)) / 4}
    for i in range(2):
        shapes = {"q": (32, 32), "k": (16, 32), "v": (16, 32), "output": (32, 32)}
        for name, shape in shapes.items():
            found[f"blk.{i}.attn_{name}.weight"] = RNG.standard_normal(shape) / 4
        for name, shape in {"gate": (48, 32), "up": (48, 32), "down": (32, 48)}.items():
            found[f"blk.{i}.ffn_{name}.weight"] = RNG.standard_normal(shape) / 4
        for name in ("attn_norm", "ffn_norm"):
            found[f"blk.{i}.{name}.weight"] = RNG.uniform(0.5, 1.5, 32)
    found["output_norm.weight"] = RNG.uniform(0.5, 1.5, 32)
    return {name: x.astype(np.float32) for name, x in found.items()}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    write_gguf(tmp_path / "small.gguf", SIZES | TOKENS, arrays())
    return tmp_path / "small.gguf"


# Elements.


def half(data: bytes, at: int) -> float:
    return float(np.frombuffer(data[at : at + 2], "<f2")[0])


def six_bits(data: bytes, j: int) -> tuple[int, int]:
    """Scale and least value j of a super-block, as ggml's `get_scale_min_k4` has them."""
    q = data[4:16]
    if j < 4:
        return q[j] & 63, q[j + 4] & 63
    return (
        (q[j + 4] & 15) | (q[j - 4] >> 6) << 4,
        (q[j + 4] >> 4) | (q[j] >> 6) << 4,
    )


def element(kind: str, d: bytes, i: int) -> float:
    """Element i of a block, by its bytes alone."""
    side, j = i // 16, i % 16
    if kind == "Q4_0":
        return half(d, 0) * ((d[2 + j] >> 4 * side & 15) - 8)
    if kind == "Q4_1":
        return half(d, 0) * (d[4 + j] >> 4 * side & 15) + half(d, 2)
    if kind in ("Q5_0", "Q5_1"):
        at = 2 if kind == "Q5_0" else 4
        high = int.from_bytes(d[at : at + 4], "little") >> i & 1
        code = (d[at + 4 + j] >> 4 * side & 15) | high << 4
        return half(d, 0) * (code - 16) if at == 2 else half(d, 0) * code + half(d, 2)
    if kind == "Q8_0":
        return half(d, 0) * int.from_bytes(d[2 + i : 3 + i], signed=True)
    if kind in ("Q4_K", "Q5_K"):
        part, place = i // 32, i % 32
        scale, least = six_bits(d, part)
        at = 16 if kind == "Q4_K" else 48
        code = d[at + 32 * (part // 2) + place] >> 4 * (part % 2) & 15
        if kind == "Q5_K":
            code |= (d[16 + place] >> part & 1) << 4
        return half(d, 0) * scale * code - half(d, 2) * least
    assert kind == "Q6_K"
    whole, rest = i // 128, i % 128
    row, place = rest // 32, rest % 32
    low = d[64 * whole + place + 32 * (row % 2)] >> 4 * (row // 2) & 15
    code = low | (d[128 + 32 * whole + place] >> 2 * row & 3) << 4
    at = 192 + i // 16
    return half(d, 208) * int.from_bytes(d[at : at + 1], signed=True) * (code - 32)


@pytest.mark.parametrize("kind", QUANTIZED)
def test_elements_are_those_of_their_bytes(kind: str) -> None:
    n, n_bytes = next((n, b) for name, n, b in TYPES.values() if name == kind)
    raw = RNG.integers(0, 256, (3, n_bytes)).astype(np.uint8)
    for at in {"Q6_K": (208,), "Q8_0": (0,), "Q4_0": (0,), "Q5_0": (0,)}.get(kind, (0, 2)):
        raw[:, at : at + 2] = RNG.standard_normal((3, 1)).astype("<f2").view(np.uint8)
    expected = [element(kind, bytes(block), i) for block in raw for i in range(n)]
    np.testing.assert_allclose(dequantized(raw.reshape(-1), kind), expected, rtol=1e-6, atol=1e-6)


def test_plain_elements() -> None:
    x = np.array([1.5, -2.0, 0.25], np.float32)
    words = (x.view(np.uint32) >> 16).astype("<u2")
    for kind, held in (("F32", x), ("F16", x.astype("<f2")), ("BF16", words), ("F64", x * 1.0)):
        raw = np.frombuffer(held.astype("<f8").tobytes() if kind == "F64" else held.tobytes(), "u1")
        np.testing.assert_array_equal(dequantized(raw, kind), x)
    whole = np.array([3, -4], "<i2")
    assert dequantized(np.frombuffer(whole.tobytes(), "u1"), "I16").tolist() == [3, -4]


# Files.


def test_what_is_written_is_read(small: Path) -> None:
    file = GGUF(small)
    assert file.metadata["llama.block_count"] == 2
    assert file.metadata["tokenizer.ggml.tokens"] == LETTERS
    assert file.entries["blk.1.attn_k.weight"].shape == (16, 32)
    assert file.quantized("token_embd.weight") is None


def test_cut_files_are_refused(small: Path) -> None:
    """Every beginning of a file."""
    data = small.read_bytes()
    first = min(e.begin for e in GGUF(small).entries.values())
    for size in [*range(0, first, 7), first, (first + len(data)) // 2, len(data) - 32]:
        small.write_bytes(data[:size])
        with pytest.raises(FormatError):
            GGUF(small)


def test_changed_bytes_do_no_harm(small: Path) -> None:
    """Files with a few wrong bytes are read, or refused as such."""
    data = small.read_bytes()
    first = min(e.begin for e in GGUF(small).entries.values())
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(int(RNG.integers(1, 4))):
            changed[RNG.integers(0, first)] = RNG.choice([0, 1, 8, 9, 127, 255])
        small.write_bytes(changed)
        try:
            load_gguf(small)
        except FormatError as error:
            assert "small.gguf" in str(error) or "[tokenizer]" in str(error)


@pytest.mark.parametrize(
    "at, value, rule",
    [
        (0, b"GGML", "begins with 'GGUF'"),
        (4, struct.pack("<I", 1), "versions 2 and 3"),
        (8, struct.pack("<Q", 1 << 60), "room"),
        (16, struct.pack("<Q", 1 << 60), "room"),
        (24, struct.pack("<Q", 1 << 62), "name"),
    ],
)
def test_rules(small: Path, at: int, value: bytes, rule: str) -> None:
    data = bytearray(small.read_bytes())
    data[at : at + len(value)] = value
    small.write_bytes(data)
    with pytest.raises(FormatError, match=rule):
        GGUF(small)


@pytest.mark.parametrize(
    "change, rule",
    [
        ({"general.architecture": "mamba"}, "architecture"),
        ({"llama.block_count": 1 << 30}, "more layers than tensors"),
        ({"llama.block_count": 3}, "no tensor 'blk.2"),
        ({"llama.embedding_length": -1}, "above 0"),
        ({"llama.embedding_length": "x"}, "must be a int"),
        ({"llama.embedding_length": 1 << 30}, "must have rows of"),
        ({"llama.attention.head_count": 5}, "multiple"),
        ({"llama.feed_forward_length": 1 << 30}, "must be of"),
        ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "above 0"),
        ({"llama.rope.scaling.type": "yarn"}, "not scaled"),
        ({"tokenizer.ggml.model": "llama"}, "only byte-level pairs"),
        ({"tokenizer.ggml.pre": "other"}, "cut"),
        ({"tokenizer.ggml.tokens": ["a"]}, "each token has a type"),
        (
            {
                "tokenizer.ggml.tokens": ["a"],
                "tokenizer.ggml.token_type": [1],
                "tokenizer.ggml.eos_token_id": 0,
            },
            "tokens; got 1",
        ),
        ({"tokenizer.ggml.eos_token_id": 1 << 40}, "no token"),
    ],
)
def test_nets_that_do_not_fit_are_refused(tmp_path: Path, change: dict, rule: str) -> None:
    path = tmp_path / "bad.gguf"
    write_gguf(path, SIZES | TOKENS | change, arrays())
    with pytest.raises(FormatError, match=rule):
        load_gguf(path)


# Tokens.


@pytest.mark.parametrize(
    "pattern, words",
    [
        ("gpt-2", ["I", "'ll", " say", "  ", " it", ":", " 2024", "!!", "\n", "\n", "'", "Tis"]),
        ("smollm", ["I", "'ll", " say", "  ", " it", ":", " ", "2", "0", "2", "4", "!!",
                    "\n", "\n", "'", "Tis"]),
        ("llama-bpe", ["I", "'ll", " say", "  ", " it", ":", " ", "202", "4", "!!\n\n",
                       "'T", "is"]),
        ("qwen2", ["I", "'ll", " say", "  ", " it", ":", " ", "2", "0", "2", "4", "!!\n\n",
                   "'T", "is"]),
    ],
)  # fmt: skip
def test_words(pattern: str, words: list[str]) -> None:
    tokenizer = Tokenizer(TOKENS | {"tokenizer.ggml.pre": pattern})
    assert list(tokenizer.words("I'll say   it: 2024!!\n\n'Tis")) == words


def test_tokens() -> None:
    tokenizer = Tokenizer(TOKENS)
    found = tokenizer.encode("the the thé<end>")
    assert [LETTERS[i] for i in found] == ["the", "Ġthe", "Ġ", "th", "Ã©", "<end>"]
    assert tokenizer.decode(found) == "the the thé<end>"
    assert [LETTERS[i] for i in tokenizer.encode("<end>", special=False)] == list("<end>")
    # A character comes with its last byte.
    parts = [LETTERS.index("Ã"), LETTERS.index("©"), LETTERS.index("!")]
    assert list(tokenizer.stream(parts)) == ["", "é", "!", ""]
    with pytest.raises(ValueError, match="no token stands for"):
        tokenizer.encode("\x00")


def test_net_of_file_is_net_of_arrays(small: Path) -> None:
    """Packed and unpacked, the weights are those of the file."""
    net, _ = load_gguf(small)
    tokens = tf.tensor([[1, 2, 3]])
    file = GGUF(small)
    x = net.embedding(tokens).numpy()[0]
    np.testing.assert_array_equal(x, file.array("token_embd.weight")[1:4])
    wide = net.blocks[1].feed_forward.down(tf.eye(48)).numpy().T
    np.testing.assert_array_equal(wide, file.array("blk.1.ffn_down.weight"))

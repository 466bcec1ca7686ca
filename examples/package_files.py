"""Where the files of an installed package lie, found without importing it."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def folder(package: str, advice: str = "") -> Path:
    """The folder of a package; without it the program ends with an advice."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(advice or f"there is no package {package}; see the top of the program")
    return Path(found.origin).parent

"""The modules that the program sees."""

from __future__ import annotations

import importlib
from types import ModuleType

_PACKAGE = __name__.split(".")[0]


def torch_module() -> ModuleType:
    """Twofold's own package, whose names `torch` has."""
    return importlib.import_module(_PACKAGE)

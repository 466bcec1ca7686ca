"""What commands raise for bad input."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any


class UserError(Exception):
    """Bad input: told in one line, with exit code 2 and no traceback."""


def require(module: str, package: str, import_it: bool = True) -> Any:
    """An optional module, or None unless `import_it`. UserError, with the command that
    installs it, if it is missing.

    >>> require("json", "json").dumps([1])
    '[1]'
    """
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise UserError(f"the package {package} is missing; try pip install 'twofold[demo]'")
    return importlib.import_module(module) if import_it else None

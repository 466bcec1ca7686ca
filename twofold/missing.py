"""What a package says of a name that it has not: an AttributeError with the nearest names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any


def explain_missing(package: str, names: Iterable[str]) -> Callable[[str], Any]:
    """A module's `__getattr__`: it raises AttributeError and names what comes nearest.

    >>> explain_missing("twofold.nn", ["Linear", "Conv2d"])("Linaer")
    Traceback (most recent call last):
    AttributeError: module 'twofold.nn' has no attribute 'Linaer'; the nearest is 'Linear'
    """

    def missing(name: str) -> Any:
        text = f"module {package!r} has no attribute {name!r}"
        if not name.startswith("_"):
            public = {n.lower(): n for n in names if not n.startswith("_")}
            near = difflib.get_close_matches(name.lower(), list(public), 1)
            if near:
                text += f"; the nearest is {public[near[0]]!r}"
        raise AttributeError(text, name=name)

    return missing

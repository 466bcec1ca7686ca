"""Errors of the user's making, raised as PyTorch's classes, apart from errors of our own."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from .missing_names import reason_of


class InternalError(Exception):
    """A rule of Twofold's own was broken. Always a defect of Twofold, never of the program run."""


def message(op: str, rule: str, got: object = None, hint: str | None = None) -> str:
    """`[op] rule; got ...; try ...`, the form of every message.

    >>> message("matmul", "inner sizes must be equal", "(2, 3) and (4, 5)", "transpose one of them")
    '[matmul] inner sizes must be equal; got (2, 3) and (4, 5); try transpose one of them'
    """
    text = f"[{op}] {rule}"
    if got is not None:
        text += f"; got {got}"
    if hint is not None:
        text += f"; try {hint}"
    return text


class BadValue(Exception):
    """A value that an op cannot work with, found by its reference as it ran. Whoever runs the op
    turns it into the user's error."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


def explain_missing(package: str, names: Iterable[str]) -> Callable[[str], Any]:
    """A module's `__getattr__`: it raises AttributeError and names what comes nearest.

    >>> explain_missing("twofold.nn", ["Linear", "Conv2d"])("Linaer")
    Traceback (most recent call last):
    AttributeError: module 'twofold.nn' has no attribute 'Linaer'; the nearest is 'Linear'
    """

    def missing(name: str) -> Any:
        text = f"module {package!r} has no attribute {name!r}"
        reason = reason_of(package.partition(".")[2] or "torch", name)
        if reason is not None:
            text += f", which PyTorch has: {reason}"
        if not name.startswith("_"):
            # Of two names that differ in case alone, that of the class comes last and stays.
            public = {n.lower(): n for n in sorted(names, reverse=True) if n[:1] != "_"}
            near = difflib.get_close_matches(name.lower(), list(public), 1)
            if near:
                text += f"; the nearest is {public[near[0]]!r}"
        raise AttributeError(text, name=name)

    return missing

"""Plain Python `if`, `while` and `for ... in range` on tensors as branches and loops of the graph.

`rewritten` gives a function whose decisions go through `decide.py`: on Python values they are
Python's; on tensors, while a graph is being recorded, they become branches and loops of it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from .decide import NotRewritable, called, recording_decisions

__all__ = ["NotRewritable", "called", "recording_decisions", "rewritten"]


def rewritten(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, or a module, with its decisions rewritten. NotRewritable where it has no source,
    or is a generator. What rewrites is loaded when the first function is."""
    return import_module(".rewrite", __name__).rewritten(function)

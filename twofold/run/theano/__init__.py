"""Theano's names on Twofold: `python -m twofold.run --as theano script.py`.

Expressions are symbols (see `twofold.static.symbol`), functions are compiled by the engine, and
what they give are NumPy arrays, as Theano's do. Numbers of two dtypes are combined by PyTorch's
rules, not Theano's (int32 and float32 give float32).
"""

from __future__ import annotations

from . import sandbox, tensor
from .configuration import config
from .functions import function
from .loops import scan
from .tensor import grad
from .variable import In, Param, SharedVariable, shared

__version__ = "1.0.5"

__all__ = [
    "In", "Param", "SharedVariable", "config", "function", "grad", "sandbox", "scan", "shared",
    "tensor",
]  # fmt: skip

"""Ops of which only the gradient differs from doing nothing."""

from __future__ import annotations

from .elementwise import _define

identity = _define(
    "identity",
    1,
    lambda x: x,
    lambda y, g, x: (g,),
    "y = x; the gradient passes.",
    complex_rule="parts",
)
replace = _define(
    "replace",
    2,
    lambda a, b: b,
    lambda y, g, a, b: (g, None),
    "y = b, while the gradient goes to a: a value overwritten where nothing is recorded.",
    complex_rule="parts",
)

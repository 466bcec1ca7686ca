"""Orthogonal polynomials by their recurrences, of degrees that are numbers or tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..functions import functions
from ..tensor import Tensor
from .series import where

Step = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""P(k + 1) of k, x, P(k) and P(k - 1)."""


def _evaluated(x: Any, n: Any, first: Callable[[Tensor], Tensor], step: Step) -> Tensor:
    """P(n) by P(0) = 1, P(1) = first(x): each degree of n up to the largest is passed through."""
    if not isinstance(x, Tensor):
        x = functions["tensor"](x, dtype=n.dtype if n.dtype.is_floating_point else None)
    x = x if x.dtype.is_floating_point else x.to(dtypes.get_default())
    is_number = not isinstance(n, Tensor)
    largest = int(n) if is_number else int(n.max()) if n.numel() else 0
    before, now = x * 0 + 1, first(x)
    if is_number:
        if n < 0:
            return x * 0
        result = before if n < 1 else now
        for k in range(1, largest):
            before, now = now, step(k, x, now, before)
            result = now
        return result
    degree = n.to(dtypes.int64)
    result = where(degree < 0, 0.0, where(degree == 0, before, now))
    for k in range(1, largest):
        before, now = now, step(k, x, now, before)
        result = where(degree == k + 1, now, result)
    return result


def _doubled(k: int, x: Tensor, now: Tensor, before: Tensor) -> Tensor:
    return 2 * x * now - before


def _chebyshev(name: str, slope: float, offset: float, doc: str) -> None:
    """The four kinds differ by P(1) = slope x + offset; shifted ones take 2 x - 1."""

    def plain(input: Any, n: Any) -> Tensor:
        return _evaluated(input, n, lambda x: slope * x + offset, _doubled)

    def shifted(input: Any, n: Any) -> Tensor:
        return plain(2 * input - 1, n)

    for f, prefix in ((plain, ""), (shifted, "shifted_")):
        f.__name__ = f"{prefix}chebyshev_polynomial_{name}"
        f.__doc__ = f"Chebyshev's polynomial of the {doc} kind" + (
            ", of 2 x - 1." if prefix else "."
        )
        globals()[f.__name__] = f


_chebyshev("t", 1, 0, "first")
_chebyshev("u", 2, 0, "second")
_chebyshev("v", 2, -1, "third")
_chebyshev("w", 2, 1, "fourth")


def hermite_polynomial_h(input: Any, n: Any) -> Tensor:
    """The physicist's Hermite polynomial: H(k + 1) = 2 x H(k) - 2 k H(k - 1)."""
    return _evaluated(
        input, n, lambda x: 2 * x, lambda k, x, now, before: 2 * x * now - 2 * k * before
    )


def hermite_polynomial_he(input: Any, n: Any) -> Tensor:
    """The statistician's Hermite polynomial: He(k + 1) = x He(k) - k He(k - 1)."""
    return _evaluated(input, n, lambda x: x * 1, lambda k, x, now, before: x * now - k * before)


def laguerre_polynomial_l(input: Any, n: Any) -> Tensor:
    """Laguerre's polynomial: (k + 1) L(k + 1) = (2 k + 1 - x) L(k) - k L(k - 1)."""
    return _evaluated(
        input,
        n,
        lambda x: 1 - x,
        lambda k, x, now, before: ((2 * k + 1 - x) * now - k * before) / (k + 1),
    )


def legendre_polynomial_p(input: Any, n: Any) -> Tensor:
    """Legendre's polynomial: (k + 1) P(k + 1) = (2 k + 1) x P(k) - k P(k - 1)."""
    return _evaluated(
        input,
        n,
        lambda x: x * 1,
        lambda k, x, now, before: ((2 * k + 1) * x * now - k * before) / (k + 1),
    )

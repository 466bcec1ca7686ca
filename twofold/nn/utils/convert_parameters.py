"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...functions.shape import cat
from ...tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after the other."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let the parameters be parts of a vector."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected twofold.Tensor, but got: {type(vec).__name__}")
    start = 0
    for p in parameters:
        n = p.numel()
        p.data = vec[start : start + n].reshape(p.shape).data
        start += n

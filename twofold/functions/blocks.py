"""Products with weights in strips of 32 columns; see `ops/blocks.py`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..graph.node import make
from ..ops import blocks as op
from ..ops import index
from ..ops import movement as mv
from ..tensor import Tensor, wrap


def block_linear(input: Tensor, weights: Sequence[Tensor], n: int) -> Tensor:
    """input (..., K) times W^T: (..., n); weights are codes, scales and least values, as there
    are."""
    x = input._node()
    if not x.shape:
        raise RuntimeError("[block_product] the input has at least one axis; got a scalar")
    *lead, k = x.shape
    rows = mv.reshape(x, (prod(lead), k))
    y = make(op.BLOCK_PRODUCT, (rows, *(w._node() for w in weights)), (n,))
    return wrap(mv.reshape(y, (*lead, n)))


def block_rows(numbers: Tensor, weights: Sequence[Tensor], n: int, k: int) -> Tensor:
    """Rows of W (n, k) by their numbers (...): (..., k)."""
    i = numbers._node()
    flat = index.checked(mv.reshape(i, (prod(i.shape),)), n, 0)
    found = op.rows([w._node() for w in weights], flat, k)
    return wrap(mv.reshape(found, (*i.shape, k)))

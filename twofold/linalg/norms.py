"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import DType
from ..functions.reduction import norm as p_norm
from ..tensor import NAMES, Tensor, wrap_dim
from .decompositions import svdvals
from .solvers import inv_ex


def vector_norm(
    x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: DType | None = None
) -> Tensor:
    """(sum |x|^ord)^(1/ord) over `dim`, or over all elements; inf, -inf and 0 are its limits.

    >>> import twofold as tf
    >>> tf.linalg.vector_norm(tf.tensor([3.0, 4.0]))
    tensor(5.)
    """
    _require("linalg.vector_norm", x)
    if isinstance(ord, str):
        raise TypeError(f"linalg.vector_norm: ord must be a number; got {ord!r}")
    if dim is None and not keepdim:
        x = x.reshape(-1)
    return p_norm(x, ord, dim, keepdim, dtype)


def _require(name: str, x: Tensor) -> None:
    if not x.dtype.is_inexact:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {NAMES[x.dtype]}"
        )


def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """The norm of matrices in the axes `dim`: "fro", "nuc", 2 and -2 (singular values), 1 and -1
    (columns), inf and -inf (rows)."""
    _require("linalg.matrix_norm", A)
    if A.dim() < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    A = A if dtype is None else A.to(dtype)
    row, column = (wrap_dim(int(d), A.dim()) for d in dim)
    if row == column:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({row}, {column})")
    if ord == "fro":
        return p_norm(A, 2, (row, column), keepdim)
    if ord == "nuc":
        return p_norm(A, "nuc", (row, column), keepdim)
    if ord in (2, -2):
        s = svdvals(A.movedim((row, column), (-2, -1)))
        y = _largest(s, -1) if ord == 2 else s.amin(-1)
    elif ord in (1, -1, math.inf, -math.inf):
        along, over = (row, column) if abs(ord) == 1 else (column, row)
        sums = A.abs().sum(along, keepdim=True)
        y = _largest(sums, over, True) if ord > 0 else sums.amin(over, True)
        y = y.squeeze((row, column))
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        for d in sorted((row, column)):
            y = y.unsqueeze(d)
    return y


def _largest(x: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    """The largest of values that are not negative; 0 of none."""
    return x.amax(dim, keepdim) if x.shape[dim] else x.sum(dim, keepdim)


def norm(
    A: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """A vector norm over one axis (or over all elements, without `ord`), a matrix norm over two."""
    if ord is None or (isinstance(dim, int) or (dim is not None and len(dim) == 1)):
        if isinstance(ord, str):
            raise RuntimeError(
                "linalg.norm: If ord is a str, two dims must be specified or the input must be 2-D"
            )
        return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
    if dim is None and A.dim() == 1 and not isinstance(ord, str):
        return vector_norm(A, ord, None, keepdim, dtype=dtype)
    if dim is None and A.dim() != 2:
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{A.dim()}D."
        )
    return matrix_norm(A, ord, (0, 1) if dim is None else dim, keepdim, dtype=dtype)


def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number |A| |A^-1| in the norm p, by default 2: the ratio of the largest to the
    smallest singular value."""
    if not A.numel() and A.dim() > 1:
        return A.new_zeros(A.shape[:-2], dtype=A.dtype.to_real())
    if p in (None, 2, -2):
        s = svdvals(A)
        large, small = s[..., 0], s[..., -1]
        return small / large if p == -2 else large / small
    return matrix_norm(A, p) * matrix_norm(inv_ex(A).inverse, p)

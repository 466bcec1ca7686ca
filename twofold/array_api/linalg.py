"""The standard's extension for linear algebra."""

from __future__ import annotations

from typing import Any

from .. import linalg
from ..dtypes import DType
from ..errors import message
from ..functions import functions as f
from ..tensor import Tensor
from .manipulation import matmul, matrix_transpose, tensordot, vecdot
from .reduce import sum as _sum
from .types import broadcast_arrays, common


def cholesky(x: Tensor, /, *, upper: bool = False) -> Tensor:
    """L of x = L L^H, a lower triangle, or with `upper` its transpose."""
    return linalg.cholesky(x, upper=upper)


def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of three elements along an axis."""
    x1, x2 = broadcast_arrays(*common("cross", x1, x2))
    return linalg.cross(x1, x2, dim=axis)


def det(x: Tensor, /) -> Tensor:
    """The determinants of matrices."""
    return linalg.det(x)


def diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """The diagonals of matrices."""
    return linalg.diagonal(x, offset=offset)


def eigh(x: Tensor, /) -> Any:
    """Eigenvalues and eigenvectors of symmetric matrices."""
    return linalg.eigh(x)


def eigvalsh(x: Tensor, /) -> Tensor:
    """Eigenvalues of symmetric matrices."""
    return linalg.eigvalsh(x)


def inv(x: Tensor, /) -> Tensor:
    """The inverses of matrices."""
    return linalg.inv(x)


def matrix_norm(x: Tensor, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """The norms of matrices."""
    return linalg.matrix_norm(x, ord, (-2, -1), keepdims)


def matrix_power(x: Tensor, n: int, /) -> Tensor:
    """The products of matrices with themselves, n factors."""
    return linalg.matrix_power(x, n)


def matrix_rank(x: Tensor, /, *, rtol: Any = None) -> Tensor:
    """How many singular values are larger than `rtol` times the largest."""
    return linalg.matrix_rank(x, rtol=rtol)


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The products of each element of x1 with each of x2."""
    x1, x2 = common("outer", x1, x2)
    if x1.ndim != 1 or x2.ndim != 1:
        raise ValueError(message("outer", "both must have one axis", f"{x1.ndim} and {x2.ndim}"))
    return x1[:, None] * x2[None]


def pinv(x: Tensor, /, *, rtol: Any = None) -> Tensor:
    """The pseudo-inverses of matrices."""
    return linalg.pinv(x, rtol=rtol)


def qr(x: Tensor, /, *, mode: str = "reduced") -> Any:
    """Q and R of x = Q R."""
    return linalg.qr(x, mode)


def slogdet(x: Tensor, /) -> Any:
    """The signs of determinants and the logarithms of their sizes."""
    return linalg.slogdet(x)


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """y of x1 y = x2; x2 is a vector only if it has one axis."""
    x1, x2 = common("solve", x1, x2)
    if x2.ndim == 1:
        return linalg.solve(x1, x2[:, None])[..., 0]
    lead = f["broadcast_shapes"](x1.shape[:-2], x2.shape[:-2])
    return linalg.solve(x1.expand(*lead, *x1.shape[-2:]), x2.expand(*lead, *x2.shape[-2:]))


def svd(x: Tensor, /, *, full_matrices: bool = True) -> Any:
    """U, S and V^H of x = U S V^H."""
    return linalg.svd(x, full_matrices)


def svdvals(x: Tensor, /) -> Tensor:
    """The singular values of matrices."""
    return linalg.svdvals(x)


def trace(x: Tensor, /, *, offset: int = 0, dtype: DType | None = None) -> Tensor:
    """The sums of the diagonals of matrices."""
    return _sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(x: Tensor, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tensor:
    """The norms of vectors along axes, or of all elements."""
    return linalg.vector_norm(x, ord, axis, keepdims)


__all__ = [
    "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm",
    "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve",
    "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip

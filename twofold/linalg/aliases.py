"""What `torch` and `torch.Tensor` have of linear algebra by older names and arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..functions import functions
from ..functions._registry import with_out
from ..functions.casting import in_float32
from ..tensor import Tensor
from . import decompositions as dc
from . import solvers
from .decompositions import Qr, lu_unpack
from .norms import matrix_norm
from .products import geqrf, householder_product, matrix_exp, ormqr
from .solvers import cholesky_inverse, cholesky_solve, logdet


class Svd(NamedTuple):
    """A = U diag(S) V^H."""

    U: Tensor
    S: Tensor
    V: Tensor


class TriangularSolution(NamedTuple):
    """The solution of A X = b, and A."""

    solution: Tensor
    cloned_coefficient: Tensor


def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Svd:
    """U, S, V with input = U diag(S) V^H; the reduced ones with `some`."""
    if not compute_uv:
        s = dc.svdvals(input)
        n, m = input.shape[-2:]
        lead = input.shape[:-2]
        u, v = (input.new_zeros((*lead, k, k), dtype=input.dtype) for k in (n, m))
        return Svd(u, s, v)
    u, s, h = dc.svd(input, not some)
    return Svd(u, s, h.mH)


def qr(input: Tensor, some: bool = True) -> Qr:
    """Q, R with input = Q R; the reduced ones with `some`."""
    return dc.qr(input, "reduced" if some else "complete")


def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """L with input = L L^H, or its adjoint if `upper`."""
    return dc.cholesky(input, upper=upper)


def inverse(input: Tensor) -> Tensor:
    """input^-1."""
    return solvers.inv(input)


def det(input: Tensor) -> Tensor:
    """The determinant."""
    return solvers.det(input)


def slogdet(input: Tensor) -> solvers.SignLog:
    """The sign of the determinant, and the logarithm of its size."""
    return solvers.slogdet(input)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverse; singular values up to rcond times the largest count as 0."""
    return solvers.pinv(input, rtol=rcond)


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:
    """L and U in one matrix, the exchanged rows, and with `get_infos` how it went."""
    found = dc.lu_factor_ex(A, pivot=pivot)
    return tuple(found) if get_infos else tuple(found[:2])


def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X with A X = b, of A by `lu`."""
    return solvers.lu_solve(LU_data, LU_pivots, b)


def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> TriangularSolution:
    """X with A X = b for triangular A, or its transpose."""
    x = solvers.solve_triangular(
        A.mT if transpose else A, b, upper=upper is not transpose, unitriangular=unitriangular
    )
    return TriangularSolution(x, A.clone())


def orgqr(input: Tensor, input2: Tensor) -> Tensor:
    """The product of reflections, as `householder_product`."""
    return householder_product(input, input2)


def nuclear_norm(input: Tensor, dim: Any = (-2, -1), keepdim: bool = False) -> Tensor:
    """The sum of the singular values."""
    return matrix_norm(input, "nuc", dim, keepdim)


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> Svd:
    """The q largest singular values and their vectors, of A - M, by random projections (N. Halko,
    P. Martinsson, J. Tropp, 2009)."""
    A = A if M is None else A - M
    n, m = A.shape[-2:]
    q = 6 if q is None else q
    span = A @ functions["randn"](*A.shape[:-2], m, min(q, n, m), dtype=A.dtype)
    basis = dc.qr(span).Q
    for _ in range(2 if niter is None else niter):
        basis = dc.qr(A @ dc.qr(A.mH @ basis).Q).Q
    u, s, h = dc.svd(basis.mH @ A, False)
    return Svd(basis @ u, s, h.mH)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> Svd:
    """`svd_lowrank` of A less the mean of its rows."""
    q = min(6, *A.shape[-2:]) if q is None else q
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


__all__ = [
    "cholesky", "cholesky_inverse", "cholesky_solve", "det", "geqrf", "inverse", "logdet", "lu",
    "lu_solve", "lu_unpack", "matrix_exp", "nuclear_norm", "orgqr", "ormqr", "pca_lowrank",
    "pinverse", "qr", "slogdet", "svd", "svd_lowrank", "triangular_solve",
]  # fmt: skip

for _name in __all__:
    globals()[_name] = with_out(in_float32(globals()[_name]))

"""Decompositions of matrices."""

from __future__ import annotations

from typing import NamedTuple

from numpy.linalg import LinAlgError

from .. import dtypes
from ..graph.node import Node
from ..ops import decompositions as dc
from ..ops import elementwise as ew
from ..ops import matrices as mx
from ..ops.complex import real
from ..tensor import Tensor, wrap


class Qr(NamedTuple):
    """A = Q R."""

    Q: Tensor
    R: Tensor


class Svd(NamedTuple):
    """A = U diag(S) Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class Eig(NamedTuple):
    """A V = V diag(L): eigenvalues, and eigenvectors as columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class CholeskyInfo(NamedTuple):
    """L, and 0 or the order of the leading minor that is not positive."""

    L: Tensor
    info: Tensor


class Lu(NamedTuple):
    """A = P L U."""

    P: Tensor
    L: Tensor
    U: Tensor


class LuFactor(NamedTuple):
    """L and U in one matrix, and the exchanged rows, counted from 1."""

    LU: Tensor
    pivots: Tensor


class LuFactorInfo(NamedTuple):
    """L and U in one matrix, the exchanged rows, and 0 or the place of the first zero pivot."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


def matrices(name: str, x: Tensor, square: bool = False) -> Node:
    """x as a node; RuntimeError, in PyTorch's words, for what are no matrices."""
    if not isinstance(x, Tensor):
        raise TypeError(f"[{name}] expected a tensor; got {type(x).__name__}")
    node = x._node()
    mx.require_matrices(name, node.type, square)
    return node


def info_of(x: Node) -> Tensor:
    """What a function tells of how it went, as int32."""
    return wrap(ew.cast(real(x), dtypes.int32))


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L with A = L L^H, lower triangular with a positive diagonal; or its adjoint, if `upper`.

    A (*B, n, n) is Hermitian and positive definite, else LinAlgError; its lower triangle is read.

    >>> import twofold as tf
    >>> tf.linalg.cholesky(tf.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    lower = dc.CHOLESKY.of(_triangle(matrices("linalg.cholesky", A, True), upper), True)[0]
    return wrap(mx.adjoint(lower) if upper else lower)


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> CholeskyInfo:
    """`cholesky`, and `info` in place of an error."""
    node = _triangle(matrices("linalg.cholesky_ex", A, True), upper)
    lower, info = dc.CHOLESKY.of(node, check_errors)
    return CholeskyInfo(wrap(mx.adjoint(lower) if upper else lower), info_of(info))


def _triangle(x: Node, upper: bool) -> Node:
    """The matrix whose lower triangle is the one to be read."""
    return mx.adjoint(x) if upper else x


def qr(A: Tensor, mode: str = "reduced") -> Qr:
    """Q with orthonormal columns and R upper triangular; A (*B, n, m), k = min(n, m).

    "reduced" gives Q (n, k), R (k, m); "complete" Q (n, n), R (n, m); "r" R alone.
    """
    node = matrices("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    q, r = dc.QR.of(node, "complete" if mode == "complete" else "reduced")
    if mode == "r":
        return Qr(wrap(ew.detach(q)).new_empty(0), wrap(r))
    return Qr(wrap(q), wrap(mx.triu(r)))


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Svd:
    """U, S, Vh with A = U diag(S) Vh, S real and descending; A (*B, n, m), k = min(n, m).

    U (n, n), Vh (m, m), or (n, k), (k, m) without `full_matrices`. The singular vectors are fixed
    up to a sign (a phase), so only what does not depend on it has a gradient that means something.
    """
    u, s, h = dc.SVD.of(matrices("linalg.svd", A), bool(full_matrices))
    return Svd(wrap(u), wrap(real(s)), wrap(h))


def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values of A (*B, n, m), descending: (*B, min(n, m))."""
    return wrap(real(dc.SVD.of(matrices("linalg.svdvals", A), False)[1]))


def eigh(A: Tensor, UPLO: str = "L") -> Eig:
    """Eigenvalues (real, ascending) and orthonormal eigenvectors of Hermitian A (*B, n, n), read
    from its lower (L) or upper (U) triangle."""
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    w, v = dc.EIGH.of(matrices("linalg.eigh", A, True), UPLO.upper())
    return Eig(wrap(real(w)), wrap(v))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of Hermitian A, ascending."""
    return eigh(A, UPLO).eigenvalues


def eig(A: Tensor) -> Eig:
    """Eigenvalues and eigenvectors of A (*B, n, n): complex, in no order."""
    w, v = dc.EIG.of(matrices("linalg.eig", A, True))
    return Eig(wrap(w), wrap(v))


def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues of A: complex, in no order."""
    return eig(A).eigenvalues


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> LuFactorInfo:
    """`lu_factor`, and `info`: the place of the first zero pivot, or 0."""
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    y, pivots, info = dc.LU.of(matrices("linalg.lu_factor_ex", A))
    found = info_of(info)
    if check_errors and bool((found != 0).any()):
        raise LinAlgError(
            f"torch.linalg.lu_factor: U[{int(found.max())},{int(found.max())}] is zero and using "
            "it on lu_solve would result in a division by zero."
        )
    return LuFactorInfo(wrap(y), info_of(pivots), found)


def lu_factor(A: Tensor, *, pivot: bool = True) -> LuFactor:
    """P A = L U by partial pivoting: L (of unit diagonal) and U in one matrix, and the rows
    exchanged with each, counted from 1. A: (*B, n, m)."""
    y, pivots, _ = lu_factor_ex(A, pivot=pivot)
    return LuFactor(y, pivots)


def lu(A: Tensor, *, pivot: bool = True) -> Lu:
    """P, L, U with A = P L U. A: (*B, n, m), k = min(n, m): (n, n), (n, k), (k, m)."""
    factors = lu_factor(A, pivot=pivot)
    return lu_unpack(factors.LU, factors.pivots)


def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> Lu:
    """P, L, U of what `lu_factor` gave."""
    y = matrices("lu_unpack", LU_data)
    n, m = y.shape[-2:]
    k = min(n, m)
    p = lower = upper = LU_data.new_empty(0)
    if unpack_data:
        square = mx.part(y, n, k)
        lower = wrap(ew.add(mx.tril(square, -1), mx.identity_like(square)))
        upper = wrap(mx.triu(mx.part(y, k, m)))
    if unpack_pivots:
        pivots = ew.cast(LU_pivots._node(), dtypes.float64)
        p = wrap(dc.permutation(pivots, n, y))
    return Lu(p, lower, upper)

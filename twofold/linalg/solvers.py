"""Systems of equations, inverses and determinants."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import dtypes
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import broadcast_shapes
from ..ops import decompositions as dc
from ..ops import elementwise as ew
from ..ops import linear_systems as ls
from ..ops import matrices as mx
from ..ops import matrix_functions as mf
from ..ops import movement as mv
from ..ops.complex import real
from ..tensor import Tensor, broadcast_to, wrap
from .decompositions import info_of, lu_unpack, matrices


class InverseInfo(NamedTuple):
    """The inverse, and 0 where there is one."""

    inverse: Tensor
    info: Tensor


class SolveInfo(NamedTuple):
    """The solution, and 0 where there is one."""

    result: Tensor
    info: Tensor


class SignLog(NamedTuple):
    """The sign (or phase) of a determinant, and the logarithm of its size."""

    sign: Tensor
    logabsdet: Tensor


class LeastSquares(NamedTuple):
    """The solution, and what is known of the system where the driver tells."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def broadcast_batches(name: str, *nodes: Node) -> list[Node]:
    """Matrices with their leading axes broadcast."""
    lead = broadcast_shapes(name, [x.shape[:-2] for x in nodes])
    return [broadcast_to(x, (*lead, *x.shape[-2:])) for x in nodes]


def inv(A: Tensor) -> Tensor:
    """A^-1 of A (*B, n, n). LinAlgError if one is singular.

    >>> import twofold as tf
    >>> tf.linalg.inv(tf.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return wrap(ls.INVERSE.of(matrices("linalg.inv", A, True), True)[0])


def inv_ex(A: Tensor, *, check_errors: bool = False) -> InverseInfo:
    """`inv`, and `info` in place of an error: 1 where a matrix is singular."""
    y, info = ls.INVERSE.of(matrices("linalg.inv_ex", A, True), check_errors)
    return InverseInfo(wrap(y), info_of(info))


def _is_vector(a: Node, b: Node) -> bool:
    """Whether B is a batch of vectors rather than of matrices, as PyTorch tells them apart."""
    return len(b.shape) == 1 or (len(a.shape) - 1 == len(b.shape) and b.shape == a.shape[:-1])


def _solved(name: str, A: Tensor, B: Tensor, left: bool, check: bool) -> Tensor:
    a, b = matrices(name, A, True), B._node()
    is_vector = left and _is_vector(a, b)
    if is_vector:
        b = mx.column(b)
    if not left:
        a, b = mx.adjoint(a), mx.adjoint(b)
    a, b = broadcast_batches(name, a, b)
    x = make_node(ls.SOLVE, (a, b), (check,))
    if not left:
        x = mx.adjoint(x)
    return wrap(mv.reshape(x, x.shape[:-1]) if is_vector else x)


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with A X = B (or X A = B, unless `left`); A (*B, n, n), B (*B, n, k) or (*B, n).
    LinAlgError if A is singular."""
    return _solved("linalg.solve", A, B, left, True)


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> SolveInfo:
    """`solve`, and `info` in place of an error: 1 where A is singular."""
    x = _solved("linalg.solve_ex", A, B, left, check_errors)
    return SolveInfo(x, info_of(ls.INVERSE.of(A.detach()._node(), False)[1]))


def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """X with A X = B (or X A = B) for triangular A, whose other triangle is not read; with
    `unitriangular` its diagonal counts as ones."""
    a, b = matrices("linalg.solve_triangular", A, True), matrices("linalg.solve_triangular", B)
    if unitriangular:
        strict = mx.triu(a, 1) if upper else mx.tril(a, -1)
        a = ew.add(strict, mx.identity_like(a))
    if not left:
        a, b, upper = mx.adjoint(a), mx.adjoint(b), not upper
    a, b = broadcast_batches("linalg.solve_triangular", a, b)
    x = ls.solve_triangular(a, b, upper)
    return wrap(x if left else mx.adjoint(x))


def det(A: Tensor) -> Tensor:
    """The determinant of A (*B, n, n); its second gradient is that of regular matrices."""
    return wrap(make_node(ls.DET, (matrices("linalg.det", A, True),)))


def slogdet(A: Tensor) -> SignLog:
    """The sign (or phase) of det A, and log |det A|: no overflow."""
    sign, logarithm = ls.SLOGDET.of(matrices("linalg.slogdet", A, True))
    return SignLog(wrap(sign), wrap(real(logarithm)))


def logdet(A: Tensor) -> Tensor:
    """log det A; NaN for a negative one."""
    sign, logarithm = slogdet(A)
    return sign.log() + logarithm


def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X with A X = B, given L with A = L L^H (or U with A = U^H U, if `upper`)."""
    b, factor = matrices("cholesky_solve", B), matrices("cholesky_solve", L, True)
    b, factor = broadcast_batches("cholesky_solve", b, factor)
    return wrap(make_node(ls.CHOLESKY_SOLVE, (b, factor), (bool(upper),)))


def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """A^-1, given L with A = L L^H (or U with A = U^H U, if `upper`)."""
    x = matrices("cholesky_inverse", L, True)
    return cholesky_solve(wrap(broadcast_to(mx.identity_like(x), x.shape)), L, upper)


def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
) -> Tensor:
    """X with A X = B (or X A = B), of A by `lu_factor`, or of its adjoint."""
    p, lower, upper = (x._node() for x in lu_unpack(LU, pivots))
    b = B._node() if left else mx.adjoint(B._node())
    adjoint = adjoint is left
    p, lower, upper, b = broadcast_batches("linalg.lu_solve", p, lower, upper, b)
    if not adjoint:
        y = ls.solve_triangular(lower, mx.mm(mx.adjoint(p), b), False)
        x = ls.solve_triangular(upper, y, True)
    else:
        y = ls.solve_triangular(mx.adjoint(upper), b, False)
        x = mx.mm(p, ls.solve_triangular(mx.adjoint(lower), y, True))
    return wrap(x if left else mx.adjoint(x))


def _tolerance(A: Tensor, atol: Any, rtol: Any, largest: Tensor) -> Tensor:
    """max(atol, rtol * the largest singular value), by default with max(n, m) eps for rtol."""
    if rtol is None:
        given = atol is not None and not (isinstance(atol, Tensor) and atol.dim())
        if given and (atol.item() if isinstance(atol, Tensor) else atol) > 0:
            rtol = 0.0
        else:
            rtol = max(A.shape[-2:]) * _EPS[largest.dtype]
    relative = largest * _column(rtol)
    floor = wrap(ew.const_like(relative._node(), 0.0)) if atol is None else _column(atol)
    return (relative * 0 + floor).maximum(relative)


def _column(x: Any) -> Any:
    return x.unsqueeze(-1) if isinstance(x, Tensor) else x


_EPS = {dtypes.float32: 2.0**-23, dtypes.float64: 2.0**-52}


def singular_values(A: Tensor, hermitian: bool) -> Tensor:
    """Descending (of Hermitian matrices: the sizes of the eigenvalues, in no order)."""
    if hermitian:
        return wrap(real(dc.EIGH.of(A._node(), "L")[0])).abs()
    return wrap(real(dc.SVD.of(A._node(), False)[1]))


def matrix_rank(
    A: Tensor, tol: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Tensor:
    """How many singular values are above max(atol, rtol * the largest); int64."""
    matrices("linalg.matrix_rank", A, hermitian)
    A = A.detach()
    if not min(A.shape[-2:]):
        return A.new_zeros(A.shape[:-2], dtype=dtypes.int64)
    s = singular_values(A, hermitian)
    if tol is not None:
        atol, rtol = tol, 0.0
    largest = s.amax(-1, keepdim=True)
    return (s > _tolerance(A, atol, rtol, largest)).sum(-1)


def pinv(
    A: Tensor, rcond: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Tensor:
    """The pseudo-inverse of A (*B, n, m): (*B, m, n). Singular values up to max(atol, rtol * the
    largest) count as 0. The gradient is that at constant rank."""
    matrices("linalg.pinv", A, hermitian)
    rtol = rcond if rtol is None else rtol
    if not A.numel():
        return A.mH.clone()
    plain = A.detach()
    if hermitian:
        whole = _hermitian(plain)
        A = A + (whole - plain)  # the gradient is that of all of A, as PyTorch's of Hermitian A
        plain = whole
    largest = singular_values(plain, False).amax(-1, keepdim=True)
    tolerance = _tolerance(plain, atol, rtol, largest)
    return wrap(make_node(mf.PSEUDO_INVERSE, (A._node(), tolerance._node())))


def _hermitian(A: Tensor) -> Tensor:
    """The Hermitian matrices of which A holds the lower triangles."""
    node = A._node()
    strict = mx.tril(node, -1)
    middle = mx.diagonal_matrix(ew.cast(real(mx.diagonal(node)), node.dtype))
    return wrap(ew.add(ew.add(strict, mx.adjoint(strict)), middle))


def lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None
) -> LeastSquares:
    """The X of least |A X - B|, of least norm where several are. A (*B, n, m), B (*B, n, k) or
    (*B, n)."""
    a, b = matrices("linalg.lstsq", A), B._node()
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    driver = "gelsy" if driver is None else driver
    is_vector = _is_vector(a, b)
    right = B.unsqueeze(-1) if is_vector else B
    if right.shape[-2] != a.shape[-2]:
        raise RuntimeError(
            "torch.linalg.lstsq: input.size(-2) should match other.size(-2); got "
            f"{tuple(a.shape)} and {tuple(b.shape)}"
        )
    n, m = a.shape[-2:]
    rtol = max(n, m) * _EPS[a.dtype.to_real()] if rcond is None else rcond
    x = pinv(A, rtol=rtol) @ right
    rank = A.new_empty(0, dtype=dtypes.int64)
    if driver != "gels":
        rank = matrix_rank(A, rtol=rtol)
    values = A.new_empty(0, dtype=a.dtype.to_real())
    residuals = (A.abs() if A.is_complex() else A).reshape(-1)[:0]
    if n > m and driver != "gelsy" and (driver == "gels" or bool((rank == m).all())):
        residuals = (A @ x - right).abs().square().sum(-2)
    if driver in ("gelsd", "gelss"):
        values = singular_values(A.detach(), False)
    return LeastSquares(x.squeeze(-1) if is_vector else x, residuals, rank, values)


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a map between tensors: its first `ind` axes are what it gives."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', got {ind}")
    first, last = A.shape[:ind], A.shape[ind:]
    if math.prod(first) != math.prod(last):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {math.prod(last)} != {math.prod(first)}"
        )
    return inv(A.reshape(math.prod(first), -1)).reshape(*last, *first)


def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """X with tensordot(A, X, X.dim()) = B; `dims` are moved to the end of A first."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.dim() - len(dims), A.dim())))
    shape = A.shape[B.dim() :]
    if math.prod(shape) != B.numel():
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {math.prod(shape)} != {B.numel()}"
        )
    return solve(A.reshape(B.numel(), -1), B.reshape(-1)).reshape(shape)

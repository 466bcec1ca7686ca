"""Decompositions of matrices, by NumPy's LAPACK: Cholesky, QR, SVD, eigenvalues, LU.

Gradients are in PyTorch's convention (see `ops/complex.py`) and are graph, so that further ones
follow; they are those of M. Giles, "An extended collection of matrix derivative results" (2008),
and of F. Walter and L. Lehmann (QR, 2018), for complex matrices. Where values coincide that a
gradient divides by the difference of, that share of it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import matrices as mx
from . import movement as mv
from .base import no_gradient, register
from .call import Call, Shape
from .complex import complex_, conj, imag, real
from .linear_systems import solve, solve_triangular
from .matrices import adjoint, column, mm, row
from .packed import Packed, batch_element, each


class Cholesky(Packed):
    """L (lower, of positive diagonal) with A = L L^H for A Hermitian and positive definite, read
    from its lower triangle, and `info`: 0, or the order of the leading minor that is not positive.
    With `check`, LinAlgError instead. A: (*B, n, n); packed (n, n) and ()."""

    name = "cholesky"
    params = ("check",)
    square = True

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        return [shape, ()]

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        a = arrays[0]
        info = np.zeros(a.shape[:-2])
        try:
            return np.linalg.cholesky(a), info
        except np.linalg.LinAlgError:
            found, flat = np.zeros_like(each(a)), info.reshape(-1)
            for k, matrix in enumerate(each(a)):
                found[k], flat[k] = _cholesky(matrix)
                if flat[k] and attrs[0]:
                    raise np.linalg.LinAlgError(_NOT_POSITIVE.format(
                        where=batch_element(a, k), order=int(flat[k]))) from None  # fmt: skip
            return found.reshape(a.shape), info

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """L^-H P(L^H g) L^-1, where P halves the diagonal of the lower triangle; its Hermitian
        part."""
        lower, g = self.known(node, node)[0], self.known(node, g)[0]
        inner = mx.tril(mm(adjoint(lower), g))
        inner = ew.sub(inner, mx.half(mx.diagonal_matrix(mx.diagonal(inner))))
        left = solve_triangular(adjoint(lower), inner, True)
        whole = adjoint(solve_triangular(adjoint(lower), adjoint(left), True))
        return (mx.half(ew.add(whole, adjoint(whole))),)


_NOT_POSITIVE = (
    "linalg.cholesky: {where}The factorization could not be completed because the input is not "
    "positive-definite (the leading minor of order {order} is not positive-definite)."
)


def _cholesky(a: np.ndarray) -> tuple[np.ndarray, int]:
    """As far as it goes, and the order of the first leading minor that is not positive."""
    lower = np.tril(a)
    for k in range(len(a)):
        pivot = lower[k, k].real - np.vdot(lower[k, :k], lower[k, :k]).real
        if not pivot > 0:
            return lower, k + 1
        lower[k, k] = np.sqrt(pivot)
        rest = lower[k + 1 :, k] - lower[k + 1 :, :k] @ lower[k, :k].conj()
        lower[k + 1 :, k] = rest / lower[k, k]
    return lower, 0


class Qr(Packed):
    """Q, R with A = Q R, Q^H Q = 1, R upper triangular. A: (*B, n, m), k = min(n, m); mode
    "reduced": packed (n, k) and (k, m); "complete": (n, n) and (n, m)."""

    name = "qr"
    params = ("mode",)

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        n, m = shape
        k = n if attrs[0] == "complete" else min(n, m)
        return [(n, k), (k, m)]

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        return np.linalg.qr(arrays[0], attrs[0])

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """(gQ + Q H(R gR^H - gQ^H Q)) R^-H, where H makes a lower triangle Hermitian. Of a wide A =
        (X, Y), R = (U, V): that of X = Q U with gQ + Y gV^H, and Q gV."""
        a = node.inputs[0]
        n, m = a.shape[-2:]
        q, r = self.known(node, node)
        gq, gr = self.known(node, g)
        if q.shape[-1] > min(n, m):
            raise RuntimeError(
                "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
            )
        if m <= n:
            return (_square_qr(q, r, gq, gr),)
        gv = mx.part(gr, n, m - n, n)
        of_q = ew.add(gq, mm(mx.part(a, n, m - n, n), adjoint(gv)))
        of_x = _square_qr(q, mx.part(r, n, n), of_q, mx.part(gr, n, n))
        return (mv.concatenate([of_x, mm(q, gv)], len(a.shape) - 1),)


def _square_qr(q: Node, r: Node, gq: Node, gr: Node) -> Node:
    lower = mx.tril(ew.sub(mm(r, adjoint(gr)), mm(adjoint(gq), q)))
    strict = mx.tril(lower, -1)
    middle = ew.cast(real(mx.diagonal(lower)), lower.dtype)
    hermitian = ew.add(ew.add(strict, adjoint(strict)), mx.diagonal_matrix(middle))
    whole = ew.add(gq, mm(q, hermitian))
    return adjoint(solve_triangular(r, adjoint(whole), True))


def _gaps(values: Node) -> Node:
    """1 / (v_j - v_i) at (i, j); 0 where they are equal."""
    gap = ew.sub(row(values), column(values))
    zero = ew.const_like(gap, 0)
    none = ew.eq(gap, zero)
    return ew.where(none, zero, ew.div(ew.const_like(gap, 1), ew.where(none, _one(gap), gap)))


def _one(x: Node) -> Node:
    return ew.const_like(x, 1)


def scaled(x: Node, v: Node) -> Node:
    """x with its columns (or, given a column, its rows) times real v."""
    return ew.mul(x, ew.cast(v, x.dtype))


class Eigh(Packed):
    """w, V with A V = V diag(w) for Hermitian A, read from the triangle `uplo`: w real, ascending,
    V^H V = 1. A: (*B, n, n); packed (n,) and (n, n)."""

    name = "eigh"
    params = ("uplo",)
    square = True

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        return [shape[:1], shape]

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        return np.linalg.eigh(arrays[0], attrs[0])

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """V (diag(gw) + S / (w_j - w_i)) V^H, S the half of V^H gV - gV^H V."""
        w, v = self.known(node, node)
        gw, gv = self.known(node, g)
        turned = mm(adjoint(v), gv)
        inner = scaled(mx.half(ew.sub(turned, adjoint(turned))), _gaps(real(w)))
        inner = ew.add(inner, mx.diagonal_matrix(ew.cast(real(gw), v.dtype)))
        return (mm(v, mm(inner, adjoint(v))),)


class Eig(Packed):
    """w, V with A V = V diag(w): complex, columns of V of norm 1. A: (*B, n, n); packed (n,) and
    (n, n)."""

    name = "eig"
    square = True

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        return [shape[:1], shape]

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        packed_type = super().infer(types, attrs)
        return packed_type.with_dtype(packed_type.dtype.to_complex())

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        return np.linalg.eig(arrays[0])

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """V^-H (diag(gw) + (V^H gV - V^H V diag(Re(V^H gV))) / conj(w_j - w_i)) V^H."""
        w, v = self.known(node, node)
        gw, gv = self.known(node, g)
        h = adjoint(v)
        inner = mm(h, gv)
        inner = ew.sub(inner, scaled(mm(h, v), row(real(mx.diagonal(inner)))))
        inner = ew.add(ew.mul(inner, conj(_gaps(w))), mx.diagonal_matrix(gw))
        whole = solve(h, mm(inner, h))
        return (whole if node.inputs[0].dtype.is_complex else real(whole),)


class Svd(Packed):
    """U, s, V^H: A = U diag(s) V^H, s real and descending, U^H U = V^H V = 1. A: (*B, n, m), k =
    min(n, m); packed (n, k), (k,), (k, m), or with `full` (n, n), (k,), (m, m)."""

    name = "svd"
    params = ("full",)

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        n, m = shape
        k = min(n, m)
        return [(n, n), (k,), (m, m)] if attrs[0] else [(n, k), (k,), (k, m)]

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        return np.linalg.svd(arrays[0], attrs[0])

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """U (E (skew(U^H gU) s_j + s_i skew(V^H gV)) + diag(gs)) V^H with E = 1 / (s_j^2 - s_i^2),
        and the parts outside of the spans of U and V. A complex U is free up to phases, for which
        its diagonal has i Im(U^H gU) / s."""
        n, m = node.inputs[0].shape[-2:]
        k = min(n, m)
        (u, s, h), (gu, gs, gh) = self.known(node, node), self.known(node, g)
        u, gu, h, gh = mx.part(u, n, k), mx.part(gu, n, k), mx.part(h, k, m), mx.part(gh, k, m)
        s, gs = real(s), real(gs)
        gaps = _gaps(ew.mul(s, s))
        over = ew.div(_one(s), ew.where(ew.eq(s, ew.const_like(s, 0)), _one(s), s))
        ug, vg = mm(adjoint(u), gu), mm(h, adjoint(gh))
        inner = scaled(scaled(ew.sub(ug, adjoint(ug)), gaps), row(s))
        inner = ew.add(inner, scaled(scaled(ew.sub(vg, adjoint(vg)), gaps), column(s)))
        middle = ew.cast(gs, u.dtype)
        if u.dtype.is_complex:
            phase = ew.mul(imag(mx.diagonal(ug)), over)
            middle = complex_(gs, phase)
        inner = ew.add(inner, mx.diagonal_matrix(middle))
        whole = mm(u, mm(inner, h))
        if n > k:
            outside = scaled(ew.sub(gu, mm(u, ug)), row(over))
            whole = ew.add(whole, mm(outside, h))
        if m > k:
            outside = scaled(ew.sub(gh, mm(adjoint(vg), h)), column(over))
            whole = ew.add(whole, mm(u, outside))
        return (whole,)


class Lu(Packed):
    """L below the diagonal, U on and above it, and the rows (from 1, as LAPACK has them) exchanged
    with each of the first k: P A = L U by partial pivoting; `info` is 0, or the place of the first
    zero pivot. A: (*B, n, m), k = min(n, m); packed (n, m), (k,), ()."""

    name = "lu"

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        return [shape, (min(shape),), ()]

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        a = np.array(each(arrays[0]))
        b, n, m = a.shape
        k = min(n, m)
        pivots, info, batch = np.zeros((b, k), int), np.zeros(b, int), np.arange(b)
        for j in range(k):
            at = j + np.argmax(np.abs(a[:, j:, j].real) + np.abs(a[:, j:, j].imag), axis=1)
            pivots[:, j] = at + 1
            top = a[:, j].copy()
            a[:, j], a[batch, at] = a[batch, at], top
            pivot = a[:, j, j].copy()
            zero = pivot == 0
            info = np.where(zero & (info == 0), j + 1, info)
            a[:, j + 1 :, j] /= np.where(zero, 1, pivot)[:, None]
            a[:, j + 1 :, j + 1 :] -= a[:, j + 1 :, j, None] * a[:, None, j, j + 1 :]
        lead = arrays[0].shape[:-2]
        return a.reshape(arrays[0].shape), pivots.reshape(*lead, k), info.reshape(lead)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """P^T L^-H (tril(L^H gL, -1) + triu(gU U^H)) U^-H for square matrices; of others, the
        square part, and what the rest adds to it."""
        a = node.inputs[0]
        n, m = a.shape[-2:]
        k = min(n, m)
        (y, pivots, _), (gy, _, _) = self.known(node, node), self.known(node, g)
        square = mx.part(y, k, k)
        gs = mx.part(gy, k, k)
        lower = ew.add(mx.tril(square, -1), mx.identity_like(square))
        upper = mx.triu(square)
        inner_l, inner_u = mm(adjoint(lower), mx.tril(gs, -1)), mm(mx.triu(gs), adjoint(upper))
        rest: Node | None = None
        if m > k:
            g2, u2 = mx.part(gy, k, m - k, k), mx.part(y, k, m - k, k)
            inner_l = ew.sub(inner_l, mm(g2, adjoint(u2)))
            rest = solve_triangular(adjoint(lower), g2, True)
        if n > k:
            below = [mx.part(v, n - k, k, first_row=k) for v in (y, gy)]
            inner_u = ew.sub(inner_u, mm(adjoint(below[0]), below[1]))
            rest = _right_solve(below[1], upper)
        inner = ew.add(mx.tril(inner_l, -1), mx.triu(inner_u))
        whole = _right_solve(solve_triangular(adjoint(lower), inner, True), upper)
        if rest is not None:
            whole = mv.concatenate([whole, rest], len(a.shape) - (1 if m > k else 2))
        return (mm(permutation(real(pivots), n, whole), whole),)


def _right_solve(x: Node, upper: Node) -> Node:
    """x U^-H."""
    return adjoint(solve_triangular(upper, adjoint(x), True))


class Permutation(Call):
    """P (*B, n, n) with A = P L U, from the exchanged rows (*B, k) that `lu` gives, as dtype."""

    name = "permutation"
    params = ("n", "dtype")
    differentiable = False
    gradient = no_gradient

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        n, dtype = attrs
        return Type((*types[0].shape[:-1], n, n), dtype, types[0].device)

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        n = attrs[0]
        *lead, k = arrays[0].shape
        rows = arrays[0].reshape(prod(lead), k).real.astype(int) - 1
        y = np.zeros((len(rows), n, n), out.dtype.storage)
        for matrix, pivots in zip(y, rows):
            order = np.arange(n)
            for j, at in enumerate(pivots):
                order[[j, at]] = order[[at, j]]
            matrix[order, np.arange(n)] = 1
        return y.reshape(out.shape)


CHOLESKY, QR, EIGH, EIG, SVD, LU = (op() for op in (Cholesky, Qr, Eigh, Eig, Svd, Lu))
PERMUTATION = Permutation()
for _op in (CHOLESKY, QR, EIGH, EIG, SVD, LU, PERMUTATION):
    register(_op)


def permutation(pivots: Node, n: int, like: Node) -> Node:
    """The matrix that exchanges rows as `pivots` say, of like's dtype."""
    return make_node(PERMUTATION, (pivots,), (n, like.dtype))

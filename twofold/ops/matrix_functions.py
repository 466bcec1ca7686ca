"""Functions of whole matrices by NumPy: the pseudo-inverse, the exponential, reflections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import matrices as mx
from . import movement as mv
from .base import no_gradient, register
from .call import Call, Shape
from .custom import replace
from .matrices import adjoint, mm
from .packed import Packed


class PseudoInverse(Call):
    """P = V diag(1 / s) U^H over the singular values of A above a tolerance. A: (*B, n, m),
    tolerance: (*B, 1), P: (*B, m, n).

    Gradient, at constant rank (Golub and Pereyra, 1973), by dP = -P dA P + P P^H dA^H (1 - A P) +
    (1 - P A) dA^H P^H P.
    """

    name = "pinv"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        a = types[0]
        mx.require_matrices("linalg.pinv", a)
        return a.with_shape((*a.shape[:-2], a.shape[-1], a.shape[-2]))

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        a, tolerance = arrays
        u, s, h = np.linalg.svd(a, False)
        over = np.where(s > tolerance, 1 / s, 0)
        left = np.conj(np.swapaxes(h, -1, -2)) * over[..., None, :]
        return left @ np.conj(np.swapaxes(u, -1, -2))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        a, p = node.inputs[0], node
        h, back = adjoint(p), adjoint(g)
        inner = mm(back, mm(p, h))
        outer = mm(h, mm(p, back))
        total = ew.sub(inner, mm(a, mm(p, inner)))
        total = ew.add(total, ew.sub(outer, mm(mm(outer, p), a)))
        return ew.sub(total, mm(h, mm(g, h))), None


_PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
    10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
"""Coefficients of the approximant of degree 13 (N. Higham, "The scaling and squaring method for the
matrix exponential revisited", 2005), good up to a norm of `_RADIUS`."""

_RADIUS = 5.371920351148152


class MatrixExp(Call):
    """y = e^A. A, y: (*B, n, n).

    Gradient: the upper right block of e^[[A^H, g], [0, A^H]] (R. Mathias, 1996).
    """

    name = "matrix_exp"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        mx.require_matrices("linalg.matrix_exp", types[0], True)
        return types[0]

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        a = arrays[0].astype(out.dtype.widest)
        if not a.size:
            return a
        norms = np.abs(a).sum(-2).max(-1)
        finite = np.isfinite(norms)
        ratio = np.where(finite & (norms > _RADIUS), norms / _RADIUS, 1)
        squarings = np.ceil(np.log2(ratio)).astype(int)
        a = a / np.exp2(squarings)[..., None, None]
        eye = np.eye(a.shape[-1])
        x2 = a @ a
        x4 = x2 @ x2
        x6 = x4 @ x2
        c = _PADE
        odd = x6 @ (c[13] * x6 + c[11] * x4 + c[9] * x2) + c[7] * x6 + c[5] * x4 + c[3] * x2
        odd = a @ (odd + c[1] * eye)
        even = x6 @ (c[12] * x6 + c[10] * x4 + c[8] * x2) + c[6] * x6 + c[4] * x4 + c[2] * x2
        even = even + c[0] * eye
        y = np.full_like(a, np.nan)
        y[finite] = np.linalg.solve((even - odd)[finite], (even + odd)[finite])
        for k in range(int(squarings.max(initial=0))):
            more = squarings > k
            y[more] = y[more] @ y[more]
        return y

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        h = adjoint(node.inputs[0])
        n, rank = h.shape[-1], len(h.shape)
        below = mv.expand(ew.const_like(h, 0), h.shape)
        rows = [mv.concatenate(pair, rank - 1) for pair in ([h, g], [below, h])]
        whole = make_node(self, (mv.concatenate(rows, rank - 2),))
        return (mx.part(whole, n, n, n),)


class Geqrf(Packed):
    """The reflections of QR as LAPACK has them: vectors below the diagonal, R on and above it, and
    their scales. A: (*B, n, m), k = min(n, m); packed (n, m) and (k,)."""

    name = "geqrf"
    differentiable = False
    gradient = no_gradient

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        return [shape, (min(shape),)]

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        a = arrays[0]
        h, tau = np.linalg.qr(a, "raw")
        return np.swapaxes(h, -1, -2), tau


PSEUDO_INVERSE, MATRIX_EXP, GEQRF = PseudoInverse(), MatrixExp(), Geqrf()
for _op in (PSEUDO_INVERSE, MATRIX_EXP, GEQRF):
    register(_op)


def householder_product(a: Node, tau: Node) -> Node:
    """The first m columns of H_1 H_2 ... H_k with H_i = 1 - tau_i v_i v_i^H, v_i the i-th column of
    a below its unit diagonal. a: (*B, n, m), tau: (*B, k)."""
    n = a.shape[-2]
    lower = ew.add(mx.tril(a, -1), mx.identity_like(a))
    # Without reflections the gradients are 0, not absent.
    q = replace(ew.mul(a, ew.const_like(a, 0)), mv.expand(mx.identity_like(a), a.shape))
    batch = tuple((0, b, 1) for b in a.shape[:-2])
    for i in reversed(range(tau.shape[-1])):
        v = mv.slice_(lower, (*batch, (0, n, 1), (i, 1, 1)))
        scale = mx.column(mv.slice_(tau, (*batch, (i, 1, 1))))
        q = ew.sub(q, ew.mul(scale, mm(v, mm(adjoint(v), q))))
    return q

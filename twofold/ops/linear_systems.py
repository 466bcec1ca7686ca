"""Systems of linear equations, inverses and determinants, by NumPy's LAPACK."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import matrices as mx
from .base import register
from .call import Call, Shape
from .complex import complex_, conj, imag, real
from .matrices import adjoint, column, mm
from .packed import Packed, batch_element, each
from .reduce import sum_ as reduce_sum


class Solve(Call):
    """X with A X = B. A: (*B, n, n), B and X: (*B, n, k). With `check`, LinAlgError for singular A;
    else inf."""

    name = "solve"
    params = ("check",)

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        a, b = types
        mx.require_matrices("linalg.solve", a, True)
        if a.dtype is not b.dtype:
            raise RuntimeError(
                f"linalg.solve: Expected A and B to have the same dtype; got {a.dtype} and "
                f"{b.dtype}"
            )
        if a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
            raise RuntimeError(
                f"linalg.solve: Incompatible shapes of A and B for the equation AX = B "
                f"({a.shape[-2]}x{a.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})"
            )
        return b

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        try:
            return np.linalg.solve(*arrays)
        except np.linalg.LinAlgError:
            if attrs[0]:
                raise np.linalg.LinAlgError(_SINGULAR.format(
                    name="linalg.solve", where=_first_singular(arrays[0]),
                    what="The solver failed because the input matrix is singular",
                )) from None  # fmt: skip
            y = np.full(out.shape, np.inf, out.dtype.storage)
            for k, (a, b) in enumerate(zip(each(arrays[0]), each(arrays[1]))):
                if not is_singular(a):
                    each(y)[k] = np.linalg.solve(a, b)
            return y

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        a = node.inputs[0]
        of_b = solve(adjoint(a), g)
        return ew.neg(mm(of_b, adjoint(node))) if a.requires_grad else None, of_b


_SINGULAR = "{name}: {where}{what}."


def is_singular(a: np.ndarray) -> bool:
    """Whether elimination meets a pivot of 0."""
    try:
        np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return True
    return False


def _first_singular(a: np.ndarray) -> str:
    return batch_element(a, next(k for k, x in enumerate(each(a)) if is_singular(x)))


class Inverse(Packed):
    """A^-1, and `info`: 0, or 1 where A is singular (then inf). With `check`, LinAlgError instead.
    A: (*B, n, n); packed (n, n) and ()."""

    name = "inv"
    params = ("check",)
    square = True

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        return [shape, ()]

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        a = arrays[0]
        info = np.zeros(a.shape[:-2])
        try:
            return np.linalg.inv(a), info
        except np.linalg.LinAlgError:
            if attrs[0]:
                raise np.linalg.LinAlgError(_SINGULAR.format(
                    name="linalg.inv", where=_first_singular(a),
                    what="The diagonal element is zero, the inversion could not be completed "
                    "because the input matrix is singular",
                )) from None  # fmt: skip
            y = np.full(a.shape, np.inf, a.dtype)
            for k, matrix in enumerate(each(a)):
                if is_singular(matrix):
                    info.reshape(-1)[k] = 1
                else:
                    each(y)[k] = np.linalg.inv(matrix)
            return y, info

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        h = adjoint(self.known(node, node)[0])
        return (ew.neg(mm(h, mm(self.known(node, g)[0], h))),)


class SolveTriangular(Call):
    """X with A X = B by substitution, A triangular: upper or lower. A: (*B, n, n), B and X: (*B, n,
    k). The other triangle of A is not read."""

    name = "solve_triangular"
    params = ("upper",)

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        return SOLVE.infer(types, (False,))

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        a, x = arrays[0], np.array(arrays[1])
        n = a.shape[-1]
        for i in reversed(range(n)) if attrs[0] else range(n):
            known = slice(i + 1, n) if attrs[0] else slice(0, i)
            if known.start < known.stop:
                x[..., i, :] -= (a[..., None, i, known] @ x[..., known, :])[..., 0, :]
            x[..., i, :] /= a[..., i, i, None]
        return x

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        a, upper = node.inputs[0], node.attrs[0]
        of_b = solve_triangular(adjoint(a), g, not upper)
        of_a = ew.neg(mm(of_b, adjoint(node)))
        return (mx.triu if upper else mx.tril)(of_a), of_b


class SlogDet(Packed):
    """The sign (or phase) of det A, and log |det A|. A: (*B, n, n); packed () and ()."""

    name = "slogdet"
    square = True

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        return [(), ()]

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        return np.linalg.slogdet(arrays[0])

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """d log det A = tr(A^-1 dA): its real part is that of the logarithm, its imaginary part
        that of the phase."""
        sign, _ = self.known(node, node)
        g_sign, g_log = self.known(node, g)
        weight = ew.cast(real(g_log), node.dtype)
        if node.dtype.is_complex:
            weight = complex_(real(g_log), imag(ew.mul(conj(sign), g_sign)))
        return (ew.mul(column(column(weight)), adjoint(inverse(node.inputs[0]))),)


class Adjugate(Call):
    """P with A P = P A = det(A) 1, by singular values, so of singular A too. A, P: (*B, n, n).

    Gradient, of regular A alone, by dP = tr(P dA) A^-1 - A^-1 dA P.
    """

    name = "adjugate"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        mx.require_matrices("linalg.det", types[0], True)
        return types[0]

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        a = arrays[0]
        y = np.full_like(a, np.nan)
        finite = np.isfinite(a).all((-2, -1))
        u, s, h = np.linalg.svd(a[finite])
        n = a.shape[-1]
        # Products of all singular values but one, without division.
        others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
        phase = np.linalg.det(u) * np.linalg.det(h)
        v = np.conj(np.swapaxes(h, -1, -2)) * (phase[..., None] * others)[..., None, :]
        y[finite] = v @ np.conj(np.swapaxes(u, -1, -2))
        return y

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """tr(A^-H g) P^H - A^-H g P^H."""
        back = mm(adjoint(inverse(node.inputs[0])), g)
        traces = reduce_sum(mx.diagonal(back), (len(g.shape) - 2,))
        h = adjoint(node)
        return (ew.sub(ew.mul(column(column(traces)), h), mm(back, h)),)


class Det(Call):
    """y = det A. A: (*B, n, n), y (*B). Gradient: that of A is P^H g, P the adjugate."""

    name = "det"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        mx.require_matrices("linalg.det", types[0], True)
        return types[0].with_shape(types[0].shape[:-2])

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        return np.linalg.det(arrays[0])

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        adjugate = make_node(ADJUGATE, (node.inputs[0],))
        return (ew.mul(column(column(g)), adjoint(adjugate)),)


class CholeskySolve(Call):
    """X with L L^H X = B (with `upper`, of U, U^H U X = B), the other triangle not read. B and X:
    (*B, n, k), L: (*B, n, n). The gradient is that of whole L, as PyTorch's."""

    name = "cholesky_solve"
    params = ("upper",)

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        return SOLVE.infer(types[::-1], (False,))

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        b, factor = arrays
        h = np.conj(np.swapaxes(factor, -1, -2))
        lower, upper = (h, factor) if attrs[0] else (factor, h)
        y = SOLVE_TRIANGULAR.compute((lower, b), (False,), out)
        return SOLVE_TRIANGULAR.compute((upper, y), (True,), out)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """With g' = A^-1 g that of B, -(g' X^H + X g'^H) L, or -U (g' X^H + X g'^H)."""
        factor = node.inputs[1]
        of_b = make_node(self, (g, factor), node.attrs)
        outer = mm(of_b, adjoint(node))
        both = ew.neg(ew.add(outer, adjoint(outer)))
        return of_b, mm(factor, both) if node.attrs[0] else mm(both, factor)


SOLVE, INVERSE, SOLVE_TRIANGULAR = Solve(), Inverse(), SolveTriangular()
SLOGDET, DET, ADJUGATE, CHOLESKY_SOLVE = SlogDet(), Det(), Adjugate(), CholeskySolve()
for _op in (SOLVE, INVERSE, SOLVE_TRIANGULAR, SLOGDET, DET, ADJUGATE, CHOLESKY_SOLVE):
    register(_op)


def solve(a: Node, b: Node) -> Node:
    """X with a X = b; inf where a is singular."""
    return make_node(SOLVE, (a, b), (False,))


def solve_triangular(a: Node, b: Node, upper: bool) -> Node:
    """X with a X = b, of a triangular a."""
    return make_node(SOLVE_TRIANGULAR, (a, b), (upper,))


def inverse(a: Node) -> Node:
    """a^-1; inf where a is singular."""
    return INVERSE.of(a, False)[0]

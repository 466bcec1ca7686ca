"""Symmetric indefinite matrices: L D L^T with pivots (J. Bunch, L. Kaufman, 1977), and systems.

D has blocks of one or two rows. The layout is LAPACK's for lower triangles: the blocks' entries
and, below them, the columns of L in one matrix; pivots count from 1, negative in both places of a
block of two. NumPy has no such function, so the elimination is done here, a matrix at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from .base import no_gradient, register
from .call import Call, Shape
from .complex import conj
from .packed import Packed, each

_ALPHA = (1 + np.sqrt(17.0)) / 8
"""The bound of growth that says when a block of two rows is taken."""


def _size(x: np.ndarray) -> np.ndarray:
    """|Re x| + |Im x|, as LAPACK compares."""
    return np.abs(x.real) + np.abs(x.imag)


def _row(a: np.ndarray, k: int, i: int) -> float:
    """The largest entry of row i beside the diagonal, of the part from k on."""
    sizes = np.concatenate([_size(a[i, k:i]), _size(a[i + 1 :, i])])
    return float(sizes.max()) if sizes.size else 0.0


def _choose(a: np.ndarray, k: int) -> tuple[int, int]:
    """(the row to exchange, the rows of the block) of the elimination's step k; rows 0: all of the
    column is 0."""
    own = float(_size(a[k, k]))
    below = _size(a[k + 1 :, k])
    largest = float(below.max()) if below.size else 0.0
    if max(own, largest) == 0:
        return k, 0
    if own >= _ALPHA * largest:
        return k, 1
    i = k + 1 + int(below.argmax())
    row = _row(a, k, i)
    if own >= _ALPHA * largest * (largest / row):
        return k, 1
    return i, 1 if float(_size(a[i, i])) >= _ALPHA * row else 2


def _exchange(a: np.ndarray, j: int, p: int, hermitian: bool) -> None:
    """Exchange rows and columns j < p of the part from j on; the lower triangle is held."""
    a[p + 1 :, [j, p]] = a[p + 1 :, [p, j]]
    middle = a[j + 1 : p, j].copy()
    a[j + 1 : p, j] = a[p, j + 1 : p].conj() if hermitian else a[p, j + 1 : p]
    a[p, j + 1 : p] = middle.conj() if hermitian else middle
    a[[j, p], [j, p]] = a[[p, j], [p, j]]
    if hermitian:
        a[p, j] = a[p, j].conj()


def _whole(block: np.ndarray, hermitian: bool) -> np.ndarray:
    """A block of D of which the lower triangle is held."""
    strict = np.tril(block, -1)
    return np.tril(block) + (strict.conj().T if hermitian else strict.T)


def _factor(a: np.ndarray, hermitian: bool) -> tuple[np.ndarray, int]:
    """The factors of one matrix in its place; the pivots, and the first zero block from 1."""
    n, k, info = len(a), 0, 0
    pivots = np.zeros(n, int)
    while k < n:
        if hermitian:
            np.fill_diagonal(a[k:, k:], a[k:, k:].diagonal().real)
        p, rows = _choose(a, k)
        if rows == 0:
            info = info or k + 1
            pivots[k] = k + 1
            k += 1
            continue
        last = k + rows - 1
        if p != last:
            _exchange(a, last, p, hermitian)
            if rows == 2:
                a[[last, p], k] = a[[p, last], k]
        columns = a[k + rows :, k : k + rows].copy()
        block = a[k : k + rows, k : k + rows]
        scaled = np.linalg.solve(_whole(block, hermitian).T, columns.T).T
        across = columns.conj().T if hermitian else columns.T
        a[k + rows :, k + rows :] -= np.tril(scaled @ across)
        a[k + rows :, k : k + rows] = scaled
        pivots[k : k + rows] = p + 1 if rows == 1 else -(p + 1)
        k += rows
    return pivots, info


class Ldl(Packed):
    """L D L^T, or L D L^H if `hermitian`, of A read from its lower triangle; the pivots; `info` is
    0, or the place of the first block of D that is 0. A: (*B, n, n); packed (n, n), (n,), ()."""

    name = "ldl_factor"
    params = ("hermitian",)
    square = True
    differentiable = False
    gradient = no_gradient

    def shapes(self, shape: Shape, attrs: tuple) -> list[Shape]:
        return [shape, (shape[0],), ()]

    def parts(self, arrays: Sequence[np.ndarray], attrs: tuple) -> Sequence[np.ndarray]:
        a = np.tril(each(arrays[0]))
        found = [_factor(x, attrs[0]) for x in a]
        lead, n = arrays[0].shape[:-2], a.shape[-1]
        pivots = np.array([p for p, _ in found], int).reshape(*lead, n)
        return a.reshape(arrays[0].shape), pivots, np.array([i for _, i in found]).reshape(lead)


def _solve_one(ld: np.ndarray, pivots: np.ndarray, b: np.ndarray, hermitian: bool) -> np.ndarray:
    """X with A X = B, of the factors of one matrix."""
    n, k = len(ld), 0
    x = b.copy()
    blocks = []
    while k < n:
        rows = 2 if pivots[k] < 0 else 1
        blocks.append((k, rows))
        at = k + rows - 1
        p = abs(int(pivots[k])) - 1
        x[[at, p]] = x[[p, at]]
        x[k + rows :] -= ld[k + rows :, k : k + rows] @ x[k : k + rows]
        block = _whole(ld[k : k + rows, k : k + rows], hermitian)
        x[k : k + rows] = np.linalg.solve(block, x[k : k + rows])
        k += rows
    for k, rows in reversed(blocks):
        below = ld[k + rows :, k : k + rows]
        x[k : k + rows] -= (below.conj().T if hermitian else below.T) @ x[k + rows :]
        at, p = k + rows - 1, abs(int(pivots[k])) - 1
        x[[at, p]] = x[[p, at]]
    return x


class LdlSolve(Call):
    """X with A X = B, of A's factors by `ldl_factor`. LD: (*B, n, n), pivots: (*B, n) as numbers of
    LD's dtype, B and X: (*B, n, k)."""

    name = "ldl_solve"
    params = ("hermitian",)

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        return types[2]

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        ld, pivots, b = arrays
        y = np.empty(b.shape, b.dtype)
        rows = pivots.real.astype(int).reshape(-1, pivots.shape[-1])
        for k, (factor, exchanged, right) in enumerate(zip(each(ld), rows, each(b))):
            each(y)[k] = _solve_one(factor, exchanged, right, attrs[0])
        return y

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """Of B alone: the solution for g of A^H, which is A if Hermitian, else its conjugate."""
        ld, pivots, _ = node.inputs
        if node.attrs[0]:
            return None, None, make_node(self, (ld, pivots, g), node.attrs)
        return None, None, conj(make_node(self, (ld, pivots, conj(g)), node.attrs))


LDL, LDL_SOLVE = Ldl(), LdlSolve()
for _op in (LDL, LDL_SOLVE):
    register(_op)

"""Factors L D L^T of symmetric matrices that need not be definite, and systems solved with them."""

from __future__ import annotations

from typing import NamedTuple

from numpy.linalg import LinAlgError

from ..graph.node import make as make_node
from ..ops import elementwise as ew
from ..ops import indefinite as ldl
from ..tensor import Tensor, wrap
from .decompositions import info_of, matrices
from .solvers import broadcast_batches


class LdlFactor(NamedTuple):
    """D and, below its blocks, L in one matrix; and the exchanged rows, counted from 1."""

    LD: Tensor
    pivots: Tensor


class LdlFactorInfo(NamedTuple):
    """As `LdlFactor`; and 0, or the place of the first block of D that is 0."""

    LD: Tensor
    pivots: Tensor
    info: Tensor


def ldl_factor_ex(
    A: Tensor, *, hermitian: bool = False, check_errors: bool = False
) -> LdlFactorInfo:
    """`ldl_factor`, and `info`; with `check_errors` LinAlgError where that is not 0."""
    node = matrices("linalg.ldl_factor_ex", A, True)
    factors, pivots, info = ldl.LDL.of(node, bool(hermitian))
    found = LdlFactorInfo(wrap(factors), info_of(pivots), info_of(info))
    if check_errors and bool(found.info.any()):
        raise LinAlgError(
            "torch.linalg.ldl_factor_ex: The diagonal block at "
            f"{int(found.info.max().item())} of the matrix D is zero"
        )
    return found


def ldl_factor(A: Tensor, *, hermitian: bool = False) -> LdlFactor:
    """L D L^T of symmetric A (*B, n, n), or L D L^H of Hermitian A, read from the lower triangle; D
    has blocks of one or two rows, as in LAPACK.

    >>> import twofold as tf
    >>> tf.linalg.ldl_factor(tf.tensor([[2.0, 1.0], [1.0, 3.0]])).LD
    tensor([[2.0000, 0.0000],
            [0.5000, 2.5000]])
    """
    found = ldl_factor_ex(A, hermitian=hermitian)
    return LdlFactor(found.LD, found.pivots)


def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """X with A X = B (*B, n, k), of A by `ldl_factor`. The gradient is B's."""
    a, b = matrices("linalg.ldl_solve", LD, True), matrices("linalg.ldl_solve", B)
    if pivots.dtype.kind not in ("int", "uint"):
        raise RuntimeError(
            "torch.linalg.ldl_solve: Expected pivots to be integers. Got " + str(pivots.dtype)
        )
    rows = ew.cast(pivots.unsqueeze(-1)._node(), a.dtype)
    a, rows, b = broadcast_batches("linalg.ldl_solve", a, rows, b)
    exchanged = wrap(rows).squeeze(-1)._node()
    return wrap(make_node(ldl.LDL_SOLVE, (a, exchanged, b), (bool(hermitian),)))

"""What gradients of matrix functions are made of: adjoints, triangles, diagonals. Matrices are the
last two axes."""

from __future__ import annotations

from ..graph.node import Node
from ..graph.types import Type
from . import contract
from . import elementwise as ew
from . import movement as mv
from . import reduce as rd
from .complex import conj

mm = contract.matmul


def adjoint(x: Node) -> Node:
    """The conjugate of x with its last two axes exchanged."""
    return conj(contract.transpose(x))


def _offset(x: Node) -> Node:
    """column - row of each element, (n, m) int64."""
    n, m = x.shape[-2:]
    rows, columns = mv.reshape(mv.iota(n), (n, 1)), mv.reshape(mv.iota(m), (1, m))
    return ew.sub(columns, rows)


def tril(x: Node, diagonal: int = 0) -> Node:
    """x with zeros above the diagonal."""
    at = _offset(x)
    return ew.where(ew.le(at, ew.const_like(at, diagonal)), x, ew.const_like(x, 0))


def triu(x: Node, diagonal: int = 0) -> Node:
    """x with zeros below the diagonal."""
    at = _offset(x)
    return ew.where(ew.ge(at, ew.const_like(at, diagonal)), x, ew.const_like(x, 0))


def diagonal(x: Node) -> Node:
    """The diagonal (*B, min(n, m)) of x (*B, n, m)."""
    k = min(x.shape[-2:])
    bounds = (*((0, n, 1) for n in x.shape[:-2]), (0, k, 1), (0, k, 1))
    square = mv.slice_(x, bounds)
    at = _offset(square)
    alone = ew.where(ew.eq(at, ew.const_like(at, 0)), square, ew.const_like(x, 0))
    return rd.sum_(alone, (len(x.shape) - 1,))


def diagonal_matrix(v: Node) -> Node:
    """The matrices (*B, n, n) with v (*B, n) on their diagonals."""
    n = v.shape[-1]
    wide = mv.expand(mv.reshape(v, (*v.shape[:-1], n, 1)), (*v.shape[:-1], n, n))
    at = _offset(wide)
    return ew.where(ew.eq(at, ew.const_like(at, 0)), wide, ew.const_like(v, 0))


def identity_like(x: Node) -> Node:
    """The identity (n, m) for x (*B, n, m)."""
    at = _offset(x)
    return ew.cast(ew.eq(at, ew.const_like(at, 0)), x.dtype)


def column(v: Node) -> Node:
    """v (*B, n) as (*B, n, 1)."""
    return mv.reshape(v, (*v.shape, 1))


def row(v: Node) -> Node:
    """v (*B, n) as (*B, 1, n)."""
    return mv.reshape(v, (*v.shape[:-1], 1, v.shape[-1]))


def part(x: Node, rows: int, columns: int, first_column: int = 0, first_row: int = 0) -> Node:
    """As many rows and columns of x, from the first ones named on."""
    batch = ((0, n, 1) for n in x.shape[:-2])
    return mv.slice_(x, (*batch, (first_row, rows, 1), (first_column, columns, 1)))


def half(x: Node) -> Node:
    """x / 2."""
    return ew.mul(x, ew.const_like(x, 0.5))


def require_matrices(name: str, x: Type, square: bool = False) -> None:
    """RuntimeError, in PyTorch's words, unless x is float32, float64 or complex matrices."""
    if len(x.shape) < 2:
        raise RuntimeError(
            f"[{name}] The input tensor A must have at least 2 dimensions; got {x.shape}"
        )
    if square and x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"[{name}] A must be batches of square matrices, but they are {x.shape[-2]} by "
            f"{x.shape[-1]} matrices"
        )
    require_precise(name, x)


def require_precise(name: str, x: Type) -> None:
    """RuntimeError unless x is float32, float64 or complex."""
    if not x.dtype.is_inexact:
        raise RuntimeError(
            f"[{name}] Expected a floating point or complex tensor as input; got {x.dtype}"
        )
    if x.dtype.itemsize < 4:
        raise RuntimeError(
            f"[{name}] Low precision dtypes not supported; got {x.dtype}; try .float()"
        )

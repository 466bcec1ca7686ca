"""Products and powers of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..functions import functions
from ..functions.casting import in_low_precision
from ..graph.node import make as make_node
from ..ops import matrix_functions as mf
from ..tensor import Tensor, wrap
from .decompositions import matrices
from .solvers import inv

matmul = functions["matmul"]


def matrix_power(A: Tensor, n: int) -> Tensor:
    """A multiplied with itself n times; of its inverse for n < 0."""
    matrices("linalg.matrix_power", A, True)
    return functions["matrix_power"](A if n >= 0 else inv(A), abs(n))


def matrix_exp(A: Tensor) -> Tensor:
    """e^A of A (*B, n, n).

    >>> import twofold as tf
    >>> tf.linalg.matrix_exp(tf.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return wrap(make_node(mf.MATRIX_EXP, (matrices("linalg.matrix_exp", A, True),)))


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of several matrices (the first and last may be vectors), in the order that costs
    least."""
    parts = list(tensors)
    if len(parts) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(parts)}")
    for k, x in enumerate(parts):
        if x.dim() != 2 and not (x.dim() == 1 and k in (0, len(parts) - 1)):
            raise RuntimeError(
                f"multi_dot(): tensor {k} must be 2D (the first and last 1D or 2D) but got "
                f"{x.dim()}D"
            )
    first, last = parts[0].dim() == 1, parts[-1].dim() == 1
    parts[0] = parts[0].unsqueeze(0) if first else parts[0]
    parts[-1] = parts[-1].unsqueeze(1) if last else parts[-1]
    y = _best_order(parts)
    y = y.squeeze(1) if last else y
    return y.squeeze(0) if first else y


def _best_order(parts: list[Tensor]) -> Tensor:
    """Multiply where it costs least (S. Godbole, 1973): by the length of the chain."""
    n = len(parts)
    sizes = [parts[0].shape[0], *(x.shape[1] for x in parts)]
    cost = {(i, i): 0 for i in range(n)}
    cut: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            prices = {
                k: cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                for k in range(i, j)
            }
            cut[i, j] = min(prices, key=prices.__getitem__)
            cost[i, j] = prices[cut[i, j]]

    def product(i: int, j: int) -> Tensor:
        if i == j:
            return parts[i]
        return matmul(product(i, cut[i, j]), product(cut[i, j] + 1, j))

    return product(0, n - 1)


@in_low_precision
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sums of conj(x) y along `dim`."""
    return (x.conj() * y).sum(dim)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The products of vectors of three elements along `dim`; other axes broadcast."""
    if input.dim() != other.dim():
        raise RuntimeError(
            "linalg.cross: inputs must have the same number of dimensions; got "
            f"{input.dim()} and {other.dim()}"
        )
    a, b = functions["broadcast_tensors"](input, other)
    if a.shape[dim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {a.shape[dim]} and "
            f"{b.shape[dim]}"
        )
    return functions["cross"](a, b, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, as a view."""
    return functions["diagonal"](A, offset, dim1, dim2)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers 0, 1, ..., N - 1 of x (*B, n): (*B, n, N)."""
    n = N if N is not None else x.shape[-1] if x.dim() else 1
    if n <= 1:
        raise RuntimeError(f"N must be greater than 1. Got {n}")
    x = x.reshape(1) if not x.dim() else x
    ones = functions["ones_like"](x).unsqueeze(-1)
    powers = x.unsqueeze(-1).expand(*x.shape, n - 1).cumprod(-1)
    return functions["cat"]([ones.to(powers.dtype), powers], -1)


def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first m columns of H_1 ... H_k, where H_i = 1 - tau_i v_i v_i^H reflects by the i-th
    column of A (*B, n, m) below a unit diagonal; tau (*B, k)."""
    a, t = matrices("linalg.householder_product", A), tau._node()
    if a.shape[-2] < a.shape[-1] or t.shape[-1] > a.shape[-1]:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to "
            f"input.shape[-1], and that to tau.shape[-1]; got {a.shape} and {t.shape}"
        )
    return wrap(mf.householder_product(a, t))


class Geqrf(NamedTuple):
    """Reflections below the diagonal, R on and above it, and the reflections' scales."""

    a: Tensor
    tau: Tensor


def geqrf(input: Tensor) -> Geqrf:
    """The reflections of a QR decomposition as LAPACK has them: (a, tau)."""
    a, tau = mf.GEQRF.of(matrices("geqrf", input))
    return Geqrf(wrap(a), wrap(tau))


def ormqr(
    input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    """Q other (or other Q), Q the square product of the reflections `input` (*B, n, k), tau."""
    input = input[..., : tau.shape[-1]]
    n, k = input.shape[-2:]
    wide: Any = functions["cat"](
        [input, input.new_zeros((*input.shape[:-1], n - k), dtype=input.dtype)], -1
    )
    q = householder_product(wide, tau)
    q = q.mH if transpose else q
    return matmul(q, other) if left else matmul(other, q)

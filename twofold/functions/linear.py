"""Products of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

from ..graph.node import Node, recorder
from ..graph.types import broadcast_shapes
from ..ops import contract
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..tensor import NAMES, Tensor, broadcast_to, number, wrap
from ._registry import both, function, in_place, method
from .casting import in_float32, in_given_dtypes, in_low_precision, lowered
from .complex import conj


def product(a: Node, b: Node) -> Node:
    """The product of matrices (the last two axes), other axes broadcast. One matrix on the right is
    multiplied with all rows of the left at once."""
    if a.structure.dtype is not b.structure.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {NAMES[a.dtype]} != "
            f"{NAMES[b.dtype]}"
        )
    lead_a, lead_b = a.shape[:-2], b.shape[:-2]
    if lead_a == lead_b:
        return contract.matmul(a, b)
    if not lead_b or math.prod(lead_b) == 1:
        k, n = b.shape[-2:]
        rows = mv.reshape(a, (math.prod(a.shape[:-1]), a.shape[-1]))
        y = contract.matmul(rows, mv.reshape(b, (k, n)))
        lead = broadcast_shapes("matmul", [lead_a, lead_b])
        return mv.reshape(y, (*lead, a.shape[-2], n))
    lead = broadcast_shapes("matmul", [lead_a, lead_b])
    a = broadcast_to(a, (*lead, *a.shape[-2:]))
    b = broadcast_to(b, (*lead, *b.shape[-2:]))
    return contract.matmul(a, b)


@both("matmul")
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product of the last two axes; other axes broadcast, vectors count as a row or
    column.

    >>> import twofold as tf
    >>> tf.matmul(tf.tensor([[1.0, 2.0]]), tf.tensor([3.0, 4.0]))
    tensor([11.])
    """
    if recorder.autocast is not None:
        return lowered(matmul, input, other)
    a, b = input._node(), other._node()
    rank_a, rank_b = len(a.structure.shape), len(b.structure.shape)
    if rank_a == 2 and rank_b == 2 and a.structure.dtype is b.structure.dtype:
        return wrap(contract.matmul(a, b))
    if not rank_a or not rank_b:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {rank_a}D and {rank_b}D"
        )
    if rank_a == 1:
        a = mv.reshape(a, (1, *a.shape))
    if rank_b == 1:
        b = mv.reshape(b, (*b.shape, 1))
    y = product(a, b)
    shape = y.shape
    if rank_b == 1:
        shape = shape[:-1]
    if rank_a == 1:
        shape = shape[:-1] if rank_b == 1 else (*shape[:-2], shape[-1])
    return wrap(mv.reshape(y, shape))


matmul_as_given = in_given_dtypes(matmul)
"""`matmul` in the dtypes of its arguments, also within `autocast`."""


@method("__matmul__")
def _matmul(self: Tensor, other: Any) -> Tensor:
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented


Tensor.__imatmul__ = in_place(matmul, "__imatmul__")  # type: ignore[attr-defined]


def _require_rank(name: str, x: Tensor, rank: int, which: str) -> None:
    if x.dim() != rank:
        raise RuntimeError(f"{name}: {which} must be a {rank}-D tensor; got {x.dim()}-D")


@both("mm")
@in_low_precision
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    _require_rank("mm", input, 2, "self")
    _require_rank("mm", mat2, 2, "mat2")
    return wrap(product(input._node(), mat2._node()))


@both("bmm")
@in_low_precision
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two stacks of matrices of one length."""
    _require_rank("bmm", input, 3, "batch1")
    _require_rank("bmm", mat2, 3, "batch2")
    if input.size(0) != mat2.size(0):
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{input.size(0)}, "
            f"{input.size(2)}] but got: [{mat2.size(0)}, {mat2.size(1)}]."
        )
    return wrap(product(input._node(), mat2._node()))


@both("mv")
def mv_(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    _require_rank("mv", input, 2, "input")
    _require_rank("mv", vec, 1, "vec")
    return matmul_as_given(input, vec)


@both("dot", "inner_product")
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of products of two vectors."""
    if input.dim() != 1 or tensor.dim() != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {input.dim()}D and {tensor.dim()}D tensors"
        )
    if input.numel() != tensor.numel():
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{input.numel()}] and src "
            f"[{tensor.numel()}] to have the same number of "
            "elements"
        )
    return matmul_as_given(input, tensor)


@both()
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of products of two vectors, the first conjugated."""
    return dot(conj(input), other)


@both()
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last axes of both."""
    if not input.dim() or not other.dim():
        return input * other
    return tensordot(input, other, ([-1], [-1]))


@both("outer", "ger")
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of elements of two vectors."""
    if input.dim() != 1 or vec2.dim() != 1:
        raise RuntimeError("outer: Expected 1-D arguments self and vec2")
    return input.reshape(-1, 1) * vec2.reshape(1, -1)


def _combined(input: Any, y: Tensor, beta: float, alpha: float) -> Tensor:
    """beta * input + alpha * y; input does not count where beta is 0."""
    if y.dtype.kind != "float" and not y.dtype.is_complex:
        whole = bool if y.dtype.kind == "bool" else int
        beta, alpha = whole(beta), whole(alpha)
    if alpha != 1:
        y = alpha * y
    if beta == 0:
        return y
    return (input if beta == 1 else beta * input) + y


@both(inplace=True)
@in_low_precision
def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """beta * input + alpha * mat1 @ mat2."""
    return _combined(input, mm(mat1, mat2), beta, alpha)


@both(inplace=True)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * mat @ vec."""
    return _combined(input, mv_(mat, vec), beta, alpha)


@both(inplace=True)
@in_low_precision
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """beta * input + alpha * the sum of all products in two stacks."""
    return _combined(input, bmm(batch1, batch2).sum(0), beta, alpha)


@both(inplace=True)
@in_low_precision
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """beta * input + alpha * batch1 @ batch2, stack by stack."""
    return _combined(input, bmm(batch1, batch2), beta, alpha)


@both(inplace=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * the outer product of two vectors."""
    return _combined(input, outer(vec1, vec2), beta, alpha)


@function()
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of several matrices."""
    result = matrices[0]
    for m in matrices[1:]:
        result = mm(result, m)
    return result


@both()
def matrix_power(input: Tensor, n: int) -> Tensor:
    """A square matrix to a power n >= 0."""
    if n < 0:
        raise RuntimeError("[matrix_power] negative powers need an inverse; got n below 0")
    size = input.size(-1)
    rows, columns = mv.reshape(mv.iota(size), (size, 1)), mv.reshape(mv.iota(size), (1, size))
    identity = broadcast_to(ew.cast(ew.eq(rows, columns), input.dtype), tuple(input.shape))
    result: Tensor = wrap(identity)
    square = input
    while n:
        if n & 1:
            result = matmul(result, square)
        n >>= 1
        if n:
            square = matmul(square, square)
    # Also the power 0 is a function of the matrix, with a gradient of zeros.
    return result if result.requires_grad or not input.requires_grad else result + input.tril(-size)


@both()
@in_float32
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    _require_rank("trace", input, 2, "input")
    return input.diagonal().sum()


@both()
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector as its diagonal."""
    if input.dim() == 2:
        return input.diagonal(diagonal).clone()
    _require_rank("diag", input, 1, "input")
    return diag_embed(input, diagonal)


@both()
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last axis of input as their diagonals."""
    x = input._node()
    n = x.shape[-1]
    size = n + abs(offset)
    first = -offset if offset < 0 else 0
    row = mv.reshape(mv.iota(size), (size, 1))
    column = mv.reshape(mv.iota(size), (1, size))
    on = ew.eq(column, ew.add(row, number(offset, column.dtype)))
    widths = [(0, 0)] * (len(x.shape) - 1) + [(first, size - n - first)]
    values = mv.reshape(mv.pad(x, tuple(widths)), (*x.shape[:-1], size, 1))
    y: Any = wrap(ew.where(on, values, ew.const_like(x, 0)))
    return y if (dim1, dim2) == (-2, -1) else y.movedim((-2, -1), (dim1, dim2))


@function()
@in_low_precision
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over pairs of axes: the last of a with the first of b, or those listed."""
    if isinstance(dims, int):
        axes_a, axes_b = list(range(a.dim() - dims, a.dim())), list(range(dims))
    else:
        axes_a, axes_b = ([x] if isinstance(x, int) else list(x) for x in dims)
    axes_a = [x % a.dim() for x in axes_a]
    axes_b = [x % b.dim() for x in axes_b]
    if len(axes_a) != len(axes_b):
        raise RuntimeError("both dimension lists should have same length")
    for i, j in zip(axes_a, axes_b):
        # As in PyTorch, an axis of one element is paired with any: the other is summed over.
        if a.shape[i] == 1 != b.shape[j]:
            b = b.sum(j, keepdim=True)
        elif b.shape[j] == 1 != a.shape[i]:
            a = a.sum(i, keepdim=True)
    x, y = a._node(), b._node()
    for i, j in zip(axes_a, axes_b, strict=True):
        if x.shape[i] != y.shape[j]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {x.shape[i]} in dim {i} "
                f"and second has size {y.shape[j]} in dim {j}"
            )
    free_a = [i for i in range(len(x.shape)) if i not in axes_a]
    free_b = [i for i in range(len(y.shape)) if i not in axes_b]
    k = math.prod(x.shape[i] for i in axes_a)
    kept = (*(x.shape[i] for i in free_a), *(y.shape[i] for i in free_b))
    left = mv.permute(x, (*free_a, *axes_a))
    right = mv.permute(y, (*axes_b, *free_b))
    rows = mv.reshape(left, (math.prod(x.shape[i] for i in free_a), k))
    columns = mv.reshape(right, (k, math.prod(y.shape[i] for i in free_b)))
    return wrap(mv.reshape(product(rows, columns), kept))


@both()
def kron(input: Tensor, other: Tensor) -> Tensor:
    """All products, laid out in blocks of other's shape."""
    rank = max(input.dim(), other.dim())
    a = (1,) * (rank - input.dim()) + tuple(input.shape)
    b = (1,) * (rank - other.dim()) + tuple(other.shape)
    left = input.reshape(*[n for m in a for n in (m, 1)])
    right = other.reshape(*[n for m in b for n in (1, m)])
    return (left * right).reshape(*[n * m for n, m in zip(a, b)])

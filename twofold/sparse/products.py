"""Products of matrices of which one or both are sparse, and what is made of them."""

from __future__ import annotations

from typing import Any

from ..functions._registry import functions
from ..tensor import Tensor
from .tensors import COOTensor, CSRTensor, SparseTensor


def mm(a: Any, b: Any) -> Any:
    """The product of two matrices (or of a matrix and a vector), of which one may be sparse: dense;
    of two sparse ones: sparse. Gradients reach values and dense operands.

    >>> import twofold as tf
    >>> a = tf.sparse_coo_tensor([[0, 1], [1, 0]], [2.0, 3.0], (2, 2))
    >>> mm(a, tf.eye(2))
    tensor([[0., 2.],
            [3., 0.]])
    """
    if not isinstance(a, SparseTensor):
        if not isinstance(b, SparseTensor):
            return functions["matmul"](a, b)
        if a.dim() > 1:
            return mm(b.t(), a.t()).t()
        return mm(b.t(), a)
    if len(a._size) != 2 or b.dim() not in (1, 2):
        raise RuntimeError(
            f"[sparse.mm] takes matrices; got {len(a._size)} and {b.dim()} dimensions"
        )
    if a._size[1] != b.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a._size[0]}x{a._size[1]} and "
            f"{'x'.join(map(str, b.shape))})"
        )
    if isinstance(b, SparseTensor):
        return _of_two(a, b)
    coo = a.to_sparse_coo()
    rows, columns = coo._coordinates
    wide = b.unsqueeze(-1) if b.dim() == 1 else b
    parts = coo._held_values.unsqueeze(-1) * wide.index_select(0, columns)
    zeros = functions["zeros"](a._size[0], wide.shape[1], dtype=parts.dtype)
    result = zeros.index_add(0, rows, parts)
    return result.squeeze(-1) if b.dim() == 1 else result


def _of_two(a: Any, b: Any) -> Any:
    """The product of two sparse matrices: each element of `a` meets the row of `b` that its column
    names. How many meet is looked at."""
    left, right = a.to_sparse_coo(), b.to_sparse_csr()
    rows, columns = left._coordinates
    begins = right._begins
    counts = (begins[1:] - begins[:-1])[columns]
    element = functions["repeat_interleave"](functions["arange"](left._nnz()), counts)
    skipped = counts.cumsum(0) - counts - begins[columns]
    met = functions["arange"](element.shape[0]) - skipped[element]
    values = left._held_values[element] * right._held_values[met]
    places = functions["stack"]([rows[element], right._columns[met]])
    result = COOTensor.of(places, values, (a._size[0], b._size[1])).coalesce()
    both = isinstance(a, CSRTensor) and isinstance(b, CSRTensor)
    return result.to_sparse_csr() if both else result


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1.0, alpha: float = 1.0) -> Any:
    """beta input + alpha mat1 mat2, where mat1 may be sparse."""
    product = mm(mat1, mat2)
    return beta * input + (product if alpha == 1 else alpha * product)


def spmm(mat1: Any, mat2: Any) -> Any:
    """`mm`, as older programs call it."""
    return mm(mat1, mat2)


def smm(input: Any, mat: Tensor) -> Any:
    """The product of a sparse and a dense matrix, as a sparse one (in which all rows are there)."""
    return mm(input, mat).to_sparse()


def sspaddmm(input: Any, mat1: Any, mat2: Tensor, *, beta: float = 1.0, alpha: float = 1.0) -> Any:
    """beta input + alpha mat1 mat2, sparse, of sparse `input` and `mat1`."""
    return input * beta + smm(mat1, mat2) * alpha


def hspmm(mat1: Any, mat2: Tensor) -> Any:
    """The product of a sparse and a dense matrix, whose rows are those that `mat1` has elements in:
    coordinates for rows, dense values along them."""
    rows, inverse = functions["unique"](mat1.to_sparse_coo()._coordinates[0], return_inverse=True)
    coo = mat1.to_sparse_coo()
    places = functions["stack"]([inverse, coo._coordinates[1]])
    found = COOTensor.of(places, coo._held_values, (rows.shape[0], mat1._size[1]))
    size = (mat1._size[0], mat2.shape[1])
    return COOTensor.of(rows.unsqueeze(0), mm(found, mat2), size, True)


def bmm(input: Any, mat2: Tensor) -> Tensor:
    """The products of a sparse batch of matrices and a dense one."""
    return functions["stack"]([mm(input[i], mat2[i]) for i in range(input._size[0])])


def sampled_addmm(
    input: Any, mat1: Tensor, mat2: Tensor, *, beta: float = 1.0, alpha: float = 1.0
) -> Any:
    """beta input + alpha mat1 mat2 at the places of the sparse matrix `input` alone.

    >>> import twofold as tf
    >>> sampled_addmm(tf.eye(2).to_sparse_csr(), tf.ones(2, 3), tf.ones(3, 2)).to_dense()
    tensor([[4., 0.],
            [0., 4.]])
    """
    rows, columns = input.to_sparse_coo()._coordinates
    left, right = mat1.index_select(0, rows), mat2.index_select(1, columns).t()
    product = (left * right).sum(-1)
    return input._with_values(beta * input._held_values + alpha * product)

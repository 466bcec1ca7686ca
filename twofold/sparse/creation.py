"""Sparse tensors from places and values, and from dense tensors."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ..creation import as_tensor
from ..devices import usable
from ..dtypes import int64
from ..functions._registry import functions, method
from ..settings import sparse_csr
from ..tensor import Tensor
from .tensors import COOTensor, CSRTensor, require_layout, to_coo


def sparse_coo_tensor(
    indices: Any = None, values: Any = None, size: Any = None, *, dtype: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
    check_invariants: bool | None = None, is_coalesced: bool | None = None,
) -> Any:  # fmt: skip
    """A sparse tensor of `values` (count, ...) at the coordinates `indices` (axes, count).

    RuntimeError if a coordinate lies outside of `size`; it is looked at, whatever
    `check_invariants` says.

    >>> sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).to_dense()
    tensor([[0., 0., 3.],
            [4., 0., 0.]])
    """
    _require_here(device)
    if values is None:  # sparse_coo_tensor(size)
        size = tuple(size if indices is None else indices)
        places = functions["zeros"](len(size), 0, dtype=int64)
        return COOTensor.of(places, functions["zeros"](0, dtype=dtype), size, True)
    places = as_tensor(indices).to(int64)
    held = as_tensor(values, dtype=dtype)
    places = places.reshape(1, -1) if places.dim() == 1 else places
    held = held.expand(places.shape[1]) if held.dim() == 0 else held
    if places.shape[1] != held.shape[0]:
        raise RuntimeError(
            f"number of indices ({places.shape[1]}) and values ({held.shape[0]}) must agree"
        )
    if size is None:
        top = (places.max(1)[0] + 1).tolist() if places.shape[1] else [0] * places.shape[0]
        size = (*top, *held.shape[1:])
    elif len(size) != places.shape[0] + held.dim() - 1:
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, "
            f"sparse_dim = {places.shape[0]}, dense_dim = {held.dim() - 1}"
        )
    elif places.shape[1]:
        least, most = places.min(1)[0].tolist(), places.max(1)[0].tolist()
        for axis, (a, b) in enumerate(zip(least, most)):
            if a < 0:
                raise RuntimeError(f"found negative index {a} for dim {axis}")
            if b >= size[axis]:
                raise RuntimeError(
                    f"size is inconsistent with indices: for dim {axis}, size is {size[axis]} but "
                    f"found index {b}"
                )
    if requires_grad:
        held = held.detach().clone().requires_grad_()
    return COOTensor.of(places, held, size, bool(is_coalesced))


def sparse_csr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Any = None, *, dtype: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Any:  # fmt: skip
    """A sparse matrix by rows: where each begins, the columns and the values of its elements.

    RuntimeError if the rows do not begin one after the other, from 0 to the number of elements, or
    a column lies outside of `size`; both are looked at, whatever `check_invariants` says.
    """
    _require_here(device)
    begins, columns = as_tensor(crow_indices), as_tensor(col_indices)
    held = as_tensor(values, dtype=dtype)
    if columns.shape[0] != held.shape[0]:
        raise RuntimeError(
            f"number of columns ({columns.shape[0]}) and values ({held.shape[0]}) must agree"
        )
    if size is None:
        width = int(columns.max().item()) + 1 if columns.numel() else 0
        size = (begins.numel() - 1, width)
    starts = begins.tolist()
    if len(starts) != size[0] + 1 or starts[:1] != [0] or starts[-1] != held.shape[0]:
        raise RuntimeError(
            f"[sparse_csr_tensor] crow_indices must be {size[0] + 1} numbers from 0 to "
            f"{held.shape[0]}; got {starts}"
        )
    if any(a > b for a, b in pairwise(starts)):
        raise RuntimeError(f"[sparse_csr_tensor] crow_indices must not fall; got {starts}")
    if columns.numel() and not 0 <= columns.min().item() <= columns.max().item() < size[1]:
        raise RuntimeError(f"[sparse_csr_tensor] col_indices must be below {size[1]}, and not < 0")
    if requires_grad:
        held = held.detach().clone().requires_grad_()
    return CSRTensor.of(begins, columns, held, size)


def _require_here(device: Any) -> None:
    """RuntimeError for a device that is not there."""
    if device is not None:
        usable(device)


@method("to_sparse", "to_sparse_coo")
def to_sparse(
    self: Tensor, sparse_dims: int | None = None, *, layout: Any = None, blocksize: Any = None,
    dense_dim: int | None = None,
) -> Any:  # fmt: skip
    """The elements that are not 0, in the layout COO (or `layout`). Their number is looked at."""
    require_layout(layout)
    if blocksize is not None or dense_dim:
        raise RuntimeError("[to_sparse] the layouts of blocks are not there; got a block's size")
    found = to_coo(self, sparse_dims)
    return found.to_sparse_csr() if layout is sparse_csr else found


@method("to_sparse_csr")
def to_sparse_csr(self: Tensor, dense_dim: int | None = None) -> Any:
    """The elements of a matrix that are not 0, by rows. Their number is looked at."""
    if dense_dim:
        raise RuntimeError("[to_sparse_csr] elements are numbers; got a dense_dim above 0")
    return to_coo(self).to_sparse_csr()


@method("to_dense")
def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    """This tensor, which is dense."""
    return self if dtype is None else self.to(dtype)


@method("sparse_mask")
def sparse_mask(self: Tensor, mask: Any) -> Any:
    """The elements at the places of the sparse tensor `mask`."""
    coo = mask.to_sparse_coo().coalesce()
    found = coo._with_values(self[tuple(coo._coordinates)])
    return found.to_sparse_csr() if isinstance(mask, CSRTensor) else found


@method("_as_rows")
def _as_rows(self: Tensor, rows: Tensor, n: int) -> Any:
    """The sparse tensor of `n` rows of which `rows` (count) are these (count, ...), and add up."""
    return COOTensor.of(rows.to(int64).unsqueeze(0), self, (n, *self.shape[1:]))


@method("sparse_dim")
def sparse_dim(self: Tensor) -> int:
    """The number of axes that have coordinates: none, of a dense tensor."""
    return 0


@method("dense_dim")
def dense_dim(self: Tensor) -> int:
    """The number of axes without coordinates: all, of a dense tensor."""
    return self.dim()


def _of_sparse_tensors(name: str) -> Any:
    def refuse(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"{name} expected sparse tensor layout but got Strided")

    refuse.__name__, refuse.__doc__ = name, "RuntimeError: it belongs to sparse tensors."
    return method(name)(refuse)


for _name in (
    "coalesce is_coalesced indices values crow_indices col_indices smm sspaddmm sparse_resize_ "
    "sparse_resize_and_clear_"
).split():
    _of_sparse_tensors(_name)


def spdiags(diagonals: Tensor, offsets: Tensor, shape: tuple[int, int], layout: Any = None) -> Any:
    """The sparse matrix whose diagonals `offsets` (n) are the rows of `diagonals` (n, m), of which
    element j stands in column j.

    >>> import twofold as tf
    >>> spdiags(tf.tensor([[1.0, 2.0]]), tf.tensor([1]), (2, 2)).to_dense()
    tensor([[0., 2.],
            [0., 0.]])
    """
    require_layout(layout)
    columns = functions["arange"](diagonals.shape[1]).unsqueeze(0)
    offsets = offsets.reshape(-1, 1).to(int64)
    rows = columns - offsets
    columns = columns.expand(rows.shape)
    inside = (rows >= 0) & (rows < shape[0]) & (columns < shape[1])
    places = functions["stack"]([rows[inside], columns[inside]])
    found = COOTensor.of(places, diagonals.reshape(rows.shape)[inside], shape)
    return found.to_sparse_csr() if layout is sparse_csr else found

"""Sparse tensors: the elements that are stored, with their coordinates (COO) or by rows (CSR).

A sparse tensor is made of dense ones, `indices` and `values`, and what is computed from it is
computed from those: gradients reach the values, and through them what they were made of. Functions
that know only dense tensors refuse it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..functions._registry import NeedsDense, functions
from ..settings import sparse_coo, sparse_csr
from ..tensor import NAMES, Size, Tensor


def require_layout(layout: Any) -> None:
    """RuntimeError unless there are sparse tensors of `layout`."""
    if layout not in (None, sparse_coo, sparse_csr):
        raise RuntimeError(f"[to_sparse] takes the layouts COO and CSR; got {layout}")


class SparseTensor(Tensor):
    """What the sparse layouts share: a size and values."""

    _size: tuple[int, ...]
    _held_values: Tensor
    _kind = sparse_coo

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(cls)

    def _node(self) -> Any:
        raise NeedsDense(
            f"[sparse] this function takes dense tensors; got one of layout {self._kind}; try "
            ".to_dense()"
        )

    # What it is.

    @property
    def layout(self) -> Any:
        """How the elements are kept."""
        return self._kind

    @property
    def shape(self) -> Size:
        """The extent of each axis."""
        return Size(self._size)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the extent of one axis."""
        return self.shape if dim is None else self._size[dim]

    @property
    def dtype(self) -> Any:
        """The type of the values."""
        return self._held_values.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._size)

    def dim(self) -> int:
        """The number of axes."""
        return len(self._size)

    def numel(self) -> int:
        """The number of elements, stored or not."""
        return math.prod(self._size)

    def __len__(self) -> int:
        """The extent of the first axis."""
        return self._size[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(self._size[0]))

    @property
    def is_sparse(self) -> bool:
        """Whether the layout is COO."""
        return self._kind is sparse_coo

    @property
    def is_sparse_csr(self) -> bool:
        """Whether the layout is CSR."""
        return self._kind is sparse_csr

    @property
    def requires_grad(self) -> bool:
        """Whether gradients with respect to the values are recorded."""
        return self._held_values.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._held_values.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Let the values require a gradient, or no more."""
        self._held_values.requires_grad_(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the values were not computed from tensors that require gradients."""
        return self._held_values.is_leaf

    @property
    def grad(self) -> Any:
        """The gradient of the values, at their places."""
        g = self._held_values.grad
        return None if g is None else self._with_values(g)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._held_values.grad = None if value is None else value.coalesce()._held_values

    def _with_values(self, values: Tensor) -> Any:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new._held_values = values
        return new

    # Arithmetic on the values alone.

    def detach(self) -> Any:
        """The same places and values, through which no gradient flows."""
        return self._with_values(self._held_values.detach())

    def clone(self, *, memory_format: object = None) -> Any:
        """A copy."""
        return self._with_values(self._held_values.clone())

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """The same with another dtype."""
        return self._with_values(self._held_values.to(*args, **kwargs))

    def type(self, dtype: Any = None) -> Any:
        """The same with another dtype; without one, the name of this layout's type."""
        return f"twofold.sparse.{NAMES[self.dtype]}Tensor" if dtype is None else self.to(dtype)

    def float(self, memory_format: object = None) -> Any:
        """The same in float32."""
        return self.to(dtypes.float32)

    def double(self, memory_format: object = None) -> Any:
        """The same in float64."""
        return self.to(dtypes.float64)

    def tolist(self) -> Any:
        """The elements as nested lists."""
        return self.to_dense().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """TypeError: NumPy has no sparse arrays."""
        raise TypeError(f"can't convert {self._kind} layout tensor to numpy. Use "
                        "Tensor.to_dense() first.")  # fmt: skip

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return _rebuilt, (type(self), dict(self.__dict__))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._with_values(copy.deepcopy(self._held_values, memo))

    # Conversions.

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
        """The dense tensor; elements with one place add up."""
        coo = self.to_sparse_coo()
        lead = coo._coordinates.shape[0]
        rest = self._size[lead:]
        flat = coo._flat_places()
        zeros = functions["zeros"](math.prod(self._size[:lead]), *rest, dtype=self.dtype)
        result = zeros.index_add(0, flat, coo._held_values).reshape(self._size)
        return result if dtype is None else result.to(dtype)

    def to_sparse_coo(self) -> Any:
        """The same in the layout COO."""
        raise NotImplementedError

    def to_sparse(self, *args: Any, layout: Any = None, **kwargs: Any) -> Any:
        """The same in the layout COO, or in `layout`."""
        require_layout(layout)
        return self.to_sparse_csr() if layout is sparse_csr else self.to_sparse_coo()

    def to_sparse_csr(self, dense_dim: int | None = None) -> Any:
        """The same in the layout CSR, which is one of matrices."""
        if len(self._size) != 2:
            raise RuntimeError(
                f"[to_sparse_csr] takes matrices; got a tensor of {len(self._size)} dimensions"
            )
        coo = self.to_sparse_coo().coalesce()
        rows, columns = coo._coordinates
        counts = functions["bincount"](rows, minlength=self._size[0])
        begins = functions["cat"]([counts.new_zeros(1), counts.cumsum(0)])
        return CSRTensor.of(begins, columns, coo._held_values, self._size)

    def values(self) -> Tensor:
        """The stored elements."""
        return self._held_values

    def _nnz(self) -> int:
        """How many elements are stored."""
        return self._held_values.shape[0]


class COOTensor(SparseTensor):
    """Elements and their coordinates: indices (axes, count), values (count, ...)."""

    _coordinates: Tensor
    _is_coalesced = False

    @staticmethod
    def of(indices: Tensor, values: Tensor, size: Sequence[int], coalesced: bool = False) -> Any:
        """A tensor of these places and values."""
        new = COOTensor()
        new._coordinates, new._held_values = indices, values
        new._size, new._is_coalesced = tuple(int(n) for n in size), coalesced
        return new

    def _flat_places(self) -> Tensor:
        """The coordinates as places in row-major order."""
        flat: Any = self._coordinates.new_zeros(self._held_values.shape[0])
        for axis, row in enumerate(self._coordinates):
            flat = flat * self._size[axis] + row
        return flat

    def coalesce(self) -> Any:
        """Each place once, in row-major order. How many there are is looked at."""
        if self._is_coalesced:
            return self
        lead = self._coordinates.shape[0]
        places, inverse = functions["unique"](self._flat_places(), return_inverse=True)
        shape = (places.shape[0], *self._held_values.shape[1:])
        zeros = functions["zeros"](*shape, dtype=self.dtype)
        values = zeros.index_add(0, inverse, self._held_values)
        coordinates = functions["unravel_index"](places, self._size[:lead])
        return COOTensor.of(functions["stack"](coordinates), values, self._size, True)

    def is_coalesced(self) -> bool:
        """Whether each place is there once, in order."""
        return self._is_coalesced

    def _indices(self) -> Tensor:
        return self._coordinates

    def _values(self) -> Tensor:
        return self._held_values

    def indices(self) -> Tensor:
        """The coordinates. RuntimeError before `coalesce`."""
        self._require_coalesced("indices")
        return self._coordinates

    def values(self) -> Tensor:
        """The stored elements. RuntimeError before `coalesce`."""
        self._require_coalesced("values")
        return self._held_values

    def _require_coalesced(self, name: str) -> None:
        if not self._is_coalesced:
            raise RuntimeError(
                f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first"
            )

    def sparse_dim(self) -> int:
        """The number of axes that have coordinates."""
        return self._coordinates.shape[0]

    def dense_dim(self) -> int:
        """The number of axes of each stored value."""
        return self._held_values.dim() - 1

    def to_sparse_coo(self) -> Any:
        """This tensor."""
        return self

    def __repr__(self) -> str:
        return _shown({"indices": self._coordinates, "values": self._held_values}, self)

    __str__ = __repr__


class CSRTensor(SparseTensor):
    """A matrix by rows: where each begins among the stored elements, their columns, the values."""

    _kind = sparse_csr
    _begins: Tensor
    _columns: Tensor

    @staticmethod
    def of(begins: Tensor, columns: Tensor, values: Tensor, size: Sequence[int]) -> Any:
        """A matrix of these rows."""
        new = CSRTensor()
        new._begins, new._columns, new._held_values = begins, columns, values
        new._size = tuple(int(n) for n in size)
        return new

    def crow_indices(self) -> Tensor:
        """Where each row begins, and after the last the number of elements."""
        return self._begins

    def col_indices(self) -> Tensor:
        """The column of each element."""
        return self._columns

    def to_sparse_coo(self) -> Any:
        """The same in the layout COO."""
        counts = self._begins[1:] - self._begins[:-1]
        rows = functions["repeat_interleave"](
            functions["arange"](self._size[0]), counts.to(dtypes.int64), 0
        )
        places = functions["stack"]([rows, self._columns.to(dtypes.int64)])
        return COOTensor.of(places, self._held_values, self._size, True)

    def to_sparse_csr(self, dense_dim: int | None = None) -> Any:
        """This matrix."""
        return self

    def __repr__(self) -> str:
        parts = {"crow_indices": self._begins, "col_indices": self._columns}
        return _shown({**parts, "values": self._held_values}, self)

    __str__ = __repr__


def _shown(parts: dict[str, Tensor], x: SparseTensor) -> str:
    lines = []
    for name, part in parts.items():
        indent = "\n" + " " * len(f"tensor({name}=")
        lines.append(f"{name}={part}".replace("\n", indent))
    about = f"size={x._size}, nnz={x._nnz()}, layout={x._kind})"
    if isinstance(x, CSRTensor):
        lines[-1:], about = [], f"{lines[-1]}, {about}"
    return "tensor(" + ",\n       ".join([*lines, about])


def _rebuilt(cls: type, state: dict[str, Any]) -> Any:
    new: Any = object.__new__(cls)
    new.__dict__.update(state)
    return new


def to_coo(dense: Tensor, sparse_dims: int | None = None) -> Any:
    """A dense tensor's elements that are not 0. How many there are is looked at."""
    n = dense.dim() if sparse_dims is None else sparse_dims
    marks = dense.detach() != 0
    if n < dense.dim():
        marks = marks.reshape(*dense.shape[:n], -1).any(-1)
    places = marks.nonzero().t()
    values = dense[tuple(places)] if n else dense.expand(places.shape[1], *dense.shape)
    return COOTensor.of(places, values, dense.shape, True)

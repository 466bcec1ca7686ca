"""What PyTorch's functions and methods do with sparse tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..functions._registry import NeedsDense, functions
from ..tensor import Tensor, wrap_dim
from . import products
from .tensors import COOTensor, CSRTensor, SparseTensor, to_coo

Rule = Callable[..., Any]

ON_VALUES = """
    abs absolute asin arcsin asinh arcsinh atan arctan atanh arctanh ceil conj conj_physical deg2rad
    erf erfinv expm1 fix floor frac imag isinf isnan isneginf isposinf log1p nan_to_num positive
    pow rad2deg real relu round sgn sign signbit sin sinh sqrt square tan tanh trunc true_divide
    div divide
"""
"""Functions that give 0 for 0, done to the elements alone."""


def _on_values(name: str) -> Rule:
    def rule(input: Any, *args: Any, **kwargs: Any) -> Any:
        once = input.coalesce() if isinstance(input, COOTensor) else input
        return once._with_values(functions[name](once._held_values, *args, **kwargs))

    rule.__name__, rule.__doc__ = name, f"`{name}` of the elements."
    return rule


def _like(result: Any, *given: Any) -> Any:
    """A result in the layout CSR if all that was given is."""
    return result.to_sparse_csr() if all(isinstance(x, CSRTensor) for x in given) else result


# Arithmetic.


def neg(input: Any) -> Any:
    """-input."""
    return input._with_values(-input._held_values)


def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input + alpha other: sparse if both are."""
    if not isinstance(other, SparseTensor):
        return input.to_dense() + (other if alpha == 1 else alpha * other)
    other = other if alpha == 1 else other * alpha
    if not isinstance(input, SparseTensor):
        return input + other.to_dense()
    if input._size != other._size:
        raise RuntimeError(
            f"add: expected sizes of 'self' and 'other' to match, but {input._size} != "
            f"{other._size}"
        )
    a, b = input.to_sparse_coo(), other.to_sparse_coo()
    places = functions["cat"]([a._coordinates, b._coordinates], 1)
    values = functions["cat"]([a._held_values, b._held_values])
    return _like(COOTensor.of(places, values, input._size), input, other)


def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input - alpha other."""
    return add(input, other, alpha=-alpha)


def mul(input: Any, other: Any) -> Any:
    """Element by element; the result has the places that both have."""
    if not isinstance(input, SparseTensor):
        return mul(other, input)
    if isinstance(other, SparseTensor):
        return _like(_common(input.to_sparse_coo(), other.to_sparse_coo()), input, other)
    if isinstance(other, Tensor) and other.dim():
        coo = input.to_sparse_coo()
        picked = other.expand(input._size)[tuple(coo._coordinates)]
        return _like(coo._with_values(coo._held_values * picked), input)
    return input._with_values(input._held_values * other)


def _common(a: Any, b: Any) -> Any:
    """The product of two, at the places that are in both. How many there are is looked at."""
    if a._size != b._size:
        raise RuntimeError(f"mul: expected sizes to match, but {a._size} != {b._size}")
    a, b = a.coalesce(), b.coalesce()
    if not a._nnz() or not b._nnz():
        return COOTensor.of(a._coordinates[:, :0], a._held_values[:0] * 1, a._size, True)
    wanted, there = a._flat_places(), b._flat_places()
    at = functions["searchsorted"](there, wanted).clamp(max=b._nnz() - 1)
    met = (there[at] == wanted).nonzero().squeeze(1)
    values = a._held_values[met] * b._held_values[at[met]]
    return COOTensor.of(a._coordinates[:, met], values, a._size, True)


# Sums, norms, softmax.


def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum of all elements, dense; over axes, sparse while axes with coordinates are left."""
    values = input._held_values if dtype is None else input._held_values.to(dtype)
    if dim is None or dim == ():
        return values.sum()
    rank = len(input._size)
    over = {wrap_dim(d, rank) for d in ([dim] if isinstance(dim, int) else dim)}
    coo = input.to_sparse_coo()
    lead = coo.sparse_dim()
    within = [d - lead + 1 for d in over if d >= lead]
    values = values.sum(within, keepdim=keepdim) if within else values
    left = [d for d in range(lead) if d not in over]
    if not left and not keepdim:
        return values.sum(0)
    size = [1 if d in over else n for d, n in enumerate(input._size) if keepdim or d not in over]
    rows = [coo._coordinates[d] * (d not in over) for d in range(lead) if keepdim or d not in over]
    return COOTensor.of(functions["stack"](rows), values, size).coalesce()


def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Tensor:
    """The norm of all elements."""
    if dim is not None:
        raise RuntimeError(f"norm of sparse tensors is that of all elements; got dim={dim}")
    return functions["norm"](input.to_sparse_coo().coalesce()._held_values, p)


def softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """softmax along `dim` over the elements that are there; the others count as minus infinity.

    >>> import twofold as tf
    >>> softmax(tf.eye(2).to_sparse(), 1).to_dense()
    tensor([[1., 0.],
            [0., 1.]])
    """
    coo, top, total, group = _normalizer(input, dim, dtype)
    if group is None:
        return coo._with_values(coo._held_values.softmax(total))
    return coo._with_values((coo._held_values - top[group]).exp() / total[group])


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The logarithm of `softmax`, at the same places."""
    coo, top, total, group = _normalizer(input, dim, dtype)
    if group is None:
        return coo._with_values(coo._held_values.log_softmax(total))
    return coo._with_values(coo._held_values - top[group] - total.log()[group])


def _normalizer(input: Any, dim: int, dtype: Any) -> tuple[Any, Any, Any, Any]:
    """The elements; for each line along `dim` the largest of them and the sum of exponentials; and
    the line of each element. Along a dense axis: that axis of the values, and no lines."""
    coo = input.to_sparse_coo().coalesce()
    if dtype is not None:
        coo = coo._with_values(coo._held_values.to(dtype))
    dim, lead = wrap_dim(dim, len(input._size)), coo.sparse_dim()
    if dim >= lead:
        return coo, None, dim - lead + 1, None
    others = [d for d in range(lead) if d != dim]
    flat: Any = coo._coordinates.new_zeros(coo._nnz())
    for d in others:
        flat = flat * coo._size[d] + coo._coordinates[d]
    lines, group = functions["unique"](flat, return_inverse=True)
    values = coo._held_values
    shape = (lines.shape[0], *values.shape[1:])
    top = functions["full"](shape, -math.inf, dtype=values.dtype)
    top = top.index_reduce(0, group, values.detach(), "amax")
    total = top.new_zeros(shape).index_add(0, group, (values - top[group]).exp())
    return coo, top, total, group


# Shapes and parts.


def permute(input: Any, *dims: Any) -> Any:
    """The axes in another order; those with coordinates stay in front."""
    dims = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    coo = input.to_sparse_coo()
    rank, lead = len(input._size), coo.sparse_dim()
    order = [wrap_dim(d, rank) for d in dims]
    if sorted(order[:lead]) != list(range(lead)):
        raise RuntimeError(
            f"[permute] axes with coordinates stay before the dense ones; got {tuple(dims)}"
        )
    places = functions["stack"]([coo._coordinates[a] for a in order[:lead]])
    values = coo._held_values.permute(0, *[a - lead + 1 for a in order[lead:]])
    return COOTensor.of(places, values, [input._size[a] for a in order])


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two axes swapped."""
    rank = len(input._size)
    a, b = wrap_dim(dim0, rank), wrap_dim(dim1, rank)
    order = list(range(rank))
    order[a], order[b] = b, a
    return permute(input, *order)


def t(input: Any) -> Any:
    """The matrix transposed."""
    return transpose(input, 0, 1) if len(input._size) > 1 else input


def unsqueeze(input: Any, dim: int) -> Any:
    """One more axis, of extent 1."""
    coo = input.to_sparse_coo()
    dim, lead = wrap_dim(dim, len(input._size) + 1), coo.sparse_dim()
    size = [*input._size[:dim], 1, *input._size[dim:]]
    if dim > lead:
        return COOTensor.of(coo._coordinates, coo._held_values.unsqueeze(dim - lead + 1), size)
    rows = list(coo._coordinates)
    rows.insert(dim, coo._coordinates.new_zeros(coo._nnz()))
    return COOTensor.of(functions["stack"](rows), coo._held_values, size, coo._is_coalesced)


def select(input: Any, dim: int, index: int) -> Any:
    """The part at one place along `dim`. How many elements it has is looked at."""
    coo = input.to_sparse_coo()
    dim, lead = wrap_dim(dim, len(input._size)), coo.sparse_dim()
    n = input._size[dim]
    if not -n <= index < n:
        raise IndexError(f"select(): index {index} out of range for tensor of size {n}")
    size = [*input._size[:dim], *input._size[dim + 1 :]]
    if dim >= lead:
        return COOTensor.of(coo._coordinates, coo._held_values.select(dim - lead + 1, index), size)
    there = (coo._coordinates[dim] == index % n).nonzero().squeeze(1)
    values = coo._held_values[there]
    left = [coo._coordinates[d][there] for d in range(lead) if d != dim]
    if not left:
        return values.sum(0)
    return COOTensor.of(functions["stack"](left), values, size, coo._is_coalesced)


def index_select(input: Any, dim: int, index: Tensor) -> Any:
    """The parts at several places along `dim`."""
    coo = input.to_sparse_coo()
    dim, lead = wrap_dim(dim, len(input._size)), coo.sparse_dim()
    size = [*input._size[:dim], index.numel(), *input._size[dim + 1 :]]
    if dim >= lead:
        values = coo._held_values.index_select(dim - lead + 1, index)
        return COOTensor.of(coo._coordinates, values, size, coo._is_coalesced)
    if not index.numel():
        return COOTensor.of(coo._coordinates[:, :0], coo._held_values[:0], size, True)
    parts = [unsqueeze(select(input, dim, int(i)), dim) for i in index.tolist()]
    return cat(parts, dim)


def getitem(input: Any, index: Any) -> Any:
    """The parts that integers name, the first axis first."""
    for i in index if isinstance(index, tuple) else (index,):
        if not isinstance(i, int):
            raise RuntimeError(f"[sparse] parts are taken by integers; got {i!r}; try .to_dense()")
        input = select(input, 0, i)
    return input


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors one after the other along an axis."""
    coos = [x.to_sparse_coo() for x in tensors]
    dim, lead = wrap_dim(dim, len(coos[0]._size)), coos[0].sparse_dim()
    if dim >= lead:
        return to_coo(functions["cat"]([x.to_dense() for x in coos], dim), lead)
    places, at = [], 0
    for x in coos:
        rows = list(x._coordinates)
        rows[dim] = rows[dim] + at
        at += x._size[dim]
        places.append(functions["stack"](rows))
    values = functions["cat"]([x._held_values for x in coos])
    size = list(coos[0]._size)
    size[dim] = at
    return COOTensor.of(functions["cat"](places, 1), values, size)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors along a new axis."""
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def zeros_like(input: Any, **kwargs: Any) -> Any:
    """A tensor of this shape without elements."""
    coo = input.to_sparse_coo()
    values = coo._held_values[:0].detach() * 1
    return _like(COOTensor.of(coo._coordinates[:, :0], values, input._size, True), input)


def numel(input: Any) -> int:
    """The number of elements, stored or not."""
    return input.numel()


def clone(input: Any, **kwargs: Any) -> Any:
    """A copy."""
    return input.clone()


# In place.


def _become(self: Any, other: Any) -> Any:
    """This tensor, with the elements of another."""
    self.__dict__.update(other.__dict__)
    return self


def zero_(self: Any) -> Any:
    """No elements any more."""
    return _become(self, zeros_like(self))


def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """The elements of another sparse tensor of this shape."""
    if not isinstance(src, SparseTensor):
        raise RuntimeError("copy_() between dense and sparse Tensors is not implemented!")
    if self._size != src._size:
        raise RuntimeError(f"[copy_] sizes must match; got {self._size} and {src._size}")
    return _become(self, _like(src.to_sparse_coo(), self).clone())


def sparse_resize_(self: Any, size: Sequence[int], sparse_dim: int, dense_dim: int) -> Any:
    """Another size, whose axes of each kind are as many as before; elements that lie outside of it
    are an error."""
    if sparse_dim != self.sparse_dim() or dense_dim != self.dense_dim():
        raise RuntimeError("[sparse_resize_] the numbers of axes of each kind must stay")
    if any(new < old for new, old in zip(size, self._size)) and self._nnz():
        raise RuntimeError("[sparse_resize_] shrinking a tensor that has elements is not possible")
    self._size = tuple(size)
    return self


def sparse_resize_and_clear_(
    self: Any, size: Sequence[int], sparse_dim: int, dense_dim: int
) -> Any:
    """Another size, without elements."""
    places = self._coordinates.new_zeros(sparse_dim, 0)
    values = self._held_values.new_zeros(0, *size[sparse_dim:])
    return _become(self, COOTensor.of(places, values, size, True))


def _in_place(rule: Rule) -> Rule:
    def apply(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _become(self, rule(self, *args, **kwargs))

    apply.__name__, apply.__doc__ = f"{rule.__name__}_", f"`{rule.__name__}`, written to this."
    return apply


def _also_of_sparse(name: str, rule: Rule, write: bool) -> None:
    """Let a method of dense tensors take sparse arguments."""
    dense = getattr(Tensor, name)

    def apply(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(x, SparseTensor) for x in (*args, *kwargs.values())):
            return dense(self, *args, **kwargs)
        result = rule(self, *args, **kwargs)
        return self.copy_(result) if write else result

    apply.__name__, apply.__doc__ = name, dense.__doc__
    setattr(Tensor, name, apply)


_named: dict[str, Rule] = {name: _on_values(name) for name in ON_VALUES.split()}
_ours: tuple[Any, ...] = (
    neg, add, sub, mul, sum, norm, permute, transpose, t, unsqueeze, select, index_select, cat,
    stack, zeros_like, numel, clone, softmax, log_softmax,
)  # fmt: skip
_named |= {f.__name__: f for f in _ours}
_named |= {"negative": neg, "multiply": mul, "subtract": sub, "swapaxes": transpose}
_products: dict[str, Rule] = {
    "mm": products.mm, "matmul": products.mm, "mv": products.mm, "addmm": products.addmm,
    "bmm": products.bmm, "smm": products.smm, "sspaddmm": products.sspaddmm,
}  # fmt: skip
NeedsDense.rules.update({**_named, **_products})

for _name, _rule in {**_named, **_products}.items():
    if _name not in vars(SparseTensor):
        setattr(SparseTensor, _name, _rule)
    if _name in ON_VALUES.split() or _name in ("neg", "mul", "add", "sub"):
        setattr(SparseTensor, f"{_name}_", _in_place(_rule))
for _rule in (zero_, copy_, sparse_resize_, sparse_resize_and_clear_):
    setattr(SparseTensor, _rule.__name__, _rule)
_attributes: dict[str, Any] = {
    "__neg__": neg, "__mul__": mul, "__rmul__": mul, "__truediv__": _named["div"],
    "__add__": add, "__radd__": add, "__sub__": sub, "__matmul__": products.mm,
    "__pow__": _named["pow"], "__getitem__": getitem, "__imul__": _in_place(mul),
    "__iadd__": _in_place(add), "__isub__": _in_place(sub), "__abs__": _named["abs"],
    "__rmatmul__": lambda self, other: products.mm(other, self),
    "__rsub__": lambda self, other: add(neg(self), other),
    "T": property(t), "mT": property(lambda self: transpose(self, -1, -2)),
}  # fmt: skip
for _name, _value in _attributes.items():
    setattr(SparseTensor, _name, _value)
for _name, _rule in _products.items():
    if hasattr(Tensor, _name):
        _also_of_sparse(_name, _rule, False)
_also_of_sparse("add_", add, True)
_also_of_sparse("sub_", sub, True)

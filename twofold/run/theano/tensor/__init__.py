"""`theano.tensor`: inputs of each type, and functions of variables."""

from __future__ import annotations

import builtins as _builtins
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .... import dtypes
from ....creation import arange as _arange
from ....creation import as_tensor, full, ones, zeros
from ....functions import functions as tf
from ....static.expression import grad as _grad
from ....static.state import Gradients, depends
from ....static.symbol import Samples, Symbol, samples_of
from ....tensor import Tensor
from ..variable import (
    SharedVariable,
    TensorType,
    Variable,
    deferred,
    float_type,
    shape,
    shared,
)
from ..variable import Variable as TensorVariable
from . import nnet, shared_randomstreams, signal

_SHAPES = {
    "scalar": 0, "vector": 1, "matrix": 2, "row": (True, False), "col": (False, True),
    "tensor3": 3, "tensor4": 4, "tensor5": 5,
}  # fmt: skip
_LETTERS = {
    "": "", "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32",
    "d": "float64",
}  # fmt: skip


def _maker(dtype: str, axes: Any) -> Callable[..., Any]:
    def make(name: str | None = None, dtype: str | None = dtype or None) -> Any:
        one = axes if isinstance(axes, tuple) else (False,) * axes
        return TensorType(dtype or float_type().name, one)(name)

    return make


for _letter, _kind in _LETTERS.items():
    for _name, _axes in _SHAPES.items():
        _made = _maker(_kind, _axes)
        _made.__name__ = _made.__qualname__ = _letter + _name
        _made.__doc__ = f"An input: a {_name} of {_kind or 'config.floatX'}."
        globals()[_letter + _name] = _made
        globals()[_letter + _name + "s"] = lambda *names, _made=_made: tuple(map(_made, names))

Axis = int | Sequence[int] | None


def _axis(axis: Axis) -> Any:
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else as_tensor(x)


def _as_dtype(name: Any) -> Any:
    return getattr(dtypes, "bool_" if str(name) == "bool" else np.dtype(name).name)


def _elementwise(name: str, function: Callable[..., Any] | None = None) -> Any:
    """A function of each element, as Theano names it."""
    known = tf[name] if function is None else function

    def apply(*args: Any) -> Any:
        return known(*[_tensor(args[0]), *args[1:]])

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = known.__doc__
    return deferred(apply)


def _named(name: str, source: str) -> Any:
    made = _elementwise(source)
    made.__name__ = made.__qualname__ = name
    made.__module__ = __name__
    return made


exp, log, log2, log10, log1p, expm1, sqrt, tanh, sinh, cosh, sin, cos, tan = (
    _named(n, n) for n in "exp log log2 log10 log1p expm1 sqrt tanh sinh cosh sin cos tan".split()
)
arcsin, arccos, arctan, floor, ceil, sgn, erf, erfc = (
    _named(n, m)
    for n, m in zip(
        "arcsin arccos arctan floor ceil sgn erf erfc".split(),
        "asin acos atan floor ceil sign erf erfc".split(),
    )
)
abs_, sqr, inv, isnan, isinf, invert = (
    _named(n, m)
    for n, m in zip(
        "abs_ sqr inv isnan isinf invert".split(),
        "abs square reciprocal isnan isinf logical_not".split(),
    )
)


@deferred
def round(x: Any, mode: str = "half_away_from_zero") -> Any:
    """To the nearest whole number; halves away from zero unless mode is half_to_even."""
    x = _tensor(x)
    return x.round() if mode == "half_to_even" else (x.abs() + 0.5).floor() * x.sign()


def _both(function: str) -> Callable[..., Any]:
    def apply(a: Any, b: Any) -> Any:
        a, b = _tensor(a), _tensor(b)
        return tf[function](a, b)

    return apply


def _binary(name: str, source: str) -> Any:
    apply = _both(source)
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = tf[source].__doc__
    return deferred(apply)


eq, neq, lt, le, gt, ge, maximum, minimum, add, sub, mul, true_div, pow = (
    _binary(n, m)
    for n, m in zip(
        "eq neq lt le gt ge maximum minimum add sub mul true_div pow".split(),
        "eq ne lt le gt ge maximum minimum add sub mul true_divide pow".split(),
    )
)
and_, or_, xor = (
    _binary(n, m)
    for n, m in zip("and_ or_ xor".split(), "logical_and logical_or logical_xor".split())
)


@deferred
def clip(x: Any, min: Any, max: Any) -> Any:
    """x, but at least min and at most max."""
    return minimum.compute(maximum.compute(x, min), max)


@deferred
def switch(cond: Any, ift: Any, iff: Any) -> Any:
    """ift where cond is true, else iff."""
    return tf["where"](_tensor(cond) != 0, _tensor(ift), _tensor(iff))


where = switch


@deferred
def dot(x: Any, y: Any) -> Any:
    """The product of matrices and vectors: over x's last axis and y's last but one."""
    x, y = _tensor(x), _tensor(y)
    if not x.dim() or not y.dim():
        return x * y
    if y.dim() > 2:
        return tf["tensordot"](x, y, dims=([x.dim() - 1], [y.dim() - 2]))
    return x @ y


@deferred
def batched_dot(x: Any, y: Any) -> Any:
    """The product of each matrix of x with that of y."""
    return _tensor(x) @ _tensor(y)


@deferred
def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """The product over several axes."""
    return tf["tensordot"](_tensor(x), _tensor(y), dims=axes)


@deferred
def outer(x: Any, y: Any) -> Any:
    """The product of each element of x with each of y."""
    return _tensor(x).reshape(-1, 1) * _tensor(y).reshape(1, -1)


def _reduction(name: str) -> Any:
    function = tf[name]

    def reduce(x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
        x = _tensor(x)
        if dtype is not None:
            x = x.to(_as_dtype(dtype))
        elif name in ("mean", "var", "std") and not x.dtype.is_inexact:
            x = x.to(float_type())
        dims = tuple(range(x.dim())) if axis is None else _axis(axis)
        if name in ("var", "std"):
            return function(x, dim=dims, keepdim=keepdims, unbiased=False)
        if name == "prod":
            for dim in sorted(dims if isinstance(dims, tuple) else (dims,), reverse=True):
                x = x.prod(dim, keepdim=keepdims)
            return x
        return function(x, dim=dims, keepdim=keepdims)

    reduce.__name__ = reduce.__qualname__ = {"amax": "max", "amin": "min"}.get(name, name)
    reduce.__doc__ = f"`{reduce.__name__}` over some axes, all without `axis`."
    return deferred(reduce)


sum, mean, prod, var, std, max, min, any, all = (
    _reduction(n) for n in "sum mean prod var std amax amin any all".split()
)


def _place(name: str) -> Any:
    function = tf[name]

    def find(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return function(_tensor(x), dim=axis, keepdim=keepdims)

    find.__name__ = find.__qualname__ = name
    find.__doc__ = f"{name} along an axis, of the flat array without `axis`."
    return deferred(find)


argmax, argmin = _place("argmax"), _place("argmin")


@deferred
def max_and_argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The largest elements and where they are."""
    return max.compute(x, axis, None, keepdims), argmax.compute(x, axis, keepdims)


@deferred
def cumsum(x: Any, axis: int | None = None) -> Any:
    """Running sums."""
    x = _tensor(x)
    return x.reshape(-1).cumsum(0) if axis is None else x.cumsum(axis)


@deferred
def argsort(x: Any, axis: int = -1) -> Any:
    """The order that sorts along an axis."""
    return tf["argsort"](_tensor(x), dim=axis, stable=True)


@deferred
def sort(x: Any, axis: int = -1) -> Any:
    """Sorted along an axis."""
    return tf["sort"](_tensor(x), dim=axis)[0]


def _reshape_guess(x: Any, newshape: Any, ndim: int | None = None) -> Samples | None:
    """A shape of known length is a guess even where the number of elements is not known."""
    fits = isinstance(newshape, (tuple, list)) and isinstance(x, Variable) and x.known is not None
    if not fits:
        return None
    sizes = [n if type(n) is int and n >= 0 else None for n in newshape]
    return samples_of(sizes, x.known[1])


def _reshape(x: Any, newshape: Any, ndim: int | None = None) -> Any:
    """The same elements in another shape; a size of -1 is found out."""
    sizes = newshape.tolist() if isinstance(newshape, (Tensor, np.ndarray)) else newshape
    return _tensor(x).reshape([int(n) for n in sizes])


_reshape.__name__ = _reshape.__qualname__ = "reshape"
reshape = deferred(_reshape, _reshape_guess)


@deferred
def flatten(x: Any, outdim: int = 1, ndim: int | None = None) -> Any:
    """The first axes kept, the rest as one."""
    x, n = _tensor(x), outdim if ndim is None else ndim
    return x.reshape(*x.shape[: n - 1], -1)


@deferred
def dimshuffle(x: Any, *pattern: Any) -> Any:
    """The axes in another order; 'x' is a new axis of size 1."""
    x = _tensor(x)
    axes = (
        list(pattern[0]) if len(pattern) == 1 and isinstance(pattern[0], (tuple, list)) else pattern
    )
    kept = [a for a in axes if a != "x"]
    dropped = [a for a in range(x.dim()) if a not in kept]
    y = x.permute(*kept, *dropped)
    if dropped:
        y = y.reshape(y.shape[: len(kept)])
    for at, a in enumerate(axes):
        if a == "x":
            y = y.unsqueeze(at)
    return y


@deferred
def transpose(x: Any, axes: Any = None) -> Any:
    """The axes in another order, in reverse without `axes`."""
    x = _tensor(x)
    return x.permute(*(range(x.dim() - 1, -1, -1) if axes is None else axes))


@deferred
def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes swapped."""
    return _tensor(x).transpose(axis1, axis2)


@deferred
def concatenate(tensors: Any, axis: int = 0) -> Any:
    """Joined along an axis."""
    return tf["cat"]([_tensor(t) for t in tensors], dim=axis)


@deferred
def stack(*tensors: Any, axis: int = 0) -> Any:
    """Joined along a new axis."""
    listed = tensors[0] if isinstance(tensors[0], (list, tuple)) else tensors
    return tf["stack"]([_tensor(t) for t in listed], dim=axis)


@deferred
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element several times."""
    return tf["repeat_interleave"](_tensor(x), repeats, dim=axis)


@deferred
def tile(x: Any, reps: Any, ndim: int | None = None) -> Any:
    """The whole several times along each axis."""
    return tf["tile"](_tensor(x), [int(r) for r in (reps if np.iterable(reps) else (reps,))])


@deferred
def take(a: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements, or parts along an axis, by number."""
    a, i = _tensor(a), _tensor(indices)
    if axis is None:
        return tf["take"](a, i)
    axis = axis % a.dim()
    return tf["index_select"](a, axis, i.reshape(-1)).reshape(
        [*a.shape[:axis], *i.shape, *a.shape[axis + 1 :]]
    )


@deferred
def cast(x: Any, dtype: Any) -> Any:
    """In another dtype."""
    return _tensor(x).to(_as_dtype(dtype))


@deferred
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    """Numbers at even steps."""
    bounds = [b.item() if isinstance(b, Tensor) else b for b in (start, stop) if b is not None]
    return _arange(*bounds, step=step, dtype=_as_dtype(dtype or "int64"))


def _sizes(sizes: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in (sizes if np.iterable(sizes) else (sizes,)))


@deferred
def alloc(value: Any, *sizes: Any) -> Any:
    """A value in every place of a shape."""
    return _tensor(value).broadcast_to(_sizes(sizes))


def _filled(name: str, function: Callable[..., Any]) -> Any:
    def fill(sizes: Any, dtype: Any = None) -> Any:
        return function(_sizes(sizes), dtype=float_type() if dtype is None else _as_dtype(dtype))

    fill.__name__ = fill.__qualname__ = name
    fill.__doc__ = f"{name} of a shape."
    return deferred(fill)


zeros, ones = _filled("zeros", zeros), _filled("ones", ones)


@deferred
def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Zeros of x's shape."""
    x = _tensor(x)
    return full(tuple(x.shape), 0, dtype=x.dtype if dtype is None else _as_dtype(dtype))


@deferred
def ones_like(x: Any, dtype: Any = None) -> Any:
    """Ones of x's shape."""
    x = _tensor(x)
    return full(tuple(x.shape), 1, dtype=x.dtype if dtype is None else _as_dtype(dtype))


@deferred
def eye(n: int, m: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on a diagonal."""
    kind = float_type() if dtype is None else _as_dtype(dtype)
    return as_tensor(np.eye(n, m, k)).to(kind)


@deferred
def diag(x: Any, k: int = 0) -> Any:
    """The diagonal of a matrix, or a matrix with this diagonal."""
    return tf["diag"](_tensor(x), k)


@deferred
def _with_part(base: Any, index: Any, y: Any, added: bool) -> Any:
    """base with y in the place of base[index], or added to it."""
    made = base.clone()
    made[index] = made[index] + y if added else y
    return made


def _whole(x: Any) -> tuple[Symbol, Any]:
    """What `x`, which must be a part of a variable, is a part of, and which part."""
    if len(x.args) != 2 or not isinstance(x.args[0], Symbol):
        raise TypeError(f"[set_subtensor] x must be a part of a variable, x[...]; got {x!r}")
    return x.args[0], x.args[1]


def set_subtensor(x: Any, y: Any, inplace: bool = False, **ignored: Any) -> Any:
    """The variable that `x` is a part of, with y in the place of that part."""
    return _with_part(*_whole(x), y, False)


def inc_subtensor(x: Any, y: Any, inplace: bool = False, **ignored: Any) -> Any:
    """The variable that `x` is a part of, with y added to that part."""
    return _with_part(*_whole(x), y, True)


@deferred
def constant(x: Any, name: str | None = None, ndim: int | None = None, dtype: Any = None) -> Any:
    """A value that does not change."""
    return _tensor(x) if dtype is None else _tensor(x).to(_as_dtype(dtype))


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None) -> Any:
    """x as a variable."""
    return x if isinstance(x, Symbol) else constant(x)


@deferred
def l2_norm(x: Any) -> Any:
    """The root of the sum of squares."""
    return (_tensor(x) ** 2).sum().sqrt()


def grad(
    cost: Any, wrt: Any, consider_constant: Any = None, disconnected_inputs: str = "raise",
    known_grads: Any = None, **ignored: Any,
) -> Any:  # fmt: skip
    """The gradient of a number for variables: one for one, a list for a list. ValueError where the
    cost does not depend on one of them; NotImplementedError for gradients that are given, and for
    constants that depend on one another.

    What goes by way of `consider_constant` is taken away again: the gradient for c, pulled back
    from c to x.
    """
    constants = list(consider_constant or ())
    if known_grads:
        raise NotImplementedError("[grad] known_grads is not supported")
    if _builtins.any(depends(a, b) for a in constants for b in constants if a is not b):
        raise NotImplementedError("[grad] constants that depend on one another are not supported")
    xs = list(wrt) if isinstance(wrt, (list, tuple)) else [wrt]
    found = _grad(cost, xs, disconnected_inputs, Variable)
    for c in constants:
        by_way = [k for k, x in enumerate(xs) if depends(cost, c) and depends(c, x)]
        if by_way:
            back = Gradients([c], [xs[k] for k in by_way], [_grad(cost, c, make=Variable)])
            for at, k in enumerate(by_way):
                found[k] = found[k] - Variable(operator.getitem, (back, at))
    return found if isinstance(wrt, (list, tuple)) else found[0]


_METHODS = (
    "sum mean prod var std max min any all argmax argmin cumsum argsort sort reshape flatten "
    "dimshuffle transpose swapaxes repeat take clip dot round"
).split()
for _name in _METHODS:
    setattr(Variable, _name, globals()[_name])
for _name, _made in (("astype", cast), ("norm", l2_norm)):
    setattr(Variable, _name, _made)

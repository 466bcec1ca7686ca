"""Tensors from values, shapes and ranges."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from . import dtypes, engine
from .devices import usable
from .dtypes import DType
from .functions._registry import by_name, function, method
from .functions.shape import shape_args
from .graph.node import Node
from .ops import elementwise as ew
from .ops import movement as mv
from .ops.scalar_numpy import to_stored
from .tensor import Tensor, broadcast_to, number, wrap


def _finish(node: Node, requires_grad: bool, device: Any) -> Tensor:
    if device is not None:
        usable(device)
    result = wrap(node)
    return result.requires_grad_() if requires_grad else result


def _plain(data: Any) -> Any:
    """Nested sequences with tensors in them as nested sequences of arrays and numbers."""
    if isinstance(data, Tensor):
        return data._held()
    if isinstance(data, (list, tuple)):
        return [_plain(x) for x in data]
    return data


def _contains_array(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return isinstance(data, (np.ndarray, np.generic, Tensor))


def _array(data: Any, dtype: DType | None) -> tuple[np.ndarray, DType]:
    """Data as held values and their dtype."""
    if isinstance(data, Tensor):
        return data._held(), dtype or data.dtype
    own = _contains_array(data)
    try:
        array = np.asarray(_plain(data))
    except ValueError as error:
        raise ValueError(f"[tensor] expected sequences of equal length; {error}") from error
    if array.dtype == object or array.dtype.kind in "USVMm":
        raise TypeError(f"[tensor] can't infer a dtype; got values of type {array.dtype}")
    if dtype is None:
        if array.dtype.kind == "c" and not own:
            dtype = dtypes.get_default().to_complex()
        elif (array.dtype.kind == "f" and not own) or (array.size == 0 and not own):
            dtype = dtypes.get_default()
        else:
            dtype = dtypes.from_numpy(array.dtype)
    return array, dtype


def _convert(array: np.ndarray, dtype: DType) -> Node:
    """A leaf of `dtype` with a copy of these values."""
    if dtype is dtypes.bfloat16:
        stored = to_stored(array.astype(np.float32), dtype)
    else:
        with np.errstate(all="ignore"):
            stored = array.astype(dtype.storage, copy=False)
    # Copied into memory of our own: lines of arrays of NumPy's seldom begin where vectors do.
    return engine.from_numpy(stored, dtype)


@function()
def tensor(
    data: Any,
    *,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested sequences, arrays, tensors.

    Python floats become the default dtype, ints int64, bools bool; arrays keep their dtype.

    >>> tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    array, dtype = _array(data, dtype)
    return _finish(_convert(array, dtype), requires_grad, device)


@function("as_tensor", "asarray")
def as_tensor(data: Any, dtype: DType | None = None, device: Any = None) -> Tensor:
    """`data` as a tensor: itself if it is one, sharing memory if it is an array of the same
    dtype."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray):
        shared = from_numpy(data)
        return shared if dtype is None or shared.dtype is dtype else shared.to(dtype)
    return tensor(data, dtype=dtype, device=device)


@function()
def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares memory with a NumPy array: a change of either is seen in both.

    The values of an array that may not be written to are copied. ValueError for steps backwards and
    for foreign byte orders.

    >>> import numpy, twofold as tf
    >>> a = numpy.zeros((2, 3), numpy.float32)
    >>> tf.from_numpy(a.T)[2, 1] = 5
    >>> a[1].tolist()
    [0.0, 0.0, 5.0]
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion "
            "between byte orders is currently not supported; try array.astype("
            f"numpy.{array.dtype.name})"
        )
    dtype = dtypes.from_numpy(array.dtype)
    if array.size and any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported; try array.copy()"
        )
    if array.flags.writeable:
        found = _shared(array, dtype) if array.flags.c_contiguous else _shared_window(array, dtype)
        if found is not None:
            return found
        warnings.warn(
            "[from_numpy] the array's steps are not those of a view of a whole array, so its "
            "values are copied: later changes of the array are not seen",
            stacklevel=2,
        )
    return wrap(engine.from_numpy(np.ascontiguousarray(array).reshape(array.shape), dtype))


def _shared(array: np.ndarray, dtype: DType) -> Tensor:
    """A tensor on the memory of a C-contiguous array."""
    node = engine.from_numpy(array, dtype, share=True)
    if not node.value.is_foreign:
        warnings.warn(
            "[from_numpy] the array ends where its memory mapping ends, which kernels read past, "
            "so its values are copied: writes to the tensor reach the array, not the reverse",
            stacklevel=3,
        )
    result = wrap(node)
    result._storage.pinned = array
    return result


def _shared_window(array: np.ndarray, dtype: DType) -> Tensor | None:
    """A window, by the array's steps, on the whole array that it is a view of; None without one."""
    whole = array.base
    while isinstance(whole, np.ndarray) and not whole.flags.c_contiguous:
        whole = whole.base
    item = array.itemsize
    if not isinstance(whole, np.ndarray) or whole.dtype != array.dtype:
        if not array.flags.f_contiguous:
            return None
        whole = array.T
    start = array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    if start % item or any(s % item for s in array.strides) or not whole.flags.writeable:
        return None
    flat = _shared(whole.reshape(-1), dtype)
    steps = [s // item for s in array.strides]
    view = flat.as_strided(array.shape, steps, start // item)
    return view if view._storage is flat._storage else None


def full_node(shape: tuple[int, ...], value: Any, dtype: DType) -> Node:
    """A value repeated to a shape, made where it is used."""
    return broadcast_to(number(value, dtype), shape)


def _checked(shape: tuple[int, ...]) -> tuple[int, ...]:
    for n in shape:
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
    return shape


def _filler(name: str, value: int) -> Any:
    @by_name("size")
    def make_filled(
        *size: Any,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        shape = _checked(shape_args(size))
        node = full_node(shape, value, dtype or dtypes.get_default())
        return _finish(node, requires_grad, device)

    def make_filled_like(
        input: Tensor,
        *,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        node = full_node(input._node().shape, value, dtype or input.dtype)
        return _finish(node, requires_grad, device)

    @by_name("size")
    def new_filled(
        self: Tensor, *size: Any, dtype: DType | None = None, device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        node = full_node(_checked(shape_args(size)), value, dtype or self.dtype)
        return _finish(node, requires_grad, device)

    make_filled.__name__, make_filled_like.__name__ = name, f"{name}_like"
    make_filled.__doc__ = f"A tensor of a shape, filled with {value}."
    make_filled_like.__doc__ = f"A tensor of input's shape and dtype, filled with {value}."
    new_filled.__doc__ = f"A tensor of a shape and of this one's dtype, filled with {value}."
    function(name)(make_filled)
    function(f"{name}_like")(make_filled_like)
    method(f"new_{name}")(new_filled)
    return make_filled, make_filled_like


zeros, zeros_like = _filler("zeros", 0)
ones, ones_like = _filler("ones", 1)
empty, empty_like = _filler("empty", 0)


@function()
def full(
    size: Any, fill_value: Any, *, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of a shape, filled with one value."""
    shape = (size,) if isinstance(size, int) else tuple(size)
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    node = full_node(_checked(shape), fill_value, dtype or dtypes.of_number(fill_value))
    return _finish(node, requires_grad, device)


@function()
def full_like(
    input: Tensor, fill_value: Any, *, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor of input's shape and dtype, filled with one value."""
    node = full_node(input._node().shape, fill_value, dtype or input.dtype)
    return _finish(node, requires_grad, device)


@method()
def new_full(
    self: Tensor, size: Any, fill_value: Any, *, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of a shape and of this one's dtype, filled with one value."""
    return full(
        size, fill_value, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad
    )


@method()
def new_tensor(
    self: Tensor, data: Any, *, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor with a copy of `data`, of this one's dtype."""
    return tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@function()
def scalar_tensor(value: Any, *, dtype: DType | None = None, device: Any = None) -> Tensor:
    """A 0-d tensor."""
    return full((), value, dtype=dtype or dtypes.get_default(), device=device)


@function()
def arange(
    *bounds: Any,
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    dtype: DType | None = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... up to but without end.

    >>> arange(2, 8, 3)
    tensor([2, 5])
    """
    if len(bounds) == 1 and end is not None:
        start = bounds[0]
    elif len(bounds) == 1:
        end = bounds[0]
    elif len(bounds) == 2:
        start, end = bounds
    elif len(bounds) == 3:
        start, end, step = bounds
    start, end, step = (
        x.item() if isinstance(x, (Tensor, np.generic)) else x
        for x in (0 if start is None else start, end, step)
    )
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is None:
        whole = all(isinstance(x, int) for x in (start, end, step))
        dtype = dtypes.int64 if whole else dtypes.get_default()
    n = math.ceil((end - start) / step)
    wide = dtypes.int64 if dtype.kind != "float" else dtypes.float64
    values = mv.iota(n)
    if wide is dtypes.float64:
        values = ew.cast(values, wide)
    if step != 1:
        values = ew.mul(values, number(step, wide))
    if start != 0:
        values = ew.add(values, number(start, wide))
    return _finish(ew.cast(values, dtype), requires_grad, device)


def _linspace_node(start: float, end: float, steps: int, dtype: DType) -> Node:
    """Counted from the nearer end, as PyTorch does, so that both ends are exact."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    wide = dtypes.float64
    index = ew.cast(mv.iota(steps), wide)
    step = number((end - start) / (steps - 1) if steps > 1 else 0.0, wide)
    back = ew.sub(number(steps - 1, wide), index)
    up = ew.add(number(start, wide), ew.mul(step, index))
    down = ew.sub(number(end, wide), ew.mul(step, back))
    return ew.where(ew.lt(index, number(steps / 2, wide)), up, down)


@function()
def linspace(
    start: float, end: float, steps: int, *, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """`steps` numbers from start to end, evenly apart."""
    dtype = dtype or dtypes.get_default()
    node = _linspace_node(float(start), float(end), steps, dtype)
    return _finish(ew.cast(node, dtype), requires_grad, device)


@function()
def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: DType | None = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """base to the power of `steps` numbers from start to end, evenly apart."""
    dtype = dtype or dtypes.get_default()
    exponents = _linspace_node(float(start), float(end), steps, dtype)
    node = ew.pow_(number(float(base), dtypes.float64), exponents)
    return _finish(ew.cast(node, dtype), requires_grad, device)


@function()
def eye(
    n: int, m: int | None = None, *, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The identity matrix, n by m."""
    m = n if m is None else m
    rows, columns = mv.reshape(mv.iota(n), (n, 1)), mv.reshape(mv.iota(m), (1, m))
    node = ew.cast(ew.eq(rows, columns), dtype or dtypes.get_default())
    return _finish(node, requires_grad, device)


def _triangle(input: Tensor, diagonal: int, lower: bool) -> Tensor:
    x = input._node()
    if len(x.shape) < 2:
        raise RuntimeError("tril/triu: input tensor must have at least 2 dimensions")
    n, m = x.shape[-2:]
    rows, columns = mv.reshape(mv.iota(n), (n, 1)), mv.reshape(mv.iota(m), (1, m))
    offset = ew.sub(columns, rows)
    bound = number(diagonal, dtypes.int64)
    kept = ew.le(offset, bound) if lower else ew.ge(offset, bound)
    return wrap(ew.where(kept, x, number(0, x.dtype)))


@function()
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The elements on and below a diagonal; 0 elsewhere."""
    return _triangle(input, diagonal, True)


@function()
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The elements on and above a diagonal; 0 elsewhere."""
    return _triangle(input, diagonal, False)


method("tril")(tril)
method("triu")(triu)


@function()
def frombuffer(
    buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A vector of the elements in a buffer of bytes, whose memory it shares if that is writable."""
    if dtype is dtypes.bfloat16:
        raise ValueError("[frombuffer] bfloat16 has no type in NumPy; got dtype=bfloat16")
    array = np.frombuffer(buffer, dtype.storage, count, offset)
    result = from_numpy(array)
    return result.requires_grad_() if requires_grad else result


@function()
def from_file(
    filename: str, shared: bool | None = None, size: int = 0, *, dtype: DType | None = None,
    layout: Any = None, device: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A vector of `size` elements of a file; with `shared`, writes go to the file."""
    dtype = dtype or dtypes.get_default()
    mode: Any = "r+" if shared else "c"
    mapped = np.memmap(filename, dtype.storage, mode, shape=(size,))
    return from_numpy(np.asarray(mapped))

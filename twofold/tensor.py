"""The public tensor: a window on a storage.

A `Storage` is a mutable cell with a graph value; a `Tensor` looks at it through a window, a chain
of
movement steps (none for most tensors). Everything that changes a tensor goes through `_write`.
Methods
that compute are attached by the modules of `functions/`; gradients by `autograd_api.py`.
"""

from __future__ import annotations

import copy
import math
import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dtypes, engine, windows
from .at_once import written
from .autograd.reverse import grad_mode
from .devices import Device
from .dtypes import DType
from .errors import InternalError
from .graph.node import LEAF, Node, leaf, make, recorder
from .graph.observe import Live
from .graph.storage import Storage, hold
from .graph.types import Type
from .mirrors import follow, tied
from .ops import custom
from .ops import elementwise as ew
from .ops.body import recording
from .ops.complex import complex_
from .ops.scalar_numpy import to_held, to_stored
from .runtime.buffers import Buffer
from .windows import DETACH_STEP, Window


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple of its extents.

    >>> Size((2, 3)).numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"twofold.Size({list(self)})"


_CPU = Device("cpu")


class Target(weakref.ref):
    """What a node knows of its tensor: a weak reference, hooks, and whether to keep the
    gradient."""

    __slots__ = ("hooks", "post_hooks", "retain")

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor)  # type: ignore[call-arg]
        self.hooks: dict[int, Callable[[Any], Any]] = {}
        self.post_hooks: dict[int, Callable[[Any], Any]] = {}
        self.retain = False


class Tensor:
    """An array of numbers of one dtype that records what is computed with it.

    Made by `twofold.tensor`, `zeros`, `rand` and the like.

    >>> import twofold as tf
    >>> x = tf.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __array_priority__ = 1000

    _storage: Storage
    _window: Window = ()
    _base: Node | None = None  # the storage's value for which `_seen` is what the window shows
    _seen: Node | None = None
    _target: Target | None = None
    grad: Tensor | None = None

    def __new__(cls, data: Any = None, *args: Any, **kwargs: Any) -> Tensor:
        if cls is Tensor:
            if data is None:
                return wrap(engine.from_numpy(np.empty(0, dtypes.get_default().storage)))
            if isinstance(data, int):
                shape = (data, *args)
                return wrap(engine.from_numpy(np.zeros(shape, np.float32)))
            if isinstance(data, Tensor):
                return data.detach()
            return wrap(engine.from_numpy(np.asarray(data, np.float32)))
        return object.__new__(cls)

    @staticmethod
    def _make_subclass(cls: type, data: Tensor, require_grad: bool = False) -> Any:
        """A tensor of class `cls` on data's storage, cut from its history."""
        result: Any = object.__new__(cls)
        if not require_grad and not data._window and not data.requires_grad:
            result._storage = data._storage
            return result
        if data._window or data.requires_grad:
            node = windows.read(data._storage.node, (*data._window, DETACH_STEP))
            result._storage = tied(data._storage, data._window, node)
        else:
            result._storage = data._storage
        if require_grad:
            result.requires_grad_(True)
        return result

    if TYPE_CHECKING:
        # What the modules of `functions/` attach, for type checkers.

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __pow__(self, exponent: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]

    # The value.

    def _node(self) -> Node:
        """The graph value that this tensor shows."""
        base = self._storage.node
        if not self._window:
            return base
        if self._base is base and not self._shows_rows():
            return self._seen  # type: ignore[return-value]
        before = recorder.grad_enabled
        recorder.grad_enabled = True
        try:
            self._seen = windows.read(base, self._window)
        finally:
            recorder.grad_enabled = before
        self._base = base
        return self._seen

    def _shows_rows(self) -> bool:
        """Whether what is shown hides from a function that is being captured where it comes
        from."""
        return recorder.observer is not None and self._seen.value is not None  # type: ignore[union-attr]

    def _view(self, op: Any, attrs: tuple) -> Tensor:
        """This storage through one more movement step. The op's errors are raised here."""
        seen = self._node()
        node = make(op, (seen,), attrs)
        if op is windows.SLICE and recorder.observer is None and not seen.structure.requires_grad:
            node = engine.rows(seen, attrs[0]) or node
        result = object.__new__(Tensor)
        result._storage = self._storage
        window = (*self._window, (op, attrs))
        if not recorder.grad_enabled and self._storage.node.structure.requires_grad:
            window = (*window, DETACH_STEP)
        result._window = window
        result._base, result._seen = self._storage.node, node
        return result

    def _layout(self) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        """Shape, strides and offset as PyTorch would have them."""
        return windows.layout(self._storage.node.structure.shape, self._window)

    # Writing: the one way by which tensors change.

    def _write(self, value: Node) -> None:
        """Let this tensor show `value`, of its shape and dtype; every window on the storage
        sees it."""
        storage, window = self._storage, self._window
        base = storage.node
        _require_within(base)
        s = base.structure
        cut = not recorder.grad_enabled or (bool(window) and windows.is_detached(window))
        if not s.requires_grad:
            if cut and value.structure.requires_grad:
                value = ew.detach(value)
            at_once = written(base, window, value) if window else None
            if at_once is not None:
                new = at_once
            else:
                new = windows.write(base, window, value) if window else value
                if _is_leaf_node(new):
                    new = custom.identity(new)
        else:
            is_leaf = _is_leaf_node(base)
            if not cut:
                if is_leaf:
                    view = "view of a leaf" if window else "leaf"
                    raise RuntimeError(
                        f"a {view} Variable that requires grad is being used in an in-place "
                        "operation."
                    )
                new = windows.write(base, window, value) if window else value
                if _is_leaf_node(new):
                    new = custom.identity(new)
            else:
                with grad_mode(False):
                    new = ew.detach(value)
                    if window:
                        new = windows.write(ew.detach(base), window, new)
                if is_leaf:
                    new = ew.variable(new)
                    new.target = base.target
                else:
                    with grad_mode(True):
                        new = custom.replace(base, new)
        if storage.pinned is not None:
            new = write_back(storage, new)
        observer = recorder.observer
        observed = observer is not None and observer.broken is None
        if not new.inputs and (observed or new.value.__class__ is not Buffer):
            # A write that an observer sees happen, of a value that is this storage's own.
            new = custom.identity(new)
        storage.write(new)
        if storage.ties:
            for other, node in follow(storage, new):
                other.write(node if other.pinned is None else write_back(other, node))

    def _assign(self, result: Tensor) -> Tensor:
        """Write `result` as an in-place method does: it may broadcast, and be cast within
        reason."""
        node = result._node()
        mine = self._node().structure
        dtype = node.structure.dtype
        if dtype is not mine.dtype:
            if dtypes.category(dtype) > dtypes.category(mine.dtype):
                raise RuntimeError(
                    f"result type {NAMES[dtype]} can't be cast to the desired output type "
                    f"{NAMES[mine.dtype]}"
                )
            node = ew.cast(node, mine.dtype)
        if node.structure.shape != mine.shape:
            if math.prod(node.shape) > math.prod(mine.shape) or len(node.shape) > len(mine.shape):
                raise RuntimeError(
                    f"output with shape {list(mine.shape)} doesn't match the broadcast shape "
                    f"{list(node.shape)}"
                )
            node = broadcast_to(node, mine.shape)
        self._write(node)
        return self

    def _store(self, result: Tensor) -> Tensor:
        """Write `result` as `out=` does: this tensor takes its shape."""
        if recorder.grad_enabled and (result.requires_grad or self.requires_grad):
            raise RuntimeError(
                "functions with out=... arguments don't support automatic differentiation, but one "
                "of the arguments requires grad."
            )
        if self.shape != result.shape:
            self._window, self._base, self._seen = (), None, None
            self._storage = Storage(ew.cast(result._node(), self.dtype))
            return self
        return self._assign(result)

    # What it is.

    @property
    def shape(self) -> Size:
        """The extent of each axis."""
        return Size(self._node().structure.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the extent of axis `dim`."""
        shape = self._node().structure.shape
        return Size(shape) if dim is None else shape[wrap_dim(dim, len(shape))]

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self._node().structure.dtype

    @property
    def device(self) -> Device:
        """Where the values lie."""
        return _CPU

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._node().structure.shape)

    def dim(self) -> int:
        """The number of axes."""
        return len(self._node().structure.shape)

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self._node().structure.shape)

    nelement = numel

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    element_size = lambda self: self.dtype.itemsize  # noqa: E731

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.numel() * self.dtype.itemsize

    @property
    def is_cuda(self) -> bool:
        """Whether the values lie on a GPU."""
        return False

    @property
    def is_sparse(self) -> bool:
        """Always False: every tensor is dense."""
        return False

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.dtype.kind == "float"

    def is_complex(self) -> bool:
        """Whether the elements are complex numbers."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the elements can be negative."""
        return self.dtype.is_signed

    def stride(self, dim: int | None = None) -> Any:
        """Steps in elements along each axis, as PyTorch's view of the same kind has them."""
        shape, strides, _ = self._layout()
        return strides if dim is None else strides[wrap_dim(dim, len(shape))]

    def storage_offset(self) -> int:
        """The position of the first element in the storage."""
        return self._layout()[2]

    def is_contiguous(self, memory_format: object = None) -> bool:
        """Whether the elements lie row-major and dense."""
        shape, strides, _ = self._layout()
        return windows.is_contiguous(shape, strides)

    @property
    def _version(self) -> int:
        return self._storage.version

    # Gradients: what concerns one tensor alone.

    @property
    def requires_grad(self) -> bool:
        """Whether gradients with respect to this tensor are recorded."""
        return self._node().structure.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Make this tensor a leaf that requires a gradient, or no more. RuntimeError for
        results."""
        node = self._node()
        if node.structure.requires_grad == requires_grad:
            return self
        if requires_grad:
            if not node.structure.dtype.is_inexact:
                raise RuntimeError(
                    "only Tensors of floating point and complex dtype can require gradients"
                )
            if node.value is not None:
                new = leaf(node.value, node.structure.type, requires_grad=True)
            else:
                new = ew.variable(node)
            if self._target is None:
                self._target = Target(self)
            new.target = self._target
        else:
            if not self.is_leaf:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to "
                    "use a "
                    "computed variable in a subgraph that doesn't require differentiation use "
                    "var_no_grad = var.detach()."
                )
            if node.value is not None:
                new = leaf(node.value, node.structure.type)
            else:
                new = ew.detach(node)
        if self._window:
            self._storage = tied(self._storage, self._window, new)
            self._window, self._base, self._seen = (), None, None
        else:
            self._storage.node = new
            if new.value is None:
                self._storage.write(new)
            else:
                hold(weakref.ref(self._storage), new)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was not computed from tensors that require gradients."""
        node = self._node()
        if not node.structure.requires_grad:
            return True
        return not self._window and _is_leaf_node(node) and node.target() is self

    def detach(self) -> Tensor:
        """This tensor's values, sharing its storage, through which no gradient flows."""
        result = object.__new__(Tensor)
        result._storage = self._storage
        result._window = (*self._window, DETACH_STEP)
        return result

    def detach_(self) -> Tensor:
        """Cut this tensor from its history."""
        node = self._node()
        if node.structure.requires_grad:
            if self._window:
                raise RuntimeError("Can't detach views in-place; use detach() instead.")
            self._storage.write(ew.detach(node))
        return self

    @property
    def data(self) -> Tensor:
        """The values without their history; writing to it is not recorded."""
        return self.detach()

    @data.setter
    def data(self, new: Tensor) -> None:
        _require_within(self._storage.node)
        node = ew.detach(new._node())
        if self.requires_grad:
            requires = ew.variable(node)
            requires.target = self._target
            self._storage = tied(new._storage, new._window, requires)
        elif new._window:
            self._storage = tied(new._storage, new._window, node)
        else:
            self._storage = new._storage
        self._window, self._base, self._seen = (), None, None

    # Values for Python and NumPy.

    def _array(self) -> np.ndarray:
        """The stored values, sharing memory where the window allows."""
        return windows.numpy_view(engine.to_numpy(self._storage.node), self._window)

    def _held(self) -> np.ndarray:
        """The values in a type that NumPy computes with."""
        return to_held(self._array(), self.dtype)

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The values as a NumPy array that shares this tensor's memory. RuntimeError if a gradient
        is required, unless `force`; TypeError for bfloat16, which NumPy has not."""
        if self.requires_grad and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        if self.dtype is dtypes.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return windows.numpy_view(_shared_array(self._storage), self._window)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is None or array.dtype == dtype:
            return array.copy() if copy else array
        if copy is False:
            raise ValueError("[__array__] a change of dtype needs a copy; got copy=False")
        return array.astype(dtype)

    def item(self) -> Any:
        """The one element, as a Python number. RuntimeError if there are more or none."""
        n = self.numel()
        if n != 1:
            raise RuntimeError(f"a Tensor with {n} elements cannot be converted to Scalar")
        return self._held().item()

    def tolist(self) -> Any:
        """The elements as nested lists."""
        return self._held().tolist()

    def __bool__(self) -> bool:
        n = self.numel()
        if n != 1:
            which = "no values" if n == 0 else "more than one value"
            raise RuntimeError(f"Boolean value of Tensor with {which} is ambiguous")
        return bool(self._held().item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.is_inexact or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __len__(self) -> int:
        shape = self._node().structure.shape
        if not shape:
            raise TypeError("len() of a 0-d tensor")
        return shape[0]

    def __format__(self, spec: str) -> str:
        if not self._node().structure.shape and spec:
            return self.item().__format__(spec)
        return object.__format__(self, spec)

    __hash__ = object.__hash__

    # Copies and files.

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment."
            )
        result = object.__new__(type(self))
        memo[id(self)] = result
        node = self._node()
        array = np.array(self._array(), order="C")
        result._storage = Storage(engine.from_numpy(array, node.dtype, share=True))
        if node.structure.requires_grad:
            result.requires_grad_(True)
        if self.grad is not None:
            result.grad = copy.deepcopy(self.grad, memo)
        for name, value in self.__dict__.items():
            if name not in _INTERNAL:
                result.__dict__[name] = copy.deepcopy(value, memo)
        return result

    def __reduce_ex__(self, protocol: Any) -> tuple:
        extra = {k: v for k, v in self.__dict__.items() if k not in _INTERNAL}
        array = np.ascontiguousarray(self._array()).reshape(self._node().shape)
        return rebuild, (type(self), array, self.dtype, self.requires_grad, extra)


_INTERNAL = frozenset(["_storage", "_window", "_base", "_seen", "_target", "grad"])

NAMES = dict(
    zip(
        dtypes.ALL,
        (
            "Bool Byte Char Short Int Long Half BFloat16 Float Double ComplexFloat ComplexDouble"
        ).split(),
        strict=True,
    )
)
"""PyTorch's names of dtypes in messages."""


def rebuild(cls: type, array: np.ndarray, dtype: DType, requires_grad: bool, extra: dict) -> Any:
    """The tensor that a pickle describes."""
    result: Any = object.__new__(cls)
    result._storage = Storage(engine.from_numpy(array, dtype))
    if requires_grad:
        result.requires_grad_(True)
    result.__dict__.update(extra)
    return result


_new = object.__new__
_reference = weakref.ref


def wrap(node: Node) -> Tensor:
    """A new tensor that holds `node`."""
    if not node.inputs:
        node = _own(node)
    storage = _new(Storage)
    storage.node = node
    storage.version = 0
    storage.pinned = None
    storage.ties = ()
    rec = recorder
    storage.born = rec.epoch
    if node.value is None:
        storage.epoch = rec.epoch
        rec.pending.append(_reference(storage))
        if rec.serial > rec.flush_at:
            engine.flush()
    else:
        storage.epoch = 0
        hold(_reference(storage), node)
    result = _new(Tensor)
    result._storage = storage
    return result


def _require_within(node: Node) -> None:
    """RuntimeError where a loop's body is being recorded and what it writes to is not its own."""
    if node.serial <= recording.since:
        raise RuntimeError(
            "[scan] the body of a loop is recorded once, so it cannot write to a tensor from "
            "outside of it; try carrying its value from step to step"
        )


def _own(node: Node) -> Node:
    """A number, which many graphs may share, as a value that one tensor can call its own."""
    s = node.structure
    if s.op is ew.CONSTANT:
        return custom.identity(node)
    if node.value is None or node.value.__class__ is Buffer or recorder.observer is not None:
        return node
    held = np.asarray(node.value, s.dtype.compute.storage)
    return engine.from_numpy(to_stored(held, s.dtype), s.dtype)


def _is_leaf_node(node: Node) -> bool:
    """Whether `node` is the value of a leaf tensor that requires a gradient."""
    if node.target.__class__ is not Target:
        return False
    op = node.structure.op
    return op is LEAF or op.starts_gradient


def _shared_array(storage: Storage) -> np.ndarray:
    """The storage's memory as an array to hand out: later writes to the storage go into it too."""
    if storage.pinned is not None:
        engine.note_look()
        return storage.pinned
    node = storage.node
    array = engine.to_numpy(node)
    s = node.structure
    value = node.value
    if s.requires_grad and not _is_leaf_node(node):
        engine.realize([])  # what is pending reads the value as it is now
        # The slot, the array, the local name and getrefcount's argument make four: more are others
        # whose value turned out to be this one.
        if sys.getrefcount(value) > 4:
            node.value = engine.from_numpy(array, s.dtype).value
            array = engine.to_numpy(node)
        return array
    # The slot, the local name and getrefcount's argument make three; more are other users, whose
    # value must not change with this array.
    if sys.getrefcount(node) > 3 or sys.getrefcount(value) > 3:
        array = array.copy()
    shared = engine.from_numpy(array, s.dtype, share=True, requires_grad=s.requires_grad)
    shared.target = node.target
    storage.node = shared
    hold(weakref.ref(storage), shared)
    storage.pinned = array
    return array


def write_back(storage: Storage, new: Node) -> Node:
    """Put `new` into the memory that was handed out, if anyone may still look at it."""
    array = storage.pinned
    old = storage.node
    ours = array.base is None or isinstance(getattr(array.base, "buffer", None), Buffer)
    in_array = isinstance(old.value, Buffer) and old.value.owner is array
    # The slot, the local name, getrefcount's argument and the buffer of the node make four.
    if ours and sys.getrefcount(array) <= 3 + in_array:
        storage.pinned = None
        return new
    s = new.structure
    if s.requires_grad and not _is_leaf_node(new):
        return new
    if recorder.observer is not None:
        engine.realize([new])  # tells it that what follows is no part of the graph
    value = np.array(engine.to_numpy(new))
    if isinstance(old.value, Buffer):
        old.value.let_parts_go()
    if sys.getrefcount(old) > 3:
        old.value = engine.from_numpy(array, s.dtype).value
    array[...] = value
    shared = engine.from_numpy(array, s.dtype, share=True, requires_grad=s.requires_grad)
    shared.target = new.target
    return shared


_SCALAR_TYPES = {dtype: Type((), dtype) for dtype in dtypes.ALL}
_INTEGER_BITS = {d: 8 * d.itemsize for d in dtypes.INTEGERS}


def number(value: Any, dtype: DType) -> Node:
    """A Python number as a 0-d node of `dtype`, wrapped into its range as C does."""
    if value.__class__ is Live:
        node = leaf(float(value), _SCALAR_TYPES[dtype], False, True)
        if recorder.observer is not None:
            recorder.observer.live(node, value.read)
        return node
    if dtype.kind != "float":
        if dtype.kind == "complex":
            return _complex_number(complex(value), dtype)
        if dtype.kind == "bool":
            return ew.constant(bool(value), dtype)
        value = int(value)
        bits = _INTEGER_BITS[dtype]
        low = 0 if dtype.kind == "uint" else -(1 << (bits - 1))
        if not low <= value < low + (1 << bits):
            value = (value - low) % (1 << bits) + low
    if value in ew.SPECIAL:
        return ew.constant(value, dtype)
    return leaf(value, _SCALAR_TYPES[dtype], False, True)


def number_tensor(value: Any, dtype: DType) -> Tensor:
    """A 0-d tensor of a run-time number, for graphs to read: nothing may write to it."""
    result = _new(Tensor)
    result._storage = Storage(number(value, dtype))
    return result


def _complex_number(value: complex, dtype: DType) -> Node:
    """A complex number by its parts, which are run-time inputs."""
    real = dtype.to_real()
    return complex_(number(value.real, real), number(value.imag, real))


def broadcast_to(node: Node, shape: tuple[int, ...]) -> Node:
    """`node` expanded to `shape`."""
    return node if node.structure.shape == shape else make(windows.EXPAND, (node,), (shape,))


def wrap_dim(dim: int, rank: int) -> int:
    """`dim` counted from the front. IndexError if there is no such axis."""
    bound = max(rank, 1)
    if not -bound <= dim < bound:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got "
            f"{dim})"
        )
    return dim + bound if dim < 0 else dim


def from_held(array: np.ndarray, dtype: DType) -> Tensor:
    """A tensor of `dtype` with these values."""
    return wrap(engine.from_numpy(to_stored(np.asarray(array), dtype), dtype))


def from_stored(array: np.ndarray, dtype: DType) -> Tensor:
    """A tensor of `dtype` that takes over the memory of `array`, whose elements are as they are
    stored (bfloat16 as its bits)."""
    if array.dtype != dtype.storage:
        raise InternalError(f"[from_stored] elements of {array.dtype} are not those of {dtype}")
    array = np.ascontiguousarray(array).reshape(array.shape)
    return wrap(engine.from_numpy(array, dtype, share=True))

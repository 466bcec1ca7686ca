"""Settings of the whole process under PyTorch's names, and questions about tensors and types."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

from . import config, dtypes
from .devices import usable
from .dtypes import DType, category
from .functions._registry import function, functions, method
from .functions.random import default_generator
from .graph.types import broadcast_shapes as _broadcast
from .tensor import NAMES, Device, Size, Tensor

_state: dict[str, Any] = {
    "deterministic": 0, "precision": "highest", "warn_always": False, "device": Device("cpu"),
}  # fmt: skip


class Layout:
    """How the elements of a tensor are kept."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"twofold.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class MemoryFormat(Layout):
    """An order of axes in memory. Twofold chooses layouts itself: these are accepted as hints."""


strided = Layout("strided")
sparse_coo, sparse_csr = Layout("sparse_coo"), Layout("sparse_csr")
sparse_csc, sparse_bsr, sparse_bsc = (Layout(f"sparse_{n}") for n in ("csc", "bsr", "bsc"))
preserve_format, contiguous_format = (
    MemoryFormat(f"{n}_format") for n in ("preserve", "contiguous")
)
channels_last, channels_last_3d = MemoryFormat("channels_last"), MemoryFormat("channels_last_3d")
Tensor.layout = strided  # type: ignore[attr-defined]


@function("get_num_threads")
def get_num_threads() -> int:
    """The number of threads a plan runs on."""
    return config.current().threads


@function("set_num_threads")
def set_num_threads(n: int) -> None:
    """Let plans run on n threads."""
    if n <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    config.update(threads=int(n))


@function("get_num_interop_threads")
def get_num_interop_threads() -> int:
    """1: plans run one at a time."""
    return 1


@function("set_num_interop_threads")
def set_num_interop_threads(n: int) -> None:
    """Accepted: plans run one at a time whatever n is."""
    if n <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")


@function("use_deterministic_algorithms")
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Remembered: results are the same from run to run in any case."""
    _state["deterministic"] = (1 if warn_only else 2) if mode else 0


@function("are_deterministic_algorithms_enabled")
def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return _state["deterministic"] > 0


@function("is_deterministic_algorithms_warn_only_enabled")
def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return _state["deterministic"] == 1


@function("get_deterministic_debug_mode")
def get_deterministic_debug_mode() -> int:
    """0, 1 (warn) or 2 (error)."""
    return _state["deterministic"]


@function("set_deterministic_debug_mode")
def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """ "default", "warn" or "error"."""
    names = {"default": 0, "warn": 1, "error": 2}
    mode = names.get(debug_mode) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(
            "invalid value of debug_mode, expected one of `default`, `warn`, `error`; got "
            f"{debug_mode}"
        )
    _state["deterministic"] = mode


@function("get_float32_matmul_precision")
def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told."""
    return _state["precision"]


@function("set_float32_matmul_precision")
def set_float32_matmul_precision(precision: str) -> None:
    """ "highest", "high" or "medium"; products of float32 are made in float32 in any case."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the precision is unchanged"
        )
    _state["precision"] = precision


@function("is_warn_always_enabled")
def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was told."""
    return _state["warn_always"]


@function("set_warn_always")
def set_warn_always(b: bool) -> None:
    """Remembered; Python's own filters say which warnings are shown."""
    _state["warn_always"] = bool(b)


@function("set_flush_denormal")
def set_flush_denormal(mode: bool) -> bool:
    """False: denormal numbers are always computed with."""
    return False


@function("get_default_device")
def get_default_device() -> Device:
    """The device of new tensors."""
    return _state["device"]


@function("set_default_device")
def set_default_device(device: Any) -> None:
    """The device of new tensors, of which there is one. RuntimeError for others."""
    _state["device"] = usable("cpu" if device is None else device)


_TYPES = {f"{name}Tensor": dtype for dtype, name in NAMES.items()}
"""PyTorch's tensor types by the dtype they stand for."""


@function("set_default_tensor_type")
def set_default_tensor_type(t: Any) -> None:
    """`set_default_dtype` by the name of a tensor type, such as "torch.FloatTensor"."""
    name = (t if isinstance(t, str) else t.__name__).rpartition(".")[2]
    if name not in _TYPES or not _TYPES[name].is_floating_point:
        raise TypeError(
            f"invalid type object: only floating-point types are supported as the default type; "
            f"got {t}"
        )
    dtypes.set_default(_TYPES[name])


# Arguments that all functions have which make tensors.


def _with_hints(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` with `layout`, `device`, `requires_grad` and hints about memory."""

    @functools.wraps(f)
    def apply(
        *args: Any, layout: Any = None, device: Any = None, requires_grad: bool = False,
        pin_memory: bool = False, memory_format: Any = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        if layout is not None and layout is not strided:
            raise RuntimeError(f"[{f.__name__}] makes strided tensors; got layout={layout}")
        if device is not None:
            usable(device)
        result = f(*args, **kwargs)
        return result.requires_grad_() if requires_grad else result

    return apply


for _name in (
    "arange bartlett_window blackman_window empty empty_like eye full full_like hamming_window "
    "hann_window kaiser_window linspace logspace normal ones ones_like rand rand_like randint "
    "randint_like randn randn_like randperm range scalar_tensor tril_indices triu_indices zeros "
    "zeros_like"
).split():
    functions[_name] = _with_hints(functions[_name])
for _name in "new_empty new_full new_ones new_zeros".split():
    setattr(Tensor, _name, _with_hints(getattr(Tensor, _name)))


# Questions.


def _dtype_question(name: str, doc: str) -> None:
    def apply(input: Tensor) -> bool:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}(): argument 'input' (position 1) must be Tensor, not "
                f"{type(input).__name__}"
            )
        return getattr(input, name)()

    apply.__name__, apply.__doc__ = name, doc
    functions[name] = apply


_dtype_question("is_floating_point", "Whether the elements are floating-point numbers.")
_dtype_question("is_complex", "Whether the elements are complex numbers.")
_dtype_question("is_signed", "Whether the elements can be negative.")


@function("is_tensor")
def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


@function("is_storage")
def is_storage(obj: Any) -> bool:
    """Whether `obj` is a storage handed out by a tensor: these are not made here."""
    return False


@function("is_nonzero")
def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not 0."""
    n = input.numel()
    if n != 1:
        which = "no values" if n == 0 else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {which} is ambiguous")
    return bool(input.item())


method("is_nonzero")(is_nonzero)


@function("is_inference")
def is_inference(input: Tensor) -> bool:
    """False: what inference mode makes is like any other tensor."""
    return False


method("is_inference")(is_inference)


@function("is_conj")
def is_conj(input: Tensor) -> bool:
    """False: conjugates are computed, not marked."""
    return False


method("is_conj")(is_conj)


@method("is_neg")
def is_neg(self: Tensor) -> bool:
    """False: negatives are computed, not marked."""
    return False


@function("is_same_size")
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return input.shape == other.shape


method("is_same_size")(is_same_size)


@function("can_cast")
def can_cast(from_: DType, to: DType) -> bool:
    """Whether a dtype may be cast to another as in-place operations do.

    >>> can_cast(dtypes.float64, dtypes.int32)
    False
    """
    if category(from_) > category(to):
        return False
    return to is not dtypes.bool_ or from_ is dtypes.bool_


@function("result_type")
def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype of an operation on these tensors or numbers."""
    operands = []
    for x in (tensor1, tensor2):
        if isinstance(x, Tensor):
            operands.append((x.dtype, 2 if x.dim() else 1))
        else:
            operands.append((dtypes.of_number(x), 0))
    return dtypes.result_type(operands)


@function("typename")
def typename(obj: Any) -> str:
    """The name of a tensor's type, or of an object's class."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    module = getattr(obj, "__module__", None) or kind.__module__
    name = getattr(obj, "__qualname__", None) or kind.__qualname__
    return name if module in ("builtins", "") else f"{module}.{name}"


@function("broadcast_shapes")
def broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which these shapes broadcast."""
    parts = [(s,) if isinstance(s, int) else tuple(int(n) for n in s) for s in shapes]
    for s in parts:
        if any(n < 0 for n in s):
            raise RuntimeError(
                f"Trying to create tensor with negative dimension ({min(s)}): ({min(s)})"
            )
    return Size(_broadcast("broadcast_shapes", parts)) if parts else Size(())


class finfo:
    """Limits of a floating-point type.

    >>> finfo(dtypes.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type: DType | None = None) -> None:
        dtype = type or dtypes.get_default()
        if not dtype.is_floating_point and not dtype.is_complex:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                "'torch.finfo'"
            )
        digits, lowest = {
            "float16": (10, -14), "bfloat16": (7, -126), "float32": (23, -126),
            "float64": (52, -1022), "complex64": (23, -126), "complex128": (52, -1022),
        }[dtype.name]  # fmt: skip
        self.dtype = dtype.name.replace("complex64", "float32").replace("complex128", "float64")
        self.bits = 8 * dtype.itemsize // (2 if dtype.is_complex else 1)
        self.eps = 2.0**-digits
        self.tiny = self.smallest_normal = math.ldexp(1.0, lowest)
        self.max = math.ldexp(2.0 - self.eps, -lowest + 1)
        self.min = -self.max
        self.resolution = 10.0 ** -math.floor(digits * math.log10(2))

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.tiny:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer type.

    >>> iinfo(dtypes.int8).max
    127
    """

    def __init__(self, type: DType) -> None:
        if type.kind not in ("int", "uint"):
            raise TypeError(
                "torch.iinfo() requires an integer input type. Use torch.finfo to handle "
                "'torch.iinfo'"
            )
        self.dtype, self.bits = type.name, 8 * type.itemsize
        self.min = -(1 << (self.bits - 1)) if type.kind == "int" else 0
        self.max = self.min + (1 << self.bits) - 1

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


# The module `random`.


@contextlib.contextmanager
def fork_rng(
    devices: Any = None, enabled: bool = True, _caller: str = "fork_rng",
    _devices_kw: str = "devices", device_type: str = "cpu",
) -> Iterator[None]:  # fmt: skip
    """Within the block random numbers are drawn as outside of it; after it, as before."""
    before = default_generator.get_state()
    try:
        yield
    finally:
        if enabled:
            default_generator.set_state(before)

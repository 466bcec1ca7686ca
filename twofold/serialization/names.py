"""What a checkpoint may name, and what stands for it here: tensors, containers, NumPy's values.

Nothing in this table is the named function itself: each entry is code of ours that checks its
arguments and makes the value, so a file can say no more than what is written here. `safe_globals`
adds classes and functions that the program itself vouches for; `find_with_models` the classes of
modules that it has imported.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import nn
from ..dtypes import DType
from ..nn.modules.module import Module
from ..nn.parameter import Parameter
from ..tensor import Device, Size, Tensor
from .files import FormatError
from .stored import KNOWN_DTYPES, STORAGE_NAMES, StorageType, tensor_of
from .unpickle import Known, Refused, check_key, shown

_trusted: dict[str, Any] = {}


def add_safe_globals(safe_globals: Sequence[Any]) -> None:
    """Let files name these classes and functions, whose code then runs when a file is read.

    Each is given as itself, or as a pair of itself and the full name that files have for it.
    """
    for given in safe_globals:
        thing, name = given if isinstance(given, tuple) else (given, None)
        _trusted[name or f"{thing.__module__}.{thing.__qualname__}"] = thing


def get_safe_globals() -> list[Any]:
    """The classes and functions that files may name besides tensors and plain containers."""
    return list(_trusted.values())


def clear_safe_globals() -> None:
    """Let files name nothing but tensors and plain containers again."""
    _trusted.clear()


@contextlib.contextmanager
def safe_globals(things: Sequence[Any]) -> Iterator[None]:
    """Within this context, files may name these classes and functions, as `add_safe_globals` lets
    them."""
    before = dict(_trusted)
    add_safe_globals(things)
    try:
        yield
    finally:
        _trusted.clear()
        _trusted.update(before)


def find(module: str, name: str) -> Any:
    """What stands for a name in a file. Refused, with what to do, if nothing does."""
    known = _TABLE.get((_MODULES.get(module, module), name))
    if known is not None:
        return known
    if module in ("torch", "torch.cuda", "torch.storage") and name.endswith("Storage"):
        return _storage_type(name)
    full = f"{module}.{name}"
    if full in _trusted:
        return _trust(full, _trusted[full])
    if module == "torch" and name in _OTHER_DTYPES:
        raise Refused(f"[load] the file holds values of torch.{name}, which Twofold has not")
    raise Refused(_refusal(module, name))


def find_with_models(module: str, name: str) -> Any:
    """What `find` finds, or else a class of modules that the program has imported: its instances
    are made without their `__init__`, and filled. Layers of PyTorch's are Twofold's."""
    try:
        return find(module, name)
    except Refused:
        if module.startswith("torch.nn.modules."):
            here = nn.__name__ + module.removeprefix("torch.nn")
            found = _imported(here, name) or _imported(nn.__name__, name)
        elif module in _FUNCTIONAL:
            found = None if name.startswith("_") else _imported(nn.functional.__name__, name)
        else:
            found = _imported(module, name)
        full = f"{module}.{name}"
        if isinstance(found, type) and issubclass(found, Module):
            return _instances(full, found)
        if module in _FUNCTIONAL and callable(found):  # an activation that a layer keeps
            return Known(full, what=found)
        raise


def _imported(module: str, name: str) -> Any:
    """What an imported module holds: its `__getattr__`, which could import more, is not asked."""
    return getattr(sys.modules.get(module), "__dict__", {}).get(name)


_FUNCTIONAL = (nn.functional.__name__, "torch.nn.functional", "torch._C._nn")


def _instances(name: str, kind: type) -> Known:
    """A class of which a file may make instances, without calling it. Refused if it says itself how
    its instances are pickled: a state alone does not make one."""
    if (kind.__reduce_ex__, kind.__reduce__) != (object.__reduce_ex__, object.__reduce__):
        raise Refused(f"[load] the file names {name}, of which a state alone makes no instance; "
                      "try to save a state_dict()")  # fmt: skip

    def new(*args: Any) -> Any:
        if args:
            raise Refused(f"[load] a module is made without arguments; got {len(args)} of {name}")
        return object.__new__(kind)

    def no_call(*args: Any) -> Any:
        raise Refused(f"[load] the file calls {name}, which is only filled with what it holds")

    def fill(value: Any, state: Any) -> None:
        if type(state) is not dict or not all(map(_may_be_set, state)):
            raise FormatError(f"[load] the state of {name} is a dict of names; got {shown(state)}")
        value.__setstate__(state)

    return Known(name, no_call, fill, what=kind, new=new)


def _refusal(module: str, name: str) -> str:
    text = f"[load] the file names {module}.{name}, which is never made from a file"
    if module.startswith(("torch.nn.", "torchvision.", "twofold.nn.")):
        return (
            f"{text}: it holds a whole model instead of its values; in the program that made it "
            "save model.state_dict(), then build the model here and call "
            "model.load_state_dict(twofold.load(path)), or try weights_only=False where this "
            "program has the model's classes"
        )
    if module.split(".")[0] in _RUNS_CODE:
        return f"{text}: it would run code of the file's choice; do not trust this file"
    return (
        f"{text}; tensors, numbers, text and plain containers are read; try to save a state_dict() "
        f"instead, or, if you wrote {name} yourself, "
        f"twofold.serialization.add_safe_globals([{name}])"
    )


_RUNS_CODE = {
    "os", "posix", "nt", "subprocess", "sys", "builtins", "__builtin__", "runpy", "shutil",
    "socket", "importlib", "ctypes", "code", "pty", "commands", "webbrowser", "operator",
    "functools", "types", "pickle", "_pickle", "cPickle", "marshal", "timeit", "pdb", "bdb",
    "asyncio", "multiprocessing", "threading", "io", "pathlib", "inspect", "ast", "codeop", "site",
}  # fmt: skip


def _trust(name: str, thing: Any) -> Known:
    """A class or function that the program vouches for, called as a pickle calls it."""

    def new(*args: Any) -> Any:
        return thing.__new__(thing, *args)

    return Known(name, thing, _set_state, what=thing, new=new if isinstance(thing, type) else None)


def _set_state(value: Any, state: Any) -> None:
    """Give a value its state, as pickle does."""
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
        return
    plain, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    value.__dict__.update(plain or {})
    for key, item in (slots or {}).items():
        setattr(value, key, item)


# Tensors.


def _flag(x: Any) -> bool:
    if type(x) is not bool:
        raise FormatError(f"[load] requires_grad must be true or false; got {type(x).__name__}")
    return x


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, *rest: Any
) -> Tensor:
    result = tensor_of(storage, offset, size, stride)
    return result.requires_grad_() if _flag(requires_grad) else result


def _tensor_of_type(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any,
    *rest: Any,
) -> Tensor:  # fmt: skip
    if not isinstance(dtype, DType):
        raise FormatError(f"[load] a tensor's type must be a dtype; got {type(dtype).__name__}")
    result = tensor_of(storage, offset, size, stride, dtype)
    return result.requires_grad_() if _flag(requires_grad) else result


def _parameter(data: Any, requires_grad: Any = True, *rest: Any) -> Parameter:
    if not isinstance(data, Tensor):
        raise FormatError(f"[load] a parameter holds a tensor; got {type(data).__name__}")
    return Parameter(data, _flag(requires_grad))


def _parameter_with_state(data: Any, requires_grad: Any, hooks: Any, state: Any) -> Parameter:
    result = _parameter(data, requires_grad)
    _set_attributes(result, state)
    return result


def _from_type(function: Any, kind: Any, args: Any, state: Any) -> Any:
    """A tensor with attributes: its maker, its class, the maker's arguments, the attributes."""
    known = function.make if isinstance(function, Known) else None
    if known not in (_tensor, _tensor_of_type, _parameter, _parameter_with_state):
        raise Refused(f"[load] a tensor is made by {shown(function)}, which makes none")
    if not isinstance(args, tuple):
        raise FormatError(f"[load] a tensor is made of arguments; got {type(args).__name__}")
    result = known(*args)
    if isinstance(kind, type) and issubclass(kind, Tensor):  # one that the program vouches for
        result = result.as_subclass(kind)
    _set_attributes(result, state)
    return result


def _may_be_set(name: Any) -> bool:
    """Whether a file may set an attribute of that name: `copy` and `pickle` call some of an
    instance's own, `__deepcopy__` and `__reduce_ex__` among them."""
    return type(name) is str and not name.startswith("__")


def _set_attributes(value: Any, state: Any) -> None:
    """Give a value the attributes that a file notes, if they hide nothing of its class and replace
    nothing that it is made of."""
    own = vars(value)
    if isinstance(state, tuple) and len(state) == 2 and not state[1]:
        state = state[0]
    if state is None:
        return
    if not isinstance(state, dict):
        raise FormatError(f"[load] attributes are a dict; got {type(state).__name__}")
    for name in state:
        is_name = _may_be_set(name) and name.isidentifier()
        if not is_name or name in own or hasattr(type(value), name):
            raise Refused(f"[load] the attribute {shown(name)} cannot be set by a file")
    own.update(state)


def _size(*given: Any) -> Size:
    sizes = given[0] if given else ()
    if (
        len(given) > 1
        or not isinstance(sizes, (tuple, list))
        or any(type(n) is not int for n in sizes)
    ):
        raise FormatError("[load] a torch.Size is made of whole numbers")
    return Size(sizes)


def _device(kind: Any, index: Any = None) -> Any:
    if not isinstance(kind, str) or not (index is None or type(index) is int):
        raise FormatError("[load] a device is a kind and a number")
    try:
        return Device(kind, index)
    except RuntimeError as error:
        raise FormatError(f"[load] {error}") from None


def _layout(name: Any) -> str:
    if name != "torch.strided":
        raise Refused(f"[load] the file holds a tensor of layout {shown(name)}; "
                      "dense tensors are read")  # fmt: skip
    return name


def _storage_type(name: str) -> StorageType:
    if name in ("UntypedStorage", "_UntypedStorage"):
        return StorageType(name, None)
    dtype = STORAGE_NAMES.get(name)
    if dtype not in KNOWN_DTYPES:
        what = name if dtype is None else f"{name} ({dtype})"
        raise Refused(f"[load] the file holds a {what}, a type that Twofold has not")
    return StorageType(name, KNOWN_DTYPES[dtype])


# Containers and plain values.


def _ordered_dict(*items: Any) -> OrderedDict[Any, Any]:
    return OrderedDict(_pairs(*items))


def _pairs(*items: Any) -> list[tuple[Any, Any]]:
    if len(items) > 1:
        raise FormatError("[load] a dict is made of one list of pairs")
    given = items[0] if items else []
    if isinstance(given, dict):
        given = list(given.items())
    if not isinstance(given, (list, tuple)):
        raise FormatError(f"[load] a dict is made of pairs; got {type(given).__name__}")
    pairs = [pair for pair in given if isinstance(pair, (list, tuple)) and len(pair) == 2]
    if len(pairs) != len(given):
        raise FormatError("[load] a dict is made of pairs")
    return [(check_key(key), value) for key, value in pairs]


def _default_dict(factory: Any = None, *items: Any) -> defaultdict[Any, Any]:
    kinds = {"dict": dict, "list": list, "set": set, "int": int, "float": float, "str": str}
    name = factory.name.rpartition(".")[2] if isinstance(factory, Known) else None
    if factory is not None and name not in kinds:
        raise Refused(f"[load] a defaultdict is filled by {shown(factory)}; plain containers and "
                      "numbers are known")  # fmt: skip
    return defaultdict(None if name is None else kinds[name], _pairs(*items))


def _counter(*items: Any) -> Counter[Any]:
    return Counter(dict(_pairs(*items)))


def _encode(text: Any, encoding: Any = "latin1", *rest: Any) -> bytes:
    """Bytes, which the older protocols write as text."""
    if type(text) is not str or encoding not in ("latin1", "latin-1", "utf-8", "utf8"):
        raise FormatError("[load] bytes are made of text")
    return text.encode(encoding)


def _bytes(*given: Any) -> bytes:
    if not given:
        return b""
    return _encode(*given) if type(given[0]) is str else _items(bytes, *given)


def _byte_array(*given: Any) -> bytearray:
    return bytearray(_bytes(*given))


def _items(kind: Callable[..., Any], *given: Any) -> Any:
    """A container of what another one holds."""
    if len(given) > 1 or not all(isinstance(x, (list, tuple, bytes, set)) for x in given):
        raise FormatError(f"[load] a {kind.__name__} is made of one list")
    if kind in (set, frozenset):
        return kind(map(check_key, given[0] if given else ()))
    return kind(*given)


def _number(kind: Callable[..., Any], *given: Any) -> Any:
    if not all(type(x) in (bool, int, float) for x in given) or len(given) > 2:
        raise FormatError(f"[load] a {kind.__name__} is made of numbers")
    return kind(*given)


def _slice(*given: Any) -> slice:
    if not 1 <= len(given) <= 3 or not all(x is None or type(x) is int for x in given):
        raise FormatError("[load] a slice is made of whole numbers")
    return slice(*given)


# NumPy's values.

_NUMPY_CODE = re.compile(r"[biufc](1|2|4|8|16)\Z|[?]\Z")


def _numpy_type(code: Any, align: Any = False, copy: Any = True) -> np.dtype:
    if not isinstance(code, str) or not _NUMPY_CODE.match(code):
        raise Refused(f"[load] the file holds NumPy values of type {shown(code)}; numbers and "
                      "truth values are read")  # fmt: skip
    return np.dtype(code, copy=True)


def _build_numpy_type(value: Any, state: Any) -> None:
    order = state[1] if isinstance(state, tuple) and len(state) >= 2 else None
    if order not in ("<", ">", "|", "="):
        raise FormatError("[load] the order of a NumPy type's bytes is damaged")
    value.__setstate__((3, order, None, None, None, -1, -1, 0))


def _numpy_array(dtype: Any, shape: Any, raw: Any, is_fortran: Any = False) -> np.ndarray:
    if isinstance(raw, str):
        raw = raw.encode("latin1")
    ok = isinstance(dtype, np.dtype) and dtype.kind in "biufc" and isinstance(shape, tuple)
    if (
        not ok
        or not isinstance(raw, (bytes, bytearray))
        or any(type(n) is not int or n < 0 for n in shape)
    ):
        raise FormatError("[load] a NumPy array is damaged")
    try:
        flat = np.frombuffer(bytearray(raw), dtype)
        return flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)
    except ValueError as error:
        raise FormatError(f"[load] a NumPy array is damaged; got {error}") from None


def _numpy_scalar(dtype: Any, raw: Any = b"") -> Any:
    return _numpy_array(dtype, (), raw)[()]


def _numpy_shell(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """An array that its state will fill."""
    return np.empty(0, np.uint8)


def _build_numpy_array(value: Any, state: Any) -> None:
    if not isinstance(state, tuple) or len(state) != 5:
        raise FormatError("[load] a NumPy array is damaged")
    _, shape, dtype, is_fortran, raw = state
    filled = _numpy_array(dtype, shape, raw, is_fortran)
    raw = filled.tobytes("F" if is_fortran else "C")
    value.__setstate__((1, shape, dtype, bool(is_fortran), raw))


def _numpy_from_buffer(raw: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    return _numpy_array(dtype, shape, raw, order == "F")


_MODULES = {
    "__builtin__": "builtins",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "torch.nn": "torch.nn.parameter",
}

_OTHER_DTYPES = {
    "uint16", "uint32", "uint64", "complex32", "complex64", "complex128", "float8_e4m3fn",
    "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "quint8", "qint8", "qint32", "quint4x2",
    "quint2x4", "bits8", "float4_e2m1fn_x2", "float8_e8m0fnu",
}  # fmt: skip


def _named(module: str, name: str, *args: Any, **kwargs: Any) -> tuple[tuple[str, str], Known]:
    known = Known(f"{module}.{name}", *args, **kwargs)
    known.what = known
    return (module, name), known


_TABLE: dict[tuple[str, str], Any] = dict(
    [
        _named("torch._utils", "_rebuild_tensor_v2", _tensor),
        _named("torch._utils", "_rebuild_tensor_v3", _tensor_of_type),
        _named("torch._utils", "_rebuild_tensor", _tensor),
        _named("torch._utils", "_rebuild_parameter", _parameter),
        _named("torch._utils", "_rebuild_parameter_with_state", _parameter_with_state),
        _named("torch._tensor", "_rebuild_from_type_v2", _from_type),
        _named("torch", "Tensor"),
        _named("torch.nn.parameter", "Parameter", _parameter),
        _named("torch", "Size", _size),
        _named("torch", "device", _device),
        _named("torch.serialization", "_get_layout", _layout),
        _named("collections", "OrderedDict", _ordered_dict, _set_attributes),
        _named("collections", "defaultdict", _default_dict),
        _named("collections", "Counter", _counter),
        _named("_codecs", "encode", _encode),
        _named("builtins", "bytes", _bytes),
        _named("builtins", "bytearray", _byte_array),
        _named("builtins", "slice", _slice),
        _named("builtins", "dict", lambda *items: dict(_pairs(*items))),
        *(
            _named("builtins", kind.__name__, lambda *x, k=kind: _items(k, *x))
            for kind in (list, tuple, set, frozenset)
        ),
        *(
            _named("builtins", kind.__name__, lambda *x, k=kind: _number(k, *x))
            for kind in (int, float, bool, complex)
        ),
        _named("builtins", "str"),
        _named("numpy", "dtype", _numpy_type, _build_numpy_type),
        _named("numpy", "ndarray"),
        _named("numpy._core.multiarray", "scalar", _numpy_scalar),
        _named("numpy._core.multiarray", "_reconstruct", _numpy_shell, _build_numpy_array),
        _named("numpy._core.numeric", "_frombuffer", _numpy_from_buffer),
    ]
)
_TABLE.update((("torch", name), dtype) for name, dtype in KNOWN_DTYPES.items())
_TABLE.update(
    _named("torch", name.replace("Storage", "Tensor")) for name in STORAGE_NAMES
)  # the classes of tensors before dtypes

"""Element types and PyTorch's rules of promotion between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class DType:
    """One element type. Compared by identity: there is one object a type.

    `storage` is how NumPy holds it in memory (bfloat16 as its 16 bits); `compute` is the type that
    arithmetic is done in (float16 and bfloat16 are widened to float32 and rounded at each op's
    end).
    """

    name: str
    kind: str  # "bool", "int", "uint", "float", "complex"
    itemsize: int
    storage: np.dtype
    rank: int  # order within promotion

    @property
    def is_floating_point(self) -> bool:
        return self.kind == "float"

    @property
    def is_complex(self) -> bool:
        return self.kind == "complex"

    @property
    def is_inexact(self) -> bool:
        """Floating point or complex: what gradients are of."""
        return self.kind in ("float", "complex")

    @property
    def is_signed(self) -> bool:
        return self.kind in ("int", "float", "complex")

    @property
    def compute(self) -> DType:
        return float32 if self in (float16, bfloat16) else self

    @property
    def widest(self) -> type[np.generic]:
        """NumPy's widest type of this kind, which holds any constant of it."""
        return _WIDEST.get(self.kind, np.int64)

    def to_real(self) -> DType:
        """The type of the parts of a complex number; other types are their own.

        >>> complex64.to_real()
        twofold.float32
        """
        return _REAL.get(self, self)

    def to_complex(self) -> DType:
        """The complex type with parts of this floating-point type (of float32 for narrower ones).

        >>> float64.to_complex()
        twofold.complex128
        """
        return self if self.kind == "complex" else complex128 if self is float64 else complex64

    def __repr__(self) -> str:
        return f"twofold.{self.name}"

    def __reduce__(self) -> tuple:
        return by_name, (self.name,)


def _make(name: str, kind: str, storage: str, rank: int) -> DType:
    held = np.dtype(storage)
    return DType(name, kind, held.itemsize, held, rank)


bool_ = _make("bool", "bool", "bool", 0)
uint8 = _make("uint8", "uint", "uint8", 1)
int8 = _make("int8", "int", "int8", 2)
int16 = _make("int16", "int", "int16", 3)
int32 = _make("int32", "int", "int32", 4)
int64 = _make("int64", "int", "int64", 5)
float16 = _make("float16", "float", "float16", 6)
bfloat16 = _make("bfloat16", "float", "uint16", 7)
float32 = _make("float32", "float", "float32", 8)
float64 = _make("float64", "float", "float64", 9)
complex64 = _make("complex64", "complex", "complex64", 10)
complex128 = _make("complex128", "complex", "complex128", 11)

REALS = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)
COMPLEX = (complex64, complex128)
ALL = (*REALS, *COMPLEX)
FLOATS = (float16, bfloat16, float32, float64)
INTEGERS = (uint8, int8, int16, int32, int64)
_WIDEST: dict[str, type[np.generic]] = {"float": np.float64, "complex": np.complex128}
_REAL = {complex64: float32, complex128: float64}
_NAMES = {dtype.name: dtype for dtype in ALL}
_FROM_NUMPY = {dtype.storage: dtype for dtype in ALL if dtype is not bfloat16}

_default = [float32]


def by_name(name: str) -> DType:
    """The type called `name`.

    >>> by_name("int8").itemsize
    1
    """
    return _NAMES[name]


def from_numpy(dtype: np.dtype) -> DType:
    """The type of a NumPy array's elements. TypeError for a type that Twofold has not."""
    found = _FROM_NUMPY.get(np.dtype(dtype))
    if found is None:
        raise TypeError(
            f"[from_numpy] can't convert np.ndarray of type {dtype}; the supported types are: "
            + ", ".join(d.name for d in ALL)
        )
    return found


def get_default() -> DType:
    """The type of floating-point tensors made from Python numbers."""
    return _default[0]


def set_default(dtype: DType) -> None:
    """Make `dtype`, a floating-point type, the type of tensors made from Python floats."""
    if not dtype.is_floating_point:
        raise TypeError(f"[set_default_dtype] only floating-point types are supported; got {dtype}")
    _default[0] = dtype


def promote(a: DType, b: DType) -> DType:
    """The smallest type that both convert to, as `torch.promote_types` gives it.

    >>> promote(uint8, int8), promote(int64, float16), promote(float16, bfloat16)
    (twofold.int16, twofold.float16, twofold.float32)
    """
    if a is b:
        return a
    if a.rank > b.rank:
        a, b = b, a
    if a is uint8 and b is int8:
        return int16
    if a is float16 and b is bfloat16:
        return float32
    if a is float64 and b is complex64:
        return complex128
    return b


_CATEGORY = {"bool": 0, "int": 1, "uint": 1, "float": 2, "complex": 3}


def category(dtype: DType) -> int:
    """0 for bool, 1 for integers, 2 for floating point, 3 for complex numbers: a higher one always
    wins a promotion."""
    return _CATEGORY[dtype.kind]


def of_number(value: bool | int | float | complex) -> DType:
    """The type that a Python number has by itself."""
    if isinstance(value, complex):
        return _default[0].to_complex()
    if isinstance(value, bool):
        return bool_
    if isinstance(value, int):
        return int64
    return _default[0]


def result_type(operands: list[tuple[DType, int]]) -> DType:
    """PyTorch's result type of operands given as (dtype, weight).

    The weight is 2 for a tensor with axes, 1 for a 0-d tensor, 0 for a Python number. Operands of a
    lower weight take part only if their category is higher than that of all heavier ones.

    >>> result_type([(int32, 2), (float32, 0)]), result_type([(float16, 2), (float64, 1)])
    (twofold.float32, twofold.float16)
    """
    result: DType | None = None
    for weight in (2, 1, 0):
        group: DType | None = None
        for dtype, its_weight in operands:
            if its_weight == weight:
                group = dtype if group is None else promote(group, dtype)
        if group is None:
            continue
        if result is None:
            result = group
        elif category(group) > category(result):
            # A complex number of lower weight makes floats complex at their own precision.
            is_float = result.kind == "float"
            result = result.to_complex() if is_float and group.kind == "complex" else group
    assert result is not None
    return result

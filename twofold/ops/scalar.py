"""The scalar language: what a kernel computes for one element, as an expression over `Expr`.

An op's body is written once in it and read by many: the LLVM emitter (on vectors), the fusion pass,
which substitutes one body into another, and whatever needs the cost of a body. An expression is
immutable; equal expressions are the same object, so identity is equality and sharing is free.

Leaves: `const`, `operand` (an input of the body), and, once a body stands in a kernel, `load`,
`index`, `word`, `checked` and `acc` (see `twofold/kernels`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Sequence
from typing import Any

from .. import dtypes
from ..dtypes import DType

UNARY_FLOAT = (
    "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt cbrt sin cos tan asin acos atan sinh cosh tanh "
    "asinh acosh atanh erf erfc erfinv ndtr gelu lgamma digamma sigmoid floor ceil trunc round"
).split()
"""Float to the same float. `round` rounds halves to even."""

BINARY_FLOAT = "div pow atan2 hypot fmod copysign nextafter".split()
"""Two floats to the same float. `fmod` takes the sign of its first operand, as C's."""

BINARY = "add sub mul min max".split()
"""Two of one type to that type; integers wrap. `min` and `max` give NaN if either operand is."""

INTEGER = "truncdiv truncmod floordiv floormod and or xor shl shr".split()
"""Two integers of one type to that type (`and`, `or`, `xor` also on bool). `floordiv` and
`floormod` also take floats, with Python's meaning. Division of integers by zero gives 0, never a
trap."""

COMPARE = "lt le gt ge eq ne".split()
"""Two of one type to bool; comparisons with NaN are false, save `ne`."""

UNARY = "neg abs sign not".split()
"""One to the same type. `not` is of bool or of an integer's bits."""

TEST = "isnan isinf isfinite signbit".split()
"""Float to bool."""

OTHER = "select cast bitcast random_bits fma".split()
"""`select(bool, a, b)`; `cast` to `dtype` (float to integer truncates, to bool tests for non-zero);
`bitcast` between types of one size; `random_bits(key int64, counter int64)` gives one int32 word of
Philox 4x32-10; `fma(a, b, c)` is one rounding where the target has it, else two."""

LEAVES = "const operand load index word checked acc".split()

NAMES = frozenset(
    UNARY_FLOAT + BINARY_FLOAT + BINARY + INTEGER + COMPARE + UNARY + TEST + OTHER + LEAVES
)

_interned: dict[tuple, Expr] = {}
_INTERN_LIMIT = 1_000_000


class Expr:
    """`op` applied to `args`, of type `dtype`; `attr` is what a leaf carries."""

    __slots__ = ("args", "attr", "dtype", "op")

    op: str
    args: tuple[Expr, ...]
    dtype: DType
    attr: Any

    def __repr__(self) -> str:
        return show(self)

    def __add__(self, other: Expr | float) -> Expr:
        return binary("add", self, other)

    def __radd__(self, other: float) -> Expr:
        return binary("add", like(self, other), self)

    def __sub__(self, other: Expr | float) -> Expr:
        return binary("sub", self, other)

    def __rsub__(self, other: float) -> Expr:
        return binary("sub", like(self, other), self)

    def __mul__(self, other: Expr | float) -> Expr:
        return binary("mul", self, other)

    def __rmul__(self, other: float) -> Expr:
        return binary("mul", like(self, other), self)

    def __truediv__(self, other: Expr | float) -> Expr:
        return binary("div", self, other)

    def __rtruediv__(self, other: float) -> Expr:
        return binary("div", like(self, other), self)

    def __neg__(self) -> Expr:
        return unary("neg", self)

    def __lt__(self, other: Expr | float) -> Expr:
        return binary("lt", self, other)

    def __le__(self, other: Expr | float) -> Expr:
        return binary("le", self, other)

    def __gt__(self, other: Expr | float) -> Expr:
        return binary("gt", self, other)

    def __ge__(self, other: Expr | float) -> Expr:
        return binary("ge", self, other)

    def __and__(self, other: Expr) -> Expr:
        return binary("and", self, other)

    def __or__(self, other: Expr) -> Expr:
        return binary("or", self, other)

    def __invert__(self) -> Expr:
        return unary("not", self)


def make(op: str, args: Sequence[Expr], dtype: DType, attr: Any = None) -> Expr:
    """The one expression with these parts. `attr` is hashable."""
    tag = struct.pack("<d", attr) if isinstance(attr, float) else attr
    key = (op, tuple(map(id, args)), dtype.name, type(attr), tag)
    found = _interned.get(key)
    if found is not None and all(map(_is, found.args, args)):
        return found
    if op not in NAMES:
        raise ValueError(f"[scalar] an unknown operation {op!r}")
    if len(_interned) > _INTERN_LIMIT:
        _interned.clear()
    expr = Expr()
    expr.op, expr.args, expr.dtype, expr.attr = op, tuple(args), dtype, attr
    _interned[key] = expr
    return expr


def _is(a: object, b: object) -> bool:
    return a is b


def const(value: complex, dtype: DType) -> Expr:
    """The constant `value` of type `dtype`."""
    if dtype.kind == "bool":
        return make("const", (), dtype, bool(value))
    if dtype.kind == "complex":
        return make("const", (), dtype, complex(value))
    assert not isinstance(value, complex)
    return make("const", (), dtype, float(value) if dtype.is_floating_point else int(value))


def operand(i: int, dtype: DType) -> Expr:
    """The i-th input of a body."""
    return make("operand", (), dtype, i)


def like(x: Expr, value: Expr | float) -> Expr:
    """`value` as an expression of x's type."""
    return value if isinstance(value, Expr) else const(value, x.dtype)


def unary(op: str, x: Expr) -> Expr:
    """`op` of one operand."""
    return make(op, (x,), dtypes.bool_ if op in TEST else x.dtype)


def binary(op: str, x: Expr, y: Expr | float) -> Expr:
    """`op` of two operands of one type; a Python number takes x's type."""
    y = like(x, y)
    if x.dtype is not y.dtype:
        raise ValueError(f"[scalar] {op} needs one type; got {x.dtype} and {y.dtype}")
    return make(op, (x, y), dtypes.bool_ if op in COMPARE else x.dtype)


def select(condition: Expr, x: Expr, y: Expr | float) -> Expr:
    """`x` where `condition`, else `y`."""
    y = like(x, y)
    return make("select", (condition, x, y), x.dtype)


def cast(x: Expr, dtype: DType) -> Expr:
    """`x` converted to `dtype`."""
    return x if x.dtype is dtype else make("cast", (x,), dtype)


def call(name: str, *args: Expr | float) -> Expr:
    """The operation `name` on expressions; numbers take the first expression's type."""
    first = next(a for a in args if isinstance(a, Expr))
    exprs = [like(first, a) for a in args]
    if name in COMPARE or name in TEST:
        return make(name, exprs, dtypes.bool_)
    if name == "select":
        return make(name, exprs, exprs[1].dtype)
    return make(name, exprs, exprs[0].dtype)


def substitute(root: Expr, leaf: Callable[[Expr], Expr | None]) -> Expr:
    """`root` with each leaf for which `leaf` gives an expression replaced by that expression."""
    done: dict[Expr, Expr] = {}
    for expr in postorder(root):
        if expr.args:
            args = tuple(done[a] for a in expr.args)
            same = all(map(_is, args, expr.args))
            done[expr] = expr if same else make(expr.op, args, expr.dtype, expr.attr)
        else:
            new = leaf(expr)
            done[expr] = expr if new is None else new
    return done[root]


def postorder(*roots: Expr, known: Container[Expr] = ()) -> list[Expr]:
    """Every expression below `roots` once, arguments before their users; those `known`, and what is
    below them alone, are left out."""
    order: list[Expr] = []
    seen: set[Expr] = set()
    stack: list[Expr | None] = [*reversed(roots)]
    while stack:
        expr = stack.pop()
        if expr is None:  # all arguments of the one below are in order
            order.append(stack.pop())  # type: ignore[arg-type]
        elif expr not in seen and expr not in known:
            seen.add(expr)
            if expr.args:
                stack.append(expr)
                stack.append(None)
                stack.extend(expr.args[::-1])
            else:
                order.append(expr)
    return order


def show(root: Expr) -> str:
    """`root` as text, e.g. `add(load0:float32, const:float32(1.0))`; what stands in it more than
    once is named before: `t0 = mul(x, x); add(t0, t0)`."""
    order = postorder(root)
    uses: dict[Expr, int] = {}
    for expr in order:
        for a in expr.args:
            uses[a] = uses.get(a, 0) + 1
    text: dict[Expr, str] = {}
    named: list[str] = []
    for expr in order:
        if not expr.args:
            text[expr] = f"{expr.op}:{expr.dtype.name}({expr.attr!r})"
            continue
        name = f"{expr.op}:{expr.dtype.name}" if expr.op in ("cast", "bitcast") else expr.op
        if expr.attr is not None:
            name += f"[{expr.attr!r}]"
        text[expr] = f"{name}({', '.join(text[a] for a in expr.args)})"
        if uses.get(expr, 0) > 1:
            named.append(f"t{len(named)} = {text[expr]}")
            text[expr] = f"t{len(named) - 1}"
    return "; ".join([*named, text[root]])

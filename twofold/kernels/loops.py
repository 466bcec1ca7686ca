"""Loop kernels: fused elementwise work and reductions, as data.

A loop kernel walks `outer` parallel axes and, for each point of them, runs its stages in order. A
stage over the inner axes either reduces expressions to one value each (`Reduce`), or stores values
for every inner point, or both; a stage that is not over the inner axes runs once a point. Later
stages may use the results of earlier ones (`acc` leaves), so softmax is three stages of one kernel:

    outer rows, inner columns:
        acc0 = max(x);  acc1 = sum(exp(x - acc0));  store exp(x - acc0) / acc1

`vector` names the axis that lies along vector lanes: the last inner axis (rows), or the last outer
axis (columns, and plain maps, which have no inner axes). Extents and strides other than 0 and 1 are
run-time words; which strides are 0 or 1 is part of the kernel.

Leaves of the expressions (`ops/scalar.py`):

    load   attr `Access`: an element of an operand; the first argument, if any, is a bool guard:
           where it is false, nothing is read and the value is 0; the last one of a `displaced`
           access is an int64 offset in elements
    index  attr axis: the position along an axis as int64 (outer axes first, then inner)
    word   attr k: run-time int64 word k of the kernel
    checked  attr whether to wrap; arguments: a position, the extent, the site, perhaps a guard: the
           position, moved up by the extent if it is below 0 and wraps. Out of range, and not
           guarded off, it is noted with the site in the error record, and the value is 0
    acc    attr (stage, i): the result of the stage's i-th reduction

An input that is `turned` is adjacent along the outer axis `turn_axis` and far apart along the
lanes. A work item is then a tile of both axes, whose squares are transposed into a small block
first.

The order of a reduction follows from the inner extents alone (see `chunk_rows`): where lanes lie
along the reduced axis, LANES partial results, element i to partial i mod LANES, combined as a tree;
where they lie along a kept axis, one after the other. Both start afresh each `chunk` of the first
inner axis, and the chunks' results are combined one after the other. So a kernel may be split over
chunks without changing a bit.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dtypes import DType
from ..ops.scalar import Expr

LANES = 32
"""Partial results of a reduction along vector lanes, whatever the vector's width."""

CHUNK = 16384
"""Elements that a reduction takes in, at most about, before it starts a new partial result. A row
of no more stays hot in cache between two walks over it."""

DEAR = frozenset(
    "exp exp2 expm1 log log2 log10 log1p cbrt sin cos tan asin acos atan sinh cosh tanh asinh "
    "acosh atanh erf erfc erfinv ndtr gelu lgamma digamma sigmoid pow atan2 hypot "
    "random_bits".split()
)
"""Operations of many instructions."""

TURN_LANES, TURN_ROWS = 64, 32
"""Elements of a tile of a map with turned inputs: along the lanes, and along the other axis."""

REDUCTIONS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
"""`any` and `all` are of bool. `argmax` and `argmin` give the int64 flat position over the inner
axes of the first extreme value; a NaN counts as extreme. `max` and `min` give NaN if any value
is."""


@dataclass(frozen=True)
class Access:
    """Where an operand's element lies: base + sum over axes of index * stride, in elements.

    `strides` has one entry an axis, outer axes first: 0, 1, or "s" for a run-time stride.
    `displaced` loads add an offset of their own (their last argument).
    """

    operand: int
    strides: tuple[int | str, ...]
    displaced: bool = False


@dataclass(frozen=True)
class Reduce:
    """`op` over the inner axes of `value`; accumulates in value's compute type."""

    op: str
    value: Expr


@dataclass(frozen=True)
class Store:
    """Write `value` to `access`. The guard, if any, is a bool: where it is false nothing is
    written."""

    access: Access
    value: Expr
    guard: Expr | None = None


@dataclass(frozen=True)
class Stage:
    """A walk over the inner axes (`over_inner`), or one visit a point."""

    over_inner: bool
    reductions: tuple[Reduce, ...] = ()
    stores: tuple[Store, ...] = ()


@dataclass(frozen=True)
class LoopKernel:
    """One fused kernel. Operands are its inputs and outputs, by position; an operand that is both
    read and written is read at the same point before it is written."""

    name: str
    operands: tuple[DType, ...]
    n_outer: int
    n_inner: int
    vector: str  # "outer" or "inner"
    stages: tuple[Stage, ...]
    n_words: int = 0
    split: str = ""  # "", or "partial" for the first half of a kernel split over chunks
    streamed: tuple[int, ...] = ()  # outputs written past the caches, a whole aligned vector a time
    turned: tuple[int, ...] = ()  # inputs read in squares that are turned in registers, see below
    turn_axis: int = -1
    scratch: tuple[int, ...] = ()  # operands that are a thread's own, written before they are read
    run: int = 0  # how many of the last inner axes are neighbours (see `ops.reduce.order_of`)
    ahead: tuple[str, int] = ("", 0)  # what is fetched before its turn (see `loop_memory.ahead`)
    late: bool = False  # whether a row's last walk is put off (see `loop_memory.may_be_late`)


RUN = 512
"""Rows of at least so many elements are walked one by one; shorter ones as if they were one."""


def joined(inner: tuple[int, ...], rows: bool, run: int) -> int:
    """How many of the last inner axes (of extents above 1) are walked as one, of the last `run`
    that are neighbours in the value reduced. By the extents alone, for the order of a sum follows
    from it.

    >>> joined((8, 3, 700), True, 3), joined((8, 100, 7), True, 3), joined((8, 3, 700), False, 3)
    (1, 2, 3)
    """
    if not rows:
        return run
    count, walked = min(run, 1), inner[-1] if inner else 1
    while count < run and walked < RUN:
        count += 1
        walked *= inner[-count]
    return count


def chunk_rows(inner: tuple[int, ...], vector: str) -> int:
    """Positions of the first inner axis that make one chunk of a reduction."""
    rest = 1
    for extent in inner[1:]:
        rest *= max(extent, 1)
    limit = CHUNK if vector == "inner" else CHUNK // 32
    return max(1, limit // rest)

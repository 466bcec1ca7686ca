"""Reductions as LLVM: what they start from, and how two partial results become one."""

from __future__ import annotations

from llvmlite import ir

from .. import dtypes
from ..dtypes import DType
from ..kernels.loops import Reduce
from ..machine import Target
from .build import i64, shuffle, splat
from .scalar import emit_const, emit_operation

_COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}


class Reducer:
    """Partial results of reductions, in lanes or alone. Those of `argmax` and `argmin` are pairs of
    a value and a position."""

    def __init__(self, builder: ir.IRBuilder, target: Target) -> None:
        self.builder, self.target = builder, target

    def identity(self, r: Reduce, lanes: int) -> tuple[ir.Value, ...]:
        """What a reduction starts from."""
        dtype = r.value.dtype.compute
        if r.op in ("max", "argmax"):
            least = -float("inf") if dtype.is_floating_point else _least_of(dtype)
            start = emit_const(least, dtype, lanes)
        elif r.op in ("min", "argmin"):
            most = float("inf") if dtype.is_floating_point else _most_of(dtype)
            start = emit_const(most, dtype, lanes)
        else:
            start = emit_const(1 if r.op in ("prod", "all") else 0, dtype, lanes)
        if not r.op.startswith("arg"):
            return (start,)
        return start, splat(self.builder, i64((1 << 63) - 1), lanes)

    def combine(self, r: Reduce, a: ir.Value, x: ir.Value, lanes: int) -> ir.Value:
        """The result of both."""
        kind = r.value.dtype.compute
        return emit_operation(
            self.builder, _COMBINE[r.op], [a, x], [kind, kind], kind, None, lanes, self.target
        )

    def better(
        self,
        r: Reduce,
        best: tuple[ir.Value, ir.Value],
        new: tuple[ir.Value, ir.Value],
        lanes: int,
    ) -> tuple[ir.Value, ir.Value]:
        """The more extreme of two pairs; the first of equals; NaN before all."""
        b, dtype = self.builder, r.value.dtype.compute

        def test(name: str, x: ir.Value, y: ir.Value) -> ir.Value:
            return emit_operation(
                b, name, [x, y], [dtype, dtype], dtypes.bool_, None, lanes, self.target
            )

        more = test("gt" if r.op == "argmax" else "lt", new[0], best[0])
        first = b.icmp_signed("<", new[1], best[1])
        tied = b.and_(test("eq", new[0], best[0]), first)
        take = b.or_(more, tied)
        if dtype.is_floating_point:
            new_nan, best_nan = test("ne", new[0], new[0]), test("ne", best[0], best[0])
            take = b.and_(take, b.not_(best_nan))
            fresh = b.and_(new_nan, b.or_(b.not_(best_nan), first))
            take = b.or_(take, fresh)
        return b.select(take, new[0], best[0]), b.select(take, new[1], best[1])

    def tree(self, r: Reduce, value: ir.Value, lanes: int) -> ir.Value:
        """All lanes as one, halves first."""
        while lanes > 1:
            low, high = self._halves(value, lanes)
            lanes //= 2
            value = self.combine(r, low, high, lanes)
        return value

    def tree_pair(
        self, r: Reduce, pair: tuple[ir.Value, ir.Value], lanes: int
    ) -> tuple[ir.Value, ir.Value]:
        """The most extreme of all lanes."""
        value, position = pair
        while lanes > 1:
            low, high = self._halves(value, lanes)
            low_at, high_at = self._halves(position, lanes)
            lanes //= 2
            value, position = self.better(r, (low, low_at), (high, high_at), lanes)
        return value, position

    def _halves(self, value: ir.Value, lanes: int) -> tuple[ir.Value, ir.Value]:
        """Lower and upper lanes."""
        b, half = self.builder, lanes // 2
        if half == 1:
            zero, one = (ir.Constant(ir.IntType(32), k) for k in (0, 1))
            return b.extract_element(value, zero), b.extract_element(value, one)
        return shuffle(b, [value], range(half)), shuffle(b, [value], range(half, lanes))


def _least_of(dtype: DType) -> int:
    if dtype.kind in ("bool", "uint"):
        return 0
    return -(1 << (8 * dtype.itemsize - 1))


def _most_of(dtype: DType) -> int:
    if dtype.kind == "bool":
        return 1
    return (1 << (8 * dtype.itemsize - (dtype.kind == "int"))) - 1

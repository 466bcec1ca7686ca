"""Gradients of convolutions for their weights by Winograd's algorithms as LLVM: the transforms."""

from __future__ import annotations

from llvmlite import ir

from ..kernels.winograd_weight import WinogradCombineSpec, WinogradTurnSpec
from ..machine import Target
from .build import Words, i64, kernel_function, loop
from .scalar import load, memory_type, store
from .winograd import Arithmetic, TileEmitter

_WORDS = "channels plane first tiles_h tiles_w h w ph pw xn xh xw".split()


def emit_turn(spec: WinogradTurnSpec, target: Target) -> ir.Module:
    """A tile an item; see `kernels/winograd_weight.py`."""
    return _TurnEmitter(spec, target).module


class _TurnEmitter(TileEmitter):
    def __init__(self, spec: WinogradTurnSpec, target: Target) -> None:
        super().__init__(spec, target, _WORDS, spec.tiles, n_arrays=2)
        self.to = self.arrays[1]
        self.items(self._item)

    def _item(self, item: ir.Value, _: list[ir.Value]) -> None:
        b, w, tiles = self.builder, self.w, self.spec.tiles
        side = tiles.n if self.spec.transform == "inputs" else tiles.m
        to = self._at(self.to, b.mul(item, w["channels"]))
        self.turn_tile(b.add(w["first"], item), side, self.spec.transform, to, w["plane"])


def emit_combine(spec: WinogradCombineSpec, target: Target) -> ir.Module:
    """One input channel of one panel of output channels an item."""
    module, function, b = kernel_function()
    bases, args, begin, end, _ = function.args
    words = Words(b, bases, args)
    sums, to = words.array(), words.array()
    w = {name: words.integer() for name in "channels table panels".split()}
    tiles, columns, dtype = spec.tiles, spec.sums.columns, spec.sums.dtype
    element, lanes = memory_type(dtype, 1), tiles.lanes
    arithmetic = Arithmetic(tiles, b, target)
    point = b.mul(b.mul(w["panels"], w["table"]), i64(columns))
    tap = b.mul(w["channels"], i64(columns))

    def at(base: ir.Value, offset: ir.Value) -> ir.Value:
        return b.gep(base, [offset], source_etype=element)

    def item(i: ir.Value, _: list[ir.Value]) -> None:
        panel, c = b.udiv(i, w["channels"]), b.urem(i, w["channels"])
        row = b.mul(c, i64(columns))
        from_ = at(sums, b.add(b.mul(panel, b.mul(w["table"], i64(columns))), row))
        out = at(to, b.add(b.mul(panel, b.mul(tap, i64(9))), row))

        def vector(j: ir.Value, _: list[ir.Value]) -> None:
            where, square = at(from_, j), []
            for _i in range(tiles.n):
                line = []
                for _j in range(tiles.n):
                    line.append(load(b, where, dtype, lanes, target))
                    where = at(where, point)
                square.append(line)
            where = at(out, j)
            for value in (v for line in arithmetic.squared(square, "taps") for v in line):
                store(b, value, where, dtype, target)
                where = at(where, tap)

        loop(b, i64(0), i64(columns), i64(lanes), [], vector, "vector")

    loop(b, begin, end, i64(1), [], item, "item")
    b.ret_void()
    return module

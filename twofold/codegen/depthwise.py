"""Depthwise convolutions as LLVM: loops over lines, panels of channels, and tiles of pixels."""

from __future__ import annotations

from llvmlite import ir

from ..kernels.depthwise import DepthwiseSpec
from ..machine import Target
from .build import i64, loop, prefetch
from .emitter import ConvolutionEmitter
from .scalar import emit_const

_WORDS = (
    "lines line_block line_items outputs panels panel_block od oh ow d h w kd kh kw sd sh sw "
    "dd dh dw pd ph pw xn xd xh xw yn yd yh yw"
).split()


def emit(spec: DepthwiseSpec, target: Target) -> ir.Module:
    """A block of lines by a block of panels an item; see `kernels/depthwise.py`."""
    return _Emitter(spec, target).module


class _Emitter(ConvolutionEmitter):
    def __init__(self, spec: DepthwiseSpec, target: Target) -> None:
        super().__init__(spec, target, _WORDS)
        self.zeros = self.scratch
        self.clear(self.zeros, i64(spec.columns))
        self.tile = self._at(self.zeros, i64(spec.columns))
        self.items(self._item)

    def _item(self, item: ir.Value, _: list[ir.Value]) -> None:
        b, w = self.builder, self.w
        low = b.mul(b.urem(item, w["line_items"]), w["line_block"])
        high = self._least(b.add(low, w["line_block"]), w["lines"])
        first = b.mul(b.udiv(item, w["line_items"]), w["panel_block"])
        last = self._least(b.add(first, w["panel_block"]), w["panels"])

        def line(number: ir.Value, _: list[ir.Value]) -> None:
            row, rest = b.urem(number, w["oh"]), b.udiv(number, w["oh"])
            slab, image = b.urem(rest, w["od"]), b.udiv(rest, w["od"])
            x = self._at(self.x, b.mul(image, w["xn"]))
            y = self._at(self.y, b.mul(image, w["yn"]))
            y = self._at(y, b.add(b.mul(slab, w["yd"]), b.mul(row, w["yh"])))

            def panel(p: ir.Value, _: list[ir.Value]) -> None:
                column = b.mul(p, i64(self.spec.columns))
                taps = b.mul(b.mul(w["kd"], w["kh"]), w["kw"])
                weights = self._at(self.weights, b.mul(taps, column))

                def tile(i: ir.Value, _: list[ir.Value]) -> None:
                    n_pixels = b.sub(w["ow"], i)
                    self._ask_ahead(self._at(x, column), slab, row, i)
                    sums = self._sums(self._at(x, column), (slab, row, i), weights)
                    left = b.sub(w["outputs"], column)
                    if self.finish is None:
                        to = self._at(y, column)
                        self.store_tile(
                            sums, n_pixels, left,
                            lambda r: self._at(to, b.mul(b.add(i, i64(r)), w["yw"])),
                        )  # fmt: skip
                    else:
                        self.finish_tile(
                            sums, n_pixels, column, left,
                            lambda r: [image, slab, row, b.add(i, r)],
                        )  # fmt: skip

                loop(b, i64(0), w["ow"], i64(self.spec.pixels), [], tile, "tile")

            loop(b, first, last, i64(1), [], panel, "panel")

        loop(b, low, high, i64(1), [], line, "line")

    def _ask_ahead(self, x: ir.Value, slab: ir.Value, row: ir.Value, i: ir.Value) -> None:
        """Ask memory for what the tile below this one reads that this one does not."""
        b, w, spec = self.builder, self.w, self.spec
        reach = b.sub(b.mul(b.sub(w["kh"], i64(1)), w["dh"]), w["ph"])
        last = b.sub(w["h"], i64(1))
        z = b.sub(b.mul(slab, w["sd"]), w["pd"])

        def one(k: ir.Value, _: list[ir.Value]) -> None:
            r = b.add(b.add(b.mul(row, w["sh"]), reach), b.add(k, i64(1)))
            line = b.add(b.mul(z, w["xd"]), b.mul(self._least(r, last), w["xh"]))
            at = self._at(x, b.add(line, b.mul(b.mul(i, w["sw"]), w["xw"])))
            for p in range(spec.pixels * spec.stride):
                for j in range(spec.vectors):
                    place = b.add(b.mul(w["xw"], i64(p)), i64(j * spec.lanes))
                    prefetch(b, self._at(at, place), nearness=2)

        loop(b, i64(0), w["sh"], i64(1), [], one, "ahead")

    def _sums(
        self, x: ir.Value, place: tuple[ir.Value, ir.Value, ir.Value], weights: ir.Value
    ) -> list[ir.Value]:
        """The sums of the tile whose first output is at `place`."""
        b, w, spec = self.builder, self.w, self.spec

        def begin(axis: str, out: ir.Value, k: ir.Value) -> ir.Value:
            return b.sub(b.add(b.mul(out, w["s" + axis]), b.mul(k, w["d" + axis])), w["p" + axis])

        first = begin("w", place[2], i64(0))

        def d_loop(k: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            z = begin("d", place[0], k)
            on_slab = b.icmp_unsigned("<", z, w["d"])

            def h_loop(k: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                weights, *sums = carried
                r = begin("h", place[1], k)
                inside = b.and_(on_slab, b.icmp_unsigned("<", r, w["h"]))
                line = self._at(x, b.add(b.mul(z, w["xd"]), b.mul(r, w["xh"])))
                # Nothing is to be done where the kernel's row lies outside.
                taps = b.select(inside, w["kw"], i64(0))

                def some(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
                    at = self._at(weights, b.mul(k, i64(spec.columns)))
                    return self._taps(line, b.add(first, b.mul(k, w["dw"])), at, sums)

                sums = loop(b, i64(0), taps, i64(spec.taps), sums, some, "taps")
                return [self._at(weights, b.mul(w["kw"], i64(spec.columns))), *sums]

            return loop(b, i64(0), w["kh"], i64(1), carried, h_loop, "kh")

        zero = emit_const(0, spec.dtype, spec.lanes)
        carried = [weights, *[zero] * (spec.pixels * spec.vectors)]
        return loop(b, i64(0), w["kd"], i64(1), carried, d_loop, "kd")[1:]

    def _taps(
        self, line: ir.Value, first: ir.Value, weights: ir.Value, sums: list[ir.Value]
    ) -> list[ir.Value]:
        """Sums on by neighbouring elements of the kernel, of which the first meets column `first`
        of a line of x at the tile's first pixel. Each vector of x is read once."""
        b, w, spec = self.builder, self.w, self.spec
        values = [self._vector(weights, k) for k in range(spec.taps * spec.vectors)]
        meet: dict[int, list[tuple[int, int]]] = {}
        for r in range(spec.pixels):
            for k in range(spec.taps):
                meet.setdefault(r * spec.stride + k * spec.dilation, []).append((r, k))
        sums = list(sums)
        start = self._at(line, b.mul(first, w["xw"]))
        for step, pairs in sorted(meet.items()):
            inside = b.icmp_unsigned("<", b.add(first, i64(step)), w["w"])
            at = b.select(inside, self._at(start, b.mul(w["xw"], i64(step))), self.zeros)
            for j in range(spec.vectors):
                here = self._vector(at, j)
                for r, k in pairs:
                    n = r * spec.vectors + j
                    sums[n] = self._fma(here, values[k * spec.vectors + j], sums[n])
        return sums

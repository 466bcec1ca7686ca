"""Gradients of depthwise convolutions for their weights as LLVM."""

from __future__ import annotations

from llvmlite import ir

from ..kernels.depthwise import DepthwiseWeightSpec
from ..machine import Target
from .build import i64, loop, prefetch
from .emitter import Emitter
from .scalar import emit_const, load, store

_WORDS = (
    "lines lines_of_part parts panels panel_block oh ow h w sh sw dh dw ph pw xn xh xw gn gh gw"
).split()

Values = list[ir.Value]


def emit(spec: DepthwiseWeightSpec, target: Target) -> ir.Module:
    """A part of the lines for a block of panels an item; see `kernels/depthwise.py`."""
    return _Emitter(spec, target).module


class _Emitter(Emitter):
    def __init__(self, spec: DepthwiseWeightSpec, target: Target) -> None:
        super().__init__(spec, target, _WORDS)
        self.x, self.g, self.sums = self.arrays
        self.zeros = self.scratch
        self.clear(self.zeros, i64(spec.columns))
        self._inner = self._pixels_inside()
        self.items(self._item)

    def _pixels_inside(self) -> tuple[ir.Value, ir.Value]:
        """The pixels of a line from which the kernel reaches over neither edge: first and end."""
        b, w, spec = self.builder, self.w, self.spec
        zero, one = i64(0), i64(1)
        first = b.sdiv(b.add(w["pw"], b.sub(w["sw"], one)), w["sw"])
        first = self._least(first, w["ow"])
        reach = b.mul(i64(spec.width - 1), w["dw"])
        room = b.sub(b.add(b.sub(w["w"], one), w["pw"]), reach)
        fits = b.icmp_signed(">=", room, zero)
        end = b.select(fits, b.add(b.sdiv(b.select(fits, room, zero), w["sw"]), one), zero)
        end = self._least(end, w["ow"])
        return first, b.select(b.icmp_signed("<", end, first), first, end)

    def _item(self, item: ir.Value, _: Values) -> None:
        b, w, spec = self.builder, self.w, self.spec
        part, block = b.urem(item, w["parts"]), b.udiv(item, w["parts"])
        low = b.mul(block, w["panel_block"])
        high = self._least(b.add(low, w["panel_block"]), w["panels"])
        size = spec.height * spec.width * spec.columns
        sums = self._at(self.sums, b.mul(b.mul(part, w["panels"]), i64(size)))
        zero = emit_const(0, spec.dtype, spec.lanes)

        def clear(i: ir.Value, _: Values) -> None:
            store(b, zero, self._at(sums, i), spec.dtype, self.target)

        ends = b.mul(low, i64(size)), b.mul(high, i64(size))
        loop(b, *ends, i64(spec.lanes), [], clear, "clear")
        first = b.mul(part, w["lines_of_part"])
        last = self._least(b.add(first, w["lines_of_part"]), w["lines"])

        def line(number: ir.Value, _: Values) -> None:
            row, image = b.urem(number, w["oh"]), b.udiv(number, w["oh"])
            x = self._at(self.x, b.mul(image, w["xn"]))
            g = self._at(self.g, b.add(b.mul(image, w["gn"]), b.mul(row, w["gh"])))

            def panel(p: ir.Value, _: Values) -> None:
                column = b.mul(p, i64(spec.columns))
                to = self._at(sums, b.mul(p, i64(size)))
                self._line(self._at(x, column), self._at(g, column), row, to)

            loop(b, low, high, i64(1), [], panel, "panel")

        loop(b, first, last, i64(1), [], line, "line")

    def _line(self, x: ir.Value, g: ir.Value, row: ir.Value, to: ir.Value) -> None:
        """A panel's sums on by a line of pixels, the edges first."""
        b, w, spec = self.builder, self.w, self.spec
        top = b.sub(b.mul(row, w["sh"]), w["ph"])
        rows, steps = [], []
        for k in range(spec.height):
            r = b.add(top, b.mul(w["dh"], i64(k)))
            inside = b.icmp_unsigned("<", r, w["h"])
            # All of a row outside is the block of zeros.
            rows.append(b.select(inside, self._at(x, b.mul(r, w["xh"])), self.zeros))
            steps.append(b.select(inside, w["xw"], i64(0)))
        places = [
            self._at(to, i64(k * spec.lanes))
            for k in range(spec.height * spec.width * spec.vectors)
        ]
        sums = [load(b, p, spec.dtype, spec.lanes, self.target) for p in places]
        first, end = self._inner

        def on_edge(e: ir.Value, sums: Values) -> Values:
            at_left = b.icmp_signed("<", e, first)
            q = b.select(at_left, e, b.add(b.sub(e, first), end))
            return self._pixel(g, q, rows, steps, sums, True)

        def within(q: ir.Value, sums: Values) -> Values:
            return self._pixel(g, q, rows, steps, sums, False)

        n_edge = b.add(first, b.sub(w["ow"], end))
        sums = loop(b, i64(0), n_edge, i64(1), sums, on_edge, "edge")
        sums = loop(b, first, end, i64(1), sums, within, "within")
        for value, place in zip(sums, places):
            store(b, value, place, spec.dtype, self.target)

    def _pixel(
        self, g: ir.Value, q: ir.Value, rows: Values, steps: Values, sums: Values, edge: bool
    ) -> Values:
        """Sums on by pixel q of a line."""
        b, w, spec = self.builder, self.w, self.spec
        at_g = self._at(g, b.mul(q, w["gw"]))
        values = [self._vector(at_g, j) for j in range(spec.vectors)]
        column = b.sub(b.mul(q, w["sw"]), w["pw"])
        for j in range(spec.vectors):
            # The line below, which is the next one's.
            prefetch(b, self._at(at_g, b.add(w["gh"], i64(j * spec.lanes))), nearness=2)
        new: Values = []
        for r, (base, step) in enumerate(zip(rows, steps)):
            start = self._at(base, b.mul(column, step))
            for k in range(spec.width):
                at = self._at(start, b.mul(b.mul(w["dw"], i64(k)), step))
                if edge:
                    place = b.add(column, b.mul(w["dw"], i64(k)))
                    at = b.select(b.icmp_unsigned("<", place, w["w"]), at, self.zeros)
                elif r == len(rows) - 1 and k == 0:
                    ahead = self._at(at, b.mul(w["sh"], w["xh"]))
                    for j in range(spec.vectors):
                        prefetch(b, self._at(ahead, i64(j * spec.lanes)), nearness=2)
                for j, value in enumerate(values):
                    total = sums[len(new)]
                    new.append(self._fma(self._vector(at, j), value, total))
        return new

"""Gradients of convolutions for their weights as LLVM: the tiles of sums, and their combination."""

from __future__ import annotations

from llvmlite import ir

from ..kernels.conv_weight import CombineSpec, ConvWeightSpec
from ..machine import Target
from .build import I64, Words, first_lanes, i64, kernel_function, loop, splat
from .emitter import Emitter
from .scalar import emit_const, load, memory_type, store
from .transpose import turn

I32 = ir.IntType(32)
_WORDS = (
    "table rows row_tiles panels tiles tile_block tile_items lines lines_of_part line_block "
    "part_size x_apart g_apart outputs channels od oh ow kd kh kw sd sh sw dd dh dw "
    "xn xd xh xw gn gd gh gw"
).split()


def emit(spec: ConvWeightSpec, target: Target) -> ir.Module:
    """A block of tiles over one part of the pixels an item; see `kernels/conv_weight.py`."""
    return _Emitter(spec, target).module


class _Emitter(Emitter):
    def __init__(self, spec: ConvWeightSpec, target: Target) -> None:
        super().__init__(spec, target, _WORDS)
        self.x, self.g, self.sums = self.arrays
        self.offsets = self.scratch
        self.x_lines = self._at(self.offsets, self.w["table"], I64)
        self.g_lines = self._at(self.x_lines, self.w["line_block"], I64)
        self._list_rows()
        self.items(self._item)

    def _list_rows(self) -> None:
        """Where in x the pair (k, c) of each row lies, from the pixel's first element; the last one
        again to the end of a tile."""
        b, w = self.builder, self.w

        def row(i: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            *k, c = carried
            at = c
            for axis, position in zip("dhw", k):
                at = b.add(at, b.mul(b.mul(position, w["d" + axis]), w["x" + axis]))
            b.store(at, self._at(self.offsets, i, I64))
            carry = b.zext(b.icmp_signed("<", b.add(i, i64(1)), w["rows"]), I64)
            moved = []
            for name, position in zip(("channels", "kw", "kh", "kd"), reversed(carried)):
                position = b.add(position, carry)
                full = b.icmp_signed("==", position, w[name])
                carry = b.zext(full, I64)
                moved.append(b.select(full, i64(0), position))
            return list(reversed(moved))

        loop(b, i64(0), self.w["table"], i64(1), [i64(0)] * 4, row, "row")

    def _item(self, item: ir.Value, _: list[ir.Value]) -> None:
        b, w, spec = self.builder, self.w, self.spec
        part, block = b.udiv(item, w["tile_items"]), b.urem(item, w["tile_items"])
        low = b.mul(block, w["tile_block"])
        high = self._least(b.add(low, w["tile_block"]), w["tiles"])
        size = spec.rows * spec.columns
        sums = self._at(self.sums, b.mul(part, w["part_size"]))

        def clear(i: ir.Value, _: list[ir.Value]) -> None:
            zero = emit_const(0, spec.dtype, spec.lanes)
            store(b, zero, self._at(sums, i), spec.dtype, self.target)

        if not spec.onward:
            loop(
                b,
                b.mul(low, i64(size)),
                b.mul(high, i64(size)),
                i64(spec.lanes),
                [],
                clear,
                "clear",
            )
        first = b.mul(part, w["lines_of_part"])
        last = self._least(b.add(first, w["lines_of_part"]), w["lines"])

        def lines(line: ir.Value, _: list[ir.Value]) -> None:
            count = self._least(b.sub(last, line), w["line_block"])
            self._list_lines(line, count)

            def tile(t: ir.Value, _: list[ir.Value]) -> None:
                row_tile, rest = b.urem(t, w["row_tiles"]), b.udiv(t, w["row_tiles"])
                panel, group = b.urem(rest, w["panels"]), b.udiv(rest, w["panels"])
                column = b.mul(panel, i64(spec.columns))
                x = self._at(self.x, b.mul(group, w["x_apart"]))
                x = self._at(x, column) if spec.depthwise else x
                g = self._at(self.g, b.add(b.mul(group, w["g_apart"]), column))
                left = b.sub(w["outputs"], column)
                to = self._at(sums, b.mul(t, i64(size)))
                whole = b.icmp_signed(">=", left, i64(spec.columns))
                with b.if_else(whole) as (then, otherwise):
                    with then:
                        self._tile(row_tile, x, g, count, to, None)
                    with otherwise:
                        self._tile(row_tile, x, g, count, to, left)

            loop(b, low, high, i64(1), [], tile, "tile")

        loop(b, first, last, w["line_block"], [], lines, "lines")

    def _list_lines(self, first: ir.Value, count: ir.Value) -> None:
        """Where rows of pixels begin in x and g."""
        b, w = self.builder, self.w

        def line(i: ir.Value, _: list[ir.Value]) -> None:
            number = b.add(first, i)
            oh, rest = b.urem(number, w["oh"]), b.udiv(number, w["oh"])
            od, n = b.urem(rest, w["od"]), b.udiv(rest, w["od"])
            x_at, g_at = b.mul(n, w["xn"]), b.mul(n, w["gn"])
            for axis, o in (("d", od), ("h", oh)):
                x_at = b.add(x_at, b.mul(b.mul(o, w["s" + axis]), w["x" + axis]))
                g_at = b.add(g_at, b.mul(o, w["g" + axis]))
            b.store(x_at, self._at(self.x_lines, i, I64))
            b.store(g_at, self._at(self.g_lines, i, I64))

        loop(b, i64(0), count, i64(1), [], line, "line")

    def _tile(
        self,
        row_tile: ir.Value,
        x: ir.Value,
        g: ir.Value,
        count: ir.Value,
        to: ir.Value,
        left: ir.Value | None,
    ) -> None:
        """Sums of a tile over a block of rows of pixels, on from what is in memory."""
        b, w, spec = self.builder, self.w, self.spec
        first = b.mul(row_tile, i64(spec.rows))
        rows = [
            b.load(self._at(self.offsets, b.add(first, i64(r)), I64), typ=I64)
            for r in range(spec.rows)
        ]
        masks = [None] * spec.vectors if left is None else self._masks(left)
        places = [self._at(to, i64(k * spec.lanes)) for k in range(spec.rows * spec.vectors)]
        starts = [load(b, p, spec.dtype, spec.lanes, self.target) for p in places]
        x_step = b.mul(w["sw"], w["xw"])

        def line(i: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            x_line = self._at(x, b.load(self._at(self.x_lines, i, I64), typ=I64))
            g_line = self._at(g, b.load(self._at(self.g_lines, i, I64), typ=I64))

            def pixel(_: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                x_at, g_at, *sums = carried
                values = [self._vector(g_at, j, mask) for j, mask in enumerate(masks)]
                new = []
                for r, offset in enumerate(rows):
                    for j, wide in enumerate(self._read(self._at(x_at, offset))):
                        new.append(self._fma(wide, values[j], sums[r * spec.vectors + j]))
                return [self._at(x_at, x_step), self._at(g_at, w["gw"]), *new]

            return loop(b, i64(0), w["ow"], i64(1), [x_line, g_line, *sums], pixel, "pixel")[2:]

        sums = loop(b, i64(0), count, i64(1), starts, line, "line")
        for value, place in zip(sums, places):
            store(b, value, place, spec.dtype, self.target)

    def _read(self, place: ir.Value) -> list[ir.Value]:
        """What the vectors of the cotangent are multiplied by at one element of x."""
        b, spec = self.builder, self.spec
        if not spec.depthwise:
            value = load(b, place, spec.dtype, 1, self.target)
            return [splat(b, value, spec.lanes)] * spec.vectors
        return [self._vector(place, j) for j in range(spec.vectors)]


def emit_combine(spec: CombineSpec, target: Target) -> ir.Module:
    """One panel of output channels an item: parts added in order, then squares turned."""
    module, function, b = kernel_function()
    bases, args, begin, end, _ = function.args
    words = Words(b, bases, args)
    sums, y = words.array(), words.array()
    names = "parts part_size rows table panels outputs channels taps".split()
    w = {name: words.integer() for name in names}
    dtype, tiles = spec.tiles.dtype, spec.tiles
    element, lanes = memory_type(dtype, 1), tiles.lanes

    def at(base: ir.Value, offset: ir.Value) -> ir.Value:
        return b.gep(base, [offset], source_etype=element)

    def added(places: list[ir.Value]) -> list[ir.Value]:
        """The sums of the parts of the vectors at `places`."""

        def part(p: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            away = b.mul(p, w["part_size"])
            more = [load(b, at(base, away), dtype, lanes, target) for base in places]
            return [b.fadd(total, value) for total, value in zip(sums, more)]

        start = [load(b, base, dtype, lanes, target) for base in places]
        return loop(b, i64(1), w["parts"], i64(1), start, part, "part")

    def item(i: ir.Value, _: list[ir.Value]) -> None:
        group, panel = b.udiv(i, w["panels"]), b.urem(i, w["panels"])
        source = at(sums, b.mul(b.mul(i, w["table"]), i64(tiles.columns)))
        column = b.mul(panel, i64(tiles.columns))
        number = b.add(b.mul(group, w["outputs"]), column)
        to = at(y, b.mul(number, w["rows"]))
        left = b.sub(w["outputs"], column)
        is_whole = b.icmp_signed(">=", left, i64(tiles.columns))
        width = b.select(is_whole, i64(tiles.columns), left)

        def block(first: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            """Rows of y first to first + lanes; (c, k) is the pair of the first."""
            c, k = carried
            places = []
            for lane in range(lanes):
                more = b.icmp_signed("<", b.add(first, i64(lane)), w["rows"])
                row = b.select(more, b.add(b.mul(k, w["channels"]), c), i64(0))
                places.append(b.mul(row, i64(tiles.columns)))
                k = b.add(k, i64(1))
                full = b.icmp_signed("==", k, w["taps"])
                c, k = b.add(c, b.zext(full, I64)), b.select(full, i64(0), k)
            n_rows = b.sub(w["rows"], first)
            mask = first_lanes(b, n_rows, lanes)

            def vector(at_column: ir.Value, _: list[ir.Value]) -> None:
                vectors = [at(source, b.add(p, at_column)) for p in places]
                last = b.sub(b.sub(left, at_column), i64(1))
                # Outputs that do not exist go where the last one goes, before it does.
                for lane, turned in reversed(list(enumerate(turn(b, added(vectors))))):
                    there = b.icmp_signed("<", i64(lane), last)
                    output = b.add(at_column, b.select(there, i64(lane), last))
                    where = at(to, b.add(b.mul(w["rows"], output), first))
                    store(b, turned, where, dtype, target, mask=mask)

            loop(b, i64(0), width, i64(lanes), [], vector, "j")
            return [c, k]

        loop(b, i64(0), w["rows"], i64(lanes), [i64(0), i64(0)], block, "block")

    loop(b, begin, end, i64(1), [], item, "item")
    b.ret_void()
    return module

"""Direct convolutions as LLVM: packing of weights, and the loops around a register tile."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from ..kernels.conv import TURN_BLOCK, ConvSpec, TurnedWeightsSpec, WeightsSpec
from ..machine import Target
from .build import I1, I64, Words, first_lanes, i64, iota, kernel_function, loop, splat, while_loop
from .emitter import ConvolutionEmitter
from .scalar import emit_const, load, memory_type, store
from .transpose import turn

I32 = ir.IntType(32)


def emit_weights(spec: WeightsSpec, target: Target) -> ir.Module:
    """Copies one kernel element of one panel an item, output channels past the end as zeros."""
    module, function, b = kernel_function()
    bases, args, begin, end, _ = function.args
    words = Words(b, bases, args)
    source, to = words.array(), words.array()
    names = "outputs panels kd kh kw channels group output d h w channel".split()
    w = {name: words.integer() for name in names}
    element, lanes = memory_type(spec.dtype, 1), spec.columns

    def item(i: ir.Value, _: list[ir.Value]) -> None:
        kw, rest = b.urem(i, w["kw"]), b.udiv(i, w["kw"])
        kh, rest = b.urem(rest, w["kh"]), b.udiv(rest, w["kh"])
        kd, rest = b.urem(rest, w["kd"]), b.udiv(rest, w["kd"])
        panel, group = b.urem(rest, w["panels"]), b.udiv(rest, w["panels"])
        first = b.mul(panel, i64(lanes))
        start = b.add(b.mul(group, w["group"]), b.mul(first, w["output"]))
        for axis, k in zip("dhw", (kd, kh, kw)):
            start = b.add(start, b.mul(k, w[axis]))
        out = b.gep(to, [b.mul(b.mul(i, w["channels"]), i64(lanes))], source_etype=element)
        left = b.sub(w["outputs"], first)
        mask = first_lanes(b, left, lanes)
        steps = []
        for lane in range(0 if spec.adjacent else lanes):
            inside = b.icmp_signed("<", i64(lane), left)
            steps.append((inside, b.select(inside, b.mul(w["output"], i64(lane)), i64(0))))

        def channel(c: ir.Value, _: list[ir.Value]) -> None:
            base = b.gep(source, [b.add(start, b.mul(c, w["channel"]))], source_etype=element)
            if spec.adjacent:
                vector = load(b, base, spec.dtype, lanes, target, mask=mask)
            else:
                vector = ir.Constant(ir.VectorType(element, lanes), ir.Undefined)
                for lane, (inside, step) in enumerate(steps):
                    value = b.load(b.gep(base, [step], source_etype=element), typ=element)
                    value = b.select(inside, value, ir.Constant(element, 0))
                    vector = b.insert_element(vector, value, ir.Constant(I32, lane))
            where = b.gep(out, [b.mul(c, i64(lanes))], source_etype=element)
            store(b, vector, where, spec.dtype, target)

        loop(b, i64(0), w["channels"], i64(1), [], channel, "channel")

    loop(b, begin, end, i64(1), [], item, "item")
    b.ret_void()
    return module


def emit_turned_weights(spec: TurnedWeightsSpec, target: Target) -> ir.Module:
    """A block of neighbouring elements of one panel's output channels an item."""
    module, function, b = kernel_function()
    bases, args, begin, end, _ = function.args
    words = Words(b, bases, args)
    source, to = words.array(), words.array()
    names = "outputs panels group output row taps blocks chunks by_row length first step apart"
    w = {name: words.integer() for name in names.split()}
    element, lanes, dtype = memory_type(spec.dtype, 1), spec.lanes, spec.dtype

    def at(base: ir.Value, offset: ir.Value) -> ir.Value:
        return b.gep(base, [offset], source_etype=element)

    def item(i: ir.Value, _: list[ir.Value]) -> None:
        chunk, rest = b.urem(i, w["chunks"]), b.udiv(i, w["chunks"])
        panel, group = b.urem(rest, w["panels"]), b.udiv(rest, w["panels"])
        row, block = b.udiv(chunk, w["blocks"]), b.urem(chunk, w["blocks"])
        column = b.mul(panel, i64(spec.columns))
        start = b.add(b.mul(group, w["group"]), b.mul(row, w["by_row"]))
        from_ = at(source, start)
        out = at(to, b.mul(b.mul(rest, w["length"]), i64(spec.columns)))
        last = b.sub(w["outputs"], i64(1))
        low = b.mul(block, i64(TURN_BLOCK))
        high = b.add(low, i64(TURN_BLOCK))
        high = b.select(b.icmp_signed("<", high, w["row"]), high, w["row"])

        def square(j: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            channel, tap = carried
            mask = first_lanes(b, b.sub(high, j), lanes)
            places: list[ir.Value] = []
            begin = b.add(w["first"], b.mul(row, w["apart"]))
            for lane in range(lanes):
                place = b.add(channel, b.add(begin, b.mul(tap, w["step"])))
                place = at(out, b.mul(place, i64(spec.columns)))
                if lane:
                    # Elements past the end go where the last one goes, before it does.
                    more = b.icmp_signed("<", b.add(j, i64(lane)), high)
                    place = b.select(more, place, places[-1])
                places.append(place)
                tap = b.add(tap, i64(1))
                full = b.icmp_signed("==", tap, w["taps"])
                channel = b.add(channel, b.zext(full, I64))
                tap = b.select(full, i64(0), tap)

            def vector(first: ir.Value, _: list[ir.Value]) -> None:
                vectors = []
                for lane in range(lanes):
                    # Lanes past the last output are never stored: any number will do.
                    output = b.add(column, b.add(first, i64(lane)))
                    output = b.select(b.icmp_signed("<", output, last), output, last)
                    where = at(from_, b.add(b.mul(output, w["output"]), j))
                    vectors.append(load(b, where, dtype, lanes, target, mask=mask))
                for place, turned in reversed(list(zip(places, turn(b, vectors)))):
                    store(b, turned, at(place, first), dtype, target)

            loop(b, i64(0), i64(spec.columns), i64(lanes), [], vector, "vector")
            return [channel, tap]

        start_at = [b.udiv(low, w["taps"]), b.urem(low, w["taps"])]
        loop(b, low, high, i64(lanes), start_at, square, "square")

    loop(b, begin, end, i64(1), [], item, "item")
    b.ret_void()
    return module


def emit(spec: ConvSpec, target: Target) -> ir.Module:
    """A block of pixels by a block of panels an item; see `kernels/conv.py`."""
    return _Emitter(spec, target).module


_WORDS = (
    "zeros zero_bytes rows pixels block pixel_items outputs panels panel_block panel_items "
    "channels merges batch od oh ow d h w kd kh kw sd sh sw dd dh dw pd ph pw xn xd xh xw "
    "yn yd yh yw"
).split()


TABLE_LANES = 8
"""Pixels that are written into the tables at once."""

Segment = Callable[[list[ir.Value], ir.Value, ir.Value, list[ir.Value]], list[ir.Value]]
"""Code that goes on with a tile's sums over one run: (shifts, weights, run, sums) to sums."""


class _Emitter(ConvolutionEmitter):
    def __init__(self, spec: ConvSpec, target: Target) -> None:
        super().__init__(spec, target, _WORDS)
        # Vectors of coordinates have a power of two of lanes; those past the tile go unused.
        self.wide = 1 << (spec.pixels - 1).bit_length()
        self._tables(self.scratch)
        self.clear(self.zeros, self.w["zeros"])
        self.items(self._item)

    def _tables(self, scratch: ir.Value) -> None:
        """Places in scratch: zeros; offsets of pixels in x and y; their first input positions."""
        b, rows = self.builder, self.w["rows"]
        self.zeros = scratch
        at = self.w["zero_bytes"]
        places = []
        for size in (8, 8, 4, 4, 4):
            places.append(b.gep(scratch, [at], source_etype=ir.IntType(8)))
            at = b.add(at, b.mul(rows, i64(size)))
        self.x_at, self.y_at, *self.first = places
        # With work to be done: numbers of the pixels along each axis, and a tile's sums.
        self.digits = {}
        for name in ("batch", "od", "oh", "ow"):
            self.digits[name] = b.gep(scratch, [at], source_etype=ir.IntType(8))
            at = b.add(at, b.mul(rows, i64(8)))
        self.tile = b.gep(scratch, [at], source_etype=ir.IntType(8))
        # The zeros as a distance from x, in elements: buffers start on multiples of an element.
        apart = b.sub(b.ptrtoint(self.zeros, I64), b.ptrtoint(self.x, I64))
        self.zero_at = b.sdiv(apart, i64(self.spec.dtype.itemsize))

    def _item(self, item: ir.Value, _: list[ir.Value]) -> None:
        b, w, spec = self.builder, self.w, self.spec
        pixel_item = b.urem(item, w["pixel_items"])
        rest = b.udiv(item, w["pixel_items"])
        panel_item = b.urem(rest, w["panel_items"])
        group = b.udiv(rest, w["panel_items"])
        low = b.mul(pixel_item, w["block"])
        high = self._least(b.add(low, w["block"]), w["pixels"])
        self._list_pixels(low, high)
        x = self._at(self.x, b.mul(group, w["channels"]))
        y = self._at(self.y, b.mul(group, w["outputs"]))
        zero_at = b.sub(self.zero_at, b.mul(group, w["channels"]))
        taps = b.mul(b.mul(w["kd"], w["kh"]), w["kw"])
        panel_size = b.mul(b.mul(taps, w["channels"]), i64(spec.columns))
        panel_low = b.mul(panel_item, w["panel_block"])
        panel_high = self._least(b.add(panel_low, w["panel_block"]), w["panels"])

        def panel(p: ir.Value, _: list[ir.Value]) -> None:
            number = b.add(b.mul(group, w["panels"]), p)
            weights = self._at(self.weights, b.mul(number, panel_size))
            column = b.mul(p, i64(spec.columns))
            left = b.sub(w["outputs"], column)
            y_panel = self._at(y, column)

            def tile(i: ir.Value, _: list[ir.Value]) -> None:
                def place_of(r: ir.Value) -> list[ir.Value]:
                    at = b.add(i, r)
                    return [b.load(self._at(t, at, I64), typ=I64) for t in self.digits.values()]

                def row_of(r: int) -> ir.Value:
                    place = b.load(self._at(self.y_at, b.add(i, i64(r)), I64), typ=I64)
                    return self._at(y_panel, place)

                sums = self._sums(i, x, zero_at, weights)
                n_pixels = b.sub(high, b.add(low, i))
                if self.finish is None:
                    self.store_tile(sums, n_pixels, left, row_of)
                else:
                    first = b.add(b.mul(group, w["outputs"]), column)
                    self.finish_tile(sums, n_pixels, first, left, place_of)

            loop(b, i64(0), b.sub(high, low), i64(spec.pixels), [], tile, "tile")

        loop(b, panel_low, panel_high, i64(1), [], panel, "panel")

    def _list_pixels(self, low: ir.Value, high: ir.Value) -> None:
        """Fill the tables for pixels low to high, one run of neighbours after the other; the last
        one again to the end of a tile."""
        b, w = self.builder, self.w
        count = b.sub(high, low)
        # Digits of the pixel's number, the fastest first.
        order = (
            ["batch", "ow", "oh", "od"] if self.spec.batch_first else ["ow", "oh", "od", "batch"]
        )
        start, rest = [], low
        for name in order:
            start.append(b.urem(rest, w[name]))
            rest = b.udiv(rest, w[name])
        fastest = order[0]
        # What moves along a run, and how much from pixel to pixel.
        steps = {"x": b.mul(w["sw"], w["xw"]), "y": w["yw"], "w": w["sw"], fastest: i64(1)}
        if self.spec.batch_first:
            steps = {"x": w["xn"], "y": w["yn"], fastest: i64(1)}

        def put(i: ir.Value, digits: dict[str, ir.Value], steps: dict[str, ir.Value]) -> None:
            """Write TABLE_LANES pixels from number i of the tables on."""
            n, position = digits["batch"], [digits[name] for name in ("od", "oh", "ow")]
            x_at, y_at = b.mul(n, w["xn"]), b.mul(n, w["yn"])
            entries: list[tuple[str, ir.Value, ir.Value, bool]] = []
            for axis, (o, table) in zip("dhw", zip(position, self.first)):
                first = b.sub(b.mul(o, w["s" + axis]), w["p" + axis])
                x_at = b.add(x_at, b.mul(first, w["x" + axis]))
                y_at = b.add(y_at, b.mul(o, w["y" + axis]))
                entries.append((axis, first, table, True))
            entries += [("x", x_at, self.x_at, False), ("y", y_at, self.y_at, False)]
            if self.finish is not None:
                entries += [(n, digits[n], table, False) for n, table in self.digits.items()]
            for name, value, table, narrow in entries:
                vector = splat(b, value, TABLE_LANES)
                if name in steps:
                    moved = b.mul(splat(b, steps[name], TABLE_LANES), iota(TABLE_LANES))
                    vector = b.add(vector, moved)
                kind = I64
                if narrow:
                    vector, kind = b.trunc(vector, ir.VectorType(I32, TABLE_LANES)), I32
                b.store(vector, self._at(table, i, kind), align=4)

        def run(carried: list[ir.Value]) -> list[ir.Value]:
            i, *digits = carried
            here = dict(zip(order, digits))
            length = self._least(b.sub(w[fastest], digits[0]), b.sub(count, i))

            def some(j: ir.Value, _: list[ir.Value]) -> None:
                put(b.add(i, j), {**here, fastest: b.add(here[fastest], j)}, steps)

            loop(b, i64(0), length, i64(TABLE_LANES), [], some, "some")
            after = b.add(i, length)
            carry = b.zext(b.icmp_signed("<", after, count), I64)
            # The next run begins at 0; but the last pixel is the one that is written again.
            moved = [b.select(b.trunc(carry, I1), i64(0), b.sub(b.add(digits[0], length), i64(1)))]
            for name, digit in zip(order[1:], digits[1:]):
                digit = b.add(digit, carry)
                full = b.icmp_signed("==", digit, w[name])
                carry = b.zext(full, I64)
                moved.append(b.select(full, i64(0), digit))
            return [after, *moved]

        _, *last = while_loop(
            b, [i64(0), *start], lambda carried: b.icmp_signed("<", carried[0], count), run, "run"
        )
        # The tile after the last is read, though not used.
        for k in range(0, self.spec.pixels + self.wide, TABLE_LANES):
            put(b.add(count, i64(k)), dict(zip(order, last)), {})

    def _sums(
        self, i: ir.Value, x: ir.Value, zero_at: ir.Value, weights: ir.Value
    ) -> list[ir.Value]:
        """The tile's sums over the kernel and the channels."""
        b, w, spec = self.builder, self.w, self.spec
        start = emit_const(0, spec.dtype, spec.lanes)
        carried = [weights, *[start] * (spec.pixels * spec.vectors)]
        segment, steps, run = self._segments(i, x, zero_at)

        def d_loop(d: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            def h_loop(h: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                def w_loop(k: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
                    weights, *sums = carried
                    shifts = [b.mul(p, w["d" + axis]) for axis, p in zip("dhw", (d, h, k))]
                    after = self._at(weights, b.mul(run, i64(spec.columns)))
                    return [after, *segment(shifts, weights, run, sums)]

                return loop(b, i64(0), steps, i64(1), carried, w_loop, "kw")

            return loop(b, i64(0), w["kh"], i64(1), carried, h_loop, "kh")

        return loop(b, i64(0), w["kd"], i64(1), carried, d_loop, "kd")[1:]

    def _segments(
        self, i: ir.Value, x: ir.Value, zero_at: ir.Value
    ) -> tuple[Segment, ir.Value, ir.Value]:
        """How the tile from pixel i of the table takes one row of the kernel: the code, the steps
        along the row, and the neighbouring elements of each step."""
        b, w, spec = self.builder, self.w, self.spec
        merged = b.trunc(w["merges"], ir.IntType(1))
        if spec.padded:
            segment, whole = self._with_edges(i, x, zero_at)
            merged = b.and_(merged, whole)
        else:
            segment = self._without_edges(i, x)
        steps = b.select(merged, i64(1), w["kw"])
        run = b.select(merged, b.mul(w["kw"], w["channels"]), w["channels"])
        return segment, steps, run

    def _shifted(self, shifts: list[ir.Value]) -> ir.Value:
        """How far from a pixel's first element a kernel element's lies in x."""
        b, w = self.builder, self.w
        off = i64(0)
        for axis, shift in zip("dhw", shifts):
            off = b.add(off, b.mul(shift, w["x" + axis]))
        return off

    def _without_edges(self, i: ir.Value, x: ir.Value) -> Segment:
        """Pixels keep their distance from a base that moves through x."""
        b, spec = self.builder, self.spec
        table = self._at(self.x_at, i, I64)
        rows = [b.load(self._at(table, i64(r), I64), typ=I64) for r in range(spec.pixels)]

        def segment(
            shifts: list[ir.Value], weights: ir.Value, run: ir.Value, sums: list[ir.Value]
        ) -> list[ir.Value]:
            base = self._at(x, self._shifted(shifts))
            return self._run(base, rows, weights, run, sums)

        return segment

    def _with_edges(self, i: ir.Value, x: ir.Value, zero_at: ir.Value) -> tuple[Segment, ir.Value]:
        """Pixels read zeros where the kernel lies outside x, and nothing where it does for all of
        them. Also whether no pixel's row reaches over an edge, so that its elements are one run."""
        b, w, spec = self.builder, self.w, self.spec
        lanes32, lanes64 = ir.VectorType(I32, self.wide), ir.VectorType(I64, self.wide)
        x_at = b.load(self._at(self.x_at, i, I64), align=8, typ=lanes64)
        first = {
            axis: b.load(self._at(table, i, I32), align=4, typ=lanes32)
            for axis, table in zip("dhw", self.first)
        }
        size = {axis: splat(b, b.trunc(w[axis], I32), self.wide) for axis in "dhw"}
        zero = splat(b, zero_at, self.wide)

        def inside(axis: str, shift: ir.Value) -> ir.Value:
            at = b.add(first[axis], splat(b, b.trunc(shift, I32), self.wide))
            return b.icmp_unsigned("<", at, size[axis])

        def bits(mask: ir.Value) -> ir.Value:
            number = b.bitcast(mask, ir.IntType(self.wide))
            return b.and_(number, ir.Constant(number.type, (1 << spec.pixels) - 1))

        reach = b.mul(b.sub(w["kw"], i64(1)), w["dw"])
        found = bits(b.and_(inside("w", i64(0)), inside("w", reach)))
        whole = b.icmp_unsigned("==", found, ir.Constant(found.type, (1 << spec.pixels) - 1))

        def segment(
            shifts: list[ir.Value], weights: ir.Value, run: ir.Value, sums: list[ir.Value]
        ) -> list[ir.Value]:
            on = b.and_(inside("d", shifts[0]), inside("h", shifts[1]))
            on = b.and_(on, inside("w", shifts[2]))
            found = bits(on)
            before = b.block
            with b.if_then(b.icmp_unsigned("!=", found, ir.Constant(found.type, 0))):
                at = b.add(x_at, splat(b, self._shifted(shifts), self.wide))
                at = b.select(on, at, zero)
                rows = [b.extract_element(at, ir.Constant(I32, r)) for r in range(spec.pixels)]
                new = self._run(x, rows, weights, run, sums)
                inner = b.block
            result = []
            for old, value in zip(sums, new):
                phi = b.phi(value.type)
                phi.add_incoming(old, before)
                phi.add_incoming(value, inner)
                result.append(phi)
            return result

        return segment, whole

    def _run(
        self,
        base: ir.Value,
        rows: list[ir.Value],
        weights: ir.Value,
        run: ir.Value,
        sums: list[ir.Value],
    ) -> list[ir.Value]:
        """Sums on over `run` neighbouring elements, for each pixel from `rows` past `base`."""
        b, spec = self.builder, self.spec

        def step(k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            here = self._at(base, k)
            at = self._at(weights, b.mul(k, i64(spec.columns)))
            values = [self._vector(at, j) for j in range(spec.vectors)]
            new = []
            for r, row in enumerate(rows):
                x = load(b, self._at(here, row), spec.dtype, 1, self.target)
                wide = splat(b, x, spec.lanes)
                for j, value in enumerate(values):
                    new.append(self._fma(wide, value, sums[r * spec.vectors + j]))
            return new

        return loop(b, i64(0), run, i64(1), sums, step, "step")

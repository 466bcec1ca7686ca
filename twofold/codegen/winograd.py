"""Winograd's short convolutions as LLVM: transforms of weights, inputs and products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from ..kernels.winograd import CHANNEL_BLOCK, POINTS, WinogradSpec, WinogradWeightsSpec
from ..machine import Target
from .build import POINTER, Words, i64, kernel_function, loop, splat
from .emitter import Emitter
from .loops import LoopEmitter
from .scalar import emit_const, emit_fma, load, memory_type, store

Vectors = list[ir.Value]


class Arithmetic:
    """Vectors of a kernel, and the one-dimensional transforms on them.

    The points are 0, a, -a, b, -b (without b for m = 2) and infinity. What belongs to a and -a is
    the sum and the difference of an even and an odd part.
    """

    def __init__(self, spec: WinogradSpec, builder: ir.IRBuilder, target: Target) -> None:
        self.spec, self.b, self.target = spec, builder, target
        self.squares = [p * p for p in POINTS[spec.m]]

    def number(self, value: float) -> ir.Value:
        return emit_const(value, self.spec.dtype, self.spec.lanes)

    def fma(self, x: ir.Value | float, y: ir.Value, z: ir.Value) -> ir.Value:
        """x y + z."""
        x = self.number(x) if isinstance(x, float) else x
        return emit_fma(self.b, x, y, z, self.spec.dtype, self.target)

    def times(self, x: float, y: ir.Value) -> ir.Value:
        """x y."""
        return y if x == 1.0 else self.b.fmul(self.number(x), y)

    def pair(self, even: ir.Value, odd: ir.Value, scale: float) -> Vectors:
        """even + scale odd and even - scale odd."""
        if scale == 1.0:
            return [self.b.fadd(even, odd), self.b.fsub(even, odd)]
        return [self.fma(scale, odd, even), self.fma(-scale, odd, even)]

    def weights(self, w: Vectors) -> Vectors:
        """G w: the values of the polynomial w at the points, each over the product of its distances
        from the others."""
        result = [self.times(1.0 / self._at_zero(), w[0])]
        for k, (point, square) in enumerate(zip(POINTS[self.spec.m], self.squares)):
            scale = 1.0 / (2.0 * square * self._others(k, square))
            even = self.times(scale, self.fma(square, w[2], w[0]))
            result += self.pair(even, w[1], scale * point)
        return [*result, w[2]]

    def _at_zero(self) -> float:
        total = 1.0
        for square in self.squares:
            total *= -square
        return total

    def _others(self, k: int, square: float) -> float:
        total = 1.0
        for other, q in enumerate(self.squares):
            if other != k:
                total *= square - q
        return total

    def inputs(self, d: Vectors) -> Vectors:
        """B' d, whose rows are the polynomials that vanish at all points but one."""
        b = self.b
        if len(self.squares) == 1:
            # (x^2 - 1), x (x + 1), x (x - 1), x (x^2 - 1)
            return [b.fsub(d[2], d[0]), b.fadd(d[2], d[1]), b.fsub(d[2], d[1]), b.fsub(d[3], d[1])]
        p, q = self.squares
        result = [self.fma(p * q, d[0], self.fma(-(p + q), d[2], d[4]))]
        for point, other in zip(POINTS[self.spec.m], (q, p)):
            even, odd = self.fma(-other, d[2], d[4]), self.fma(-other, d[1], d[3])
            result += self.pair(even, odd, point)
        return [*result, self.fma(p * q, d[1], self.fma(-(p + q), d[3], d[5]))]

    def outputs(self, v: Vectors) -> Vectors:
        """A' v: coefficients of the sum of the points' powers."""
        b = self.b
        pairs = [(v[k], v[k + 1]) for k in range(1, len(v) - 1, 2)]
        even = [b.fadd(x, y) for x, y in pairs]
        odd = [b.fsub(x, y) for x, y in pairs]
        result = []
        for power in range(self.spec.m):
            parts = odd if power % 2 else even
            scales = [point**power for point in POINTS[self.spec.m]]
            total = self.times(scales[0], parts[0])
            for scale, part in zip(scales[1:], parts[1:]):
                total = b.fadd(total, part) if scale == 1.0 else self.fma(scale, part, total)
            if power == 0:
                total = b.fadd(total, v[0])
            if power == self.spec.m - 1:
                total = b.fadd(total, v[-1])
            result.append(total)
        return result

    def values(self, g: Vectors) -> Vectors:
        """A g: the values of the polynomial g at the points."""
        result = [g[0]]
        for point, square in zip(POINTS[self.spec.m], self.squares):
            even, odd = g[0], g[1]
            if self.spec.m == 4:
                even, odd = self.fma(square, g[2], g[0]), self.fma(square, g[3], g[1])
            result += self.pair(even, odd, point)
        return [*result, g[-1]]

    def taps(self, v: Vectors) -> Vectors:
        """G' v, the transpose of `weights`."""
        b, result = self.b, [self.times(1.0 / self._at_zero(), v[0]), None, v[-1]]
        for k, (point, square) in enumerate(zip(POINTS[self.spec.m], self.squares)):
            scale = 1.0 / (2.0 * square * self._others(k, square))
            even, odd = b.fadd(v[1 + 2 * k], v[2 + 2 * k]), b.fsub(v[1 + 2 * k], v[2 + 2 * k])
            result[0] = self.fma(scale, even, result[0])
            middle = result[1]
            if middle is None:
                result[1] = self.times(scale * point, odd)
            else:
                result[1] = self.fma(scale * point, odd, middle)
            result[2] = self.fma(scale * square, even, result[2])
        return result

    def squared(self, rows: list[Vectors], transform: str) -> list[Vectors]:
        """A transform down the columns of a square, then along its rows."""
        apply = getattr(self, transform)
        columns = [apply([row[j] for row in rows]) for j in range(len(rows[0]))]
        return [apply([column[i] for column in columns]) for i in range(len(columns[0]))]


def emit_weights(spec: WinogradWeightsSpec, target: Target) -> ir.Module:
    """A block of channels of one panel an item."""
    tiles = spec.tiles
    module, function, b = kernel_function()
    bases, args, begin, end, _ = function.args
    words = Words(b, bases, args)
    source, to = words.array(), words.array()
    channels, chunks = words.integer(), words.integer()
    element, dtype, lanes = memory_type(tiles.dtype, 1), tiles.dtype, tiles.lanes
    arithmetic = Arithmetic(tiles, b, target)

    def at(base: ir.Value, offset: ir.Value) -> ir.Value:
        return b.gep(base, [offset], source_etype=element)

    def item(i: ir.Value, _: Vectors) -> None:
        panel, low = b.udiv(i, chunks), b.mul(b.urem(i, chunks), i64(CHANNEL_BLOCK))
        high = b.add(low, i64(CHANNEL_BLOCK))
        high = b.select(b.icmp_signed("<", high, channels), high, channels)
        plane = b.mul(channels, i64(tiles.columns))
        from_ = at(source, b.mul(panel, b.mul(plane, i64(9))))
        out = at(to, b.mul(panel, b.mul(plane, i64(tiles.points))))

        def channel(c: ir.Value, _: Vectors) -> None:
            row = b.mul(c, i64(tiles.columns))

            def vector(j: ir.Value, _: Vectors) -> None:
                here = b.add(row, j)
                taps = [
                    load(b, at(from_, b.add(here, b.mul(plane, i64(k)))), dtype, lanes, target)
                    for k in range(9)
                ]
                turned = arithmetic.squared([taps[:3], taps[3:6], taps[6:]], "weights")
                for k, value in enumerate(v for line in turned for v in line):
                    where = at(out, b.add(here, b.mul(plane, i64(k))))
                    store(b, value, where, dtype, target)

            loop(b, i64(0), i64(tiles.columns), i64(lanes), [], vector, "vector")

        loop(b, low, high, i64(1), [], channel, "channel")

    loop(b, begin, end, i64(1), [], item, "item")
    b.ret_void()
    return module


def emit(spec: WinogradSpec, target: Target) -> ir.Module:
    """A block of tiles by a block of panels an item; see `kernels/winograd.py`."""
    return _Emitter(spec, target).module


_WORDS = (
    "channels outputs panels row tiles block blocks panel_block tiles_h tiles_w h w oh ow ph pw "
    "xn xh xw yn yh yw"
).split()


class TileEmitter(Emitter):
    """A kernel that reads tiles of images. `places` is a table of a tile's elements in memory;
    `zeros` are read for those that lie outside."""

    def __init__(
        self,
        spec: Any,
        target: Target,
        names: Sequence[str],
        tiles: WinogradSpec,
        n_arrays: int = 3,
    ) -> None:
        super().__init__(spec, target, names, n_arrays)
        self.tiles, self.x = tiles, self.arrays[0]
        self.arithmetic = Arithmetic(tiles, self.builder, target)
        self.places = self.builder.alloca(ir.ArrayType(POINTER, tiles.points))
        self.places.type = POINTER
        self.zeros = self.scratch
        self.clear(self.zeros, self.w["channels"])

    def _place(self, k: int) -> ir.Value:
        return self.builder.gep(self.places, [i64(k)], source_etype=POINTER)

    def corner(self, t: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Image, and first row and column of y, of a tile."""
        b, w, m = self.builder, self.w, i64(self.tiles.m)
        column, rest = b.urem(t, w["tiles_w"]), b.udiv(t, w["tiles_w"])
        row, image = b.urem(rest, w["tiles_h"]), b.udiv(rest, w["tiles_h"])
        return image, b.mul(row, m), b.mul(column, m)

    def list_places(
        self, base: ir.Value, rows: list[ir.Value], columns: list[ir.Value], name: str,
        outside: ir.Value,
    ) -> None:  # fmt: skip
        """Fill the table of places with a tile's elements in x or y (`name`), with `outside` for
        those that lie outside."""
        b, w = self.builder, self.w
        sizes = (w["h"], w["w"]) if name == "x" else (w["oh"], w["ow"])
        on_column = [b.icmp_unsigned("<", c, sizes[1]) for c in columns]
        steps = [b.mul(c, w[name + "w"]) for c in columns]
        for i, r in enumerate(rows):
            on_row = b.icmp_unsigned("<", r, sizes[0])
            line = self._at(base, b.mul(r, w[name + "h"]))
            for j, (on, step) in enumerate(zip(on_column, steps)):
                place = b.select(b.and_(on_row, on), self._at(line, step), outside)
                b.store(place, self._place(i * len(columns) + j))

    def turn_tile(
        self, t: ir.Value, side: int, transform: str, to: ir.Value, plane: ir.Value
    ) -> None:
        """Transform the tile t of x, of `side` rows and columns, to `to` and on by `plane` from
        point to point."""
        b, w, dtype, lanes = self.builder, self.w, self.tiles.dtype, self.tiles.lanes
        image, row, column = self.corner(t)
        top, left = b.sub(row, w["ph"]), b.sub(column, w["pw"])
        rows = [b.add(top, i64(k)) for k in range(side)]
        columns = [b.add(left, i64(k)) for k in range(side)]
        self.list_places(self._at(self.x, b.mul(image, w["xn"])), rows, columns, "x", self.zeros)

        def channel(c: ir.Value, _: Vectors) -> None:
            def read(k: int) -> ir.Value:
                place = self._at(b.load(self._place(k), typ=POINTER), c)
                return load(b, place, dtype, lanes, self.target)

            square = [[read(i * side + j) for j in range(side)] for i in range(side)]
            turned = self.arithmetic.squared(square, transform)
            where = self._at(to, c)
            for value in (v for line in turned for v in line):
                store(b, value, where, dtype, self.target)
                where = self._at(where, plane)

        loop(b, i64(0), w["channels"], i64(lanes), [], channel, "channel")


class _Emitter(TileEmitter):
    def __init__(self, spec: WinogradSpec, target: Target) -> None:
        super().__init__(spec, target, _WORDS, spec)
        b, w = self.builder, self.w
        _, self.weights, self.y = self.arrays
        self.finish = LoopEmitter(spec.finish, target, b, self.words) if spec.finish else None
        # Where outputs outside y are written, or all of a tile's that something is to be done with.
        self.waste = self._at(self.zeros, w["channels"])
        waste = spec.columns if self.finish is None else spec.m * spec.m * spec.lanes
        self.inputs = self._at(self.waste, i64(waste))
        turned = b.mul(b.mul(w["block"], w["row"]), i64(spec.points))
        self.products = self._at(self.inputs, turned)
        self.items(self._item)

    def _item(self, item: ir.Value, _: Vectors) -> None:
        b, w, spec = self.builder, self.w, self.spec
        low = b.mul(b.urem(item, w["blocks"]), w["block"])
        count = self._least(w["block"], b.sub(w["tiles"], low))
        panel_low = b.mul(b.udiv(item, w["blocks"]), w["panel_block"])
        panel_high = self._least(b.add(panel_low, w["panel_block"]), w["panels"])

        def tile(t: ir.Value, _: Vectors) -> None:
            to = self._at(self.inputs, b.mul(t, w["row"]))
            self.turn_tile(b.add(low, t), spec.n, "inputs", to, b.mul(w["block"], w["row"]))

        loop(b, i64(0), count, i64(1), [], tile, "input")

        def panel(p: ir.Value, _: Vectors) -> None:
            plane = b.mul(w["channels"], i64(spec.columns))
            weights = self._at(self.weights, b.mul(p, b.mul(plane, i64(spec.points))))

            def point(k: ir.Value, _: Vectors) -> None:
                first = b.mul(k, w["block"])
                self._multiply(first, count, self._at(weights, b.mul(k, plane)))

            loop(b, i64(0), i64(spec.points), i64(1), [], point, "point")

            def output(t: ir.Value, _: Vectors) -> None:
                self._turn_products(b.add(low, t), t, b.mul(p, i64(spec.columns)))

            loop(b, i64(0), count, i64(1), [], output, "output")

        loop(b, panel_low, panel_high, i64(1), [], panel, "panel")

    def _multiply(self, first: ir.Value, count: ir.Value, weights: ir.Value) -> None:
        """Products of one point: `count` rows of inputs from row `first` on by a panel."""
        b, w, spec = self.builder, self.w, self.spec
        dtype, lanes = spec.dtype, spec.lanes

        def rows(r: ir.Value, _: Vectors) -> None:
            here = b.add(first, r)
            base = self._at(self.inputs, b.mul(here, w["row"]))
            lines = [self._at(base, b.mul(w["row"], i64(k))) for k in range(spec.rows)]
            start = [emit_const(0, dtype, lanes)] * (spec.rows * spec.vectors)

            def step(c: ir.Value, sums: Vectors) -> Vectors:
                at = self._at(weights, b.mul(c, i64(spec.columns)))
                values = [
                    load(b, self._at(at, i64(j * lanes)), dtype, lanes, self.target)
                    for j in range(spec.vectors)
                ]
                new = []
                for k, line in enumerate(lines):
                    x = load(b, self._at(line, c), dtype, 1, self.target)
                    wide = splat(b, x, lanes)
                    for j, value in enumerate(values):
                        total = sums[k * spec.vectors + j]
                        new.append(self.arithmetic.fma(wide, value, total))
                return new

            sums = loop(b, i64(0), w["channels"], i64(1), start, step, "step")
            to = self._at(self.products, b.mul(here, i64(spec.columns)))
            for k, value in enumerate(sums):
                store(b, value, self._at(to, i64(k * lanes)), dtype, self.target)

        loop(b, i64(0), count, i64(spec.rows), [], rows, "rows")

    def _turn_products(self, t: ir.Value, at: ir.Value, column: ir.Value) -> None:
        """Transform the products of tile t, row `at` of each point's, into y's channels from
        `column` on."""
        b, w, spec = self.builder, self.w, self.spec
        m, n, (image, row, first) = spec.m, spec.n, self.corner(t)
        if self.finish is None:
            base = self._at(self.y, b.add(b.mul(image, w["yn"]), column))
            rows = [b.add(row, i64(k)) for k in range(m)]
            columns = [b.add(first, i64(k)) for k in range(m)]
            self.list_places(base, rows, columns, "y", self.waste)
        plane = b.mul(w["block"], i64(spec.columns))
        left = self._least(b.sub(w["outputs"], column), i64(spec.columns))
        source = self._at(self.products, b.mul(at, i64(spec.columns)))

        def vector(j: ir.Value, _: Vectors) -> None:
            where, square = self._at(source, j), []
            for _i in range(n):
                line = []
                for _j in range(n):
                    line.append(load(b, where, spec.dtype, spec.lanes, self.target))
                    where = self._at(where, plane)
                square.append(line)
            turned = self.arithmetic.squared(square, "outputs")
            for k, value in enumerate(v for line in turned for v in line):
                if self.finish is None:
                    place = self._at(b.load(self._place(k), typ=POINTER), j)
                else:
                    place = self._at(self.waste, i64(k * spec.lanes))
                store(b, value, place, spec.dtype, self.target)
            if self.finish is not None:
                self._go_on(self.finish, image, row, first, b.add(column, j))

        loop(b, i64(0), left, i64(spec.lanes), [], vector, "vector")

    def _go_on(
        self,
        finish: LoopEmitter,
        image: ir.Value,
        top: ir.Value,
        left: ir.Value,
        channel: ir.Value,
    ) -> None:
        """What is done with a tile's outputs of one vector of channels, pixel by pixel."""
        b, w, spec = self.builder, self.w, self.spec
        m, lanes = i64(spec.m), i64(spec.lanes)
        depth = [i64(0)] * (finish.kernel.n_outer - 4)

        def row(i: ir.Value, _: Vectors) -> None:
            def column(j: ir.Value, _: Vectors) -> None:
                at = b.sub(b.mul(b.add(b.mul(i, m), j), lanes), channel)
                finish.bases[0] = self._at(self.waste, at)
                place = (image, *depth, b.add(top, i), b.add(left, j), channel)
                finish.points(place, spec.lanes, None)

            loop(b, i64(0), self._least(m, b.sub(w["ow"], left)), i64(1), [], column, "column")

        loop(b, i64(0), self._least(m, b.sub(w["oh"], top)), i64(1), [], row, "row")

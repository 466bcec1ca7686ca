"""What the kernels of attention share: places, register tiles of products, scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from llvmlite import ir

from .. import dtypes
from ..kernels.attention import PANELS, AttentionSpec, panel_rows
from ..kernels.matmul import tile
from ..machine import Target
from .build import I1, Words, first_lanes, i64, iota, kernel_function, loop, splat
from .matmul_tile import tile_function
from .packing import Packer
from .scalar import emit_const, load, memory_type, store
from .vecmath import F64, Lanes, Vec
from .vecmath_bits import philox_block
from .vecmath_table import FUNCTIONS


class AttentionEmitter(ABC):
    """What all kernels of attention share: words, places, tiles, scores."""

    def __init__(self, spec: AttentionSpec, target: Target) -> None:
        self.spec, self.target, self.dtype = spec, target, spec.dtype
        self.shape = tile(spec.dtype, target)
        self.wide, self.lanes = self.shape.columns, self.shape.columns // 2
        self.block = PANELS * self.wide
        self.element = memory_type(spec.dtype, 1)
        self.module, function, self.builder = kernel_function()
        bases, args, begin, end, worker = function.args
        words = Words(self.builder, bases, args)
        names = ("q", "k", "v", "g", "sums", "rows") if spec.backward else ("q", "k", "v")
        self.arrays = {name: words.array() for name in names}
        results = ("dq", "dk", "dv") if spec.backward else ("y", "logs")
        self.arrays |= {name: words.array() for name in results}
        self.free = words.scratch(worker)
        sizes = "length s e v heads served blocks e_wide v_wide keys_wide reach scale"
        self.w = {name: words.integer() for name in sizes.split()}
        self.strides = {name: [words.integer() for _ in range(3)] for name in names[:4]}
        if spec.mask is not None:
            self.arrays["mask"] = words.array()
            self.strides["mask"] = [words.integer() for _ in range(4)]
        if spec.starts:
            start = load(self.builder, words.array(), dtypes.int64, 1, target)
            self.w["reach"] = self.builder.add(start, i64(1))
        if spec.drops:
            self.arrays |= {name: words.array() for name in ("key", "first")}
            self.w |= {name: words.integer() for name in ("s_blocks", "threshold", "factor")}
        b = self.builder
        self.scale = self._number("scale")
        self.groups = b.udiv(self.w["heads"], self.w["served"])
        self.packer = Packer(self.module, spec.dtype, spec.dtype, target)
        self.tiles: dict[str, ir.Function] = {}
        self.places()
        loop(b, begin, end, i64(1), [], lambda item, _: self.item(item), "item")
        b.ret_void()

    def _number(self, name: str) -> ir.Value:
        """A word that holds a float64, as a number of the kernel's type."""
        b = self.builder
        value = b.bitcast(self.w[name], F64)
        return value if self.dtype is dtypes.float64 else b.fptrunc(value, self.element)

    @abstractmethod
    def places(self) -> None:
        """Cut the scratch memory into its parts."""

    @abstractmethod
    def item(self, item: ir.Value) -> None:
        """One work item."""

    # Small things.

    def at(self, base: ir.Value, offset: ir.Value) -> ir.Value:
        """An element of an array."""
        return self.builder.gep(base, [offset], source_etype=self.element)

    def take(self, size: ir.Value) -> ir.Value:
        """The next `size` elements of the scratch memory."""
        found, self.free = self.free, self.at(self.free, size)
        return found

    def least(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed("<", x, y), x, y)

    def ceiling(self, x: ir.Value, y: int) -> ir.Value:
        """x / y rounded up, at least 0."""
        b = self.builder
        x = b.select(b.icmp_signed(">", x, i64(0)), x, i64(0))
        return b.udiv(b.add(x, i64(y - 1)), i64(y))

    def each(self, stop: ir.Value, body: Callable[[ir.Value], None], step: int = 1) -> None:
        """`body(i)` for i = 0, step, ... below `stop`."""
        loop(self.builder, i64(0), stop, i64(step), [], lambda i, _: body(i), "each")

    def get(self, where: ir.Value, lanes: int = 0, mask: ir.Value | None = None) -> Vec:
        """A vector, as wide as a panel if it is not said."""
        lanes = lanes or self.wide
        value = load(self.builder, where, self.dtype, lanes, self.target, mask=mask)
        return Lanes(self.builder, lanes, self.target).wrap(value)

    def put(self, value: Vec, where: ir.Value, mask: ir.Value | None = None) -> None:
        store(self.builder, value.value, where, self.dtype, self.target, mask=mask)

    def all_lanes(self, value: ir.Value, lanes: int = 0) -> Vec:
        """A number in each lane."""
        lanes = lanes or self.wide
        return Lanes(self.builder, lanes, self.target).wrap(splat(self.builder, value, lanes))

    def head(self, name: str, batch: ir.Value, head: ir.Value) -> ir.Value:
        """Where the rows of one head begin."""
        b, (of_batch, of_head, _) = self.builder, self.strides[name]
        return self.at(self.arrays[name], b.add(b.mul(batch, of_batch), b.mul(head, of_head)))

    def seen(self, first: ir.Value, count: ir.Value) -> ir.Value:
        """How many keys the last of `count` queries from `first` on sees."""
        b = self.builder
        return self.least(self.w["s"], b.add(b.add(first, i64(-1)), b.add(count, self.w["reach"])))

    def row(self, name: str, base: ir.Value, number: ir.Value) -> ir.Value:
        """A row of a head that begins at `base`."""
        return self.at(base, self.builder.mul(number, self.strides[name][2]))

    # Products.

    def tile(
        self,
        name: str,
        steps: ir.Value,
        a: tuple[ir.Value, ir.Value, ir.Value],
        row: tuple[ir.Value, ir.Value],
        c: tuple[ir.Value, ir.Value],
        carry: ir.Value,
        rows: ir.Value,
    ) -> None:
        """C += A B for a tile of at most as many rows as `name` says. `a` is where A begins, its
        stride between rows and between steps; `row` and `c` where B and C begin, and the stride of
        their rows."""
        if name not in self.tiles:
            full = self.shape.rows
            height = panel_rows(self.shape, self.target) if name.startswith("unit") else full
            vectors = 1 if name.endswith("half") else 2
            lacking = 0 if name.startswith("unit") else height - 1
            a_row, a_k = {"unit": (1, None), "along": (None, 1), "across": (None, None)}[
                name.removesuffix("_half")
            ]
            self.tiles[name] = tile_function(
                self.module, self.dtype, height, vectors, self.lanes, self.target, a_row, a_k,
                lacking, (), name,
            )  # fmt: skip
        nothing = [row[0], i64(0), i64(0), i64(0)]
        args = [steps, *a, *row, *c, carry, rows, *nothing]
        self.builder.call(self.tiles[name], args, cconv="fastcc")

    def columns(self, n: ir.Value, body: Callable[[ir.Value, str], None]) -> None:
        """body(first column, suffix of the tile's name) for panels of n columns; the last is of one
        vector, if that holds what is left."""
        b = self.builder

        def panel(first: ir.Value) -> None:
            left = b.sub(n, first)
            with b.if_else(b.icmp_signed("<=", left, i64(self.lanes))) as (half, full):
                with half:
                    body(first, "_half")
                with full:
                    body(first, "")

        self.each(n, panel, self.wide)

    def turn(
        self, name: str, base: ir.Value, first: ir.Value, size: ir.Value, to: ir.Value,
        factor: ir.Value | None,
    ) -> None:  # fmt: skip
        """Copy a panel of rows from `first` on to `to`: element by element, those of all rows side
        by side, times `factor`."""
        b = self.builder
        lines = self.least(i64(self.wide), b.sub(self.w["length"], first))
        source = self.row(name, base, first)
        pack = self.packer.function("across")
        spread, one = self.strides[name][2], i64(1)
        b.call(pack, [source, spread, one, lines, size, to, i64(self.wide)], cconv="fastcc")
        if factor is not None:

            def scale(i: ir.Value) -> None:
                where = self.at(to, b.mul(i, i64(self.wide)))
                self.put(self.get(where) * self.all_lanes(factor), where)

            self.each(size, scale)

    def rows_out(
        self, source: tuple[ir.Value, ir.Value], to: tuple[ir.Value, ir.Value], rows: ir.Value,
        columns: ir.Value, factors: ir.Value | None = None,
    ) -> None:  # fmt: skip
        """Copy rows, each times its factor; `source` and `to` are where and the stride of rows."""
        b, lanes = self.builder, self.lanes

        def row(r: ir.Value) -> None:
            old = self.at(source[0], b.mul(r, source[1]))
            new = self.at(to[0], b.mul(r, to[1]))
            factor = None
            if factors is not None:
                factor = self.all_lanes(self.get(self.at(factors, r), 1).value, lanes)

            def part(j: ir.Value) -> None:
                mask = first_lanes(b, b.sub(columns, j), lanes)
                value = self.get(self.at(old, j), lanes)
                self.put(value if factor is None else value * factor, self.at(new, j), mask)

            self.each(columns, part, lanes)

        self.each(rows, row)

    def clear(self, where: ir.Value, size: ir.Value) -> None:
        """Zeros; `size` is a multiple of the lanes."""
        zero = Lanes(self.builder, self.lanes, self.target).wrap(
            emit_const(0, self.dtype, self.lanes)
        )
        self.each(size, lambda i: self.put(zero, self.at(where, i)), self.lanes)

    # Scores.

    def exp(self, x: Vec) -> Vec:
        return FUNCTIONS["exp"](x)

    def is_restricted(self, first: ir.Value, key: ir.Value, n: ir.Value) -> ir.Value:
        """Whether some of n keys from `key` on are not seen by, or need something added for, some
        of the panel's queries from `first` on."""
        b = self.builder
        if self.spec.mask is not None:
            return ir.Constant(I1, 1)
        return b.icmp_signed(">", b.add(key, n), b.add(first, self.w["reach"]))

    def restricted(
        self, score: Vec, batch: ir.Value, head: ir.Value, first: ir.Value, key: ir.Value
    ) -> Vec:
        """The scores of one key for a panel of queries with the mask, and -inf where they do not
        see it."""
        b, wide = self.builder, self.wide
        number = b.add(iota(wide), splat(b, first, wide))
        outside = Lanes(b, wide, self.target).wrap(emit_const(-float("inf"), self.dtype, wide))
        if self.spec.mask is not None:
            element = memory_type(self.spec.mask, 1)
            by_batch, by_head, by_key, by_query = self.strides["mask"]
            place = b.add(b.mul(batch, by_batch), b.mul(head, by_head))
            place = b.add(place, b.add(b.mul(key, by_key), b.mul(first, by_query)))
            where = b.gep(self.arrays["mask"], [place], source_etype=element)
            exists = b.icmp_signed("<", number, splat(b, self.w["length"], wide))
            with b.if_else(b.icmp_signed("==", by_query, i64(0))) as (same, own):
                with same:
                    one = load(b, where, self.spec.mask, 1, self.target)
                    one = splat(b, one, wide)
                    same_end = b.block
                with own:
                    many = load(b, where, self.spec.mask, wide, self.target, mask=exists)
                    own_end = b.block
            value = b.phi(one.type)
            value.add_incoming(one, same_end)
            value.add_incoming(many, own_end)
            mask = Lanes(b, wide, self.target).wrap(value)
            if self.spec.mask is dtypes.bool_:
                score = mask.select(score, outside)
            else:
                score = score + mask
        far = b.icmp_signed(
            "<", splat(b, key, wide), b.add(number, splat(b, self.w["reach"], wide))
        )
        return Lanes(b, wide, self.target).wrap(far).select(score, outside)

    def kept(self, batch: ir.Value, head: ir.Value, query: ir.Value, key: ir.Value) -> list[Vec]:
        """Which weights of a panel of queries from `query` on stay, for each of the four keys from
        `key` on, a multiple of 4."""
        b, w, wide = self.builder, self.w, self.wide
        at = Lanes(b, wide, self.target)
        first = b.ashr(b.add(self._word("first"), i64(3)), i64(2))
        row = b.add(b.mul(b.add(b.mul(batch, w["heads"]), head), w["length"]), query)
        start = b.add(b.add(b.mul(row, w["s_blocks"]), b.udiv(key, i64(4))), first)
        block = at.wrap(
            b.add(b.mul(iota(wide), splat(b, w["s_blocks"], wide)), splat(b, start, wide))
        )
        words = philox_block(at.wrap(splat(b, self._word("key"), wide)), block)
        least = at.wrap(splat(b, w["threshold"], wide))
        return [word >= least for word in words]

    def _word(self, name: str) -> ir.Value:
        return load(self.builder, self.arrays[name], dtypes.int64, 1, self.target)

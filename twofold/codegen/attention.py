"""Attention as LLVM: register tiles of products, and softmax between them in the caches."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from .. import dtypes
from ..kernels.attention import (
    BACKWARD_KEYS,
    FORWARD_KEYS,
    PANELS,
    AttentionSpec,
    panel_rows,
)
from ..kernels.matmul import tile
from ..machine import Target
from .build import I1, Words, i64, iota, kernel_function, loop, splat
from .matmul_tile import tile_function
from .packing import Packer
from .scalar import emit_const, load, memory_type, store
from .vecmath import F64, Lanes, Vec
from .vecmath_bits import philox_block
from .vecmath_table import FUNCTIONS


def emit(spec: AttentionSpec, target: Target) -> ir.Module:
    """A block of queries an item, or a head of keys."""
    return (_Backward if spec.backward else _Forward)(spec, target).module


class _Attention:
    """What both directions share: words, places, tiles, scores."""

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

    def places(self) -> None:
        """Cut the scratch memory into its parts."""
        raise NotImplementedError

    def item(self, item: ir.Value) -> None:
        """One work item."""
        raise NotImplementedError

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
                mask = b.icmp_signed("<", iota(lanes), splat(b, b.sub(columns, j), lanes))
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


class _Forward(_Attention):
    """An item is a block of queries of one head."""

    def places(self) -> None:
        b, w = self.builder, self.w
        self.q_turned = self.take(b.mul(w["e_wide"], i64(self.block)))
        self.sums = self.take(b.mul(w["v_wide"], i64(self.block)))
        self.scores = self.take(i64(FORWARD_KEYS * self.wide))
        self.tops, self.totals = self.take(i64(self.block)), self.take(i64(self.block))

    def item(self, item: ir.Value) -> None:
        b, w = self.builder, self.w
        # Late queries, which may see more, first: the last items are then short.
        block = b.sub(b.sub(w["blocks"], i64(1)), b.urem(item, w["blocks"]))
        rest = b.udiv(item, w["blocks"])
        head, batch = b.urem(rest, w["heads"]), b.udiv(rest, w["heads"])
        group = b.udiv(head, w["served"])
        q_at, k_at = self.head("q", batch, head), self.head("k", batch, group)
        v_at = self.head("v", batch, group)
        first = b.mul(block, i64(self.block))
        count = self.least(i64(self.block), b.sub(w["length"], first))
        minus = emit_const(-float("inf"), self.dtype, self.wide)
        at = Lanes(b, self.wide, self.target)

        def begin(p: ir.Value) -> None:
            self.turn("q", q_at, b.add(first, p), w["e"], self._q_panel(p), self.scale)
            self.put(at.wrap(minus), self.at(self.tops, p))
            self.put(at.wrap(emit_const(0, self.dtype, self.wide)), self.at(self.totals, p))

        self.each(count, begin, self.wide)
        self.clear(self.sums, b.mul(w["v_wide"], i64(self.block)))
        last = b.add(b.add(first, i64(-1)), b.add(count, w["reach"]))
        keys = self.least(w["s"], last)

        def key_block(key: ir.Value) -> None:
            def panel(p: ir.Value) -> None:
                query = b.add(first, p)
                seen = b.sub(b.add(query, b.add(w["reach"], i64(self.wide - 1))), key)
                n = self.least(self.least(i64(FORWARD_KEYS), b.sub(w["s"], key)), seen)
                with b.if_then(b.icmp_signed(">", n, i64(0))):
                    self._panel(p, query, key, n, (batch, head), (k_at, v_at))

            self.each(count, panel, self.wide)

        self.each(keys, key_block, FORWARD_KEYS)
        self._end(batch, head, first, count)

    def _q_panel(self, p: ir.Value) -> ir.Value:
        return self.at(self.q_turned, self.builder.mul(p, self.w["e_wide"]))

    def _y_panel(self, p: ir.Value) -> ir.Value:
        return self.at(self.sums, self.builder.mul(p, self.w["v_wide"]))

    def _panel(
        self, p: ir.Value, query: ir.Value, key: ir.Value, n: ir.Value,
        which: tuple[ir.Value, ir.Value], heads: tuple[ir.Value, ir.Value],
    ) -> None:  # fmt: skip
        """n keys from `key` on for the panel of queries from `query` on."""
        b, w, wide, rows = self.builder, self.w, i64(self.wide), self.shape.rows
        k_row, v_row = self.strides["k"][2], self.strides["v"][2]

        def scores(t: ir.Value) -> None:
            a = (self.row("k", heads[0], b.add(key, t)), k_row, i64(1))
            c = self.at(self.scores, b.mul(t, wide)), wide
            left = self.least(i64(rows), b.sub(n, t))
            no = ir.Constant(I1, 0)
            self.tile("along", w["e"], a, (self._q_panel(p), wide), c, no, left)

        self.each(n, scores, rows)
        with b.if_then(self.is_restricted(query, key, n)):

            def restrict(i: ir.Value) -> None:
                where = self.at(self.scores, b.mul(i, wide))
                self.put(self.restricted(self.get(where), *which, query, b.add(key, i)), where)

            self.each(n, restrict)
        at = Lanes(b, self.wide, self.target)
        old = self.get(self.at(self.tops, p))

        def highest(i: ir.Value, held: list[ir.Value]) -> list[ir.Value]:
            x, top = self.get(self.at(self.scores, b.mul(i, wide))), at.wrap(held[0])
            return [(x > top).select(x, top).value]

        top = at.wrap(loop(b, i64(0), n, i64(1), [old.value], highest, "highest")[0])
        self.put(top, self.at(self.tops, p))
        # Where nothing is seen yet, all exponents are those of -inf.
        base = top.equals(-float("inf")).select(top.lift(0), top)

        def exponent(i: ir.Value, held: list[ir.Value]) -> list[ir.Value]:
            where = self.at(self.scores, b.mul(i, wide))
            value = self.exp(self.get(where) - base)
            self.put(value, where)
            return [(at.wrap(held[0]) + value).value]

        zero = emit_const(0, self.dtype, self.wide)
        total = at.wrap(loop(b, i64(0), n, i64(1), [zero], exponent, "exponent")[0])
        if self.spec.drops:
            factor = self.all_lanes(self._number("factor"))

            def drop(i: ir.Value) -> None:
                for r, stays in enumerate(self.kept(*which, query, b.add(key, i))):
                    where = self.at(self.scores, b.mul(b.add(i, i64(r)), wide))
                    self.put(stays.select(self.get(where) * factor, 0.0), where)

            self.each(n, drop, 4)
        shrink = self.exp(old - base)
        where = self.at(self.totals, p)
        self.put(self.get(where) * shrink + total, where)
        y_at = self._y_panel(p)
        with b.if_then(shrink.differs(1).any()):
            self._rescale(y_at, shrink, old)
        height = panel_rows(self.shape, self.target)

        def values(column: ir.Value, half: str) -> None:
            def rows(r: ir.Value) -> None:
                a = (self.at(self.scores, r), i64(1), wide)
                source = self.at(self.row("v", heads[1], key), column), v_row
                c = self.at(y_at, b.add(b.mul(r, w["v_wide"]), column)), w["v_wide"]
                yes = ir.Constant(I1, 1)
                self.tile("unit" + half, n, a, source, c, yes, i64(height))

            self.each(wide, rows, height)

        self.columns(w["v"], values)

    def _rescale(self, y_at: ir.Value, shrink: Vec, old: Vec) -> None:
        """Each row of a panel of sums times its factor."""
        b, lanes = self.builder, self.lanes
        for r in range(self.wide):
            factor = b.extract_element(shrink.value, ir.Constant(ir.IntType(32), r))
            wide = self.all_lanes(factor, lanes)
            start = self.at(y_at, b.mul(self.w["v_wide"], i64(r)))

            def part(j: ir.Value, start: ir.Value = start, wide: Vec = wide) -> None:
                where = self.at(start, j)
                self.put(self.get(where, lanes) * wide, where)

            self.each(self.w["v_wide"], part, lanes)

    def _end(self, batch: ir.Value, head: ir.Value, first: ir.Value, count: ir.Value) -> None:
        """Divide by the sums of exponents, and store."""
        b, w, wide = self.builder, self.w, self.wide

        def panel(p: ir.Value) -> None:
            where = self.at(self.totals, p)
            total, top = self.get(where), self.get(self.at(self.tops, p))
            none = total.equals(0)
            self.put(none.select(total, total.lift(1) / total), where)
            logs = none.select(total.lift(-float("inf")), top + FUNCTIONS["log"](total))
            row = b.add(b.mul(batch, w["heads"]), head)
            to = b.add(b.mul(row, w["length"]), b.add(first, p))
            mask = b.icmp_signed("<", iota(wide), splat(b, b.sub(count, p), wide))
            self.put(logs, self.at(self.arrays["logs"], to), mask)

        self.each(count, panel, wide)
        row = b.add(b.mul(batch, w["length"]), first)
        start = b.mul(b.add(b.mul(row, w["heads"]), head), w["v"])
        to = self.at(self.arrays["y"], start), b.mul(w["heads"], w["v"])
        self.rows_out((self.sums, w["v_wide"]), to, count, w["v"], self.totals)


class _Backward(_Attention):
    """An item is a head of keys and values, with all heads of queries that it serves."""

    def places(self) -> None:
        b, w = self.builder, self.w
        self.q_turned = self.take(b.mul(w["e_wide"], i64(self.block)))
        self.g_turned = self.take(b.mul(w["v_wide"], i64(self.block)))
        self.weights = self.take(i64(BACKWARD_KEYS * self.block))
        self.slopes = self.take(i64(BACKWARD_KEYS * self.block))
        self.dq = self.take(b.mul(w["e_wide"], i64(self.block)))
        self.dk = self.take(b.mul(w["e_wide"], w["keys_wide"]))
        self.dv = self.take(b.mul(w["v_wide"], w["keys_wide"]))

    def item(self, item: ir.Value) -> None:
        b, w = self.builder, self.w
        group, batch = b.urem(item, self.groups), b.udiv(item, self.groups)
        heads = self.head("k", batch, group), self.head("v", batch, group)
        self.clear(self.dk, b.mul(w["e_wide"], w["keys_wide"]))
        self.clear(self.dv, b.mul(w["v_wide"], w["keys_wide"]))

        def served(i: ir.Value) -> None:
            head = b.add(b.mul(group, w["served"]), i)
            self.each(w["length"], lambda first: self._block(batch, head, first, heads), self.block)

        self.each(w["served"], served)
        start = b.add(b.mul(b.mul(batch, w["s"]), self.groups), group)
        for name, held, size in (("dk", self.dk, "e"), ("dv", self.dv, "v")):
            to = self.at(self.arrays[name], b.mul(start, w[size]))
            row = b.mul(self.groups, w[size])
            self.rows_out((held, w[f"{size}_wide"]), (to, row), w["s"], w[size])

    def _block(
        self, batch: ir.Value, head: ir.Value, first: ir.Value, heads: tuple[ir.Value, ir.Value]
    ) -> None:
        """All keys for the block of queries from `first` on."""
        b, w = self.builder, self.w
        count = self.least(i64(self.block), b.sub(w["length"], first))
        q_at, g_at = self.head("q", batch, head), self.head("g", batch, head)

        def begin(p: ir.Value) -> None:
            query = b.add(first, p)
            self.turn("q", q_at, query, w["e"], self._turned("q", p), self.scale)
            self.turn("g", g_at, query, w["v"], self._turned("g", p), None)

        self.each(count, begin, self.wide)
        self.clear(self.dq, b.mul(w["e_wide"], i64(self.block)))
        last = b.add(b.add(first, i64(-1)), b.add(count, w["reach"]))
        keys = self.least(w["s"], last)
        row = b.mul(b.add(b.mul(batch, w["heads"]), head), w["length"])
        which = batch, head, b.add(row, first)
        starts = self.row("q", q_at, first), self.row("g", g_at, first)

        def key_block(key: ir.Value) -> None:
            n = self.least(i64(BACKWARD_KEYS), b.sub(keys, key))

            def panel(p: ir.Value) -> None:
                self._slopes(which, p, b.add(first, p), key, n, heads)

            self.each(count, panel, self.wide)
            self._products(first, count, key, n, starts, heads[0])

        self.each(keys, key_block, BACKWARD_KEYS)
        row = b.add(b.mul(batch, w["length"]), first)
        start = b.mul(b.add(b.mul(row, w["heads"]), head), w["e"])
        to = self.at(self.arrays["dq"], start), b.mul(w["heads"], w["e"])
        self.rows_out((self.dq, w["e_wide"]), to, count, w["e"])

    def _turned(self, name: str, p: ir.Value) -> ir.Value:
        base, size = (self.q_turned, "e_wide") if name == "q" else (self.g_turned, "v_wide")
        return self.at(base, self.builder.mul(p, self.w[size]))

    def _slopes(
        self, which: tuple[ir.Value, ir.Value, ir.Value], p: ir.Value, query: ir.Value,
        key: ir.Value, n: ir.Value, heads: tuple[ir.Value, ir.Value],
    ) -> None:  # fmt: skip
        """The weights, and the gradients of the scores, of n keys for a panel of queries."""
        b, w, rows = self.builder, self.w, self.shape.rows
        batch, head, start = which
        block, wide, no = i64(self.block), i64(self.wide), ir.Constant(I1, 0)
        exists = b.icmp_signed("<", iota(self.wide), splat(b, b.sub(w["length"], query), self.wide))
        sums, means = (
            self.get(self.at(self.arrays[name], b.add(start, p)), 0, exists)
            for name in ("sums", "rows")
        )
        # Queries that see nothing have weights of 0, whatever is taken from -inf.
        sums = sums.equals(-float("inf")).select(sums.lift(0), sums)
        seen = b.add(b.sub(query, key), b.add(w["reach"], i64(self.wide - 1)))
        near = b.mul(self.ceiling(seen, rows), i64(rows))  # products read whole tiles
        near = self.least(n, near)

        def keys(t: ir.Value) -> None:
            left = self.least(i64(rows), b.sub(n, t))
            at = b.add(b.mul(t, block), p)
            for name, held, base, size in (
                ("k", self.weights, heads[0], "e"),
                ("v", self.slopes, heads[1], "v"),
            ):
                a = (self.row(name, base, b.add(key, t)), self.strides[name][2], i64(1))
                turned = self._turned("q" if name == "k" else "g", p)
                self.tile("along", w[size], a, (turned, wide), (self.at(held, at), block), no, left)

        self.each(near, keys, rows)
        factor = self.all_lanes(self._number("factor") if self.spec.drops else self.scale)
        with_mask = self.is_restricted(query, key, near)

        def one(i: ir.Value, stays: Vec | None) -> None:
            where = b.add(b.mul(i, block), p)
            score_at, slope_at = self.at(self.weights, where), self.at(self.slopes, where)
            score = self.get(score_at)
            before = b.block
            with b.if_then(with_mask):
                inside = self.restricted(score, batch, head, query, b.add(key, i))
                after = b.block
            both = b.phi(score.value.type)
            both.add_incoming(score.value, before)
            both.add_incoming(inside.value, after)
            weight = self.exp(Lanes(b, self.wide, self.target).wrap(both) - sums)
            slope = self.get(slope_at)
            if stays is not None:
                slope = stays.select(slope * factor, 0.0)
            self.put((slope - means) * weight * self.all_lanes(self.scale), slope_at)
            if stays is not None:
                weight = stays.select(weight * factor, 0.0)
            self.put(weight, score_at)

        def four(i: ir.Value) -> None:
            for r, stays in enumerate(self.kept(batch, head, query, b.add(key, i))):
                one(b.add(i, i64(r)), stays)

        if self.spec.drops:
            self.each(near, four, 4)
        else:
            self.each(near, lambda i: one(i, None))

    def _products(
        self, first: ir.Value, count: ir.Value, key: ir.Value, n: ir.Value,
        starts: tuple[ir.Value, ir.Value], k_at: ir.Value,
    ) -> None:  # fmt: skip
        """Add to the gradients of v, k and q."""
        b, w, rows, block = self.builder, self.w, self.shape.rows, i64(self.block)
        yes = ir.Constant(I1, 1)

        def of_keys(t: ir.Value) -> None:
            # Queries before the first that sees a key of the tile have weights of 0.
            skip = b.sub(b.sub(b.add(key, b.add(t, i64(1))), w["reach"]), first)
            skip = b.select(b.icmp_signed(">", skip, i64(0)), skip, i64(0))
            steps = b.sub(count, skip)
            left = self.least(i64(rows), b.sub(n, t))
            for name, base, held, to, size in (
                ("g", starts[1], self.weights, self.dv, "v"),
                ("q", starts[0], self.slopes, self.dk, "e"),
            ):
                own = w[f"{size}_wide"]
                a = (self.at(held, b.add(b.mul(t, block), skip)), block, i64(1))
                source, c_at = self.row(name, base, skip), self.at(to, b.mul(b.add(key, t), own))

                def panel(column: ir.Value, half: str, a=a, name=name, source=source, c_at=c_at,
                          own=own) -> None:  # fmt: skip
                    row = self.at(source, column), self.strides[name][2]
                    c = self.at(c_at, column), own
                    self.tile("along" + half, steps, a, row, c, yes, left)

                self.columns(w[size], panel)

        self.each(n, of_keys, rows)
        height = panel_rows(self.shape, self.target)

        def of_queries(r: ir.Value) -> None:
            seen = b.add(b.sub(b.add(first, r), key), b.add(w["reach"], i64(height - 1)))
            steps = self.least(n, seen)

            def panel(column: ir.Value, half: str) -> None:
                row = self.at(self.row("k", k_at, key), column), self.strides["k"][2]
                c = self.at(self.dq, b.add(b.mul(r, w["e_wide"]), column)), w["e_wide"]
                a = (self.at(self.slopes, r), i64(1), block)
                self.tile("unit" + half, steps, a, row, c, yes, i64(height))

            with b.if_then(b.icmp_signed(">", steps, i64(0))):
                self.columns(w["e"], panel)

        self.each(count, of_queries, height)

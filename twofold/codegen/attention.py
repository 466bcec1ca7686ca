"""Attention as LLVM: register tiles of products, and softmax between them in the caches."""

from __future__ import annotations

from llvmlite import ir

from ..kernels.attention import FORWARD_KEYS, AttentionSpec, panel_rows
from ..machine import Target
from .attention_backward import Backward
from .attention_common import AttentionEmitter
from .attention_single import Single
from .build import I1, first_lanes, i64, loop
from .scalar import emit_const
from .vecmath import Lanes, Vec
from .vecmath_table import FUNCTIONS


def emit(spec: AttentionSpec, target: Target) -> ir.Module:
    """A block of queries an item; a head of keys; or, of single queries, a head."""
    kind = Backward if spec.backward else Single if spec.single else Forward
    return kind(spec, target).module


class Forward(AttentionEmitter):
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
        keys = self.seen(first, count)

        def key_block(key: ir.Value) -> None:
            def panel(p: ir.Value) -> None:
                query = b.add(first, p)
                seen = b.sub(b.add(query, b.add(w["reach"], i64(self.wide - 1))), key)
                n = self.least(self.least(i64(FORWARD_KEYS), b.sub(keys, key)), seen)
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
            mask = first_lanes(b, b.sub(count, p), wide)
            self.put(logs, self.at(self.arrays["logs"], to), mask)

        self.each(count, panel, wide)
        row = b.add(b.mul(batch, w["length"]), first)
        start = b.mul(b.add(b.mul(row, w["heads"]), head), w["v"])
        to = self.at(self.arrays["y"], start), b.mul(w["heads"], w["v"])
        self.rows_out((self.sums, w["v_wide"]), to, count, w["v"], self.totals)

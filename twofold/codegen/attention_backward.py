"""The gradients of attention as LLVM."""

from __future__ import annotations

from llvmlite import ir

from ..kernels.attention import BACKWARD_KEYS, panel_rows
from .attention_common import AttentionEmitter
from .build import I1, first_lanes, i64
from .vecmath import Lanes, Vec


class Backward(AttentionEmitter):
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
        keys = self.seen(first, count)
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
        exists = first_lanes(b, b.sub(w["length"], query), self.wide)
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

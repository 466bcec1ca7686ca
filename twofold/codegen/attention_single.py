"""Attention of a single query for each head as LLVM: each key and value is read once."""

from __future__ import annotations

from llvmlite import ir

from .attention_common import AttentionEmitter
from .build import first_lanes, i64, loop
from .scalar import emit_const, load, store
from .transpose import turn
from .vecmath import Lanes, Vec, shuffle
from .vecmath_table import FUNCTIONS

VECTORS = 4
"""Vectors of a value's elements whose sums are made together."""


class Single(AttentionEmitter):
    """An item is a head of queries. Sums over a key's elements are made lane by lane, and then of
    the lanes; keys lie along the lanes after that."""

    def places(self) -> None:
        self.scores = self.free

    def item(self, item: ir.Value) -> None:
        b, w = self.builder, self.w
        head, batch = b.urem(item, w["heads"]), b.udiv(item, w["heads"])
        group = b.udiv(head, w["served"])
        keys = self.seen(i64(0), i64(1))
        q = self.head("q", batch, head)
        top = self._scores(q, self.head("k", batch, group), keys)
        total = self._weights(keys, top)
        y = self.at(self.arrays["y"], b.mul(item, w["v"]))
        self._values(self.head("v", batch, group), keys, total, y)
        log = top + FUNCTIONS["log"](total)
        log = total.equals(0).select(total.lift(-float("inf")), log)
        store(b, log.value, self.at(self.arrays["logs"], item), self.dtype, self.target)

    def _below(self, n: ir.Value) -> ir.Value:
        """The first n lanes."""
        return first_lanes(self.builder, n, self.lanes)

    def _over_lanes(self, x: Vec, name: str) -> Vec:
        """The sum, or the maximum, of all lanes, as a number: of halves, of their halves."""
        b, n = self.builder, self.lanes
        values, lanes = x.value, n
        while lanes > 1:
            lanes //= 2
            low, high = (shuffle(b, [values], range(k, k + lanes)) for k in (0, lanes))
            at = Lanes(b, lanes, self.target)
            one, other = at.wrap(low), at.wrap(high)
            values = (one + other if name == "sum" else one.max(other)).value
        number = b.extract_element(values, ir.Constant(ir.IntType(32), 0))
        return Lanes(b, 1, self.target).wrap(number)

    def _scores(self, q: ir.Value, k: ir.Value, keys: ir.Value) -> Vec:
        """The scores of all keys that are seen into scratch memory; gives their maximum, which is 0
        where there are none."""
        b, w, lanes = self.builder, self.w, self.lanes
        at = Lanes(b, lanes, self.target)
        minus = emit_const(-float("inf"), self.dtype, lanes)
        zero = emit_const(0, self.dtype, lanes)
        scale = self.all_lanes(self.scale, lanes)
        last = b.sub(keys, i64(1))

        def group(first: ir.Value, held: list[ir.Value]) -> list[ir.Value]:
            rows = [self.row("k", k, self.least(b.add(first, i64(j)), last)) for j in range(lanes)]

            def step(e: ir.Value, sums: list[ir.Value], mask: ir.Value | None) -> list[ir.Value]:
                x = self.get(self.at(q, e), lanes, mask)
                return [
                    self.get(self.at(row, e), lanes, mask).fma(x, at.wrap(s)).value
                    for row, s in zip(rows, sums)
                ]

            whole = b.mul(b.udiv(w["e"], i64(lanes)), i64(lanes))
            sums = loop(
                b, i64(0), whole, i64(lanes), [zero] * lanes, lambda e, s: step(e, s, None), "dot"
            )
            rest = self._below(b.sub(w["e"], whole))
            sums = loop(b, whole, w["e"], i64(lanes), sums, lambda e, s: step(e, s, rest), "rest")
            turned = [at.wrap(x) for x in turn(b, sums)]
            while len(turned) > 1:
                half = len(turned) // 2
                turned = [x + y for x, y in zip(turned[:half], turned[half:])]
            exists = at.wrap(self._below(b.sub(keys, first)))
            score = exists.select(turned[0] * scale, at.wrap(minus))
            self.put(score, self.at(self.scores, first))
            return [score.max(at.wrap(held[0])).value]

        top = loop(b, i64(0), keys, i64(lanes), [minus], group, "keys")
        found = self._over_lanes(at.wrap(top[0]), "max")
        return found.equals(-float("inf")).select(found.lift(0), found)

    def _weights(self, keys: ir.Value, top: Vec) -> Vec:
        """Scores become exponents; gives their sum."""
        b, lanes = self.builder, self.lanes
        at, base = Lanes(b, lanes, self.target), self.all_lanes(top.value, lanes)

        def part(first: ir.Value, held: list[ir.Value]) -> list[ir.Value]:
            where = self.at(self.scores, first)
            value = self.exp(self.get(where, lanes) - base)
            self.put(value, where)
            return [(at.wrap(held[0]) + value).value]

        zero = emit_const(0, self.dtype, lanes)
        total = loop(b, i64(0), keys, i64(lanes), [zero], part, "exponents")
        return self._over_lanes(at.wrap(total[0]), "sum")

    def _values(self, v: ir.Value, keys: ir.Value, total: Vec, y: ir.Value) -> None:
        """y = the sum of weights times values, over the sum of weights."""
        b, w, lanes = self.builder, self.w, self.lanes
        at = Lanes(b, lanes, self.target)
        factor = total.equals(0).select(total, total.lift(1) / total)
        wide = self.all_lanes(factor.value, lanes)
        zero = emit_const(0, self.dtype, lanes)

        def strip(first: ir.Value, vectors: int, mask: ir.Value | None) -> None:
            def key(j: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
                row = self.at(self.row("v", v, j), first)
                weight = load(b, self.at(self.scores, j), self.dtype, 1, self.target)
                p = self.all_lanes(weight, lanes)
                return [
                    self.get(self.at(row, i64(i * lanes)), lanes, mask).fma(p, at.wrap(s)).value
                    for i, s in enumerate(sums)
                ]

            sums = loop(b, i64(0), keys, i64(1), [zero] * vectors, key, "key")
            for i, s in enumerate(sums):
                self.put(at.wrap(s) * wide, self.at(y, b.add(first, i64(i * lanes))), mask)

        size = VECTORS * lanes
        whole = b.mul(b.udiv(w["v"], i64(size)), i64(size))
        loop(b, i64(0), whole, i64(size), [], lambda j, _: strip(j, VECTORS, None), "strips")

        def rest(j: ir.Value, _: list[ir.Value]) -> None:
            strip(j, 1, self._below(b.sub(w["v"], j)))

        loop(b, whole, w["v"], i64(lanes), [], rest, "strip")

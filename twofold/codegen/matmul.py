"""Matrix products as LLVM: packing, register tiles of several heights, and the loops around
them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from ..kernels.matmul import MatmulSpec, tile
from ..machine import Target
from .build import I8, first_lanes, i64, loop
from .loops import LoopEmitter
from .matmul_tile import tile_function
from .packing import Packer
from .product import ProductEmitter
from .scalar import load, store

K_CHUNK = 64
"""Steps of k that packing takes at a time where they lie far apart."""


def emit(spec: MatmulSpec, target: Target) -> ir.Module:
    """One block of rows and panels an item."""
    return _Emitter(spec, target).module


class _Emitter(ProductEmitter):
    def __init__(self, spec: MatmulSpec, target: Target) -> None:
        own = "row_block panel_block row_items panel_items k_block deep"
        super().__init__(spec, target, own)
        self.shape = tile(spec.sums, target)
        self.lanes = self.shape.columns // 2
        b = self.builder
        self.b_panel = self._at(self.scratch, i64(self.shape.rows * self.shape.columns))
        self.a_block = self._at(self.b_panel, b.mul(self.w["deep"], i64(self.shape.columns)))
        self.packer = Packer(self.module, spec.dtype, spec.sums, target)
        self.tiles: dict[tuple[int, int, int], ir.Function] = {}
        self.items(self._item)

    def _ceiling(self, x: ir.Value, y: int) -> ir.Value:
        """x / y rounded up."""
        return self.builder.udiv(self.builder.add(x, i64(y - 1)), i64(y))

    def _item(self, item: ir.Value, _: list[ir.Value]) -> None:
        b, w = self.builder, self.w
        panel_item = b.urem(item, w["panel_items"])
        rest = b.udiv(item, w["panel_items"])
        row_low = b.mul(b.urem(rest, w["row_items"]), w["row_block"])
        copy = b.udiv(rest, w["row_items"])
        rows = self._least(w["row_block"], b.sub(w["m"], row_low))
        panels = self._ceiling(w["n"], self.shape.columns)
        panel_low = b.mul(panel_item, w["panel_block"])
        panel_high = self._least(b.add(panel_low, w["panel_block"]), panels)
        a_base = self._from(self.a, b.add(b.mul(copy, w["a_step"]), b.mul(row_low, w["a_row"])))
        b_base = self._from(self.b, b.mul(copy, w["b_step"]))
        # Tiles of whole units, their heights a unit apart at most; only the last may lack rows.
        unit = self.shape.unit
        units, tiles = self._ceiling(rows, unit), self._ceiling(rows, self.shape.rows)

        def span(t: ir.Value) -> tuple[ir.Value, ir.Value]:
            """First row and rows of tile t."""
            low = b.mul(b.udiv(b.mul(t, units), tiles), i64(unit))
            high = b.mul(b.udiv(b.mul(b.add(t, i64(1)), units), tiles), i64(unit))
            return low, b.sub(self._least(high, rows), low)

        def k_block(k_low: ir.Value, _: list[ir.Value]) -> None:
            steps = self._least(w["k_block"], b.sub(w["k"], k_low))
            carry = b.icmp_signed(">", k_low, i64(0))
            a_at = self._from(a_base, b.mul(k_low, w["a_k"]))
            if self._packs_a:
                # Rows of k that lie far apart are walked few at a time, so that their pages and
                # lines serve the tiles side by side.
                pace = i64(K_CHUNK) if self.spec.a == "along" else w["k_block"]

                def chunk(first: ir.Value, _: list[ir.Value]) -> None:
                    some = self._least(pace, b.sub(steps, first))
                    start = b.mul(first, w["a_k"])

                    def pack(t: ir.Value, _: list[ir.Value]) -> None:
                        low, height = span(t)
                        self._pack(
                            self.spec.a,
                            self._from(a_at, b.add(start, b.mul(low, w["a_row"]))),
                            (w["a_row"], w["a_k"], height, some),
                            self._at(self._a_panel(t), b.mul(first, i64(self.shape.depth))),
                            self.shape.depth,
                        )

                    loop(b, i64(0), tiles, i64(1), [], pack, "pack")

                loop(b, i64(0), steps, pace, [], chunk, "chunk")

            def panel(p: ir.Value, _: list[ir.Value]) -> None:
                columns = i64(self.shape.columns)
                column = b.mul(p, columns)
                left = b.sub(w["n"], column)
                is_edge = b.icmp_signed("<", left, i64(self.shape.columns))
                here = b.add(b.mul(k_low, w["b_k"]), b.mul(column, w["b_column"]))
                b_at, b_k = self._columns(self._from(b_base, here), left, is_edge, steps)

                next_panel = self._from(b_base, b.add(here, b.mul(columns, w["b_column"])))

                def rows(t: ir.Value, _: list[ir.Value]) -> None:
                    low, height = span(t)
                    a_tile = (
                        self._a_panel(t)
                        if self._packs_a
                        else self._from(a_at, b.mul(low, w["a_row"]))
                    )
                    place = (copy, b.add(row_low, low), column)
                    done = b.icmp_signed(">=", b.add(k_low, steps), w["k"])
                    streams = self._streams(place, carry, height, done)
                    ahead = [*self._next_panel(next_panel, t, tiles, steps), *streams]
                    self._tile(steps, a_tile, (b_at, b_k), place, height, left, carry, ahead)
                    if self.finish is not None:
                        with b.if_then(done):
                            self._finish_tile(self.finish, place, height, left)

                loop(b, i64(0), tiles, i64(1), [], rows, "rows")

            loop(b, panel_low, panel_high, i64(1), [], panel, "panel")

        # With k = 0 the one empty block still writes zeros.
        stop = b.select(b.icmp_signed(">", w["k"], i64(0)), w["k"], i64(1))
        loop(b, i64(0), stop, w["k_block"], [], k_block, "k")

    @property
    def _packs_a(self) -> bool:
        return self.spec.a not in ("place", "unit")

    def _a_panel(self, t: ir.Value) -> ir.Value:
        """Packed tile t of A. The gap between tiles takes vectors that reach past a tile's rows."""
        b = self.builder
        size = b.add(b.mul(self.w["deep"], i64(self.shape.depth)), i64(self.shape.columns))
        return self._at(self.a_block, b.mul(t, size))

    def _pack(
        self,
        mode: str,
        source: ir.Value,
        sizes: tuple[ir.Value, ...],
        to: ir.Value,
        depth: int,
    ) -> None:
        function = self.packer.function(mode)
        self.builder.call(function, [source, *sizes, to, i64(depth)], cconv="fastcc")

    def _columns(
        self, source: ir.Value, left: ir.Value, is_edge: ir.Value, steps: ir.Value
    ) -> tuple[ir.Value, ir.Value]:
        """Where a panel of B lies and the stride of its rows. Panels that lack columns are
        packed."""
        b, w = self.builder, self.w
        columns = i64(self.shape.columns)
        mode = "along" if self.spec.b == "place" else self.spec.b
        sizes = (w["b_column"], w["b_k"], self._least(left, columns), steps)
        if self.spec.b != "place":
            self._pack(mode, source, sizes, self.b_panel, self.shape.columns)
            return self.b_panel, columns
        with b.if_then(is_edge):
            self._pack(mode, source, sizes, self.b_panel, self.shape.columns)
        return b.select(is_edge, self.b_panel, source), b.select(is_edge, columns, w["b_k"])

    def _tile(
        self,
        steps: ir.Value,
        a_at: ir.Value,
        columns: tuple[ir.Value, ir.Value],
        place: tuple[ir.Value, ir.Value, ir.Value],
        height: ir.Value,
        left: ir.Value,
        carry: ir.Value,
        ahead: list[ir.Value],
    ) -> None:
        """One tile: into scratch, or straight into C unless columns are lacking."""
        b, w = self.builder, self.w
        wide = i64(self.shape.columns)
        to, row = self.scratch, wide
        if self.c is not None:
            copy, first, column = place
            offset = b.add(b.mul(copy, w["c_step"]), b.mul(first, w["c_row"]))
            c_at = self._at(self.c, b.add(offset, column))
            is_edge = b.icmp_signed("<", left, wide)
            to = b.select(is_edge, self.scratch, c_at)
            row = b.select(is_edge, wide, w["c_row"])
            with b.if_then(b.and_(is_edge, carry)):
                self._copy(c_at, w["c_row"], self.scratch, wide, height, left)
        args = [steps, a_at, w["a_row"], w["a_k"], *columns, to, row, carry, height, *ahead]
        self._by_width(left, lambda vectors, lanes: self._dispatch(height, vectors, lanes, args))
        if self.c is not None:
            with b.if_then(is_edge):
                self._copy(self.scratch, wide, c_at, w["c_row"], height, left)

    def _streams(
        self,
        place: tuple[ir.Value, ir.Value, ir.Value],
        carry: ir.Value,
        height: ir.Value,
        done: ir.Value,
    ) -> list[ir.Value]:
        """Where the rows lie that a tile's sums go to (those of the next tile, if sums that lie
        there are gone on with), and those that are read and written when they are complete."""
        b, w, (copy, first, column) = self.builder, self.w, place
        found = []
        if self.c is not None:
            row = b.add(first, b.select(carry, height, i64(0)))
            offset = b.add(b.mul(copy, w["c_step"]), b.mul(row, w["c_row"]))
            size = i64(self.spec.sums.itemsize)
            found += [self._at(self.c, b.add(offset, column)), b.mul(w["c_row"], size)]
        if self.finish is not None:
            for pointer, row in self.finish.rows(place, skip=0):
                found.append(b.select(done, pointer, self.scratch))
                found.append(b.select(done, row, i64(0)))
        return found

    def _finish_tile(
        self,
        finish: LoopEmitter,
        place: tuple[ir.Value, ir.Value, ir.Value],
        height: ir.Value,
        left: ir.Value,
    ) -> None:
        """What is done with complete sums, row by row."""
        b, lanes, wide = self.builder, self.lanes, self.shape.columns
        copy, first, column = place
        if self.c is None:
            # The map counts from the first row and column of the product, the tile from its own.
            back = b.add(b.mul(first, i64(wide)), column)
            finish.bases[0] = self._at(self.scratch, b.neg(back))

        def row(r: ir.Value, _: list[ir.Value]) -> None:
            at = b.add(first, r)
            with b.if_else(b.icmp_signed(">=", left, i64(wide))) as (full, edge):
                with full:
                    finish.points((copy, at, column), wide, None)
                with edge:

                    def part(j: ir.Value, _: list[ir.Value]) -> None:
                        mask = first_lanes(b, b.sub(left, j), lanes)
                        finish.points((copy, at, b.add(column, j)), lanes, mask)

                    loop(b, i64(0), left, i64(lanes), [], part, "part")

        loop(b, i64(0), height, i64(1), [], row, "finish")

    def _next_panel(
        self, panel: ir.Value, t: ir.Value, tiles: ir.Value, steps: ir.Value
    ) -> list[ir.Value]:
        """Tile t's share of B's next panel, which is packed from lines that lie too far apart for
        the machine to foresee: where it begins, bytes between rows, rows, lines in a row."""
        b, w = self.builder, self.w
        columns, size = self.shape.columns, self.spec.dtype.itemsize
        if self.spec.b == "along":
            share = b.udiv(b.add(steps, b.sub(tiles, i64(1))), tiles)
            start = self._from(panel, b.mul(b.mul(t, share), w["b_k"]))
            return [start, b.mul(w["b_k"], i64(size)), share, i64(-(-columns * size // 64))]
        if self.spec.b == "across":
            lines = b.udiv(b.add(b.mul(steps, i64(size)), i64(63)), i64(64))
            share = b.udiv(b.add(lines, b.sub(tiles, i64(1))), tiles)
            start = b.gep(panel, [b.mul(b.mul(t, share), i64(64))], source_etype=I8)
            return [start, b.mul(w["b_column"], i64(size)), i64(columns), share]
        return [panel, i64(0), i64(0), i64(0)]

    def _by_width(self, left: ir.Value, emit: Callable[[int, int], None]) -> None:
        """`emit(vectors, lanes)` for the narrowest tile that holds `left` columns."""
        b = self.builder

        def among(rest: Sequence[tuple[int, int]]) -> None:
            if len(rest) == 1:
                emit(*rest[0])
                return
            vectors, some = rest[1]
            with b.if_else(b.icmp_signed("<=", left, i64(vectors * some))) as (fits, larger):
                with fits:
                    among(rest[1:])
                with larger:
                    emit(*rest[0])

        among(self.spec.widths)

    def _dispatch(self, height: ir.Value, vectors: int, lanes: int, args: list[ir.Value]) -> None:
        """Call the lowest tile that has `height` rows."""
        b = self.builder
        done = b.append_basic_block("tile.done")
        switch = b.switch(height, done)
        below = 0
        for rows in self.shape.heights:
            block = b.append_basic_block(f"tile.{rows}")
            for covered in range(below + 1, rows + 1):
                switch.add_case(i64(covered), block)
            b.position_at_end(block)
            function = self._tile_function(rows, vectors, lanes, rows - below - 1)
            b.call(function, args, cconv="fastcc")
            b.branch(done)
            below = rows
        b.position_at_end(done)

    def _tile_function(self, height: int, vectors: int, lanes: int, lacking: int) -> ir.Function:
        key = height, vectors, lanes
        if key not in self.tiles:
            row = None if self.spec.a == "place" else 1
            k = self.shape.depth if self._packs_a else None
            written = [True] * self.spec.direct
            written += self.finish.are_written(skip=0) if self.finish else []
            self.tiles[key] = tile_function(
                self.module, self.spec.sums, height, vectors, lanes, self.target, row, k, lacking,
                written,
            )  # fmt: skip
        return self.tiles[key]

    def _copy(
        self,
        source: ir.Value,
        source_row: ir.Value,
        to: ir.Value,
        to_row: ir.Value,
        height: ir.Value,
        left: ir.Value,
    ) -> None:
        """Copy `left` columns of a tile's rows."""
        b, sums = self.builder, self.spec.sums

        def row(r: ir.Value, _: list[ir.Value]) -> None:
            for first in (0, self.lanes):
                mask = first_lanes(b, b.sub(left, i64(first)), self.lanes)
                where = self._at(source, b.add(b.mul(r, source_row), i64(first)))
                value = load(b, where, sums, self.lanes, self.target, mask=mask)
                where = self._at(to, b.add(b.mul(r, to_row), i64(first)))
                store(b, value, where, sums, self.target, mask=mask)

        loop(b, i64(0), height, i64(1), [], row, "copy")

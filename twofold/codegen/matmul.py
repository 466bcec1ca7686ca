"""Matrix products as LLVM: packing, register tiles of several heights, and the loops around
them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from llvmlite import ir

from ..dtypes import DType
from ..kernels.matmul import MatmulSpec, tile
from ..machine import Target
from .build import I1, I8, I64, POINTER, Words, i64, iota, kernel_function, loop, splat
from .loops import LoopEmitter
from .scalar import emit_const, emit_operation, load, memory_type, store

I32 = ir.IntType(32)

K_CHUNK = 64
"""Steps of k that packing takes at a time where they lie far apart."""


def emit(spec: MatmulSpec, target: Target) -> ir.Module:
    """One block of rows and panels an item."""
    return _Emitter(spec, target).module


def _function(module: ir.Module, name: str, arguments: str, inline: bool = False) -> ir.Function:
    """An internal function of pointers (names that end in `_p`), tests (`is_...`) and words."""
    names = arguments.split()
    kinds = [POINTER if a.endswith("_p") else I1 if a.startswith("is_") else I64 for a in names]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), name)
    function.linkage = "internal"
    function.calling_convention = "fastcc"
    function.attributes.add("alwaysinline" if inline else "noinline")
    for value, text in zip(function.args, names):
        value.name = text
        if text.endswith("_p"):
            value.add_attribute("noalias")
    return function


def tile_function(
    module: ir.Module,
    sums: DType,
    height: int,
    vectors: int,
    target: Target,
    a_row: int | None,
    a_k: int | None,
    lacking: int,
) -> ir.Function:
    """C (height x vectors) = A B over `steps` of k, on from what C holds if `is_carry`.

    A's element (r, k) lies at a_p + r a_row + k a_k, B's row k at b_p + k b_k, C's row r at c_p + r
    c_row, all in elements of type `sums`; strides of A may be fixed. Of A and C only the first
    `rows` rows exist, at most `lacking` fewer than `height`.
    """
    name = f"tile_{height}x{vectors}"
    function = _function(module, name, "steps a_p a_row a_k b_p b_k c_p c_row is_carry rows")
    b = ir.IRBuilder(function.append_basic_block("entry"))
    steps, a_p, row_word, k_word, b_p, b_k, c_p, c_row, is_carry, rows = function.args
    row_step = row_word if a_row is None else i64(a_row)
    k_step = k_word if a_k is None else i64(a_k)
    lanes = target.vector_bytes // sums.itemsize
    element = memory_type(sums, 1)

    def at(base: ir.Value, offset: ir.Value) -> ir.Value:
        return b.gep(base, [offset], source_etype=element)

    exists = [
        b.icmp_signed("<", i64(r), rows) if r >= height - lacking else None for r in range(height)
    ]
    a_rows, c_rows = [], []
    for r, on in enumerate(exists):
        number = i64(r) if on is None or a_row is not None else b.select(on, i64(r), i64(0))
        a_rows.append(at(a_p, b.mul(number, row_step)))
        c_rows.append(
            [at(c_p, b.add(b.mul(i64(r), c_row), i64(j * lanes))) for j in range(vectors)]
        )
    start = _starts(b, sums, lanes, c_rows, exists, is_carry, target)

    def step(k: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        b_row = at(b_p, b.mul(k, b_k))
        ahead = at(b_p, b.mul(b.add(k, i64(8)), b_k))
        for line in range(0, vectors * target.vector_bytes, 64):
            _prefetch(b, b.gep(ahead, [i64(line)], source_etype=I8))
        row = [load(b, at(b_row, i64(j * lanes)), sums, lanes, target) for j in range(vectors)]
        offset = b.mul(k, k_step)
        new = []
        for r in range(height):
            wide = splat(b, load(b, at(a_rows[r], offset), sums, 1, target), lanes)
            for j in range(vectors):
                args = [wide, row[j], values[r * vectors + j]]
                new.append(emit_operation(b, "fma", args, [sums] * 3, sums, None, lanes, target))
        return new

    result = loop(b, i64(0), steps, i64(1), start, step, "step")
    for r, on in enumerate(exists):
        with nullcontext() if on is None else b.if_then(on):
            for j, place in enumerate(c_rows[r]):
                store(b, result[r * vectors + j], place, sums, target)
    b.ret_void()
    return function


def _starts(
    b: ir.IRBuilder,
    sums: DType,
    lanes: int,
    c_rows: list[list[ir.Value]],
    exists: list[ir.Value | None],
    is_carry: ir.Value,
    target: Target,
) -> list[ir.Value]:
    """Zeros, or what C holds. Rows that do not exist begin anywhere: the first row is read for
    them."""
    zero = emit_const(0, sums, lanes)
    before = b.block
    with b.if_then(is_carry):
        held = []
        for row, on in zip(c_rows, exists):
            for place, other in zip(row, c_rows[0]):
                where = place if on is None else b.select(on, place, other)
                held.append(load(b, where, sums, lanes, target))
        inside = b.block
    result = []
    for value in held:
        phi = b.phi(value.type)
        phi.add_incoming(zero, before)
        phi.add_incoming(value, inside)
        result.append(phi)
    return result


def _prefetch(b: ir.IRBuilder, where: ir.Value) -> None:
    kind = ir.FunctionType(ir.VoidType(), [POINTER, I32, I32, I32])
    function = b.module.globals.get("llvm.prefetch.p0")
    if function is None:
        function = ir.Function(b.module, kind, "llvm.prefetch.p0")
    b.call(function, [where, I32(0), I32(3), I32(1)])


def transpose(b: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """A square block of vectors with rows and columns exchanged: log2(n) rounds of exchanges."""
    n = len(rows)
    rows, reach = list(rows), 1
    while reach < n:
        low = [e if not e & reach else n + e - reach for e in range(n)]
        high = [e + reach if not e & reach else n + e for e in range(n)]
        masks = [ir.Constant(ir.VectorType(I32, n), [I32(e) for e in m]) for m in (low, high)]
        for i in range(n):
            if not i & reach:
                x, y = rows[i], rows[i + reach]
                rows[i], rows[i + reach] = (b.shuffle_vector(x, y, m) for m in masks)
        reach *= 2
    return rows


class _Packer:
    """Functions that copy `lines` rows of A (columns of B) for `steps` of k: step by step, `depth`
    elements each. The argument `spread` is the stride between lines, `pace` that of k."""

    arguments = "from_p spread pace lines steps to_p depth"

    def __init__(self, module: ir.Module, dtype: DType, sums: DType, target: Target) -> None:
        self.module, self.dtype, self.sums, self.target = module, dtype, sums, target
        self.lanes = target.vector_bytes // sums.itemsize
        self.source, self.element = memory_type(dtype, 1), memory_type(sums, 1)
        self.made: dict[str, ir.Function] = {}

    def function(self, mode: str) -> ir.Function:
        """The function for a mode of `MatmulSpec`."""
        if mode not in self.made:
            function = self.made[mode] = _function(self.module, f"pack_{mode}", self.arguments)
            b = ir.IRBuilder(function.append_basic_block("entry"))
            {"across": self._across, "along": self._along, "any": self._any}[mode](
                b, *function.args
            )
            b.ret_void()
        return self.made[mode]

    def _load(
        self, b: ir.IRBuilder, where: ir.Value, lanes: int, mask: ir.Value | None = None
    ) -> ir.Value:
        value = load(b, where, self.dtype, lanes, self.target, mask=mask)
        if self.dtype.compute is self.sums:
            return value
        return emit_operation(b, "cast", [value], [self.dtype], self.sums, None, lanes, self.target)

    def _groups(self, b: ir.IRBuilder, lines: ir.Value, body: Callable[[ir.Value], None]) -> None:
        """`body` for the first of each vector of lines."""
        loop(b, i64(0), lines, i64(self.lanes), [], lambda first, _: body(first), "group")

    def _across(self, b, source, spread, pace, lines, steps, to, depth) -> None:
        """k is adjacent: square blocks are loaded along k and transposed in registers."""
        lanes, last = self.lanes, b.sub(lines, i64(1))
        whole = b.mul(b.udiv(steps, i64(lanes)), i64(lanes))

        def group(first: ir.Value) -> None:
            rows = []
            for r in range(lanes):
                line = b.add(first, i64(r))
                line = b.select(b.icmp_signed("<", line, last), line, last)
                rows.append(b.gep(source, [b.mul(line, spread)], source_etype=self.source))

            def square(k: ir.Value, mask: ir.Value | None) -> None:
                block = [
                    self._load(b, b.gep(row, [k], source_etype=self.source), lanes, mask)
                    for row in rows
                ]
                for i, value in enumerate(transpose(b, block)):
                    at = b.add(b.mul(b.add(k, i64(i)), depth), first)
                    where = b.gep(to, [at], source_etype=self.element)
                    store(b, value, where, self.sums, self.target)

            loop(b, i64(0), whole, i64(lanes), [], lambda k, _: square(k, None), "square")
            with b.if_then(b.icmp_signed("<", whole, steps)):
                left = splat(b, b.sub(steps, whole), lanes)
                square(whole, b.icmp_signed("<", iota(lanes), left))

        self._groups(b, lines, group)

    def _along(self, b, source, spread, pace, lines, steps, to, depth) -> None:
        """Lines are adjacent: vectors of them are copied."""
        lanes = self.lanes

        def group(first: ir.Value) -> None:
            left = b.sub(lines, first)

            def copy(mask: ir.Value | None) -> None:
                def step(k: ir.Value, _: list[ir.Value]) -> None:
                    at = b.add(b.mul(k, pace), first)
                    value = self._load(
                        b, b.gep(source, [at], source_etype=self.source), lanes, mask
                    )
                    to_at = b.add(b.mul(k, depth), first)
                    where = b.gep(to, [to_at], source_etype=self.element)
                    store(b, value, where, self.sums, self.target)

                loop(b, i64(0), steps, i64(1), [], step, "step")

            with b.if_else(b.icmp_signed(">=", left, i64(lanes))) as (full, part):
                with full:
                    copy(None)
                with part:
                    copy(b.icmp_signed("<", iota(lanes), splat(b, left, lanes)))

        self._groups(b, lines, group)

    def _any(self, b, source, spread, pace, lines, steps, to, depth) -> None:
        """One element after the other."""

        def step(k: ir.Value, _: list[ir.Value]) -> None:
            def line(i: ir.Value, _: list[ir.Value]) -> None:
                at = b.add(b.mul(k, pace), b.mul(i, spread))
                value = self._load(b, b.gep(source, [at], source_etype=self.source), 1)
                where = b.gep(to, [b.add(b.mul(k, depth), i)], source_etype=self.element)
                store(b, value, where, self.sums, self.target)

            loop(b, i64(0), lines, i64(1), [], line, "line")

        loop(b, i64(0), steps, i64(1), [], step, "step")


class _Emitter:
    def __init__(self, spec: MatmulSpec, target: Target) -> None:
        self.spec, self.target = spec, target
        self.shape = tile(spec.sums, target)
        self.lanes = self.shape.columns // 2
        self.module, function, self.builder = kernel_function()
        bases, args, begin, end, worker = function.args
        words = Words(self.builder, bases, args)
        self.a, self.b = words.array(), words.array()
        self.c = words.array() if spec.direct else None
        self.scratch = words.scratch(worker)
        names = "m n k a_step a_row a_k b_step b_k b_column "
        names += "c_step c_row " if spec.direct else ""
        names += "row_block panel_block row_items panel_items k_block deep"
        self.w = {name: words.integer() for name in names.split()}
        self.element = memory_type(spec.sums, 1)
        self.source = memory_type(spec.dtype, 1)
        b = self.builder
        self.finish = LoopEmitter(spec.finish, target, b, words) if spec.finish else None
        self.b_panel = self._at(self.scratch, i64(self.shape.rows * self.shape.columns))
        self.a_block = self._at(self.b_panel, b.mul(self.w["deep"], i64(self.shape.columns)))
        self.packer = _Packer(self.module, spec.dtype, spec.sums, target)
        self.tiles: dict[tuple[int, int], ir.Function] = {}
        loop(b, begin, end, i64(1), [], self._item, "item")
        b.ret_void()

    def _at(self, base: ir.Value, offset: ir.Value) -> ir.Value:
        """An element of the sums' type."""
        return self.builder.gep(base, [offset], source_etype=self.element)

    def _from(self, base: ir.Value, offset: ir.Value) -> ir.Value:
        """An element of an operand."""
        return self.builder.gep(base, [offset], source_etype=self.source)

    def _least(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed("<", x, y), x, y)

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

                next_panel = self._from(b_base, b.add(here, columns))

                def rows(t: ir.Value, _: list[ir.Value]) -> None:
                    low, height = span(t)
                    if self.spec.b == "along":
                        self._prefetch_rows(next_panel, t, tiles, steps)
                    a_tile = (
                        self._a_panel(t)
                        if self._packs_a
                        else self._from(a_at, b.mul(low, w["a_row"]))
                    )
                    place = (copy, b.add(row_low, low), column)
                    self._tile(steps, a_tile, (b_at, b_k), place, height, left, carry)
                    if self.finish is not None:
                        done = b.icmp_signed(">=", b.add(k_low, steps), w["k"])
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
            # The sums of the next tile begin with what C holds there.
            for r in range(self.shape.rows):
                below = self._at(c_at, b.mul(b.add(height, i64(r)), w["c_row"]))
                for line in range(0, 2 * self.target.vector_bytes, 64):
                    _prefetch(b, b.gep(below, [i64(line)], source_etype=I8))
        args = [steps, a_at, w["a_row"], w["a_k"], *columns, to, row, carry]
        narrow = b.icmp_signed("<=", left, i64(self.lanes))
        with b.if_else(narrow) as (one, two):
            with one:
                self._dispatch(height, 1, args)
            with two:
                self._dispatch(height, 2, args)
        if self.c is not None:
            with b.if_then(is_edge):
                self._copy(self.scratch, wide, c_at, w["c_row"], height, left)

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
                        some = splat(b, b.sub(left, j), lanes)
                        mask = b.icmp_signed("<", iota(lanes), some)
                        finish.points((copy, at, b.add(column, j)), lanes, mask)

                    loop(b, i64(0), left, i64(lanes), [], part, "part")

        loop(b, i64(0), height, i64(1), [], row, "finish")

    def _prefetch_rows(
        self, panel: ir.Value, t: ir.Value, tiles: ir.Value, steps: ir.Value
    ) -> None:
        """Ask for tile t's share of the rows of B's next panel, which lie too far apart for the
        machine to foresee."""
        b = self.builder
        share = b.udiv(b.add(steps, b.sub(tiles, i64(1))), tiles)
        first = b.mul(t, share)

        def row(k: ir.Value, _: list[ir.Value]) -> None:
            where = self._from(panel, b.mul(k, self.w["b_k"]))
            for line in range(0, self.shape.columns * self.spec.dtype.itemsize, 64):
                _prefetch(b, b.gep(where, [i64(line)], source_etype=I8))

        loop(b, first, self._least(b.add(first, share), steps), i64(1), [], row, "ahead")

    def _dispatch(self, height: ir.Value, vectors: int, args: list[ir.Value]) -> None:
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
            function = self._tile_function(rows, vectors, rows - below - 1)
            b.call(function, [*args, height], cconv="fastcc")
            b.branch(done)
            below = rows
        b.position_at_end(done)

    def _tile_function(self, height: int, vectors: int, lacking: int) -> ir.Function:
        key = height, vectors
        if key not in self.tiles:
            row = None if self.spec.a == "place" else 1
            k = self.shape.depth if self._packs_a else None
            self.tiles[key] = tile_function(
                self.module, self.spec.sums, height, vectors, self.target, row, k, lacking
            )
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
                part = splat(b, b.sub(left, i64(first)), self.lanes)
                mask = b.icmp_signed("<", iota(self.lanes), part)
                where = self._at(source, b.add(b.mul(r, source_row), i64(first)))
                value = load(b, where, sums, self.lanes, self.target, mask=mask)
                where = self._at(to, b.add(b.mul(r, to_row), i64(first)))
                store(b, value, where, sums, self.target, mask=mask)

        loop(b, i64(0), height, i64(1), [], row, "copy")

"""Loop kernels as LLVM: tiled by lanes, with what does not vary along the lanes computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from .. import dtypes
from ..abi import ALIGNMENT
from ..dtypes import DType
from ..kernels.loop_transform import exprs, written
from ..kernels.loops import DEAR, LANES, TURN_LANES, LoopKernel, Reduce, Stage, Store
from ..machine import Target
from ..ops.scalar import Expr, postorder
from . import tiles
from .build import (
    I8,
    POINTER,
    Words,
    first_lanes,
    i64,
    iota,
    loop,
    note_error,
    prefetch,
    splat,
)
from .reduce import Reducer
from .scalar import ExprEmitter, emit_const, emit_operation, llvm_type, load, memory_type, store

STEPS_AHEAD = 64
"""How far ahead a walk of long steps asks for memory: what it asks for, not more than a kilobyte a
step, stays in the second cache."""

BYTES_AHEAD = 512
"""How far ahead a walk along vector lanes does."""


RowStep = Callable[[int, "ir.Value | None", list[ir.Value]], list[ir.Value]]
"""A walk's work on lanes (their number, a mask), from partial results to partial results."""


class LoopEmitter:
    """Reads a kernel's words where the builder stands; then emits work items, or single points.

    `worker` is needed where the kernel has scratch memory.
    """

    def __init__(
        self,
        kernel: LoopKernel,
        target: Target,
        builder: ir.IRBuilder,
        words: Words,
        worker: ir.Value | None = None,
    ) -> None:
        self.kernel, self.target, self.builder = kernel, target, builder
        self.args = words.args
        if self._checks():
            self.error = self.builder.load(words.bases, typ=POINTER)
        self.bases = [
            words.scratch(worker) if worker is not None and i in kernel.scratch else words.array()
            for i in range(len(kernel.operands))
        ]
        self.reducer = Reducer(builder, target)
        self.stage = 0
        n_axes = kernel.n_outer + kernel.n_inner
        self.extents = [words.integer() for _ in range(n_axes)]
        accesses = self._accesses()
        self.strides: list[list[ir.Value | None]] = []
        for i in range(len(kernel.operands)):
            kinds = accesses.get(i, (0,) * n_axes)
            self.strides.append(
                [words.integer() if k == "s" else i64(1) if k == 1 else None for k in kinds]
            )
        self.block, self.chunk = words.integer(), words.integer()
        self.words = [words.integer() for _ in range(kernel.n_words)]
        self.lane_axis = kernel.n_outer - 1 if kernel.vector == "outer" else n_axes - 1
        self.index: list[ir.Value] = [i64(0)] * n_axes
        self.accs: dict[tuple[int, int], ir.Value] = {}
        self.varies = self._dependence()
        self.tiles = {i: tiles.tile(self.builder, kernel.operands[i]) for i in kernel.turned}
        self.tile_start: tuple[ir.Value, ir.Value] | None = None

    def items(self, begin: ir.Value, end: ir.Value) -> None:
        """The work items in order."""
        loop(self.builder, begin, end, i64(1), [], self.item, "item")

    def points(self, index: Sequence[ir.Value], lanes: int, mask: ir.Value | None) -> None:
        """All stages for `lanes` points from `index` on along the last outer axis."""
        self.index[: len(index)] = index
        self._points(lanes, mask)

    def rows(self, index: Sequence[ir.Value], skip: int) -> list[tuple[ir.Value, ir.Value]]:
        """Of a map over (copy, row, column): where the rows of its operands, but for number `skip`,
        lie from `index` on, and the bytes between them."""
        self.index[: len(index)] = index
        found = []
        for i in self._in_rows(skip):
            stride = self.strides[i][self.lane_axis - 1] or i64(0)
            size = i64(self.kernel.operands[i].itemsize)
            found.append((self._pointer(i), self.builder.mul(stride, size)))
        return found

    def are_written(self, skip: int) -> list[bool]:
        """Of each operand that `rows` gives, whether it is written."""
        results = written(self.kernel)
        return [i in results for i in self._in_rows(skip)]

    def _in_rows(self, skip: int) -> list[int]:
        return [i for i, s in self._accesses().items() if i != skip and s[self.lane_axis] == 1]

    def _accesses(self) -> dict[int, tuple[int | str, ...]]:
        found = {}
        for stage in self.kernel.stages:
            for t in stage.stores:
                found[t.access.operand] = t.access.strides
        for e in postorder(*exprs(self.kernel)):
            if e.op == "load":
                found[e.attr.operand] = e.attr.strides
        return found

    def _checks(self) -> bool:
        """Whether the kernel may meet a bad value."""
        return any(e.op == "checked" for e in postorder(*exprs(self.kernel)))

    def _dependence(self) -> dict[Expr, frozenset[int]]:
        """The axes that each expression varies along; -1 stands for results of reductions."""
        found: dict[Expr, frozenset[int]] = {}
        for e in postorder(*exprs(self.kernel)):
            own: set[int] = set()
            if e.op == "load":
                own = {a for a, s in enumerate(e.attr.strides) if s != 0}
            elif e.op == "index":
                own = {e.attr}
            elif e.op == "acc":
                own = {-1} | ({self.lane_axis} if self.kernel.vector == "outer" else set())
            found[e] = frozenset(own.union(*[found[a] for a in e.args]))
        return found

    # One work item.

    def item(self, item: ir.Value, _: list[ir.Value]) -> None:
        """Work item number `item`."""
        b, kernel = self.builder, self.kernel
        columns = kernel.vector == "outer"
        outer = list(range(kernel.n_outer))
        rest = item
        if columns:
            last = outer.pop()
            padded = b.add(self.extents[last], b.sub(self.block, i64(1)))
            n_blocks = b.udiv(padded, self.block)
            low = b.mul(b.urem(rest, n_blocks), self.block)
            rest = b.udiv(rest, n_blocks)
        for axis in reversed(outer):
            count = self.extents[axis]
            if axis == kernel.turn_axis:
                count = b.udiv(b.add(count, b.sub(self.chunk, i64(1))), self.chunk)
            if axis == 0:
                self.index[0] = rest
            else:
                self.index[axis] = b.urem(rest, count)
                rest = b.udiv(rest, count)
        if columns:
            high = self._least(b.add(low, self.block), self.extents[last])
            if kernel.turned:
                self._turned_blocks(low, high)
            else:
                self._blocks(low, high)
        else:
            self._row()

    def _least(self, x: ir.Value, y: ir.Value) -> ir.Value:
        b = self.builder
        return b.select(b.icmp_signed("<", x, y), x, y)

    def _bounds(self, axis: int) -> tuple[ir.Value, ir.Value]:
        """Where the walk along an inner axis begins and ends: a chunk of it, for a split kernel."""
        extent = self.extents[axis]
        if self.kernel.split and axis == self.kernel.n_outer:
            low = self.builder.mul(self.index[0], self.chunk)
            return low, self._least(self.builder.add(low, self.chunk), extent)
        return i64(0), extent

    # Lanes along the last outer axis.

    def _turned_blocks(self, low: ir.Value, high: ir.Value) -> None:
        """A tile: transpose the inputs that are turned, then go through it row by row."""
        b, axis = self.builder, self.kernel.turn_axis
        first = b.mul(self.index[axis], self.chunk)
        end = self._least(b.add(first, self.chunk), self.extents[axis])
        self.index[axis], self.index[self.lane_axis] = first, low
        self.tile_start = None
        for i, block in self.tiles.items():
            step = self.strides[i][self.lane_axis]
            sizes = b.sub(end, first), b.sub(high, low)
            dtype = self.kernel.operands[i]
            tiles.fill(b, block, self._pointer(i), step, *sizes, dtype, self.target)
        self.tile_start = first, low

        def row(r: ir.Value, _: list[ir.Value]) -> None:
            self.index[axis] = r
            self._blocks(low, high)

        loop(b, first, end, i64(1), [], row, "row")

    def _widths(self) -> tuple[int, ...]:
        """Lanes of the main loops, widest first, and of the masked one."""
        widest = max((d.compute.itemsize for d in self.kernel.operands), default=4)
        one = max(2, self.target.vector_bytes // max(4, widest))
        if any(self._is_strided(i) for i in range(len(self.strides))):
            return one, 1
        if any(e.op in DEAR for e in self.varies):
            return one * 2, one
        if not self.kernel.n_inner:
            return one * 4, one
        most = max(len(s.reductions) for s in self.kernel.stages)
        if most > 2:
            return one * 2, one
        # Each block walks all rows: the rest of a wide one should not take many walks. Of what is
        # only summed a kilobyte a row, which memory gives faster than half of it.
        is_plain = most == 1 and not any(e.args for e in self.varies)
        wide = is_plain and self.target.vector_registers == 32
        return (*((one * 16,) if wide else ()), one * 8, one * 2, one)

    def _is_strided(self, operand: int) -> bool:
        found = self._accesses().get(operand)
        strided = found is not None and found[self.lane_axis] == "s"
        return strided and operand not in self.tiles

    def _blocks(self, low: ir.Value, high: ir.Value) -> None:
        b = self.builder
        *widths, narrow = self._widths()
        start = low
        for lanes in widths:

            def main(i: ir.Value, _: list[ir.Value], lanes: int = lanes) -> None:
                self.index[self.lane_axis] = i
                self._points(lanes, None)

            whole = b.mul(b.udiv(b.sub(high, start), i64(lanes)), i64(lanes))
            whole = b.add(start, whole)
            loop(b, start, whole, i64(lanes), [], main, "main")
            start = whole

        def tail(i: ir.Value, _: list[ir.Value]) -> None:
            self.index[self.lane_axis] = i
            mask = first_lanes(b, b.sub(high, i), narrow) if narrow > 1 else None
            self._points(narrow, mask)

        loop(b, start, high, i64(narrow), [], tail, "tail")

    def _points(self, lanes: int, mask: ir.Value | None) -> None:
        """All stages for `lanes` neighbouring points of the last outer axis."""
        self.accs = {}
        for k, stage in enumerate(self.kernel.stages):
            self.stage = k
            if not stage.over_inner:
                emitter = self._emitter(lanes, mask, [t.value for t in stage.stores])
                for t in stage.stores:
                    self._store(emitter, t, lanes, mask)
                continue
            start = [self.reducer.identity(r, lanes) for r in stage.reductions]
            outside = self._outer_values(stage.reductions, stage.stores, lanes, mask)

            def step(
                accs: list[ir.Value],
                stage=stage,
                outside=outside,
            ) -> list[ir.Value]:
                roots = [r.value for r in stage.reductions] + [t.value for t in stage.stores]
                emitter = self._emitter(lanes, mask, roots, outside)
                new = self._reduce_all(stage.reductions, emitter, accs, lanes, None)
                for t in stage.stores:
                    self._store(emitter, t, lanes, mask)
                return new

            flat = self._flatten(start)
            final = self._nest(list(range(self.kernel.n_outer, len(self.extents))), flat, step)
            self._finish(k, stage.reductions, final, None)

    def _outer_values(
        self,
        reductions: Sequence[Reduce],
        stores: Sequence[Store],
        lanes: int,
        mask: ir.Value | None,
    ) -> dict[Expr, ir.Value]:
        """Values that stand still along all inner axes, computed before the walk."""
        inner = frozenset(range(self.kernel.n_outer, len(self.extents)))
        roots = [r.value for r in reductions] + [t.value for t in stores]
        still = self._maximal(roots, lambda e: not self.varies[e] & inner)
        if not still:
            return {}
        emitter = self._emitter(lanes, mask, still)
        return {e: emitter.emit(e) for e in still}

    def _nest(
        self,
        axes: list[int],
        carried: list[ir.Value],
        body: Callable[[list[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:
        """`body` for every point of `axes`, the last fastest."""
        if not axes:
            return body(carried)
        axis = axes[0]
        low, high = self._bounds(axis)

        def inside(i: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
            self.index[axis] = i
            return self._nest(axes[1:], values, body)

        return loop(self.builder, low, high, i64(1), carried, inside, "walk")

    # Lanes along the last inner axis.

    def _row(self) -> None:
        """All stages for one point of the outer axes."""
        self.accs = {}
        for k, stage in enumerate(self.kernel.stages):
            self.stage = k
            if not stage.over_inner:
                emitter = self._emitter(1, None, [])
                for t in stage.stores:
                    self._store(emitter, t, 1, None)
                continue
            self._walk(k, stage)

    def _walk(self, k: int, stage: Stage) -> None:
        """A walk along the row, and its results."""
        start = self._flatten([self.reducer.identity(r, LANES) for r in stage.reductions])
        axes = list(range(self.kernel.n_outer, len(self.extents) - 1))
        final = self._nest(axes, start, lambda accs: self._walk_row(stage, accs))
        self._finish(k, stage.reductions, final, LANES)

    def _row_step(self, stage: Stage, still: Sequence[tuple[Expr, ir.Value]]) -> RowStep:
        """What a walk does to some lanes at the present point."""
        roots = [r.value for r in stage.reductions] + [t.value for t in stage.stores]

        def step(lanes: int, mask: ir.Value | None, accs: list[ir.Value]) -> list[ir.Value]:
            known = {e: splat(self.builder, v, lanes) for e, v in still}
            emitter = self._emitter(lanes, mask, roots, known)
            new = self._reduce_all(stage.reductions, emitter, accs, lanes, mask)
            for t in stage.stores:
                self._store(emitter, t, lanes, mask)
            return new

        return step

    def _walk_row(self, stage: Stage, accs: list[ir.Value]) -> list[ir.Value]:
        roots = [r.value for r in stage.reductions] + [t.value for t in stage.stores]
        step = self._row_step(stage, self._still(roots))
        return self._vectors(*self._bounds(self.lane_axis), step, accs)

    def _vectors(
        self, low: ir.Value, high: ir.Value, step: RowStep, accs: list[ir.Value]
    ) -> list[ir.Value]:
        """A step for the whole vectors from `low` on, and one for the lanes that are left over."""
        b, axis, lanes = self.builder, self.lane_axis, LANES
        whole = b.add(low, b.mul(b.udiv(b.sub(high, low), i64(lanes)), i64(lanes)))

        def main(i: ir.Value, accs: list[ir.Value]) -> list[ir.Value]:
            self.index[axis] = i
            return step(lanes, None, accs)

        def tail(i: ir.Value, accs: list[ir.Value]) -> list[ir.Value]:
            self.index[axis] = i
            return step(lanes, first_lanes(b, b.sub(high, i), lanes), accs)

        accs = loop(b, low, whole, i64(lanes), accs, main, "main")
        return loop(b, whole, high, i64(lanes), accs, tail, "tail")

    # Expressions.

    def _maximal(self, roots: Sequence[Expr], still: Callable[[Expr], bool]) -> list[Expr]:
        """The largest parts of `roots`, other than constants, for which `still` holds."""
        found: dict[Expr, None] = {}
        seen: set[Expr] = set()
        stack = list(roots)
        while stack:
            e = stack.pop()
            if e in seen:
                continue
            seen.add(e)
            if still(e):
                if e.op != "const":
                    found[e] = None
            else:
                stack.extend(e.args)
        return list(found)

    def _still(self, roots: Sequence[Expr]) -> list[tuple[Expr, ir.Value]]:
        """What does not vary along the lanes, computed once, as scalars."""
        parts = self._maximal(roots, lambda e: self.lane_axis not in self.varies[e])
        emitter = ExprEmitter(self.builder, 1, self.target, lambda e: self._leaf(e, 1, None, None))
        emitter.leaf = lambda e: self._leaf(e, 1, None, emitter)
        return [(e, emitter.emit(e)) for e in parts]

    def _emitter(
        self,
        lanes: int,
        mask: ir.Value | None,
        roots: Sequence[Expr],
        known: dict[Expr, ir.Value] | None = None,
    ) -> ExprEmitter:
        """An emitter at the present point. Parts of `roots` that stand still along the lanes are
        computed as scalars; `known` values are taken as they are."""
        emitter = ExprEmitter(
            self.builder, lanes, self.target, lambda e: self._leaf(e, lanes, mask, emitter)
        )
        emitter.values.update(known or {})
        if lanes > 1 and self.kernel.vector == "outer":
            stop = set(emitter.values)

            def still(e: Expr) -> bool:
                return e in stop or self.lane_axis not in self.varies[e]

            parts = [e for e in self._maximal(roots, still) if e not in stop]
            scalars = ExprEmitter(
                self.builder, 1, self.target, lambda e: self._leaf(e, 1, None, scalars)
            )
            for e in parts:
                emitter.values[e] = splat(self.builder, scalars.emit(e), lanes)
        return emitter

    def _leaf(
        self, e: Expr, lanes: int, mask: ir.Value | None, emitter: ExprEmitter | None
    ) -> ir.Value:
        b = self.builder
        if e.op == "word":
            return splat(b, self.words[e.attr], lanes)
        if e.op == "index":
            value = splat(b, self.index[e.attr], lanes)
            return b.add(value, iota(lanes)) if lanes > 1 and e.attr == self.lane_axis else value
        if e.op == "acc":
            value = self.accs[e.attr]
            wide = isinstance(value.type, ir.VectorType)
            value = value if wide or lanes == 1 else splat(b, value, lanes)
            return self._rounded(value, e.dtype, lanes)
        args = [] if emitter is None else [emitter.emit(a) for a in e.args]
        if e.op == "checked":
            return self._checked(e, args, lanes, mask)
        offset = args.pop() if e.attr.displaced else None
        guard = args[0] if args else None
        return self._load(e, lanes, mask, guard, offset)

    def _checked(
        self, e: Expr, args: list[ir.Value], lanes: int, mask: ir.Value | None
    ) -> ir.Value:
        """The position, wrapped if below 0; one out of range is noted, and 0 taken for it."""
        b = self.builder
        given, extent, site = args[:3]
        position = given
        if e.attr:
            below = b.icmp_signed("<", given, ir.Constant(given.type, None if lanes > 1 else 0))
            position = b.select(below, b.add(given, extent), given)
        inside = b.icmp_unsigned("<", position, extent)
        bad = b.not_(inside)
        for on in (mask, *args[3:]):
            bad = bad if on is None else b.and_(bad, on)
        some = bad
        if lanes > 1:
            bits = b.bitcast(bad, ir.IntType(lanes))
            some = b.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))
        with b.if_then(some, likely=False):
            if lanes > 1:
                lane = b.cttz(bits, ir.Constant(ir.IntType(1), 1))
                given, extent, site = (b.extract_element(v, lane) for v in (given, extent, site))
            note_error(b, self.error, site, given, extent)
        return b.select(inside, position, ir.Constant(position.type, None if lanes > 1 else 0))

    def _rounded(self, value: ir.Value, dtype: DType, lanes: int) -> ir.Value:
        if dtype.compute is dtype:
            return value
        return emit_operation(
            self.builder, "cast", [value], [dtypes.float32], dtype, None, lanes, self.target
        )

    def _pointer(self, operand: int) -> ir.Value:
        """The address of the operand's element at the present point (of lane 0)."""
        b = self.builder
        if self.tile_start is not None and operand in self.tiles:
            row = b.sub(self.index[self.kernel.turn_axis], self.tile_start[0])
            lane = b.sub(self.index[self.lane_axis], self.tile_start[1])
            place = b.add(b.mul(row, i64(TURN_LANES)), lane)
            element = memory_type(self.kernel.operands[operand], 1)
            return b.gep(self.tiles[operand], [place], source_etype=element)
        offset: ir.Value | None = None
        for axis, stride in enumerate(self.strides[operand]):
            if stride is not None:
                one = isinstance(stride, ir.Constant)
                term = self.index[axis] if one else b.mul(self.index[axis], stride)
                offset = term if offset is None else b.add(offset, term)
        if offset is None:
            return self.bases[operand]
        element = memory_type(self.kernel.operands[operand], 1)
        return b.gep(self.bases[operand], [offset], source_etype=element)

    def _load(
        self,
        e: Expr,
        lanes: int,
        mask: ir.Value | None,
        guard: ir.Value | None,
        offset: ir.Value | None,
    ) -> ir.Value:
        b, operand = self.builder, e.attr.operand
        stride = e.attr.strides[self.lane_axis] if lanes > 1 else 0
        stride = 1 if operand in self.tiles else stride
        pointer = self._pointer(operand)
        if offset is not None and (lanes == 1 or self.lane_axis not in self.varies[e.args[-1]]):
            if lanes > 1:
                offset = b.extract_element(offset, ir.Constant(ir.IntType(32), 0))
            pointer = b.gep(pointer, [offset], source_etype=memory_type(e.dtype, 1))
            offset = None
        if lanes > 1 and (stride != 1 or offset is not None):
            return self._gather(e, lanes, mask, guard, pointer, offset)
        if guard is None and mask is None and lanes > 1:
            self._fetch_ahead(e, pointer, lanes)
        both = guard
        if mask is not None and e.dtype.itemsize >= 4:
            both = mask if guard is None else b.and_(mask, guard)
        return load(b, pointer, e.dtype, lanes, self.target, mask=both)

    def _fetch_ahead(self, e: Expr, pointer: ir.Value, lanes: int) -> None:
        """Ask for what will be loaded some steps, or a row, later (see `loop_memory.ahead`)."""
        b, operand, (what, stage) = self.builder, e.attr.operand, self.kernel.ahead
        if not what or stage != self.stage or operand in (*self.kernel.scratch, *self.tiles):
            return
        if what == "lanes":
            far = b.gep(pointer, [i64(BYTES_AHEAD)], source_etype=I8)
        else:
            axis = self.kernel.n_outer - 1 if what == "row" else len(self.extents) - 1
            step = self.strides[operand][axis]
            if step is None:
                return
            steps = b.mul(step, i64(1 if what == "row" else STEPS_AHEAD))
            far = b.gep(pointer, [steps], source_etype=memory_type(e.dtype, 1))
        for start in range(0, lanes * e.dtype.itemsize, ALIGNMENT):
            # Rows a power of two apart would push one another out of the first cache.
            nearness = 2 if what == "walk" else 3
            prefetch(b, b.gep(far, [i64(start)], source_etype=I8), nearness)

    def _gather(
        self,
        e: Expr,
        lanes: int,
        mask: ir.Value | None,
        guard: ir.Value | None,
        pointer: ir.Value,
        offset: ir.Value | None,
    ) -> ir.Value:
        """One load a lane; lanes that are off read the launch's own words, and give 0."""
        b = self.builder
        step = self.strides[e.attr.operand][self.lane_axis]
        element = memory_type(e.dtype, 1)
        off = mask if guard is None else guard if mask is None else b.and_(mask, guard)
        result = ir.Constant(llvm_type(e.dtype, lanes), ir.Undefined)
        for lane in range(lanes):
            at = pointer
            if step is not None and lane:
                at = b.gep(pointer, [b.mul(step, i64(lane))], source_etype=element)
            number = ir.Constant(ir.IntType(32), lane)
            if offset is not None:
                at = b.gep(at, [b.extract_element(offset, number)], source_etype=element)
            on = None if off is None else b.extract_element(off, number)
            if on is not None:
                at = b.select(on, at, self.args)
            value = load(b, at, e.dtype, 1, self.target)
            if on is not None:
                value = b.select(on, value, emit_const(0, e.dtype, 1))
            result = b.insert_element(result, value, number)
        return result

    def _store(self, emitter: ExprEmitter, t: Store, lanes: int, mask: ir.Value | None) -> None:
        b = self.builder
        value = emitter.emit(t.value)
        guard = None if t.guard is None else emitter.emit(t.guard)
        both = guard if mask is None else mask if guard is None else b.and_(mask, guard)
        dtype = self.kernel.operands[t.access.operand]
        pointer = self._pointer(t.access.operand)
        if lanes == 1 or t.access.strides[self.lane_axis] == 1:
            streamed = t.access.operand in self.kernel.streamed and both is None and lanes > 1
            align = min(ALIGNMENT, lanes * dtype.itemsize) if streamed else None
            store(b, value, pointer, dtype, self.target, both, streamed, align)
            return
        step = self.strides[t.access.operand][self.lane_axis]
        element = memory_type(dtype, 1)
        for lane in range(lanes):
            number = ir.Constant(ir.IntType(32), lane)
            at = pointer
            if step is not None and lane:
                at = b.gep(pointer, [b.mul(step, i64(lane))], source_etype=element)
            on = None if both is None else b.extract_element(both, number)
            store(b, b.extract_element(value, number), at, dtype, self.target, mask=on)

    # Reductions.

    def _flatten(self, parts: Sequence[tuple[ir.Value, ...]]) -> list[ir.Value]:
        return [v for part in parts for v in part]

    def _reduce_all(
        self,
        reductions: Sequence[Reduce],
        emitter: ExprEmitter,
        accs: list[ir.Value],
        lanes: int,
        mask: ir.Value | None,
    ) -> list[ir.Value]:
        new: list[ir.Value] = []
        values = iter(accs)
        for r in reductions:
            value = emitter.emit(r.value)
            if mask is not None:
                value = self.builder.select(mask, value, self.reducer.identity(r, lanes)[0])
            if r.op.startswith("arg"):
                position = self._flat_position(lanes)
                if mask is not None:
                    position = self.builder.select(
                        mask, position, self.reducer.identity(r, lanes)[1]
                    )
                pair = (next(values), next(values))
                new += self.reducer.better(r, pair, (value, position), lanes)
            else:
                new.append(self.reducer.combine(r, next(values), value, lanes))
        return new

    def _flat_position(self, lanes: int) -> ir.Value:
        """The row-major position over the inner axes."""
        b = self.builder
        flat: ir.Value = i64(0)
        for axis in range(self.kernel.n_outer, len(self.extents)):
            flat = b.add(b.mul(flat, self.extents[axis]), self.index[axis])
        wide = splat(b, flat, lanes)
        rows = self.kernel.vector == "inner" and lanes > 1
        return b.add(wide, iota(lanes)) if rows else wide

    def _finish(
        self, k: int, reductions: Sequence[Reduce], final: list[ir.Value], lanes: int | None
    ) -> None:
        """Note the results of stage k; with `lanes`, partial results are first combined as a
        tree."""
        values = iter(final)
        for i, r in enumerate(reductions):
            if r.op.startswith("arg"):
                pair = (next(values), next(values))
                if lanes is not None:
                    pair = self.reducer.tree_pair(r, pair, lanes)
                self.accs[k, i] = pair[1]
            else:
                value = next(values)
                if lanes is not None:
                    value = self.reducer.tree(r, value, lanes)
                self.accs[k, i] = value

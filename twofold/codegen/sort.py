"""Sorting as LLVM: keys from bits, passes over bytes, insertion into short rows and short lists."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from ..dtypes import DType, bool_
from ..kernels.sort import BUCKETS, SEARCHES, SHORT, SearchSpec, SortSpec, TopSpec
from ..machine import Target
from .build import I8, I64, Words, i64, kernel_function, loop, splat, while_loop
from .scalar import emit_operation, load, memory_type

I32 = ir.IntType(32)
_EXPONENT = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000}
_INFINITY = {**_EXPONENT, "float64": 0x7FF0000000000000}
"""The bits of infinity; those of NaN are above."""


def emit(spec: SortSpec, target: Target) -> ir.Module:
    """One row, or one chunk of a row, an item."""
    return (_RowSort if spec.stage == "row" else _ChunkSort)(spec, target).module


def sort_key(b: ir.IRBuilder, bits: ir.Value, dtype: DType, descending: bool) -> ir.Value:
    """The key of a value (or of a vector of them) with these bits, as wide as they are."""
    width = 8 * dtype.itemsize
    top, ones = 1 << (width - 1), (1 << width) - 1

    def const(value: int) -> ir.Constant:
        if isinstance(bits.type, ir.VectorType):
            return ir.Constant(bits.type, [ir.Constant(bits.type.element, value)] * bits.type.count)
        return ir.Constant(bits.type, value)

    key = bits
    if dtype.is_floating_point:
        size = b.and_(bits, const(top - 1))
        plain = b.select(b.icmp_unsigned("==", size, const(0)), const(0), bits)
        sign = b.ashr(plain, const(width - 1))
        key = b.xor(plain, b.or_(sign, const(top)))
        is_nan = b.icmp_unsigned(">", size, const(_INFINITY[dtype.name]))
        key = b.select(is_nan, const(ones), key)
    elif dtype.is_signed:
        key = b.xor(bits, const(top))
    return b.not_(key) if descending else key


class _Entries:
    """Keys with positions: one 64-bit word with the key above, or, for 64-bit keys, two arrays."""

    def __init__(self, builder: ir.IRBuilder, spec: SortSpec, n: ir.Value) -> None:
        self.builder, self.spec, self.n = builder, spec, n
        self.bits = ir.IntType(8 * spec.dtype.itemsize)
        self.wide = spec.dtype.itemsize == 8

    def make(self, x: ir.Value, i: ir.Value) -> list[ir.Value]:
        """The entry of the value at `x`, number i of its row."""
        b = self.builder
        key = self.key(x)
        return [key, i] if self.wide else [b.or_(b.shl(key, i64(32)), i)]

    def key(self, x: ir.Value) -> ir.Value:
        """The key of the value at `x`, in 64 bits."""
        b = self.builder
        bits = b.load(x, typ=self.bits)
        key = sort_key(b, bits, self.spec.dtype, self.spec.descending)
        return key if self.wide else b.zext(key, I64)

    def _places(self, base: ir.Value, i: ir.Value) -> list[ir.Value]:
        b = self.builder
        places = [b.gep(base, [i], source_etype=I64)]
        return [*places, b.gep(base, [b.add(i, self.n)], source_etype=I64)] if self.wide else places

    def read(self, base: ir.Value, i: ir.Value) -> list[ir.Value]:
        return [self.builder.load(at, typ=I64) for at in self._places(base, i)]

    def write(self, base: ir.Value, i: ir.Value, entry: list[ir.Value]) -> None:
        for at, value in zip(self._places(base, i), entry):
            self.builder.store(value, at)

    def digit(self, entry: list[ir.Value], digit: ir.Value) -> ir.Value:
        """A byte of the key."""
        b = self.builder
        shift = b.mul(digit, i64(8))
        shift = shift if self.wide else b.add(shift, i64(32))
        return b.and_(b.lshr(entry[0], shift), i64(BUCKETS - 1))

    def position(self, entry: list[ir.Value]) -> ir.Value:
        b = self.builder
        return entry[1] if self.wide else b.and_(entry[0], i64((1 << 32) - 1))

    def before(self, a: list[ir.Value], other: list[ir.Value]) -> ir.Value:
        """Whether entry `a`, which came later, goes before `other`."""
        return self.builder.icmp_unsigned("<", a[0], other[0])


class _Sort:
    """What the whole sort and its stages share."""

    def __init__(self, spec: SortSpec, target: Target) -> None:
        self.spec, self.target = spec, target
        self.module, self.function, self.builder = kernel_function()
        self.words = Words(self.builder, self.function.args[0], self.function.args[1])
        self.n_digits = spec.dtype.itemsize

    entries: _Entries
    stride: ir.Value

    def _loop(
        self, start: ir.Value, stop: ir.Value, body: Callable[[ir.Value], None], name: str
    ) -> None:
        loop(self.builder, start, stop, i64(1), [], lambda i, _: body(i), name)

    def _value(self, base: ir.Value, i: ir.Value) -> ir.Value:
        b = self.builder
        return b.gep(base, [b.mul(i, self.stride)], source_etype=self.entries.bits)

    def _count(self, counts: ir.Value, bucket: ir.Value) -> ir.Value:
        return self.builder.gep(counts, [bucket], source_etype=I32)

    def _zero(self, counts: ir.Value, n: int) -> None:
        b, lanes = self.builder, 16
        zeros = ir.Constant(ir.VectorType(I32, lanes), None)
        loop(
            b, i64(0), i64(n), i64(lanes), [],
            lambda i, _: b.store(zeros, self._count(counts, i), align=4) and None, "zero",
        )  # fmt: skip

    def _tally(self, counts: ir.Value, bucket: ir.Value) -> ir.Value:
        """Count one more in `bucket`; gives the count before."""
        b = self.builder
        at = self._count(counts, bucket)
        before = b.load(at, typ=I32)
        b.store(b.add(before, ir.Constant(I32, 1)), at)
        return b.zext(before, I64)


class _RowSort(_Sort):
    def __init__(self, spec: SortSpec, target: Target) -> None:
        super().__init__(spec, target)
        b, words = self.builder, self.words
        _, _, begin, end, worker = self.function.args
        self.x, self.out = words.array(), words.array()
        scratch = words.scratch(worker)
        self.n, self.row_stride, self.stride = (words.integer() for _ in range(3))
        self.entries = _Entries(b, spec, self.n)
        self.counts = scratch
        n_bytes = b.mul(self.n, i64(16 if self.entries.wide else 8))
        self.first = b.gep(scratch, [i64(4 * BUCKETS * self.n_digits)], source_etype=I8)
        self.second = b.gep(self.first, [n_bytes], source_etype=I8)
        self._loop(begin, end, self._row, "row")
        b.ret_void()

    def _row(self, row: ir.Value) -> None:
        b = self.builder
        x = b.gep(self.x, [b.mul(row, self.row_stride)], source_etype=self.entries.bits)
        out = b.gep(self.out, [b.mul(row, self.n)], source_etype=I64)
        with b.if_else(b.icmp_signed("<=", self.n, i64(SHORT))) as (short, long):
            with short:
                self._insertion(x)
                self._write(self.first, out)
            with long:
                self._write(self._radix(x), out)

    def _write(self, source: ir.Value, out: ir.Value) -> None:
        b, e = self.builder, self.entries

        def one(i: ir.Value) -> None:
            b.store(e.position(e.read(source, i)), b.gep(out, [i], source_etype=I64))

        self._loop(i64(0), self.n, one, "out")

    def _insertion(self, x: ir.Value) -> None:
        b, e, to = self.builder, self.entries, self.first

        def one(i: ir.Value) -> None:
            entry = e.make(self._value(x, i), i)

            def smaller(j: list[ir.Value]) -> ir.Value:
                inside = b.icmp_signed(">", j[0], i64(0))
                before = b.select(inside, b.sub(j[0], i64(1)), i64(0))
                return b.and_(inside, e.before(entry, e.read(to, before)))

            def shift(j: list[ir.Value]) -> list[ir.Value]:
                before = b.sub(j[0], i64(1))
                e.write(to, j[0], e.read(to, before))
                return [before]

            (at,) = while_loop(b, [i], smaller, shift, "shift")
            e.write(to, at, entry)

        # The first comparison of the first value reads one entry that is not there yet.
        e.write(to, i64(0), [i64(0)] * (2 if e.wide else 1))
        self._loop(i64(0), self.n, one, "insert")

    def _radix(self, x: ir.Value) -> ir.Value:
        b, e = self.builder, self.entries
        self._zero(self.counts, BUCKETS * self.n_digits)

        def read(i: ir.Value) -> None:
            entry = e.make(self._value(x, i), i)
            e.write(self.first, i, entry)
            for digit in range(self.n_digits):
                bucket = b.add(e.digit(entry, i64(digit)), i64(digit * BUCKETS))
                self._tally(self.counts, bucket)

        self._loop(i64(0), self.n, read, "keys")

        def sort_by(digit: ir.Value, buffers: list[ir.Value]) -> list[ir.Value]:
            source, to = buffers
            counts = self._count(self.counts, b.mul(digit, i64(BUCKETS)))
            some = b.load(self._count(counts, e.digit(e.read(source, i64(0)), digit)), typ=I32)
            same = b.icmp_signed("==", b.zext(some, I64), self.n)
            with b.if_then(b.not_(same)):
                self._starts(counts)

                def move(i: ir.Value) -> None:
                    entry = e.read(source, i)
                    e.write(to, self._tally(counts, e.digit(entry, digit)), entry)

                self._loop(i64(0), self.n, move, "move")
            return [b.select(same, source, to), b.select(same, to, source)]

        buffers = [self.first, self.second]
        return loop(b, i64(0), i64(self.n_digits), i64(1), buffers, sort_by, "digit")[0]

    def _starts(self, counts: ir.Value) -> None:
        """Counts become the places where each bucket starts."""
        b = self.builder

        def one(bucket: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
            at = self._count(counts, bucket)
            own = b.load(at, typ=I32)
            b.store(total[0], at)
            return [b.add(total[0], own)]

        loop(b, i64(0), i64(BUCKETS), i64(1), [ir.Constant(I32, 0)], one, "starts")


class _ChunkSort(_Sort):
    """A stage of the sort of long rows; an item is a chunk of a row, or for "place" a row."""

    def __init__(self, spec: SortSpec, target: Target) -> None:
        super().__init__(spec, target)
        b, words = self.builder, self.words
        _, _, begin, end, _ = self.function.args
        self.x, self.out, *self.buffers, self.all_counts, self.state = (
            words.array() for _ in range(6)
        )
        self.n, self.row_stride, self.stride = (words.integer() for _ in range(3))
        self.chunks, self.chunk, self.digit = (words.integer() for _ in range(3))
        self.entries = _Entries(b, spec, self.n)
        self._loop(begin, end, self._place if spec.stage == "place" else self._chunk, "item")
        b.ret_void()

    def _row_state(self, row: ir.Value, i: ir.Value) -> ir.Value:
        """Word i of a row's state: the chunks' differences, then the buffer of each pass."""
        b = self.builder
        width = b.add(self.chunks, i64(self.n_digits + 1))
        return b.gep(self.state, [b.add(b.mul(row, width), i)], source_etype=I64)

    def _source(self, row: ir.Value, turned: bool = False) -> ir.Value:
        """The entries that this pass starts from; `turned`, those it moves them to."""
        b = self.builder
        which = b.load(self._row_state(row, b.add(self.chunks, self.digit)), typ=I64)
        words = b.mul(self.n, i64(2 if self.entries.wide else 1))
        bases = [b.gep(x, [b.mul(row, words)], source_etype=I64) for x in self.buffers]
        return b.select(b.icmp_signed("==", which, i64(1 if turned else 0)), *bases)

    def _varies(self, row: ir.Value) -> ir.Value:
        """Whether the keys of a row differ in this pass's byte."""
        b = self.builder

        def gather(k: ir.Value, bits: list[ir.Value]) -> list[ir.Value]:
            return [b.or_(bits[0], b.load(self._row_state(row, k), typ=I64))]

        (bits,) = loop(b, i64(0), self.chunks, i64(1), [i64(0)], gather, "differ")
        byte = b.and_(b.lshr(bits, b.mul(self.digit, i64(8))), i64(BUCKETS - 1))
        return b.icmp_signed("!=", byte, i64(0))

    def _counts(self, row: ir.Value, chunk: ir.Value) -> ir.Value:
        b = self.builder
        number = b.add(b.mul(row, self.chunks), chunk)
        return self._count(self.all_counts, b.mul(number, i64(BUCKETS)))

    def _chunk(self, item: ir.Value) -> None:
        b = self.builder
        row, chunk = b.udiv(item, self.chunks), b.urem(item, self.chunks)
        low = b.mul(chunk, self.chunk)
        high = b.add(low, self.chunk)
        high = b.select(b.icmp_signed("<", high, self.n), high, self.n)
        if self.spec.stage == "keys":
            self._keys(row, chunk, low, high)
        elif self.spec.stage == "out":
            self._write(row, low, high)
        else:
            with b.if_then(self._varies(row)):
                (self._tallies if self.spec.stage == "count" else self._move)(
                    row, self._counts(row, chunk), low, high
                )

    def _keys(self, row: ir.Value, chunk: ir.Value, low: ir.Value, high: ir.Value) -> None:
        b, e = self.builder, self.entries
        x = b.gep(self.x, [b.mul(row, self.row_stride)], source_etype=e.bits)
        words = b.mul(self.n, i64(2 if e.wide else 1))
        to = b.gep(self.buffers[0], [b.mul(row, words)], source_etype=I64)
        first = e.key(x)

        def one(i: ir.Value, bits: list[ir.Value]) -> list[ir.Value]:
            at = self._value(x, i)
            key = e.key(at)
            e.write(to, i, [key, i] if e.wide else [b.or_(b.shl(key, i64(32)), i)])
            return [b.or_(bits[0], b.xor(key, first))]

        (bits,) = loop(b, low, high, i64(1), [i64(0)], one, "keys")
        b.store(bits, self._row_state(row, chunk))
        b.store(i64(0), self._row_state(row, self.chunks))

    def _tallies(self, row: ir.Value, counts: ir.Value, low: ir.Value, high: ir.Value) -> None:
        e = self.entries
        source = self._source(row)
        self._zero(counts, BUCKETS)

        def one(i: ir.Value) -> None:
            self._tally(counts, e.digit(e.read(source, i), self.digit))

        self._loop(low, high, one, "count")

    def _place(self, row: ir.Value) -> None:
        """Counts of all chunks become the places where each puts its entries."""
        b = self.builder
        varies = self._varies(row)
        place = b.add(self.chunks, self.digit)
        now = b.load(self._row_state(row, place), typ=I64)
        turned = b.xor(now, b.zext(varies, I64))
        b.store(turned, self._row_state(row, b.add(place, i64(1))))
        with b.if_then(varies):

            def bucket(q: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
                def chunk(k: ir.Value, total: list[ir.Value]) -> list[ir.Value]:
                    at = self._count(self._counts(row, k), q)
                    own = b.load(at, typ=I32)
                    b.store(total[0], at)
                    return [b.add(total[0], own)]

                return loop(b, i64(0), self.chunks, i64(1), total, chunk, "chunk")

            loop(b, i64(0), i64(BUCKETS), i64(1), [ir.Constant(I32, 0)], bucket, "bucket")

    def _move(self, row: ir.Value, counts: ir.Value, low: ir.Value, high: ir.Value) -> None:
        e = self.entries
        source, to = self._source(row), self._source(row, turned=True)

        def one(i: ir.Value) -> None:
            entry = e.read(source, i)
            e.write(to, self._tally(counts, e.digit(entry, self.digit)), entry)

        self._loop(low, high, one, "move")

    def _write(self, row: ir.Value, low: ir.Value, high: ir.Value) -> None:
        b, e = self.builder, self.entries
        source = self._source(row)
        out = b.gep(self.out, [b.mul(row, self.n)], source_etype=I64)

        def one(i: ir.Value) -> None:
            b.store(e.position(e.read(source, i)), b.gep(out, [i], source_etype=I64))

        self._loop(low, high, one, "out")


def emit_top(spec: TopSpec, target: Target) -> ir.Module:
    """One row an item: a sorted list of the best so far, which few values get into."""
    return _Top(spec, target).module


class _Top:
    def __init__(self, spec: TopSpec, target: Target) -> None:
        self.spec = spec
        self.module, function, self.builder = kernel_function()
        b = self.builder
        bases, args, begin, end, worker = function.args
        words = Words(b, bases, args)
        self.x, self.out, self.keys = words.array(), words.array(), words.scratch(worker)
        self.n, self.k, self.row_stride, self.stride = (words.integer() for _ in range(4))
        self.bits = ir.IntType(8 * spec.dtype.itemsize)
        self.lanes = max(4, target.vector_bytes // spec.dtype.itemsize) if spec.adjacent else 1
        loop(b, begin, end, i64(1), [], self._row, "row")
        b.ret_void()

    def _key(self, x: ir.Value, i: ir.Value, lanes: int) -> ir.Value:
        b = self.builder
        at = b.gep(x, [b.mul(i, self.stride)], source_etype=self.bits)
        kind = self.bits if lanes == 1 else ir.VectorType(self.bits, lanes)
        bits = b.load(at, typ=kind, align=self.spec.dtype.itemsize)
        return sort_key(b, bits, self.spec.dtype, not self.spec.largest)

    def _best(self, i: ir.Value) -> ir.Value:
        return self.builder.gep(self.keys, [i], source_etype=self.bits)

    def _row(self, row: ir.Value, _: list[ir.Value]) -> None:
        b = self.builder
        x = b.gep(self.x, [b.mul(row, self.row_stride)], source_etype=self.bits)
        out = b.gep(self.out, [b.mul(row, self.k)], source_etype=I64)

        def fill(i: ir.Value, _: list[ir.Value]) -> None:
            self._insert(out, i, self._key(x, i, 1), i)

        loop(b, i64(0), self.k, i64(1), [], fill, "fill")
        last = b.sub(self.k, i64(1))
        worst = b.load(self._best(last), typ=self.bits)

        def offer(worst: ir.Value, key: ir.Value, i: ir.Value) -> ir.Value:
            """Take the value in if it is better than the worst; gives the worst then."""
            before = b.block
            with b.if_then(b.icmp_unsigned(">", key, worst)):
                self._insert(out, last, key, i)
                new = b.load(self._best(last), typ=self.bits)
                inside = b.block
            phi = b.phi(self.bits)
            phi.add_incoming(worst, before)
            phi.add_incoming(new, inside)
            return phi

        start = self.k
        if self.lanes > 1:
            lanes = self.lanes
            mask_type = ir.IntType(lanes)
            none = ir.Constant(mask_type, 0)

            def some(i: ir.Value, state: list[ir.Value]) -> list[ir.Value]:
                keys = self._key(x, i, lanes)
                better = b.icmp_unsigned(">", keys, splat(b, state[0], lanes))
                bits = b.bitcast(better, mask_type)

                def one(state: list[ir.Value]) -> list[ir.Value]:
                    worst, left = state
                    lane = b.cttz(left, ir.Constant(ir.IntType(1), 1))
                    number = b.zext(lane, I64) if lanes < 64 else lane
                    key = b.extract_element(keys, number)
                    left = b.and_(left, b.sub(left, ir.Constant(mask_type, 1)))
                    return [offer(worst, key, b.add(i, number)), left]

                state, _ = while_loop(
                    b, [state[0], bits], lambda v: b.icmp_unsigned("!=", v[1], none), one, "some"
                )
                return [state]

            count = b.sub(self.n, start)
            stop = b.add(start, b.mul(b.udiv(count, i64(lanes)), i64(lanes)))
            (worst,) = loop(b, start, stop, i64(lanes), [worst], some, "walk")
            start = stop
        loop(
            b, start, self.n, i64(1), [worst],
            lambda i, state: [offer(state[0], self._key(x, i, 1), i)], "rest",
        )  # fmt: skip

    def _insert(self, out: ir.Value, at: ir.Value, key: ir.Value, position: ir.Value) -> None:
        """Put a key into the sorted list, whose entry `at` falls out, after those as good."""
        b = self.builder

        def worse(j: list[ir.Value]) -> ir.Value:
            inside = b.icmp_signed(">", j[0], i64(0))
            before = b.select(inside, b.sub(j[0], i64(1)), i64(0))
            held = b.load(self._best(before), typ=self.bits)
            return b.and_(inside, b.icmp_unsigned("<", held, key))

        def shift(j: list[ir.Value]) -> list[ir.Value]:
            before = b.sub(j[0], i64(1))
            b.store(b.load(self._best(before), typ=self.bits), self._best(j[0]))
            moved = b.load(b.gep(out, [before], source_etype=I64), typ=I64)
            b.store(moved, b.gep(out, [j[0]], source_etype=I64))
            return [before]

        (place,) = while_loop(b, [at], worse, shift, "shift")
        b.store(key, self._best(place))
        b.store(position, b.gep(out, [place], source_etype=I64))


def emit_search(spec: SearchSpec, target: Target) -> ir.Module:
    """Some values an item, each by halving what is left of its row, without branches."""
    module, function, b = kernel_function()
    bases, args, begin, end, _ = function.args
    words = Words(b, bases, args)
    seq, values, out = words.array(), words.array(), words.array()
    n, k, count, row_step, step, value_row, value_step = (words.integer() for _ in range(7))
    element = memory_type(spec.dtype, 1)
    dtype = spec.dtype

    def one(i: ir.Value, _: list[ir.Value]) -> None:
        row, column = b.udiv(i, k), b.urem(i, k)
        at = b.add(b.mul(row, value_row), b.mul(column, value_step))
        x = load(b, b.gep(values, [at], source_etype=element), dtype, 1, target)
        base = b.gep(seq, [b.mul(row, row_step)], source_etype=element)

        def halve(state: list[ir.Value]) -> list[ir.Value]:
            low, left = state
            half = b.lshr(left, i64(1))
            middle = b.add(low, half)
            held = load(
                b, b.gep(base, [b.mul(middle, step)], source_etype=element), dtype, 1, target
            )
            # Not the opposite comparison: with a NaN both are false, and it comes after all.
            after = emit_operation(
                b, "gt" if spec.right else "ge", [held, x], [dtype] * 2, bool_, None, 1, target
            )
            rest = b.sub(b.sub(left, half), i64(1))
            return [b.select(after, low, b.add(middle, i64(1))), b.select(after, half, rest)]

        place, _left = while_loop(
            b, [i64(0), n], lambda s: b.icmp_signed(">", s[1], i64(0)), halve, "halve"
        )
        b.store(place, b.gep(out, [i], source_etype=I64))

    def item(i: ir.Value, _: list[ir.Value]) -> None:
        low = b.mul(i, i64(SEARCHES))
        high = b.add(low, i64(SEARCHES))
        loop(b, low, b.select(b.icmp_signed("<", high, count), high, count), i64(1), [], one, "v")

    loop(b, begin, end, i64(1), [], item, "item")
    b.ret_void()
    return module

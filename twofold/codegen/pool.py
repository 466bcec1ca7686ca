"""The gradient of max pooling as LLVM; see `kernels/pool.py`."""

from __future__ import annotations

import itertools

from llvmlite import ir

from ..kernels.pool import PoolMaxInputSpec
from ..machine import Target
from .build import Words, first_lanes, i64, kernel_function, loop, splat
from .scalar import emit_const, load, memory_type, store

I32 = ir.IntType(32)
_WORDS = (
    "channels lines lines_of_item clear od oh ow sd sh sw dd dh dw "
    "pd ph pw xn xd xh xw gn gd gh gw yn yd yh yw"
).split()


def emit(spec: PoolMaxInputSpec, target: Target) -> ir.Module:
    """Some rows of windows of one image an item."""
    module, function, b = kernel_function()
    bases, args, begin, end, _ = function.args
    words = Words(b, bases, args)
    x, g, y = words.array(), words.array(), words.array()
    w = {name: words.integer() for name in _WORDS}
    dtype, element = spec.dtype, memory_type(spec.dtype, 1)
    lanes = max(1, target.vector_bytes // dtype.itemsize)
    taps = list(itertools.product(*map(range, spec.kernel)))

    def at(base: ir.Value, offset: ir.Value) -> ir.Value:
        return b.gep(base, [offset], source_etype=element)

    def offsets(array: str) -> list[ir.Value]:
        """How far each of the window's elements lies from its first."""
        steps = [b.mul(w["d" + axis], w[array + axis]) for axis in "dhw"]
        return [
            b.add(b.add(b.mul(i64(d), steps[0]), b.mul(i64(h), steps[1])), b.mul(i64(k), steps[2]))
            for d, h, k in taps
        ]

    x_taps, y_taps = offsets("x"), offsets("y")

    def first_inside(places: dict[str, ir.Value]) -> ir.Value:
        """Which of the window's elements is the first that is no padding."""
        tap = i64(0)
        for axis, size in zip("dhw", spec.kernel):
            left = b.sub(w["p" + axis], b.mul(places[axis], w["s" + axis]))
            left = b.select(b.icmp_signed(">", left, i64(0)), left, i64(0))
            step = w["d" + axis]
            skipped = b.udiv(b.add(left, b.sub(step, i64(1))), step)
            tap = b.add(b.mul(tap, i64(size)), skipped)
        return b.trunc(tap, I32)

    def vector(
        start: ir.Value, x_at: ir.Value, g_at: ir.Value, y_at: ir.Value, mask: ir.Value | None
    ) -> None:
        best = first = None
        for k, offset in enumerate(x_taps):
            value = load(b, at(x_at, offset), dtype, lanes, target, mask=mask)
            if best is None or first is None:
                best, first = value, splat(b, start, lanes)
                continue
            # Greater or not a number, unless one that is not a number came before.
            better = b.and_(b.fcmp_unordered(">", value, best), b.fcmp_ordered("==", best, best))
            best = b.select(better, value, best)
            first = b.select(better, splat(b, ir.Constant(I32, k), lanes), first)
        cotangent = load(b, g_at, dtype, lanes, target, mask=mask)
        zero = emit_const(0, dtype, lanes)
        for k, offset in enumerate(y_taps):
            here = b.icmp_signed("==", first, splat(b, ir.Constant(I32, k), lanes))
            value = b.select(here, cotangent, zero)
            place = at(y_at, offset)
            if spec.adds:
                value = b.fadd(load(b, place, dtype, lanes, target, mask=mask), value)
            store(b, value, place, dtype, target, mask=mask)

    def item(i: ir.Value, _: list[ir.Value]) -> None:
        low = b.mul(i, w["lines_of_item"])
        n = b.udiv(low, w["lines"])

        def clear(c: ir.Value, _: list[ir.Value]) -> None:
            b.store(ir.Constant(element, 0), at(y, b.add(b.mul(n, w["yn"]), c)))

        loop(b, i64(0), w["clear"], i64(1), [], clear, "clear")

        def line(number: ir.Value, _: list[ir.Value]) -> None:
            rest = b.urem(number, w["lines"])
            places = {"n": n, "d": b.udiv(rest, w["oh"]), "h": b.urem(rest, w["oh"])}
            starts = []
            for array in "xgy":
                start = b.mul(n, w[array + "n"])
                for axis in "dh":
                    place = places[axis]
                    if array != "g":
                        place = b.mul(place, w["s" + axis])
                    start = b.add(start, b.mul(place, w[array + axis]))
                starts.append(start)

            def window(q: ir.Value, _: list[ir.Value]) -> None:
                bases = []
                for array, base, start in zip("xgy", (x, g, y), starts):
                    place = q if array == "g" else b.mul(q, w["sw"])
                    bases.append(at(base, b.add(start, b.mul(place, w[array + "w"]))))
                start = ir.Constant(I32, 0)
                if spec.padded:
                    start = first_inside({**places, "w": q})
                whole = b.mul(b.sdiv(w["channels"], i64(lanes)), i64(lanes))

                def channels(c: ir.Value, _: list[ir.Value]) -> None:
                    x_at, g_at, y_at = (at(base, c) for base in bases)
                    vector(start, x_at, g_at, y_at, None)

                loop(b, i64(0), whole, i64(lanes), [], channels, "channels")
                left = b.sub(w["channels"], whole)
                with b.if_then(b.icmp_signed(">", left, i64(0))):
                    mask = first_lanes(b, left, lanes)
                    x_at, g_at, y_at = (at(base, whole) for base in bases)
                    vector(start, x_at, g_at, y_at, mask)

            loop(b, i64(0), w["ow"], i64(1), [], window, "window")

        loop(b, low, b.add(low, w["lines_of_item"]), i64(1), [], line, "line")

    loop(b, begin, end, i64(1), [], item, "item")
    b.ret_void()
    return module

"""What kernels of products and convolutions share: arrays, scratch memory, named words, tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from ..machine import Target
from .build import Words, first_lanes, i64, kernel_function, loop
from .loops import LoopEmitter
from .scalar import emit_fma, load, memory_type, store


class Emitter:
    """A kernel under construction. `arrays` are what it reads and writes, `w` its words by name;
    `words` gives those after them."""

    def __init__(self, spec: Any, target: Target, names: Sequence[str], n_arrays: int = 3) -> None:
        self.spec, self.target = spec, target
        self.module, function, self.builder = kernel_function()
        bases, args, self._begin, self._end, worker = function.args
        self.words = Words(self.builder, bases, args)
        self.arrays = [self.words.array() for _ in range(n_arrays)]
        self.scratch = self.words.scratch(worker)
        self.w = {name: self.words.integer() for name in names}
        self.dtype = spec.dtype
        self.element = memory_type(spec.dtype, 1)

    def items(self, item: Callable[[ir.Value, list[ir.Value]], None]) -> None:
        """End the kernel with `item` for each work item."""
        loop(self.builder, self._begin, self._end, i64(1), [], item, "item")
        self.builder.ret_void()

    def clear(self, base: ir.Value, count: ir.Value) -> None:
        """Make so many elements zeros."""
        b = self.builder

        def one(i: ir.Value, _: list[ir.Value]) -> None:
            b.store(ir.Constant(self.element, 0), self._at(base, i))

        loop(b, i64(0), count, i64(1), [], one, "zero")

    def _at(self, base: ir.Value, offset: ir.Value, element: ir.Type | None = None) -> ir.Value:
        return self.builder.gep(base, [offset], source_etype=element or self.element)

    def _least(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed("<", x, y), x, y)

    def _fma(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        return emit_fma(self.builder, x, y, z, self.dtype, self.target)

    def _vector(self, base: ir.Value, j: int, mask: ir.Value | None = None) -> ir.Value:
        """Number j of the vectors of `spec.lanes` elements that lie side by side from `base` on."""
        where, lanes = self._at(base, i64(j * self.spec.lanes)), self.spec.lanes
        return load(self.builder, where, self.dtype, lanes, self.target, mask)

    def _masks(self, left: ir.Value) -> list[ir.Value]:
        """The lanes of a panel's vectors that exist where `left` of its channels are left."""
        b, spec = self.builder, self.spec
        starts = range(0, spec.columns, spec.lanes)
        return [first_lanes(b, b.sub(left, i64(j)), spec.lanes) for j in starts]


class ConvolutionEmitter(Emitter):
    """A convolution by register tiles: `spec.pixels` pixels of as many vectors of channels as a
    panel has. With work to be done on its sums (`finish`) they go through `tile`, in scratch."""

    tile: ir.Value

    def __init__(self, spec: Any, target: Target, names: Sequence[str]) -> None:
        super().__init__(spec, target, names)
        self.x, self.weights, self.y = self.arrays
        finish = spec.finish
        self.finish = LoopEmitter(finish, target, self.builder, self.words) if finish else None

    def finish_tile(
        self,
        sums: Sequence[ir.Value],
        n_pixels: ir.Value,
        first: ir.Value,
        left: ir.Value,
        place_of: Callable[[ir.Value], Sequence[ir.Value]],
    ) -> None:
        """What is done with a tile's sums, pixel by pixel: `place_of` gives where one is, along
        (batch, three axes); `first` is the tile's first channel of y, of which `left` are left."""
        b, spec, finish = self.builder, self.spec, self.finish
        assert finish is not None
        dtype, lanes = spec.dtype.compute, spec.lanes
        element = memory_type(dtype, 1)
        for k, value in enumerate(sums):
            store(b, value, self._at(self.tile, i64(k * lanes), element), dtype, self.target)

        def pixel(r: ir.Value, _: list[ir.Value]) -> None:
            image, *axes = place_of(r)
            place = (image, *axes[5 - finish.kernel.n_outer :])
            row = b.sub(b.mul(r, i64(spec.columns)), first)
            finish.bases[0] = self._at(self.tile, row, element)
            for j in range(0, spec.columns, lanes):
                here = (*place, b.add(first, i64(j)))
                with b.if_else(b.icmp_signed(">=", left, i64(j + lanes))) as (full, edge):
                    with full:
                        finish.points(here, lanes, None)
                    with edge:
                        mask = first_lanes(b, b.sub(left, i64(j)), lanes)
                        finish.points(here, lanes, mask)

        loop(b, i64(0), self._least(n_pixels, i64(spec.pixels)), i64(1), [], pixel, "finish")

    def store_tile(
        self,
        sums: Sequence[ir.Value],
        n_pixels: ir.Value,
        left: ir.Value,
        place_of: Callable[[int], ir.Value],
    ) -> None:
        """Store the tile: all of it, or the pixels and channels that there are. `place_of` gives
        where a pixel's first channel goes."""
        b, spec = self.builder, self.spec

        def store_pixel(r: int, masks: Sequence[ir.Value | None]) -> None:
            row = place_of(r)
            for j, mask in enumerate(masks):
                where = self._at(row, i64(j * spec.lanes))
                value = sums[r * spec.vectors + j]
                store(b, value, where, spec.dtype, self.target, mask=mask)

        all_pixels = b.icmp_signed(">=", n_pixels, i64(spec.pixels))
        all_channels = b.icmp_signed(">=", left, i64(spec.columns))
        with b.if_else(b.and_(all_pixels, all_channels)) as (then, otherwise):
            with then:
                for r in range(spec.pixels):
                    store_pixel(r, [None] * spec.vectors)
            with otherwise:
                masks = self._masks(left)
                for r in range(spec.pixels):
                    with b.if_then(b.icmp_signed("<", i64(r), n_pixels)):
                        store_pixel(r, masks)

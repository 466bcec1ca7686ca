"""Depthwise convolutions: every channel has one kernel of its own.

A register tile is `pixels` neighbouring outputs of a line times `vectors` vectors of channels. Its
sums run over the elements of the kernel; those above and below the input are passed over, those
left and right of it read from a block of zeros. Lines are taken one after the other, so that the
rows of the input that the next one reads again are still in cache.

The gradient of the weights is summed in registers, all elements of the kernel of `vectors` vectors
of channels at once, over the pixels of a line; then the sums go on in memory. The lines are shared
out between parts, by the shape alone, which a second launch adds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from ..dtypes import DType
from ..machine import Target
from . import conv_weight
from .conv import Geometry, Output, Panels, Weights, by_channel, is_depthwise, pack_weights, touched
from .conv_weight import ConvWeightSpec
from .launch import Array, Buffer, Launch, Scratch
from .loops import LoopKernel


@dataclass(frozen=True)
class DepthwiseSpec(Panels):
    """A depthwise convolution by tiles of `pixels` times `vectors` vectors of `lanes` channels, for
    the stride and the dilation along lines; `taps` neighbouring elements of the kernel are taken at
    once. `finish` as for `conv.ConvSpec`."""

    dtype: DType
    pixels: int
    vectors: int
    lanes: int
    taps: int = 1
    stride: int = 1
    dilation: int = 1
    finish: LoopKernel | None = None


@dataclass(frozen=True)
class DepthwiseWeightSpec(Panels):
    """Sums of the gradient of kernels of `height` x `width` elements, for `vectors` vectors of
    `lanes` channels at once."""

    dtype: DType
    height: int
    width: int
    vectors: int
    lanes: int


PARTS = 16
"""Parts that the lines are shared out between, at most."""

TAPS = 7
"""Elements of a row of the kernel that are taken at once, at most."""

LINES = 8
"""Lines that one work item takes, at most."""


def tile(dtype: DType, g: Geometry, target: Target) -> DepthwiseSpec:
    """The register tile: more than one vector only where all of them are whole, so that at most one
    is read past the end."""
    lanes = max(1, target.vector_bytes // dtype.itemsize)
    registers, width = target.vector_registers, g.kernel[2]
    taps = max((n for n in range(1, TAPS + 1) if width % n == 0), default=1)
    pixels = 7 if registers >= 32 else 5
    vectors = 1
    for n in (2, 3):
        if g.outputs % (n * lanes) == 0 and n * (pixels + taps + 1) < registers:
            vectors = n
    return DepthwiseSpec(dtype, pixels, vectors, lanes, taps, g.stride[2], g.dilation[2])


def schedule(
    grouped: Geometry, x: Array, w: Weights, y: Output, dtype: DType, target: Target, threads: int
) -> list[Launch]:
    """Launches of a depthwise convolution: packing the weights, then the tiles."""
    g = by_channel(grouped)
    taps, lines = prod(g.kernel), g.batch * prod(g.counts[:2])
    if not lines * g.counts[2] * g.outputs:
        return []
    spec = tile(dtype, g, target)
    by_group, _, *by_tap, _ = w.strides
    depth, height, width = by_tap
    packing = replace(w, strides=(0, by_group, depth, height, width, taps))
    launches, packed = [], x.buffer
    if taps:
        launches = [pack_weights(g, packing, dtype, spec.vectors, spec.lanes, threads)]
        (packed,) = launches[0].writes
    panels = -(-g.outputs // spec.columns)
    line_block = max(1, min(LINES, lines // (8 * threads)))
    line_items, panel_block = -(-lines // line_block), panels
    while line_items * -(-panels // panel_block) < 4 * threads and threads > 1 and panel_block > 1:
        panel_block = -(-panel_block // 2)
    items = line_items * -(-panels // panel_block)
    kernel, to, more, reads, writes = y.words(x)
    sums = spec.pixels * dtype.compute.itemsize * bool(kernel)
    words = [
        lines, line_block, line_items, g.outputs, panels, panel_block, *g.counts, *g.sizes,
        *g.kernel, *g.stride, *g.dilation, *g.before, *g.x_strides, *g.y_strides,
    ]  # fmt: skip
    launches.append(
        Launch(
            replace(spec, finish=kernel),
            [x, Array(packed), to, Scratch(spec.columns * (dtype.itemsize + sums)), *words, *more],
            items=items,
            grain=items if g.flops < 200_000 else 1,
            reads=(x.buffer, packed, *reads),
            writes=writes,
            flops=g.flops,
            n_bytes=touched(g) * dtype.itemsize,
            label="depthwise",
        )
    )
    return launches


def weight_tile(g: Geometry, dtype: DType, target: Target) -> DepthwiseWeightSpec | None:
    """How the sums of a gradient are held in registers; None where they have no room, or where the
    convolution is none of pictures."""
    if not is_depthwise(g) or (g.kernel[0], g.sizes[0], g.counts[0], g.before[0]) != (1, 1, 1, 0):
        return None
    _, height, width = g.kernel
    lanes = max(1, target.vector_bytes // dtype.itemsize)
    for vectors in (2, 1):
        whole = g.groups % (vectors * lanes) == 0
        if (whole or vectors == 1) and (height * width + 1) * vectors + 1 < target.vector_registers:
            return DepthwiseWeightSpec(dtype, height, width, vectors, lanes)
    return None


def schedule_weight(
    spec: DepthwiseWeightSpec, grouped: Geometry, x: Array, cotangent: Array, y: Array, threads: int
) -> list[Launch]:
    """Launches of the gradient of the weights; y is dense (C, 1, *K)."""
    g, taps = by_channel(grouped), spec.height * spec.width
    lines = g.batch * g.counts[1]
    if not taps * g.outputs:
        return []
    lines_of_part = max(1, -(-lines // PARTS))
    parts, panels = max(1, -(-lines // lines_of_part)), -(-g.outputs // spec.columns)
    panel_block = panels
    while parts * -(-panels // panel_block) < 2 * threads and panel_block > 1:
        panel_block = -(-panel_block // 2)
    sums = Buffer(parts * panels * taps * spec.columns * spec.dtype.itemsize, "temp", "sums")
    words = [
        lines, lines_of_part, parts, panels, panel_block, *g.counts[1:], *g.sizes[1:],
        *g.stride[1:], *g.dilation[1:], *g.before[1:], g.x_strides[0], *g.x_strides[2:],
        g.y_strides[0], *g.y_strides[2:],
    ]  # fmt: skip
    launch = Launch(
        spec,
        [x, cotangent, Array(sums), Scratch(spec.columns * spec.dtype.itemsize), *words],
        items=parts * -(-panels // panel_block),
        grain=1,
        reads=(x.buffer, cotangent.buffer),
        writes=(sums,),
        flops=g.flops,
        n_bytes=touched(g) * spec.dtype.itemsize,
        label="depthwise_weight",
    )
    form = ConvWeightSpec(spec.dtype, taps, spec.vectors, spec.lanes, depthwise=True)
    return [launch, conv_weight.combine(form, g, sums, parts, y)]

"""Gradients of convolutions for their weights: sums over pixels in register tiles.

    y[o, c, k] = sum over n, q of x[n, q stride + k dilation, c] g[n, q, o]

A tile is `rows` pairs (k, c) times `vectors` vectors of output channels o: at each pixel it reads
`rows` numbers of x and the vectors of g. The sum runs over the pixels in order. Where there are too
few tiles for many threads it is split into parts of rows of pixels, by the shape alone; a second
launch adds the parts in order and turns (k, c, o) into (o, c, k).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..dtypes import DType
from ..machine import Target
from .conv import TILE_LIMIT, Geometry, Panels, by_channel, is_depthwise
from .launch import Array, Buffer, Launch, Scratch


@dataclass(frozen=True)
class ConvWeightSpec(Panels):
    """Tiles of `rows` (k, c) times `vectors` vectors of `lanes` output channels. With `onward` they
    go on from the sums that there are; with `depthwise` each output channel meets the input channel
    of its own number alone, so that rows are the k, and vectors of x are read."""

    dtype: DType
    rows: int
    vectors: int
    lanes: int
    onward: bool = False
    depthwise: bool = False


@dataclass(frozen=True)
class CombineSpec:
    """Adds the parts of all tiles and lays them out as weights are."""

    tiles: ConvWeightSpec


ENOUGH_TILES = 32
"""Parts of work from which a sum is not split."""

BLOCK_BYTES = 256 << 10
"""Bytes of x and g that all tiles of a work item pass over before they move on."""


def vectors_of_channels(count: int, lanes: int) -> int:
    """Vectors of a tile that reads channels as it writes them. More than one only where they all
    are whole, so that at most one vector is read past the end."""
    return 2 if count % (2 * lanes) == 0 else 1


def tile(dtype: DType, rows: int, outputs: int, target: Target) -> ConvWeightSpec:
    """The register tile that wastes the least on `rows` times `outputs` sums."""
    whole = max(1, target.vector_bytes // dtype.itemsize)
    choices = []
    widths = [whole, whole // 2] if target.cpu == "znver4" else [whole]
    for lanes in widths:
        for vectors in (2, 3, 4, 1, 5, 6, 7):
            most = min(TILE_LIMIT, (target.vector_registers - 1 - vectors) // vectors)
            if most < 1 or (vectors > 3 and target.vector_registers < 32):
                continue
            height = -(-rows // -(-rows // most))
            columns = vectors * lanes
            used = outputs / (-(-outputs // columns) * columns)
            used *= rows / (-(-rows // height) * height)
            multiplies = height * vectors * lanes / whole
            cost = max(multiplies, (height + vectors) / 2 + 1) / multiplies
            latency = min(1.0, height * vectors / 10)
            choices.append((round(used * latency / cost, 2), columns, -vectors, height, lanes))
    _, _, vectors, height, lanes = max(choices)
    return ConvWeightSpec(dtype, height, -vectors, lanes)


def schedule(
    g: Geometry, x: Array, cotangent: Array, y: Array, dtype: DType, target: Target, threads: int
) -> list[Launch]:
    """Launches of the gradient. `g` is the convolution's geometry, without padding, with strides of
    x and of the cotangent as its output; y is dense (O, C / groups, *K)."""
    rows = prod(g.kernel) * g.channels
    if not rows * g.outputs * g.groups:
        return []
    if is_depthwise(g):
        g = by_channel(g)
        spec = _depthwise_tile(dtype, rows, g.outputs, target)
    else:
        spec = tile(dtype, rows, g.outputs, target)
    tiles = g.groups * -(-g.outputs // spec.columns) * -(-rows // spec.rows)
    lines = g.batch * g.counts[0] * g.counts[1]
    parts = max(1, min(-(-ENOUGH_TILES // tiles), lines)) if tiles < ENOUGH_TILES else 1
    parts = max(1, -(-lines // max(1, -(-lines // parts))))
    sums = Buffer(parts * tiles * spec.rows * spec.columns * dtype.itemsize, "temp", "sums")
    apart = (g.channels, g.outputs)
    return [
        add_products(spec, g, x, cotangent, sums, parts, apart, threads),
        combine(spec, g, sums, parts, y),
    ]


def _depthwise_tile(dtype: DType, taps: int, channels: int, target: Target) -> ConvWeightSpec:
    lanes = max(1, target.vector_bytes // dtype.itemsize)
    vectors = vectors_of_channels(channels, lanes)
    most = max(1, min(TILE_LIMIT, (target.vector_registers - 2 - vectors) // vectors))
    height = -(-taps // -(-taps // most))
    return ConvWeightSpec(dtype, height, vectors, lanes, depthwise=True)


def add_products(
    spec: ConvWeightSpec,
    g: Geometry,
    x: Array,
    cotangent: Array,
    sums: Buffer,
    parts: int,
    apart: tuple[int, int],
    threads: int,
) -> Launch:
    """The launch that adds up the products of a geometry without padding, in so many parts.
    `apart` are the elements from one group to the next in x and in the cotangent."""
    rows = prod(g.kernel) * g.channels
    panels, row_tiles = -(-g.outputs // spec.columns), -(-rows // spec.rows)
    tiles = g.groups * panels * row_tiles
    lines = g.batch * g.counts[0] * g.counts[1]
    lines_of_part = max(1, -(-lines // parts))
    tile_block = max(1, -(-parts * tiles // (8 * threads)) if threads > 1 else tiles)
    tile_block = min(tile_block, tiles)
    tile_items = -(-tiles // tile_block)
    items = parts * tile_items
    # Of what an item passes over between two visits of a tile's sums: all groups where they lie
    # side by side, one of them where they lie apart.
    together = g.groups if apart == (g.channels, g.outputs) else 1
    line_bytes = g.counts[2] * (g.outputs + g.channels * g.stride[2]) * together
    line_bytes *= spec.dtype.itemsize
    line_block = max(1, min(lines_of_part, BLOCK_BYTES // max(line_bytes, 1)))
    table = row_tiles * spec.rows
    flops = 2 * g.batch * prod(g.counts) * rows * g.outputs * g.groups
    words = [
        table, rows, row_tiles, panels, tiles, tile_block, tile_items, lines, lines_of_part,
        line_block, tiles * spec.rows * spec.columns, *apart, g.outputs, g.channels, *g.counts,
        *g.kernel, *g.stride, *g.dilation, *g.x_strides, *g.y_strides,
    ]  # fmt: skip
    return Launch(
        spec,
        [x, cotangent, Array(sums), Scratch(8 * (table + 2 * line_block)), *words],
        items=items,
        grain=items if flops < 200_000 else max(1, items // (threads * 8)),
        reads=(x.buffer, cotangent.buffer, *((sums,) if spec.onward else ())),
        writes=(sums,),
        flops=flops,
        label="conv_weight",
    )


def combine(spec: ConvWeightSpec, g: Geometry, sums: Buffer, parts: int, y: Array) -> Launch:
    """The launch that adds the parts of sums and lays them out as weights are."""
    rows, panels = prod(g.kernel) * g.channels, -(-g.outputs // spec.columns)
    table = -(-rows // spec.rows) * spec.rows
    part_size = g.groups * panels * table * spec.columns
    return Launch(
        CombineSpec(spec),
        [
            Array(sums), y, parts, part_size, rows, table, panels, g.outputs, g.channels,
            prod(g.kernel),
        ],
        items=g.groups * panels,
        grain=1,
        reads=(sums,),
        writes=(y.buffer,),
        n_bytes=(parts * part_size + rows * g.outputs * g.groups) * spec.dtype.itemsize,
        label="combine",
    )  # fmt: skip

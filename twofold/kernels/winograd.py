"""Convolutions of 3 x 3 kernels with fewer multiplications, by Winograd's short algorithms.

F(m, 3) computes m x m outputs from a tile of n x n inputs, n = m + 2, by n^2 products a channel
where the definition takes 9 m^2: 4 times fewer for m = 4, 2.25 times fewer for m = 2.

    y = A' [(G w G') * (B' x B)] A        summed over channels between the brackets

x, y and the products lie at the values of polynomials at `POINTS`. Those of F(4, 3) are chosen for
small errors: against float64 about twice the direct kernel's, where the usual 0, 1, -1, 2, -2 have
six times. (S. Winograd, Arithmetic complexity of computations, 1980; A. Lavin and S. Gray,
Fast algorithms for convolutional neural networks, 2016.)

A work item takes a block of tiles: it transforms their inputs, then for each panel of output
channels multiplies, point by point, and transforms the products back. Blocks are large enough for
the transformed weights, which every item walks through, to be read seldom.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from .. import config, dtypes
from ..dtypes import DType
from ..machine import Target
from . import conv
from .conv import Geometry, Output, Panels, Weights
from .launch import Array, Buffer, Launch, Scratch
from .loops import LoopKernel


@dataclass(frozen=True)
class WinogradSpec(Panels):
    """Tiles of `m` x `m` outputs; products by register tiles of `rows` tiles times `vectors`
    vectors of `lanes` output channels. `finish` as for `conv.ConvSpec`."""

    dtype: DType
    m: int
    rows: int
    vectors: int
    lanes: int
    finish: LoopKernel | None = None

    @property
    def n(self) -> int:
        """Rows of a tile of inputs."""
        return self.m + 2

    @property
    def points(self) -> int:
        """Products of a tile and a channel."""
        return self.n * self.n


@dataclass(frozen=True)
class WinogradWeightsSpec:
    """Transforms packed weights (panel, kernel element, channel, lane) into (panel, point, channel,
    lane)."""

    tiles: WinogradSpec


POINTS = {2: (1.0,), 4: (0.625, 1.5)}
"""Each algorithm's points, besides 0 and infinity, up to their sign."""

PAD = 16
"""Elements between rows of transformed inputs, so that they do not all meet in one set of the first
cache."""

CHANNEL_BLOCK = 16
"""Channels whose weights one work item transforms."""


def choice(g: Geometry, dtype: DType, target: Target) -> WinogradSpec | None:
    """The algorithm that is estimated to be the fastest; None for the direct one."""
    if not config.current().winograd or not g.batch * prod(g.counts):
        return None
    # In multiplications of vectors, of which the direct kernel's come nearer to the limit.
    lanes = max(1, target.vector_bytes // dtype.itemsize)
    limit = 0.8 * 9 * g.batch * prod(g.counts) * g.channels * -(-g.outputs // lanes)
    found = [(cost, spec) for spec, cost in candidates(g, dtype, target) if cost < limit]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def candidates(g: Geometry, dtype: DType, target: Target) -> list[tuple[WinogradSpec, int]]:
    """The algorithms that can compute it, with what each is estimated to cost."""
    lanes = target.vector_bytes // dtype.itemsize
    if dtype is not dtypes.float32 or lanes < 4 or g.groups != 1:
        return []
    if (g.kernel, g.stride, g.dilation[1:]) != ((1, 3, 3), (1, 1, 1), (1, 1)):
        return []
    if g.counts[0] != 1 or g.sizes[0] != 1 or g.before[0]:
        return []
    if not g.channels or g.channels % lanes or g.outputs % lanes:
        return []
    vectors, rows = (4, 6) if target.vector_registers >= 32 else (2, 4)
    vectors, wide = min(vectors, g.outputs // lanes), g.outputs // lanes
    found = []
    for m in POINTS:
        spec = WinogradSpec(dtype, m, rows, vectors, lanes)
        tiles = count_tiles(g, m)
        products = tiles * g.channels * -(-g.outputs // spec.columns) * vectors
        turns = tiles * (7 * g.channels // lanes + 5 * wide)
        weights = 8 * g.channels * wide
        found.append((spec, spec.points * (products + turns + weights) + 18 * weights))
    return found


def count_tiles(g: Geometry, m: int) -> int:
    """Tiles of m x m outputs."""
    return g.batch * -(-g.counts[1] // m) * -(-g.counts[2] // m)


def _block(spec: WinogradSpec, g: Geometry, target: Target, threads: int) -> tuple[int, int, int]:
    """Tiles of a block, blocks, and panels that one item takes.

    A block's inputs and products fit into the second cache if the weights do so too for want of
    channels; else there are enough tiles for weights from memory to be worth their while.
    """
    tiles, panels = count_tiles(g, spec.m), -(-g.outputs // spec.columns)
    of_tile = spec.points * (g.channels + PAD + spec.columns) * spec.dtype.itemsize
    weights = spec.points * g.channels * g.outputs * spec.dtype.itemsize
    least = 24 if weights < target.l2_bytes else 48 if weights < 8 * target.l2_bytes else 72
    most = max(least, target.l2_bytes * 3 // 4 // of_tile)
    blocks = -(-tiles // most)
    if threads > 1 and tiles > most:
        blocks = -(-blocks // threads) * threads
    block = -(-tiles // (blocks * spec.rows)) * spec.rows
    blocks = -(-tiles // block)
    panel_block = panels
    while blocks * -(-panels // panel_block) < 2 * threads and threads > 1 and panel_block > 1:
        panel_block = -(-panel_block // 2)
    return block, blocks, panel_block


def schedule(
    spec: WinogradSpec, g: Geometry, x: Array, w: Weights, y: Output, target: Target, threads: int
) -> list[Launch]:
    """Launches: packing and transforming the weights, then the tiles."""
    itemsize = spec.dtype.itemsize
    pack = conv.pack_weights(g, w, spec.dtype, spec.vectors, spec.lanes, threads)
    (packed,) = pack.writes
    panels = -(-g.outputs // spec.columns)
    points, channels = spec.points, g.channels
    size = panels * points * channels * spec.columns
    weights = Buffer(size * itemsize, "temp", "winograd_weights")
    chunks = -(-channels // CHANNEL_BLOCK)
    turn = Launch(
        WinogradWeightsSpec(spec),
        [Array(packed), Array(weights), channels, chunks],
        items=panels * chunks,
        grain=max(1, panels * chunks // (4 * threads)),
        reads=(packed,),
        writes=(weights,),
        n_bytes=size // points * (points + 9) * itemsize,
        label="winograd weights",
    )
    block, blocks, panel_block = _block(spec, g, target, threads)
    row = channels + PAD
    panel_items = -(-panels // panel_block)
    products = points * block * spec.columns
    kernel, to, more, reads, writes = y.words(x)
    waste = spec.columns if kernel is None else spec.m * spec.m * spec.lanes
    scratch = Scratch((channels + waste + points * block * row + products) * itemsize)
    words = [
        channels, g.outputs, panels, row, count_tiles(g, spec.m), block, blocks, panel_block,
        -(-g.counts[1] // spec.m), -(-g.counts[2] // spec.m), *g.sizes[1:], *g.counts[1:],
        *g.before[1:], g.x_strides[0], *g.x_strides[2:], g.y_strides[0], *g.y_strides[2:],
    ]  # fmt: skip
    tiles = Launch(
        replace(spec, finish=kernel),
        [x, Array(weights), to, scratch, *words, *more],
        items=blocks * panel_items,
        grain=1,
        reads=(x.buffer, weights, *reads),
        writes=writes,
        flops=g.flops,
        n_bytes=conv.touched(g) * itemsize,
        label="conv",
    )
    return [pack, turn, tiles]

"""Gradients of 3 x 3 convolutions for their weights with fewer multiplications, by the transposes
of Winograd's algorithms.

F(m, 3) gives y = A' [(G w) (B' x)], which is linear in w; its transpose gives the gradient of w
from the cotangents g of the m outputs:

    w = G' [(A g) (B' x)]        in each direction, summed over tiles between the brackets

So a tile of m x m cotangents takes n^2 products a pair of channels, n = m + 2, where the definition
takes 9 m^2. Inputs and cotangents of many tiles are transformed into memory, point by point; then
for each point one product of matrices sums over the tiles, and at the end the sums are transformed
back. All tiles at once would take several times the memory of the images, so this is done for
chunks of them, which go on with the same sums. The chunks follow from the shape alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from .. import config, dtypes
from ..dtypes import DType
from ..machine import Target
from . import conv_weight
from .conv import Geometry
from .conv_weight import ConvWeightSpec
from .launch import Array, Buffer, Launch, Scratch
from .winograd import PAD, POINTS, WinogradSpec, count_tiles


@dataclass(frozen=True)
class WinogradTurnSpec:
    """Transforms tiles of images, one an item, into (point, tile, channel): `inputs` by B', or
    `values` of cotangents by A."""

    tiles: WinogradSpec
    transform: str

    @property
    def dtype(self) -> DType:
        return self.tiles.dtype


@dataclass(frozen=True)
class WinogradCombineSpec:
    """Transforms the sums of all points by G' into those of the kernel's elements."""

    tiles: WinogradSpec
    sums: ConvWeightSpec


CHUNK_BYTES = 16 << 20
"""Bytes of transformed inputs and cotangents of a chunk, about, unless the sums are larger."""

LINE = 32
"""Tiles that are passed over in one loop, at most."""


def choice(g: Geometry, dtype: DType, target: Target) -> WinogradSpec | None:
    """The algorithm that is estimated to be the fastest; None for the definition."""
    lanes = target.vector_bytes // dtype.itemsize
    if not config.current().winograd or dtype is not dtypes.float32 or lanes < 4 or g.groups != 1:
        return None
    if (g.kernel, g.stride, g.dilation[1:]) != ((1, 3, 3), (1, 1, 1), (1, 1)):
        return None
    if g.counts[0] != 1 or g.sizes[0] != 1 or g.before[0] or not g.batch * prod(g.counts):
        return None
    if not g.channels * g.outputs or g.channels % lanes or g.outputs % lanes:
        return None
    # In multiplications of vectors.
    wide = g.outputs // lanes
    found = [(9 * g.batch * prod(g.counts) * g.channels * wide, 0)]
    for m in POINTS:
        tiles, points = count_tiles(g, m), (m + 2) ** 2
        turns = 10 * tiles * (g.channels // lanes + wide)
        combined = 16 * g.channels * wide
        found.append((int(points * (1.1 * tiles * g.channels * wide + turns + combined)), m))
    _, m = min(found)
    return WinogradSpec(dtype, m, 0, 0, lanes) if m else None


def schedule(
    spec: WinogradSpec,
    g: Geometry,
    x: Array,
    cotangent: Array,
    y: Array,
    target: Target,
    threads: int,
) -> list[Launch]:
    """Launches: for each chunk the transforms and the products, then the transform of the sums."""
    dtype, itemsize, points = spec.dtype, spec.dtype.itemsize, spec.points
    form = conv_weight.tile(dtype, g.channels, g.outputs, target)
    panels = -(-g.outputs // form.columns)
    table = -(-g.channels // form.rows) * form.rows
    sums = Buffer(points * panels * table * form.columns * itemsize, "temp", "winograd_sums")
    tiles = count_tiles(g, spec.m)
    line = max(n for n in range(1, min(LINE, tiles) + 1) if tiles % n == 0)
    line_bytes = line * points * (g.channels + g.outputs) * itemsize
    lines = min(tiles // line, max(1, max(CHUNK_BYTES, sums.n_bytes) // line_bytes))
    chunk = lines * line
    planes = [chunk * g.channels + PAD, chunk * g.outputs + PAD]
    turned = [
        Buffer(points * plane * itemsize, "temp", name)
        for plane, name in zip(planes, ("winograd_inputs", "winograd_cotangents"))
    ]
    launches = []
    for first in range(0, tiles, chunk):
        count = min(chunk, tiles - first)
        launches += [
            _turn(spec, "inputs", g, x, Array(turned[0]), planes[0], first, count, threads),
            _turn(spec, "values", g, cotangent, Array(turned[1]), planes[1], first, count, threads),
        ]
        products = Geometry(
            batch=count // line,
            sizes=(1, 1, line),
            counts=(1, 1, line),
            kernel=(1, 1, 1),
            stride=(1, 1, 1),
            dilation=(1, 1, 1),
            before=(0, 0, 0),
            channels=g.channels,
            outputs=g.outputs,
            groups=points,
            x_strides=(line * g.channels, 0, 0, g.channels),
            y_strides=(line * g.outputs, 0, 0, g.outputs),
        )
        launch = conv_weight.add_products(
            replace(form, onward=first > 0), products, Array(turned[0]), Array(turned[1]), sums, 1,
            (planes[0], planes[1]), threads,
        )  # fmt: skip
        launch.flops = g.flops * count // tiles  # as much as by the definition
        launches.append(launch)
    taps = prod(g.kernel)
    back = Buffer(taps * panels * g.channels * form.columns * itemsize, "temp", "sums")
    launches.append(
        Launch(
            WinogradCombineSpec(spec, form),
            [Array(sums), Array(back), g.channels, table, panels],
            items=panels * g.channels,
            grain=max(1, panels * g.channels // (8 * threads)),
            reads=(sums,),
            writes=(back,),
            n_bytes=sums.n_bytes + back.n_bytes,
            label="winograd sums",
        )
    )
    dense = replace(form, rows=1)  # rows follow one another without a gap
    return [*launches, conv_weight.combine(dense, g, back, 1, y)]


def _turn(
    spec: WinogradSpec, transform: str, g: Geometry, source: Array, to: Array, plane: int,
    first: int, count: int, threads: int,
) -> Launch:  # fmt: skip
    """The launch that transforms tiles `first` to `first` + `count` of x or of the cotangents."""
    is_inputs = transform == "inputs"
    channels = g.channels if is_inputs else g.outputs
    sizes, strides = (g.sizes, g.x_strides) if is_inputs else (g.counts, g.y_strides)
    words = [
        channels, plane, first, -(-g.counts[1] // spec.m), -(-g.counts[2] // spec.m), *sizes[1:],
        *(g.before[1:] if is_inputs else (0, 0)), strides[0], *strides[2:],
    ]  # fmt: skip
    return Launch(
        WinogradTurnSpec(replace(spec, rows=0, vectors=0), transform),
        [source, to, Scratch(channels * spec.dtype.itemsize), *words],
        items=count,
        grain=max(1, count // (8 * threads)),
        reads=(source.buffer,),
        writes=(to.buffer,),
        n_bytes=count * channels * (spec.points + spec.m * spec.m) * spec.dtype.itemsize,
        label="winograd " + ("inputs" if is_inputs else "cotangents"),
    )

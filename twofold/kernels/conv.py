"""Direct convolutions: the loops over output pixels and channels, without a copy of the windows.

Everything is channels last with three spatial axes (missing ones have one element). A register tile
is `pixels` output pixels times `vectors` vectors of output channels; its sums run over the elements
of the kernel and over the channels, in that order, whatever the blocking and the threads. Elements
outside the input are read from a block of zeros, so padding needs no copy. Weights are packed into
panels of the tile's channels: group, panel, *kernel, channel, lane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd, prod

from ..dtypes import DType
from ..machine import Target
from .finish import Finish, finish_words
from .launch import Array, Buffer, Launch, Scratch
from .loops import LoopKernel

Three = tuple[int, int, int]


@dataclass(frozen=True)
class Geometry:
    """One direct convolution: y[n, q, o] = sum over k, c of x[n, q stride + k dilation - before, c]
    w[o, k, c] within each group. Strides of x and y are in elements, (batch, *axes); those of their
    channels are 1. `channels` and `outputs` count within a group.
    """

    batch: int
    sizes: Three  # of x
    counts: Three  # of y
    kernel: Three
    stride: Three
    dilation: Three
    before: Three
    channels: int
    outputs: int
    groups: int
    x_strides: tuple[int, int, int, int]
    y_strides: tuple[int, int, int, int]

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        pixels = self.batch * prod(self.counts)
        return 2 * pixels * self.outputs * self.groups * self.channels * prod(self.kernel)


class Panels:
    """What works on panels of `vectors` vectors of `lanes` channels."""

    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        """Channels of a panel."""
        return self.vectors * self.lanes


@dataclass(frozen=True)
class ConvSpec(Panels):
    """A convolution by register tiles of `pixels` times `vectors` vectors of `lanes` channels.

    `padded` says that the kernel may reach over the input's edges. `batch_first` makes neighbouring
    pixels of a tile those at one place of neighbouring images, so that what lies outside the input
    lies outside for all of them, and is passed over. With `finish` the sums stay in the thread's
    scratch: it reads them as operand 0, and writes all that is kept.
    """

    dtype: DType
    pixels: int
    vectors: int
    lanes: int
    padded: bool = True
    batch_first: bool = False
    finish: LoopKernel | None = None


@dataclass(frozen=True)
class WeightsSpec:
    """Packs weights of any strides into panels of `columns` output channels. `adjacent` says that
    output channels lie side by side."""

    dtype: DType
    columns: int
    adjacent: bool


@dataclass(frozen=True)
class TurnedWeightsSpec:
    """Packs weights whose kernel elements lie side by side, as they do in (O, C / groups, *K), by
    turning squares of `lanes` output channels and as many neighbouring elements."""

    dtype: DType
    columns: int
    lanes: int


TURN_BLOCK = 128
"""Neighbouring elements of a row of weights that one work item turns, at most."""

TILE_LIMIT = 14
"""Pixels of a register tile, at most: more bring nothing."""

WORTH_BATCH_FIRST = 0.9
"""Share of products within the input below which passing over the others pays for reading pixels
far apart."""

BLOCK_TILES = 16
"""Tiles of pixels that one work item takes, at most: their inputs stay in the second cache."""


def tile(dtype: DType, outputs: int, target: Target) -> ConvSpec:
    """The register tile that wastes the fewest lanes on `outputs` channels, large ones preferred.

    Half vectors are as good as whole ones only where a whole one takes two turns.
    """
    whole = max(1, target.vector_bytes // dtype.itemsize)
    choices = []
    widths = [whole, whole // 2] if target.cpu == "znver4" else [whole]
    for lanes in widths:
        for vectors in (2, 3, 4, 1, 5, 6, 7):
            pixels = min(TILE_LIMIT, (target.vector_registers - 1 - vectors) // vectors)
            if pixels < 1 or (vectors > 3 and target.vector_registers < 32):
                continue
            columns = vectors * lanes
            used = outputs / (-(-outputs // columns) * columns)
            # A step of the sum reads `pixels` numbers and `vectors` vectors, two reads at a time.
            multiplies = pixels * vectors * lanes / whole
            cost = max(multiplies, (pixels + vectors) / 2 + 1) / multiplies
            latency = min(1.0, pixels * vectors / 10)
            choices.append((round(used * latency / cost, 2), columns, -vectors, pixels, lanes))
    _, _, vectors, pixels, lanes = max(choices)
    return ConvSpec(dtype, pixels, -vectors, lanes)


@dataclass(frozen=True)
class Output:
    """Where a result of this shape (N, *S, O) lies, or what is done with it instead of keeping
    it."""

    at: Array
    shape: tuple[int, ...]
    finish: Finish | None = None

    def words(
        self, unused: Array
    ) -> tuple[LoopKernel | None, Array, list[Array | int], list[Buffer], tuple[Buffer, ...]]:
        """The map of the finish, the array to write to, the finish's words, and the buffers read
        and written; `unused` stands for an array that is not written."""
        if self.finish is None:
            return None, self.at, [], [], (self.at.buffer,)
        strides = (0,) * (len(self.shape) - 1) + (1,)
        kernel, words = finish_words(self.finish, (unused, strides), self.shape)
        reads, writes = self.finish.touched()
        return kernel, unused, words, reads, tuple(writes)

    def moved(self, elements: int, dtype: DType) -> Output:
        """The result from an element further on."""
        return replace(self, at=moved(self.at, elements, dtype))


@dataclass(frozen=True)
class Weights:
    """Where weights w[o, *k, c] lie: strides in elements of (group, output, *kernel, channel)."""

    at: Array
    strides: tuple[int, int, int, int, int, int]


def is_depthwise(g: Geometry) -> bool:
    """Whether each of several groups has one channel and one output."""
    return g.groups > 1 and g.channels == g.outputs == 1


def by_channel(g: Geometry) -> Geometry:
    """A depthwise convolution as one group, whose channels are its outputs (`channels` is 1: each
    sums over one)."""
    return replace(g, groups=1, outputs=g.groups)


def pack_weights(
    g: Geometry, w: Weights, dtype: DType, vectors: int, lanes: int, threads: int
) -> Launch:
    """The launch that packs weights into panels of so many vectors."""
    columns = vectors * lanes
    panels = -(-g.outputs // columns)
    length = prod(g.kernel) * g.channels
    turned = _turned(g, w)
    items = g.groups * panels * prod(g.kernel)
    packed = Buffer(
        max(1, g.groups * panels * length * columns) * dtype.itemsize, "temp", "weights"
    )
    by_group, by_output, *rest = w.strides
    kind: TurnedWeightsSpec | WeightsSpec
    if turned is not None and lanes > 1:
        away, row, taps, by_row, first, step, apart = turned
        at = moved(w.at, away, dtype)
        blocks = -(-row // TURN_BLOCK)
        chunks = blocks * (length // row)
        items = g.groups * panels * chunks
        kind = TurnedWeightsSpec(dtype, columns, lanes)
        words = [
            g.outputs, panels, by_group, by_output, row, taps, blocks, chunks, by_row, length,
            first, step, apart,
        ]  # fmt: skip
    else:
        at, kind = w.at, WeightsSpec(dtype, columns, by_output == 1)
        words = [g.outputs, panels, *g.kernel, g.channels, by_group, by_output, *rest]
    return Launch(
        kind,
        [at, Array(packed), *words],
        items=items,
        grain=max(1, items // (4 * threads)),
        reads=(w.at.buffer,),
        writes=(packed,),
        n_bytes=2 * g.groups * g.outputs * length * dtype.itemsize,
        label="pack",
    )


def _turned(g: Geometry, w: Weights) -> tuple[int, ...] | None:
    """Where weights lie in rows that can be turned: (elements from w to the first, elements of a
    row, its kernel elements, stride of rows, packed place of a row's first kernel element, step of
    places from one to the next, and from row to row); None where they do not.

    In (O, C, *K) a row holds all channels of an output, or, for the input's gradient, whose
    channels are the outputs and whose kernel runs backwards, the kernel of one channel. In (O, *K,
    C) it holds the channels of one kernel element.
    """
    _, by_output, *by_tap, by_channel = w.strides
    taps, unit = prod(g.kernel), g.channels if by_channel == 1 else 1
    step, directions = unit, set()
    for n, stride in zip(reversed(g.kernel), reversed(by_tap)):
        if n > 1:
            if abs(stride) != step:
                return None
            directions.add(stride > 0)
        step *= n
    ahead = directions <= {True}
    if by_channel == taps and ahead and by_output >= taps * g.channels:
        return 0, taps * g.channels, taps, 0, 0, g.channels, 0
    if by_channel == 1 and ahead and by_output >= taps * g.channels:
        return 0, g.channels, 1, g.channels, 0, 0, g.channels
    if by_output == taps and taps > 1 and unit == 1 and directions == {False}:
        return 1 - taps, taps, taps, by_channel, (taps - 1) * g.channels, -g.channels, 1
    return None


def schedule(
    g: Geometry,
    x: Array,
    w: Weights,
    y: Output,
    dtype: DType,
    target: Target,
    threads: int,
) -> list[Launch]:
    """Launches of a direct convolution: packing the weights, then the tiles."""
    if not g.batch * prod(g.counts) * g.outputs:
        return []
    spec, n_bytes = tile(dtype, g.outputs, target), touched(g) * dtype.itemsize
    inside = _inside(g)
    spec = replace(
        spec,
        padded=inside < 1,
        batch_first=inside < WORTH_BATCH_FIRST and g.batch >= spec.pixels // 2,
    )
    if prod(g.kernel) * g.channels:
        launches = [pack_weights(g, w, dtype, spec.vectors, spec.lanes, threads)]
        (packed,) = launches[0].writes
    else:
        launches, packed = [], x.buffer
    pixels = g.batch * prod(g.counts)
    panels = -(-g.outputs // spec.columns)
    block, panel_block = _blocks(pixels, panels, g.groups, spec.pixels, threads)
    pixel_items, panel_items = -(-pixels // block), -(-panels // panel_block)
    items = g.groups * panel_items * pixel_items
    zeros = g.kernel[2] * g.channels
    merges = int(g.dilation[2] == 1 and g.x_strides[3] == g.channels)
    item_bytes = dtype.itemsize
    zero_bytes = -(-zeros * item_bytes // 64) * 64
    rows = block + 64
    kernel, to, more, reads, writes = y.words(x)
    spec = replace(spec, finish=kernel)
    sums = spec.pixels * spec.columns * dtype.compute.itemsize
    scratch = Scratch(zero_bytes + rows * (3 * 4 + 2 * 8) + (4 * 8 * rows + sums) * bool(kernel))
    words = [
        zeros, zero_bytes, rows, pixels, block, pixel_items, g.outputs, panels, panel_block,
        panel_items, g.channels, merges, g.batch, *g.counts, *g.sizes, *g.kernel, *g.stride,
        *g.dilation, *g.before, *g.x_strides, *g.y_strides,
    ]  # fmt: skip
    launches.append(
        Launch(
            spec,
            [x, Array(packed), to, scratch, *words, *more],
            items=items,
            grain=items if g.flops < 200_000 else max(1, items // (threads * 8)),
            reads=(x.buffer, packed, *reads),
            writes=writes,
            flops=g.flops,
            n_bytes=n_bytes,
            label="conv",
        )
    )
    return launches


def _inside(g: Geometry) -> float:
    """The share of the products whose element of x lies within the input."""
    share = 1.0
    for size, count, kernel, s, d, before in zip(
        g.sizes, g.counts, g.kernel, g.stride, g.dilation, g.before
    ):
        places = [q * s + k * d - before for k in range(kernel) for q in (0, count - 1)]
        if not places or (min(places) >= 0 and max(places) < size):
            continue
        here = sum(0 <= q * s + k * d - before < size for k in range(kernel) for q in range(count))
        share *= here / (kernel * count)
    return share


def touched(g: Geometry) -> int:
    """Elements of x, w and y."""
    inputs = g.batch * prod(g.sizes) * g.channels * g.groups
    outputs = g.batch * prod(g.counts) * g.outputs * g.groups
    return inputs + outputs + g.groups * g.outputs * prod(g.kernel) * g.channels


def _blocks(pixels: int, panels: int, groups: int, rows: int, threads: int) -> tuple[int, int]:
    """Pixels and panels of one work item: few enough for the threads to share them evenly."""
    block = min(-(-pixels // rows), BLOCK_TILES) * rows
    panel_block = panels
    wanted = 8 * threads if threads > 1 else 1
    while groups * -(-pixels // block) * -(-panels // panel_block) < wanted:
        if panel_block > 1:
            panel_block = -(-panel_block // 2)
        elif block > rows:
            block = -(-block // (2 * rows)) * rows
        else:
            break
    return block, panel_block


@dataclass(frozen=True)
class Residue:
    """Along one axis, the outputs of a transposed convolution that are `offset` past a multiple of
    the stride: there are `count`, of which the first is `offset`; kernel elements `first`,
    `first` - `step`, ... (`taps` of them, none if 0) meet the cotangent at q + k dilation - before.
    """

    offset: int
    count: int
    first: int
    step: int
    taps: int
    dilation: int
    before: int


def residues(size: int, kernel: int, stride: int, dilation: int, before: int) -> list[Residue]:
    """How y[t] = sum of g[s] w[k] over t = s stride + k dilation - before splits by t's residue.

    For each residue the kernel elements k that reach it are an arithmetic sequence, and s grows as
    k falls: an ordinary convolution with the kernel turned round.
    """
    found = []
    common = gcd(stride, dilation)
    step = stride // common
    for offset in range(min(stride, size)):
        count = -(-(size - offset) // stride)
        reached = [
            k for k in range(min(step, kernel)) if (offset + before - k * dilation) % stride == 0
        ]
        if not reached:
            found.append(Residue(offset, count, 0, 1, 0, 1, 0))
            continue
        least = reached[0]
        taps = (kernel - 1 - least) // step + 1
        first = least + (taps - 1) * step
        start = (offset + before - first * dilation) // stride
        found.append(Residue(offset, count, first, step, taps, dilation // common, -start))
    return found


def moved(at: Array, elements: int, dtype: DType) -> Array:
    """The array that begins `elements` further on."""
    return Array(at.buffer, at.offset + elements * dtype.itemsize)

"""Attention: blocks of queries against blocks of keys, whose weights never leave the caches.

Scores lie with their queries along the vector lanes, a row for each key: what softmax does is then
done lane by lane, and each product reads its operands as they lie; only q (and the gradient of y)
is turned, once for each block of queries.

    forward, an item for each block of queries:    for each block of keys, for each panel of
        queries:  S = K Q^T;  rescale what there is by the new maximum;  P = e^(S - maximum);
        Y += P^T V
    backward, an item for each head of k and v:    for each head of q and block of queries, for each
        block of keys:  P = e^(K Q^T - sums);  dS = P (V dY^T - rows);  dV += P dY;  dK += dS Q;
        dQ += dS^T K

Keys that a causal block of queries does not see are not visited. The order of all sums follows from
the shapes alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ..dtypes import DType
from ..machine import Target
from ..ops.attention import threshold
from .affine import contiguous
from .launch import Array, Launch, Scratch
from .matmul import SMALL_FLOPS, Tile, tile

PANELS = 4
"""Panels of queries, each as wide as a register tile, in a block."""

FORWARD_KEYS, BACKWARD_KEYS = 192, 96
"""Keys in a block: multiples of a tile's rows. A panel of scores stays in the first cache, a block
in the second."""

Input = tuple[Array, Sequence[int]]


@dataclass(frozen=True)
class AttentionSpec:
    """The kernel of attention, or of its gradients. `mask` is the dtype of what is added to scores
    (bool: which keys are seen), or None. `drops` says that weights are dropped at random, `starts`
    that query i sees the keys up to a number that is read plus i, `single` that each head has one
    query (and nothing else is asked for)."""

    dtype: DType
    mask: DType | None
    backward: bool
    drops: bool
    starts: bool = False
    single: bool = False


def is_readable(shape: Sequence[int], strides: Sequence[int], is_mask: bool) -> bool:
    """Whether the kernels read an input in place: the last axis is dense, and the rows that a tile
    reads side by side do not all fall into the same lines of the first cache."""
    if not shape:
        return True
    if len(shape) == 3:
        return all(n == 1 or m == k for n, m, k in zip(shape, strides, contiguous(shape)))
    dense = shape[-1] == 1 or strides[-1] == 1
    return dense and (is_mask or shape[-2] == 1 or strides[-2] % 1024 != 0)


def panel_rows(shape: Tile, target: Target) -> int:
    """Queries of one register tile of Y: a divisor of a panel's."""
    return min(shape.columns, 8 if target.vector_registers >= 32 else 4)


def schedule(
    dtype: DType,
    shapes: Sequence[Sequence[int]],
    attrs: tuple[float, bool, float],
    inputs: Sequence[Input],
    mask: tuple[Input, Sequence[int], DType] | None,
    stream: Sequence[Array],
    start: Array | None,
    out: Array,
    target: Target,
) -> list[Launch]:
    """The launch of attention (three `inputs`), or of its gradients (six). `shapes` are those of q,
    k and v. With `start`, query i sees the keys up to this number plus i."""
    (b, h, length, e), (_, g, s, _), (*_, v) = shapes
    scale, causal, drop = attrs
    backward = len(inputs) > 3
    wide = tile(dtype, target)
    lanes = wide.columns // 2
    block = PANELS * wide.columns
    blocks = -(-length // block)
    e_wide, v_wide = (-(-n // lanes) * lanes for n in (e, v))
    keys_wide = -(-s // wide.rows) * wide.rows
    single = length == 1 and not backward and mask is None and not stream
    items = b * g if backward else b * h * blocks
    scratch = block * e_wide + 2 * block
    if single:
        scratch = -(-s // lanes) * lanes
    elif backward:
        scratch += (
            block * (v_wide + e_wide) + 2 * BACKWARD_KEYS * block + keys_wide * (e_wide + v_wide)
        )
    else:
        scratch += block * v_wide + FORWARD_KEYS * wide.columns
    size = dtype.itemsize
    if backward:
        sizes = (b * length * h * e, b * s * g * e)
        results = [out, _moved(out, sizes[0] * size), _moved(out, sum(sizes) * size)]
    else:
        results = [out, _moved(out, b * length * h * v * size)]
    mask_args: list = []
    reads = [x.buffer for x, _ in inputs]
    if mask is not None:
        (at, strides), extents, _ = mask
        mask_args = [at, *(0 if n == 1 else m for m, n in zip(strides, extents))]
        reads.append(at.buffer)
    if start is not None:
        mask_args.append(start)
        reads.append(start.buffer)
    stream_args: list = []
    if stream:
        stream_args = [*stream, -(-s // 4), threshold(drop), _bits(1 / (1 - drop))]
        reads += [x.buffer for x in stream]
    args: list = [*(x for x, _ in inputs), *results, Scratch((scratch + lanes) * size)]
    args += [length, s, e, v, h, h // g, blocks, e_wide, v_wide, keys_wide]
    args += [1 if causal else max(s, 1), _bits(scale)]
    for _, strides in inputs[: 4 if backward else 3]:
        args += strides[:3]
    pairs = b * h * length * s // (2 if causal else 1)
    flops = 2 * pairs * (3 * e + 2 * v if backward else e + v)
    n_bytes = (prod(shapes[0]) + prod(shapes[1]) + prod(shapes[2])) * size * (1 + backward)
    return [
        Launch(
            AttentionSpec(
                dtype, mask[2] if mask else None, backward, bool(stream), start is not None, single
            ),
            [*args, *mask_args, *stream_args],
            items=items,
            grain=items if flops < SMALL_FLOPS else 1,
            reads=tuple(reads),
            writes=(out.buffer,),
            flops=flops,
            n_bytes=n_bytes,
        )
    ]


def _bits(value: float) -> int:
    """A float64 as a word."""
    (found,) = struct.unpack("<q", struct.pack("<d", value))
    return found


def _moved(x: Array, n_bytes: int) -> Array:
    return Array(x.buffer, x.offset + n_bytes)

"""Products with a matrix of weights that lies in strips of 32 columns, perhaps in few bits.

A weight W (N, K) of a layer is held for y = x W^T as codes (S, K, 32), S = N / 32 rounded up: what
one step of the inner sum needs of a strip lies side by side, and all is read once, from front to
end. Codes are float32; int8 or uint8; or half bytes, (S, K / 2, 32) of uint8, the even step in the
low half. Whole numbers have a scale, and perhaps a least value, for each block of steps of a
column, (S, K / block, 32): w = scale code + least; half bytes without least values stand for code -
8.

Each output is the sum over blocks of scale (even + odd), with the sums over a block's even and odd
steps in order, plus the sum over blocks of least times the sum of x; floats are one block.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import dtypes
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import contract, index
from . import elementwise as ew
from . import movement as mv
from .base import Op, register

WIDE = 32
"""Columns of a strip."""

HALF_BYTE_ZERO = 8
"""The code of 0 where half bytes have no least values."""


class BlockProduct(Op):
    """y (M, n) = x (M, K) W^T, W given as codes, scales and least values as the module says;
    float32."""

    name = "block_product"
    kind = "block_product"
    params = ("n",)

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        x, codes, *more = types
        (n,) = attrs
        if x.dtype is not dtypes.float32 or len(x.shape) != 2:
            raise RuntimeError(f"[block_product] takes a float32 matrix; got {x}")
        if len(codes.shape) != 3 or codes.shape[::2] != (-(-n // WIDE), WIDE):
            raise RuntimeError(
                f"[block_product] codes of {n} columns are ({-(-n // WIDE)}, K, {WIDE}); "
                f"got {codes.shape}"
            )
        k, held = x.shape[1], codes.shape[1]
        is_float = codes.dtype is dtypes.float32
        if held != k and (codes.dtype is not dtypes.uint8 or 2 * held != k):
            raise RuntimeError(f"[block_product] x has {k} columns; the codes have {held} steps")
        if not is_float and codes.dtype not in (dtypes.int8, dtypes.uint8):
            raise RuntimeError(f"[block_product] codes are float32, int8 or uint8; got {codes}")
        if len(more) not in ((0,) if is_float else (1, 2)):
            raise RuntimeError("[block_product] whole numbers have scales, floats have none")
        for part in more:
            strips, blocks = part.shape[0], part.shape[1] if len(part.shape) == 3 else 0
            if (strips, part.shape[-1]) != codes.shape[::2] or not blocks or k % (2 * blocks):
                raise RuntimeError(
                    "[block_product] scales are (S, K / block, 32) with an even block; "
                    f"got {part.shape}"
                )
            if part.dtype not in (dtypes.float32, dtypes.float16) or part != more[0]:
                raise RuntimeError(
                    "[block_product] scales and least values are alike, float32 or float16; "
                    f"got {more}"
                )
        return x.with_shape((x.shape[0], n))

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        """That of x; whole numbers and their scales are constants, and so are float codes."""
        x, *weights = node.inputs
        (n,) = node.attrs
        strips = unpacked(weights, x.shape[1])
        rows = mv.reshape(mv.permute(strips, (0, 2, 1)), (strips.shape[0] * WIDE, x.shape[1]))
        w = mv.slice_(rows, ((0, n, 1), (0, x.shape[1], 1)))
        return (contract.matmul(g, w), *(None for _ in weights))

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        """All rows at once, where the weights are shared."""
        if any(batched[1:]):
            return mv.one_by_one(self, inputs, batched, attrs, size)
        x = inputs[0]
        rows = mv.reshape(x, (size * x.shape[1], x.shape[2]))
        return mv.reshape(make_node(self, (rows, *inputs[1:]), attrs), (*x.shape[:2], attrs[0]))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        x, codes, *more = arrays
        k = x.shape[1]
        w = codes.astype(np.float64)
        if codes.shape[1] != k:
            halves = np.stack([codes & 15, codes >> 4], 2).reshape(len(codes), k, WIDE)
            w = halves.astype(np.float64) - (HALF_BYTE_ZERO if len(more) == 1 else 0)
        if more:
            block = k // more[0].shape[1]
            scales, *least = (np.repeat(m.astype(np.float64), block, 1) for m in more)
            w = w * scales + (least[0] if least else 0)
        w = w.transpose(0, 2, 1).reshape(-1, k)[: attrs[0]]
        return (x.astype(np.float64) @ w.T).astype(np.float32)


def unpacked(weights: Sequence[Node], k: int) -> Node:
    """The weights that codes (S, ..., L), scales and least values stand for, as float32 (S, k, L);
    L may be any number of columns."""
    codes, *more = weights
    strips, held, wide = codes.shape
    w = ew.cast(codes, dtypes.float32)
    if held != k:
        sixteenth = ew.const_like(w, 1 / 16)
        high = ew.floor(ew.mul(w, sixteenth))
        low = ew.sub(w, ew.mul(high, ew.const_like(high, 16)))
        halves = [mv.reshape(h, (strips, held, 1, wide)) for h in (low, high)]
        w = mv.reshape(mv.concatenate(halves, 2), (strips, k, wide))
        if len(more) == 1:
            w = ew.sub(w, ew.const_like(w, HALF_BYTE_ZERO))
    if not more:
        return w
    blocks = more[0].shape[1]
    shape = (strips, blocks, k // blocks, wide)
    scales, *least = (
        mv.expand(mv.reshape(ew.cast(m, dtypes.float32), (strips, blocks, 1, wide)), shape)
        for m in more
    )
    w = ew.mul(mv.reshape(w, shape), scales)
    return mv.reshape(ew.add(w, least[0]) if least else w, (strips, k, wide))


def rows(weights: Sequence[Node], numbers: Node, k: int) -> Node:
    """Rows of W by their numbers (T), as (T, k)."""
    wide = ew.const_like(numbers, WIDE)
    strip = ew.floordiv(numbers, wide)
    column = ew.sub(numbers, ew.mul(strip, wide))
    chosen = []
    for part in weights:
        turned = mv.permute(part, (0, 2, 1))
        found = index.gather(turned, (strip, column))
        chosen.append(mv.reshape(found, (*found.shape, 1)))
    found = unpacked(chosen, k)
    return mv.reshape(found, found.shape[:2])


BLOCK_PRODUCT = register(BlockProduct())

"""Linear layers and embeddings for inference whose weights lie in strips, perhaps in 8 or 4 bits.

Weights of few bits come in blocks of 32 along a row: w = scale code + least, so that no weight is
off by more than half a step, (largest - least) / 15 / 2 of its block with 4 bits and / 255 / 2 with
8, and what float16 costs where scales and least values have it: at most 2^-9 of the block's largest
magnitude. They stay packed: the kernel of the product unpacks them on the way to the sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...creation import from_numpy
from ...functions.blocks import block_linear, block_rows
from ...ops.blocks import HALF_BYTE_ZERO, WIDE
from ...tensor import Tensor
from ..parameter import Parameter
from .linear import Linear
from .module import Module

BLOCK = 32


def in_blocks(weight: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(codes, scales, least values) of a matrix (N, K): (N, blocks, 32) and (N, blocks) twice. The
    latter are float16 unless they are too large or too small for it; codes fit what is stored."""
    n, k = weight.shape
    parts = weight.reshape(n, k // BLOCK, BLOCK).astype(np.float32)
    least, largest, top = parts.min(-1), parts.max(-1), (1 << bits) - 1
    low = _half(least)
    exact = (largest - low) / top
    scales = _half(exact)
    with np.errstate(invalid="ignore"):
        off = np.abs(low - least) + np.abs(scales - exact) * top
    if not (off <= 2.0**-9 * np.abs(parts).max(-1)).all():
        low, scales = least, (largest - least) / top
    safe = np.where(scales == 0, 1, scales).astype(np.float32)
    codes = np.rint((parts - low[..., None]) / safe[..., None])
    return codes.clip(0, top).astype(np.uint8), scales, low


def _half(x: np.ndarray) -> np.ndarray:
    """As float16, infinite where it is too large for that."""
    with np.errstate(over="ignore"):
        return x.astype(np.float16)


def _strips(x: np.ndarray) -> np.ndarray:
    """(N, K) as (S, K, 32)."""
    n, k = x.shape
    strips = -(-n // WIDE)
    wide = np.zeros((strips * WIDE, k), x.dtype)
    wide[:n] = x
    return np.ascontiguousarray(wide.reshape(strips, WIDE, k).transpose(0, 2, 1))


class _Packed(Module):
    """A matrix (n, k) in strips: as `codes`, and `scales` and `least` where there are any."""

    codes: Tensor
    scales: Tensor | None
    least: Tensor | None

    def __init__(self, n: int, k: int, parts: list[np.ndarray]) -> None:
        super().__init__()
        self.n, self.k = n, k
        for name, part in zip(("codes", "scales", "least"), [*parts, None, None, None]):
            self.register_buffer(name, None if part is None else from_numpy(part))

    @classmethod
    def from_array(cls, weight: np.ndarray, bits: int = 32) -> Any:
        """Of a float32 matrix (n, k), whose rows are whole blocks of 32 for 8 and 4 bits."""
        n, k = weight.shape
        if bits == 32:
            return cls(n, k, [_strips(weight.astype(np.float32, copy=False))])
        if bits not in (8, 4) or k % BLOCK:
            raise ValueError(
                "[packed] weights have 32 bits, or 8 or 4 in rows of whole blocks of 32; got "
                f"{bits} bits and rows of {k}"
            )
        return cls.from_blocks(bits, *in_blocks(weight, bits))

    @classmethod
    def from_blocks(
        cls, bits: int, codes: np.ndarray, scales: np.ndarray, least: np.ndarray | None
    ) -> Any:
        """Of codes (n, blocks, block) of 8 or 4 bits, and what they are multiplied with and added
        to, (n, blocks); without the latter codes have signs."""
        n, k = codes.shape[0], codes.shape[1] * codes.shape[2]
        rows = codes.reshape(n, k)
        if bits == 4:
            rows = (rows if least is not None else rows + HALF_BYTE_ZERO).astype(np.uint8)
            strips = _strips(rows)
            held = strips[:, 0::2] | strips[:, 1::2] << 4
        else:
            held = _strips(rows)
        factors = [x for x in (scales, least) if x is not None]
        halves = [_half(x) for x in factors]
        if all(np.array_equal(h.astype(np.float32), x) for h, x in zip(halves, factors)):
            factors = halves
        return cls(n, k, [held, *map(_strips, factors)])

    @classmethod
    def sharing(cls, other: _Packed) -> Any:
        """Of another's weights."""
        made = cls(other.n, other.k, [])
        for name in ("codes", "scales", "least"):
            made.register_buffer(name, getattr(other, name))
        return made

    @property
    def parts(self) -> list[Tensor]:
        """What the weights are made of."""
        return [x for x in (self.codes, self.scales, self.least) if x is not None]

    def extra_repr(self) -> str:
        """Sizes, and bits of a weight."""
        if self.scales is None:
            bits = 32
        else:
            bits = 8 if self.codes.size(1) == self.k else 4
        return f"{self.n}, {self.k}, bits={bits}"


class PackedEmbedding(_Packed):
    """Rows of a packed matrix by their numbers: (...) to (..., k)."""

    def forward(self, input: Tensor) -> Tensor:
        """The rows."""
        return block_rows(input, self.parts, self.n, self.k)


class PackedLinear(_Packed):
    """x W^T + b for inference: (..., k) to (..., n). Gradients flow to x alone.

    >>> import twofold as tf
    >>> layer = tf.nn.Linear(64, 3)
    >>> packed = PackedLinear.from_linear(layer, bits=4)
    >>> x = tf.ones(2, 64)
    >>> packed, bool((packed(x) - layer(x)).abs().max() < 0.3)
    (PackedLinear(3, 64, bits=4), True)
    """

    bias: Parameter | None

    def __init__(self, n: int, k: int, parts: list[np.ndarray]) -> None:
        super().__init__(n, k, parts)
        self.register_parameter("bias", None)

    @classmethod
    def from_linear(cls, layer: Linear, bits: int = 32) -> PackedLinear:
        """Of a layer, whose bias is shared. ValueError for other bits than 32, 8 and 4."""
        packed = cls.from_array(layer.weight.detach().numpy(), bits)
        packed.bias = layer.bias
        return packed

    def forward(self, input: Tensor) -> Tensor:
        """The product."""
        y = block_linear(input, self.parts, self.n)
        return y if self.bias is None else y + self.bias

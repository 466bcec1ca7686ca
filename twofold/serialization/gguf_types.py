"""The types of elements of GGUF files: how blocks of whole numbers stand for floats.

Each row is cut into blocks of 32 (or super-blocks of 256, themselves of 8 or 16 parts); a block
holds a scale, perhaps a least value, and a few bits for each element: x = scale code + least. Bits
lie as in ggml's `ggml-quants.c`, which is the only description that there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BLOCK, SUPER = 32, 256

TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 24: ("I8", 1, 1), 25: ("I16", 1, 2),
    26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 30: ("BF16", 1, 2),
}  # fmt: skip
"""Each type's number, name, elements of a block, and bytes of a block."""

_PLAIN = {"F32": "<f4", "F16": "<f2", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
          "F64": "<f8"}  # fmt: skip


@dataclass(frozen=True)
class Quantized:
    """x = scales codes + least, block by block: codes (..., blocks, n) of `bits` bits, from 0 on
    where there are least values, else with signs; scales and least (..., blocks)."""

    bits: int
    codes: np.ndarray
    scales: np.ndarray
    least: np.ndarray | None

    def shaped(self, rows: int) -> Quantized:
        """The same as a matrix of rows of blocks."""
        n = self.codes.shape[-1]
        least = None if self.least is None else self.least.reshape(rows, -1)
        codes = self.codes.reshape(rows, self.codes.size // max(rows, 1) // n, n)
        return Quantized(self.bits, codes, self.scales.reshape(rows, -1), least)

    def array(self) -> np.ndarray:
        """The elements as float32."""
        x = self.codes.astype(np.float32) * self.scales[..., None]
        return x if self.least is None else x + self.least[..., None]


def dequantized(raw: np.ndarray, kind: str) -> np.ndarray:
    """The elements of blocks (bytes), one after the other; floats of 16 bits become float32."""
    if kind in QUANTIZED:
        return QUANTIZED[kind](raw).array().reshape(-1)
    if kind == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    plain = raw.view(_PLAIN[kind])
    return plain.astype(np.float32 if kind == "F16" else plain.dtype.newbyteorder("="))


def _half(x: np.ndarray) -> np.ndarray:
    """Two bytes of each block as float32 (blocks)."""
    return np.ascontiguousarray(x).view("<f2").astype(np.float32)[..., 0]


def _nibbles(x: np.ndarray) -> np.ndarray:
    """The low halves of n bytes, then their high halves: (..., n) to (..., 2 n)."""
    return np.concatenate([x & 15, x >> 4], -1)


def _bits(x: np.ndarray) -> np.ndarray:
    """The bits of bytes, the lowest first: (..., n) to (..., 8 n)."""
    return np.unpackbits(x, -1, bitorder="little")


def _q4_0(raw: np.ndarray) -> Quantized:
    b = raw.reshape(-1, 18)
    return Quantized(4, _nibbles(b[:, 2:]).astype(np.int8) - 8, _half(b[:, :2]), None)


def _q4_1(raw: np.ndarray) -> Quantized:
    b = raw.reshape(-1, 20)
    return Quantized(4, _nibbles(b[:, 4:]), _half(b[:, :2]), _half(b[:, 2:4]))


def _q5_0(raw: np.ndarray) -> Quantized:
    b = raw.reshape(-1, 22)
    codes = _nibbles(b[:, 6:]) | _bits(b[:, 2:6]) << 4
    return Quantized(8, codes.astype(np.int8) - 16, _half(b[:, :2]), None)


def _q5_1(raw: np.ndarray) -> Quantized:
    b = raw.reshape(-1, 24)
    codes = _nibbles(b[:, 8:]) | _bits(b[:, 4:8]) << 4
    return Quantized(8, codes, _half(b[:, :2]), _half(b[:, 2:4]))


def _q8_0(raw: np.ndarray) -> Quantized:
    b = raw.reshape(-1, 34)
    return Quantized(8, b[:, 2:].view(np.int8), _half(b[:, :2]), None)


def _six_bits(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eight scales and eight least values of 6 bits each, of 12 bytes."""
    low, mid, high = b[:, :4], b[:, 4:8], b[:, 8:12]
    scales = np.concatenate([low & 63, (high & 15) | (low >> 6) << 4], 1)
    least = np.concatenate([mid & 63, (high >> 4) | (mid >> 6) << 4], 1)
    return scales.astype(np.float32), least.astype(np.float32)


def _k(b: np.ndarray, bits: int, codes: np.ndarray) -> Quantized:
    """Super-blocks whose eight parts have scales and least values of 6 bits."""
    scales, least = _six_bits(b[:, 4:16])
    scales *= _half(b[:, :2])[:, None]
    least *= -_half(b[:, 2:4])[:, None]
    return Quantized(bits, codes.reshape(-1, BLOCK), scales.reshape(-1), least.reshape(-1))


def _q4_k(raw: np.ndarray) -> Quantized:
    b = raw.reshape(-1, 144)
    return _k(b, 4, _nibbles(b[:, 16:].reshape(-1, 4, 32)))


def _q5_k(raw: np.ndarray) -> Quantized:
    b = raw.reshape(-1, 176)
    high = _bits(b[:, 16:48, None]).transpose(0, 2, 1)  # bit i belongs to part i
    return _k(b, 8, _nibbles(b[:, 48:].reshape(-1, 4, 32)).reshape(-1, 8, 32) | high << 4)


def _q6_k(raw: np.ndarray) -> Quantized:
    b = raw.reshape(-1, 210)
    low = _nibbles(b[:, :128].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    pairs = b[:, 128:192].reshape(-1, 2, 1, 32) >> np.arange(0, 8, 2, dtype=np.uint8)[:, None] & 3
    codes = (low | pairs << 4).astype(np.int8) - 32
    scales = b[:, 192:208].view(np.int8).astype(np.float32) * _half(b[:, 208:])[:, None]
    return Quantized(8, codes.reshape(-1, 16), scales.reshape(-1), None)


QUANTIZED: dict[str, Callable[[np.ndarray], Quantized]] = {
    "Q4_0": _q4_0, "Q4_1": _q4_1, "Q5_0": _q5_0, "Q5_1": _q5_1, "Q8_0": _q8_0, "Q4_K": _q4_k,
    "Q5_K": _q5_k, "Q6_K": _q6_k,
}  # fmt: skip

"""Discrete Fourier transforms by numpy.fft, without factors: y[k] = sum_j x[j] e^(-2 pi i jk / n).

float32 and complex64 are transformed in single precision. Gradients are the adjoint transforms.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import movement as mv
from .base import register
from .call import Call
from .complex import real


class _Transform(Call):
    """The family. Positions of axes count from the end, so that a batch may come first."""


class Fft(_Transform):
    """y = x (complex) transformed along `axes`, with e^(+2 pi i jk / n) if `inverse`. Both of x's
    shape.

    Gradient: the transform with the other sign.
    """

    name = "fft"
    params = ("axes", "inverse")

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        if not types[0].dtype.is_complex:
            raise RuntimeError(f"[fft] takes complex numbers; got {types[0].dtype}")
        return types[0]

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        axes, inverse = attrs
        if inverse:
            return np.fft.ifftn(arrays[0], axes=axes, norm="forward")
        return np.fft.fftn(arrays[0], axes=axes)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        axes, inverse = node.attrs
        return (make_node(self, (g,), (axes, not inverse)),)


class Rfft(_Transform):
    """y = the first n // 2 + 1 values of x (real, (*B, n)) transformed along the last axis.

    Gradient: Re of the other transform of g, filled up with zeros.
    """

    name = "rfft"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,) = types
        if not x.dtype.is_floating_point or x.dtype.itemsize < 4:
            raise RuntimeError(f"[rfft] takes float32 or float64; got {x.dtype}")
        shape = (*x.shape[:-1], x.shape[-1] // 2 + 1)
        return Type(shape, x.dtype.to_complex(), x.device)

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        return np.fft.rfft(arrays[0])

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        n = node.inputs[0].shape[-1]
        widths = (*((0, 0) for _ in g.shape[:-1]), (0, n - g.shape[-1]))
        return (real(make_node(FFT, (mv.pad(g, widths),), ((-1,), True))),)


class Irfft(_Transform):
    """y = the n real values of which x (complex, (*B, n // 2 + 1)) is half of the spectrum, times
    n: sum over k of w[k] Re(x[k] e^(2 pi i jk / n)), w = 1 for k = 0 and k = n / 2, else 2.

    Gradient: w times the transform of g.
    """

    name = "irfft"
    params = ("n",)

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,), (n,) = types, attrs
        if not x.dtype.is_complex or x.shape[-1] != n // 2 + 1:
            raise RuntimeError(f"[irfft] takes n // 2 + 1 complex numbers; got {x} for {n}")
        return Type((*x.shape[:-1], n), x.dtype.to_real(), x.device)

    def compute(self, arrays: Sequence[np.ndarray], attrs: tuple, out: Type) -> np.ndarray:
        return np.fft.irfft(arrays[0], attrs[0], norm="forward")

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        (n,) = node.attrs
        y = make_node(RFFT, (g,))
        k = mv.iota(y.shape[-1])
        once = ew.eq(k, ew.const_like(k, 0))
        if n % 2 == 0:
            once = ew.or_(once, ew.eq(k, ew.const_like(k, n // 2)))
        weight = ew.where(once, ew.constant(1, y.dtype), ew.constant(2, y.dtype))
        return (ew.mul(y, weight),)


FFT, RFFT, IRFFT = Fft(), Rfft(), Irfft()
for _op in (FFT, RFFT, IRFFT):
    register(_op)


def resized(x: Node, sizes: Sequence[tuple[int, int]]) -> Node:
    """x with each (axis, size) of `sizes` cut, or filled up with zeros at its end."""
    bounds = [(0, n, 1) for n in x.shape]
    widths = [(0, 0)] * len(x.shape)
    for axis, size in sizes:
        n = x.shape[axis]
        bounds[axis] = (0, min(n, size), 1)
        widths[axis] = (0, max(0, size - n))
    return mv.pad(mv.slice_(x, tuple(bounds)), tuple(widths))

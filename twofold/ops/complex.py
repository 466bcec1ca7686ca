"""Complex numbers: their parts, their conjugates, and their memory seen as pairs of real numbers.

All other ops take complex values as they are (see `Op.complex_rule`); `passes/complex.py` splits
them into real ones. Gradients are in PyTorch's convention: that of x is dL/dRe(x) + i dL/dIm(x).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..dtypes import DType
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from .base import Op, register
from .elementwise import Elementwise, cast, constant, neg


class _Parts(Elementwise):
    """The family: what NumPy does to whole arrays; the pass replaces each before kernels are
    made."""

    complex_rule = "mixed"
    takes_complex = True

    def check(self, types: list[Type]) -> None:
        """RuntimeError unless the inputs are what the op takes apart or puts together."""
        for x in types:
            if x.dtype.is_complex is not self.takes_complex or not x.dtype.is_inexact:
                kind = "complex" if self.takes_complex else "floating-point"
                raise RuntimeError(f"[{self.name}] takes {kind} values; got {x.dtype}")

    def result_dtype(self, types: list[Type], attrs: tuple) -> DType:
        return types[0].dtype.to_real()

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return np.broadcast_to(self.of(*arrays), out.shape)

    @staticmethod
    def of(*arrays: np.ndarray) -> np.ndarray:
        """What NumPy computes."""
        raise NotImplementedError


class Real(_Parts):
    """y = Re x."""

    name = "real"

    @staticmethod
    def of(*arrays: np.ndarray) -> np.ndarray:
        return arrays[0].real

    @staticmethod
    def rule(y: Node, g: Node, x: Node) -> tuple[Node | None, ...]:
        return (cast(g, x.dtype),)


class Imag(_Parts):
    """y = Im x."""

    name = "imag"

    @staticmethod
    def of(*arrays: np.ndarray) -> np.ndarray:
        return arrays[0].imag

    @staticmethod
    def rule(y: Node, g: Node, x: Node) -> tuple[Node | None, ...]:
        return (complex_(constant(0, g.dtype), g),)


class Conj(_Parts):
    """y = Re x - i Im x."""

    name = "conj"

    def result_dtype(self, types: list[Type], attrs: tuple) -> DType:
        return types[0].dtype

    @staticmethod
    def of(*arrays: np.ndarray) -> np.ndarray:
        return np.conj(arrays[0])

    @staticmethod
    def rule(y: Node, g: Node, x: Node) -> tuple[Node | None, ...]:
        return (conj(g),)


class Complex(_Parts):
    """y = a + i b."""

    name = "complex"
    arity = 2
    takes_complex = False

    def check(self, types: list[Type]) -> None:
        super().check(types)
        if types[0].dtype is not types[1].dtype or types[0].dtype.itemsize < 4:
            raise RuntimeError(
                "[complex] Expected both inputs to be Float or Double tensors of one type; got "
                f"{types[0].dtype} and {types[1].dtype}"
            )

    def result_dtype(self, types: list[Type], attrs: tuple) -> DType:
        return types[0].dtype.to_complex()

    @staticmethod
    def of(*arrays: np.ndarray) -> np.ndarray:
        a, b = np.broadcast_arrays(*arrays)
        y = np.empty(a.shape, np.result_type(a, np.complex64))
        y.real, y.imag = a, b
        return y

    @staticmethod
    def rule(y: Node, g: Node, a: Node, b: Node) -> tuple[Node | None, ...]:
        return real(g), imag(g)


class AsReal(Op):
    """y[..., 0] = Re x, y[..., 1] = Im x: the same memory, x (*S,) and y (*S, 2)."""

    name = "as_real"
    kind = "movement"
    complex_rule = "mixed"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,) = types
        if not x.dtype.is_complex:
            raise RuntimeError("[view_as_real] view_as_real is only supported for complex tensors")
        return Type((*x.shape, 2), x.dtype.to_real(), x.device)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        return (as_complex(g),)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        return as_real(inputs[0])

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return np.stack([arrays[0].real, arrays[0].imag], -1)


class AsComplex(Op):
    """y = x[..., 0] + i x[..., 1]: the same memory, x (*S, 2) and y (*S,)."""

    name = "as_complex"
    kind = "movement"
    complex_rule = "mixed"

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        (x,) = types
        if not x.dtype.is_floating_point or x.dtype.itemsize < 4:
            raise RuntimeError(
                "[view_as_complex] view_as_complex is only supported for floating point tensors "
                f"of float32 and float64; got {x.dtype}"
            )
        if not x.shape or x.shape[-1] != 2:
            raise RuntimeError(
                f"[view_as_complex] Tensor must have a last dimension of size 2; got {x.shape}"
            )
        return Type(x.shape[:-1], x.dtype.to_complex(), x.device)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        return (as_real(g),)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        return as_complex(inputs[0])

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> np.ndarray:
        return Complex.of(arrays[0][..., 0], arrays[0][..., 1])


REAL = register(Real())
IMAG = register(Imag())
CONJ = register(Conj())
COMPLEX = register(Complex())
AS_REAL = register(AsReal())
AS_COMPLEX = register(AsComplex())


def _undone(x: Node, op: Op) -> Node | None:
    """What x was made from by `op`, if gradients pass from one to the other."""
    if x.structure.op is not op or not x.inputs:
        return None
    before = x.inputs[0]
    return before if before.requires_grad == x.requires_grad else None


def real(x: Node) -> Node:
    """The real part; x itself if it is real."""
    return make_node(REAL, (x,)) if x.dtype.is_complex else x


def imag(x: Node) -> Node:
    """The imaginary part."""
    return make_node(IMAG, (x,))


def conj(x: Node) -> Node:
    """The complex conjugate; x itself if it is real."""
    if not x.dtype.is_complex:
        return x
    return _undone(x, CONJ) or make_node(CONJ, (x,))


def complex_(a: Node, b: Node) -> Node:
    """a + i b."""
    return make_node(COMPLEX, (a, b))


def as_real(x: Node) -> Node:
    """x (*S,) as its parts (*S, 2)."""
    return _undone(x, AS_COMPLEX) or make_node(AS_REAL, (x,))


def as_complex(x: Node) -> Node:
    """Parts (*S, 2) as complex numbers (*S,)."""
    return _undone(x, AS_REAL) or make_node(AS_COMPLEX, (x,))


def times_i(x: Node) -> Node:
    """i x, exactly."""
    return complex_(neg(imag(x)), real(x))

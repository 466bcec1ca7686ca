"""What the kernels of matrix products have in common: operands, words, and work that follows."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ..machine import Target
from .emitter import Emitter
from .loops import LoopEmitter
from .scalar import memory_type


class ProductEmitter(Emitter):
    """A product under construction, its words in the order of `kernels.product.Product.launch`:
    `own` are those of its kind. Without `c` the sums are not kept."""

    def __init__(self, spec: Any, target: Target, own: str) -> None:
        names = "m n k a_step a_row a_k b_step b_k b_column "
        names += "c_step c_row " if spec.direct else ""
        super().__init__(spec, target, (names + own).split(), 2 + spec.direct)
        self.a, self.b = self.arrays[:2]
        self.c = self.arrays[2] if spec.direct else None
        self.dtype = spec.sums
        self.element, self.source = memory_type(spec.sums, 1), memory_type(spec.dtype, 1)
        self.finish = None
        if spec.finish is not None:
            self.finish = LoopEmitter(spec.finish, target, self.builder, self.words)

    def _from(self, base: ir.Value, offset: ir.Value) -> ir.Value:
        """An element of an operand."""
        return self.builder.gep(base, [offset], source_etype=self.source)

"""What the kernels of convolutions have in common: arrays, scratch memory, named words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from ..machine import Target
from .build import Words, i64, kernel_function, loop
from .scalar import memory_type


class Emitter:
    """A kernel under construction. `arrays` are what it reads and writes, `w` its words by name;
    `words` gives those after them."""

    def __init__(self, spec: Any, target: Target, names: Sequence[str], n_arrays: int = 3) -> None:
        self.spec, self.target = spec, target
        self.module, function, self.builder = kernel_function()
        bases, args, self._begin, self._end, worker = function.args
        self.words = Words(self.builder, bases, args)
        self.arrays = [self.words.array() for _ in range(n_arrays)]
        self.scratch = self.words.scratch(worker)
        self.w = {name: self.words.integer() for name in names}
        self.element = memory_type(spec.dtype, 1)

    def items(self, item: Callable[[ir.Value, list[ir.Value]], None]) -> None:
        """End the kernel with `item` for each work item."""
        loop(self.builder, self._begin, self._end, i64(1), [], item, "item")
        self.builder.ret_void()

    def clear(self, base: ir.Value, count: ir.Value) -> None:
        """Make so many elements zeros."""
        b = self.builder

        def one(i: ir.Value, _: list[ir.Value]) -> None:
            b.store(ir.Constant(self.element, 0), self._at(base, i))

        loop(b, i64(0), count, i64(1), [], one, "zero")

    def _at(self, base: ir.Value, offset: ir.Value, element: ir.Type | None = None) -> ir.Value:
        return self.builder.gep(base, [offset], source_etype=element or self.element)

    def _least(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed("<", x, y), x, y)

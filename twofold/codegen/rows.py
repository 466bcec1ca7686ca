"""Loop kernels as modules; rows whose last walk is done amid those of the next row."""

from __future__ import annotations

from llvmlite import ir

from ..abi import ALIGNMENT
from ..kernels.loop_transform import exprs
from ..kernels.loops import LoopKernel, Stage
from ..machine import Target
from ..ops.scalar import postorder
from .build import I8, Words, i64, kernel_function, loop, prefetch, stream_fence
from .loops import LoopEmitter, RowStep
from .scalar import llvm_type, memory_type

BLOCK = 128
"""Elements that a walk goes on before it does as many of the last row."""


def emit(kernel: LoopKernel, target: Target) -> ir.Module:
    """The module of a loop kernel."""
    module, function, builder = kernel_function()
    bases, args, begin, end, worker = function.args
    kind = LateRowEmitter if kernel.late else LoopEmitter
    emitter = kind(kernel, target, builder, Words(builder, bases, args), worker)
    emitter.items(begin, end)
    if kernel.streamed:
        stream_fence(builder, target)
    builder.ret_void()
    return module


class LateRowEmitter(LoopEmitter):
    """Rows one after the other, the last walk of each amid the walk before it of the next (see
    `loop_memory.may_be_late`)."""

    def items(self, begin: ir.Value, end: ir.Value) -> None:
        """The work items in order, then the last walk of the last of them."""
        b, stages = self.builder, self.kernel.stages
        *_, self.before, self.last = [k for k, stage in enumerate(stages) if stage.over_inner]
        roots = [t.value for t in stages[self.last].stores]
        # A row's last walk takes along where the row is, and what stands still along it.
        self.still = self._maximal(roots, lambda e: self.lane_axis not in self.varies[e])
        values = [ir.Constant(llvm_type(e.dtype, 1), 0) for e in self.still]

        def item(number: ir.Value, late: list[ir.Value]) -> list[ir.Value]:
            self.late, self.is_late = late, b.icmp_signed(">", number, begin)
            self.item(number, [])
            return self.taken

        nothing = [i64(0)] * self.kernel.n_outer + values
        self.late = loop(b, begin, end, i64(1), nothing, item, "item")
        with b.if_then(b.icmp_signed(">", end, begin)):
            self._late_walk(i64(0), self.extents[self.lane_axis])

    def _walk(self, k: int, stage: Stage) -> None:
        if k < self.last:
            super()._walk(k, stage)
            return
        values = dict(self._still([t.value for t in stage.stores]))
        self.taken = self.index[: self.kernel.n_outer] + [values[e] for e in self.still]

    def _vectors(
        self, low: ir.Value, high: ir.Value, step: RowStep, accs: list[ir.Value]
    ) -> list[ir.Value]:
        """Before the last walk: blocks, each after one of the last row, then what is left over."""
        if self.stage != self.before:
            return super()._vectors(low, high, step, accs)
        b, along = self.builder, super()._vectors

        def block(first: ir.Value, accs: list[ir.Value]) -> list[ir.Value]:
            end = b.add(first, i64(BLOCK))
            self._ask(first)
            with b.if_then(self.is_late):
                self._late_walk(first, end)
            return along(first, end, step, accs)

        whole = b.mul(b.udiv(high, i64(BLOCK)), i64(BLOCK))
        accs = loop(b, low, whole, i64(BLOCK), accs, block, "block")
        with b.if_then(self.is_late):
            self._late_walk(whole, high)
        return along(whole, high, step, accs)

    def _late_walk(self, low: ir.Value, high: ir.Value) -> None:
        """Some of the last walk of the row before."""
        here, stage, n = list(self.index), self.stage, self.kernel.n_outer
        self.index[:n], self.stage = self.late[:n], self.last
        last = self.kernel.stages[self.last]
        super()._vectors(low, high, self._row_step(last, list(zip(self.still, self.late[n:]))), [])
        self.index, self.stage = here, stage

    def _ask(self, first: ir.Value) -> None:
        """Ask memory for a block of the next row."""
        b, axis = self.builder, self.kernel.n_outer - 1
        self.index[self.lane_axis] = first
        loads = {e.attr.operand: e for e in postorder(*exprs(self.kernel)) if e.op == "load"}
        for operand, e in loads.items():
            step = self.strides[operand][axis]
            if step is None or e.attr.displaced or e.attr.strides[self.lane_axis] != 1:
                continue
            row = b.gep(self._pointer(operand), [step], source_etype=memory_type(e.dtype, 1))
            for line in range(0, BLOCK * e.dtype.itemsize, ALIGNMENT):
                prefetch(b, b.gep(row, [i64(line)], source_etype=I8), 2)

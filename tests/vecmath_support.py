"""Compiles one operation of the scalar language into a loop over arrays, and measures its error."""

from __future__ import annotations

import ctypes
import functools

import llvmlite.binding as llvm
import llvmlite.ir as ir
import numpy as np

from twofold import dtypes, machine
from twofold.codegen import scalar as codegen
from twofold.dtypes import DType
from twofold.ops import scalar
from twofold.ops.scalar import Expr

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()


def module_for(body: Expr, operands: tuple[DType, ...], lanes: int, target_name: str) -> ir.Module:
    """A function f(out, in..., n) that maps `body` over n elements, n a multiple of `lanes`."""
    target = machine.target_for(target_name)
    module = ir.Module("probe")
    module.triple = target.triple
    pointer, word = ir.PointerType(), ir.IntType(64)
    kind = ir.FunctionType(ir.VoidType(), [pointer] * (1 + len(operands)) + [word])
    function = ir.Function(module, kind, "probe")
    entry, loop, end = (function.append_basic_block(n) for n in ("entry", "loop", "end"))
    b = ir.IRBuilder(entry)
    n = function.args[-1]
    b.cbranch(b.icmp_signed(">", n, ir.Constant(word, 0)), loop, end)
    b.position_at_end(loop)
    i = b.phi(word)
    i.add_incoming(ir.Constant(word, 0), entry)

    def address(k: int, dtype: DType) -> ir.Value:
        return b.gep(function.args[k], [i], source_etype=codegen.memory_type(dtype, 1))

    def leaf(expr: Expr) -> ir.Value:
        return codegen.load(b, address(1 + expr.attr, expr.dtype), expr.dtype, lanes, target)

    value = codegen.ExprEmitter(b, lanes, target, leaf).emit(body)
    codegen.store(b, value, address(0, body.dtype), body.dtype, target)
    following = b.add(i, ir.Constant(word, lanes))
    i.add_incoming(following, b.block)
    b.cbranch(b.icmp_signed("<", following, n), loop, end)
    b.position_at_end(end)
    b.ret_void()
    return module


def target_machine(target_name: str) -> llvm.TargetMachine:
    """LLVM's machine for a target of ours, at the optimisation level of kernels."""
    target = machine.target_for(target_name)
    found = llvm.Target.from_triple(target.triple)
    return found.create_target_machine(cpu=target.cpu, features=target.features, opt=2)


@functools.cache
def compiled(body: Expr, operands: tuple[DType, ...], lanes: int, target_name: str):
    """The native function of `module_for`, and the engine that keeps it alive."""
    parsed = llvm.parse_assembly(str(module_for(body, operands, lanes, target_name)))
    parsed.verify()
    engine = llvm.create_mcjit_compiler(parsed, target_machine(target_name))
    engine.finalize_object()
    types = [ctypes.c_void_p] * (1 + len(operands)) + [ctypes.c_int64]
    return ctypes.CFUNCTYPE(None, *types)(engine.get_function_address("probe")), engine


def run(body: Expr, arrays: list[np.ndarray], operands: tuple[DType, ...], lanes=8, target="host"):
    """`body` over stored arrays of one length; gives stored elements."""
    n = len(arrays[0])
    padded = -(-n // lanes) * lanes
    held = []
    for a in arrays:
        whole = np.zeros(padded, a.dtype)
        whole[:n] = a
        whole[n:] = a[-1:]
        held.append(whole)
    out = np.zeros(padded, body.dtype.storage)
    function, _engine = compiled(body, operands, lanes, target)
    function(out.ctypes.data, *(h.ctypes.data for h in held), padded)
    return out[:n]


def apply(op: str, dtype: DType, *arrays: np.ndarray, lanes: int = 8, target: str = "host"):
    """One operation of operands of one type."""
    leaves = [scalar.operand(k, dtype) for k in range(len(arrays))]
    body = scalar.call(op, *leaves)
    return run(body, list(arrays), (dtype,) * len(arrays), lanes, target)


def ulp_error(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance of `got` from the more precise `exact` in units of the last place; inf where a NaN
    or an infinity is not where it should be."""
    kind = got.dtype
    rounded = exact.astype(kind)
    with np.errstate(all="ignore"):
        unit = np.abs(np.spacing(rounded)).astype(exact.dtype)
        top = np.finfo(kind).max
        unit = np.where(np.isinf(rounded), np.spacing(top).astype(exact.dtype), unit)
        error = np.abs(got.astype(exact.dtype) - exact) / unit
        close = np.isnan(got) & np.isnan(rounded) | (got == rounded)
        return np.where(close & ~(error < 1e9), 0.0, np.where(np.isnan(error), np.inf, error))


FLOATS = (dtypes.float32, dtypes.float64)

"""LLVM's view of a target, and its two long calls without a lock around them.

llvmlite lets one thread at a time into LLVM. Modules in contexts of their own share nothing, so the
passes and the code generator may work on several at once (LLVM's "Programmer's Manual", "Threads
and LLVM"); they are called here directly, each thread with a code generator of its own.
"""

from __future__ import annotations

import ctypes
import functools
import threading

import llvmlite.binding as llvm

from ..machine import Target


@functools.cache
def _initialize() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


_of_thread = threading.local()


def machine_for(target: Target) -> llvm.TargetMachine:
    """The code generator for `target`, this thread's own."""
    known: dict[Target, llvm.TargetMachine] = _of_thread.__dict__.setdefault("machines", {})
    found = known.get(target)
    if found is None:
        _initialize()
        found = known[target] = llvm.Target.from_triple(target.triple).create_target_machine(
            cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="small"
        )
    return found


@functools.cache
def _functions() -> tuple[ctypes._NamedFuncPointer, ctypes._NamedFuncPointer]:
    """LLVM's calls that run passes and that make an object."""
    library = ctypes.CDLL(llvm.ffi.lib._name)
    run, emit = library.LLVMPY_RunNewModulePassManager, library.LLVMPY_TargetMachineEmitToMemory
    run.argtypes, run.restype = [ctypes.c_void_p] * 3, None
    emit.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_char_p),
    ]
    emit.restype = ctypes.c_void_p
    return run, emit


def run_passes(
    manager: llvm.ModulePassManager, module: llvm.ModuleRef, builder: llvm.PassBuilder
) -> None:
    """Run the passes of `manager` on a module in a context of its own."""
    _functions()[0](manager, module, builder)


def emit_object(machine: llvm.TargetMachine, module: llvm.ModuleRef) -> bytes:
    """The object code of a module in a context of its own."""
    with llvm.ffi.OutputString() as error:
        memory = _functions()[1](machine, module, 1, error)
        if not memory:
            raise RuntimeError(str(error))
    buffer = ctypes.cast(memory, llvm.ffi.LLVMMemoryBufferRef)
    try:
        start = llvm.ffi.lib.LLVMPY_GetBufferStart(buffer)
        return ctypes.string_at(start, llvm.ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        llvm.ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)

"""LLVM's view of a target."""

from __future__ import annotations

import functools

import llvmlite.binding as llvm

from ..machine import Target


@functools.cache
def _initialize() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.cache
def machine_for(target: Target) -> llvm.TargetMachine:
    """The code generator for `target`."""
    _initialize()
    found = llvm.Target.from_triple(target.triple)
    return found.create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="small"
    )

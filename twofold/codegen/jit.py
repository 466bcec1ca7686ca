"""Kernels' machine code: from memory, from disk, or compiled, on all cores."""

from __future__ import annotations

import functools
import gc
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from .. import config, trace
from ..errors import InternalError
from ..kernels.call import CallSpec
from ..machine import Target
from ..runtime.disk_cache import DiskCache
from .call import address_of
from .elf import CodeMemory, image_of
from .llvm_target import emit_object, machine_for, run_passes

counts = {"compiled": 0, "from_disk": 0, "from_memory": 0}
"""Kernels compiled, loaded from disk, and found in memory, since the process began."""

_addresses: dict[tuple[Any, Target], int] = {}
_specs: dict[Any, Any] = {}
_caches: dict[str | None, DiskCache] = {}
_engine_lock = threading.Lock()
Emit = Callable[[Any, Target], Any]
"""Gives a kernel's module, of llvmlite's `ir`."""


@functools.cache
def _version() -> str:
    """What compiled code depends on besides its spec: Twofold's own code generators and LLVM."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent.parent
    for folder in ("codegen", "kernels", "ops"):
        for path in sorted((package / folder).glob("*.py")):
            found = path.stat()
            digest.update(f"{path.name} {found.st_size} {found.st_mtime_ns};".encode())
    return f"{llvmlite.__version__} {llvm.llvm_version_info} {digest.hexdigest()}"


def cache_key(spec: Any, target: Target) -> str:
    """The name of a kernel's entry on disk."""
    text = f"{spec!r}|{target!r}|{_version()}"
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def disk_cache() -> DiskCache:
    """The cache on disk that the options name."""
    folder = config.current().cache_dir
    if folder not in _caches:
        _caches[folder] = DiskCache(folder)
    return _caches[folder]


def optimize(text: str, target: Target, context: llvm.ContextRef | None = None) -> llvm.ModuleRef:
    """A module given as text, after LLVM's passes. Kernels come with their vectors and tiles, so
    only a few cheap passes are run, in a quarter of the time of LLVM's own least (-O1): the code
    generator moves what is left to move out of loops. What is computed twice is made one value
    before instructions are combined: a test with two uses is then left as the one it is."""
    machine = machine_for(target)
    module = llvm.parse_assembly(text, context)
    module.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options())
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_new_gvn_pass()
    passes.add_instruction_combine_pass()
    passes.add_loop_rotate_pass()
    passes.add_simplify_cfg_pass()
    run_passes(passes, module, builder)
    return module


def compile_module(text: str, target: Target) -> bytes:
    """Object code of a module given as text."""
    machine = machine_for(target)
    context = llvm.create_context()
    module = optimize(text, target, context)
    try:
        if trace.at(trace.LLVM_IR):
            trace.write(trace.LLVM_IR, str(module))
        if trace.at(trace.ASSEMBLY):
            trace.write(trace.ASSEMBLY, machine.emit_assembly(module))
        return emit_object(machine, module)
    finally:
        module.close()
        context.close()


@functools.cache
def _engine(target: Target) -> llvm.ExecutionEngine:
    machine_for(target)
    found = llvm.Target.from_triple(target.triple)
    machine = found.create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, reloc="default", jit=True
    )
    empty = llvm.parse_assembly(f'target triple = "{target.triple}"\n')
    return llvm.create_mcjit_compiler(empty, machine)


_code = CodeMemory()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_code.leave)


def load_objects(codes: Sequence[bytes], symbols: Sequence[str], target: Target) -> list[int]:
    """Bring kernels' objects into the process; gives the addresses of `symbols`."""
    if CodeMemory.is_here():
        images = [image_of(code, symbol) for code, symbol in zip(codes, symbols)]
        found = [image for image in images if image is not None]
        if len(found) == len(images):
            try:
                return [_code.put(image) + entry for image, entry in found]
            except OSError as error:
                trace.write(trace.STAGES, f"code memory: {error}; LLVM links instead")
    return _link(codes, symbols, target)


def _link(codes: Sequence[bytes], symbols: Sequence[str], target: Target) -> list[int]:
    """The same by LLVM's linker, for other systems, and for objects that refer to others.

    Objects linked at once share pages. Each page with rights of its own is a mapping, of which a
    process may have some 65,000, so one call for all is not only faster.
    """
    with _engine_lock:
        engine = _engine(target)
        for code in codes:
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        addresses = [engine.get_function_address(symbol) for symbol in symbols]
    for symbol, address in zip(symbols, addresses):
        if not address:
            raise InternalError(f"[jit] no symbol {symbol!r} in the object")
    return addresses


def _symbol(key: str) -> str:
    return f"twofold_{key}"


def _compile(spec: Any, target: Target, emit: Emit, key: str) -> bytes:
    clock = time.perf_counter()
    module = emit(spec, target)
    module.triple = target.triple
    for function in module.functions:
        if function.name == "kernel":
            function.name = _symbol(key)
    text = str(module).replace('@"kernel"', f'@"{_symbol(key)}"')
    emitted = time.perf_counter()
    code = compile_module(text, target)
    done = time.perf_counter()
    trace.write(
        trace.KERNELS,
        f"kernel {getattr(spec, 'name', type(spec).__name__)}: emit "
        f"{1e3 * (emitted - clock):.1f} ms, LLVM {1e3 * (done - emitted):.1f} ms, "
        f"{len(code)} bytes",
    )
    return code


def one_spec(spec: Any) -> Any:
    """The one spec that is kept of all that are equal to `spec`."""
    return _specs.setdefault(spec, spec)


def _on_threads(function: Callable[[Any], Any], items: Sequence[Any], threads: int) -> list[Any]:
    """`function` of each item, several at once. The first error, by position, is raised."""
    results: list[Any] = [None] * len(items)
    errors: dict[int, BaseException] = {}
    waiting = iter(range(len(items)))  # taking the next is atomic

    def work() -> None:
        for k in waiting:
            try:
                results[k] = function(items[k])
            except BaseException as error:
                errors[k] = error
                return

    helpers = [threading.Thread(target=work) for _ in range(min(threads, len(items)) - 1)]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[min(errors)]
    return results


@contextmanager
def _few_collections() -> Iterator[None]:
    """Emitting makes a million small objects, of which Python would look for dead cycles after each
    700: meanwhile it does so seldom."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 100_000) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def compile_kernels(specs: Sequence[Any], emit: Emit, target: Target) -> list[int]:
    """The address of each spec's function. Kernels not yet in the process are read from the cache
    on disk, or compiled, several at once."""
    missing: dict[Any, str] = {}
    for spec in specs:
        if spec.__class__ is CallSpec:
            _addresses[spec, target] = address_of(spec)
        elif (spec, target) in _addresses:
            counts["from_memory"] += 1
        elif spec not in missing:
            missing[spec] = cache_key(spec, target)
    if missing:
        cache = disk_cache()

        def obtain(item: tuple[Any, str]) -> bytes:
            spec, key = item
            code = None if trace.at(trace.LLVM_IR) else cache.get(key)
            if code is not None:
                counts["from_disk"] += 1
                return code
            code = _compile(spec, target, emit, key)
            counts["compiled"] += 1
            cache.put(key, code)
            return code

        with _few_collections():
            codes = _on_threads(obtain, list(missing.items()), config.current().threads)
        names = [_symbol(key) for key in missing.values()]
        for spec, address in zip(missing, load_objects(codes, names, target)):
            _addresses[spec, target] = address
    return [_addresses[spec, target] for spec in specs]


def compile_text(text: str, symbols: Sequence[str], target: Target) -> list[int]:
    """The addresses of functions of a module given as text, by way of the cache on disk."""
    key = hashlib.sha256(f"{text}|{target!r}|{_version()}".encode()).hexdigest()[:40]
    cache = disk_cache()
    code = cache.get(key)
    if code is None:
        code = compile_module(text, target)
        cache.put(key, code)
    return _link([code], symbols, target)

"""Programs as object files: machine code and weights for a C program, which needs no Python.

An object holds a program at fixed sizes: its kernels, the plan that says in which order they run,
the loop that walks the plan, weights, and the memory for everything in between. What it asks of the
outside is `memcpy` and `memset`, and, where it was made for several threads, `pthread_create`,
`pthread_join` and `sched_yield`. The header that comes with it documents the calls.

It is the same path as in a process that runs Twofold (passes, kernels, memory plan), up to machine
code, so on one kind of CPU the results are the same bits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding as llvm

from .. import config, engine, machine
from ..abi import PADDING
from ..codegen.emit import emit
from ..codegen.jit import optimize
from ..codegen.llvm_target import machine_for
from ..engine import array_of
from ..graph.node import Node, leaf
from ..graph.text import Given
from ..kernels.call import CallSpec
from ..kernels.schedule import output_buffer
from ..ops.body import substitute
from ..runtime import walker
from ..runtime.plan import pack_scalar
from ..serialization.files import write_atomically
from .header import Array, header_text
from .program import Program

MAX_WEIGHTS = 256 << 20
"""Bytes of weights that an object may hold."""


@dataclass(frozen=True)
class Exported:
    """What was written, and what it needs: `arena_bytes` for values in between, `weight_bytes`."""

    object_path: Path
    header_path: Path
    arena_bytes: int
    weight_bytes: int
    kernels: int


def export(
    program: Program,
    folder: str | os.PathLike[str],
    name: str = "program",
    target: str = "host",
    sizes: Mapping[str, int] | None = None,
    threads: int = 1,
) -> Exported:
    """Write NAME.o and NAME.h for `target` (see `machine.target_for`) to a folder.

    `sizes` fix the program's sizes. The header declares `int NAME_run(...)`, which takes the inputs
    and outputs as pointers; with several `threads` also `NAME_start` and `NAME_stop`.

    Errors: ValueError for names that are no C identifiers, sizes that are missing, and unknown
    targets; NotImplementedError for programs that call the host's libraries (linear algebra,
    Fourier transforms).
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"[export] a program is called by a C identifier; got {name!r}")
    if threads < 1:
        raise ValueError(f"[export] a program runs on at least one thread; got {threads}")
    engine.flush()
    sizes = dict(sizes or {})
    processor = machine.target_for(target)
    with config.override(target=target, threads=threads, backend="native"):
        plan = _Plan(program, sizes, name)
        code = plan.object_code(processor, threads)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    object_path, header_path = folder / f"{name}.o", folder / f"{name}.h"
    text = header_text(name, plan.inputs, plan.outputs, processor, threads, plan.about())
    write_atomically(object_path, lambda file: file.write(code))
    write_atomically(header_path, lambda file: file.write(text.encode()))
    return Exported(
        object_path, header_path, plan.memory.arena_bytes, plan.weight_bytes, plan.kernels
    )


class _Plan:
    """A program at fixed sizes, cut into launches, and its tables as LLVM's text."""

    def __init__(self, program: Program, sizes: Mapping[str, int], name: str) -> None:
        self.name = name
        graph = program.graph(**sizes)
        types = [i.type_at(sizes) for i in program.inputs]
        self.given = [leaf(Given(i.name), t) for i, t in zip(program.inputs, types)]
        values = [
            self.given[source["input"]] if value is None else value
            for source, value in zip(program.leaves, program.values(**sizes))
        ]
        env = {id(old): new for old, new in zip(graph.arguments, values)}
        planned = engine.plan_graph(substitute(graph.roots, env))
        self.planned, self.memory = planned, planned.memory
        self.inputs = [Array(i.name, t) for i, t in zip(program.inputs, types)]
        self.outputs = [
            Array(n, r.type) for n, r in zip(_result_names(program.outputs), graph.roots)
        ]
        self.kernels = len({p.spec for p in self.memory.launches if p.spec is not None})
        self.weight_bytes = 0
        for p in self.memory.launches:
            if isinstance(p.spec, CallSpec):
                raise NotImplementedError(
                    f"[export] {p.spec.name} is a call of the host's libraries, which an object "
                    "has not; try leaving it to the calling program"
                )

    def about(self) -> list[str]:
        """What the header tells of memory."""
        return [
            f"{self.kernels} kernels in {len(self.memory.launches)} launches",
            f"weights: {self.weight_bytes} bytes, read only",
            f"memory for values in between: {self.memory.arena_bytes} bytes",
        ]

    def object_code(self, target: machine.Target, threads: int) -> bytes:
        """The object: every kernel's module, the walker's and the tables', linked into one."""
        specs = list(dict.fromkeys(p.spec for p in self.memory.launches if p.spec is not None))
        symbols = {spec: f"{self.name}_kernel{k}" for k, spec in enumerate(specs)}
        modules = []
        for spec, symbol in symbols.items():
            made = emit(spec, target)
            made.triple = target.triple
            text = str(made).replace('@"kernel"', f'@"{symbol}"')
            modules.append(optimize(text, target))
        machine_ = machine_for(target)
        layout = f'target triple = "{target.triple}"\n'
        layout += f'target datalayout = "{machine_.target_data}"\n'
        arch = target.triple.split("-")[0]
        walk = walker.text(arch, threads > 1 and "linux" in target.triple)
        if threads == 1:
            walk = walk.replace("call i32 @sched_yield()", "add i32 0, 0")
            walk = walk.replace("declare i32 @sched_yield()\n", "")
            walk = walk.replace("declare i64 @syscall(i64, ...)\n", "")
        walk = walk.replace("@twofold_", f"@{self.name}_team_")
        modules.append(llvm.parse_assembly(layout + walk))
        whole = llvm.parse_assembly(layout + self._tables(symbols, target, threads))
        for module in modules:
            whole.link_in(module)
        for function in whole.functions:
            if not function.is_declaration and function.name not in self._public(threads):
                function.linkage = llvm.Linkage.internal
        whole.verify()
        return machine_.emit_object(whole)

    def _public(self, threads: int) -> set[str]:
        names = {f"{self.name}_run"}
        return names | {f"{self.name}_start", f"{self.name}_stop"} if threads > 1 else names

    def _tables(self, symbols: Mapping[object, str], target: machine.Target, threads: int) -> str:
        """LLVM's text of the tables that the walker reads (see `runtime/walker.py`), of the memory,
        and of the public functions."""
        n, memory = self.name, self.memory
        pointer = 4 if target.triple.startswith(("wasm32", "armv7")) else 8
        lines = [
            "%slot = type <{ ptr, [$PAD x i8] }>",
            "%entry = type <{ %slot, %slot, i64, i64, i64, i64, [16 x i8], i64, [56 x i8] }>",
            f"@{n}_error = internal global [4 x i64] zeroinitializer, align 64",
            f"@{n}_arena = internal global [{max(1, memory.arena_bytes)} x i8] zeroinitializer, "
            "align 64",
            f"@{n}_scalars = internal global {_bytes_text(self._scalars())}, align 64",
            *[f"declare void @{symbol}(ptr, ptr, i64, i64, i64)" for symbol in symbols.values()],
            f"declare void @{n}_team_run(ptr, ptr)",
            f"declare void @{n}_team_worker(ptr, i64)",
            "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
        ]
        bases = [f"@{n}_error", f"@{n}_arena", f"@{n}_scalars", *self._slots(lines)]
        lines.append(
            f"@{n}_bases = internal global [{len(bases)} x %slot] [{', '.join(map(_slot, bases))}],"
            " align 64"
        )
        words = [w for p in memory.launches for w in p.words] or [0]
        inner = ", ".join(f"i64 {w}" for w in words)
        lines.append(f"@{n}_words = internal constant [{len(words)} x i64] [{inner}], align 64")
        lines += self._plan_text(symbols, len(bases))
        lines.append(_RUN.format(n=n, **self._run_parts()))
        if threads > 1:
            lines.append(_THREADS.format(n=n, threads=threads))
        return "\n".join(lines).replace("$PAD", str(8 - pointer))

    def _scalars(self) -> bytes:
        """The numbers of the program, 8 bytes each."""
        scheduler = self.planned.scheduler
        made = bytearray(8 * len(scheduler.scalar_at))
        for number, at in scheduler.scalar_at.items():
            node = scheduler.partition.nodes[number]
            pack_scalar(made, at, node.value, node.dtype.name)
        return bytes(made)

    def _slots(self, lines: list[str]) -> list[str]:
        """The memory of each slot after the first three; its definition is added to `lines`."""
        n, scheduler = self.name, self.planned.scheduler
        place: dict[int, str] = {}
        for k, node in enumerate(self.given):
            place[id(node)] = f"@{n}_in{k}"
            size = node.type.n_bytes + PADDING
            lines.append(f"@{n}_in{k} = internal global [{size} x i8] zeroinitializer, align 64")
        of_buffer: dict[int, str] = {}
        for number, node in enumerate(scheduler.partition.nodes):
            buffer = scheduler.buffers[number]
            if buffer.kind == "leaf":
                if id(node) not in place:
                    place[id(node)] = self._weight(node, lines)
                of_buffer[id(buffer)] = place[id(node)]
        for k, buffer in enumerate(self.planned.outputs):
            of_buffer[id(buffer)] = f"@{n}_out{k}"
            size = buffer.n_bytes + PADDING
            lines.append(f"@{n}_out{k} = internal global [{size} x i8] zeroinitializer, align 64")
        self._place, self._of_buffer = place, of_buffer
        return [of_buffer.get(id(b), "null") for b in self.memory.slots]

    def _weight(self, node: Node, lines: list[str]) -> str:
        """The memory of a weight."""
        name = f"@{self.name}_weight{len(lines)}"
        data = array_of(node).tobytes()
        self.weight_bytes += len(data)
        if self.weight_bytes > MAX_WEIGHTS:
            raise ValueError(
                f"[export] an object holds weights of at most {MAX_WEIGHTS} bytes; got more; try "
                "a smaller dtype, or load_program"
            )
        lines.append(f"{name} = internal constant {_bytes_text(data + bytes(PADDING))}, align 64")
        return name

    def _plan_text(self, symbols: Mapping[object, str], n_slots: int) -> list[str]:
        """The table of launches, the plan's head, and the team of one thread."""
        n, launches = self.name, self.memory.launches
        entries, at = [], 0
        for i, p in enumerate(launches):
            function = "null" if p.spec is None else f"@{symbols[p.spec]}"
            words = f"getelementptr (i64, ptr @{n}_words, i64 {at})"
            meets = int(p.barrier_after or i + 1 == len(launches))
            entries.append(
                f"%entry <{{ {_slot(function)}, {_slot(words)}, i64 {p.items}, "
                f"i64 {max(1, p.grain)}, i64 {meets}, i64 {engine.kind_of(p)}, "
                "[16 x i8] zeroinitializer, i64 0, [56 x i8] zeroinitializer }>"
            )
            at += len(p.words)
        alone = int(all(p.grain >= p.items for p in launches))
        loops = n_slots if any(engine.kind_of(p) != walker.LAUNCH for p in launches) else 0
        decides = any(engine.kind_of(p) == walker.UNLESS for p in launches)
        head = "<{ i64, %slot, %slot, %slot, i64, i64, i64, %slot, i64, [56 x i8] }>"
        log = f"@{n}_log = internal global [{walker.LOG_BYTES} x i8] zeroinitializer, align 64"
        return [
            *([log] if decides else []),
            f"@{n}_table = internal global [{len(entries)} x %entry] [{', '.join(entries)}], "
            "align 128",
            f"@{n}_plan = internal global {head} <{{ i64 {len(entries)}, {_slot(f'@{n}_table')}, "
            f"{_slot(f'@{n}_bases')}, {_slot('null')}, i64 {alone}, i64 {loops}, i64 1, "
            f"{_slot(f'@{n}_log' if decides else 'null')}, i64 0, [56 x i8] zeroinitializer }}>, "
            "align 128",
            f"@{n}_team = internal global <{{ [136 x i8], i64, [112 x i8] }}> "
            "<{ [136 x i8] zeroinitializer, i64 1, [112 x i8] zeroinitializer }>, align 128",
        ]

    def _run_parts(self) -> dict[str, str]:
        """The arguments of the run, and the copies in and out."""
        copy = "  call void @llvm.memcpy.p0.p0.i64(ptr {}, ptr {}, i64 {}, i1 false)"
        arguments, before, after = [], [], []
        for k, array in enumerate(self.inputs):
            arguments.append(f"ptr %in{k}")
            before.append(copy.format(f"@{self.name}_in{k}", f"%in{k}", array.type.n_bytes))
        for k, root in enumerate(self.planned.results):
            buffer, source = output_buffer(self.planned.scheduler, root)
            arguments.append(f"ptr %out{k}")
            lies = self._place[id(source)] if buffer is None else self._of_buffer[id(buffer)]
            after.append(copy.format(f"%out{k}", lies, root.type.n_bytes))
        return {
            "arguments": ", ".join(arguments),
            "before": "\n".join(before),
            "after": "\n".join(after),
        }


def _slot(value: str) -> str:
    """A pointer in 8 bytes."""
    return f"%slot <{{ ptr {value}, [$PAD x i8] zeroinitializer }}>"


def _bytes_text(data: bytes) -> str:
    """An array of bytes with these values."""
    if not any(data):
        return f"[{max(1, len(data))} x i8] zeroinitializer"
    return f'[{len(data)} x i8] c"{"".join(_ESCAPED[b] for b in data)}"'


_ESCAPED = [f"\\{b:02x}" for b in range(256)]


def _result_names(form: object) -> list[str]:
    """A name for each tensor of a result: its key, or its position."""
    found: list[str] = []

    def walk(part: object, name: str) -> None:
        if not isinstance(part, dict):
            found.append(name or "result")
            return
        ((kind, inner),) = part.items()
        pairs = inner if kind == "dict" else [(str(k), p) for k, p in enumerate(inner)]
        for key, p in pairs:
            walk(p, f"{name}_{key}" if name else key if kind == "dict" else f"result{key}")

    walk(form, "")
    return found


_RUN = """
define i32 @{n}_run({arguments}) {{
{before}
  call void @{n}_team_run(ptr @{n}_team, ptr @{n}_plan)
  %fault = load i64, ptr @{n}_error
  %is.bad = icmp ne i64 %fault, 0
  br i1 %is.bad, label %bad, label %good
bad:
  store i64 0, ptr @{n}_error
  ret i32 1
good:
{after}
  ret i32 0
}}
"""

_THREADS = """
@{n}_handles = internal global [{threads} x i64] zeroinitializer
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)

define internal ptr @{n}_enter(ptr %number) {{
  %worker = ptrtoint ptr %number to i64
  call void @{n}_team_worker(ptr @{n}_team, i64 %worker)
  ret ptr null
}}

define i32 @{n}_start(i32 %wanted) {{
entry:
  %size.p = getelementptr i8, ptr @{n}_team, i64 136
  %over = icmp sgt i32 %wanted, {threads}
  %most = select i1 %over, i32 {threads}, i32 %wanted
  br label %look
look:
  %size = load i64, ptr %size.p
  %now = trunc i64 %size to i32
  %more = icmp slt i32 %now, %most
  br i1 %more, label %one, label %done
one:
  %handle = getelementptr i64, ptr @{n}_handles, i64 %size
  %number = inttoptr i64 %size to ptr
  %failed = call i32 @pthread_create(ptr %handle, ptr null, ptr @{n}_enter, ptr %number)
  %ok = icmp eq i32 %failed, 0
  br i1 %ok, label %count, label %done
count:
  %bigger = add i64 %size, 1
  store i64 %bigger, ptr %size.p
  br label %look
done:
  ret i32 %now
}}

define void @{n}_stop() {{
entry:
  %size.p = getelementptr i8, ptr @{n}_team, i64 136
  call void @{n}_team_run(ptr @{n}_team, ptr null)
  br label %look
look:
  %size = load i64, ptr %size.p
  %more = icmp sgt i64 %size, 1
  br i1 %more, label %one, label %done
one:
  %less = sub i64 %size, 1
  %handle.p = getelementptr i64, ptr @{n}_handles, i64 %less
  %handle = load i64, ptr %handle.p
  %joined = call i32 @pthread_join(i64 %handle, ptr null)
  store i64 %less, ptr %size.p
  br label %look
done:
  %open.p = getelementptr i8, ptr @{n}_team, i64 4
  store atomic i32 0, ptr %open.p seq_cst, align 4
  ret void
}}
"""

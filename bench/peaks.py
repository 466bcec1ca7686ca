"""What this machine can do: multiply-adds and copies a second, measured by generated code.

    python -m bench.peaks [--threads N]

The code is made by Twofold's own JIT and run by its own pool, so a kernel that reaches a peak
shown here has nothing left to win.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass

import numpy as np

from twofold import config, engine, machine
from twofold.codegen.jit import compile_text
from twofold.machine import Target
from twofold.runtime.buffers import Buffer
from twofold.runtime.plan import Plan, PlanLaunch

ROUNDS = 20_000
"""Trips through the multiply-add loop in one work item."""

COPY_BYTES = 128 << 20
"""Size of the array that is copied: several times the last cache."""

BLOCK_BYTES = 256 << 10
"""Bytes copied by one work item."""

_HEADER = "define void @{name}(ptr %bases, ptr %args, i64 %begin, i64 %end, i64 %worker) {{\n"


@dataclass(frozen=True)
class Peaks:
    """Float32 operations a second (a multiply-add counts two), and bytes a second read plus written
    by a large copy with ordinary and with streaming stores."""

    threads: int
    flops: float
    copy: float
    copy_streaming: float

    @property
    def bandwidth(self) -> float:
        """The faster copy."""
        return max(self.copy, self.copy_streaming)


def multiply_add_text(name: str, target: Target) -> tuple[str, int]:
    """A kernel of independent multiply-adds in registers, and its operations in one work item."""
    lanes = target.lanes(4)
    accumulators = 24 if target.vector_registers == 32 else 12
    v = f"<{lanes} x float>"
    lines = [
        _HEADER.format(name=name),
        "entry:\n %slot = load i64, ptr %args\n %base.p = getelementptr i64, ptr %bases, i64 %slot",
        f" %base = load ptr, ptr %base.p\n %a = load {v}, ptr %base, align 64",
        f" %b.p = getelementptr i8, ptr %base, i64 64\n %b = load {v}, ptr %b.p, align 64",
        " %n = sub i64 %end, %begin",
        f" %trips = mul i64 %n, {ROUNDS}",
    ]
    # Each from a value of its own: alike, they would be computed once.
    for k in range(accumulators):
        one = ", ".join([f"float {k}.0"] * lanes)
        lines.append(f" %z{k} = fadd {v} %a, <{one}>")
    lines.append(" br label %loop\nloop:\n %i = phi i64 [ 0, %entry ], [ %i.next, %loop ]")
    for k in range(accumulators):
        lines.append(f" %x{k} = phi {v} [ %z{k}, %entry ], [ %y{k}, %loop ]")
    for k in range(accumulators):
        if target.has_fma:
            lines.append(f" %y{k} = call {v} @llvm.fma.v{lanes}f32({v} %x{k}, {v} %a, {v} %b)")
        else:
            lines.append(f" %m{k} = fmul {v} %x{k}, %a\n %y{k} = fadd {v} %m{k}, %b")
    lines.append(" %i.next = add i64 %i, 1\n %more = icmp ult i64 %i.next, %trips")
    lines.append(" br i1 %more, label %loop, label %done\ndone:")
    total = "%y0"
    for k in range(1, accumulators):
        lines.append(f" %s{k} = fadd {v} {total}, %y{k}")
        total = f"%s{k}"
    lines.append(" %offset = mul i64 %worker, 128\n %out.o = add i64 %offset, 128")
    lines.append(" %out = getelementptr i8, ptr %base, i64 %out.o")
    lines.append(f" store {v} {total}, ptr %out, align 64\n ret void\n}}")
    if target.has_fma:
        lines.append(f"declare {v} @llvm.fma.v{lanes}f32({v}, {v}, {v})")
    return "\n".join(lines), ROUNDS * accumulators * lanes * 2


def copy_text(name: str, target: Target, streaming: bool) -> str:
    """A kernel that copies blocks, four vectors a trip."""
    size = target.vector_bytes
    v = f"<{size // 4} x float>"
    hint = ", !nontemporal !0" if streaming else ""
    lines = [
        _HEADER.format(name=name),
        "entry:\n %from.s = load i64, ptr %args\n %to.sp = getelementptr i64, ptr %args, i64 1",
        " %to.s = load i64, ptr %to.sp\n %from.p = getelementptr i64, ptr %bases, i64 %from.s",
        " %from = load ptr, ptr %from.p\n %to.p = getelementptr i64, ptr %bases, i64 %to.s",
        f" %to = load ptr, ptr %to.p\n %first = mul i64 %begin, {BLOCK_BYTES}",
        f" %last = mul i64 %end, {BLOCK_BYTES}\n br label %loop\nloop:",
        " %at = phi i64 [ %first, %entry ], [ %next, %loop ]",
    ]
    for k in range(4):
        lines.append(
            f" %o{k} = add i64 %at, {k * size}\n %p{k} = getelementptr i8, ptr %from, i64 %o{k}"
        )
        lines.append(f" %x{k} = load {v}, ptr %p{k}, align 64")
    for k in range(4):
        lines.append(f" %q{k} = getelementptr i8, ptr %to, i64 %o{k}")
        lines.append(f" store {v} %x{k}, ptr %q{k}, align {min(size, 64)}{hint}")
    lines.append(f" %next = add i64 %at, {4 * size}\n %more = icmp ult i64 %next, %last")
    lines.append(" br i1 %more, label %loop, label %done\ndone:\n ret void\n}")
    if streaming:
        lines.append("!0 = !{i32 1}")
    return "\n".join(lines)


def _fastest(plan: Plan, addresses: list[tuple[int, int]], seconds: float) -> float:
    """The least time of a run of `plan`."""
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        plan.run(engine.team(), addresses)
        best = min(best, time.perf_counter() - begin)
    return best


def measure(threads: int, seconds: float = 0.5) -> Peaks:
    """The peaks with `threads` threads."""
    options = config.current()
    with config.override(threads=threads):
        target = machine.target_for(options.target)
        text, operations = multiply_add_text("peak_fma", target)
        (address,) = compile_text(text, ["peak_fma"], target)
        small = Buffer(128 * (threads + 2))
        small.as_numpy(np.dtype(np.float32), (small.n_bytes // 4,))[:] = 0.5
        items = threads * 8
        plan = Plan([PlanLaunch(address, [3], items, 1, False)], 4, 0, 0)
        flops = operations * items / _fastest(plan, [(3, small.address)], seconds)
        source, to = Buffer(COPY_BYTES), Buffer(COPY_BYTES)
        for buffer in (source, to):
            buffer.as_numpy(np.dtype(np.uint8), (COPY_BYTES,))[:] = 1
        rates = []
        for streaming in (False, True):
            name = "peak_copy_streaming" if streaming else "peak_copy"
            (address,) = compile_text(copy_text(name, target, streaming), [name], target)
            launch = PlanLaunch(address, [3, 4], COPY_BYTES // BLOCK_BYTES, 1, False)
            plan = Plan([launch], 5, 0, 0)
            took = _fastest(plan, [(3, source.address), (4, to.address)], seconds)
            rates.append(2 * COPY_BYTES / took)
    return Peaks(threads, flops, *rates)


def main() -> None:
    """Print the peaks as JSON."""
    parser = argparse.ArgumentParser(prog="bench.peaks")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--seconds", type=float, default=0.5)
    args = parser.parse_args()
    print(json.dumps(asdict(measure(args.threads, args.seconds))))


if __name__ == "__main__":
    main()

"""What a machine is: the vector units, caches and registers that schedules and emitters ask
about."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path

import llvmlite.binding as llvm


@dataclass(frozen=True)
class Target:
    """A processor to make code for, as plain data. Part of every kernel's cache key."""

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int
    has_fma: bool
    l1_bytes: int = 32 << 10
    l2_bytes: int = 512 << 10
    l3_bytes: int = 8 << 20

    def lanes(self, itemsize: int) -> int:
        """Elements of `itemsize` bytes in one vector register."""
        return self.vector_bytes // itemsize


LEVELS = {
    "x86-64-v2": ("x86-64-v2", 16, 16, False),
    "x86-64-v3": ("x86-64-v3", 32, 16, True),
    "x86-64-v4": ("x86-64-v4", 64, 32, True),
}
"""Name of a level of the x86-64 psABI: LLVM's cpu, bytes of a vector, vector registers, FMA."""

OTHERS = {
    t.name: t
    for t in (
        Target("aarch64", "aarch64-unknown-linux-gnu", "cortex-a76", "", 16, 32, True),
        Target("aarch64-android", "aarch64-linux-android21", "cortex-a55", "", 16, 32, True),
        Target("aarch64-ios", "aarch64-apple-ios13.0.0", "apple-a12", "", 16, 32, True),
        Target("armv7", "armv7-unknown-linux-gnueabihf", "cortex-a7", "", 16, 16, True),
        Target("riscv64", "riscv64-unknown-linux-gnu", "", "+m,+a,+f,+d,+c", 16, 32, True),
        Target("wasm32", "wasm32-unknown-unknown", "", "+simd128,+bulk-memory", 16, 16, False),
    )
}
"""Processors that programs are exported for, besides those that run Twofold, by name."""


@functools.cache
def target_for(name: str = "host") -> Target:
    """The target called `name`: "host", a level of x86-64 such as "x86-64-v3", or one of `OTHERS`.

    >>> target_for("x86-64-v3").lanes(4)
    8
    """
    if name == "host":
        return _host()
    if name in LEVELS:
        cpu, vector_bytes, registers, has_fma = LEVELS[name]
        triple = "x86_64-unknown-linux-gnu"
        return _caches(Target(name, triple, cpu, "", vector_bytes, registers, has_fma))
    if name in OTHERS:
        return OTHERS[name]
    known = ", ".join(["host", *LEVELS, *OTHERS])
    raise ValueError(f"[target] an unknown processor; got {name!r}; try one of {known}")


def _host() -> Target:
    cpu = llvm.get_host_cpu_name()
    flags = llvm.get_host_cpu_features()
    features = flags.flatten()
    triple = llvm.get_default_triple()
    if triple.startswith("x86_64"):
        has_fma = bool(flags.get("fma"))
        if flags.get("avx512f") and flags.get("avx512vl") and flags.get("avx512bw"):
            shape = (64, 32)
        elif flags.get("avx2"):
            shape = (32, 16)
        else:
            shape = (16, 16)
    else:
        shape, has_fma = (16, 32), True
    return _caches(Target("host", triple, cpu, features, *shape, has_fma))


def _caches(target: Target) -> Target:
    """`target` with the cache sizes that Linux tells of this machine, where it tells them."""
    sizes: dict[str, int] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level = (folder / "level").read_text().strip()
            kind = (folder / "type").read_text().strip()
            size = (folder / "size").read_text().strip()
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            sizes[f"l{level}_bytes"] = int(size[:-1]) << 10
    known = {key: sizes[key] for key in ("l1_bytes", "l2_bytes", "l3_bytes") if key in sizes}
    return replace(target, **known)  # type: ignore[arg-type]


@functools.cache
def cores() -> int:
    """Cores this process may use, by its affinity mask and its control group's quota."""
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota = cgroup_quota()
    return max(1, min(usable, round(quota))) if quota else max(1, usable)


def cgroup_quota() -> float | None:
    """CPU quota of this process's control group in cores, of version 2 or 1; None without one."""
    try:
        quota, per = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(per)
    except (OSError, ValueError):
        pass
    try:
        limit = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text())
        period = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text())
        return limit / period if limit > 0 else None
    except (OSError, ValueError):
        return None

"""`twofold doctor`: what the machine offers, and whether all works on it."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

from .. import config, machine
from ..autograd_api import no_grad
from ..codegen import jit
from ..creation import from_numpy, tensor
from ..functions.random import Generator, rand
from ..functions.reduction import sum as sum_of
from ..runtime.disk_cache import LIMIT_BYTES
from ..tensor import Tensor
from .parser import Parser
from .terminal import label, styled, waiting
from .version import version

EXTRAS = ("mlxtend", "matplotlib", "pillow", "tqdm")


def add_arguments(parser: Parser) -> None:
    """The arguments of `twofold doctor`."""
    parser.description = (
        "Print what Twofold sees of this machine (vector units, cores, caches, the folder of\n"
        "compiled kernels, devices, versions), and test that compiled code gives right results."
    )
    parser.epilog = "examples:\n  twofold doctor\n  TWOFOLD_TARGET=x86-64-v3 twofold doctor"


def run(options: argparse.Namespace) -> int:
    """Print the report; gives 1 if a test fails."""
    for name, text in _report():
        print(f"{label(name)}{text}", flush=True)
    print()
    failures = 0
    for name, test in TESTS.items():
        begin = time.perf_counter()
        with waiting(lambda name=name: f"{label('testing')}{name}"):  # type: ignore[misc]
            try:
                result, passed = test(), True
            except Exception as error:
                result, passed = f"{type(error).__name__}: {error}", False
        failures += not passed
        mark = styled("ok    ", "green") if passed else styled("FAILED", "red")
        seconds = time.perf_counter() - begin
        print(f"{mark}    {name:<42} {result}  ({seconds:.2f} s)", flush=True)
    print()
    if failures:
        print(styled(f"{failures} of {len(TESTS)} tests failed", "red"))
        return 1
    print(styled("all is well", "green"))
    return 0


def _report() -> Iterator[tuple[str, str]]:
    target = machine.target_for(config.current().target)
    yield "twofold", f"{version() or 'not installed, run from source'}, {Path(__file__).parents[1]}"
    yield (
        "python",
        f"{platform.python_version()}, NumPy {np.__version__}, llvmlite {version('llvmlite')} "
        f"(LLVM {'.'.join(map(str, llvm.llvm_version_info))})",
    )
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield "processor", f"{_processor_name()} ({llvm.get_host_cpu_name()})"
    yield "vectors", _vectors(target)
    yield "cores", _cores()
    yield "threads", f"{config.current().threads} run a plan"
    caches = (target.l1_bytes, target.l2_bytes, target.l3_bytes)
    yield "caches", ", ".join(f"L{i} {_size(n)}" for i, n in enumerate(caches, 1))
    yield "memory", _memory()
    yield "kernels", _kernel_cache()
    yield "devices", f"cpu ({config.current().backend} backend, target {target.name})"
    found = [f"{name} {version(name) or 'missing'}" for name in EXTRAS]
    yield "extras", ", ".join(found)


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _vectors(target: machine.Target) -> str:
    names = {64: "AVX-512", 32: "AVX2", 16: "SSE"}
    if not target.triple.startswith("x86"):
        names = {16: "NEON"}
    fma = "with" if target.has_fma else "without"
    text = (
        f"{names.get(target.vector_bytes, 'vectors')}: {target.vector_registers} registers of "
        f"{8 * target.vector_bytes} bits, {fma} fused multiply-add"
    )
    flags = llvm.get_host_cpu_features()
    extra = [name for name in ("avx512bf16", "avx512fp16", "avx512vnni", "amx-bf16", "f16c", "bf16")
             if flags.get(name)]  # fmt: skip
    return f"{text} ({', '.join(extra)})" if extra else text


def _cores() -> str:
    host = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else host
    quota = machine.cgroup_quota()
    limit = "no quota" if quota is None else f"a quota of {quota:g}"
    return f"{machine.cores()} usable ({host} on the host, {allowed} allowed, {limit})"


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    limits = [total]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):
            continue
    least = min(limits)
    return _size(total) if least == total else f"{_size(least)} allowed, {_size(total)} on the host"


def _kernel_cache() -> str:
    folder = config.current().cache_dir
    if folder is None:
        return "kept in memory only (TWOFOLD_CACHE_DIR is empty)"
    path = Path(folder)
    if not path.exists():
        return f"{folder}, not made yet"
    sizes = [entry.stat().st_size for entry in os.scandir(path) if entry.is_file()]
    state = "writable" if os.access(path, os.W_OK) else styled("read-only", "yellow")
    return f"{folder}: {len(sizes):,} of {_size(sum(sizes))}, at most {_size(LIMIT_BYTES)}, {state}"


def _size(n_bytes: int) -> str:
    """Bytes in the unit that keeps the number short.

    >>> _size(512), _size(48 << 10), _size(3 << 29)
    ('512 B', '48 KiB', '1.5 GiB')
    """
    value, unit = float(n_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.1f} {unit}" if value < 10 and value % 1 else f"{value:.0f} {unit}"


def _check(ours: np.ndarray, wanted: np.ndarray, tolerance: float) -> str:
    """The largest difference in words. AssertionError if it is beyond the tolerance."""
    error = float(np.abs(ours.astype(np.float64) - wanted).max() / max(np.abs(wanted).max(), 1e-30))
    assert error <= tolerance, f"off by {error:.1e}, allowed are {tolerance:.0e}"
    return f"off by {error:.0e}"


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _test_elementwise() -> str:
    x = _random(10_007)
    return _check(
        (from_numpy(x).tanh().exp() + 1).numpy(), np.exp(np.tanh(x, dtype=float)) + 1, 1e-6
    )


def _test_product() -> str:
    n = 1024
    a, b = from_numpy(_random(n, n)), from_numpy(_random(n, n))
    text = _check((a @ b).numpy(), a.numpy().astype(float) @ b.numpy(), 1e-5)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        (a @ b).numpy()
        best = min(best, time.perf_counter() - begin)
    return f"{text}, {2 * n**3 / best / 1e9:.0f} GFLOP/s"


def _test_bandwidth() -> str:
    x = from_numpy(np.ones(1 << 24, np.float32))
    best = float("inf")
    with no_grad():
        for _ in range(4):
            begin = time.perf_counter()
            result = (x + 1)._array()
            best = min(best, time.perf_counter() - begin)
    assert float(result[-1]) == 2.0
    return f"{2 * x.nbytes / best / 1e9:.0f} GB/s"


def _test_gradient() -> str:
    x = tensor(_random(64, 32), requires_grad=True)
    sum_of(x.sigmoid() ** 2).backward()
    s = 1 / (1 + np.exp(-x.detach().numpy().astype(float)))
    assert isinstance(x.grad, Tensor)
    return _check(x.grad.numpy(), 2 * s * s * (1 - s), 1e-5)


def _test_random() -> str:
    def drawn() -> np.ndarray:
        return rand(100_000, generator=Generator().manual_seed(7)).numpy()

    first = drawn()
    with config.override(threads=1):
        assert (first == drawn()).all(), "the same seed gave other numbers on one thread"
    mean = float(first.mean())
    assert abs(mean - 0.5) < 0.01, f"the mean of uniform numbers is {mean}"
    return f"mean {mean:.4f}"


def _test_cache() -> str:
    cache = jit.disk_cache()
    if config.current().cache_dir is None:
        return "switched off"
    key = f"doctor-{os.getpid()}"
    cache.put(key, b"entry")
    assert cache.folder is not None, "the folder cannot be used"
    try:
        assert cache.get(key) == b"entry", "an entry that was written could not be read"
    finally:
        (cache.folder / key).unlink(missing_ok=True)
    return f"{jit.counts['compiled']} kernels compiled, {jit.counts['from_disk']} read from it"


TESTS: dict[str, Callable[[], str]] = {
    "elementwise functions against NumPy": _test_elementwise,
    "product of 1024 x 1024 matrices": _test_product,
    "adding to 16 million numbers": _test_bandwidth,
    "a gradient against its formula": _test_gradient,
    "random numbers on one thread and on all": _test_random,
    "the cache of kernels on disk": _test_cache,
}

"""Shared libraries and WebAssembly modules from objects, by a linker that is there.

Twofold makes objects itself. To link one it asks `cc`, or the linker in the package `ziglang`
(the extra `link`), which also links for other systems than this one.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from .. import machine

_ZIG = {
    "aarch64": "aarch64-linux-gnu", "aarch64-android": "aarch64-linux-musl",
    "armv7": "arm-linux-gnueabihf", "riscv64": "riscv64-linux-gnu",
    "x86-64-v2": "x86_64-linux-gnu", "x86-64-v3": "x86_64-linux-gnu",
    "x86-64-v4": "x86_64-linux-gnu",
}  # fmt: skip
"""Zig's name of the system of each target, by the target's."""


class LinkError(RuntimeError):
    """There is no linker for a target, or it failed."""


def link(object_path: Path, name: str, target: str, threads: int = 1) -> Path:
    """Link NAME.o into NAME.so, or for WebAssembly into NAME.wasm, which exports NAME_run, its
    memory and `__heap_base`, the first free byte. LinkError without a linker, or where it fails."""
    if target == "wasm32":
        made = object_path.with_suffix(".wasm")
        words = ["--no-entry", f"--export={name}_run", "--export=__heap_base", "-o", str(made)]
        command = [*_wasm_linker(), *words, str(object_path)]
    else:
        made = object_path.with_suffix(".so")
        extra = ["-pthread"] if threads > 1 else []
        command = [*_compiler(target), "-shared", *extra, "-o", str(made), str(object_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LinkError(f"[link] {command[0]} failed: {done.stderr.strip()[:500]}")
    return made


def _zig() -> list[str]:
    """The command of the package `ziglang`; empty where it is not installed."""
    there = importlib.util.find_spec("ziglang") is not None
    return [sys.executable, "-m", "ziglang"] if there else []


def _compiler(target: str) -> list[str]:
    native = machine.target_for("host").triple.split("-")[0]
    is_native = machine.target_for(target).triple.startswith(native) and "ios" not in target
    cc = shutil.which("cc")
    if is_native and cc:
        return [cc]
    if _zig() and (target in _ZIG or target == "host"):
        system = ["-target", _ZIG[target]] if target in _ZIG else []
        return [*_zig(), "cc", *system]
    raise LinkError(
        f"[link] no linker for {target} is here; try pip install 'twofold[link]', or link the "
        "object with that system's own tools"
    )


def _wasm_linker() -> list[str]:
    found = shutil.which("wasm-ld")
    if found:
        return [found]
    if _zig():
        return [*_zig(), "wasm-ld"]
    raise LinkError("[link] no wasm-ld is here; try pip install 'twofold[link]'")

"""What needs no extra package is there without any."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import importlib, sys

class Bare:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        known = {"twofold", "numpy", "llvmlite", *sys.stdlib_module_names}
        if top not in known and not top.startswith("_"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Bare())
for name in sys.argv[1:]:
    importlib.import_module(name)
print("all")
"""

MODULES = (
    "", ".static", ".run.theano", ".run.tensorflow", ".onnx", ".deploy", ".jit", ".profiler", ".fx",
    ".func", ".models", ".models.language", ".distributions", ".sparse", ".utils.data",
    ".array_api", ".cli.main", ".cli.train", ".cli.run", ".cli.export", ".cli.generate",
    ".cli.time", ".cli.doctor",
)  # fmt: skip


def _loaded(*names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *[f"twofold{name}" for name in names]]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_modules_are_loaded_by_numpy_and_llvmlite_alone() -> None:
    """In a process that finds no other package."""
    done = _loaded(*MODULES)
    assert done.stdout == "all\n", done.stderr


def test_what_needs_a_package_names_it() -> None:
    """And the extra that brings it."""
    for name, extra in (
        (".vision", "twofold[vision]"),
        (".utils.tensorboard", "twofold[tensorboard]"),
    ):
        assert extra in _loaded(name).stderr.splitlines()[-1]

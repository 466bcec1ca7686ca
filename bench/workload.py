"""What a workload is, and the table of all of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Step = Callable[[], Any]
"""Does the work once, to the end, and gives what is compared between contestants."""

ALL_PEERS = ("torch", "torch-compiled", "jax", "onnxruntime")


@dataclass(frozen=True)
class Workload:
    """Work that contestants do.

    `cases` are parameter sets by name; every function below takes a case's parameters by keyword.
    `torch(framework, **case)` prepares the work in PyTorch's API, which is Twofold's too, and gives
    a `Step`; `jax(framework, **case)` does so in JAX, `onnxruntime` in ONNX Runtime.
    `once(framework, **case)` is for work that is
    done once in a fresh process: it gives the number measured, in `unit`.

    `flops` and `n_bytes` count a step's work, each tensor once. `per` divides the time (operations
    in a step). `target` is the least ratio of the best peer's median to Twofold's; `limit` the most
    that Twofold's own number may be. Results must agree within `tolerance`, relative to the largest
    value, after `check_steps` steps. `layouts` adds contestants that store images
    channels last: PyTorch ("peers"), or Twofold too ("all").
    """

    name: str
    summary: str
    cases: dict[str, dict[str, Any]]
    torch: Callable[..., Step] | None = None
    jax: Callable[..., Step] | None = None
    onnxruntime: Callable[..., Step] | None = None
    once: Callable[..., float] | None = None
    flops: Callable[..., float] | None = None
    n_bytes: Callable[..., float] | None = None
    peers: Sequence[str] = ALL_PEERS
    layouts: str = ""
    per: int = 1
    unit: str = "s"
    target: float | None = None
    limit: float | None = None
    tolerance: float = 1e-4
    check_steps: int = 1
    quick: int = 1

    def prepare(self, library: str) -> Callable[..., Step] | None:
        """What prepares the work in a library, if it can."""
        others = {"jax": self.jax, "onnxruntime": self.onnxruntime}
        return others.get(library, self.torch)

    def selected(self, quick: bool, text: str | None) -> dict[str, dict[str, Any]]:
        """The cases to run: the first few with `quick`, and those whose name holds `text`."""
        names = list(self.cases)
        if text is not None:
            names = [n for n in names if text in n]
        return {n: self.cases[n] for n in (names[: self.quick] if quick else names)}


registry: dict[str, Workload] = {}


def add(workload: Workload) -> Workload:
    """Put a workload into the table."""
    if workload.name in registry:
        raise ValueError(f"[bench] two workloads are called {workload.name!r}")
    registry[workload.name] = workload
    return workload


def load_all() -> dict[str, Workload]:
    """Every workload of `bench/workloads/`, by name."""
    package = importlib.import_module("bench.workloads")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"bench.workloads.{module.name}")
    return registry

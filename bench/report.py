"""Results as text and as JSON."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from math import exp, log
from statistics import quantiles
from typing import Any

from twofold import machine

from .peaks import Peaks
from .run import CaseResult, Result

_SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def duration(seconds: float) -> str:
    """Seconds with a unit that suits them.

    >>> duration(0.00123)
    '1.23 ms'
    """
    for scale, unit in _SCALES:
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 1000 else f"{seconds:.0f} s"
    return f"{seconds * 1e9:.2g} ns"


def quantity(value: float, unit: str) -> str:
    """A value in the workload's unit."""
    return duration(value) if unit == "s" else f"{value:.4g} {unit}"


def rate_text(case: CaseResult, result: Result, peaks: Peaks) -> str:
    """GFLOP/s or GB/s, and how much of the machine's peak that is."""
    w = case.workload
    if result.value is None:
        return ""
    parameters = w.cases[case.case]
    step = result.value * w.per
    if w.flops is not None:
        rate = w.flops(**parameters) / step
        return f"{rate / 1e9:7.1f} GFLOP/s {100 * rate / peaks.flops:3.0f} %"
    if w.n_bytes is not None:
        rate = w.n_bytes(**parameters) / step
        return f"{rate / 1e9:7.1f} GB/s {100 * rate / peaks.bandwidth:3.0f} %"
    return ""


def spread(samples: Sequence[float]) -> str:
    """The middle half of the samples, relative to their median."""
    if len(samples) < 4:
        return ""
    low, middle, high = quantiles(samples, n=4)
    return f"±{50 * (high - low) / middle:.0f} %" if middle else ""


def case_text(case: CaseResult, peaks: Peaks) -> str:
    """The table of one case."""
    w = case.workload
    count = f"{case.threads} thread" + "s" * (case.threads != 1)
    lines = [f"{w.name} {case.case} ({count})"]
    mine = case.mine
    for r in case.results:
        if r.error is not None or r.value is None:
            lines.append(f"  {r.contestant:16s} failed: {r.error}")
            continue
        ratio = ""
        if r is not mine and mine is not None and mine.value:
            ratio = f"{r.value / mine.value:.2f}x"
        peak = f"{r.peak / 2**20:.0f} MB" if r.peak else ""
        lines.append(
            f"  {r.contestant:16s}{quantity(r.value, w.unit):>11s} {spread(r.samples):>6s}"
            f" {ratio:>7s} {rate_text(case, r, peaks):>24s} {peak:>9s}"
        )
    if not case.agrees:
        bad = ", ".join(
            f"{r.contestant} by {r.difference:.1e}"
            for r in case.results
            if (r.difference or 0.0) > w.tolerance
        )
        lines.append(f"  DISAGREE beyond {w.tolerance:.0e} of the largest value: {bad}")
    return "\n".join(lines)


def verdict(case: CaseResult) -> str:
    """Whether the number asked for is reached: "yes", "no" or "" where none is asked."""
    w, mine = case.workload, case.mine
    if mine is None or mine.value is None:
        return "no" if w.target is not None or w.limit is not None else ""
    ok = []
    if w.limit is not None:
        ok.append(mine.value <= w.limit)
    if w.target is not None and case.ratio is not None:
        ok.append(case.ratio >= w.target)
    return "" if not ok else "yes" if all(ok) else "no"


def summary_text(cases: Sequence[CaseResult]) -> str:
    """One line a case, and the geometric mean of each workload's ratios."""
    lines = [
        f"{'workload':34s} {'thr':>3s} {'Twofold':>11s}  {'best peer':26s} {'ratio':>6s}  asked"
    ]
    groups: dict[tuple[str, int], list[float]] = {}
    for case in cases:
        mine, peer, w = case.mine, case.best_peer, case.workload
        value = quantity(mine.value, w.unit) if mine and mine.value is not None else "failed"
        other = f"{quantity(peer.value, w.unit)} {peer.contestant}" if peer and peer.value else ""
        ratio = f"{case.ratio:.2f}" if case.ratio is not None else ""
        asked = []
        if w.target is not None:
            asked.append(f">= {w.target}")
        if w.limit is not None:
            asked.append(f"<= {quantity(w.limit, w.unit)}")
        name = f"{w.name} {case.case}"
        lines.append(
            f"{name:34s} {case.threads:3d} {value:>11s}  {other:26s} {ratio:>6s}  "
            f"{' '.join(asked):12s} {verdict(case)}"
        )
        if case.ratio is not None:
            groups.setdefault((w.name, case.threads), []).append(case.ratio)
    for (name, threads), ratios in groups.items():
        if len(ratios) > 1:
            mean = exp(sum(map(log, ratios)) / len(ratios))
            lines.append(
                f"{name + ', geometric mean':34s} {threads:3d} {'':11s}  {'':26s} {mean:6.2f}"
            )
    return "\n".join(lines)


def as_json(cases: Sequence[CaseResult], peaks: Sequence[Peaks]) -> dict[str, Any]:
    """All of it, samples included."""
    return {
        "machine": {"processor": machine.target_for("host").cpu, **versions()},
        "peaks": [{**asdict(p), "bandwidth": p.bandwidth} for p in peaks],
        "cases": [
            {
                "workload": c.workload.name,
                "case": c.case,
                "threads": c.threads,
                "unit": c.workload.unit,
                "ratio": c.ratio,
                "target": c.workload.target,
                "limit": c.workload.limit,
                "agrees": c.agrees,
                "results": [{**asdict(r), "value": r.value} for r in c.results],
            }
            for c in cases
        ],
    }


def versions() -> dict[str, str]:
    """Versions of what was measured."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "llvmlite", "torch", "jax"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found

"""What `--json` wrote, as Markdown tables.

    python -m bench.table FILE... [--summary] [--into docs/benchmarks.md]

With `--into`, the tables replace what stands between the document's two markers. `--summary` gives
one row for each workload, with all cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from math import exp, log
from pathlib import Path
from typing import Any

from .report import quantity
from .workload import Workload, load_all

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def tables(files: Iterable[Path]) -> str:
    """All cases of all files, a table for each workload; the latest result of a case counts."""
    machine, peaks, cases = _read(files)
    lines = [_machine_text(machine), "", _peaks_table(peaks)]
    for name, workload in load_all().items():
        own = [c for key, c in cases.items() if key[0] == name]
        if own:
            lines += ["", _workload_table(workload, own, peaks)]
    return "\n".join(lines)


def summary(files: Iterable[Path]) -> str:
    """A row for each workload of which something is asked: its one case, or the geometric mean of
    its ratios."""
    machine, _, cases = _read(files)
    threads = max((key[2] for key in cases), default=1)
    lines = [
        f"On {threads} threads of one machine ({machine.get('processor')}):",
        "",
        "| `python -m bench ...` | what | Twofold | best peer | ratio | asked |",
        "|---|---|---|---|---|---|",
    ]
    for name, workload in load_all().items():
        own = [c for (w, _, t), c in cases.items() if w == name and t == threads]
        if own and (workload.target is not None or workload.limit is not None):
            lines.append(_summary_row(workload, own))
    return "\n".join(lines)


def _summary_row(workload: Workload, cases: Sequence[dict[str, Any]]) -> str:
    ratios = [c["ratio"] for c in cases if c["ratio"]]
    ratio = f"{exp(sum(map(log, ratios)) / len(ratios)):.2f}" if ratios else ""
    asked = f"{workload.target}" if workload.target is not None else ""
    if workload.limit is not None:
        asked += f"at most {quantity(workload.limit, workload.unit)}"
    peer = _best(cases[0])[1]
    if len(cases) > 1 and ratios:
        own, other = f"{len(cases)} cases", "geometric mean"
    else:
        values = [m["value"] for m, _ in map(_best, cases) if m is not None]
        own = ", ".join(quantity(v, workload.unit) for v in values) or "failed"
        other = f"{quantity(peer['value'], workload.unit)}, {peer['contestant']}" if peer else ""
    return f"| `{workload.name}` | {workload.summary} | {own} | {other} | {ratio} | {asked} |"


Cases = dict[tuple[str, str, int], dict[str, Any]]


def _read(files: Iterable[Path]) -> tuple[dict[str, str], dict[int, dict[str, Any]], Cases]:
    """The machine, the best peaks by threads, and the latest result of each case."""
    cases: Cases = {}
    peaks: dict[int, dict[str, Any]] = {}
    machine: dict[str, str] = {}
    for file in files:
        data = json.loads(file.read_text(encoding="utf-8"))
        machine.update(data["machine"])
        for peak in data["peaks"]:
            best = peaks.setdefault(peak["threads"], peak)
            for name in ("flops", "copy", "copy_streaming", "bandwidth"):
                best[name] = max(best[name], peak[name])
        for case in data["cases"]:
            cases[case["workload"], case["case"], case["threads"]] = case
    return machine, peaks, cases


def _best(case: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Twofold's result and the best peer's."""
    ran = [r for r in case["results"] if r["value"] is not None]
    own = [r for r in ran if r["contestant"].startswith("twofold")]
    others = [r for r in ran if not r["contestant"].startswith("twofold")]
    mine = min(own, key=lambda r: r["value"], default=None)
    return mine, min(others, key=lambda r: r["value"], default=None)


def _machine_text(machine: dict[str, str]) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in machine.items() if k != "processor")
    return f"Processor: {machine.get('processor')}. Versions: {versions}."


def _peaks_table(peaks: dict[int, dict[str, Any]]) -> str:
    lines = ["| threads | float32 | copy | copy, streaming stores |", "|---|---|---|---|"]
    for threads in sorted(peaks):
        p = peaks[threads]
        lines.append(
            f"| {threads} | {p['flops'] / 1e9:.0f} GFLOP/s | {p['copy'] / 1e9:.1f} GB/s | "
            f"{p['copy_streaming'] / 1e9:.1f} GB/s |"
        )
    return "\n".join(lines)


def _workload_table(
    workload: Workload, cases: Sequence[dict[str, Any]], peaks: dict[int, dict[str, Any]]
) -> str:
    asked = []
    if workload.target is not None:
        asked.append(f"at least {workload.target} x the best peer")
    if workload.limit is not None:
        asked.append(f"at most {quantity(workload.limit, workload.unit)}")
    goal = f" Asked: {' and '.join(asked)}." if asked else ""
    lines = [
        f"### `{workload.name}`",
        "",
        f"{workload.summary[0].upper()}{workload.summary[1:]}.{goal}",
        "",
        "| case | threads | Twofold | of the peak | best peer | ratio | peak memory, peer's |",
        "|---|---|---|---|---|---|---|",
    ]
    ratios: dict[int, list[float]] = {}
    for case in sorted(cases, key=lambda c: -c["threads"]):
        lines.append(_case_row(workload, case, peaks[case["threads"]]))
        if case["ratio"]:
            ratios.setdefault(case["threads"], []).append(case["ratio"])
    for threads, values in ratios.items():
        if len(values) > 1:
            mean = exp(sum(map(log, values)) / len(values))
            lines.append(f"| **geometric mean** | {threads} | | | | **{mean:.2f}** | |")
    return "\n".join(lines)


def _case_row(workload: Workload, case: dict[str, Any], peak: dict[str, Any]) -> str:
    mine, peer = _best(case)
    if mine is None:
        return f"| {case['case']} | {case['threads']} | failed | | | | |"
    share = ""
    parameters = workload.cases[case["case"]]
    step = mine["value"] * workload.per
    if workload.flops is not None:
        share = f"{100 * workload.flops(**parameters) / step / peak['flops']:.0f} %"
    elif workload.n_bytes is not None:
        share = f"{100 * workload.n_bytes(**parameters) / step / peak['bandwidth']:.0f} %"
    other = f"{quantity(peer['value'], workload.unit)}, {peer['contestant']}" if peer else ""
    ratio = f"{case['ratio']:.2f}" if case["ratio"] else ""
    memory = f"{mine['peak'] / 2**20:.0f} MB" if mine["peak"] else ""
    if peer and peer["peak"]:
        memory += f", {peer['peak'] / 2**20:.0f} MB"
    return (
        f"| {case['case']} | {case['threads']} | {quantity(mine['value'], workload.unit)} | "
        f"{share} | {other} | {ratio} | {memory} |"
    )


def main() -> int:
    """Print the tables, or put them into a document."""
    parser = argparse.ArgumentParser(prog="python -m bench.table")
    parser.add_argument("file", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, help="a document with the two markers")
    parser.add_argument("--summary", action="store_true", help="one row for each workload")
    args = parser.parse_args()
    text = (summary if args.summary else tables)(args.file)
    if args.into is None:
        print(text)
        return 0
    document = args.into.read_text(encoding="utf-8")
    head, rest = document.split(BEGIN)
    tail = rest.split(END)[1]
    args.into.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

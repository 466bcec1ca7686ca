"""The command line: see `bench/__init__.py`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twofold import machine

from .peaks import Peaks
from .report import as_json, case_text, summary_text
from .run import ROOT, CaseResult, run_workload
from .workload import ALL_PEERS, Workload, load_all

_EXAMPLE = "example: python -m bench matmul softmax --peer torch --threads 2 --json results.json"


def main() -> int:
    """Run the workloads that the command line names; 1 if Twofold failed or results disagree."""
    args = _parser().parse_args()
    table = load_all()
    if args.list:
        for w in table.values():
            print(f"{w.name:16s} {w.summary}\n{'':16s} cases: {', '.join(w.cases)}")
        return 0
    names = list(table) if "all" in args.workload else args.workload
    unknown = [n for n in names if n not in table]
    if unknown or not names:
        what = f"no workload is called {', '.join(unknown)}" if unknown else "no workload is named"
        print(f"[bench] {what}; try one of: all {' '.join(table)}", file=sys.stderr)
        return 2
    default = ["torch"] if args.quick else ["all"]
    peers = args.peer or default
    peers = list(ALL_PEERS) if "all" in peers else peers
    peaks = [_peaks(threads, 0.1 if args.quick else 0.5) for threads in sorted({1, args.threads})]
    print("\n".join(map(_peaks_text, peaks)), flush=True)
    done: list[CaseResult] = []
    for name in names:
        for case in _run(table[name], args, peers, peaks[-1]):
            done.append(case)
            if args.json:  # after each case, so that what is cut short keeps what it has
                Path(args.json).write_text(json.dumps(as_json(done, peaks), indent=1) + "\n")
    print("\n" + summary_text(done))
    mine = [c.mine for c in done]
    failed = any(r is None or r.error is not None for r in mine)
    return int(failed or not all(c.agrees for c in done))


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m bench",
        description="Twofold and its peers on the same work.",
        epilog=_EXAMPLE,
    )
    p.add_argument("workload", nargs="*", help="names, or all")
    p.add_argument(
        "--peer", action="append", choices=[*ALL_PEERS, "all", "none"], help="repeatable"
    )
    p.add_argument("--threads", type=int, default=machine.cores())
    p.add_argument("--json", metavar="FILE", help="write everything measured to a file")
    p.add_argument("--case", metavar="TEXT", help="only cases whose name holds TEXT")
    p.add_argument("--rounds", type=int, help="turns that each contestant has")
    p.add_argument("--seconds", type=float, help="length of a turn")
    p.add_argument("--quick", action="store_true", help="a smoke test: few cases, short turns")
    p.add_argument("--list", action="store_true", help="list the workloads and stop")
    return p


def _run(
    workload: Workload, args: argparse.Namespace, peers: list[str], peaks: Peaks
) -> Iterator[CaseResult]:
    """Run the cases of a workload, printing each."""
    cases = list(workload.selected(args.quick, args.case))
    rounds = args.rounds or (1 if args.quick else 3 if workload.once else 5)
    seconds = args.seconds or (0.05 if args.quick else 0.3)
    for case in run_workload(workload, cases, peers, args.threads, rounds, seconds):
        print("\n" + case_text(case, peaks), flush=True)
        yield case


def _peaks(threads: int, seconds: float) -> Peaks:
    """This machine's peaks, measured in a process of their own."""
    line = subprocess.run(
        [sys.executable, "-m", "bench.peaks", "--threads", str(threads), "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    return Peaks(**json.loads(line))


def _peaks_text(p: Peaks) -> str:
    return (
        f"this machine, {p.threads} thread{'s' * (p.threads != 1)}: "
        f"{p.flops / 1e9:.0f} GFLOP/s float32, copy {p.copy / 1e9:.1f} GB/s "
        f"({p.copy_streaming / 1e9:.1f} with streaming stores), read plus written"
    )


if __name__ == "__main__":
    sys.exit(main())

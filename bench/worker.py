"""The process of one contestant in one workload. Commands come as JSON lines on standard input.

    {"case": NAME, "results": FILE}   prepare a case, do it `check_steps` times, save what came out
    {"time": SECONDS}                 repeat the step for so long
    {"end": true}                     let go of the case; gives its peak memory

An error is an answer too; with BENCH_TRACEBACK=1 in the environment its traceback is printed.

`--once CASE` instead runs a workload's `once` and prints the number.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from .contestants import CONTESTANTS, Framework
from .workload import Step, Workload, load_all

SAMPLE_SECONDS = 200e-6
"""Shorter steps are timed several at once."""


def resident_peak() -> int:
    """The most memory the process held at once, in bytes."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def reset_peak() -> None:
    """Measure the peak afresh, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


class Runner:
    """A contestant with at most one prepared case."""

    def __init__(self, workload: Workload, framework: Framework) -> None:
        self.workload = workload
        self.framework = framework
        self.step: Step | None = None
        self.repeat = 1

    def prepare(self, case: str, results: str) -> dict[str, Any]:
        """Set the case up, warm it up, save its results for comparison."""
        gc.collect()
        reset_peak()
        w, f = self.workload, self.framework
        make = w.prepare(f.name)
        assert make is not None
        begin = time.perf_counter()
        self.step = make(f, **w.cases[case])
        value = self.step()
        first = time.perf_counter() - begin
        for _ in range(w.check_steps - 1):
            value = self.step()
        np.savez(results, *f.numpy(value))
        del value
        for _ in range(3):
            self.step()
        begin = time.perf_counter()
        self.step()
        took = time.perf_counter() - begin
        self.repeat = max(1, round(SAMPLE_SECONDS / max(took, 1e-9))) if took < 1e-4 else 1
        return {"first": first}

    def time(self, seconds: float) -> dict[str, Any]:
        """Seconds a step of every sample taken in `seconds`, after one that is not counted."""
        step, repeat = self.step, self.repeat
        assert step is not None
        step()
        samples = []
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        end = time.perf_counter() + seconds
        while True:
            begin = time.perf_counter()
            for _ in range(repeat):
                step()
            now = time.perf_counter()
            samples.append((now - begin) / repeat)
            if now >= end and len(samples) >= 3:
                break
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        return {"samples": samples, "faults": faults / (len(samples) * repeat)}

    def finish(self) -> dict[str, Any]:
        """Let go of the case."""
        peak = resident_peak()
        self.step = None
        gc.collect()
        return {"peak": peak}


def serve(runner: Runner, out: Any) -> None:
    """Answer commands until standard input ends."""
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if "case" in command:
                answer = runner.prepare(command["case"], command["results"])
            elif "time" in command:
                answer = runner.time(command["time"])
            else:
                answer = runner.finish()
        except Exception as error:
            if os.environ.get("BENCH_TRACEBACK"):
                traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:160]}
        print(json.dumps(answer), file=out, flush=True)


def main() -> None:
    """Run as the contestant that the command line names."""
    parser = argparse.ArgumentParser(prog="bench.worker")
    parser.add_argument("--contestant", required=True, choices=CONTESTANTS)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--once")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    workload = load_all()[args.workload]
    framework = Framework(CONTESTANTS[args.contestant], args.threads)
    if args.once is None:
        serve(Runner(workload, framework), out)
    else:
        assert workload.once is not None
        number = workload.once(framework, **workload.cases[args.once])
        print(json.dumps({"number": number, "peak": resident_peak()}), file=out, flush=True)


if __name__ == "__main__":
    main()

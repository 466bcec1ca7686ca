"""Take turns: every contestant in a process of its own, all of them in each round."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .contestants import CONTESTANTS, Contestant, environment
from .workload import Workload

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Result:
    """What one contestant did in one case. `value` is a median in the workload's unit; `difference`
    is the largest one from the reference contestant's values, relative to the largest value."""

    contestant: str
    samples: list[float] = field(default_factory=list)
    first: float | None = None
    peak: int | None = None
    faults: float | None = None
    difference: float | None = None
    error: str | None = None

    @property
    def value(self) -> float | None:
        return median(self.samples) if self.samples and self.error is None else None


@dataclass
class CaseResult:
    """All results of one case."""

    workload: Workload
    case: str
    threads: int
    results: list[Result]

    @property
    def mine(self) -> Result | None:
        """Twofold's result: the better one, where it has run in both layouts."""
        own = [r for r in self.results if r.contestant.startswith("twofold")]
        ran = [r for r in own if r.value is not None]
        return min(ran, key=lambda r: r.value or 0.0) if ran else own[0] if own else None

    @property
    def best_peer(self) -> Result | None:
        """The peer with the least median."""
        peers = [r for r in self.results if not r.contestant.startswith("twofold")]
        peers = [r for r in peers if r.value is not None]
        return min(peers, key=lambda r: r.value or 0.0) if peers else None

    @property
    def ratio(self) -> float | None:
        """The best peer's median over Twofold's: bigger is better for Twofold."""
        mine, peer = self.mine, self.best_peer
        if mine is None or peer is None or not mine.value or peer.value is None:
            return None
        return peer.value / mine.value

    @property
    def agrees(self) -> bool:
        """Whether every contestant's values are within the workload's tolerance."""
        return all((r.difference or 0.0) <= self.workload.tolerance for r in self.results)


def contestants_for(workload: Workload, peers: Sequence[str]) -> list[Contestant]:
    """Twofold, and those of the wanted peers that the workload has."""
    chosen = []
    for c in CONTESTANTS.values():
        wanted = not c.peer or (c.peer in peers and c.peer in workload.peers)
        if c.channels_last and workload.layouts != "all" and (not workload.layouts or not c.peer):
            continue
        if workload.once is None and workload.prepare(c.library) is None:
            continue
        if wanted and not (workload.once is not None and c.env):
            chosen.append(c)
    return chosen


class Worker:
    """The process of a contestant."""

    def __init__(self, contestant: Contestant, workload: Workload, threads: int) -> None:
        self.name = contestant.name
        self.process = subprocess.Popen(
            command(contestant, workload, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(contestant, threads),
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a command and wait for the answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else {"error": "the process ended"}

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def command(contestant: Contestant, workload: Workload, threads: int) -> list[str]:
    """The command line of a worker."""
    return [
        sys.executable, "-m", "bench.worker", "--contestant", contestant.name,
        "--workload", workload.name, "--threads", str(threads),
    ]  # fmt: skip


def run_workload(
    workload: Workload,
    cases: Sequence[str],
    peers: Sequence[str],
    threads: int,
    rounds: int,
    seconds: float,
) -> Iterator[CaseResult]:
    """Run the named cases of a workload."""
    chosen = contestants_for(workload, peers)
    if workload.once is not None:
        for case in cases:
            yield _run_once(workload, case, chosen, threads, rounds)
        return
    workers = [Worker(c, workload, threads) for c in chosen]
    try:
        for case in cases:
            yield _run_steps(workload, case, workers, threads, rounds, seconds)
    finally:
        for worker in workers:
            worker.close()


def _run_steps(
    workload: Workload,
    case: str,
    workers: Sequence[Worker],
    threads: int,
    rounds: int,
    seconds: float,
) -> CaseResult:
    """One case: prepare everyone, then rounds in which each has its turn."""
    results = {w.name: Result(w.name) for w in workers}
    values: dict[str, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for worker in workers:
            path = Path(folder) / f"{worker.name}.npz"
            answer = worker.ask(case=case, results=str(path))
            result = results[worker.name]
            result.error, result.first = answer.get("error"), answer.get("first")
            if path.exists():
                with np.load(path) as file:
                    values[worker.name] = [file[name] for name in file.files]
    _compare(results, values)
    for k in range(rounds):
        turn = [*workers[k % len(workers) :], *workers[: k % len(workers)]]
        for worker in turn:
            result = results[worker.name]
            if result.error is not None:
                continue
            time.sleep(0.02)
            answer = worker.ask(time=seconds)
            result.error = answer.get("error")
            result.samples += answer.get("samples", [])
            result.faults = answer.get("faults")
    for worker in workers:
        results[worker.name].peak = worker.ask(end=True).get("peak")
    for result in results.values():
        result.samples = [s / workload.per for s in result.samples]
    return CaseResult(workload, case, threads, list(results.values()))


def _compare(results: dict[str, Result], values: dict[str, list[np.ndarray]]) -> None:
    """Set each result's difference from the first peer's values."""
    reference = next((name for name in values if not name.startswith("twofold")), None)
    if reference is None:
        return
    expected = values[reference]
    for name, mine in values.items():
        if [a.shape for a in mine] != [a.shape for a in expected]:
            results[name].error = "the shapes of the results differ"
            continue
        worst = 0.0
        for a, b in zip(mine, expected):
            a, b = a.astype(np.float64), b.astype(np.float64)
            scale = max(float(np.abs(b).max(initial=0.0)), 1e-30)
            difference = float(np.abs(a - b).max(initial=0.0)) / scale
            worst = max(worst, difference if difference == difference else float("inf"))
        results[name].difference = worst


def _run_once(
    workload: Workload, case: str, chosen: Sequence[Contestant], threads: int, rounds: int
) -> CaseResult:
    """Work that is done once in a fresh process, several times over."""
    results = {c.name: Result(c.name) for c in chosen}
    for _ in range(rounds):
        for contestant in chosen:
            result = results[contestant.name]
            if result.error is not None:
                continue
            done = subprocess.run(
                [*command(contestant, workload, threads), "--once", case],
                capture_output=True,
                text=True,
                cwd=ROOT,
                env=environment(contestant, threads),
            )
            if done.returncode:
                lines = done.stderr.strip().splitlines() or ["the process ended"]
                result.error = lines[-1][:160]
                continue
            answer = json.loads(done.stdout)
            result.samples.append(answer["number"])
            result.peak = answer["peak"]
    return CaseResult(workload, case, threads, list(results.values()))

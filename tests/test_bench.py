"""The benchmarks: the table loads, processes take turns, results are compared, peaks are peaks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import peaks, report
from bench.run import CaseResult, Result, _compare, run_workload
from bench.table import summary, tables
from bench.workload import Workload, load_all
from twofold import machine
from twofold.codegen import jit

ROOT = Path(__file__).resolve().parent.parent


def test_every_workload_says_what_is_asked_and_runs_somewhere() -> None:
    table = load_all()
    assert {
        "matmul",
        "conv",
        "softmax",
        "two_layer",
        "lenet_captured",
        "cnn",
        "cnn_train",
        "memory",
    } <= set(table)
    for w in table.values():
        assert w.summary and w.cases
        assert w.torch is not None or w.once is not None
        for case in w.cases.values():
            for count in (w.flops, w.n_bytes):
                assert count is None or count(**case) > 0


def test_a_workload_runs_in_turns_in_processes_of_its_own() -> None:
    (case,) = run_workload(load_all()["record"], ["add"], [], 1, 2, 0.01)
    result = case.mine
    assert result is not None and result.error is None
    assert len(result.samples) >= 6 and 0 < result.value < 1e-3
    assert result.peak > 1 << 20


def test_the_command_line_writes_what_it_measured(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    command = [
        sys.executable,
        "-m",
        "bench",
        "matmul",
        "--case",
        "64x1000x100 nn",
        "--peer",
        "none",
    ]
    command += ["--peer", "none", "--quick", "--threads", "1", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "GFLOP/s" in done.stdout
    (case,) = json.loads(file.read_text())["cases"]
    assert case["results"][0]["value"] > 0


def test_an_unknown_workload_is_refused() -> None:
    command = [sys.executable, "-m", "bench", "matmull"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "no workload is called matmull" in done.stderr


def test_results_that_differ_are_told() -> None:
    results = {"twofold": Result("twofold", [1.0]), "torch": Result("torch", [2.0])}
    values = {"twofold": [np.array([1.0, 2.2])], "torch": [np.array([1.0, 2.0])]}
    _compare(results, values)
    workload = Workload("w", "s", {"c": {}}, tolerance=1e-3, target=1.5)
    case = CaseResult(workload, "c", 1, list(results.values()))
    assert case.ratio == 2.0 and report.verdict(case) == "yes"
    assert results["twofold"].difference == pytest.approx(0.1) and not case.agrees
    assert "DISAGREE" in report.case_text(case, peaks.Peaks(1, 1e9, 1e9, 1e9))


@pytest.mark.parametrize("level", ["x86-64-v2", "x86-64-v3", "host"])
def test_peak_kernels_are_multiply_adds_and_copies(level: str) -> None:
    target = machine.target_for(level)
    text, operations = peaks.multiply_add_text("peak", target)
    assert ("llvm.fma" in text) == target.has_fma and operations > 1e6
    assert "nontemporal" in peaks.copy_text("peak", target, True)
    if target.has_fma:
        made = str(jit.optimize(text, target))
        accumulators = operations // (peaks.ROUNDS * target.lanes(4) * 2)
        assert made.count(" call <") == accumulators


def test_peaks_are_of_the_size_of_a_processor() -> None:
    found = peaks.measure(1, seconds=0.02)
    assert 1e9 < found.flops < 1e13 and 1e8 < found.bandwidth < 1e13


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.00123, "1.23 ms"), (4.2e-5, "42 us"), (3e-9, "3 ns")]
)
def test_durations_have_a_unit_that_suits(seconds: float, text: str) -> None:
    assert report.duration(seconds) == text


def test_measurements_become_a_table(tmp_path: Path) -> None:
    table = load_all()
    case = CaseResult(
        table["softmax"],
        "4096x4096",
        2,
        [Result("twofold", [2e-3], peak=1 << 28), Result("torch", [4e-3], peak=1 << 29)],
    )
    file = tmp_path / "a.json"
    found = report.as_json([case], [peaks.Peaks(2, 2e11, 4e10, 8e10)])
    file.write_text(json.dumps(found), encoding="utf-8")
    text = tables([file])
    assert "| 4096x4096 | 2 | 2 ms | 84 % | 4 ms, torch | 2.00 | 256 MB, 512 MB |" in text
    assert "| 2 | 200 GFLOP/s | 40.0 GB/s | 80.0 GB/s |" in text
    assert "| 2 ms | 4 ms, torch | 2.00 | 1.2 |" in summary([file])

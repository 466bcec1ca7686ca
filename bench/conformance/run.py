"""Runs entries in worker processes, each with a time limit."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

LIMIT_S = 60.0


class Worker:
    """A process that checks entries; a new one takes its place when it hangs or dies."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the process; `names` are its entries."""
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.conformance.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()
        text = self.lines.get(timeout=300)
        if not text:
            self.log.seek(0)
            raise RuntimeError(f"the worker did not start:\n{self.log.read()[-2000:]}")
        self.names: list[str] = json.loads(text)

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def check(self, name: str) -> dict[str, Any]:
        """What came of an entry; a hang and a crash are failures."""
        assert self.process.stdin is not None
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        line = self._answer()
        if line is None:
            reason = f"took longer than {LIMIT_S:.0f} s"
        elif not line:
            reason = f"crashed with status {self.process.wait()}"
        if line:
            return json.loads(line)
        self.close()
        self.start()
        return {"forward": {"total": 1, "equal": 0, "failures": [reason]}}

    def _answer(self) -> str | None:
        """The next line; None once the process has used too much time. Its processor time counts,
        since the machine may be busy or the process halted, and ten times as much on the clock."""
        started, used = time.monotonic(), self._cpu_s()
        while time.monotonic() - started < 10 * LIMIT_S and self._cpu_s() - used < LIMIT_S:
            try:
                return self.lines.get(timeout=0.5)
            except queue.Empty:
                continue
        return None

    def _cpu_s(self) -> float:
        """Processor time of the process so far."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def run(names: list[str], jobs: int, report: Any) -> None:
    """Check the entries called `names`; `report` gets the name and the result of each."""
    waiting: queue.Queue[str] = queue.Queue()
    for name in names:
        waiting.put(name)
    reporting = threading.Lock()

    def serve() -> None:
        worker = Worker()
        while not waiting.empty():
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                break
            result = worker.check(name)
            with reporting:
                report(name, result)
        worker.close()

    threads = [threading.Thread(target=serve) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

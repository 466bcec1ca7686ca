"""The cache of compiled kernels on disk survives damaged files and dying writers."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from twofold import config
from twofold.codegen import jit
from twofold.kernels.loops import LoopKernel
from twofold.machine import target_for
from twofold.runtime import disk_cache
from twofold.runtime.disk_cache import DiskCache

pytestmark = pytest.mark.native

KEY = "0123456789abcdef" * 2

PROGRAM = textwrap.dedent(
    """
    import json, sys, warnings
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import twofold as tf
        from twofold.codegen import jit
        x = tf.arange(1000, dtype=tf.float32) / 999
        value = ((x.sin() + x * x).sum() / (x + 1).prod().log()).item()
        rows = (tf.ones(33, 70) @ tf.ones(70, 5)).sum().item()
    print(json.dumps([value, rows, jit.counts["compiled"], [str(w.message) for w in caught]]))
    """
)


def start(folder: Path | str, **environment: str) -> subprocess.Popen[str]:
    """A process that computes with its cache in `folder`."""
    env = {**os.environ, "TWOFOLD_CACHE_DIR": str(folder), "TWOFOLD_THREADS": "2", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=env, stdout=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[Any, int, list[str]]:
    """(values, kernels compiled, warnings) of a process."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    value, rows, compiled, said = json.loads(out)
    return (value, rows), compiled, said


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder that one process has filled, and what it computed."""
    folder = tmp_path_factory.mktemp("cache")
    values, compiled, said = finish(start(folder))
    assert compiled > 0 and not said
    return folder, values


def test_entries_are_kept(filled: tuple[Path, Any]) -> None:
    """The next process compiles nothing."""
    folder, values = filled
    assert finish(start(folder)) == (values, 0, [])
    assert [p for p in folder.iterdir() if p.name.startswith(".")] == []


def test_two_processes_at_once(tmp_path: Path, filled: tuple[Path, Any]) -> None:
    """Both compute what one alone does; a third finds everything."""
    processes = [start(tmp_path) for _ in range(2)]
    for process in processes:
        values, _, said = finish(process)
        assert values == filled[1] and not said
    assert finish(start(tmp_path)) == (filled[1], 0, [])


def test_damaged_entries_are_compiled_again(filled: tuple[Path, Any]) -> None:
    """Truncated, emptied, changed: nothing is said, all is computed, and the entries are mended."""
    folder, values = filled
    for k, path in enumerate(sorted(folder.iterdir())):
        data = path.read_bytes()
        if k % 4 == 0:
            path.write_bytes(data[: len(data) // 2])
        elif k % 4 == 1:
            path.write_bytes(b"")
        elif k % 4 == 2:
            path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
        else:
            path.write_bytes(os.urandom(len(data)))
    again, compiled, said = finish(start(folder))
    assert again == values and compiled > 0 and not said
    assert finish(start(folder)) == (values, 0, [])


def test_another_processor_has_entries_of_its_own(filled: tuple[Path, Any]) -> None:
    """Code for one target is not run on another; both stay in the cache."""
    folder, values = filled
    another = "x86-64-v3" if config.current().target == "x86-64-v2" else "x86-64-v2"
    other, compiled, said = finish(start(folder, TWOFOLD_TARGET=another))
    assert compiled > 0 and not said
    assert other == pytest.approx(values, rel=1e-5)
    assert finish(start(folder)) == (values, 0, [])


def test_another_version_has_entries_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed code generators, another llvmlite or LLVM, another target: another key."""
    spec = LoopKernel("map", (), 1, 0, "outer", (), 0)
    host, old = target_for("host"), target_for("x86-64-v2")
    keys = {jit.cache_key(spec, host), jit.cache_key(spec, old)}
    monkeypatch.setattr(jit, "_version", lambda: "another")
    keys |= {jit.cache_key(spec, host), jit.cache_key(spec, old)}
    assert len(keys) == 4


def test_a_folder_that_cannot_be(tmp_path: Path, filled: tuple[Path, Any]) -> None:
    """Kernels live in memory only, and that is said once."""
    (tmp_path / "file").write_text("in the way")
    values, compiled, said = finish(start(tmp_path / "file" / "cache"))
    assert values == filled[1] and compiled > 0
    assert len(said) == 1 and "cannot be made" in said[0] and "memory only" in said[0]


def test_a_folder_that_others_can_write(tmp_path: Path, filled: tuple[Path, Any]) -> None:
    """Code that others may have put there is not run."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    values, _, said = finish(start(folder))
    assert values == filled[1]
    assert len(said) == 1 and "written by other users" in said[0]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Full or read-only: one warning, entries there are still read, nothing is left behind."""
    before = DiskCache(str(tmp_path))
    before.put(KEY, b"there")
    cache = DiskCache(str(tmp_path))

    def fail(*args: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(disk_cache.os, "replace", fail)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(3):
            cache.put(f"{KEY[:-1]}{k}", b"new")
    assert [str(w.message) for w in caught if os.strerror(code) in str(w.message)] != []
    assert len(caught) == 1
    assert cache.get(KEY) == b"there"
    assert [p.name for p in tmp_path.iterdir()] == [KEY]


def test_a_killed_writer_leaves_whole_entries(tmp_path: Path) -> None:
    """Whatever moment a writer is killed at, each entry is whole or absent."""
    code = textwrap.dedent(
        f"""
        from twofold.runtime.disk_cache import DiskCache
        cache = DiskCache({str(tmp_path)!r})
        print("ready", flush=True)
        n = 0
        while True:
            cache.put(f"{{n % 50:040d}}", bytes([n % 256]) * 300_000)
            n += 1
        """
    )
    for wait in (0.01, 0.05, 0.12):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    cache = DiskCache(str(tmp_path))
    found = [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")]
    assert found
    for name in found:
        payload = cache.get(name)
        assert payload is not None and set(payload) == {payload[0]} and len(payload) == 300_000


def test_threads_share_a_cache(tmp_path: Path) -> None:
    """Several threads write the same entries at once."""
    cache = DiskCache(str(tmp_path))

    def work() -> None:
        for k in range(60):
            cache.put(f"{k % 7}", bytes([k % 7]) * 10_000)
            assert cache.get(f"{k % 7}") in (None, bytes([k % 7]) * 10_000)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(p.name for p in tmp_path.iterdir()) == [str(k) for k in range(7)]


def test_old_entries_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the oldest are deleted, when a process first writes."""
    monkeypatch.setattr(disk_cache, "LIMIT_BYTES", 25_000)
    for k in range(5):
        path = tmp_path / f"old{k}"
        path.write_bytes(bytes(10_000))
        os.utime(path, (k, k))
    DiskCache(str(tmp_path)).put("new", bytes(1000))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "old3", "old4"]


def test_no_cache() -> None:
    """Without a folder nothing is kept and nothing is said."""
    cache = DiskCache(None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(KEY, b"x")
        assert cache.get(KEY) is None
        cache.trim()

"""Kernels' objects become images in shared memory that run; what does not fit is left to LLVM."""

from __future__ import annotations

import ctypes
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import twofold as tf
from twofold import machine
from twofold.codegen import jit
from twofold.codegen.elf import CodeMemory, image_of

pytestmark = pytest.mark.skipif(
    not CodeMemory.is_here() or not machine.target_for("host").triple.startswith("x86_64"),
    reason="needs Linux on x86-64",
)

_TEXT = """
target triple = "x86_64-unknown-linux-gnu"
@table = internal constant [4 x i64] [i64 11, i64 22, i64 33, i64 44]
define i64 @pick(i64 %i) {
  %p = getelementptr [4 x i64], ptr @table, i64 0, i64 %i
  %v = load i64, ptr %p
  ret i64 %v
}
"""
_OUTSIDE = """
target triple = "x86_64-unknown-linux-gnu"
declare i32 @sched_yield()
define i64 @pick(i64 %i) {
  %r = call i32 @sched_yield()
  ret i64 %i
}
"""


def _object(text: str) -> bytes:
    return jit.compile_module(text, machine.target_for("host"))


def test_an_image_runs_and_reads_its_constants() -> None:
    found = image_of(_object(_TEXT), "pick")
    assert found is not None
    image, entry = found
    memory = CodeMemory()
    address = memory.put(image) + entry
    pick = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)
    assert [pick(i) for i in range(4)] == [11, 22, 33, 44]


def test_objects_that_refer_to_others_are_left_to_llvm() -> None:
    code = _object(_OUTSIDE)
    assert image_of(code, "pick") is None
    (address,) = jit.load_objects([code], ["pick"], machine.target_for("host"))
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(7) == 7


def test_what_is_no_object_is_refused() -> None:
    assert image_of(b"\0" * 64, "pick") is None
    assert image_of(_object(_TEXT), "absent") is None


def test_many_kernels_take_few_mappings() -> None:
    code = _object(_TEXT)
    memory = CodeMemory()
    found = image_of(code, "pick")
    assert found is not None
    before = len(Path("/proc/self/maps").read_text().splitlines())
    for _ in range(5000):
        memory.put(found[0])
    after = len(Path("/proc/self/maps").read_text().splitlines())
    assert after - before < 20


def test_no_memory_is_both_writable_and_executable() -> None:
    (tf.ones(3) * 2).sum().item()
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "twofold-code" in line:
            assert line.split()[1] in ("rw-s", "r-xs")


def _child(queue: multiprocessing.Queue) -> None:
    queue.put((tf.ones(5) * 3.75 - 2).sum().item())


def test_a_forked_child_puts_its_code_elsewhere() -> None:
    (tf.ones(3) * 2).sum().item()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    got = queue.get(timeout=60)
    child.join(timeout=60)
    mine = np.asarray((tf.ones(7) * 1.25).exp().cos())
    assert got == 8.75
    assert np.allclose(mine, np.cos(np.exp(np.full(7, 1.25))), rtol=1e-5)


def test_several_threads_compile_at_once_and_alike() -> None:
    wide = "\n".join(f"  %v{i} = add i64 %v{i - 1}, %i" for i in range(1, 3000))
    text = f"define i64 @sum(i64 %v0, i64 %i) {{\n{wide}\n  ret i64 %v2999\n}}\n"
    alone = _object(text)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(_object, [text] * 12)) == {alone}

"""Programs with branches and loops: saved, loaded, and run from C without Python."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import nn
from twofold.deploy import export, load_program, program_of, save_program

COMPILER = shutil.which("cc")


class Walker(nn.Module):
    """Plain Python decisions: which way, and how long."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(6, 6)
        self.up, self.down = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Any) -> Any:
        h, steps, trail = x, 0, tf.zeros(12)
        while steps < 12 and h.abs().sum() > steps * 0.9:
            h = self.cell(x, h) * 0.8
            if h.mean() > 0:
                x = self.up(x)
            else:
                x = self.down(x).tanh()
            trail[steps] = h.sum()
            steps += 1
        if steps > 4:
            return h * 100, steps, trail
        return h.sort(1).values, steps, trail


def walker() -> Walker:
    tf.manual_seed(5)
    return Walker().eval()


def examples() -> list[tf.Tensor]:
    rng = np.random.default_rng(1)
    return [tf.tensor((rng.standard_normal((3, 6)) * s).astype(np.float32)) for s in (0, 0.4, 1, 6)]


def expected(net: Walker, x: tf.Tensor) -> list[np.ndarray]:
    with tf.no_grad():
        y, steps, trail = net(x)
    return [y.numpy(), np.array(steps), trail.numpy()]


def test_one_file_serves_both_ways_and_any_length(tmp_path: Path) -> None:
    net, path = walker(), tmp_path / "walker.program"
    save_program(net, path, [tf.zeros(3, 6)], {"x": {0: "batch"}})
    assert "forward" not in net.__dict__
    program = load_program(path)
    lengths = set()
    for x in examples():
        for given in (x, x[:2]):
            wanted = expected(net, given)
            lengths.add(int(wanted[1]))
            for a, b in zip(program(given), wanted, strict=True):
                np.testing.assert_array_equal(a.numpy(), b)
    assert len(lengths) > 2
    assert set(program.weights) == set(net.state_dict())


def test_decisions_that_cannot_be_saved_say_where() -> None:
    def f(x: Any) -> Any:
        if x.sum() > 0:
            return x
        return x[0]

    with pytest.raises(RuntimeError, match=r"test_deploy_control.py, line \d+: the result is"):
        program_of(f, [tf.zeros(3)])


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_c_program_decides(threads: int, tmp_path: Path) -> None:
    """An exported function with if and while gives the same bits, without Python."""
    net = walker()
    made = export(program_of(net, [tf.zeros(3, 6)]), tmp_path, "walker", threads=threads)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "walker.h"\n'
        "int main(void) {\n"
        "  static float x[18], y[18], trail[12];\n  int64_t steps;\n"
        + (f"  if (walker_start({threads}) != {threads}) return 3;\n" if threads > 1 else "")
        + "  while (fread(x, 4, 18, stdin) == 18) {\n"
        "    if (walker_run(x, y, &steps, trail)) return 1;\n"
        "    fwrite(y, 4, 18, stdout);\n    fwrite(&steps, 8, 1, stdout);\n"
        "    fwrite(trail, 4, 12, stdout);\n  }\n"
        + ("  walker_stop();\n" if threads > 1 else "")
        + "  return 0;\n}\n"
    )
    command = [str(COMPILER), "main.c", made.object_path.name, "-o", "main", "-pthread"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    given = [x for _ in range(20) for x in examples()]
    data = subprocess.run(
        [tmp_path / "main"], input=b"".join(x.numpy().tobytes() for x in given),
        capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    kind = np.dtype([("y", np.float32, (3, 6)), ("steps", np.int64), ("trail", np.float32, 12)])
    for row, x in zip(np.frombuffer(data, kind), given, strict=True):
        for name, wanted in zip(kind.names, expected(net, x)):
            np.testing.assert_array_equal(row[name], wanted)


@pytest.mark.parametrize("target", ["armv7", "wasm32"])
def test_objects_of_other_processors(target: str, tmp_path: Path) -> None:
    made = export(program_of(walker(), [tf.zeros(3, 6)]), tmp_path, "walker", target)
    assert made.object_path.stat().st_size > 1000


def test_bodies_read_inputs_that_they_are_not_given() -> None:
    def f(x: Any, w: Any) -> Any:
        c, ys = tf.scan(lambda c, r: (c * w + r, w), tf.zeros(3), x)
        return c, ys, tf.cond(c.sum() > 0, lambda: w, lambda: x[0])

    x, w = tf.randn(4, 3), tf.randn(3)
    program = program_of(f, [x, w])
    for a, b in zip(program(x, w), f(x, w), strict=True):
        assert a.tolist() == b.tolist()

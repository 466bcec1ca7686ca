"""`twofold run`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import twofold as tf
from twofold.cli.main import main


def test_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Inputs by order and by name; outputs kept."""
    path = tmp_path / "program"
    example = {"x": tf.zeros(2, 3), "y": tf.zeros(3)}
    tf.save_program(_several, path, example)
    np.save(tmp_path / "x.npy", np.ones((2, 3), np.float32))
    np.save(tmp_path / "y.npy", np.arange(3, dtype=np.float32))
    given = [f"--input={tmp_path}/x.npy", f"--input=y={tmp_path}/y.npy"]
    assert main(["run", str(path), *given, f"--output={tmp_path}/out.npz", "--repeat=3"]) == 0
    shown = capsys.readouterr().out
    assert "input      x: float32[2, 3]" in shown and "rows.0: float32[2] = [3., 3.]" in shown
    kept = np.load(tmp_path / "out.npz")
    assert kept["sum"].tolist() == [[1, 2, 3]] * 2 and kept["rows.1"].shape == (2, 3)
    assert kept["output.0"].shape == (3,) and kept["0"].shape == (2, 3)


def _several(x: tf.Tensor, y: tf.Tensor) -> dict[str, object]:
    return {"sum": x + y, "rows": (x.sum(1), x), "0": x * 2, "output": (y * 2,)}


def test_an_onnx_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of another tool's."""
    onnx = pytest.importorskip("onnx")
    h = onnx.helper
    info = [h.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["n"]) for n in "xy"]
    graph = h.make_graph([h.make_node("Exp", ["x"], ["y"])], "g", info[:1], info[1:])
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)]), tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", np.zeros(2, np.float32))
    assert main(["run", f"{tmp_path}/m.onnx", "--input", f"{tmp_path}/x.npy"]) == 0
    assert "y: float32[2] = [1., 1.]" in capsys.readouterr().out


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2."""
    path = tmp_path / "program"
    tf.save_program(lambda x: x + 1, path, {"x": tf.zeros(2)})
    np.save(tmp_path / "x.npy", np.zeros(3, np.float32))
    (tmp_path / "bad.npy").write_bytes(b"no array")
    for arguments, said in (
        ([path], "'x' is missing"),
        ([path, f"--input={tmp_path}/bad.npy"], "no array"),
        ([path, f"--input={tmp_path}/gone.npy"], "No such file"),
        ([path, f"--input=z={tmp_path}/x.npy"], "takes x"),
        ([path, f"--input={tmp_path}/x.npy"], "must be x: float32[2]"),
        ([tmp_path / "bad.npy"], "bad.npy"),
    ):
        assert main(["run", *map(str, arguments)]) == 2
        assert said in capsys.readouterr().err

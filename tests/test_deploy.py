"""Programs saved, loaded and exported: the same bits without the code that made them."""

from __future__ import annotations

import ctypes
import functools
import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import twofold as tf
from twofold import config, nn
from twofold.codegen.jit import _link
from twofold.deploy import Program, export, load_program, program_of, save_program
from twofold.deploy.sizes import NotPolynomial, evaluate, fill, formula, grid, template
from twofold.machine import OTHERS, target_for
from twofold.serialization import FormatError, safetensors

GOLDEN = Path(__file__).parent / "programs"


class Tagger(nn.Module):
    """A class for each word of a sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(12, 5)

    def forward(self, words: tf.Tensor) -> tf.Tensor:
        return self.out(self.lstm(self.embedding(words))[0]).softmax(2)


def image_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(4 * 5 * 5, 10),
    ).eval()  # fmt: skip


def same(a: Any, b: Any) -> bool:
    return a.dtype is b.dtype and bool(np.array_equal(a.detach().numpy(), b.detach().numpy()))


def through_file(tmp_path: Path, *args: Any, **kwargs: Any) -> Program:
    path = tmp_path / "it.program"
    save_program(args[0], path, *args[1:], **kwargs)
    return load_program(path)


def test_a_convolutional_net_takes_any_batch(tmp_path: Path) -> None:
    net = image_net()
    program = through_file(tmp_path, net, [tf.zeros(5, 1, 12, 12)], {"input": {0: "batch"}})
    for n in (1, 2, 7):
        x = tf.randn(n, 1, 12, 12)
        assert same(program(x), net(x))
        assert same(program(input=x), net(x))
    assert set(program.weights) == {
        k for k in net.state_dict() if not k.endswith("num_batches_tracked")
    }


def test_a_recurrent_net_takes_any_batch_and_length(tmp_path: Path) -> None:
    net = Tagger().eval()
    words = tf.randint(0, 20, (3, 5))
    program = through_file(tmp_path, net, [words], {"words": {0: "batch", 1: "steps"}})
    for shape in ((1, 1), (2, 9), (7, 3)):
        x = tf.randint(0, 20, shape)
        assert same(program(x), net(x))
    with pytest.raises(IndexError, match="out of bounds"):
        program(tf.full((1, 1), 20)).sum().item()


def test_attention_and_several_results(tmp_path: Path) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()

    def function(x: tf.Tensor) -> dict[str, Any]:
        y = layer(x)
        return {"mean": y.mean((0, 1)), "both": (y, [x.shape[0] * y.sum(2)])}

    program = through_file(tmp_path, function, [tf.zeros(3, 5, 8)], {"x": {0: "b", 1: "t"}})
    x = tf.randn(2, 7, 8)
    got, wanted = program(x), function(x)
    assert list(got) == ["mean", "both"] and type(got["both"]) is tuple
    assert same(got["mean"], wanted["mean"])
    assert same(got["both"][0], wanted["both"][0])
    assert same(got["both"][1][0], wanted["both"][1][0])


def test_gradients_go_through_a_program() -> None:
    net = image_net()
    program = program_of(net, [tf.zeros(2, 1, 12, 12)])
    x = tf.randn(2, 1, 12, 12, requires_grad=True)
    program(x).square().sum().backward()
    y = x.detach().clone().requires_grad_()
    net(y).square().sum().backward()
    assert np.allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda x: x if x.sum() > 0 else -x, RuntimeError, "looks at a value"),
        (lambda x: nn.functional.dropout(x), RuntimeError, "random"),
        (nn.BatchNorm1d(5), RuntimeError, "writes to its own state, 'running_mean'"),
        (lambda x: 3, TypeError, "returns tensors"),
        (lambda x: {1: x}, TypeError, "text"),
    ],
)
def test_what_cannot_be_saved(
    function: Any, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        save_program(function, tmp_path / "p", [tf.ones(3, 5)])
    assert not list(tmp_path.iterdir())


def test_saving_changes_no_state() -> None:
    net = nn.BatchNorm1d(5)
    before = net.running_mean
    with pytest.raises(RuntimeError):
        program_of(net, [tf.ones(3, 5)])
    assert net.running_mean is before and before.tolist() == [0.0] * 5
    net(tf.ones(3, 5))
    assert net.num_batches_tracked.item() == 1


def test_writes_to_other_tensors_are_refused() -> None:
    count = tf.zeros(())

    def function(x: tf.Tensor) -> tf.Tensor:
        count.add_(x.sum())
        return x

    with pytest.raises(RuntimeError, match="writes to a tensor that is no input"):
        program_of(function, [tf.ones(3)])


def test_sizes_that_are_no_polynomials_are_refused() -> None:
    with pytest.raises(RuntimeError, match="cannot take other sizes"):
        program_of(lambda x: x[::3].sum(), [tf.ones(5)], {"x": {0: "n"}})
    with pytest.raises(ValueError, match="at most 3 sizes"):
        program_of(lambda x: x, [tf.ones(1, 1, 1, 1)], {"x": dict(enumerate("abcd"))})
    with pytest.raises(ValueError, match="names inputs"):
        program_of(lambda x: x, [tf.ones(1)], {"y": {0: "n"}})


def test_calls_that_do_not_fit() -> None:
    program = program_of(lambda x, y: x @ y, [tf.ones(2, 3), tf.ones(3, 2)], {"x": {0: "n"}})
    with pytest.raises(RuntimeError, match=r"x: float32\[n, 3\]"):
        program(tf.ones(2, 4), tf.ones(3, 2))
    with pytest.raises(RuntimeError, match="float64"):
        program(tf.ones(2, 3).double(), tf.ones(3, 2))
    with pytest.raises(TypeError, match="takes"):
        program(tf.ones(2, 3))
    with pytest.raises(TypeError, match="must be a tensor"):
        program(tf.ones(2, 3), 4)
    with pytest.raises(ValueError, match="its sizes are"):
        program.graph()


def test_formulas() -> None:
    points = grid({"n": 4, "m": 1})
    values = [str(n["n"] * (n["n"] - 1) // 2 * n["m"] + 3) for n in points]
    found = formula(values, points)
    assert evaluate(found, {"n": 10, "m": 7}) == 45 * 7 + 3
    inverse = formula([repr(1 / p["n"]) for p in points], points)
    assert evaluate(inverse, {"n": 8, "m": 1}) == 0.125
    with pytest.raises(NotPolynomial):
        formula([str(p["n"] // 3) for p in points], points)
    text = template([f"f(x, shape=({p['n']}, 8))" for p in points], points)
    assert text == "f(x, shape=({n}, 8))" and fill(text, {"n": 3}) == "f(x, shape=(3, 8))"
    for bad in ("__import__('os')", "n**9", "x", "n.real", "[n]", "1//0"):
        with pytest.raises(ValueError, match=r"\[sizes\]"):
            evaluate(bad, {"n": 1})


def rewritten(tmp_path: Path, changes: dict[str, str], source: Any = None) -> Path:
    """A program's file with other metadata."""
    path = tmp_path / "p.program"
    source = source or (lambda x: x.exp().sum(0) * 2.5)
    save_program(source, path, [tf.ones(2, 3)], {"x": {0: "n"}})
    about = {**safetensors.read_header(path).metadata, **changes}
    safetensors.save_file(safetensors.load_file(path), path, about)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"version": "2"},
        {"graph": "import os"},
        {"graph": "def f(x0: float32[2, 3]): return __import__('os')"},
        {"graph": "def f(x0: float32[{n}, 3], x1: number(float32)):\n    return " + "(" * 3000},
        {"graph": "def f(x0: float32[{n}, 3], x1: number(float32)):\n    return exp(x0, x1)"},
        {"graph": "def f(x0: float32[{n}, 3], x1: number(float32)):\n    return nothing(x0)"},
        {"graph": "def f(x0: float32[{n}, 4], x1: number(float32)):\n    return exp(x0)"},
        {"graph": "def f(x0: float32[{n}, 3], x1: number(float32)):\n    return x0, x1"},
        {"graph": "def f(x0: float32[{n}, 3], x1: number(float32)):\n"
                  "    return sum(x0, axes=(-1,))"},
        {"graph": "def f(x0: float32[{n}, 3], x1: number(float32)):\n"
                  "    return slice(x0, bounds=((0, 9, 1), (0, 3, 1)))"},
        {"graph": "def f(x0: float32[{n}, 3], x1: number(float32)):\n"
                  "    return masked_select(gt(x0, x0), x0, count=9)"},
        {"graph": "def f(x0: float32[{n}, 3], x1: number(float32)):\n"
                  "    return expand(x1, shape=(4611686018427387904, 8))"},
        {"inputs": "[]"},
        {"inputs": '[["x", "float32", [-1, 3]]]'},
        {"inputs": '[["x", "float99", [2, 3]]]'},
        {"leaves": "[]"},
        {"leaves": '[{"input": 7}, {"number": "1"}]'},
        {"leaves": '[{"input": 0}, {"weight": "none"}]'},
        {"leaves": '[{"input": 0}, {"number": "n**n**n"}]'},
        {"outputs": '{"tuple": ["tensor", "tensor"]}'},
        {"outputs": '"text"'},
        {"outputs": "{"},
        {"sizes": "{}"},
        {"sizes": '{"n": "x"}'},
    ],
)  # fmt: skip
def test_damaged_and_hostile_files(changes: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="load_program"):
        load_program(rewritten(tmp_path, changes))


def test_missing_metadata_and_cut_files(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    safetensors.save_file({"w": tf.ones(2)}, path)
    with pytest.raises(FormatError, match="no program"):
        load_program(path)
    whole = rewritten(tmp_path, {}, image_like)
    data = whole.read_bytes()
    for n in (0, 7, 20, len(data) // 2, len(data) - 1):
        whole.write_bytes(data[:n])
        with pytest.raises(FormatError):
            load_program(whole)


WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)


def image_like(x: tf.Tensor) -> tf.Tensor:
    return x @ tf.from_numpy(WEIGHT)


def test_unchecked_positions_are_checked(tmp_path: Path) -> None:
    graph = (
        "def f(x0: float32[{n}, 3], x1: number(float32)):\n"
        "    v0: int64[2] = cast(expand(x1, shape=(2,)), dtype=int64)\n"
        "    v1: float32[2, 3] = gather(x0, v0, batch_rank=0)\n"
        "    return v1"
    )
    program = load_program(rewritten(tmp_path, {"graph": graph}))
    with pytest.raises(RuntimeError, match="index 2 is out of bounds"):
        program(tf.randn(2, 3)).sum().item()
    x = tf.randn(3, 3)
    assert same(program(x), x[[2, 2]])


def test_golden_files_load_for_ever() -> None:
    """A file of each version, with inputs and results as they were."""
    files = sorted(GOLDEN.glob("*.program"))
    assert files
    for path in files:
        program = load_program(path)
        known = safetensors.load_file(path.with_suffix(".safetensors"))
        results = program(*[known[i.name] for i in program.inputs])
        for k, result in enumerate(results):
            wanted = known[f"result{k}"].numpy()
            assert np.allclose(result.numpy(), wanted, rtol=1e-5, atol=1e-6)


def run_object(code: bytes, name: str, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> int:
    """Link an object into this process and run it."""
    (address,) = _link([code], [f"{name}_run"], target_for("host"))
    kinds = [ctypes.c_void_p] * (len(inputs) + len(outputs))
    run = ctypes.CFUNCTYPE(ctypes.c_int, *kinds)(address)
    return run(*[a.ctypes.data for a in (*inputs, *outputs)])


@pytest.mark.native
def test_an_object_gives_the_same_bits(tmp_path: Path) -> None:
    net = Tagger().eval()
    words = tf.randint(0, 20, (3, 5))
    program = program_of(net, [words], {"words": {0: "batch", 1: "steps"}})
    here = config.current().target
    made = export(program, tmp_path, "tagger", here, {"batch": 3, "steps": 5})
    result = np.empty((3, 5, 5), np.float32)
    code = made.object_path.read_bytes()
    assert run_object(code, "tagger", [words.numpy()], [result]) == 0
    assert np.array_equal(result, net(words).detach().numpy())
    header = made.header_path.read_text()
    assert "int tagger_run(const int64_t *words, float *result);" in header
    bad = np.full((3, 5), 20)
    before = result.copy()
    assert run_object(code, "tagger", [bad], [result]) == 1
    assert np.array_equal(result, before)


COMPILER = shutil.which("cc")


@pytest.mark.native
@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_c_program_runs_it(threads: int, tmp_path: Path) -> None:
    net = image_net()
    x = tf.randn(64, 1, 12, 12)
    program = program_of(lambda image: (net(image), image[0] * 2, image), [x])
    made = export(program, tmp_path, "net", config.current().target, threads=threads)
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "net.h"\n'
        "static float image[64 * 144], logits[640], first[144], whole[64 * 144];\n"
        "int main(void) {\n"
        "  if (fread(image, 4, 64 * 144, stdin) != 64 * 144) return 2;\n"
        + (f"  if (net_start({threads}) != {threads}) return 3;\n" if threads > 1 else "")
        + "  for (int k = 0; k < 3; k++) if (net_run(image, logits, first, whole)) return 1;\n"
        + ("  net_stop();\n" if threads > 1 else "")
        + "  fwrite(logits, 4, 640, stdout);\n"
        "  fwrite(first, 4, 144, stdout);\n"
        "  fwrite(whole, 4, 64 * 144, stdout);\n"
        "  return 0;\n}\n"
    )
    command = [str(COMPILER), "main.c", made.object_path.name, "-o", "main", "-pthread"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    data = subprocess.run(
        [tmp_path / "main"], input=x.numpy().tobytes(), capture_output=True, check=True, timeout=60
    ).stdout
    got = np.frombuffer(data, np.float32)
    wanted = [net(x), x[0] * 2, x]
    assert np.array_equal(got, np.concatenate([w.detach().numpy().ravel() for w in wanted]))


MAGIC = {"armv7": 40, "aarch64": 183, "aarch64-android": 183, "riscv64": 243}


@pytest.mark.parametrize("target", OTHERS)
def test_objects_of_other_processors(target: str, tmp_path: Path) -> None:
    made = export(program_of(Tagger().eval(), [tf.zeros(2, 3, dtype=tf.int64)]), tmp_path,
                  "tagger", target)  # fmt: skip
    data = made.object_path.read_bytes()
    if target in MAGIC:
        assert data[:4] == b"\x7fELF"
        assert struct.unpack_from("<H", data, 18) == (MAGIC[target],)
    else:
        assert data[:4] == {"wasm32": b"\0asm", "aarch64-ios": b"\xcf\xfa\xed\xfe"}[target]


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    program = program_of(lambda x: tf.linalg.inv(x), [tf.eye(3)])
    with pytest.raises(NotImplementedError, match="host's libraries"):
        export(program, tmp_path)
    plain = program_of(functools.partial(tf.add, other=1), {"input": tf.ones(3)})
    for wrong in ({"name": "a b"}, {"target": "z80"}, {"threads": 0}, {"sizes": {"n": 1}}):
        with pytest.raises(ValueError, match=r"\["):
            export(plain, tmp_path, **wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_json_of_the_signature(tmp_path: Path) -> None:
    path = rewritten(tmp_path, {})
    about = safetensors.read_header(path).metadata
    assert json.loads(about["inputs"]) == [["x", "float32", ["n", 3]]]
    assert json.loads(about["outputs"]) == "tensor"

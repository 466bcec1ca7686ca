"""The documents run: code in them is executed, and what they show is what happens."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from twofold.graph.text import parse
from twofold.ops.base import registry

DOCS = Path(__file__).resolve().parent.parent / "docs"


def load(name: str) -> ModuleType:
    """A script of the documents, as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_adding_an_op(tmp_path: Path) -> None:
    """In a process of its own, since it registers an op."""
    text = (DOCS / "add_an_op.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) >= 6
    script = tmp_path / "softplus.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    command = [sys.executable, str(script)]
    env = {"PYTHONPATH": str(DOCS.parent), "PATH": "", "TWOFOLD_VERIFY": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


# The whole design in the small.


@pytest.fixture(scope="module")
def small() -> ModuleType:
    return load("twofold_small")


def test_the_small_model_trains_with_one_program(small: ModuleType) -> None:
    small.programs.clear()
    losses = small.train(100)
    assert losses[-1] < 0.4 * losses[0]
    assert len(small.programs) == 1


def test_its_gradients_are_right(small: ModuleType) -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(s) for s in ((3, 4), (4, 2), (2,))]

    def loss_of(values: list[np.ndarray]) -> tuple:
        a, w, c = map(small.Tensor, values)
        return ((a @ w + c).relu() * (a @ w).exp()).sum(), [a, w, c]

    loss, inputs = loss_of(arrays)
    loss.backward(inputs)
    for k, x in enumerate(inputs):
        direction = rng.standard_normal(arrays[k].shape)
        step = 1e-3
        ends = []
        for sign in (1, -1):
            moved = [*arrays]
            moved[k] = arrays[k] + sign * step * direction
            ends.append(float(loss_of(moved)[0].numpy()))
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose((x.grad.numpy() * direction).sum(), slope, rtol=2e-2)


def test_its_elementwise_ops_are_fused_into_the_sum(small: ModuleType) -> None:
    small.flush()
    small.programs.clear()
    x = small.Tensor(np.ones((5, 7)))
    y = ((x * 2 + 1).exp() - x).sum()
    np.testing.assert_allclose(y.numpy(), 35 * (np.exp(3) - 1), rtol=1e-5)
    (program,) = small.programs.values()
    # The tensors between are gone, so only the sum lies in memory.
    assert len(program.functions) == 1


def test_its_second_derivative(small: ModuleType) -> None:
    x = small.Tensor(np.array([0.5, 1.0]))
    y = (x * x * x).sum()
    y.backward([x])
    g = x.grad.sum()
    g.backward([x])
    np.testing.assert_allclose(x.grad.numpy(), [3.0, 6.0], rtol=1e-6)


def test_its_errors_name_the_op(small: ModuleType) -> None:
    with pytest.raises(RuntimeError, match=r"\[matmul\] inner sizes"):
        small.Tensor(np.ones((2, 3))) @ small.Tensor(np.ones((2, 3)))


def test_its_script_says_what_was_compiled() -> None:
    command = [sys.executable, str(DOCS / "twofold_small.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "programs compiled: 1" in done.stdout


# One training step, stage by stage.


@pytest.fixture(scope="module")
def one_step() -> tuple[ModuleType, str]:
    module = load("one_step")
    return module, module.document()[0]


def sections(text: str) -> dict[str, str]:
    """The text below each heading."""
    parts = re.split(r"^## \d+\. (.*)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", text, re.S)


@pytest.mark.native
def test_one_step_is_written_as_it_is_made(one_step: tuple[ModuleType, str]) -> None:
    """What users see (program, nodes, gradient, loss) to the letter; how it is compiled today may
    have moved on: `python docs/one_step.py` writes it anew."""
    module, made = one_step
    new, old = sections(made), sections(module.PATH.read_text(encoding="utf-8"))
    assert list(new) == list(old)
    for title in ("Python", "Nodes", "The gradient is more nodes", "The run"):
        assert new[title] == old[title], f"{title}: run python docs/one_step.py"


def test_one_step_shows_graphs_that_can_be_pasted_back(one_step: tuple[ModuleType, str]) -> None:
    module, made = one_step
    for text in (made, module.PATH.read_text(encoding="utf-8")):
        graphs = [b for b in blocks(text, "python") if b.startswith("def ") and " = " in b][1:]
        assert len(graphs) >= 2
        for graph in graphs:
            assert str(parse(graph, registry)) == graph


def test_one_step_reaches_the_metal(one_step: tuple[ModuleType, str]) -> None:
    found = sections(one_step[1])
    assert "matmul" in found["Kernels"] and "*lanes" in found["Loop nests"]
    assert "all threads meet" in found["Memory and threads"]
    assert "fmul <" in found["LLVM"] and "ymm" in found["Assembly"]


def test_one_step_gives_the_loss_of_numpy(one_step: tuple[ModuleType, str]) -> None:
    module, made = one_step
    x, y, w1, w2 = (t.detach().numpy().astype(np.float64) for t in module._data())
    losses = []
    for _ in range(3):
        h = np.maximum(x @ w1, 0)
        error = h @ w2 - y
        losses.append((error**2).mean())
        g = 2 * error / error.size
        d1, d2 = x.T @ (g @ w2.T * (h > 0)), h.T @ g
        w1, w2 = w1 - 0.1 * d1, w2 - 0.1 * d2
    shown = [float(v) for v in re.findall(r"loss (?:is )?(\d+\.\d+)", sections(made)["The run"])]
    np.testing.assert_allclose(shown, losses, rtol=1e-5)
    assert made.count("kernels looked up: 0") == 2

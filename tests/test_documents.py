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

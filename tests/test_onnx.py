"""ONNX models: operators against ONNX's own tests, branches, training, errors."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

import twofold as tf  # noqa: E402
from twofold import config  # noqa: E402
from twofold.onnx import OnnxModel, UnsupportedOperator, load  # noqa: E402
from twofold.onnx.registry import as_array  # noqa: E402
from twofold.serialization import FormatError  # noqa: E402

helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT = onnx.TensorProto.FLOAT

ABSENT = (
    "UINT", "INT4", "INT2", "FLOAT8", "FLOAT4", "BFLOAT16", "bf16", "uint16", "uint32", "uint64",
    "ui64", "string", "training_dropout", "bitwise_not_3d", "window", "empty_set_bool",
    "optional", "range_bfloat16",
)  # fmt: skip
"""Parts of the names of tests that ask for types which are not here, strings, random numbers, and
windows, whose definition by other operators the reference operators refuse."""


def array_of(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def agrees(got: Any, wanted: Any) -> None:
    if isinstance(wanted, list):
        assert len(got) == len(wanted)
        for a, b in zip(got, wanted):
            agrees(a, b)
        return
    assert got.dtype.name == wanted.dtype.name
    a = as_array(got)
    wanted = wanted.astype(a.dtype)
    assert a.shape == wanted.shape
    np.testing.assert_allclose(a, wanted, rtol=1e-3, atol=1e-4)


def test_onnx_own_tests_of_operators() -> None:
    """By the NumPy references, so that nothing is compiled: it is the operators that are tested."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    passed, failed, refused = 0, [], 0
    with config.override(backend="reference"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in cases:
            inputs, outputs = case.data_sets[0]
            try:
                found = OnnxModel(case.model)(*map(array_of, inputs))
                for got, wanted in zip(
                    found if isinstance(found, tuple) else (found,), map(array_of, outputs)
                ):
                    agrees(got, wanted)
                passed += 1
            except UnsupportedOperator:
                refused += 1
            except Exception as error:
                if not any(part in case.name for part in ABSENT):
                    failed.append(f"{case.name}: {type(error).__name__}: {str(error)[:200]}")
    assert not failed, "\n".join(failed)
    assert passed >= 1300 and refused < 300


def model_of(nodes: list[Any], inputs: dict[str, Any], outputs: list[str], **weights: Any) -> Any:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(n, FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, FLOAT, None) for n in outputs],
        [numpy_helper.from_array(np.asarray(w), n) for n, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def net() -> Any:
    generator = np.random.default_rng(0)
    normal = lambda *s: generator.standard_normal(s).astype(np.float32)  # noqa: E731
    nodes = [
        helper.make_node("Conv", ["x", "w.1", "b.1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Shape", ["r"], ["s"], start=0, end=1),
        helper.make_node("Concat", ["s", "minus"], ["t"], axis=0),
        helper.make_node("Reshape", ["r", "t"], ["f"]),
        helper.make_node("Gemm", ["f", "w.2", "b.2"], ["y"], transB=1),
    ]
    weights = {
        "w.1": normal(4, 1, 3, 3), "b.1": normal(4), "w.2": normal(5, 4 * 36), "b.2": normal(5),
        "minus": np.asarray([-1]),
    }  # fmt: skip
    return model_of(nodes, {"x": ["n", 1, 6, 6]}, ["y"], **weights)


def test_a_net_runs_and_is_captured(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(net(), path)
    from onnx.reference import ReferenceEvaluator

    model, wanted = load(path), ReferenceEvaluator(net())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (2, 2, 2, 2, 3):
            x = np.random.default_rng(n).standard_normal((n, 1, 6, 6)).astype(np.float32)
            (y,) = wanted.run(None, {"x": x})
            np.testing.assert_allclose(model.run(None, {"x": x})[0], y, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(model(tf.from_numpy(x)).numpy(), y, rtol=1e-4, atol=1e-4)
    assert sorted(model.state_dict()) == ["b_1", "b_2", "w_1", "w_2"]
    program = tf.deploy.program_of(model, {"x": tf.zeros(2, 1, 6, 6)}, {"x": {0: "n"}})
    x = tf.randn(5, 1, 6, 6)
    assert np.array_equal(program(x).numpy(), model(x).numpy())


def test_a_net_is_trained_further() -> None:
    model = OnnxModel(net(), trainable=True)
    x, y = tf.randn(8, 1, 6, 6), tf.randint(0, 5, (8,))
    optimizer = tf.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(10):
        loss = tf.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_branches_and_loops() -> None:
    then = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["t"])], "then", [],
        [helper.make_tensor_value_info("t", FLOAT, None)],
    )  # fmt: skip
    other = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["e"])], "else", [],
        [helper.make_tensor_value_info("e", FLOAT, None)],
    )  # fmt: skip
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Less", ["s", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other),
    ]
    model = OnnxModel(model_of(nodes, {"x": [2]}, ["y"], zero=np.float32(0)))
    with pytest.warns(tf.capture.NotCaptured):
        assert model(tf.tensor([-1.0, -2.0])).tolist() == [1.0, 2.0]
    assert model(tf.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_bad_files_and_calls(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    for data in (b"", b"no model at all", net().SerializeToString()[:200]):
        path.write_bytes(data)
        with pytest.raises(FormatError, match="no ONNX model"):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "gone.onnx")
    nodes = [helper.make_node("DeformConv", ["x", "w", "x"], ["y"])]
    with pytest.raises(UnsupportedOperator, match="DeformConv"):
        OnnxModel(model_of(nodes, {"x": [1, 1, 4, 4]}, ["y"], w=np.zeros((1, 1, 1, 1), "f")))
    model = OnnxModel(net())
    with pytest.raises(TypeError, match="takes"):
        model()
    with pytest.raises(TypeError, match="takes"):
        model(tf.zeros(1, 1, 6, 6), z=1)
    with pytest.raises(ValueError, match="outputs are"):
        model.run(["z"], {"x": np.zeros((1, 1, 6, 6), np.float32)})
    with pytest.raises(RuntimeError, match=r"in the ONNX node Gemm|mat1|shape"):
        model(tf.zeros(1, 1, 7, 6)).numpy()

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
FLOAT, BOOL, INT64 = (onnx.TensorProto.DataType.Value(n) for n in ("FLOAT", "BOOL", "INT64"))

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


@pytest.mark.native
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
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            assert model(tf.tensor([-1.0, -2.0])).tolist() == [1.0, 2.0]
            assert model(tf.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    program = tf.deploy.program_of(model, [tf.zeros(2)])
    assert program(tf.tensor([-1.0, -2.0])).tolist() == [1.0, 2.0]
    assert program(tf.tensor([1.0, 5.0])).tolist() == [1.0, 5.0]


def info(name: str, kind: int = FLOAT, shape: Any = None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("count", [None, 3, 12])
def test_loops(count: int | None, rows: bool) -> None:
    """Loops whose length is a number, an input, or depends on what they carry."""
    outputs = [info("go", BOOL, []), info("after"), *([info("row")] if rows else [])]
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["before", "half"], ["scaled"]),
            helper.make_node("Cast", ["i"], ["f"], to=FLOAT),
            helper.make_node("Add", ["scaled", "f"], ["after"]),
            helper.make_node("ReduceSum", ["after"], ["s"], keepdims=0),
            helper.make_node("Less", ["s", "limit"], ["small"]),
            helper.make_node("Identity", ["small" if count is None else "goes"], ["go"]),
            *([helper.make_node("Neg", ["after"], ["row"])] if rows else []),
        ],
        "body",
        [info("i", INT64, []), info("goes", BOOL, []), info("before")],
        outputs,
    )
    given = ["", "yes"] if count is None else ["n", ""]
    names = ["y", "stacked"] if rows else ["y"]
    nodes = [helper.make_node("Loop", [*given, "x"], names, body=body)]
    constants = {"half": np.float32(0.5), "limit": np.float32(20), "yes": np.asarray(True)}
    if count is not None:
        constants["n"] = np.asarray(count)
    proto = model_of(nodes, {"x": [3]}, names, **constants)
    model = OnnxModel(proto)
    for start in (0.0, 40.0, -9.0):
        x = np.full(3, start, np.float32)
        y, stacked, i = x, [], 0
        while count is None or i < count:
            y = y * 0.5 + i
            stacked.append(-y)
            i += 1
            if count is None and y.sum() >= 20:
                break
        for _ in range(3):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", tf.capture.NotCaptured)
                found = model.run(None, {"x": x})
            np.testing.assert_allclose(found[0], y, rtol=1e-5)
            if rows:
                np.testing.assert_allclose(found[1], stacked, rtol=1e-5)
    settled = any(v.settled for v in model._captured.variants.values())
    assert settled == (count is not None or not rows)  # stacked rows of unknown length
    if settled:
        program = tf.deploy.program_of(model, [tf.zeros(3)])
        assert (program.text.count("loop(") > 0) == (count != 3)


@pytest.mark.parametrize("steps", [2, 9])
def test_scans(steps: int) -> None:
    """Both directions, along any axis, as one loop where it is long."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["c", "a"], ["sum"]),
            helper.make_node("Mul", ["sum", "b"], ["row"]),
        ],
        "body",
        [info("c"), info("a"), info("b")],
        [info("sum"), info("row")],
    )
    for back in (0, 1):
        nodes = [
            helper.make_node(
                "Scan", ["start", "x", "x"], ["last", "rows"], body=body, num_scan_inputs=2,
                scan_input_directions=[back, 1], scan_input_axes=[1, 1], scan_output_axes=[1],
                scan_output_directions=[back],
            )
        ]  # fmt: skip
        proto = model_of(nodes, {"x": [4, steps]}, ["last", "rows"], start=np.zeros(4, "f"))
        x = np.random.default_rng(0).standard_normal((4, steps)).astype(np.float32)
        last, rows = OnnxModel(proto).run(None, {"x": x})
        sums = np.cumsum(x[:, ::-1] if back else x, 1)
        wanted = sums * x[:, ::-1]
        np.testing.assert_allclose(last, sums[:, -1], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(rows, wanted[:, ::-1] if back else wanted, rtol=1e-5, atol=1e-6)


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

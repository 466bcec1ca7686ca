"""Reading ONNX models, and running them.

A model's graph is walked node by node; each calls its operator's function (`registry.py`), which
records Twofold's graph. What is known before anything runs (shapes, axes, constants) is kept as
NumPy arrays, and operators on such arrays alone are computed at once, by the reference operators in
the package `onnx`. So the shapes that a model computes cost nothing in a captured call, and a
branch on one is taken as the model is walked. A branch on a tensor looks at its value.
"""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd_api import is_grad_enabled
from ..capture import compile as compile_function
from ..nn import Module, Parameter
from ..serialization import FormatError
from ..tensor import Tensor, from_stored
from . import control, layers, pointwise, recurrent, reduction, shape
from .registry import UnsupportedOperator, Value, as_array, as_tensor, operators

__all__ = ["control", "layers", "pointwise", "recurrent", "reduction", "shape"]

_STORED = {16: dtypes.bfloat16}
"""Numbers of ONNX's types that NumPy has not."""


@dataclass
class Step:
    """One node: its operator, the names of its inputs ("" for none) and outputs, its attributes;
    `fold` computes it on arrays."""

    name: str
    call: Callable[[list[Value], dict[str, Any], int], Any]
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    folds: bool
    fold: Callable[[list[Value]], list[Any]] | None = None


@dataclass
class Graph:
    """A graph, or the body of a branch or loop."""

    inputs: list[str]
    outputs: list[str]
    steps: list[Step]
    constants: dict[str, Any] = field(default_factory=dict)
    opset: int = 13

    def run(self, given: Mapping[str, Value], outer: Mapping[str, Value]) -> list[Value]:
        """The outputs, for values of the inputs; names may come from around the graph."""
        values: ChainMap[str, Any] = ChainMap({"": None}, dict(given), self.constants, dict(outer))
        for step in self.steps:
            try:
                self._take(step, values)
            except UnsupportedOperator:
                raise
            except (TypeError, ValueError, IndexError, RuntimeError) as error:
                error.add_note(f"in the ONNX node {step.name}, which gives {step.outputs[0]!r}")
                raise
        return [values[name] for name in self.outputs]

    def _take(self, step: Step, values: ChainMap[str, Any]) -> None:
        inputs = [values[name] for name in step.inputs]
        known = step.folds and all(x is None or isinstance(x, np.ndarray) for x in inputs)
        if known and step.fold is not None:
            results: Any = step.fold(inputs)
        else:
            attributes = step.attributes
            if step.name in control.OUTER:
                attributes = {**attributes, "outer": values}
            results = step.call(inputs, attributes, self.opset)
        if not isinstance(results, tuple):
            results = tuple(results) if known and step.fold is not None else (results,)
        values.maps[0].update(zip(step.outputs, results))


class OnnxModel(Module):
    """An ONNX model as a module.

    Called with its inputs, by position or name, it gives its output, or a tuple of several. Calls
    are captured: from the third of a kind on they run as one plan. Float weights are parameters,
    under their names in the file, with _ for dots. `run` is as in ONNX Runtime's sessions.
    """

    def __init__(self, proto: Any, trainable: bool = False) -> None:
        super().__init__()
        proto = _inlined(proto)
        self.output_names: list[str] = [o.name for o in proto.graph.output]
        self.graph = _Reader(proto).graph(proto.graph)
        self._attribute_of: dict[str, str] = {}
        hosts = _host_names(self.graph)
        for name, value in list(self.graph.constants.items()):
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and name not in hosts:
                attribute = self._free_name(name)
                self.register_parameter(
                    attribute, Parameter(as_tensor(value), requires_grad=trainable)
                )
                self._attribute_of[name] = attribute
        self.input_names = [i.name for i in proto.graph.input if i.name not in self.graph.constants]
        self._captured = compile_function(self._walk)
        self.train(trainable)

    def _free_name(self, name: str) -> str:
        made = "".join(c if c.isalnum() else "_" for c in name)
        made = f"_{made}" if made[:1].isdigit() else made
        while hasattr(self, made) or made in self._parameters:
            made += "_"
        return made

    def __repr__(self) -> str:
        return (
            f"OnnxModel({', '.join(self.input_names)} -> {', '.join(self.output_names)}; "
            f"{len(self.graph.steps)} nodes)"
        )

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The outputs. TypeError for inputs that are missing or unknown."""
        given = dict(zip(self.input_names, inputs))
        wrong = [n for n in named if n not in self.input_names or n in given]
        given.update(named)
        missing = [n for n in self.input_names if n not in given]
        if wrong or missing or len(inputs) > len(self.input_names):
            raise TypeError(
                f"[onnx] the model takes {self.input_names}; got {len(inputs)} by position and "
                f"{sorted(named)} by name"
            )
        values = tuple(_given(given[n]) for n in self.input_names)
        learns = is_grad_enabled() and any(p.requires_grad for p in self._parameters.values())
        asks = is_grad_enabled() and any(isinstance(v, Tensor) and v.requires_grad for v in values)
        found = self._walk(*values) if learns or asks else self._captured(*values)
        return found[0] if len(found) == 1 else found

    def run(
        self, output_names: Sequence[str] | None, inputs: Mapping[str, Any]
    ) -> list[np.ndarray]:
        """The outputs of these names (all for None) as arrays, for arrays by name."""
        found = self(**inputs)
        found = found if isinstance(found, tuple) else (found,)
        arrays = dict(zip(self.output_names, map(as_array, found)))
        unknown = [n for n in output_names or () if n not in arrays]
        if unknown:
            raise ValueError(f"[onnx] the outputs are {self.output_names}; got {unknown}")
        return [arrays[n] for n in output_names or self.output_names]

    def _walk(self, *values: Any) -> tuple[Any, ...]:
        given: dict[str, Any] = {
            name: np.asarray(v) if isinstance(v, np.generic) else v
            for name, v in zip(self.input_names, values)
        }
        given.update({n: self._parameters[a] for n, a in self._attribute_of.items()})
        return tuple(_result(v) for v in self.graph.run(given, {}))


def _given(value: Any) -> Any:
    """An input: whole numbers without axes stay numbers, on which branches are taken."""
    if isinstance(value, (bool, int)):
        return np.asarray(value)[()]
    if isinstance(value, (np.ndarray, np.generic)) and value.ndim == 0 and value.dtype.kind in "bi":
        return np.asarray(value)[()]
    if isinstance(value, (list, tuple)):
        return [_given(v) for v in value]
    return value if isinstance(value, Tensor) else as_tensor(np.asarray(value))


def _result(value: Value) -> Any:
    return as_tensor(value)


def _host_names(graph: Graph) -> set[str]:
    """Names of values that some operator wants as arrays."""
    found: set[str] = set()
    for step in graph.steps:
        known = operators.get(step.name)
        for at in known.host if known else ():
            if at < len(step.inputs):
                found.add(step.inputs[at])
        for value in step.attributes.values():
            if isinstance(value, Graph):
                found |= _host_names(value)
    return found


def _missing(graph: Any) -> Iterator[tuple[str, str]]:
    """(domain, name) of operators that are not here."""
    for node in graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in operators:
            yield node.domain, node.op_type
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _missing(attribute.g)


def _inlined(proto: Any) -> Any:
    """The model with functions of its own, and operators that ONNX defines by others and that are
    not here, written out."""
    import onnx.inliner

    if proto.functions:
        proto = onnx.inliner.inline_local_functions(proto)
    missing = sorted(set(_missing(proto.graph)))
    if missing:
        try:
            proto = onnx.inliner.inline_selected_functions(
                proto, missing, inline_schema_functions=True
            )
        except RuntimeError as error:
            raise UnsupportedOperator(
                f"[onnx] operators that are not supported: {missing}; writing them out by others "
                f"fails: {error}"
            ) from None
    return proto


class _Reader:
    """Turns ONNX's messages into graphs."""

    def __init__(self, proto: Any) -> None:
        import onnx

        self.onnx = onnx
        self.versions = {o.domain: o.version for o in proto.opset_import}
        self.opset = self.versions.get("", self.versions.get("ai.onnx", 13))
        missing = sorted({f"{domain}::{name}".strip(":") for domain, name in _missing(proto.graph)})
        if missing:
            raise UnsupportedOperator(
                f"[onnx] operators that are not supported: {', '.join(missing)}"
            )

    def graph(self, graph: Any) -> Graph:
        """A graph with its constants."""
        constants = {t.name: self._array(t) for t in graph.initializer}
        return Graph(
            [i.name for i in graph.input],
            [o.name for o in graph.output],
            [self._step(node) for node in graph.node],
            constants,
            self.opset,
        )

    def _array(self, tensor: Any) -> Any:
        """A constant: an array, or a tensor where NumPy lacks the type."""
        if tensor.data_type in _STORED:
            bits = self.onnx.numpy_helper.to_array(tensor).view(np.uint16)
            return from_stored(bits, _STORED[tensor.data_type])
        array = self.onnx.numpy_helper.to_array(tensor)
        if array.dtype.kind not in "biufc":
            raise UnsupportedOperator(f"[onnx] {tensor.name}: tensors of {array.dtype}")
        return array

    def _step(self, node: Any) -> Step:
        onnx = self.onnx
        attributes: dict[str, Any] = {}
        for a in node.attribute:
            if a.type == onnx.AttributeProto.GRAPH:
                attributes[a.name] = self.graph(a.g)
            elif a.type == onnx.AttributeProto.TENSOR:
                attributes[a.name] = self._array(a.t)
            else:
                value = onnx.helper.get_attribute_value(a)
                attributes[a.name] = value.decode() if isinstance(value, bytes) else value
        known = operators[node.op_type]
        outputs = list(node.output)
        if "outputs" in known.parameters:
            attributes["outputs"] = len(outputs)
        folds = node.op_type not in control.OUTER and len(node.input) > 0
        step = Step(node.op_type, known, list(node.input), outputs, attributes, folds)
        if folds:
            step.fold = self._fold(node)
        return step

    def _fold(self, node: Any) -> Callable[[list[Value]], list[Any]]:
        made: list[Any] = []

        def fold(inputs: list[Value]) -> list[Any]:
            if not made:
                from onnx.reference import ReferenceEvaluator

                names = [self.onnx.ValueInfoProto(name=n) for n in node.input if n]
                results = [self.onnx.ValueInfoProto(name=n) for n in node.output if n]
                graph = self.onnx.helper.make_graph([node], "fold", names, results)
                sets = [self.onnx.helper.make_opsetid(d, v) for d, v in self.versions.items()]
                model = self.onnx.helper.make_model(graph, opset_imports=sets)
                made.append(ReferenceEvaluator(model))
            feeds = {n: x for n, x in zip(node.input, inputs) if n}
            return made[0].run(None, feeds)

        return fold


def load(path: str | os.PathLike[str], trainable: bool = False) -> OnnxModel:
    """The model in a file, with `trainable` weights that take gradients.

    FormatError for a file that is no ONNX model; UnsupportedOperator, with the names, for a model
    that uses operators which are not here; ModuleNotFoundError without the package `onnx`.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "[onnx] reading models needs the package onnx; try pip install 'twofold[onnx]'"
        ) from error
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load(os.fspath(path))
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise FormatError(f"[onnx] {os.fspath(path)}: no ONNX model: {error}") from None
    if not proto.graph.node and not proto.graph.output:
        raise FormatError(f"[onnx] {os.fspath(path)}: no ONNX model: it has no graph")
    return OnnxModel(proto, trainable)

"""Branches and loops of ONNX: taken as the model is walked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..functions._registry import functions
from ..tensor import Tensor
from .registry import Operator, UnsupportedOperator, as_tensor, op, operators

OUTER = frozenset({"If", "Loop", "Scan"})
"""Operators whose bodies see the values around them, as `outer`."""

_MANY = 1 << 40


def _truth(value: Any) -> bool:
    return bool(np.asarray(value).item()) if isinstance(value, np.ndarray) else bool(value)


def _raw(name: str, function: Any) -> None:
    """Register a function that takes values as they are."""

    class _Control(Operator):
        def __call__(self, inputs: list[Any], attributes: dict[str, Any], opset: int) -> Any:
            return function(*inputs, **attributes)

    known = operators[name]
    operators[name] = _Control(name, known.function, (), known.parameters)


@op("If")
def if_(condition: Any, *, then_branch: Any, else_branch: Any, outer: Mapping[str, Any]) -> Any:
    """The outputs of one of two graphs."""
    branch = then_branch if _truth(condition) else else_branch
    return tuple(branch.run({}, outer))


@op("Loop")
def loop(
    count: Any, condition: Any, *carried: Any, body: Any, outer: Mapping[str, Any]
) -> tuple[Any, ...]:
    """A body run `count` times, or while its condition holds; what it gives besides is stacked."""
    most = _MANY if count is None else int(np.asarray(as_host(count)).item())
    goes_on = condition is None or _truth(condition)
    n, rows, k = len(carried), [], 0
    values = list(carried)
    while k < most and goes_on:
        given = [np.asarray(k, np.int64), np.asarray(True), *values]
        found = body.run(dict(zip(body.inputs, given)), outer)
        goes_on, values = _truth(found[0]), list(found[1 : 1 + n])
        rows.append(found[1 + n :])
        k += 1
    return (*values, *[_stacked(list(column), 0) for column in zip(*rows)])


@op("Scan")
def scan(
    *inputs: Any, body: Any, num_scan_inputs: int, outer: Mapping[str, Any],
    scan_input_axes: Any = None, scan_input_directions: Any = None,
    scan_output_axes: Any = None, scan_output_directions: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    """A body run for each row of the scanned inputs, which carries the others along."""
    if inputs[0] is None:
        raise UnsupportedOperator("[onnx] Scan of version 8, over a batch, is not supported")
    n = len(inputs) - num_scan_inputs
    values = list(inputs[:n])
    axes = list(scan_input_axes or [0] * num_scan_inputs)
    backwards = list(scan_input_directions or [0] * num_scan_inputs)
    scanned = [as_tensor(x) for x in inputs[n:]]
    steps = scanned[0].shape[axes[0]]
    rows = []
    for t in range(steps):
        now = [
            functions["select"](x, a, steps - 1 - t if b else t)
            for x, a, b in zip(scanned, axes, backwards)
        ]
        found = body.run(dict(zip(body.inputs, [*values, *now])), outer)
        values = list(found[:n])
        rows.append(found[n:])
    outputs = len(body.outputs) - n
    out_axes = list(scan_output_axes or [0] * outputs)
    out_back = list(scan_output_directions or [0] * outputs)
    columns = [list(c)[::-1] if b else list(c) for c, b in zip(zip(*rows), out_back)]
    return (*values, *[_stacked(c, a) for c, a in zip(columns, out_axes)])


def as_host(value: Any) -> Any:
    """A tensor's value as an array."""
    return value.detach().numpy() if isinstance(value, Tensor) else value


def _stacked(values: list[Any], axis: int) -> Any:
    if all(isinstance(v, np.ndarray) for v in values):
        return np.stack(values, axis)
    return functions["stack"]([as_tensor(v) for v in values], axis)


for _name, _function in (("If", if_), ("Loop", loop), ("Scan", scan)):
    _raw(_name, _function)

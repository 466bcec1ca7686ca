"""Branches and loops of ONNX: taken as the model is walked where what decides is known then, else
branches and loops of the graph.

What the graph cannot hold (results whose shapes differ, stacked results of a loop whose length
depends on values, shapes that are computed from what a loop carries) is decided by looking at the
value, and loops are then written out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..functions._registry import functions
from ..tensor import Tensor
from .registry import Operator, UnsupportedOperator, as_tensor, op, operators

OUTER = frozenset({"If", "Loop", "Scan"})
"""Operators whose bodies see the values around them, as `outer`."""

UNROLLED = 4
"""Rounds up to which a loop of known length is written out."""

_MANY = 1 << 40

_FAULTS = (RuntimeError, TypeError, ValueError, IndexError)
"""What a body raises that the graph cannot hold. Where it is the model's own fault, it is raised
again as the body is walked by values."""


class _Unsuited(RuntimeError):
    """A loop is of another form than it was taken for."""


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
    if isinstance(condition, Tensor):
        try:
            return _either(condition, (then_branch, else_branch), outer)
        except _FAULTS:
            pass  # the branch that is taken is walked below
    branch = then_branch if _truth(condition) else else_branch
    return tuple(branch.run({}, outer))


def _either(condition: Tensor, branches: tuple, outer: Mapping[str, Any]) -> tuple[Any, ...]:
    """The outputs of a branch of the graph; arrays that both branches give stay arrays."""
    found: list[list[Any]] = []

    def outputs(branch: Any) -> tuple[Any, ...]:
        found.append(branch.run({}, outer))
        return tuple([as_tensor(v) for v in found[-1]])

    first, second = (lambda: outputs(branches[0])), (lambda: outputs(branches[1]))
    results = functions["cond"](condition, first, second)
    return tuple(
        a if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b) else y
        for a, b, y in zip(*found, results)
    )


@op("Loop")
def loop(
    count: Any, condition: Any, *carried: Any, body: Any, outer: Mapping[str, Any]
) -> tuple[Any, ...]:
    """A body run `count` times, or while its condition holds; what it gives besides is stacked."""
    is_known = not isinstance(count, Tensor) and not isinstance(condition, Tensor)
    goes = not is_known or condition is None or _truth(condition)
    most = _MANY if count is None or not is_known else int(np.asarray(count).item())
    if goes and is_known and UNROLLED < most < _MANY:
        try:
            return _counted(most, carried, body, outer)
        except _FAULTS:
            pass
    if goes and most > UNROLLED and len(body.outputs) == 1 + len(carried):
        try:
            return _open(count, condition, carried, body, outer)
        except _FAULTS:
            pass
    return _written_out(count, condition, carried, body, outer)


def _counted(
    n: int, carried: tuple[Any, ...], body: Any, outer: Mapping[str, Any]
) -> tuple[Any, ...]:
    """A loop of n rounds, whose condition is true from the start, as a scan."""
    k = len(carried)

    def step(values: Any, at: Tensor) -> tuple[Any, Any]:
        given = [at, np.asarray(True), *values]
        found = body.run(dict(zip(body.inputs, given)), outer)
        if isinstance(found[0], Tensor) or not _truth(found[0]):
            raise _Unsuited("the loop's condition depends on values")
        return _tensors(found[1 : 1 + k]), _tensors(found[1 + k :])

    last, rows = functions["scan"](step, _tensors(carried), functions["arange"](n))
    return (*last, *rows)


def _open(
    count: Any, condition: Any, carried: tuple[Any, ...], body: Any, outer: Mapping[str, Any]
) -> tuple[Any, ...]:
    """A loop whose length depends on values, which gives no stacked results."""
    most = None if count is None else as_tensor(count).reshape(())
    start = np.asarray(True) if condition is None else condition

    def goes_on(at: Tensor, goes: Tensor, *values: Any) -> Tensor:
        return goes if most is None else goes & (at < most)

    def step(at: Tensor, goes: Tensor, *values: Any) -> tuple[Any, ...]:
        given = [at, np.asarray(True), *values]
        found = body.run(dict(zip(body.inputs, given)), outer)
        return (at + 1, as_tensor(found[0]).reshape(()), *_tensors(found[1:]))

    begin = (as_tensor(np.asarray(0, np.int64)), as_tensor(start).reshape(()), *_tensors(carried))
    bound = int(np.asarray(count).item()) if isinstance(count, np.ndarray) else None
    return functions["while_loop"](goes_on, step, begin, bound)[2:]


def _written_out(
    count: Any, condition: Any, carried: tuple[Any, ...], body: Any, outer: Mapping[str, Any]
) -> tuple[Any, ...]:
    """A loop whose rounds are walked one by one."""
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


def _tensors(values: Any) -> tuple[Any, ...]:
    return tuple([as_tensor(v) for v in values])


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
    axes = list(scan_input_axes or [0] * num_scan_inputs)
    backwards = list(scan_input_directions or [0] * num_scan_inputs)
    scanned = [
        functions["flip"](x, (a,)) if b else x
        for x, a, b in zip(map(as_tensor, inputs[n:]), axes, backwards)
    ]
    scanned = [functions["movedim"](x, a, 0) for x, a in zip(scanned, axes)]
    values, columns = _rows(inputs[:n], scanned, body, outer)
    outputs = len(body.outputs) - n
    out_axes = list(scan_output_axes or [0] * outputs)
    out_back = list(scan_output_directions or [0] * outputs)
    turned = [functions["flip"](y, (0,)) if b else y for y, b in zip(columns, out_back)]
    return (*values, *[functions["movedim"](y, 0, a) for y, a in zip(turned, out_axes)])


def _rows(
    carried: tuple[Any, ...], scanned: list[Tensor], body: Any, outer: Mapping[str, Any]
) -> tuple[list[Any], list[Tensor]]:
    """What a scan carries at its end, and its outputs stacked along a first axis."""
    n = len(carried)

    def step(values: Any, rows: Any) -> list[Any]:
        return body.run(dict(zip(body.inputs, [*values, *rows])), outer)

    if scanned[0].shape[0] > UNROLLED:

        def recorded(values: Any, rows: Any) -> tuple[Any, Any]:
            found = step(values, rows)
            return _tensors(found[:n]), _tensors(found[n:])

        try:
            last, columns = functions["scan"](recorded, _tensors(carried), tuple(scanned))
            return list(last), list(columns)
        except _FAULTS:
            pass
    values, found = list(carried), []
    for t in range(scanned[0].shape[0]):
        results = step(values, [functions["select"](x, 0, t) for x in scanned])
        values = list(results[:n])
        found.append(results[n:])
    return values, [as_tensor(_stacked(list(c), 0)) for c in zip(*found)]


def as_host(value: Any) -> Any:
    """A tensor's value as an array."""
    return value.detach().numpy() if isinstance(value, Tensor) else value


def _stacked(values: list[Any], axis: int) -> Any:
    if all(isinstance(v, np.ndarray) for v in values):
        return np.stack(values, axis)
    return functions["stack"]([as_tensor(v) for v in values], axis)


for _name, _function in (("If", if_), ("Loop", loop), ("Scan", scan)):
    _raw(_name, _function)

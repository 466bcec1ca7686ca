"""Every primitive by its row of the table: values against the NumPy reference and PyTorch, dtypes,
shapes, windows, batching, first and second gradients, errors.

All cases of an op run in one flush, so that few programs are compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from op_rows import ROWS, Case, NoPeer, Row, torch, torch_dtype

import twofold as tf
from twofold import dtypes, engine
from twofold.dtypes import DType
from twofold.graph import node as graph
from twofold.graph.node import Node
from twofold.graph.types import Type
from twofold.ops import elementwise as ew
from twofold.ops import interpret
from twofold.ops import movement as mv
from twofold.ops.base import registry
from twofold.ops.scalar_numpy import held_dtype, to_held, to_stored
from twofold.tensor import Tensor, wrap

ELSEWHERE = tuple(
    f"twofold.{name}"
    for name in (
        "ops.attention", "ops.blocks", "ops.branch", "ops.bundle", "ops.complex", "ops.control",
        "ops.decompositions", "ops.fourier", "ops.indefinite", "ops.linear_systems",
        "ops.matrix_functions", "ops.while_loop", "special.gamma",
    )
)  # fmt: skip
"""Attention, products of packed weights, ops of complex numbers alone, branches, loops, calls of
NumPy's functions have their rows in `tests/test_attention.py`, `test_blocks.py`, `test_complex.py`,
`test_control.py`, `test_scan_loop.py`, `test_linalg.py`, `test_fft.py` and `test_special.py`."""

NAMES = sorted(
    name
    for name, op in registry.items()
    if (module := type(op).__module__).startswith("twofold.") and module not in ELSEWHERE
)
DIFFERENTIABLE = [name for name in NAMES if name in ROWS and ROWS[name].grad]
EPS = {
    dtypes.float16: 2.0**-10,
    dtypes.bfloat16: 2.0**-7,
    dtypes.float32: 2.0**-23,
    dtypes.float64: 2.0**-52,
}
FEW = 3
"""How many of its cases an op is applied to in dtypes other than its first."""


def test_every_primitive_has_a_row() -> None:
    """The table is whole, and names nothing that is not there."""
    assert [n for n in NAMES if n not in ROWS] == [], "add a row to tests/op_rows.py"
    assert [n for n in ROWS if n not in registry] == [], "rows of ops that are no more"


# Making inputs.


def _values(
    row: Row, case: Case, rng: np.random.Generator, shape: Sequence[int], dtype: DType, k: int
) -> np.ndarray:
    shape = tuple(shape)
    if case.bound and dtype is dtypes.int64 and (k or len(row.dtypes) == 1):
        return rng.integers(0, case.bound, shape)
    if row.values is not None:
        return np.asarray(row.values(rng, shape, dtype, k))
    if dtype.is_floating_point:
        return rng.uniform(row.low, row.high, shape)
    if dtype is dtypes.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    bounds = np.iinfo(dtype.storage)
    return rng.integers(bounds.min, bounds.max, shape, dtype.storage, endpoint=True)


def _stored(values: np.ndarray, dtype: DType) -> np.ndarray:
    with np.errstate(all="ignore"):
        held = np.asarray(values).astype(held_dtype(dtype))
    return np.array(to_stored(held, dtype), order="C")


def _special(dtype: DType) -> np.ndarray:
    """The values at which functions go wrong."""
    if dtype is dtypes.bool_:
        return np.array([False, True])
    if not dtype.is_floating_point:
        bounds = np.iinfo(dtype.storage)
        some = [0, 1, 2, 7, bounds.max, bounds.max - 1, bounds.min, bounds.min + 1]
        return np.array(some + ([-1, -2] if bounds.min else []), dtype.storage)
    largest = {dtypes.float16: 65504.0, dtypes.float64: 1.7e308}.get(dtype, 3.3e38)
    some = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-3, 3.0, 100.0, np.inf, -np.inf]
    return np.array([*some, np.nan, largest, -largest])


def _dtypes_of(case: Case, first: DType, row: Row) -> list[DType]:
    if not case.dtypes:
        return [first] * len(case.shapes)
    return [first, *(first if d is None else d for d in case.dtypes)]


def _window(kind: str, array: np.ndarray, dtype: DType) -> Node:
    """A node with the values of `array` that is read in strides of a larger leaf."""
    if kind == "strided":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1] + 1), array.dtype)
        wide[..., 1::2] = array
        bounds = (*((0, n, 1) for n in array.shape[:-1]), (1, array.shape[-1], 2))
        return mv.slice_(engine.from_numpy(wide, dtype), bounds)
    if kind == "backward":
        return mv.flip(engine.from_numpy(array[::-1].copy(), dtype), (0,))
    if kind == "permuted":
        axes = tuple(reversed(range(array.ndim)))
        return mv.permute(engine.from_numpy(array.transpose(axes).copy(), dtype), axes)
    return engine.from_numpy(array, dtype)


def _inputs(row: Row, name: str, dtype: DType) -> Iterator[tuple[str, Case, list[np.ndarray], str]]:
    """(label, case, stored arrays, kind of window) of everything that the op is applied to."""
    rng = np.random.default_rng(sum(map(ord, name)))
    cases = row.cases if dtype is row.dtypes[0] else row.cases[:FEW]
    for case in cases:
        kinds = _dtypes_of(case, dtype, row)
        arrays = [
            _stored(_values(row, case, rng, shape, d, k), d)
            for k, (shape, d) in enumerate(zip(case.shapes, kinds))
        ]
        yield f"{case.shapes}{case.attrs or ''}", case, arrays, "whole"
    case = row.cases[0]
    if case.shapes and case.shapes[0] and 0 not in case.shapes[0]:
        kinds = _dtypes_of(case, dtype, row)
        for window in ("strided", "backward", "permuted"):
            arrays = [
                _stored(_values(row, case, rng, shape, d, k), d)
                for k, (shape, d) in enumerate(zip(case.shapes, kinds))
            ]
            yield f"{window} {case.shapes}", case, arrays, window
    if row.special:
        grids = np.meshgrid(*[_special(dtype)] * len(row.cases[0].shapes), indexing="ij")
        arrays = [_stored(g.ravel(), dtype) for g in grids]
        yield "special values", Case(tuple(a.shape for a in arrays), case.attrs), arrays, "whole"


def _apply(name: str, nodes: Sequence[Node], attrs: tuple) -> Node:
    return graph.make(registry[name], tuple(nodes), attrs)


# Values.


@pytest.mark.parametrize("name", NAMES)
def test_value(name: str) -> None:
    """Compiled code against the reference, in every dtype, at all shapes, through windows."""
    row = ROWS[name]
    todo = []
    for dtype in row.dtypes:
        for label, case, arrays, window in _inputs(row, name, dtype):
            kinds = _dtypes_of(case, dtype, row)
            nodes = [
                _window(window if a.ndim and a.shape == case.shapes[0] else "whole", a, d)
                for a, d in zip(arrays, kinds)
            ]
            todo.append(
                (f"{dtype.name} {label}", case, kinds, arrays, _apply(name, nodes, case.attrs))
            )
    engine.realize([y for *_, y in todo])
    for label, case, kinds, arrays, y in todo:
        found = to_held(engine.array_of(y), y.dtype)
        expected = _reference(name, case, kinds, arrays)
        assert found.shape == expected.shape == y.shape, label
        _compare(row, name, label, case, kinds, arrays, found, expected, y.dtype)


def _reference(name: str, case: Case, kinds: list[DType], arrays: list[np.ndarray]) -> np.ndarray:
    """What NumPy says, held."""
    op = registry[name]
    types = [Type(a.shape, d) for a, d in zip(arrays, kinds)]
    held = [to_held(a, d) for a, d in zip(arrays, kinds)]
    out = op.infer(types, case.attrs)
    with np.errstate(all="ignore"):
        return np.asarray(op.reference(held, types, case.attrs, out)).reshape(out.shape)


def _wide_reference(
    name: str, case: Case, kinds: list[DType], arrays: list[np.ndarray], magnitude: bool
) -> np.ndarray:
    """What NumPy says with inputs in float64; of their magnitudes, or of themselves."""
    op = registry[name]
    wide = [dtypes.float64 if d.is_floating_point else d for d in kinds]
    held = [to_held(a, d).astype(w.storage) for a, d, w in zip(arrays, kinds, wide)]
    if magnitude:
        held = [np.abs(a) for a in held]
    types = [Type(a.shape, d) for a, d in zip(held, wide)]
    out = op.infer(types, case.attrs)
    with np.errstate(all="ignore"):
        return np.asarray(op.reference(held, types, case.attrs, out)).reshape(out.shape)


def _compare(
    row: Row,
    name: str,
    label: str,
    case: Case,
    kinds: list[DType],
    arrays: list[np.ndarray],
    found: np.ndarray,
    expected: np.ndarray,
    dtype: DType,
) -> None:
    """Bit for bit, within units of the last place, or within the error of a sum: see `Row.near`."""
    assert found.dtype == expected.dtype, label
    if row.near == "bits" or not dtype.is_floating_point:
        np.testing.assert_array_equal(found, expected, err_msg=label)
        if dtype.is_floating_point:
            known = ~np.isnan(expected)
            np.testing.assert_array_equal(
                np.signbit(found)[known], np.signbit(expected)[known], err_msg=label + ", signs"
            )
        return
    with np.errstate(all="ignore"):
        exact = _wide_reference(name, case, kinds, arrays, magnitude=False)
        rounded = to_held(_stored(exact, dtype), dtype)
        if row.near == "sum":
            scale = _wide_reference(name, case, kinds, arrays, magnitude=True)
            allowed = 16 * EPS[dtypes.float32 if dtype is not dtypes.float64 else dtype] * scale
            allowed = allowed + EPS[dtype] * np.abs(exact)
        else:
            tiny = np.finfo(held_dtype(dtype)).tiny if dtype is not dtypes.float16 else 2.0**-14
            ulps = row.ulps if dtype.compute is dtype else 1.0
            allowed = ulps * EPS[dtype] * np.maximum(np.abs(exact), max(tiny, row.zeros))
        good = (found == rounded) | (np.isnan(found) & np.isnan(exact))
        good |= np.abs(found.astype(np.float64) - exact) <= allowed
    if not good.all():
        at = np.unravel_index(np.argmin(good), good.shape)
        given = [to_held(a, d) for a, d in zip(arrays, kinds)]
        some = [a[at] if a.shape == good.shape else "..." for a in given]
        raise AssertionError(
            f"[{name}] {label}: {(~good).sum()} of {good.size} are off, first at {at} of inputs "
            f"{some}: found {found[at]!r}, exact {exact[at]!r}"
        )


@pytest.mark.parametrize("name", [n for n in NAMES if n in ROWS and ROWS[n].torch is not None])
def test_value_of_pytorch(name: str) -> None:
    """The same values, shapes and dtypes as PyTorch's."""
    if torch is None:
        pytest.skip("needs PyTorch")
    row = ROWS[name]
    of_torch = getattr(torch, row.torch) if isinstance(row.torch, str) else row.torch
    todo: list[tuple[str, Node, Any]] = []
    for dtype in row.dtypes:
        for label, case, arrays, _ in _inputs(row, name, dtype):
            if label == "special values" and not row.torch_special:
                continue
            kinds = _dtypes_of(case, dtype, row)
            theirs = [to_torch(a, d) for a, d in zip(arrays, kinds)]
            try:
                expected = of_torch(*theirs, *case.attrs)
            except (NoPeer, NotImplementedError):
                continue
            except RuntimeError as error:
                if "not implemented for" in str(error) or "not supported" in str(error):
                    continue
                raise
            nodes = [engine.from_numpy(a, d) for a, d in zip(arrays, kinds)]
            todo.append((f"{dtype.name} {label}", _apply(name, nodes, case.attrs), expected))
    assert todo, "PyTorch has none of these"
    engine.realize([y for _, y, _ in todo])
    for label, y, expected in todo:
        assert torch_dtype(y.dtype) == expected.dtype, label
        assert tuple(expected.shape) == y.shape, label
        found = to_held(engine.array_of(y), y.dtype)
        theirs = expected.detach()
        wide = theirs.float() if y.dtype is dtypes.bfloat16 else theirs
        eps = EPS.get(y.dtype, 0.0)
        tolerance = (64 if row.near == "sum" else 16) * eps if row.near != "bits" else 2 * eps
        np.testing.assert_allclose(
            found.astype(np.float64) if eps else found,
            wide.double().numpy() if eps else wide.numpy(),
            rtol=tolerance,
            atol=tolerance if row.near != "bits" or eps > 1e-6 else 0,
            equal_nan=True,
            err_msg=label,
        )


def to_torch(array: np.ndarray, dtype: DType) -> Any:
    """Stored elements as a PyTorch tensor."""
    if dtype is dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


# Batches.


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ROWS or ROWS[n].batches])
def test_batch(name: str) -> None:
    """The batching rule gives what applying the op to each of a batch gives. By the references."""
    row = ROWS[name]
    rng = np.random.default_rng(1)
    size, op, dtype = 3, registry[name], row.dtypes[0]
    for case in row.cases[:6]:
        kinds = _dtypes_of(case, dtype, row)
        n = len(case.shapes)
        patterns = {(True,) * n, *((k == j for k in range(n)) for j in range(n))} if n else {()}
        for pattern in sorted({tuple(p) for p in patterns}):
            arrays = [
                _stored(_values(row, case, rng, (size, *s) if batched else s, d, k), d)
                for k, (s, d, batched) in enumerate(zip(case.shapes, kinds, pattern))
            ]
            label = f"{case} batched {pattern}"
            y = _evaluated(
                lambda xs, case=case, pattern=pattern: op.batch(xs, pattern, case.attrs, size),
                arrays,
                kinds,
            )
            each = [
                _evaluated(
                    lambda xs, case=case: _apply(name, xs, case.attrs),
                    [a[i] if batched else a for a, batched in zip(arrays, pattern)],
                    kinds,
                )
                for i in range(size)
            ]
            if n and any(pattern):
                np.testing.assert_array_equal(y, np.stack(each), err_msg=label)
            else:
                np.testing.assert_array_equal(y, each[0], err_msg=label)


def _evaluated(
    function: Callable[[list[Node]], Node], arrays: list[np.ndarray], kinds: list[DType]
) -> np.ndarray:
    leaves = [engine.from_numpy(np.array(a, order="C"), d) for a, d in zip(arrays, kinds)]
    y = function(leaves)
    given = {id(x): engine.array_of(x) for x in graph.postorder([y]) if x.value is not None}
    with np.errstate(all="ignore"):
        return interpret.evaluate([y], given)[0]


# Gradients.


def _directional(
    function: Callable[..., Tensor], points: list[np.ndarray], rng: np.random.Generator, label: str
) -> tuple[Tensor, Tensor, Callable[..., Tensor], list[np.ndarray]]:
    """(difference quotient, product of the gradient) of a random projection of `function` along a
    random direction; the gradient's own projection as a function; and the points."""
    xs = [tf.tensor(p, dtype=tf.float64, requires_grad=True) for p in points]
    directions = [rng.standard_normal(p.shape) for p in points]
    weight = tf.tensor(rng.standard_normal(tuple(function(*xs).shape)), dtype=tf.float64)

    def projected(*args: Tensor) -> Tensor:
        return (function(*args) * weight).sum()

    step = 1e-6
    with tf.no_grad():
        sides = [
            projected(
                *(tf.tensor(p + s * step * d, dtype=tf.float64) for p, d in zip(points, directions))
            )
            for s in (1, -1)
        ]
    quotient = (sides[0] - sides[1]) / (2 * step)
    y = projected(*xs)
    assert y.requires_grad, label
    grads = tf.autograd.grad(y, xs, allow_unused=True)
    along = sum(
        (
            (g * tf.tensor(d, dtype=tf.float64)).sum()
            for g, d in zip(grads, directions)
            if g is not None
        ),
        tf.zeros((), dtype=tf.float64),
    )

    def gradient(*args: Tensor) -> Tensor:
        """The gradient along the directions: what second derivatives are taken of."""
        with tf.enable_grad():
            own = [a if a.requires_grad else a.detach().requires_grad_() for a in args]
            found = tf.autograd.grad(projected(*own), own, create_graph=True, allow_unused=True)
            return sum(
                (
                    (g * tf.tensor(d, dtype=tf.float64)).sum()
                    for g, d in zip(found, directions)
                    if g is not None
                ),
                tf.zeros((), dtype=tf.float64),
            )

    return quotient, along, gradient, points


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient(name: str) -> None:
    """First and second gradients along random directions against difference quotients."""
    row = replace(ROWS[name], dtypes=(dtypes.float64,))
    rng = np.random.default_rng(2)
    pairs: list[tuple[str, Tensor, Tensor]] = []
    for case in ROWS[name].cases:
        kinds = [
            dtypes.float64 if d.is_floating_point else d
            for d in _dtypes_of(case, ROWS[name].dtypes[0], row)
        ]
        arrays = [
            _values(row, case, rng, s, d, k) for k, (s, d) in enumerate(zip(case.shapes, kinds))
        ]
        moving = row.grad_inputs if row.grad_inputs is not None else tuple(range(len(arrays)))

        def function(*args: Tensor, case: Case = case, arrays: Any = arrays, kinds: Any = kinds,
                     moving: Any = moving) -> Tensor:  # fmt: skip
            given = dict(zip(moving, args))
            nodes = [
                given[k]._node()
                if k in given
                else engine.from_numpy(_stored(a, kinds[k]), kinds[k])
                for k, a in enumerate(arrays)
            ]
            return wrap(_apply(name, nodes, case.attrs))

        label = f"{case.shapes}{case.attrs or ''}"
        points = [arrays[k] for k in moving]
        quotient, along, gradient, _ = _directional(function, points, rng, label)
        pairs.append((f"gradient {label}", quotient, along))
        if row.curved:
            probe = gradient(*(tf.tensor(p, dtype=tf.float64, requires_grad=True) for p in points))
            if probe.requires_grad:
                quotient, along, _, _ = _directional(gradient, points, rng, label)
                pairs.append((f"second gradient {label}", quotient, along))
    for label, quotient, along in pairs:
        np.testing.assert_allclose(
            along.item(), quotient.item(), rtol=2e-5, atol=2e-6, err_msg=f"[{name}] {label}"
        )


# Errors.


@pytest.mark.parametrize("name", NAMES)
def test_errors(name: str) -> None:
    """What an op does not take it refuses where it is made, in PyTorch's class and our words."""
    row = ROWS[name]
    for error in row.errors:
        nodes = [engine.from_numpy(np.zeros(s, d.storage), d) for s, d in error.inputs]
        with pytest.raises(error.raises) as caught:
            _apply(name, nodes, error.attrs)
        assert type(caught.value) is error.raises
        assert error.text in str(caught.value), str(caught.value)
        assert str(caught.value).startswith("["), "an error names the op"
    case = row.cases[0]
    if not case.shapes:
        return
    for dtype in dtypes.REALS:
        if dtype in row.dtypes:
            continue
        kinds = _dtypes_of(case, dtype, row)
        nodes = [engine.from_numpy(np.zeros(s, d.storage), d) for s, d in zip(case.shapes, kinds)]
        with pytest.raises(RuntimeError):
            _apply(name, nodes, case.attrs)
            pytest.fail(f"[{name}] takes {dtype}, which its row does not say")


def test_constants_are_exact() -> None:
    """Constants keep their bits in every dtype."""
    for value in (0.1, -0.0, 1e300, float("inf")):
        y = ew.constant(value, dtypes.float64)
        engine.realize([y])
        assert engine.array_of(y).tobytes() == np.float64(value).tobytes()

"""Errors of the vector maths in units of the last place, over the whole range of each function."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest
from vecmath_support import FLOATS, apply, module_for, target_machine, ulp_error

from twofold import dtypes
from twofold.codegen.vecmath_table import FUNCTIONS
from twofold.dtypes import DType
from twofold.ops import scalar

Oracle = Callable[..., np.ndarray]

mpmath.mp.prec = 120


def _sigmoid(x: np.ndarray) -> np.ndarray:
    power = np.exp(-np.abs(x))
    return np.where(x < 0, power, 1) / (1 + power)


def _exactly(function: Callable[[mpmath.mpf], mpmath.mpf]) -> Oracle:
    """An oracle that takes one number at a time, to 36 digits."""

    def each(*operands: np.ndarray) -> np.ndarray:
        results = []
        for x in zip(*operands):
            try:
                value = function(*map(mpmath.mpf, map(float, x)))
            except (ValueError, ZeroDivisionError):
                value = mpmath.nan
            high = np.longdouble(float(value))
            low = np.longdouble(float(value - float(value))) if mpmath.isfinite(value) else 0
            results.append(high + low)
        return np.array(results, np.longdouble)

    return each


EXTENDED: dict[str, tuple[Oracle, float, float]] = {
    "exp": (np.exp, 1, 1), "exp2": (np.exp2, 1, 1), "expm1": (np.expm1, 1, 2),
    "log": (np.log, 1, 1), "log2": (np.log2, 1, 1.5), "log10": (np.log10, 1, 1.5),
    "log1p": (np.log1p, 1.5, 1.5), "sqrt": (np.sqrt, 0.5, 0.5), "cbrt": (np.cbrt, 1, 1),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1.5, 1.5), "sin": (np.sin, 2, 1), "cos": (np.cos, 2, 1),
    "tan": (np.tan, 1, 2.5), "asin": (np.arcsin, 1, 1), "acos": (np.arccos, 1, 1),
    "atan": (np.arctan, 1, 1), "sinh": (np.sinh, 1, 2), "cosh": (np.cosh, 1, 1.5),
    "tanh": (np.tanh, 1.5, 1.5), "asinh": (np.arcsinh, 1, 2), "acosh": (np.arccosh, 1, 2),
    "atanh": (np.arctanh, 1, 2), "sigmoid": (_sigmoid, 2, 2), "pow": (np.power, 1, 1.5),
    "atan2": (np.arctan2, 1, 2), "hypot": (np.hypot, 1, 1),
}  # fmt: skip
"""Functions that NumPy has of 64-bit mantissas, with the largest errors allowed of float32 and
float64 in units of the last place."""

SLOW: dict[str, tuple[Oracle, float, float]] = {
    "erf": (_exactly(mpmath.erf), 1.5, 1),
    "erfc": (_exactly(lambda x: mpmath.erfc(min(x, 100))), 1, 3),
    "erfinv": (_exactly(mpmath.erfinv), 1, 2.5),
    "ndtr": (_exactly(lambda x: mpmath.ncdf(max(x, -100))), 4, 3),
    "gelu": (_exactly(lambda x: mpmath.mpf(0) if x < -100 else x * mpmath.ncdf(x)), 4, 3),
}
"""Functions of the precise oracle, with the largest errors allowed."""

BINARY = ("pow", "atan2", "hypot")


@functools.cache
def _inputs(storage: type, count: int) -> np.ndarray:
    """Numbers of every size: special ones, random bits, and those of everyday life."""
    limits = np.finfo(storage)
    special = [
        0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -0.5, 2, -2, 3, 10, 1e-5, 100, -100, 88.7,
        -88, -103.5, 709.7, -745, limits.tiny, -limits.tiny, limits.smallest_subnormal,
        limits.max, limits.min, np.pi, np.pi / 2, -np.pi / 4, 1 - limits.epsneg, 1 + limits.eps,
    ]  # fmt: skip
    random = np.random.default_rng(1)
    word = np.uint32 if storage is np.float32 else np.uint64
    bits = random.integers(0, np.iinfo(word).max, count, word, endpoint=True).view(storage)
    scales = (1.5, 3, 20, 100, 750, 1e5)
    usual = [random.uniform(-s, s, count // 2) for s in scales] + [random.normal(size=count)]
    return np.concatenate([np.array(special, storage), bits, *usual]).astype(storage)


def _operands(name: str, storage: type, count: int) -> list[np.ndarray]:
    x = _inputs(storage, count)
    if name not in BINARY:
        return [x]
    special = x[:31]
    y = np.random.default_rng(2).permutation(x)
    return [np.append(x, np.repeat(special, 31)), np.append(y, np.tile(special, 31))]


@pytest.mark.parametrize("target", ["host", "x86-64-v3", "x86-64-v2"])
@pytest.mark.parametrize("dtype", FLOATS, ids=repr)
@pytest.mark.parametrize("name", EXTENDED)
def test_error(name: str, dtype: DType, target: str) -> None:
    storage = dtype.storage.type
    operands = _operands(name, storage, 8000)
    oracle, single, double = EXTENDED[name]
    with np.errstate(all="ignore"):
        exact = oracle(*[x.astype(np.longdouble) for x in operands])
        got = apply(name, dtype, *operands, target=target)
        error = ulp_error(got, exact)
    worst = int(np.argmax(error))
    allowed = single if dtype is dtypes.float32 else double
    assert error[worst] <= allowed, (error[worst], [x[worst] for x in operands], got[worst])
    signs = np.signbit(got) == np.signbit(exact)
    assert np.all(signs | np.isnan(exact)), [x[~signs] for x in operands]


@pytest.mark.parametrize("target", ["host", "x86-64-v2"])
@pytest.mark.parametrize("dtype", FLOATS, ids=repr)
@pytest.mark.parametrize("name", SLOW)
def test_error_of_special_functions(name: str, dtype: DType, target: str) -> None:
    oracle, single, double = SLOW[name]
    x = _inputs(dtype.storage.type, 300)
    if name == "erfinv":
        x = np.append(x, np.random.default_rng(3).uniform(-1, 1, 300)).astype(x.dtype)
        x = x[(np.abs(x) < 1) | np.isnan(x)]
    exact = oracle(x)
    got = apply(name, dtype, x, target=target)
    with np.errstate(all="ignore"):
        error = ulp_error(got, exact)
    worst = int(np.argmax(error))
    allowed = single if dtype is dtypes.float32 else double
    assert error[worst] <= allowed, (error[worst], x[worst], got[worst])


@pytest.mark.parametrize("target", ["host", "x86-64-v3", "x86-64-v2"])
def test_error_of_gelu_in_its_left_tail(target: str) -> None:
    """Where the value is far below 1, down to the last subnormal number."""
    x = np.random.default_rng(6).uniform(-14.6, 0, 50_000).astype(np.float32)
    share = np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()])
    error = ulp_error(apply("gelu", dtypes.float32, x, target=target), x * share)
    assert error.max() <= 4, (error.max(), x[error.argmax()])


@pytest.mark.parametrize("target", ["host", "x86-64-v2"])
@pytest.mark.parametrize("dtype", FLOATS, ids=repr)
@pytest.mark.parametrize(
    ("name", "exact"),
    [("lgamma", lambda x: mpmath.re(mpmath.loggamma(x))), ("digamma", mpmath.digamma)],
)
def test_error_of_gamma_functions(name: str, exact: Callable, dtype: DType, target: str) -> None:
    """Near their zeros off 1 and 2 the error is small against 1, not against the value."""
    random = np.random.default_rng(5)
    parts = [random.uniform(-20, 20, 400), random.uniform(0, 3, 300), random.uniform(0, 500, 100)]
    x = np.concatenate([*parts, 10.0 ** random.uniform(-30, 30, 100)]).astype(dtype.storage)
    expected = _exactly(exact)(x)
    got = apply(name, dtype, x, target=target)
    unit = np.finfo(x.dtype).eps * np.maximum(1, np.abs(expected))
    # Where the function is steep, the nearest argument itself stands for a range of values.
    distance = np.abs(x - np.round(x))
    unit = unit * (1 + np.where(x < 0, 4 / np.maximum(distance, 1e-3), 0))
    assert np.max(np.abs(got - expected) / unit) < (1 if dtype is dtypes.float32 else 8)


def test_values_at_the_edges() -> None:
    inf, nan = np.inf, np.nan
    rows = {
        "lgamma": ([0, 1, 2, -1, -2, inf, -inf, nan], [inf, 0, 0, inf, inf, inf, inf, nan]),
        "digamma": ([0.0, -0.0, -1, inf, -inf, nan], [-inf, inf, nan, inf, nan, nan]),
        "erfinv": ([0, 1, -1, 1.5, -1.5, inf, nan], [0, inf, -inf, nan, nan, nan, nan]),
        "erfc": ([inf, -inf, 30, nan], [0, 2, 0, nan]),
    }
    for name, (x, expected) in rows.items():
        for dtype in FLOATS:
            got = apply(name, dtype, np.array(x, dtype.storage))
            np.testing.assert_array_equal(got, np.array(expected, dtype.storage), err_msg=name)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_bits_do_not_depend_on_lanes(name: str) -> None:
    for dtype in FLOATS:
        x = _inputs(dtype.storage.type, 60)
        two = name in (*BINARY, "fmod", "copysign", "nextafter", "floordiv", "floormod")
        operands = [x, np.random.default_rng(4).permutation(x)] if two else [x]
        one = apply(name, dtype, *operands, lanes=1)
        for lanes in (4, 32):
            np.testing.assert_array_equal(apply(name, dtype, *operands, lanes=lanes), one)


@pytest.mark.parametrize("target", ["host", "x86-64-v2", "aarch64"])
def test_nothing_calls_a_library(target: str) -> None:
    call = "\tbl\t" if target == "aarch64" else "\tcall"
    machine = target_machine(target)
    for name in FUNCTIONS:
        for dtype in FLOATS:
            two = name in (*BINARY, "fmod", "copysign", "nextafter", "floordiv", "floormod")
            leaves = [scalar.operand(k, dtype) for k in range(1 + two)]
            body = scalar.call(name, *leaves)
            for lanes in (1, 4):
                module = module_for(body, (dtype,) * len(leaves), lanes, target)
                assembly = machine.emit_assembly(llvm.parse_assembly(str(module)))
                assert call not in assembly, (name, dtype, lanes)

"""`torch.testing`: assertions about tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import dtypes
from ...creation import as_tensor
from ...tensor import Tensor

_TOLERANCE = {
    dtypes.float16: (1e-3, 1e-5),
    dtypes.bfloat16: (1.6e-2, 1e-5),
    dtypes.float32: (1.3e-6, 1e-5),
    dtypes.float64: (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    msg: str | None = None,
    **_: Any,
) -> None:
    """AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere; shapes and,
    with `check_dtype`, dtypes are equal. Sequences and dicts are compared item by item."""
    options: dict[str, Any] = {"rtol": rtol, "atol": atol, "equal_nan": equal_nan, "msg": msg}
    if isinstance(actual, dict):
        assert actual.keys() == expected.keys(), msg or "The keys are not equal!"
        for key, value in actual.items():
            assert_close(value, expected[key], check_dtype=check_dtype, **options)
        return
    if isinstance(actual, (tuple, list)):
        assert len(actual) == len(expected), msg or "The lengths are not equal!"
        for a, b in zip(actual, expected, strict=True):
            assert_close(a, b, check_dtype=check_dtype, **options)
        return
    if type(actual) is not type(expected) and isinstance(actual, Tensor) != isinstance(
        expected, Tensor
    ):
        raise AssertionError(msg or f"a {type(actual).__name__} and a {type(expected).__name__}")
    x, y = as_tensor(actual), as_tensor(expected)
    if x.shape != y.shape:
        raise AssertionError(msg or f"The shapes differ: {x.shape} and {y.shape}.")
    if check_dtype and x.dtype is not y.dtype:
        raise AssertionError(msg or f"The dtypes differ: {x.dtype} and {y.dtype}.")
    loose = max(_TOLERANCE.get(d, (0.0, 0.0)) for d in (x.dtype, y.dtype))
    relative = loose[0] if rtol is None else rtol
    absolute = loose[1] if atol is None else atol
    held, other = x.detach()._held(), y.detach()._held()
    with np.errstate(all="ignore"):
        close = np.isclose(held, other, relative, absolute, equal_nan)
    if not close.all():
        n = int(close.size - np.count_nonzero(close))
        with np.errstate(all="ignore"):
            worst = np.nanmax(np.abs(held.astype(np.float64) - other.astype(np.float64)))
        raise AssertionError(
            msg
            or f"Tensor-likes are not close!\n\nMismatched elements: {n} / {close.size}\n"
            f"Greatest absolute difference: {worst} (up to {absolute} allowed)"
        )


def assert_allclose(
    actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None, **_: Any
) -> None:
    """`assert_close` without looking at dtypes, under its older name."""
    assert_close(actual, expected, rtol=rtol, atol=atol, check_dtype=False)

"""The text of scalar expressions, which is part of every kernel's key."""

from __future__ import annotations

from twofold import dtypes
from twofold.ops import scalar


def test_different_expressions_differ_in_text() -> None:
    """A cast is no bitcast, -0 is no 0, and types show."""
    x = scalar.operand(0, dtypes.int32)
    different = [
        scalar.cast(x, dtypes.float32),
        scalar.make("bitcast", (x,), dtypes.float32),
        scalar.cast(scalar.operand(0, dtypes.int16), dtypes.float32),
        scalar.const(0.0, dtypes.float32),
        scalar.const(-0.0, dtypes.float32),
        scalar.const(0.0, dtypes.float64),
        scalar.const(0, dtypes.int32),
        scalar.const(False, dtypes.bool_),
        scalar.operand(1, dtypes.int32),
    ]
    assert len({scalar.show(e) for e in different}) == len(different)


def test_text_grows_with_the_expression_not_with_its_paths() -> None:
    """A value used twice is written once: 200 squarings are 200 lines, not 2^200."""
    x = scalar.operand(0, dtypes.float32)
    for _ in range(200):
        x = x * x
    assert len(scalar.show(x)) < 10_000

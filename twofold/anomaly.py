"""Anomaly mode under PyTorch's names: the first op whose value is not a number is named.

Twofold knows the user's line of every op while it is on, and traps NaN in any op of a run, forward
ones too.
"""

from __future__ import annotations

from types import TracebackType

from . import config
from .functions._registry import function
from .graph.node import recorder


class detect_anomaly:
    """Within the block a NaN is an error that names the line of the op that made it.

    >>> import twofold as tf
    >>> with detect_anomaly():
    ...     tf.tensor(-1.0).log().item()
    Traceback (most recent call last):
    RuntimeError: ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self.before = (config.current().trap_nan, recorder.locate)
        _set(True, self.check_nan)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        trap, locate = self.before
        config.update(trap_nan=trap)
        recorder.locate = locate


class set_detect_anomaly(detect_anomaly):
    """Turns anomaly mode on or off at once; as a context manager, until the end of the block."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = (config.current().trap_nan, recorder.locate)
        _set(mode, check_nan)

    def __enter__(self) -> None:
        pass


def _set(mode: bool, check_nan: bool) -> None:
    config.update(trap_nan=mode and check_nan)
    recorder.locate = mode


@function("is_anomaly_enabled")
def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return recorder.locate


@function("is_anomaly_check_nan_enabled")
def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN."""
    return config.current().trap_nan

"""Checkpointing: PyTorch throws values away in a block and computes them again for gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

_warned: set[str] = set()


def _say_once() -> None:
    if not _warned:
        _warned.add("memory")
        warnings.warn(
            "[checkpoint] saves no memory: the block runs as without it, and what its gradient "
            "needs is kept unless it is cheap to compute again",
            stacklevel=3,
        )


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs). Results and gradients are those of PyTorch's checkpoint; the
    memory is not, which a warning says once: Twofold computes cheap values again wherever it
    pays, and keeps the others.

    >>> import twofold as tf
    >>> checkpoint(lambda x: x * 2, tf.ones(2))
    tensor([2., 2.])
    """
    _say_once()
    return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """The functions one after the other on `input`."""
    _say_once()
    for f in functions.children() if hasattr(functions, "children") else functions:
        input = f(input)
    return input

"""Choices among PyTorch's kernels for attention: accepted, and of no effect, since here one kernel
serves all shapes."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator, Sequence

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """PyTorch's kernels for attention."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(
    backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False
) -> Iterator[None]:
    """A block in which PyTorch would choose among `backends`; the results are the same.

    ValueError if there are none, TypeError for another value.

    >>> import twofold as tf
    >>> q = tf.ones(1, 1, 2, 4)
    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     tf.nn.functional.scaled_dot_product_attention(q, q, q).shape
    twofold.Size([1, 1, 2, 4])
    """
    chosen = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not chosen:
        raise ValueError("[sdpa_kernel] at least one kernel must be allowed; got none")
    for backend in chosen:
        if not isinstance(backend, SDPBackend):
            raise TypeError(f"[sdpa_kernel] takes members of SDPBackend; got {backend!r}")
    yield

"""`torch.backends.openmp`: a library that Twofold has no need of."""

from __future__ import annotations


def is_available() -> bool:
    """False: Twofold generates its own kernels."""
    return False

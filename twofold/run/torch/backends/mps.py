"""`torch.backends.mps`: GPUs of Apple's."""

from __future__ import annotations


def is_available() -> bool:
    """False: Twofold has no GPU to offer."""
    return False


def is_built() -> bool:
    """False: there is no GPU code."""
    return False

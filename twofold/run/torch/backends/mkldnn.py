"""`torch.backends.mkldnn`: switches of a library that Twofold has no need of."""

from __future__ import annotations

enabled = False


def is_available() -> bool:
    """False: Twofold generates its own kernels."""
    return False

"""`torch.backends.cudnn`: switches of a library that is not there."""

from __future__ import annotations

enabled = False
benchmark = False
deterministic = False
allow_tf32 = False


def is_available() -> bool:
    """False: there is no GPU."""
    return False


def version() -> None:
    """None: there is no cuDNN."""

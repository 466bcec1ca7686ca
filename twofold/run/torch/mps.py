"""`torch.mps` where there is no GPU of Apple's."""

from __future__ import annotations


def is_available() -> bool:
    """False: Twofold has no GPU to offer."""
    return False


def device_count() -> int:
    """0: Twofold has no GPU to offer."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no GPU to seed."""

"""`torch.cpu`: the device that everything runs on."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1: all cores are one device."""
    return 1


def current_device() -> str:
    """The device that everything runs on."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Nothing: a value that is looked at is there."""

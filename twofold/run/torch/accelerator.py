"""`torch.accelerator` where there is none."""

from __future__ import annotations

from ._no_gpu import refuse as _refuse


def is_available() -> bool:
    """False: there is no accelerator."""
    return False


def device_count() -> int:
    """0: there is no accelerator."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """None: there is no accelerator."""


set_device_index = _refuse("torch.accelerator.set_device_index")
current_device_index = _refuse("torch.accelerator.current_device_index")
synchronize = _refuse("torch.accelerator.synchronize")

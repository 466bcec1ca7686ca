"""`torch.cuda` where there is no GPU: it says so."""

from __future__ import annotations

from .._no_gpu import refuse as _refuse
from . import amp


def is_available() -> bool:
    """False: Twofold has no GPU to offer."""
    return False


def is_initialized() -> bool:
    """False: there is nothing to initialise."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no GPU."""
    return False


def device_count() -> int:
    """0: Twofold has no GPU to offer."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no GPU to seed."""


def manual_seed_all(seed: int) -> None:
    """Nothing: there is no GPU to seed."""


def empty_cache() -> None:
    """Nothing: there is no GPU memory to give back."""


def memory_allocated(device: object = None) -> int:
    """0: no GPU memory is held."""
    return 0


def max_memory_allocated(device: object = None) -> int:
    """0: no GPU memory was held."""
    return 0


def reset_peak_memory_stats(device: object = None) -> None:
    """Nothing: no GPU memory is held."""


current_device = _refuse("torch.cuda.current_device")
get_device_capability = _refuse("torch.cuda.get_device_capability")
get_device_name = _refuse("torch.cuda.get_device_name")
get_device_properties = _refuse("torch.cuda.get_device_properties")
init = _refuse("torch.cuda.init")
set_device = _refuse("torch.cuda.set_device")
synchronize = _refuse("torch.cuda.synchronize")
Event = _refuse("torch.cuda.Event")
Stream = _refuse("torch.cuda.Stream")
stream = _refuse("torch.cuda.stream")
current_stream = _refuse("torch.cuda.current_stream")

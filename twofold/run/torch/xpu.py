"""`torch.xpu` where there is no GPU of Intel's."""

from .mps import device_count, is_available, manual_seed

__all__ = ["device_count", "is_available", "manual_seed"]

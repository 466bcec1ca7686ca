"""`torch.profiler`: times of blocks that the program names."""

from __future__ import annotations

import enum

from .autograd import profiler as _profiler

profile = _profiler.profile
record_function = _profiler.record_function


class ProfilerActivity(enum.Enum):
    """What is measured."""

    CPU = 0
    CUDA = 2

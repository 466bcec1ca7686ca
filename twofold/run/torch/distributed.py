"""`torch.distributed`: one process alone."""

from __future__ import annotations

import enum
from typing import Any


class ReduceOp(enum.Enum):
    """How values of several processes become one."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4


def is_available() -> bool:
    """False: there are no groups of processes."""
    return False


def is_initialized() -> bool:
    """False: there are no groups of processes."""
    return False


def init_process_group(*args: Any, **kwargs: Any) -> None:
    """NotImplementedError: there are no groups of processes."""
    raise NotImplementedError(
        "[torch.distributed] this build trains in one process; start the program without a launcher"
    )


def _needs_group(*args: Any, **kwargs: Any) -> Any:
    """ValueError, as PyTorch's without a group."""
    raise ValueError("Default process group has not been initialized")


all_gather = all_reduce = barrier = broadcast = destroy_process_group = _needs_group
get_rank = get_world_size = reduce = _needs_group

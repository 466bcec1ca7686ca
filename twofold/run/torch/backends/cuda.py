"""`torch.backends.cuda`: switches of a GPU that is not there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
)


def is_built() -> bool:
    """False: there is no GPU code."""
    return False


@contextlib.contextmanager
def sdp_kernel(*args: bool, **kwargs: bool) -> Iterator[None]:
    """A choice among PyTorch's kernels for attention; here there is one."""
    yield


def enable_flash_sdp(enabled: bool) -> None:
    """A choice among PyTorch's kernels for attention; here there is one."""


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """A choice among PyTorch's kernels for attention; here there is one."""


def enable_math_sdp(enabled: bool) -> None:
    """A choice among PyTorch's kernels for attention; here there is one."""

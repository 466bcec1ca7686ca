"""`torch.backends.cpu`."""

from __future__ import annotations

from ....machine import target_for


def get_cpu_capability() -> str:
    """The level of vector units, by PyTorch's name."""
    return {64: "AVX512", 32: "AVX2"}.get(target_for().vector_bytes, "DEFAULT")

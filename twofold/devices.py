"""Devices: where a tensor lies, of which this build has one."""

from __future__ import annotations

from typing import Any

KINDS = frozenset(
    (
        "cpu", "cuda", "xpu", "mps", "xla", "meta", "hpu", "mtia", "ipu", "hip", "maia", "vulkan",
        "mkldnn", "opengl", "opencl", "ideep", "ve", "fpga", "lazy", "privateuseone",
    )
)  # fmt: skip
"""The kinds that PyTorch knows by name."""


class Device:
    """Where a tensor lies: a kind and, for kinds with several, an index. Every kind has a name, so
    that programs can speak of it; only the CPU is there to be used.

    `with Device(...):` makes it the device of new tensors.

    >>> Device("cpu") == Device("cpu", 0)
    True
    >>> Device("cuda:1")
    device(type='cuda', index=1)
    """

    __slots__ = ("index", "type")

    def __init__(self, type: str | Device = "cpu", index: int | None = None) -> None:
        name = str(type)
        kind, colon, number = name.partition(":")
        if kind not in KINDS or bool(colon) != number.isdecimal() or (colon and index is not None):
            raise RuntimeError(
                f"[device] is one of {', '.join(sorted(KINDS))}, with or without ':' and a number; "
                f"got {name!r}; try 'cpu'"
            )
        self.type: str = kind
        self.index: int | None = int(number) if number else index

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Device) or other.type != self.type:
            return False
        return self.type == "cpu" or other.index == self.index

    def __hash__(self) -> int:
        return hash(self.type)

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __enter__(self) -> Device:
        return usable(self)

    def __exit__(self, *exc: object) -> None:
        """Nothing is to be put back: the device of new tensors was this one before."""


def usable(device: Any) -> Device:
    """The device, if it is one that tensors can lie on here; else RuntimeError."""
    found = device if isinstance(device, Device) else Device(device)
    if found.type != "cpu":
        raise RuntimeError(f"[device] this build has the device 'cpu' only; got {str(found)!r}")
    return found

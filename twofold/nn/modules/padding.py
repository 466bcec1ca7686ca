"""Padding as modules: constant, zero, reflection, replication and circular, 1d to 3d."""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from .. import functional as F
from .module import Module
from .utils import _ntuple


class _Pad(Module):
    rank = 0
    mode = ""

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self.rank)(padding)

    def forward(self, input: Tensor) -> Tensor:
        """input with elements before and after each axis."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        """The widths."""
        return str(self.padding)


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """input with `value` before and after each axis."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """Widths and value."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The widths."""
        return str(self.padding)


class ConstantPad1d(_ConstantPad):
    """(left, right) elements of one value around (N, C, W)."""

    rank = 1


class ConstantPad2d(_ConstantPad):
    """(left, right, top, bottom) elements of one value around (N, C, H, W)."""

    rank = 2


class ConstantPad3d(_ConstantPad):
    """Elements of one value around (N, C, D, H, W)."""

    rank = 3


class ZeroPad1d(_ZeroPad):
    """Zeros around (N, C, W)."""

    rank = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around (N, C, H, W)."""

    rank = 2


class ZeroPad3d(_ZeroPad):
    """Zeros around (N, C, D, H, W)."""

    rank = 3


class ReflectionPad1d(_Pad):
    """(N, C, W) mirrored at its ends."""

    rank, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """(N, C, H, W) mirrored at its edges."""

    rank, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """(N, C, D, H, W) mirrored at its faces."""

    rank, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """(N, C, W) with its ends repeated."""

    rank, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """(N, C, H, W) with its edges repeated."""

    rank, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """(N, C, D, H, W) with its faces repeated."""

    rank, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """(N, C, W) around in a circle."""

    rank, mode = 1, "circular"


class CircularPad2d(_Pad):
    """(N, C, H, W) around in a circle."""

    rank, mode = 2, "circular"


class CircularPad3d(_Pad):
    """(N, C, D, H, W) around in a circle."""

    rank, mode = 3, "circular"

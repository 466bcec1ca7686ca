"""Padding: with a constant, by reflection, by the edge's value, around in a circle."""

from __future__ import annotations

from collections.abc import Sequence

from ...functions.casting import in_float32
from ...functions.shape import cat, pad_constant
from ...tensor import Tensor


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """input with elements before and after each axis; `pad` is (before, after) of the last axis,
    then of the one before it, and so on.

    `mode`: "constant" (`value`; negative widths cut), "reflect", "replicate", "circular".
    """
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) // 2 > input.dim():
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {input.dim()}"
        )
    if mode == "constant":
        return pad_constant(input, pad, 0.0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _SIDES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    n_axes = len(pad) // 2
    if input.dim() not in (n_axes + 1, n_axes + 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now"
        )
    pad_axis = _pad_axis if mode == "circular" else _pad_axis_in_float32
    for i in range(n_axes):
        input = pad_axis(input, input.dim() - 1 - i, int(pad[2 * i]), int(pad[2 * i + 1]), mode)
    return input


def _pad_axis(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """x padded along one axis; negative widths cut what the other side's padding gives."""
    n = x.size(axis)
    if mode == "circular" and (before < 0 or after < 0):
        x = x.narrow(axis, max(-before, 0), n + min(before, 0) + min(after, 0))
        before, after, n = max(before, 0), max(after, 0), x.size(axis)
    elif before < 0 or after < 0:
        wide = _pad_axis(x, axis, max(before, 0), max(after, 0), mode)
        left = wide.size(axis) + min(before, 0) + min(after, 0)
        return wide.narrow(axis, max(-before, 0), left)
    _check_width(x, n, before, after, mode)
    parts = []
    if before:
        parts.append(_SIDES[mode](x, axis, n, before, True))
    parts.append(x)
    if after:
        parts.append(_SIDES[mode](x, axis, n, after, False))
    return cat(parts, axis) if len(parts) > 1 else x


_pad_axis_in_float32 = in_float32(_pad_axis)


def _check_width(x: Tensor, n: int, before: int, after: int, mode: str) -> None:
    widest = max(before, after)
    if mode == "reflect" and widest >= n:
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but "
            f"got: padding ({before}, {after}) at dimension {x.dim() - 1} of input "
            f"{list(x.shape)}"
        )
    if mode == "circular" and widest > n:
        raise RuntimeError("Padding value causes wrapping around more than once.")


def _reflected(x: Tensor, axis: int, n: int, width: int, first: bool) -> Tensor:
    start = 1 if first else n - 1 - width
    return x.narrow(axis, start, width).flip(axis)


def _replicated(x: Tensor, axis: int, n: int, width: int, first: bool) -> Tensor:
    shape = list(x.shape)
    shape[axis] = width
    return x.narrow(axis, 0 if first else n - 1, 1).expand(shape)


def _wrapped(x: Tensor, axis: int, n: int, width: int, first: bool) -> Tensor:
    return x.narrow(axis, n - width if first else 0, width)


_SIDES = {"reflect": _reflected, "replicate": _replicated, "circular": _wrapped}

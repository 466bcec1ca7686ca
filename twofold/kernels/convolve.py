"""Convolutions and their gradients from nodes to launches: which arrays are read as they lie, one
geometry for each part of a transposed convolution, and the cheapest way to run each."""

from __future__ import annotations

import itertools
from math import prod

from ..dtypes import DType
from ..errors import InternalError
from ..machine import Target
from . import conv, conv_weight, depthwise, transpose, winograd, winograd_weight
from .affine import contiguous
from .conv import Geometry, Output, Three, Weights, moved, residues
from .launch import Array, Buffer, Launch

Input = tuple[Array, tuple[int, ...]]


def is_readable(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether kernels, or a transposed copy before them, can read such an array (N, *S, C):
    channels adjacent, or planes of adjacent positions for each channel."""
    return _unit(shape, strides, len(shape) - 1) or _has_planes(shape, strides)


def _unit(shape: tuple[int, ...], strides: tuple[int, ...], axis: int) -> bool:
    return strides[axis] == 1 or shape[axis] == 1


def _has_planes(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    step = 1
    for n, stride in zip(reversed(shape[1:-1]), reversed(strides[1:-1])):
        if n != 1 and stride != step:
            return False
        step *= n
    return True


def three(values: tuple[int, ...], missing: int) -> Three:
    """Numbers of one to three axes as those of three."""
    result = (missing,) * (3 - len(values)) + tuple(values)
    return result[0], result[1], result[2]


def four(strides: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Strides over (batch, *axes, channels) as those over (batch, three axes)."""
    return (strides[0], *three(strides[1:-1], 0))


def channels_adjacent(
    shape: tuple[int, ...], given: Input, dtype: DType, threads: int
) -> tuple[Array, tuple[int, ...], list[Launch]]:
    """An array (N, *S, C) with its channels adjacent, and the launch that copies it, if need be."""
    at, strides = given
    if _unit(shape, strides, len(shape) - 1):
        return at, (*strides[:-1], 1), []
    if not _has_planes(shape, strides):
        raise InternalError(f"[conv] strides that no kernel reads; got {strides} of {shape}")
    own = contiguous(shape)
    buffer = Buffer(prod(shape) * dtype.itemsize, "temp", "channels_last")
    positions, channels = prod(shape[1:-1]), shape[-1]
    copy = transpose.schedule(
        (1, shape[0]),
        positions,
        channels,
        (at, (0, strides[0], strides[-1])),
        (Array(buffer), (0, own[0], channels)),
        dtype,
        threads,
    )
    return Array(buffer), own, copy


def forward(
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    attrs: tuple,
    x: Input,
    w: Input,
    y: Output,
    dtype: DType,
    target: Target,
    threads: int,
) -> list[Launch]:
    """Launches of a convolution of x with w; `shapes` are those of x, w and y."""
    x_shape, w_shape, y_shape = shapes
    stride, padding, dilation, groups = attrs
    x_at, x_strides, launches = channels_adjacent(x_shape, x, dtype, threads)
    o, *k, c = w[1]
    outputs = w_shape[0] // groups
    g = Geometry(
        batch=x_shape[0],
        sizes=three(x_shape[1:-1], 1),
        counts=three(y_shape[1:-1], 1),
        kernel=three(w_shape[1:-1], 1),
        stride=three(stride, 1),
        dilation=three(dilation, 1),
        before=three(tuple(lo for lo, _ in padding), 0),
        channels=w_shape[-1],
        outputs=outputs,
        groups=groups,
        x_strides=four(x_strides),
        y_strides=four(contiguous(y_shape)),
    )
    weights = Weights(w[0], (o * outputs, o, *three(tuple(k), 0), c))
    return launches + _schedule(g, x_at, weights, y, dtype, target, threads)


def backward_input(
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    attrs: tuple,
    g: Input,
    w: Input,
    y: Output,
    dtype: DType,
    target: Target,
    threads: int,
) -> list[Launch]:
    """Launches of a transposed convolution of g with w: one convolution for each residue of the
    position by the stride (so that only without strides something can be done with the result as
    soon as it is there). `shapes` are those of g, w and y."""
    g_shape, w_shape, y_shape = shapes
    _, stride, padding, dilation, groups = attrs
    g_at, g_strides, launches = channels_adjacent(g_shape, g, dtype, threads)
    o, *k, c = w[1]
    k_strides, y_strides = three(tuple(k), 0), four(contiguous(y_shape))
    axes = [
        residues(size, taps, s, d, lo)
        for size, taps, s, d, lo in zip(
            three(y_shape[1:-1], 1),
            three(w_shape[1:-1], 1),
            three(stride, 1),
            three(dilation, 1),
            three(tuple(lo for lo, _ in padding), 0),
        )
    ]
    channels, outputs = w_shape[0] // groups, w_shape[-1]
    steps = tuple(n * s for n, s in zip(y_strides[1:], three(stride, 1)))
    for found in itertools.product(*axes):
        taps = three(tuple(r.taps for r in found), 0)
        geometry = Geometry(
            batch=g_shape[0],
            sizes=three(g_shape[1:-1], 1),
            counts=three(tuple(r.count for r in found), 0),
            kernel=taps if all(taps) else (0, 0, 0),
            stride=(1, 1, 1),
            dilation=three(tuple(r.dilation for r in found), 0),
            before=three(tuple(r.before for r in found), 0),
            channels=channels,
            outputs=outputs,
            groups=groups,
            x_strides=four(g_strides),
            y_strides=(y_strides[0], *three(steps, 0)),
        )
        first = sum(r.first * n for r, n in zip(found, k_strides))
        back = three(tuple(-r.step * n for r, n in zip(found, k_strides)), 0)
        weights = Weights(moved(w[0], first, dtype), (o * channels, c, *back, o))
        place = sum(r.offset * n for r, n in zip(found, y_strides[1:]))
        launches += _schedule(
            geometry, g_at, weights, y.moved(place, dtype), dtype, target, threads
        )
    return launches


def needs_padded_copy(
    shapes: tuple[tuple[int, ...], ...], attrs: tuple, dtype: DType, target: Target
) -> bool:
    """Whether `backward_weight` takes this padding only as zeros around x in memory."""
    g = _weight_geometry(shapes, attrs, contiguous(shapes[0]), contiguous(shapes[1]))
    is_padded = any(lo or hi for lo, hi in attrs[2])
    return (
        is_padded
        and winograd_weight.choice(g, dtype, target) is None
        and depthwise.weight_tile(g, dtype, target) is None
    )


def _weight_geometry(
    shapes: tuple[tuple[int, ...], ...],
    attrs: tuple,
    x_strides: tuple[int, ...],
    g_strides: tuple[int, ...],
) -> Geometry:
    """The convolution of which it is the gradient, with strides of x and of its cotangent."""
    x_shape, g_shape, y_shape = shapes
    kernel, stride, padding, dilation, groups = attrs
    return Geometry(
        batch=x_shape[0],
        sizes=three(x_shape[1:-1], 1),
        counts=three(g_shape[1:-1], 1),
        kernel=three(kernel, 1),
        stride=three(stride, 1),
        dilation=three(dilation, 1),
        before=three(tuple(lo for lo, _ in padding), 0),
        channels=y_shape[1],
        outputs=y_shape[0] // groups,
        groups=groups,
        x_strides=four(x_strides),
        y_strides=four(g_strides),
    )


def backward_weight(
    shapes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    attrs: tuple,
    x: Input,
    g: Input,
    y: Array,
    dtype: DType,
    target: Target,
    threads: int,
) -> list[Launch]:
    """Launches of the gradient of a convolution of x with cotangent g, by padding that needs no
    copy; `shapes` are those of x, g and y (O, C / groups, *K)."""
    x_shape, g_shape, _ = shapes
    x_at, x_strides, launches = channels_adjacent(x_shape, x, dtype, threads)
    g_at, g_strides, more = channels_adjacent(g_shape, g, dtype, threads)
    geometry = _weight_geometry(shapes, attrs, x_strides, g_strides)
    spec = winograd_weight.choice(geometry, dtype, target)
    by_channel = depthwise.weight_tile(geometry, dtype, target)
    if by_channel is not None:
        more += depthwise.schedule_weight(by_channel, geometry, x_at, g_at, y, threads)
    elif spec is not None:
        more += winograd_weight.schedule(spec, geometry, x_at, g_at, y, target, threads)
    else:
        more += conv_weight.schedule(geometry, x_at, g_at, y, dtype, target, threads)
    return [*launches, *more]


def _schedule(
    g: Geometry, x: Array, w: Weights, y: Output, dtype: DType, target: Target, threads: int
) -> list[Launch]:
    """The launches of one geometry."""
    if conv.is_depthwise(g):
        return depthwise.schedule(g, x, w, y, dtype, target, threads)
    spec = winograd.choice(g, dtype, target)
    if spec is not None:
        return winograd.schedule(spec, g, x, w, y, target, threads)
    return conv.schedule(g, x, w, y, dtype, target, threads)

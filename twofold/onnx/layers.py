"""Operators of neural networks: products, convolutions, pooling, normalization, losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..functions._registry import functions
from ..nn import functional as F
from ..tensor import Tensor
from .registry import UnsupportedOperator, op

f = functions


@op("MatMul")
def matmul(a: Tensor, b: Tensor) -> Tensor:
    """The product of matrices."""
    return f["matmul"](a, b)


@op("Gemm")
def gemm(
    a: Tensor, b: Tensor, c: Tensor | None = None, *,
    alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0,
) -> Tensor:  # fmt: skip
    """alpha a b + beta c."""
    y = f["matmul"](a.T if transA else a, b.T if transB else b)
    y = y if alpha == 1 else y * alpha
    return y if c is None else y + (c if beta == 1 else c * beta)


@op("Einsum")
def einsum(*xs: Tensor, equation: str) -> Tensor:
    """Sums of products, by Einstein's notation."""
    return f["einsum"](equation.replace(" ", ""), *xs)


@op("Det")
def det(x: Tensor) -> Tensor:
    """Determinants of matrices."""
    return x.det()


Pads = list[tuple[int, int]]


def pads_of(
    rank: int, auto_pad: str, pads: Any, sizes: tuple[int, ...], kernel: list[int],
    strides: list[int], dilations: list[int],
) -> Pads:  # fmt: skip
    """(before, after) for each axis of positions."""
    if auto_pad in ("NOTSET", ""):
        given = list(pads) if pads is not None else [0] * (2 * rank)
        return list(zip(given[:rank], given[rank:]))
    if auto_pad == "VALID":
        return [(0, 0)] * rank
    found = []
    for n, k, s, d in zip(sizes, kernel, strides, dilations):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        half = total // 2
        found.append((half, total - half) if auto_pad == "SAME_UPPER" else (total - half, half))
    return found


def _padded(x: Tensor, pads: Pads, value: float = 0.0) -> tuple[Tensor, list[int]]:
    """x with what of the padding is not the same on both sides put around it, and what is left."""
    if all(a == b for a, b in pads):
        return x, [a for a, _ in pads]
    flat = [n for pair in reversed(pads) for n in pair]
    return F.pad(x, flat, value=value), [0] * len(pads)


_CONV = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


@op("Conv")
def conv(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
    dilations: Any = None, group: int = 1, kernel_shape: Any = None, pads: Any = None,
    strides: Any = None,
) -> Tensor:  # fmt: skip
    """Convolution of x (N, C, ...) by w (M, C / group, ...)."""
    rank = x.ndim - 2
    by, dil = list(strides or [1] * rank), list(dilations or [1] * rank)
    around = pads_of(rank, auto_pad, pads, x.shape[2:], list(w.shape[2:]), by, dil)
    x, padding = _padded(x, around)
    return _CONV[rank - 1](x, w, b, tuple(by), tuple(padding), tuple(dil), group)


@op("ConvTranspose")
def conv_transpose(
    x: Tensor, w: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
    dilations: Any = None, group: int = 1, kernel_shape: Any = None, output_padding: Any = None,
    output_shape: Any = None, pads: Any = None, strides: Any = None,
) -> Tensor:  # fmt: skip
    """The transpose of a convolution."""
    rank = x.ndim - 2
    by, dil = list(strides or [1] * rank), list(dilations or [1] * rank)
    extra = list(output_padding or [0] * rank)
    kernel = list(w.shape[2:])
    full = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(x.shape[2:], by, dil, kernel)]
    if output_shape is not None or auto_pad.startswith("SAME"):
        wanted = list(output_shape or [n * s for n, s in zip(x.shape[2:], by)])[-rank:]
        around = []
        for total in (n + e - m for n, e, m in zip(full, extra, wanted)):
            half = total // 2
            upper = (total - half, half) if auto_pad != "SAME_UPPER" else (half, total - half)
            around.append(upper)
    else:
        around = pads_of(rank, auto_pad, pads, x.shape[2:], kernel, by, dil)
    y = _TRANSPOSED[rank - 1](x, w, b, tuple(by), 0, tuple(extra), group, tuple(dil))
    if any(p != (0, 0) for p in around):
        y = F.pad(y, [-n for pair in reversed(around) for n in pair])
    return y


def _pool_pads(
    x: Tensor, kernel: list[int], auto_pad: str, pads: Any, by: list[int], dil: list[int], ceil: int
) -> Pads:
    """The padding, and with `ceil` what is needed for the last window to be whole."""
    rank = x.ndim - 2
    around = pads_of(rank, auto_pad, pads, x.shape[2:], kernel, by, dil)
    if not ceil:
        return around
    found = []
    for (low, high), n, k, s, d in zip(around, x.shape[2:], kernel, by, dil):
        reach = d * (k - 1) + 1
        count = -(-(n + low + high - reach) // s) + 1
        if (count - 1) * s >= n + low:  # a window may not begin in the padding behind
            count -= 1
        found.append((low, max(high, (count - 1) * s + reach - n - low)))
    return found


def _windows(x: Tensor, kernel: list[int], by: list[int], dil: list[int]) -> Tensor:
    """x (N, C, ...) as (N, C, positions..., kernel...)."""
    for a, (k, s, d) in enumerate(zip(kernel, by, dil)):
        count = (x.shape[2 + a] - d * (k - 1) - 1) // s + 1
        parts = [
            f["narrow"](x, 2 + a, j * d, (count - 1) * s + 1)[
                (slice(None),) * (2 + a) + (slice(None, None, s),)
            ]
            for j in range(k)
        ]
        x = f["stack"](parts, -1)
    return x


@op("MaxPool")
def max_pool(
    x: Tensor, *, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Any = None, pads: Any = None, storage_order: int = 0, strides: Any = None,
    outputs: int = 1,
) -> Any:  # fmt: skip
    """The largest element of each window, and where in x it was."""
    kernel = list(kernel_shape)
    rank = len(kernel)
    by, dil = list(strides or [1] * rank), list(dilations or [1] * rank)
    around = _pool_pads(x, kernel, auto_pad, pads, by, dil, ceil_mode)
    flat = [n for pair in reversed(around) for n in pair]
    least = float("-inf") if x.dtype.is_floating_point else np.iinfo(x.dtype.storage).min
    if outputs == 1 and x.dtype.is_floating_point and rank <= 3 and x.ndim >= 3:
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
        wide, padding = _padded(x, around, least)
        if all(2 * p <= k for p, k in zip(padding, kernel)):
            return pool(wide, kernel, by, padding, dil)
    wide = F.pad(x, flat, value=least) if any(flat) else x
    windows = _windows(wide, kernel, by, dil).flatten(2 + rank)
    values = windows.amax(-1)
    if outputs == 1:
        return values
    spatial = tuple(x.shape[2:])
    order = "F" if storage_order else "C"
    places = np.arange(int(np.prod(x.shape))).reshape(x.shape[0], x.shape[1], -1)
    numbers = places.reshape(*x.shape[:2], *spatial)
    if order == "F":
        inner = np.arange(int(np.prod(spatial))).reshape(spatial[::-1]).transpose()
        base = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *[1] * rank)
        numbers = base * inner.size + inner
    where = F.pad(f["tensor"](numbers), flat, value=-1) if any(flat) else f["tensor"](numbers)
    chosen = _windows(where, kernel, by, dil).flatten(2 + rank)
    best = windows.argmax(-1, keepdim=True)
    return values, f["gather"](chosen, -1, best).squeeze(-1)


@op("AveragePool")
def average_pool(
    x: Tensor, *, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    count_include_pad: int = 0, dilations: Any = None, pads: Any = None, strides: Any = None,
) -> Tensor:  # fmt: skip
    """The mean of each window, without the padding unless it is to count."""
    kernel = list(kernel_shape)
    rank = len(kernel)
    by, dil = list(strides or [1] * rank), list(dilations or [1] * rank)
    given = pads_of(rank, auto_pad, pads, x.shape[2:], kernel, by, dil)
    around = _pool_pads(x, kernel, auto_pad, pads, by, dil, ceil_mode)
    flat = [n for pair in reversed(around) for n in pair]
    axes = tuple(range(-rank, 0))
    total = _windows(F.pad(x, flat), kernel, by, dil).sum(axes)
    inside = f["ones"](1, 1, *x.shape[2:], dtype=x.dtype)
    if count_include_pad:
        inside = F.pad(inside, [n for pair in reversed(given) for n in pair], value=1.0)
        flat = [
            n
            for (a, b), (low, high) in zip(reversed(around), reversed(given))
            for n in (a - low, b - high)
        ]
    counts = _windows(F.pad(inside, flat), kernel, by, dil).sum(axes)
    return total / counts


@op("LpPool")
def lp_pool(
    x: Tensor, *, kernel_shape: Any, auto_pad: str = "NOTSET", ceil_mode: int = 0,
    dilations: Any = None, p: int = 2, pads: Any = None, strides: Any = None,
) -> Tensor:  # fmt: skip
    """The p-norm of each window."""
    kernel = list(kernel_shape)
    rank = len(kernel)
    by, dil = list(strides or [1] * rank), list(dilations or [1] * rank)
    around = _pool_pads(x, kernel, auto_pad, pads, by, dil, ceil_mode)
    wide = F.pad(x, [n for pair in reversed(around) for n in pair])
    return (_windows(wide, kernel, by, dil).abs() ** p).sum(tuple(range(-rank, 0))) ** (1 / p)


def _spatial(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


@op("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Tensor:
    """The mean over all positions."""
    return x.mean(_spatial(x), True)


@op("GlobalMaxPool")
def global_max_pool(x: Tensor) -> Tensor:
    """The largest over all positions."""
    return x.amax(_spatial(x), True)


@op("GlobalLpPool")
def global_lp_pool(x: Tensor, *, p: int = 2) -> Tensor:
    """The p-norm over all positions."""
    return (x.abs() ** p).sum(_spatial(x), True) ** (1 / p)


def _by_channel(v: Tensor, x: Tensor) -> Tensor:
    return v.reshape(1, -1, *[1] * (x.ndim - 2))


@op("BatchNormalization")
def batch_normalization(
    x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *,
    epsilon: float = 1e-5, momentum: float = 0.9, training_mode: int = 0, spatial: int = 1,
    outputs: int = 1,
) -> Any:  # fmt: skip
    """(x - mean) / sqrt(var + epsilon) scale + bias, for each channel; in training by the batch's
    own mean and variance, with the running ones as further results."""
    if not training_mode:
        return F.batch_norm(x, mean, var, scale, bias, False, momentum, epsilon)
    axes = (0, *_spatial(x))
    own_mean, own_var = x.mean(axes), x.var(axes, unbiased=False)
    y = (x - _by_channel(own_mean, x)) / f["sqrt"](_by_channel(own_var, x) + epsilon)
    y = y * _by_channel(scale, x) + _by_channel(bias, x)
    kept = momentum
    running = mean * kept + own_mean * (1 - kept), var * kept + own_var * (1 - kept)
    return (y, *running)[:outputs] if outputs > 1 else y


@op("InstanceNormalization")
def instance_normalization(
    x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5
) -> Tensor:
    """Each channel of each example with mean 0 and variance 1, times scale, plus bias."""
    return F.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


@op("LayerNormalization")
def layer_normalization(
    x: Tensor, scale: Tensor, bias: Tensor | None = None, *,
    axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1, outputs: int = 1,
) -> Any:  # fmt: skip
    """Normalization over the axes from `axis` on; the mean and 1 / deviation as further results."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    mean = x.mean(axes, True)
    inverse = f["rsqrt"](x.var(axes, unbiased=False, keepdim=True) + epsilon)
    y = (x - mean) * inverse * scale
    y = y if bias is None else y + bias
    return (y, mean, inverse)[:outputs] if outputs > 1 else y


@op("RMSNormalization")
def rms_normalization(
    x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    """x over the root of its mean square over the axes from `axis` on, times scale."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    return x * f["rsqrt"]((x * x).mean(axes, True) + epsilon) * scale


@op("GroupNormalization")
def group_normalization(
    x: Tensor, scale: Tensor, bias: Tensor, *,
    num_groups: int, epsilon: float = 1e-5, stash_type: int = 1, opset: int = 21,
) -> Tensor:  # fmt: skip
    """Normalization over groups of channels; before version 21 the scale is a group's."""
    if opset < 21 and scale.shape[0] == num_groups:
        each = x.shape[1] // num_groups
        scale, bias = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return F.group_norm(x, num_groups, scale, bias, epsilon)


@op("MeanVarianceNormalization")
def mean_variance_normalization(x: Tensor, *, axes: Any = (0, 2, 3)) -> Tensor:
    """x with mean 0 and variance 1 over axes."""
    over = tuple(axes)
    centred = x - x.mean(over, True)
    return centred / (f["sqrt"]((centred * centred).mean(over, True)) + 1e-9)


@op("LRN")
def lrn(
    x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    """x over a power of the sum of squares of the channels around."""
    return (
        F.local_response_norm(x, size, alpha, beta, bias)
        if size % 2
        else _lrn_even(x, size, alpha, beta, bias)
    )


def _lrn_even(x: Tensor, size: int, alpha: float, beta: float, bias: float) -> Tensor:
    low = (size - 1) // 2
    square = F.pad(x * x, [0, 0] * (x.ndim - 2) + [low, size - 1 - low])
    total = sum(f["narrow"](square, 1, k, x.shape[1]) for k in range(size))
    return x / (bias + alpha / size * total) ** beta


@op("Dropout", host=(1, 2))
def dropout(
    x: Tensor, ratio: Any = None, training_mode: Any = None, *, seed: int | None = None,
    outputs: int = 1, is_test: int = 1,
) -> Any:  # fmt: skip
    """x; in training with elements set to 0 at random, and the others scaled up."""
    p = 0.5 if ratio is None else float(np.asarray(ratio).item())
    if training_mode is not None and bool(np.asarray(training_mode).item()) and p:
        kept = f["rand"](*x.shape) >= p
        return (x * kept / (1 - p), kept)[:outputs] if outputs > 1 else x * kept / (1 - p)
    return (x, f["ones_like"](x).bool()) if outputs > 1 else x


@op("NegativeLogLikelihoodLoss")
def nll_loss(
    x: Tensor, target: Tensor, weight: Tensor | None = None, *,
    ignore_index: int | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Minus the log-probabilities of the targets."""
    ignored = -100 if ignore_index is None else ignore_index
    return F.nll_loss(x, target.long(), weight, ignore_index=ignored, reduction=reduction)


@op("SoftmaxCrossEntropyLoss")
def cross_entropy(
    x: Tensor, target: Tensor, weight: Tensor | None = None, *,
    ignore_index: int | None = None, reduction: str = "mean", outputs: int = 1,
) -> Any:  # fmt: skip
    """The cross-entropy of scores, and their log-probabilities as a further result."""
    ignored = -100 if ignore_index is None else ignore_index
    logs = F.log_softmax(x, 1)
    loss = F.nll_loss(logs, target.long(), weight, ignore_index=ignored, reduction=reduction)
    return (loss, logs) if outputs > 1 else loss


@op("GridSample")
def grid_sample(
    x: Tensor, grid: Tensor, *,
    align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros",
) -> Tensor:  # fmt: skip
    """x read at positions between its own."""
    names = {"linear": "bilinear", "cubic": "bicubic"}
    return F.grid_sample(x, grid, names.get(mode, mode), padding_mode, bool(align_corners))


@op("Upsample", "Resize")
def resize(
    x: Tensor, *inputs: Any, mode: str = "nearest", opset: int = 13,
    coordinate_transformation_mode: str = "half_pixel", nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75, exclude_outside: int = 0, extrapolation_value: float = 0.0,
    antialias: int = 0, axes: Any = None, keep_aspect_ratio_policy: str = "stretch",
    scales: Any = None,
) -> Tensor:  # fmt: skip
    """x at other sizes, read between its positions."""
    if antialias or keep_aspect_ratio_policy != "stretch" or exclude_outside:
        raise UnsupportedOperator(
            "[onnx] Resize: antialias, exclude_outside and keep_aspect_ratio_policy are not "
            "supported"
        )
    roi = factors = sizes = None
    given = [None if i is None else np.asarray(_host(i)) for i in inputs]
    if opset < 11 or len(given) == 1:
        factors = given[0] if given else np.asarray(scales)
        if opset < 11:
            coordinate_transformation_mode = "asymmetric"
            nearest_mode = "floor"
    else:
        roi, factors, sizes = [*given, None, None, None][:3]
    along = [a % x.ndim for a in axes] if axes is not None else list(range(x.ndim))
    for k, a in enumerate(along):
        n = x.shape[a]
        if sizes is not None and sizes.size:
            m = int(sizes[k])
            scale = m / n
        else:
            scale = float(np.float32(factors[k]))  # type: ignore[index]
            m = int(np.floor(n * scale))
        if m == n and scale == 1 and coordinate_transformation_mode != "tf_crop_and_resize":
            continue
        places = _places(coordinate_transformation_mode, n, m, scale, roi, k, len(along))
        outside = (places < 0) | (places > n - 1)
        x = _read(x, a, places, mode, nearest_mode, cubic_coeff_a)
        if coordinate_transformation_mode == "tf_crop_and_resize" and outside.any():
            view = [1] * x.ndim
            view[a] = m
            x = f["where"](f["tensor"](outside.reshape(view)), extrapolation_value, x)
    return x


def _host(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, Tensor) else value


def _places(mode: str, n: int, m: int, scale: float, roi: Any, k: int, axes: int) -> np.ndarray:
    """Where each of m positions lies among n."""
    i = np.arange(m, dtype=np.float64)
    if mode == "align_corners":
        return i * (n - 1) / (n * scale - 1) if m > 1 else i * 0
    if mode == "asymmetric":
        return i / scale
    if mode == "pytorch_half_pixel" and m == 1:
        return i * 0
    if mode == "tf_crop_and_resize":
        start, end = float(roi[k]), float(roi[k + axes])
        if m == 1:
            return np.asarray([0.5 * (start + end) * (n - 1)])
        return start * (n - 1) + i * (end - start) * (n - 1) / (m - 1)
    if mode == "half_pixel_symmetric":
        adjusted = m / (scale * n)
        return n / 2 * (1 - adjusted) + (i + 0.5) / scale - 0.5
    return (i + 0.5) / scale - 0.5


def _read(x: Tensor, axis: int, places: np.ndarray, mode: str, nearest: str, a: float) -> Tensor:
    """x read along an axis at places between its positions."""
    n = x.shape[axis]

    def rows(at: np.ndarray) -> Tensor:
        return f["index_select"](x, axis, f["tensor"](np.clip(at, 0, n - 1).astype(np.int64)))

    if mode == "nearest":
        rounded = {
            "round_prefer_floor": np.ceil(places - 0.5),
            "round_prefer_ceil": np.floor(places + 0.5),
            "floor": np.floor(places),
            "ceil": np.ceil(places),
        }[nearest]
        return rows(rounded)
    whole = np.floor(places)
    part = places - whole
    view = [1] * x.ndim
    view[axis] = len(places)
    if mode == "linear":
        weights = {0: 1 - part, 1: part}
    else:

        def near(t: np.ndarray) -> np.ndarray:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1

        def far(t: np.ndarray) -> np.ndarray:
            return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a

        weights = {-1: far(part + 1), 0: near(part), 1: near(1 - part), 2: far(2 - part)}
    total: Any = 0
    for step, w in weights.items():
        total = total + rows(whole + step) * f["tensor"](w.astype(x.dtype.storage).reshape(view))
    return total

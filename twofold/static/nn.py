"""`tf.nn`: functions of neural nets. Pictures are (n, height, width, channels) unless
`data_format` is NCHW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..functions import functions as tf
from ..nn import functional as F
from ..tensor import Tensor as Value
from . import arrays
from . import operations as ops
from .draws import seeded
from .graph import Tensor, operation
from .operations import pair, value_of

tanh, sigmoid = ops.tanh, ops.sigmoid


def _activation(title: str, name: str) -> Any:
    function = getattr(F, name)

    def apply(features: Any) -> Any:
        return function(value_of(features))

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = (function.__doc__ or name).partition("\n")[0]
    return operation(title)(apply)


relu, relu6, elu, selu, softplus, softsign = (
    _activation(t, n)
    for t, n in zip(
        "Relu Relu6 Elu Selu Softplus Softsign".split(),
        "relu relu6 elu selu softplus softsign".split(),
    )
)


@operation("LeakyRelu")
def leaky_relu(features: Any, alpha: float = 0.2) -> Any:
    """x where it is positive, alpha x elsewhere."""
    return F.leaky_relu(value_of(features), alpha)


@operation("swish")
def swish(features: Any) -> Any:
    """x sigmoid(x)."""
    return F.silu(value_of(features))


@operation("Softmax")
def softmax(logits: Any, axis: Any = None, dim: Any = None) -> Any:
    """The softmax along an axis, the last without `axis`."""
    at = dim if axis is None else axis
    return F.softmax(value_of(logits), dim=-1 if at is None else at)


@operation("LogSoftmax")
def log_softmax(logits: Any, axis: Any = None, dim: Any = None) -> Any:
    """The logarithm of the softmax along an axis, the last without `axis`."""
    at = dim if axis is None else axis
    return F.log_softmax(value_of(logits), dim=-1 if at is None else at)


def _both(logits: Any, labels: Any) -> tuple[Value, Value]:
    """Logits and labels, which are asked for by name. ValueError where one is missing."""
    if labels is None or logits is None:
        raise ValueError("Both labels and logits must be provided.")
    return value_of(logits), value_of(labels)


@operation("softmax_cross_entropy_with_logits")
def softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, dim: int = -1, axis: Any = None
) -> Any:
    """-sum(labels log softmax(logits)) of each row."""
    x, t = _both(logits, labels)
    at = dim if axis is None else axis
    return -(t.to(x.dtype) * F.log_softmax(x, dim=at)).sum(at)


softmax_cross_entropy_with_logits_v2 = softmax_cross_entropy_with_logits


@operation("SparseSoftmaxCrossEntropyWithLogits")
def sparse_softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None
) -> Any:
    """-log softmax(logits)[label] of each row."""
    x, t = _both(logits, labels)
    flat = F.cross_entropy(
        x.reshape(-1, x.shape[-1]), t.reshape(-1).to(dtypes.int64), reduction="none"
    )
    return flat.reshape(t.shape)


@operation("sigmoid_cross_entropy_with_logits")
def sigmoid_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None
) -> Any:
    """max(x, 0) - x z + log(1 + exp(-|x|)) for labels z."""
    x, t = _both(logits, labels)
    return F.binary_cross_entropy_with_logits(x, t.to(x.dtype), reduction="none")


@operation("L2Loss")
def l2_loss(t: Any) -> Any:
    """sum(t^2) / 2."""
    return (value_of(t) ** 2).sum() / 2


@operation("l2_normalize")
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, dim: Any = None) -> Any:
    """x over its length along some axes."""
    x, at = value_of(x), dim if axis is None else axis
    return x * (x * x).sum(dim=at, keepdim=True).maximum(value_of(epsilon, x.dtype)).rsqrt()


@operation("BiasAdd")
def bias_add(value: Any, bias: Any, data_format: str | None = None) -> Any:
    """value + bias, one for each channel."""
    x, b = pair(value, bias)
    if data_format == "NCHW":
        return x + b.reshape([1, -1] + [1] * (x.dim() - 2))
    return x + b


def _space(numbers: Any, data_format: str, rank: int = 2) -> tuple[int, ...]:
    """The numbers of the axes of space, of one for all, for each of them, or for all axes."""
    if isinstance(numbers, int):
        return (numbers,) * rank
    listed = list(numbers)
    if len(listed) == rank:
        return tuple(listed)
    return tuple(listed[2:] if data_format[:2] == "NC" else listed[1:-1])


def _same(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """What SAME adds before and after: ceil(size / stride) outputs."""
    out = -(-size // stride)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _is_same(padding: str) -> bool:
    """Whether a padding is SAME. ValueError where it is not VALID either."""
    if padding.upper() not in ("SAME", "VALID"):
        raise ValueError(f"padding must be SAME or VALID; got {padding!r}")
    return padding.upper() == "SAME"


def _channels_first(x: Value, data_format: str) -> Value:
    return x if data_format[:2] == "NC" else x.movedim(-1, 1)


def _back(x: Value, data_format: str) -> Value:
    return x if data_format[:2] == "NC" else x.movedim(1, -1)


def _padded(
    x: Value, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], padding: str,
    fill: float = 0.0,
) -> tuple[Value, tuple[int, ...]]:  # fmt: skip
    """x and the padding that the kernel is to add; what is uneven is added to x here."""
    if not _is_same(padding):
        return x, (0,) * len(kernel)
    pads = [_same(*n) for n in zip(x.shape[2:], kernel, stride, dilation)]
    if all(a == b for a, b in pads):
        return x, tuple(a for a, _ in pads)
    return F.pad(x, [n for p in reversed(pads) for n in p], value=fill), (0,) * len(kernel)


@operation("Conv2D")
def conv2d(
    input: Any, filter: Any = None, strides: Any = 1, padding: str = "VALID",
    use_cudnn_on_gpu: bool = True, data_format: str = "NHWC", dilations: Any = 1,
    filters: Any = None,
) -> Any:  # fmt: skip
    """The convolution with filters of (height, width, inputs, outputs)."""
    w = value_of(filter if filters is None else filters).permute(3, 2, 0, 1)
    x = _channels_first(value_of(input), data_format)
    stride, dilation = _space(strides, data_format), _space(dilations, data_format)
    x, pads = _padded(x, w.shape[2:], stride, dilation, padding)
    return _back(F.conv2d(x, w, None, stride, pads, dilation), data_format)


@operation("conv1d")
def conv1d(
    value: Any, filters: Any, stride: int = 1, padding: str = "VALID", data_format: str = "NWC",
    dilations: int = 1,
) -> Any:  # fmt: skip
    """The convolution with filters of (width, inputs, outputs)."""
    w, x = value_of(filters).permute(2, 1, 0), _channels_first(value_of(value), data_format)
    x, pads = _padded(x, w.shape[2:], (stride,), (dilations,), padding)
    return _back(F.conv1d(x, w, None, stride, pads, dilations), data_format)


@operation("DepthwiseConv2dNative")
def depthwise_conv2d(
    input: Any, filter: Any, strides: Any = 1, padding: str = "VALID", rate: Any = None,
    data_format: str = "NHWC",
) -> Any:  # fmt: skip
    """A convolution of each channel apart; filters are (height, width, channels, multiplier)."""
    w = value_of(filter)
    height, width, channels, multiplier = w.shape
    w = w.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    x = _channels_first(value_of(input), data_format)
    stride, dilation = _space(strides, data_format), _space(rate or 1, data_format)
    x, pads = _padded(x, (height, width), stride, dilation, padding)
    return _back(F.conv2d(x, w, None, stride, pads, dilation, channels), data_format)


@operation("conv2d_transpose")
def conv2d_transpose(
    value: Any, filter: Any, output_shape: Any = None, strides: Any = 1, padding: str = "SAME",
    data_format: str = "NHWC",
) -> Any:  # fmt: skip
    """The gradient of a convolution by its input; filters are (height, width, outputs, inputs).
    ValueError for an `output_shape` whose convolution has another size than `value`."""
    same = _is_same(padding)
    w = value_of(filter).permute(3, 2, 0, 1)
    x, stride = _channels_first(value_of(value), data_format), _space(strides, data_format)
    y = F.conv_transpose2d(x, w, None, stride)
    if output_shape is None:
        sizes = [
            n * s if same else n * s + max(k - s, 0)
            for n, s, k in zip(x.shape[2:], stride, w.shape[2:])
        ]
    else:
        sizes = list(_space([int(n) for n in arrays.sizes_of(output_shape)], data_format))
    given = [
        -(-n // s) if same else (n - k) // s + 1 for n, k, s in zip(sizes, w.shape[2:], stride)
    ]
    if given != list(x.shape[2:]):
        raise ValueError(
            f"Conv2DBackpropInput: an output of {sizes} comes of {given} places, not of "
            f"{list(x.shape[2:])}"
        )
    pads = [_same(n, k, s)[0] if same else 0 for n, k, s in zip(sizes, w.shape[2:], stride)]
    more = [max(a + n - m, 0) for a, n, m in zip(pads, sizes, y.shape[2:])]
    if any(more):
        y = F.pad(y, [0, more[1], 0, more[0]])
    for axis, (a, n) in enumerate(zip(pads, sizes)):
        y = y.narrow(axis + 2, a, n)
    return _back(y, data_format)


@operation("MaxPool")
def max_pool(
    value: Any, ksize: Any, strides: Any, padding: str = "VALID", data_format: str = "NHWC"
) -> Any:
    """The largest element of each window."""
    x = _channels_first(value_of(value), data_format)
    kernel, stride = _space(ksize, data_format), _space(strides, data_format)
    x, pads = _padded(x, kernel, stride, (1, 1), padding, float("-inf"))
    return _back(F.max_pool2d(x, kernel, stride, pads), data_format)


@operation("AvgPool")
def avg_pool(
    value: Any, ksize: Any, strides: Any, padding: str = "VALID", data_format: str = "NHWC"
) -> Any:
    """The mean of each window, of what lies within the picture."""
    x = _channels_first(value_of(value), data_format)
    kernel, stride = _space(ksize, data_format), _space(strides, data_format)
    wide, pads = _padded(x, kernel, stride, (1, 1), padding)
    y = F.avg_pool2d(wide, kernel, stride, pads, count_include_pad=wide is not x)
    if wide is not x:
        inside, _ = _padded(tf["ones_like"](x[:1, :1]), kernel, stride, (1, 1), padding)
        y = y / F.avg_pool2d(inside, kernel, stride)
    return _back(y, data_format)


@operation("dropout")
def _dropped(x: Any, keep: Any, noise_shape: Any, generator: Any) -> Any:
    """x / keep where a number drawn is below keep, 0 elsewhere."""
    x = value_of(x)
    shape = tuple(x.shape) if noise_shape is None else tuple(noise_shape)
    drawn = tf["rand"](shape, generator=generator, dtype=x.dtype)
    keep = value_of(keep, x.dtype)
    return tf["where"](drawn < keep, x / keep, value_of(0, x.dtype))


def dropout(
    x: Any, keep_prob: Any = None, noise_shape: Any = None, seed: int | None = None,
    name: str | None = None, rate: Any = None,
) -> Tensor:  # fmt: skip
    """Each element kept with chance `keep_prob`, then divided by it; 0 otherwise. ValueError for a
    chance that is none."""
    keep = keep_prob if rate is None else 1 - rate
    if keep is None or (isinstance(keep, (int, float)) and not 0 < keep <= 1):
        raise ValueError(f"keep_prob must be a scalar tensor or a float in (0, 1], got {keep}")
    return _dropped(x, keep, noise_shape, seeded(seed), name=name or "dropout")


@operation("moments")
def _moments(x: Any, axes: Any, keep: bool) -> Any:
    """Mean and variance."""
    x = value_of(x)
    at = ops.axes_of(axes, x.dim())
    mean = x.mean(dim=at, keepdim=True)
    var = ((x - mean) ** 2).mean(dim=at, keepdim=keep)
    return (mean if keep else x.mean(dim=at)), var


def moments(
    x: Any, axes: Any, shift: Any = None, name: str = "moments", keep_dims: bool = False,
    keepdims: bool | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Mean and variance over some axes."""
    found = _moments(x, axes, bool(keepdims or keep_dims), name=name)
    return found[0], found[1]


@operation("batchnorm")
def batch_normalization(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) scale + offset."""
    x = value_of(x)
    factor = (value_of(variance) + variance_epsilon).rsqrt()
    factor = factor if scale is None else factor * value_of(scale)
    y = (x - value_of(mean)) * factor
    return y if offset is None else y + value_of(offset)


@operation("embedding_lookup")
def embedding_lookup(
    params: Any, ids: Any, partition_strategy: str = "mod", validate_indices: bool = True,
    max_norm: Any = None,
) -> Any:  # fmt: skip
    """The rows of `params` that `ids` name. NotImplementedError for `max_norm`."""
    if max_norm is not None:
        raise NotImplementedError("[embedding_lookup] max_norm is not supported")
    return arrays.gather.compute(params, ids)


@operation("InTopK")
def in_top_k(predictions: Any, targets: Any, k: int) -> Any:
    """Whether the target's prediction is among the k largest of its row."""
    x, t = value_of(predictions), value_of(targets).to(dtypes.int64)
    mine = x.gather(1, t[:, None])
    return (x > mine).sum(1) < k


@operation("TopKV2")
def _top_k(input: Any, k: int, sorted: bool) -> Any:
    """The largest k elements of each row and their places."""
    values, places = tf["topk"](value_of(input), k, sorted=sorted)
    return values, places.to(dtypes.int32)


def top_k(
    input: Any, k: int = 1, sorted: bool = True, name: str = "TopKV2"
) -> tuple[Tensor, Tensor]:
    """The largest k elements of each row and their places."""
    found = _top_k(input, k, sorted, name=name)
    return found[0], found[1]


def xw_plus_b(x: Any, weights: Any, biases: Any, name: str = "xw_plus_b") -> Tensor:
    """x weights + biases."""
    return bias_add(ops.matmul(x, weights), biases, name=name)


@operation("nce_loss")
def _nce(
    weights: Any, biases: Any, labels: Any, inputs: Any, drawn: Any, true: Any, sampled: Any
) -> Any:
    """The logistic loss of the true classes and of the drawn ones."""
    w, b, x = value_of(weights), value_of(biases), value_of(inputs)
    rows = value_of(labels).to(dtypes.int64)
    hit = (x[:, None] * w[rows.reshape(-1)].reshape(*rows.shape, -1)).sum(-1)
    hit = hit + b[rows.reshape(-1)].reshape(rows.shape) - value_of(true).log()
    other = x @ w[value_of(drawn)].T + b[value_of(drawn)] - value_of(sampled).log()
    zero, one = tf["zeros_like"](other), tf["ones_like"](hit) / rows.shape[1]
    lost = F.binary_cross_entropy_with_logits(hit, one, reduction="none").sum(1)
    return lost + F.binary_cross_entropy_with_logits(other, zero, reduction="none").sum(1)


@operation("LogUniformCandidateSampler")
def _candidates(count: int, classes: int, generator: Any) -> Any:
    """Classes drawn with chance log((k + 2) / (k + 1)) / log(classes + 1)."""
    u = tf["rand"]((count,), generator=generator, dtype=dtypes.float64)
    return (
        (u * tf["log"](value_of(float(classes + 1), dtypes.float64))).exp() - 1
    ).long() % classes


@operation("expected_count")
def _expected(ids: Any, count: int, classes: int) -> Any:
    """How often each class is drawn in so many trials."""
    k = value_of(ids).to(dtypes.float64)
    chance = ((k + 2).log() - (k + 1).log()) / value_of(float(classes + 1), dtypes.float64).log()
    return (chance * count).to(dtypes.float32)


def nce_loss(
    weights: Any, biases: Any, labels: Any, inputs: Any, num_sampled: int, num_classes: int,
    num_true: int = 1, sampled_values: Any = None, remove_accidental_hits: bool = False,
    partition_strategy: str = "mod", name: str = "nce_loss",
) -> Tensor:  # fmt: skip
    """Noise-contrastive estimation: each true class against `num_sampled` others, drawn with
    replacement from the log-uniform distribution. NotImplementedError for classes that were drawn
    elsewhere, and for taking out hits."""
    if sampled_values is not None or remove_accidental_hits:
        raise NotImplementedError(
            "[nce_loss] sampled_values and remove_accidental_hits are not supported"
        )
    drawn = _candidates(num_sampled, num_classes, seeded(None))
    true = _expected(labels, num_sampled, num_classes)
    sampled = _expected(drawn, num_sampled, num_classes)
    return _nce(weights, biases, labels, inputs, drawn, true, sampled, name=name)

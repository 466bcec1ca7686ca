"""Losses. Each takes `reduction`: "none", "mean" or "sum" (or PyTorch's older arguments)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from ...creation import arange
from ...functions import reduction as rd
from ...functions.arithmetic import xlogy
from ...functions.casting import in_float32
from ...functions.gather import classes, probabilities
from ...functions.linear import matmul
from ...functions.pointwise import where
from ...functions.shape import broadcast_tensors
from ...tensor import Tensor
from .activation import softplus_stable
from .distance import pairwise_distance


def choose_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that the older arguments `size_average` and `reduce` ask for, if given."""
    if size_average is None and reduce is None:
        return reduction
    mean = True if size_average is None else size_average
    each = reduce is not None and not reduce
    chosen = "none" if each else "mean" if mean else "sum"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{chosen}' "
        "instead.",
        stacklevel=3,
    )
    return chosen


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The losses, their mean, or their sum. ValueError for any other name."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


def _warn_shapes(input: Tensor, target: Tensor) -> None:
    if tuple(input.shape) != tuple(target.shape):
        warnings.warn(
            f"Using a target size ({_size(target)}) that is different to the input size "
            f"({_size(input)}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def _size(x: Tensor) -> str:
    return f"twofold.Size({list(x.shape)})"


def _regression(
    name: str, rule: Callable[..., Tensor], input: Tensor, target: Tensor, weight: Tensor | None,
    reduction: str,
) -> Tensor:  # fmt: skip
    """A loss of the difference of each pair, optionally weighted."""
    _warn_shapes(input, target)
    a, b = broadcast_tensors(input, target)
    loss = rule(a - b)
    if weight is None:
        return reduced(loss, reduction)
    if tuple(weight.shape) != tuple(input.shape):
        raise ValueError("Inputs and weights must have the same size.")
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)


@in_float32
def mse_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """(x - y)^2."""
    reduction = choose_reduction(size_average, reduce, reduction)
    return _regression("mse_loss", lambda d: d * d, input, target, weight, reduction)


@in_float32
def l1_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """|x - y|."""
    reduction = choose_reduction(size_average, reduce, reduction)
    return _regression("l1_loss", lambda d: d.abs(), input, target, weight, reduction)


@in_float32
def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", beta: float = 1.0,
) -> Tensor:  # fmt: skip
    """d^2 / (2 beta) where d = |x - y| < beta, else d - beta / 2."""
    reduction = choose_reduction(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")

    def rule(d: Tensor) -> Tensor:
        size = d.abs()
        if beta == 0:
            return size
        return where(size < beta, 0.5 * size * size / beta, size - 0.5 * beta)

    return _regression("smooth_l1_loss", rule, input, target, None, reduction)


@in_float32
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """d^2 / 2 where d = |x - y| <= delta, else delta (d - delta / 2)."""
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")

    def rule(d: Tensor) -> Tensor:
        size = d.abs()
        return where(size <= delta, 0.5 * size * size, delta * (size - 0.5 * delta))

    return _regression("huber_loss", rule, input, target, weight, reduction)


# Classification.


def _class_axis(input: Tensor) -> int:
    return 0 if input.dim() == 1 else 1


def _check_classes(input: Tensor, target: Tensor) -> None:
    """RuntimeError or ValueError unless input is (C), (N, C) or (N, C, ...) and target (), (N) or
    (N, ...)."""
    if target.is_floating_point():
        raise RuntimeError(
            f"expected scalar type Long but found {_TYPE_NAMES.get(target.dtype.name, 'Float')}"
        )
    if input.dim() == 1:
        if target.dim() > 1 or target.numel() != 1:
            raise RuntimeError(
                f"size mismatch (got input: {list(input.shape)}, target: {list(target.shape)})"
            )
        return
    if input.dim() == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {input.dim()})")
    if input.size(0) != (target.size(0) if target.dim() else 1):
        raise ValueError(
            f"Expected input batch_size ({input.size(0)}) to match target batch_size "
            f"({target.size(0) if target.dim() else 1})."
        )
    expected = (input.size(0), *input.shape[2:])
    if tuple(target.shape) != expected:
        raise RuntimeError(f"Expected target size {list(expected)}, got {list(target.shape)}")


_TYPE_NAMES = {"float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16"}


def _class_places(input: Tensor) -> Tensor:
    """0, 1, ... along the class axis, to be compared with targets."""
    shape = [1] * input.dim()
    shape[_class_axis(input)] = -1
    return arange(input.size(_class_axis(input))).reshape(shape)


def _picked(input: Tensor, is_target: Tensor) -> Tensor:
    """input at its target class: a comparison and a sum, which run in one pass with the rest."""
    return where(is_target, input, 0.0).sum(_class_axis(input))


def _weighted_mean(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """Losses that carry their weights already; the mean is over the sum of the weights."""
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)


def _target_weight(
    input: Tensor, target: Tensor, is_target: Tensor, weight: Tensor | None, ignore_index: int
) -> Tensor:
    """The weight of each target: 0 for ignore_index. IndexError for a class that is not there."""
    n = input.size(_class_axis(input))
    is_class = classes(target, n, ignore_index) >= 0
    counts = (is_class & (target != ignore_index)).to(input.dtype)
    if weight is None:
        return counts
    if weight.dim() != 1 or weight.numel() != n:
        raise RuntimeError(
            "weight tensor should be defined either for all or no classes; got weight of shape "
            f"{list(weight.shape)} for {n} classes"
        )
    shape = [1] * input.dim()
    shape[_class_axis(input)] = -1
    each = where(is_target, weight.reshape(shape), 0.0).sum(_class_axis(input))
    return each * counts


@in_float32
def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """-weight_y x_y for log-probabilities x (N, C, ...) and classes y (N, ...)."""
    reduction = choose_reduction(size_average, reduce, reduction)
    _check_classes(input, target)
    axis = _class_axis(input)
    is_target = _class_places(input) == target.reshape(_with_axis(target, axis, input))
    picked = _picked(input, is_target)
    each = _target_weight(input, target, is_target, weight, ignore_index).reshape(picked.shape)
    return _weighted_mean(where(each == 0, 0.0, -picked * each), each, reduction)


def _with_axis(target: Tensor, axis: int, input: Tensor) -> list[int]:
    """target's shape with one element in place of input's class axis."""
    if input.dim() == 1:
        return [1]
    return [*target.shape[:axis], 1, *target.shape[axis:]]


@in_float32
def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """log(sum_c e^x_c) - x_y for logits x (N, C, ...) and classes y (N, ...) or probabilities y (N,
    C, ...).

    With label_smoothing e, y is (1 - e) y + e / C. The mean is over the weights of the targets;
    targets of ignore_index count 0. The formula does not overflow for any logits.
    """
    reduction = choose_reduction(size_average, reduce, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input.dim() == 0:
        raise RuntimeError("cross_entropy does not support 0-dimensional input")
    axis = _class_axis(input)
    if tuple(input.shape) == tuple(target.shape) and target.is_floating_point():
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    _check_classes(input, target)
    is_target = _class_places(input) == target.reshape(_with_axis(target, axis, input))
    total = input.logsumexp(axis)
    each = _target_weight(input, target, is_target, weight, ignore_index)
    each = each.reshape(total.shape)
    loss = (total - _picked(input, is_target)) * each
    ignored = each == 0 if weight is None else (target == ignore_index).reshape(total.shape)
    loss = where(ignored, 0.0, loss)
    if not label_smoothing:
        return _weighted_mean(loss, each, reduction)
    n = input.size(axis)
    if weight is None:
        spread = total * n - input.sum(axis)
    else:
        shape = [1] * input.dim()
        shape[axis] = -1
        spread = ((total.unsqueeze(axis) - input) * weight.reshape(shape)).sum(axis)
    spread = where(ignored, 0.0, spread)
    if reduction == "mean":
        smooth = spread.sum() / each.sum()
    else:
        smooth = reduced(spread, reduction)
    hard = _weighted_mean(loss, each, reduction)
    return (1 - label_smoothing) * hard + (label_smoothing / n) * smooth


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    """-sum_c w_c y_c log softmax(x)_c; the mean is over the batch."""
    axis = _class_axis(input)
    n = input.size(axis)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / n
    terms = rd.log_softmax(input, axis) * target
    if weight is not None:
        shape = [1] * input.dim()
        shape[axis] = -1
        terms = terms * weight.reshape(shape)
    if reduction == "mean":
        return -terms.sum() / (input.numel() // n)
    return reduced(-terms.sum(axis), reduction)


@in_float32
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """-w (y log x + (1 - y) log(1 - x)) for probabilities x and y, each log at least -100.

    Once it runs, RuntimeError for an x or y outside of 0 to 1.
    """
    reduction = choose_reduction(size_average, reduce, reduction)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(
            f"Using a target size ({_size(target)}) that is different to the input size "
            f"({_size(input)}) is deprecated. Please ensure they have the same size."
        )
    input, target = probabilities(input, "input"), probabilities(target, "labels")
    log_x = input.log().clamp_min(-100)
    log_not_x = (-input).log1p().clamp_min(-100)
    loss = (target - 1) * log_not_x - target * log_x
    return reduced(loss if weight is None else loss * weight, reduction)


@in_float32
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean", pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """-w (p y log s(x) + (1 - y) log(1 - s(x))), s the sigmoid, p pos_weight; without overflow."""
    reduction = choose_reduction(size_average, reduce, reduction)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(
            f"Target size ({_size(target)}) must be the same as input size ({_size(input)})"
        )
    log_not = softplus_stable(-input)  # -log s(x)
    if pos_weight is None:
        loss = (1 - target) * input + log_not
    else:
        loss = (1 - target) * input + (1 + (pos_weight - 1) * target) * log_not
    return reduced(loss if weight is None else loss * weight, reduction)


@in_float32
def kl_div(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", log_target: bool = False,
) -> Tensor:  # fmt: skip
    """y (log y - x) for log-probabilities x; target is y, or log y with log_target."""
    reduction = choose_reduction(size_average, reduce, reduction)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = xlogy(target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.size(0) if input.dim() else loss.sum()
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next "
            "major release.",
            stacklevel=2,
        )
    return reduced(loss, reduction)


@in_float32
def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False,
    size_average: bool | None = None, eps: float = 1e-8, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """e^x - y x (x - y log(x + eps) unless log_input), plus Stirling's term of log y! if full."""
    reduction = choose_reduction(size_average, reduce, reduction)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        large = target > 1
        y = where(large, target, 1.0)
        stirling = y * y.log() - y + 0.5 * (2 * math.pi * y).log()
        loss = loss + where(large, stirling, 0.0)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """(log v + (x - y)^2 / v) / 2, v = max(var, eps), plus log(2 pi) / 2 if full."""
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = input.new_ones(input.shape) * var
    elif tuple(var.shape) != tuple(input.shape):
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif not all(n == m or m == 1 for n, m in zip(input.shape, var.shape)):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    # The limit is not part of the gradient.
    var = var + (var.clamp_min(eps) - var).detach()
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


# Margins.


@in_float32
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """x where y = 1, max(0, margin - x) where y = -1."""
    reduction = choose_reduction(size_average, reduce, reduction)
    apart = where(target != 1, (margin - input).clamp_min(0), 0.0)
    near = where(target != -1, input, 0.0)
    return reduced(apart + near, reduction)


@in_float32
def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """log(1 + e^(-y x))."""
    reduction = choose_reduction(size_average, reduce, reduction)
    return reduced(softplus_stable(-target * input), reduction)


@in_float32
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, -y (x1 - x2) + margin)."""
    reduction = choose_reduction(size_average, reduce, reduction)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {_size(input1)}, input2: {_size(input2)}, target: {_size(target)} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@in_float32
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """1 - cos(x1, x2) where y = 1, max(0, cos(x1, x2) - margin) where y = -1."""
    reduction = choose_reduction(size_average, reduce, reduction)
    eps = 1e-12
    product = (input1 * input2).sum(-1)
    size = ((input1 * input1).sum(-1) + eps) * ((input2 * input2).sum(-1) + eps)
    cosine = product / size.sqrt()
    near = where(target == 1, 1 - cosine, 0.0)
    apart = where(target == -1, (cosine - margin).clamp_min(0), 0.0)
    return reduced(near + apart, reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The mean over classes of -w (y log s(x) + (1 - y) log s(-x)), s the sigmoid."""
    reduction = choose_reduction(size_average, reduce, reduction)
    loss = target * softplus_stable(-input) + (1 - target) * softplus_stable(input)
    if weight is not None:
        loss = loss * weight
    return reduced(loss.mean(-1), reduction)


@in_float32
def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The mean over classes c other than y of max(0, margin - x_y + x_c)^p, weighted by w_y."""
    reduction = choose_reduction(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    x = input if input.dim() == 2 else input.reshape(1, -1)
    places = arange(x.size(1))
    is_target = places == classes(target, x.size(1), style="margin").reshape(-1, 1)
    own = where(is_target, x, 0.0).sum(1, keepdim=True)
    gap = (margin - own + x).clamp_min(0)
    if p == 2:
        gap = gap * gap
    if weight is not None:
        gap = gap * where(is_target, weight, 0.0).sum(1, keepdim=True)
    loss = where(is_target, 0.0, gap).sum(1) / x.size(1)
    return reduced(loss if input.dim() == 2 else loss.reshape([]), reduction)


@in_float32
def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """sum_ij max(0, 1 - x_yj + x_i) / C over the target classes y_j (those before the first -1) and
    the classes i that are no target."""
    reduction = choose_reduction(size_average, reduce, reduction)
    x = input if input.dim() == 2 else input.reshape(1, -1)
    y = target.reshape(x.shape)
    n = x.size(1)
    before_end = arange(n) < where(y == -1, arange(n), n).amin(1, keepdim=True)
    one_hot = (y.unsqueeze(2) == arange(n)) & before_end.unsqueeze(2)  # sample, j, class
    is_target = one_hot.any(1)
    own = where(one_hot, x.unsqueeze(1), 0.0).sum(2)  # sample, j
    gap = (1 - own.unsqueeze(2) + x.unsqueeze(1)).clamp_min(0)
    counted = before_end.unsqueeze(2) & is_target.logical_not().unsqueeze(1)
    loss = where(counted, gap, 0.0).sum((1, 2)) / n
    return reduced(loss if input.dim() == 2 else loss.reshape([]), reduction)


@in_float32
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d a p-norm of differences."""
    reduction = choose_reduction(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
    swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with any distance."""
    distance = distance_function or pairwise_distance
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(
    anchor: Tensor, positive: Tensor, negative: Tensor, distance: Callable[..., Tensor],
    margin: float, swap: bool, reduction: str,
) -> Tensor:  # fmt: skip
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return reduced((margin + near - far).clamp_min(0), reduction)


def linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, *, linear_bias: Tensor | None = None,
    weight: Tensor | None = None, reduction: str = "mean", ignore_index: int | None = None,
    label_smoothing: float = 0.0, options: Any = None,
) -> Tensor:  # fmt: skip
    """`cross_entropy` of input linear_weight^T + linear_bias: input (N, in) or (in), linear_weight
    (C, ..., in). `options`, which limits PyTorch's memory, is not needed: what follows is fused."""
    if not 1 <= input.dim() <= 2:
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    outer = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != outer:
        raise RuntimeError(f"expected linear_bias shape {outer}, got {tuple(linear_bias.shape)}")
    if len(outer) > 1 and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            f"requires batched input, got unbatched input with shape {tuple(input.shape)}"
        )
    flat = linear_weight.reshape(-1, linear_weight.shape[-1])
    logits = matmul(input, flat.t()).reshape(*input.shape[:-1], *outer)
    logits = logits if linear_bias is None else logits + linear_bias
    if ignore_index is not None and target.shape == logits.shape:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    return cross_entropy(
        logits, target, weight, ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction, label_smoothing=label_smoothing,
    )  # fmt: skip

"""`tf.losses`: weighted means of losses, which are also kept in a collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import arrays, nn
from . import operations as ops
from .graph import GraphKeys, Tensor, get_collection, get_default_graph, operation
from .operations import pair, value_of


class Reduction:
    """How the losses of a batch become one number."""

    NONE = "none"
    SUM = "weighted_sum"
    MEAN = "weighted_mean"
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    SUM_OVER_NONZERO_WEIGHTS = SUM_BY_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"


_REDUCTIONS = {value for name, value in vars(Reduction).items() if name.isupper()}


@operation("weighted_loss")
def _weighted(losses: Any, weights: Any, reduction: str) -> Any:
    """The losses times their weights, as one number unless the reduction is none. ValueError for a
    reduction that is none of those."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f"Invalid Reduction Key {reduction}.")
    losses = value_of(losses)
    w = value_of(weights, losses.dtype)
    if w.dim() == losses.dim() + 1:
        w = w.squeeze(-1)
    elif 0 < w.dim() == losses.dim() - 1:
        w = w.unsqueeze(-1)
    if w.dim() and (
        w.dim() != losses.dim() or any(m not in (1, n) for m, n in zip(w.shape, losses.shape))
    ):
        raise ValueError(
            f"weights can not be broadcast to values: weights have shape {tuple(w.shape)}, the "
            f"losses {tuple(losses.shape)}"
        )
    total = losses * w
    if reduction == Reduction.NONE:
        return total
    if reduction == Reduction.SUM:
        return total.sum()
    spread = w.broadcast_to(losses.shape)
    if reduction == Reduction.MEAN:
        return total.sum() / spread.sum()
    if reduction == Reduction.SUM_OVER_BATCH_SIZE:
        return total.mean()
    present = (spread != 0).sum().to(losses.dtype)
    return total.sum() / present.maximum(value_of(1.0, losses.dtype))


def compute_weighted_loss(
    losses: Any, weights: Any = 1.0, scope: Any = None,
    loss_collection: str | None = GraphKeys.LOSSES,
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Tensor:  # fmt: skip
    """The losses weighted, as one number, and put into the collection."""
    made = _weighted(losses, weights, reduction, name=scope)
    if loss_collection:
        get_default_graph().add_to_collection(loss_collection, made)
    return made


def _alike(predictions: Any, labels: Any) -> tuple[Any, Any]:
    """Predictions and labels. ValueError where their shapes differ, which would be broadcast."""
    a, b = pair(predictions, labels)
    if a.shape != b.shape:
        raise ValueError(f"Shapes {tuple(a.shape)} and {tuple(b.shape)} are incompatible")
    return a, b


@operation("squared_difference")
def _squared(labels: Any, predictions: Any) -> Any:
    a, b = _alike(predictions, labels)
    return (a - b) ** 2


@operation("absolute_difference")
def _absolute(labels: Any, predictions: Any) -> Any:
    a, b = _alike(predictions, labels)
    return (a - b).abs()


@operation("huber_loss")
def _huber(labels: Any, predictions: Any, delta: float) -> Any:
    a, b = _alike(predictions, labels)
    error = (a - b).abs()
    near = error.clamp(max=delta)
    return near**2 / 2 + delta * (error - near)


@operation("log_loss")
def _log(labels: Any, predictions: Any, epsilon: float) -> Any:
    p, t = _alike(predictions, labels)
    return -t * (p + epsilon).log() - (1 - t) * (1 - p + epsilon).log()


@operation("hinge_loss")
def _hinge(labels: Any, logits: Any) -> Any:
    x, t = _alike(logits, labels)
    return (1 - (2 * t - 1) * x).relu()


def _loss(title: str, function: Callable[..., Any], doc: str) -> Callable[..., Tensor]:
    def loss(
        labels: Any, predictions: Any, weights: Any = 1.0, *options: Any, scope: Any = None,
        loss_collection: str | None = GraphKeys.LOSSES,
        reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS, **more: Any,
    ) -> Tensor:  # fmt: skip
        each = function(labels, predictions, *options, **more)
        return compute_weighted_loss(each, weights, scope or title, loss_collection, reduction)

    loss.__name__ = loss.__qualname__ = title
    loss.__doc__ = doc
    return loss


mean_squared_error = _loss("mean_squared_error", _squared, "The mean of squared differences.")
absolute_difference = _loss("absolute_difference", _absolute, "The mean of absolute differences.")


def huber_loss(
    labels: Any, predictions: Any, weights: Any = 1.0, delta: float = 1.0, **options: Any
) -> Tensor:
    """Squared up to delta, linear beyond."""
    return compute_weighted_loss(_huber(labels, predictions, delta), weights, **options)


def log_loss(
    labels: Any, predictions: Any, weights: Any = 1.0, epsilon: float = 1e-7, **options: Any
) -> Tensor:
    """-t log p - (1 - t) log(1 - p)."""
    return compute_weighted_loss(_log(labels, predictions, epsilon), weights, **options)


def hinge_loss(labels: Any, logits: Any, weights: Any = 1.0, **options: Any) -> Tensor:
    """max(0, 1 - (2 t - 1) x)."""
    return compute_weighted_loss(_hinge(labels, logits), weights, **options)


def softmax_cross_entropy(
    onehot_labels: Any, logits: Any, weights: Any = 1.0, label_smoothing: float = 0, **options: Any
) -> Tensor:
    """-sum(t log softmax(x)) of each row."""
    if label_smoothing:
        classes = arrays.shape(onehot_labels)[-1]
        onehot_labels = onehot_labels * (1 - label_smoothing) + label_smoothing / classes
    each = nn.softmax_cross_entropy_with_logits(labels=onehot_labels, logits=logits)
    return compute_weighted_loss(each, weights, **options)


def sparse_softmax_cross_entropy(
    labels: Any, logits: Any, weights: Any = 1.0, **options: Any
) -> Tensor:
    """-log softmax(x)[label] of each row."""
    each = nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return compute_weighted_loss(each, weights, **options)


def sigmoid_cross_entropy(
    multi_class_labels: Any,
    logits: Any,
    weights: Any = 1.0,
    label_smoothing: float = 0,
    **options: Any,
) -> Tensor:
    """The logistic loss of each element."""
    if label_smoothing:
        multi_class_labels = multi_class_labels * (1 - label_smoothing) + 0.5 * label_smoothing
    each = nn.sigmoid_cross_entropy_with_logits(labels=multi_class_labels, logits=logits)
    return compute_weighted_loss(each, weights, **options)


def add_loss(loss: Any, loss_collection: str = GraphKeys.LOSSES) -> None:
    """Put a loss into the collection."""
    get_default_graph().add_to_collection(loss_collection, loss)


def get_losses(scope: str | None = None, loss_collection: str = GraphKeys.LOSSES) -> list[Tensor]:
    """The losses in the collection."""
    return get_collection(loss_collection, scope)


def get_regularization_losses(scope: str | None = None) -> list[Tensor]:
    """The losses that regularizers made."""
    return get_collection(GraphKeys.REGULARIZATION_LOSSES, scope)


def get_total_loss(add_regularization_losses: bool = True, name: str = "total_loss") -> Tensor:
    """The sum of all losses in the collections."""
    found = get_losses()
    if add_regularization_losses:
        found = found + get_regularization_losses()
    return ops.add_n(found, name=name)

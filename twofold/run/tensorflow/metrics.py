"""`tf.metrics`: values gathered over batches in local variables."""

from __future__ import annotations

from typing import Any

from ...static import arrays
from ...static import operations as ops
from ...static.graph import GraphKeys, Tensor, control_dependencies, get_default_graph, name_scope
from ...static.variables import Variable, assign_add


def _local(name: str) -> Variable:
    return Variable(ops.constant(0.0), False, [GraphKeys.LOCAL_VARIABLES], name=name)


def mean(
    values: Any, weights: Any = None, metrics_collections: Any = None,
    updates_collections: Any = None, name: str = "mean",
) -> tuple[Tensor, Any]:  # fmt: skip
    """The mean of all values so far, and the operation that adds a batch's."""
    with name_scope(name):
        total, count = _local("total"), _local("count")
        numbers = ops.to_float(values)
        w = arrays.ones_like(numbers) if weights is None else ops.to_float(weights)
        added = [
            assign_add(total, ops.reduce_sum(numbers * w)),
            assign_add(count, ops.reduce_sum(w)),
        ]
        now = total / ops.maximum(count, 1e-12)
        with control_dependencies(added):
            update = added[0] / ops.maximum(added[1], 1e-12)
    graph = get_default_graph()
    for collections, made in ((metrics_collections, now), (updates_collections, update)):
        for collection in collections or []:
            graph.add_to_collection(collection, made)
    return now, update


def accuracy(
    labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
    updates_collections: Any = None, name: str = "accuracy",
) -> tuple[Tensor, Any]:  # fmt: skip
    """The share of predictions that are right, and the operation that adds a batch's."""
    hit = ops.equal(ops.to_int64(predictions), ops.to_int64(labels))
    return mean(hit, weights, metrics_collections, updates_collections, name)


def mean_squared_error(
    labels: Any,
    predictions: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str = "mean_squared_error",
) -> tuple[Tensor, Any]:
    """The mean of squared differences, and the operation that adds a batch's."""
    squares = ops.squared_difference(predictions, labels)
    return mean(squares, weights, metrics_collections, updates_collections, name)


__all__ = ["accuracy", "mean", "mean_squared_error"]

"""When things run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import engine
from ..tensor import Tensor
from ._registry import functions


def evaluate(*tensors: Tensor) -> None:
    """Run all that is pending, these tensors among it, without looking at a value.

    >>> import twofold as tf
    >>> x = tf.ones(3) * 2
    >>> tf.eval(x)
    >>> x
    tensor([2., 2., 2.])
    """
    engine.realize([x._node() for x in tensors])


functions["eval"] = evaluate


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()
) -> Any:
    """true_fn(*operands) if `pred` holds, else false_fn(*operands). The predicate is looked at.

    >>> import twofold as tf
    >>> x = tf.ones(2)
    >>> tf.cond(x.sum() > 1, lambda x: x * 2, lambda x: x, (x,))
    tensor([2., 2.])
    """
    return true_fn(*operands) if bool(pred) else false_fn(*operands)


functions["cond"] = cond

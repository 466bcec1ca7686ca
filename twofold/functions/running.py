"""When things run."""

from __future__ import annotations

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

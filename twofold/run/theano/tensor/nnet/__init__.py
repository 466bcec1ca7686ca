"""`theano.tensor.nnet`: functions of neural nets."""

from __future__ import annotations

from typing import Any

from .....creation import as_tensor
from .....nn import functional as nn
from ...variable import deferred


@deferred
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return nn.sigmoid(as_tensor(x))


ultra_fast_sigmoid = sigmoid


@deferred
def hard_sigmoid(x: Any) -> Any:
    """0.2 x + 0.5, cut off at 0 and 1."""
    return (as_tensor(x) * 0.2 + 0.5).clamp(0, 1)


@deferred
def softplus(x: Any) -> Any:
    """log(1 + exp(x))."""
    return nn.softplus(as_tensor(x))


@deferred
def relu(x: Any, alpha: Any = 0) -> Any:
    """x where it is positive, alpha x elsewhere."""
    x = as_tensor(x)
    return x.relu() if isinstance(alpha, int) and alpha == 0 else x.maximum(x * alpha)


@deferred
def elu(x: Any, alpha: float = 1) -> Any:
    """x where it is positive, alpha (exp(x) - 1) elsewhere."""
    return nn.elu(as_tensor(x), alpha)


@deferred
def softmax(c: Any) -> Any:
    """The softmax of each row; a vector is one row."""
    c = as_tensor(c)
    return nn.softmax(c[None] if c.dim() == 1 else c, dim=-1)


@deferred
def logsoftmax(c: Any) -> Any:
    """The logarithm of the softmax of each row."""
    return nn.log_softmax(as_tensor(c), dim=-1)


@deferred
def binary_crossentropy(output: Any, target: Any) -> Any:
    """-(t log p + (1 - t) log(1 - p)), element by element."""
    p, t = as_tensor(output), as_tensor(target)
    return -(t * p.log() + (1 - t) * (1 - p).log())


@deferred
def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> Any:
    """-sum(t log p) of each row, where t is a distribution or the number of the true class."""
    p, t = as_tensor(coding_dist), as_tensor(true_dist)
    if t.dim() == p.dim():
        return -(t * p.log()).sum(-1)
    return -p.log().gather(1, t.long()[:, None])[:, 0]


@deferred
def conv2d(
    input: Any, filters: Any, input_shape: Any = None, filter_shape: Any = None,
    border_mode: Any = "valid", subsample: Any = (1, 1), filter_flip: bool = True,
    image_shape: Any = None, filter_dilation: Any = (1, 1), num_groups: int = 1, **ignored: Any,
) -> Any:  # fmt: skip
    """Convolution of pictures (n, channels, height, width) with filters, which are turned by half a
    turn unless `filter_flip` is False. RuntimeError for pictures that are not of `input_shape`."""
    x, w = as_tensor(input), as_tensor(filters)
    for wanted, got, what in (
        (input_shape or image_shape, x, "input"),
        (filter_shape, w, "filter"),
    ):
        if wanted is not None and any(m not in (None, n) for m, n in zip(wanted, got.shape)):
            raise RuntimeError(f"[conv2d] {what}_shape is {tuple(wanted)}; got {tuple(got.shape)}")
    sizes = [(n - 1) * d + 1 for n, d in zip(w.shape[2:], filter_dilation)]
    if border_mode == "valid":
        padding = [0, 0]
    elif border_mode == "full":
        padding = [n - 1 for n in sizes]
    elif border_mode == "half":
        padding = [n // 2 for n in sizes]
    else:
        padding = [border_mode] * 2 if isinstance(border_mode, int) else list(border_mode)
    if filter_flip:
        w = w.flip(2, 3)
    return nn.conv2d(x, w, None, tuple(subsample), padding, tuple(filter_dilation), num_groups)

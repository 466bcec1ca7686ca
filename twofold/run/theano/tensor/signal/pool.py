"""`theano.tensor.signal.pool`: the largest or the mean of each window."""

from __future__ import annotations

from typing import Any

from .....creation import as_tensor
from .....nn import functional as nn
from ...variable import deferred


@deferred
def pool_2d(
    input: Any, ws: Any = None, ignore_border: bool | None = None, stride: Any = None,
    pad: Any = (0, 0), mode: str = "max", ds: Any = None, st: Any = None, padding: Any = None,
) -> Any:  # fmt: skip
    """The largest element (`mode` "max"), the sum or the mean of each window of the last two axes.
    Windows that reach over the edge count unless `ignore_border`. ValueError for another mode."""
    x, window = as_tensor(input), ws or ds
    steps, pads = stride or st or window, tuple(padding or pad)
    if mode not in ("max", "sum", "average_inc_pad", "average_exc_pad"):
        raise ValueError(f"[pool_2d] an unknown mode; got {mode!r}")
    shape = x.shape
    y = x if x.dim() == 4 else x.reshape(-1, 1, *shape[-2:])
    beyond = not ignore_border
    if mode == "max":
        y = nn.max_pool2d(y, tuple(window), tuple(steps), pads, ceil_mode=beyond)
    else:
        whole = mode != "average_exc_pad"
        y = nn.avg_pool2d(
            y, tuple(window), tuple(steps), pads, ceil_mode=beyond, count_include_pad=whole,
            divisor_override=1 if mode == "sum" else None,
        )  # fmt: skip
    return y.reshape(*shape[:-2], *y.shape[-2:])

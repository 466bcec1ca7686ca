"""Functions on tensors, in a file per family. Importing this attaches the methods of `Tensor`."""

from . import (
    arithmetic,
    convolution,
    gather,
    linear,
    pointwise,
    pooling,
    random,
    reduction,
    running,
    scan,
    shape,
    sort,
)
from ._registry import functions

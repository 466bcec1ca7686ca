"""Functions on tensors, in a file per family. Importing this attaches the methods of `Tensor`."""

from . import (
    arithmetic,
    branch,
    complex,
    control,
    convolution,
    einsum,
    facts,
    foreach,
    gather,
    joining,
    later,
    linear,
    measure,
    pointwise,
    pooling,
    random,
    reduction,
    running,
    scan,
    shape,
    sort,
    strided,
    whole,
)
from ._registry import functions

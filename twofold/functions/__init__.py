"""Functions on tensors, in a file per family. Importing this attaches the methods of `Tensor`."""

from . import arithmetic, gather, linear, pointwise, random, reduction, shape
from ._registry import functions

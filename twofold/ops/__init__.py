"""The primitives, each defined in one place, in a file per family."""

from . import complex, contract, elementwise, index, movement, reduce, scan, sort, window

"""`theano.tensor.signal.downsample`: the older name of `pool`."""

from .pool import pool_2d

max_pool_2d = pool_2d

__all__ = ["max_pool_2d"]

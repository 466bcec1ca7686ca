"""Updates that optimizers make of each parameter, step after step: written on nodes, since a tensor
for each value on the way would take longer than the rest of the recording."""

from __future__ import annotations

from ..ops import elementwise as ew
from ..tensor import Tensor, number


def running_mean_(mean: Tensor, x: Tensor, new: Tensor) -> None:
    """mean + new (x - mean), into `mean`. All are of its dtype."""
    m = mean._node()
    mean._write(ew.add(m, ew.mul(new._node(), ew.sub(x._node(), m))))


def running_square_(square: Tensor, x: Tensor, old: Tensor, new: Tensor) -> None:
    """old square + new x x, into `square`. All are of its dtype."""
    v, value = square._node(), x._node()
    more = ew.mul(ew.mul(new._node(), value), value)
    square._write(ew.add(ew.mul(old._node(), v), more))


def running_sum_(total: Tensor, x: Tensor, decay: float) -> None:
    """decay total + x, into `total`. Both are of one dtype."""
    v = total._node()
    total._write(ew.add(ew.mul(number(decay, v.structure.dtype), v), x._node()))


def step_(p: Tensor, x: Tensor, size: Tensor) -> None:
    """p - size x, into `p`. All are of p's dtype."""
    p._write(ew.sub(p._node(), ew.mul(size._node(), x._node())))


def scaled_step_(
    p: Tensor, value: Tensor, mean: Tensor, square: Tensor, size: Tensor, eps: Tensor
) -> None:
    """value - size (mean / (sqrt(square) + eps)), into `p`. All are of p's dtype."""
    root = ew.add(ew.sqrt(square._node()), eps._node())
    step = ew.mul(size._node(), ew.div(mean._node(), root))
    p._write(ew.sub(value._node(), step))

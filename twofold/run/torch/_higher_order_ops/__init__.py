"""`torch._higher_order_ops`: branches and loops in the graph, by PyTorch's names."""

from ....functions.branch import cond
from ....functions.control import scan
from .while_loop import while_loop

__all__ = ["cond", "scan", "while_loop"]

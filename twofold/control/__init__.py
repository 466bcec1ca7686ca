"""Plain Python `if`, `while` and `for ... in range` on tensors as branches and loops of the graph.

`rewritten` gives a function whose decisions go through `decide.py`: on Python values they are
Python's; on tensors, while a graph is being recorded, they become `cond` and `while_loop`.
"""

from .decide import called, recording_decisions
from .rewrite import NotRewritable, rewritten

__all__ = ["NotRewritable", "called", "recording_decisions", "rewritten"]

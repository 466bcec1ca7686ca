"""`torch._dynamo`: PyTorch's capture of bytecode, of which there is none."""

from __future__ import annotations

from ..compiler import allow_in_graph as allow_in_graph
from ..compiler import disable as disable

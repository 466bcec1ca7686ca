"""`torch._higher_order_ops.while_loop`."""

from ....functions.branch import while_loop

__all__ = ["while_loop"]

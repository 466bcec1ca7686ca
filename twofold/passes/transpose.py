"""Compute a product transposed where only its transpose is read.

    permute(a @ b, last two swapped)  =>  permute(b) @ permute(a)

Products read their operands by strides, so the permutes on the right cost nothing, while the one on
the left would be a copy. The gradient of a linear layer's weight is such a product. The bits are
the same: each element is the sum of the same products in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.node import Node, postorder
from ..ops import contract
from ..ops import movement as mv
from .rewrite import count_uses, rewrite


def transpose_products(roots: Sequence[Node]) -> list[Node]:
    """The roots with products transposed whose only reader transposes them."""
    if not any(map(_turns_product, postorder(roots, pending_only=True))):
        return list(roots)
    uses = count_uses(roots)

    def rule(node: Node) -> Node | None:
        x = node.inputs[0]
        if not _turns_product(node) or uses.get(id(x)) != 1:
            return None
        a, b = x.inputs
        return contract.matmul(contract.transpose(b), contract.transpose(a))

    return rewrite(roots, {"permute": [rule]}, uses)


def _turns_product(node: Node) -> bool:
    """Whether a node is a product transposed."""
    if node.value is not None or node.structure.op is not mv.PERMUTE:
        return False
    x, axes = node.inputs[0], node.structure.attrs[0]
    rank = len(axes)
    is_turn = axes == (*range(rank - 2), rank - 1, rank - 2)
    return is_turn and x.value is None and x.structure.op is contract.MATMUL

"""Rewrite the bodies of loops as graphs of their own.

loop(x, w, body="... transpose(transpose(w)) ...")  ->  loop(x, w, body="... w ...")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..graph.node import Node
from ..graph.node import make as make_node
from ..ops.control import Body
from .rewrite import rewrite

Run = Callable[[Sequence[Node]], list[Node]]


def rewrite_bodies(roots: Sequence[Node], run: Run) -> list[Node]:
    """`roots` with `run` (all passes) applied to the body of each loop."""

    done: set[Body] = set()

    def rule(node: Node) -> Node | None:
        body: Body = node.attrs[0]
        if body in done:
            return None
        made = body.derived.get("rewritten")
        if made is None:
            made = body.derived["rewritten"] = Body(body.parameters, run(body.outputs))
        done.add(made)
        return make_node(node.op, node.inputs, (made, *node.attrs[1:]))

    return rewrite(roots, {"loop": (rule,)})

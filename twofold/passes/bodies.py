"""Rewrite the bodies of loops and branches as graphs of their own, and lay out what loops read in
every round.

    loop(x, w, body="... transpose(transpose(w)) ...")  ->  loop(x, w, body="... w ...")

The rows of a matrix that a product reads in each round are moved apart where they lie a multiple of
2 kB from one another, and so in the same few lines of the cache: one copy before the loop.

    loop(x, w, body="matmul(x, w)")  ->  loop(x, pad(w), body="matmul(x, slice(w))")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from ..abi import ALIGNMENT
from ..graph.node import PARAMETER, Node, parameter, postorder
from ..graph.node import make as make_node
from ..ops import movement as mv
from ..ops.body import Body, substitute
from .rewrite import rewrite

Run = Callable[[Sequence[Node]], list[Node]]

CROWDED = 2048
"""Bytes of which rows that lie a multiple apart fall on one another in the cache."""

LEAST_STEPS = 4
"""Rounds from which a copy pays."""


def rewrite_bodies(roots: Sequence[Node], run: Run) -> list[Node]:
    """`roots` with `run` (all passes) applied to the body of each loop and branch."""
    done: set[Body] = set()

    def apart(node: Node) -> Node | None:
        """Bodies whose outputs are run at different times, so that nothing is made common."""
        body: Body = node.attrs[0]
        if body in done:
            return None
        made = body.derived.get("rewritten apart")
        if made is None:
            cuts = _cuts(node)
            outputs = [y for a, b in pairwise(cuts) for y in run(body.outputs[a:b])]
            made = body.derived["rewritten apart"] = Body(body.parameters, outputs)
        done.add(made)
        return make_node(node.op, node.inputs, (made, *node.attrs[1:]))

    def rule(node: Node) -> Node | None:
        body: Body = node.attrs[0]
        if body in done:
            return None
        made = body.derived.get("rewritten")
        if made is None:
            made = body.derived["rewritten"] = Body(body.parameters, run(body.outputs))
        steps = node.attrs[4]
        inputs, made = _apart(node.inputs, made) if steps >= LEAST_STEPS else (node.inputs, made)
        done.add(made)
        return make_node(node.op, inputs, (made, *node.attrs[1:]))

    return rewrite(roots, {"loop": (rule,), "branch": (apart,), "while_loop": (apart,)})


def _cuts(node: Node) -> list[int]:
    """Where the outputs of each branch begin, or those of a loop's condition and step; and the
    end."""
    count = len(node.attrs[0].outputs)
    if node.op.name == "while_loop":
        return [0, 1, count]
    branches = node.attrs[1]
    return [b * count // branches for b in range(branches + 1)]


def _apart(inputs: tuple[Node, ...], body: Body) -> tuple[tuple[Node, ...], Body]:
    """The inputs and the body with room after the rows of crowded matrices."""
    crowded: set[int] = set()
    for node in postorder(body.outputs):
        if node.op.kind == "matmul" and node.inputs[1].op is PARAMETER:
            w = node.inputs[1]
            if len(w.shape) == 2 and w.shape[1] * w.dtype.itemsize % CROWDED == 0:
                crowded.add(id(w))
    if not crowded:
        return inputs, body
    new_inputs, parameters, env = [], [], {}
    for p, x in zip(body.parameters, inputs):
        q = p
        if id(p) in crowded and x.shape == p.shape:
            x = mv.pad(x, ((0, 0), (0, ALIGNMENT // x.dtype.itemsize)))
            q = parameter(p.attrs[0], p.attrs[1], x.type)
        parameters.append(q)
        new_inputs.append(x)
        env[id(p)] = q if q is p else mv.slice_(q, tuple((0, n, 1) for n in p.shape))
    return tuple(new_inputs), Body(parameters, substitute(body.outputs, env))

"""Branches: one of several graphs is run, chosen by values.

The graphs of all branches are one body, whose outputs are those of the first branch, then those of
the second, and so on; each branch is compiled and run apart. The choice comes as bools, one for
each branch but the last: the first that holds is taken, else the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..graph.node import Node
from ..graph.node import make as make_node
from ..graph.types import Type
from . import elementwise as ew
from . import interpret
from . import movement as mv
from .base import register
from .body import Body, for_all_steps, pull_back, substitute, trace
from .bundle import Bundle, cotangents_of, flat_type, parts_of, zeros
from .scalar_numpy import to_held, to_stored


class Branch(Bundle):
    """y_1, ... = the outputs of branch b of the body on the operands, b being the first for which
    flags[b] holds, else the last; flags: bool (branches - 1,).

    Gradient: a branch by the same flags, of which each has the gradient of its own.
    """

    name = "branch"
    kind = "branch"
    params = ("body", "branches")

    def parts(self, attrs: tuple) -> list[Type]:
        body, branches = attrs
        return [y.type for y in body.outputs[: len(body.outputs) // branches]]

    def infer(self, types: list[Type], attrs: tuple) -> Type:
        body, branches = attrs
        self.check(body, types[1:])
        if types[0] != Type((branches - 1,), dtypes.bool_):
            raise RuntimeError(f"[branch] takes {branches - 1} bools to choose by; got {types[0]}")
        parts = self.parts(attrs)
        for b in range(branches):
            own = [y.type for y in _outputs(attrs, b)]
            if own != parts:
                raise RuntimeError(
                    f"[branch] branches must agree; got {parts} from the first, {own} from branch "
                    f"{b}"
                )
        return flat_type(parts)

    def gradient(self, node: Node, g: Node) -> tuple[Node | None, ...]:
        body, branches = node.attrs
        flags, *operands = node.inputs
        wanted = tuple(
            i for i, x in enumerate(operands) if x.requires_grad and x.dtype.is_floating_point
        )
        seeds = [s for s in cotangents_of(g, self.parts(node.attrs)) if s is not None]
        key = f"gradient {branches} {wanted}"
        found = body.derived.get(key)
        if found is None:
            types = [*[x.type for x in operands], *[s.type for s in seeds]]
            found = body.derived[key] = trace(
                lambda parameters: _backward(node.attrs, wanted, parameters), types
            )
        backward, numbers = found
        made = branch(flags, backward, branches, [*operands, *seeds, *numbers])
        result: list[Node | None] = [None] * len(node.inputs)
        for i, y in zip(wanted, made, strict=True):
            result[1 + i] = y
        return tuple(result)

    def batch(
        self, inputs: Sequence[Node], batched: Sequence[bool], attrs: tuple, size: int
    ) -> Node:
        """One branch for all examples where they share the flags; else all branches, of which each
        example takes one."""
        body, branches = attrs
        if not batched[0]:
            flags, *given = inputs
            made, count = _batched(attrs, given, batched[1:], size), branches
        else:
            flags, given = _no_flags(), list(inputs)
            made, count = _selecting(attrs, given, batched, size), 1
        body, numbers = made
        return make_node(self, (flags, *given, *numbers), (body, count))

    def reference(
        self, arrays: list[np.ndarray], types: list[Type], attrs: tuple, out: Type
    ) -> Any:
        chosen = next((b for b, flag in enumerate(arrays[0]) if flag), attrs[1] - 1)
        outputs = _outputs(attrs, chosen)
        given = {id(p): to_stored(x, p.dtype) for p, x in zip(attrs[0].parameters, arrays[1:])}
        values = interpret.evaluate(outputs, given)
        return [to_held(x, y.dtype) for x, y in zip(values, outputs)]


BRANCH = register(Branch())


def branch(flags: Node, body: Body, branches: int, operands: Sequence[Node]) -> list[Node]:
    """The results of the branch that `flags` choose."""
    return parts_of(make_node(BRANCH, (flags, *operands), (body, branches)))


def _outputs(attrs: tuple, b: int) -> tuple[Node, ...]:
    """The outputs of branch `b`."""
    body, branches = attrs
    n = len(body.outputs) // branches
    return body.outputs[b * n : (b + 1) * n]


def _no_flags() -> Node:
    return mv.expand(ew.constant(False, dtypes.bool_), (0,))


def _backward(attrs: tuple, wanted: Sequence[int], parameters: list[Node]) -> list[Node]:
    """The gradients of all branches for the operands `wanted`; parameters are the operands, then
    the cotangents of the results."""
    body, branches = attrs
    own = body.parameters
    seeds = parameters[len(own) :]
    results: list[Node] = []
    for b in range(branches):
        floats = [y for y in _outputs(attrs, b) if y.dtype.is_floating_point]
        found = pull_back(floats, seeds, [own[i] for i in wanted])
        env = {id(p): q for p, q in zip(own, parameters)}
        env.update({id(p): p for p in parameters})
        for i, g in zip(wanted, found):
            results.append(zeros(own[i].type) if g is None else substitute([g], env)[0])
    return results


def _batched(
    attrs: tuple, given: Sequence[Node], batched: Sequence[bool], size: int
) -> tuple[Body, list[Node]]:
    """The body for a batch, where operands may be batched, and all results are."""
    body = attrs[0]

    def step(parameters: list[Node]) -> list[Node]:
        return all_batched(body, body.outputs, parameters, batched, size)

    return trace(step, [x.type for x in given])


def _selecting(
    attrs: tuple, given: Sequence[Node], batched: Sequence[bool], size: int
) -> tuple[Body, list[Node]]:
    """A single branch that computes those of `attrs`, and takes of each what an example's flags,
    the first of its operands, say."""
    body, branches = attrs

    def step(parameters: list[Node]) -> list[Node]:
        flags, *operands = parameters
        made = all_batched(body, body.outputs, operands, batched[1:], size)
        n = len(made) // branches
        results = made[(branches - 1) * n :]
        for b in reversed(range(branches - 1)):
            flag = mv.slice_(flags, ((0, size, 1), (b, 1, 1)))
            results = [choose(flag, y, z) for y, z in zip(made[b * n : (b + 1) * n], results)]
        return results

    return trace(step, [x.type for x in given])


def choose(flags: Node, a: Node, b: Node) -> Node:
    """a where an example's flag holds, else b; a, b: (N, ...), flags: N bools."""
    rank = len(a.shape)
    flags = mv.reshape(flags, (a.shape[0], *(1,) * (rank - 1)))
    return ew.where(mv.expand(flags, a.shape), a, b)


def all_batched(
    body: Body,
    outputs: Sequence[Node],
    parameters: Sequence[Node],
    batched: Sequence[bool],
    size: int,
) -> list[Node]:
    """`outputs` of a body over `parameters`, of which some are batched; the results are all."""
    env = {id(p): q for p, q in zip(body.parameters, parameters)}
    marked = {id(p) for p, is_batched in zip(body.parameters, batched) if is_batched}
    made = for_all_steps(outputs, env, marked, size)
    return [y if id(z) in marked else mv.expand(y, (size, *y.shape)) for z, y in zip(outputs, made)]

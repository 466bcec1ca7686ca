"""torch.utils.checkpoint: values of a block are thrown away, and computed again for its gradients.

A block is recorded to see which leaves and arguments its outputs depend on, its outputs are
computed, and all else is let go. When their gradients arrive the block is recorded again, from its
arguments, and its own gradients are computed at once, so no two blocks' values are there together.
Both need values in the midst of a step: within `twofold.compile`, the step runs dynamically.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes, engine
from ..autograd.reverse import Link, cotangents
from ..autograd_api import enable_grad, leaf_mark
from ..functions.random import default_generator
from ..graph.node import Node, leaf, recorder
from ..graph.types import Type
from ..ops import elementwise as ew
from ..ops.custom import identity
from ..tensor import Tensor, wrap


class CheckpointError(RuntimeError):
    """A block did something else when it was run again."""


def noop_context_fn() -> tuple[Any, Any]:
    """Contexts for both runs of a block that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


class _Hole:
    """Where a tensor was in a result."""


_HOLE = _Hole()


def _mapped(value: Any, change: Callable[[Any], Any], kind: type = Tensor) -> Any:
    """`value` with the tensors in it, or what else is of `kind`, changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return {k: _mapped(v, change, kind) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [_mapped(v, change, kind) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _nodes_in(value: Any) -> list[Node]:
    """The nodes of the tensors in `value`."""
    found: list[Node] = []
    _mapped(value, lambda x: found.append(x._node()))
    return found


def _sources(outputs: Sequence[Node], since: int) -> list[Node]:
    """What was there before serial `since` and has a gradient through `outputs`."""
    found: dict[int, Node] = {}
    seen: set[int] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not node.structure.requires_grad:
            continue
        seen.add(id(node))
        if node.serial <= since:
            found[id(node)] = node
            continue
        waiting.extend(node.target.inputs if node.target.__class__ is Link else node.inputs)
    return list(found.values())


class _Block:
    """A block that can be run again: its function, its arguments, and the state it began with."""

    def __init__(
        self, function: Callable[..., Any], args: Any, kwargs: Any, context: Any, keep_random: bool
    ) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.context = context
        self.autocast = recorder.autocast
        self.random = (default_generator.key, default_generator.offset) if keep_random else None

    def run_again(self, linked: bool) -> tuple[list[Node], dict[int, Node]]:
        """The outputs' nodes, computed from arguments that begin gradients anew (or, `linked`, pass
        them on), and those arguments by the nodes they stand for."""
        begun: dict[int, Node] = {}

        def begin(x: Tensor) -> Tensor:
            node = x._node()
            if not node.structure.requires_grad:
                return x
            if id(node) not in begun:
                begun[id(node)] = identity(node) if linked else ew.variable(ew.detach(node))
            return wrap(begun[id(node)])

        random = (default_generator.key, default_generator.offset)
        autocast = recorder.autocast
        recorder.autocast = self.autocast
        if self.random is not None:
            default_generator.key, default_generator.offset = self.random
        try:
            with enable_grad(), self.context:
                args, kwargs = _mapped(self.args, begin), _mapped(self.kwargs, begin)
                outputs = _nodes_in(self.function(*args, **kwargs))
        finally:
            recorder.autocast = autocast
            if self.random is not None:
                default_generator.key, default_generator.offset = random
        return outputs, begun


def _gradients(
    block: _Block, types: Sequence[Type], sources: Sequence[Node], arrived: dict[int, Node]
) -> list[Node | None]:
    """The cotangents of what a block depends on, from those of its outputs."""
    create = recorder.grad_enabled
    outputs, begun = block.run_again(create)
    again = [node.structure.type for node in outputs]
    if again != list(types):
        raise CheckpointError(
            f"[checkpoint] a block must do the same when it is run again; got outputs {again} for "
            f"{list(types)}"
        )
    stand_ins = [begun.get(id(x), x) for x in sources]
    marks = [leaf_mark(x) for x in stand_ins]
    places = sorted(arrived)
    seeds = [ew.cast(arrived[i], outputs[i].dtype) for i in places]
    wanted = {id(x) for x in stand_ins}
    found: dict[int, Node] = {}
    for node, g in cotangents([outputs[i] for i in places], seeds, wanted, release=False):
        found[leaf_mark(node)] = g
    partials = [found.get(mark) for mark in marks]
    if not create:
        engine.realize([g for g in partials if g is not None])
    return partials


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), whose values between its arguments and its outputs are not kept:
    they are computed again, with the same random numbers, when gradients of the outputs arrive.

    There is one way to do this, whatever `use_reentrant` says. CheckpointError if the outputs of
    the second run have other shapes or dtypes.

    >>> import twofold as tf
    >>> x = tf.ones(2, requires_grad=True)
    >>> checkpoint(lambda x: (x * 3).exp().log(), x).sum().backward()
    >>> x.grad
    tensor([3., 3.])
    """
    first, second = context_fn()
    if not recorder.grad_enabled or recorder.tracing is not None:
        with first:
            return function(*args, **kwargs)
    block = _Block(function, args, kwargs, second, preserve_rng_state)
    given, since = _nodes_in((args, kwargs)), recorder.serial
    with first:
        result = function(*args, **kwargs)
    outputs = _nodes_in(result)
    sources = _sources(outputs, since)
    if not sources:
        return result
    types = [node.structure.type for node in outputs]
    graded = [node.structure.requires_grad for node in outputs]
    values = [ew.detach(node) if needed else node for node, needed in zip(outputs, graded)]
    form = _mapped(result, lambda x: _HOLE)
    del outputs, result  # with the graph of the block, or its values would be kept
    engine.realize([*given, *values])
    tensors = iter(_linked(values, graded, lambda got: _gradients(block, types, sources, got),
                           sources))  # fmt: skip
    return _mapped(form, lambda hole: next(tensors), _Hole)


def _linked(
    values: Sequence[Node], graded: Sequence[bool],
    gradients: Callable[[dict[int, Node]], list[Node | None]], sources: Sequence[Node],
) -> list[Tensor]:  # fmt: skip
    """Tensors of values whose gradients meet in one hub, which computes those of the sources."""
    arrived: dict[int, Node] = {}

    def call(token: Node) -> list[Node | None]:
        got = dict(arrived)
        arrived.clear()
        return gradients(got)

    hub = leaf(0.0, Type((), dtypes.float32), requires_grad=True, scalar=True)
    hub.target = Link(sources, call)
    tensors = []
    for i, (node, needed) in enumerate(zip(values, graded)):
        if needed:

            def arrive(g: Node, i: int = i) -> list[Node]:
                arrived[i] = g
                return [ew.constant(1, dtypes.float32)]

            node = ew.variable(node)
            node.target = Link([hub], arrive)
        tensors.append(wrap(node))
    return tensors


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """The functions (or a `Sequential`'s modules) one after the other on `input`, in `segments`
    blocks of which all but the last are checkpoints."""
    if hasattr(functions, "children"):
        functions = functions.children()
    todo = list(functions)
    size = len(todo) // segments
    for k in range(segments):
        part = todo[k * size : (k + 1) * size if k < segments - 1 else len(todo)]
        if k < segments - 1:
            input = checkpoint(_one_after_the_other, part, input, **kwargs)
        else:
            input = _one_after_the_other(part, input)
    return input


def _one_after_the_other(functions: Sequence[Callable[..., Any]], x: Any) -> Any:
    for f in functions:
        x = f(x)
    return x

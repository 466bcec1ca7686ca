"""`autograd.Function`s under vmap: by their own rule for batches, or example by example."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..custom_function import Function, FunctionCall, FunctionContext, on_batch, run_forward
from ..functions.random import positions
from ..graph.node import Node, postorder
from ..ops import movement as mv
from ..tensor import Tensor, wrap
from .tracing import Trace, dependents

Whole = dict[int, Node]
"""What stands on the batch for a node of one example, the examples along axis 0."""


class VmapInfo(NamedTuple):
    """What a function's `vmap` is told of the batch: its size, and vmap's `randomness`."""

    batch_size: int
    randomness: str


@contextmanager
def own_rules(
    trace: Trace, whole: Whole, size: int, randomness: str, since: int,
    build: Callable[[Node], Node],
) -> Iterator[None]:  # fmt: skip
    """While it is open, functions that have a rule for batches are called by it: what they give to
    the function being traced are further placeholders."""

    alive: list[Node] = []  # what `whole` knows by its id must not be followed by another there

    def call(function: type[Function], args: tuple[Any, ...]) -> Any:
        known = {id(p): p for p in trace.placeholders}
        nodes = [a._node() for a in args if isinstance(a, Tensor)]
        needed = dependents(nodes, known)
        if not needed and not any(id(n) in known for n in nodes):
            return None
        drawn = (n for n in postorder(nodes, pending_only=True) if n.serial > since)
        if randomness != "same" and any(n in positions for n in drawn):
            raise RuntimeError(
                f"[vmap] {function.__name__} has a rule for batches of its own, and is given "
                'numbers drawn at random within vmap; try randomness="same"'
            )
        alive.extend(needed)
        for node in needed:
            if id(node) not in whole:
                whole[id(node)] = build(node)
        results, one = _by_own_rule(function, args, whole, size, randomness)
        stand_ins = []
        for result, dim in results:
            if dim is None:
                stand_ins.append(result)
                continue
            node = _first(result, dim, size)
            stand_ins.append(trace.stand_in(node, node.shape[1:]))
            whole[id(trace.placeholders[-1])] = node
        return stand_ins[0] if one else tuple(stand_ins)

    on_batch.append(call)
    try:
        yield
    finally:
        on_batch.remove(call)


@contextmanager
def _outside() -> Iterator[None]:
    """Functions are called as they are outside of the innermost vmap."""
    inner = on_batch.pop()
    try:
        yield
    finally:
        on_batch.append(inner)


def _on_batch(args: Sequence[Any], whole: Whole) -> tuple[list[Any], tuple[int | None, ...]]:
    """The arguments of a call on the batch, and the axes of the examples."""
    values: list[Any] = []
    dims: list[int | None] = []
    for a in args:
        node = whole.get(id(a._node())) if isinstance(a, Tensor) else None
        values.append(a if node is None else wrap(node))
        dims.append(None if node is None else 0)
    return values, tuple(dims)


def _first(x: Tensor, dim: int | None, size: int) -> Node:
    """x with its examples along axis 0."""
    if dim is None:
        return mv.expand(mv.reshape(x._node(), (1, *x.shape)), (size, *x.shape))
    return x.movedim(dim, 0)._node()


def _by_own_rule(
    function: type[Function], args: Sequence[Any], whole: Whole, size: int, randomness: str
) -> tuple[list[tuple[Tensor, int | None]], bool]:
    """The outputs on the batch with their axes, and whether there is one alone."""
    values, dims = _on_batch(args, whole)
    assert function.vmap is not None
    with _outside():
        given = function.vmap(VmapInfo(size, randomness), dims, *values)
    if not isinstance(given, tuple) or len(given) != 2:
        raise RuntimeError(
            f"Expected the vmap staticmethod of {function.__name__} to return (output, out_dims); "
            f"got {type(given).__name__}"
        )
    result, out_dims = given
    if isinstance(result, Tensor):
        return [(result, out_dims)], True
    axes = out_dims if isinstance(out_dims, (tuple, list)) else [out_dims] * len(result)
    return list(zip(result, axes, strict=True)), False


def batch_call(
    made: FunctionCall, whole: Whole, size: int, randomness: str, vmap: Callable[..., Any]
) -> list[Node]:
    """The outputs of a call on the batch, with their gradients."""
    if made.function.vmap is not None:
        results, _ = _by_own_rule(made.function, made.args, whole, size, randomness)
        return [_first(x, d, size) for x, d in results]
    values, dims = _on_batch(made.args, whole)
    with _outside():
        result = _by_examples(made.function, dims, vmap).apply(*values)
    return [x._node() for x in (result if isinstance(result, tuple) else (result,))]


def _by_examples(
    function: type[Function], dims: tuple[int | None, ...], vmap: Callable[..., Any]
) -> type[Function]:
    """The function of a batch whose forward and backward are those of each example."""

    class OnBatch(Function):
        @staticmethod
        def forward(ctx: FunctionContext, *values: Any) -> Any:
            ctx.values = values  # type: ignore[attr-defined]
            return vmap(lambda *one: run_forward(function, FunctionContext(), one), dims)(*values)

        @staticmethod
        def backward(ctx: FunctionContext, *gradients: Any) -> Any:
            values: tuple[Any, ...] = ctx.values  # type: ignore[attr-defined]
            given: list[int] = []

            def one(*args: Any) -> tuple[Any, ...]:
                inner = FunctionContext()
                inner.needs_input_grad = ctx.needs_input_grad
                run_forward(function, inner, args[: len(values)])
                partials = function.backward(inner, *args[len(values) :])
                partials = partials if isinstance(partials, (tuple, list)) else (partials,)
                given[:] = [i for i, p in enumerate(partials) if p is not None]
                return tuple(partials[i] for i in given)

            found = vmap(one, (*dims, *[0] * len(gradients)))(*values, *gradients)
            result: list[Any] = [None] * len(values)
            for i, partial in zip(given, found):
                result[i] = partial.sum(0) if dims[i] is None else partial
            return tuple(result)

    OnBatch.__name__ = function.__name__
    return OnBatch

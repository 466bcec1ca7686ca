"""Differentiable functions with a forward and a backward of the user's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import dtypes
from .autograd.reverse import Link
from .autograd_api import no_grad
from .graph.node import Node, leaf, recorder
from .graph.types import Type
from .ops import elementwise as ew
from .tensor import Tensor, broadcast_to, number, wrap


class FunctionContext:
    """What a function's forward leaves for its backward."""

    def __init__(self) -> None:
        self._saved: tuple[Tensor | None, ...] = ()
        self._not_differentiable: tuple[Tensor, ...] = ()
        self._dirty: tuple[Tensor, ...] = ()
        self._materialize = True
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for backward, as `saved_tensors`."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors that forward saved."""
        return self._saved

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say of outputs that no gradient goes through them."""
        self._not_differentiable = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say of inputs that forward changed them in place and gives them as outputs."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (the default) or None for outputs that had no gradient."""
        self._materialize = value


@dataclass(eq=False)
class FunctionCall:
    """One call of a function: its arguments, and the nodes of its outputs."""

    function: type[Function]
    args: tuple[Any, ...]
    outputs: list[Node]


on_batch: list[Callable[[type[Function], tuple[Any, ...]], Any]] = []
"""While `vmap` traces, what gives the outputs of a function by its own rule for batches; None if
its arguments are of no batch."""


class Function:
    """A differentiable function with a forward and a backward of one's own.

    `forward(ctx, *args)` computes (or `forward(*args)` with `setup_context(ctx, inputs, output)`);
    `backward(ctx, *gradients)` takes a gradient for each output and gives one, or None, for each
    argument.
    What backward computes is recorded too, so second derivatives work. Used as `Name.apply(...)`.

    Under `func.vmap`, forward and backward are done for each example, unless there is a static
    `vmap(info, in_dims, *args)`, which computes a whole batch: it gets the arguments, the axes of
    the examples in each (None: the same for all), and gives the outputs and their axes.

    >>> import twofold as tf
    >>> class Double(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = tf.ones(2, requires_grad=True)
    >>> Double.apply(x).sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    setup_context: Callable[..., Any] | None = None
    vmap: Callable[..., Any] | None = None
    generate_vmap_rule = False

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """forward's results, which know the way back."""
        ctx = FunctionContext()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        # Before forward runs: it may write to its arguments.
        before = [a._node() if isinstance(a, Tensor) else None for a in args]
        result = None
        if on_batch and cls.vmap is not None:
            with no_grad():
                result = on_batch[-1](cls, args)
                if result is not None and cls.setup_context is not None:
                    cls.setup_context(ctx, args, result)
        if result is None:
            result = run_forward(cls, ctx, args)
        if not recorder.grad_enabled or True not in ctx.needs_input_grad:
            return result
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        linked = _link(cls, ctx, before, outputs, args)
        return tuple(linked) if isinstance(result, (tuple, list)) else linked[0]


def run_forward(function: type[Function], ctx: FunctionContext, args: tuple[Any, ...]) -> Any:
    """What forward gives, in either of its forms; no gradients are recorded."""
    with no_grad():
        if function.setup_context is None:
            return function.forward(ctx, *args)
        result = function.forward(*args)
        function.setup_context(ctx, args, result)
    return result


def _link(
    cls: type[Function],
    ctx: FunctionContext,
    before: list[Node | None],
    outputs: list[Any],
    args: Any,
) -> list[Any]:
    """The outputs as tensors whose gradients meet in one hub, which calls backward once."""
    places = [i for i, needed in enumerate(ctx.needs_input_grad) if needed]
    arrived: dict[int, Node] = {}
    results: list[Any] = []
    differentiable: list[Any] = []

    def call(token: Node) -> list[Node | None]:
        gradients = []
        for i, output in enumerate(differentiable):
            g = arrived.get(i)
            if g is None and output is not None and ctx._materialize:
                g = broadcast_to(number(0, output.dtype), output.shape)
            gradients.append(None if g is None else wrap(g))
        arrived.clear()
        partials = cls.backward(ctx, *gradients)
        partials = list(partials) if isinstance(partials, (tuple, list)) else [partials]
        if len(partials) > len(before) and all(p is None for p in partials[len(before) :]):
            partials = partials[: len(before)]
        if len(partials) != len(before):
            raise RuntimeError(
                f"function {cls.__name__}Backward returned an incorrect number of gradients "
                "(expected "
                f"{len(before)}, got {len(partials)})"
            )
        return [_checked_partial(cls, partials[i], before[i], i) for i in places]

    made = FunctionCall(cls, args, [])
    hub = leaf(0.0, Type((), dtypes.float32), requires_grad=True, scalar=True)
    hub.target = Link([before[i] for i in places], call, made)  # type: ignore[misc]
    skip = {id(x) for x in ctx._not_differentiable}
    dirty = {id(x) for x in ctx._dirty}
    for i, output in enumerate(outputs):
        plain = not isinstance(output, Tensor) or not output.dtype.is_inexact
        if plain or id(output) in skip:
            results.append(output)
            differentiable.append(output._node() if isinstance(output, Tensor) else None)
            continue

        def arrive(g: Node, i: int = i) -> list[Node | None]:
            arrived[i] = g if i not in arrived else ew.add(arrived[i], g)
            return [ew.constant(0, dtypes.float32)]

        node = output._node()
        differentiable.append(node)
        linked = ew.variable(node)
        linked.target = Link([hub], arrive, made)
        if id(output) in dirty:
            output._storage.write(linked)
            results.append(output)
        else:
            results.append(wrap(linked))
    made.outputs.extend(x._node() for x in results if isinstance(x, Tensor))
    return results


def _checked_partial(cls: type[Function], partial: Any, before: Node | None, i: int) -> Node | None:
    if partial is None or before is None:
        return None
    node = partial._node()
    if node.structure.shape != before.shape:
        raise RuntimeError(
            f"Function {cls.__name__}Backward returned an invalid gradient at index {i} - got "
            f"{list(node.shape)} but expected shape compatible with {list(before.shape)}"
        )
    return ew.cast(node, before.dtype)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function's backward as one that cannot be differentiated."""

    @functools.wraps(backward)
    def apply(ctx: FunctionContext, *gradients: Any) -> Any:
        with no_grad():
            return backward(ctx, *gradients)

    return apply

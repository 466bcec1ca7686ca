"""Branches and loops that depend on values, as parts of the graph: both ways are compiled, and one
program serves them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes
from ..graph.node import Node
from ..graph.types import Type
from ..ops import branch as br
from ..ops import elementwise as ew
from ..ops import movement as mv
from ..ops import while_loop as wh
from ..ops.body import trace
from ..tensor import Tensor, wrap
from ._registry import function
from .control import flat, formed, scan
from .random import in_loop, no_random


def _operands(op: str, operands: Sequence[Any]) -> tuple[Any, list[Tensor]]:
    """The form of the operands, and their tensors. A single tuple or list of them is what PyTorch
    passes."""
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    found: list[Tensor] = []
    return flat(tuple(operands), found, op), found


def _branch(
    op: str, flags: Node, functions: Sequence[Callable[..., Any]], operands: Sequence[Any]
) -> Any:
    """The results of the function that `flags` choose."""
    form, tensors = _operands(op, operands)
    forms: list[Any] = []
    counts: list[list[Type]] = []

    def body(parameters: list[Node]) -> list[Node]:
        outputs: list[Node] = []
        for f in functions:
            result = f(*formed(form, [wrap(p) for p in parameters]))
            found: list[Tensor] = []
            forms.append(flat(result, found, op))
            own = [x._node() for x in found]
            counts.append([y.type for y in own])
            outputs += own
        for k in range(1, len(functions)):
            if forms[k] != forms[0] or counts[k] != counts[0]:
                a, b = _name(functions[0]), _name(functions[k])
                raise RuntimeError(
                    f"[{op}] branches must return the same kinds of values; got {counts[0]} from "
                    f"{a} and {counts[k]} from {b}; try .to(), expand() or reshape() in one of them"
                )
        return outputs

    nodes = [x._node() for x in tensors]
    traced, constants = trace(body, [x.type for x in nodes], whole=True)
    found = br.branch(flags, traced, len(functions), [*nodes, *constants])
    return formed(forms[0], [wrap(y) for y in found])


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__qualname__", repr(f))


def one(op: str, value: Any, dtype: dtypes.DType) -> Node:
    """The only element of a tensor, as a node without axes."""
    if not isinstance(value, Tensor) or value.numel() != 1:
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise RuntimeError(f"[{op}] takes one value to decide by; got {what}; try .any() or .all()")
    return ew.cast(mv.reshape(value._node(), ()), dtype)


@function()
def cond(
    pred: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    *inputs: Any,
    operands: Any = (),
) -> Any:
    """true_fn(*inputs) if pred else false_fn(*inputs), decided as the graph runs.

    Both functions are called once, to be recorded, and must return tensors of the same shapes and
    dtypes, in tuples, lists and dicts of the same form. They may read other tensors, through which
    gradients flow, too, but not write to them. One of them is run. A single tuple of inputs is
    taken apart, or given as `operands`, as in `torch.cond`; a Python bool decides at once.

    Errors: RuntimeError where the results differ in kind, or `pred` has not one element.

    >>> import twofold as tf
    >>> x = tf.tensor([3.0, -1.0], requires_grad=True)
    >>> y = cond(x.sum() > 0, lambda x: x * 2, lambda x: x.exp(), x)
    >>> y.sum().backward()
    >>> y, x.grad
    (tensor([ 6., -2.], grad_fn=<PartBackward0>), tensor([2., 2.]))
    """
    operands = inputs or (operands,)
    if isinstance(pred, bool):
        form, tensors = _operands("cond", operands)
        return (true_fn if pred else false_fn)(*formed(form, tensors))
    flags = mv.reshape(one("cond", pred, dtypes.bool_), (1,))
    return _branch("cond", flags, (true_fn, false_fn), operands)


@function()
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """branches[index](*operands), chosen as the graph runs; an index below 0 takes the first
    branch, one past the last takes the last. Otherwise as `cond`.

    >>> import twofold as tf
    >>> branches = [lambda x: x, lambda x: x * x, lambda x: -x]
    >>> [float(switch(tf.tensor(i), branches, tf.tensor(3.0))) for i in (0, 1, 7)]
    [3.0, 9.0, -3.0]
    """
    if not branches:
        raise RuntimeError("[switch] takes at least one branch; got none")
    if isinstance(index, int):
        form, tensors = _operands("switch", operands)
        return branches[min(max(index, 0), len(branches) - 1)](*formed(form, tensors))
    n = len(branches) - 1
    at = mv.expand(one("switch", index, dtypes.int64), (n,))
    return _branch("switch", ew.le(at, mv.iota(n)), branches, operands)


@function()
def while_loop(
    cond_fn: Callable[..., Any],
    body_fn: Callable[..., Any],
    loop_vars: Any,
    maximum: int | None = None,
) -> Any:
    """v after `while cond_fn(*v): v = body_fn(*v)`, from v = loop_vars, run as one loop of machine
    code whose length depends on values; at most `maximum` rounds, where that is given.

    `loop_vars` are tensors, or tuples, lists and dicts of them, and keep their shapes and dtypes.
    Both functions are called once, to be recorded; they may read other tensors, but not write to
    them. Gradients of any order flow through the values carried and the tensors read. With a
    `maximum` they keep the values of each round in arrays of so many rows; without, each round's
    are computed again, which takes time that grows with the square of the number of rounds.

    Errors: RuntimeError where a value changes its shape or dtype, or random numbers are drawn
    without a `maximum`.

    >>> import twofold as tf
    >>> x = tf.tensor(2.0, requires_grad=True)
    >>> i, y = while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * y), (tf.tensor(0), x), 10)
    >>> y.backward()
    >>> int(i), float(y.detach()), float(x.grad)
    (3, 256.0, 1024.0)
    """
    if maximum is not None and maximum < 0:
        raise ValueError(f"[while_loop] maximum must be at least 0; got {maximum}")
    start: list[Tensor] = []
    single = not isinstance(loop_vars, (tuple, list))
    given = (loop_vars,) if single else tuple(loop_vars)
    form = flat(given, start, "while_loop")
    carried = [x._node() for x in start]
    counts = [] if maximum is None else [ew.constant(0, dtypes.int64)]

    def body(parameters: list[Node]) -> list[Node]:
        values, count = parameters[: len(carried)], parameters[len(carried) :]
        with no_random("while_loop"):
            go = cond_fn(*formed(form, [wrap(p) for p in values]))
        if isinstance(go, bool):
            go = wrap(ew.constant(go, dtypes.bool_))
        drawing = in_loop(maximum, count[0]) if maximum else no_random("while_loop")
        with drawing:
            result = body_fn(*formed(form, [wrap(p) for p in values]))
        if single and not isinstance(result, (tuple, list)):
            result = (result,)
        after: list[Tensor] = []
        result = tuple(result) if isinstance(result, list) else result
        if flat(result, after, "while_loop") != form:
            raise RuntimeError(
                f"[while_loop] {_name(body_fn)} must return values of the form of loop_vars; got "
                f"{len(after)} tensors in {type(result).__name__} for {len(carried)}"
            )
        for i, (x, old) in enumerate(zip(after, carried)):
            if x._node().type != old.type:
                raise RuntimeError(
                    f"[while_loop] value {i} must keep its type; got {x._node().type!r} from "
                    f"{_name(body_fn)} for {old.type!r}; try .to() or expand() on loop_vars"
                )
        counted = [ew.add(c, ew.constant(1, dtypes.int64)) for c in count]
        return [one("while_loop", go, dtypes.bool_), *[x._node() for x in after], *counted]

    types = [x.type for x in (*carried, *counts)]
    traced, constants = trace(body, types, whole=True)
    found = wh.while_loop(traced, [*carried, *counts], constants, maximum)
    values = formed(form, [wrap(y) for y in found[: len(carried)]])
    return values[0] if single else values


@function()
def foldl(fn: Callable[[Any, Any], Any], init: Any, xs: Any, *, dim: int = 0) -> Any:
    """c after `for x in xs: c = fn(c, x)`, from c = init, with x a slice of xs along `dim`: the
    carry of a `scan`.

    >>> import twofold as tf
    >>> foldl(lambda c, x: c * 10 + x, tf.tensor(0.0), tf.tensor([1.0, 2.0, 3.0]))
    tensor(123.)
    """
    return scan(lambda c, x: (fn(c, x), None), init, xs, dim=dim)[0]

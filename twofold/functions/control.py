"""Loops over tensors: one kernel loop for all steps, whatever their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..graph.node import Node
from ..ops import control
from ..ops import movement as mv
from ..ops.body import trace
from ..tensor import Tensor, wrap, wrap_dim
from ._registry import function
from .random import in_loop


def flat(value: Any, found: list[Tensor], op: str = "scan") -> Any:
    """The form of `value`, whose tensors are appended to `found`."""
    if isinstance(value, Tensor):
        found.append(value)
        return Tensor
    if isinstance(value, (tuple, list)):
        return (type(value), [flat(v, found, op) for v in value])
    if isinstance(value, dict):
        return (dict, {k: flat(v, found, op) for k, v in value.items()})
    if value is None:
        return None
    raise TypeError(
        f"[{op}] values are tensors, None, and tuples, lists and dicts of them; got "
        f"{type(value).__name__}; try twofold.tensor(...)"
    )


def formed(form: Any, tensors: list[Any]) -> Any:
    """A value of `form`, with tensors from the front of `tensors`."""
    if form is Tensor:
        return tensors.pop(0)
    if form is None:
        return None
    kind, parts = form
    if kind is dict:
        return {k: formed(f, tensors) for k, f in parts.items()}
    made = [formed(f, tensors) for f in parts]
    return kind(*made) if hasattr(kind, "_fields") else kind(made)


@function()
def scan(
    combine_fn: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    *,
    dim: int = 0,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """(carry, ys) of carry, y[t] = combine_fn(carry, x[t]) for each t along `dim` of xs, from carry
    = init; with `reverse`, from the last t to the first.

    `init` and `xs` are tensors or tuples, lists and dicts of them. `combine_fn` is called once, to
    be recorded; it may read other tensors, through which gradients flow, too, but not write to
    them. Each step draws random numbers of its own. ys are stacked along a new first axis. All
    steps run as one loop of machine code, of any length; what does not depend on the carry is
    computed for all steps at once. Carries and ys must have one dtype.

    Errors: RuntimeError where a carry changes its shape or dtype, xs differ in length, or
    combine_fn writes to a tensor from outside of it.

    >>> import twofold as tf
    >>> carry, ys = tf.scan(lambda c, x: (c + x, c * x), tf.zeros(()), tf.tensor([1.0, 2.0, 3.0]))
    >>> carry, ys
    (tensor(6.), tensor([0., 2., 9.]))
    """
    start: list[Tensor] = []
    along: list[Tensor] = []
    carry_form, x_form = flat(init, start), flat(xs, along)
    if not along:
        raise RuntimeError("[scan] xs has no tensor, so the number of steps is not known")
    sequences = []
    for x in along:
        node = x._node()
        if not node.shape:
            raise RuntimeError("[scan] xs must have an axis of steps; got a tensor without axes")
        axis = wrap_dim(dim, len(node.shape))
        sequences.append(
            mv.permute(node, (axis, *(a for a in range(len(node.shape)) if a != axis)))
        )
    steps = {x.shape[0] for x in sequences}
    if len(steps) != 1:
        raise RuntimeError(f"[scan] xs must be of one length along dim {dim}; got {sorted(steps)}")
    (length,) = steps
    sequences.insert(0, mv.iota(length))  # the step's number, which random numbers depend on
    carried = [c._node() for c in start]
    forms: list[Any] = []

    def body(parameters: list[Node]) -> list[Node]:
        given = [wrap(p) for p in parameters]
        step = given.pop(len(carried))._node()
        with in_loop(length, step):
            result = combine_fn(formed(carry_form, given), formed(x_form, given))
        if not isinstance(result, tuple) or len(result) != 2:
            got = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
            raise TypeError(f"[scan] combine_fn must return (carry, y); got {got}")
        after: list[Tensor] = []
        outputs: list[Tensor] = []
        forms.extend((flat(result[0], after), flat(result[1], outputs)))
        if forms[0] != carry_form:
            raise RuntimeError(
                "[scan] combine_fn must return a carry of the form of init; got "
                f"{len(after)} tensors in {type(result[0]).__name__} for {len(carried)}"
            )
        return [x._node() for x in (*after, *outputs)]

    types = [*[c.type for c in carried], *[s.type.with_shape(s.shape[1:]) for s in sequences]]
    traced, constants = trace(body, types)
    found = control.loop(traced, carried, sequences, constants, length, reverse)
    n = len(carried)
    last = [control.row(r, 0 if reverse else length) for r in found[:n]]
    return (
        formed(carry_form, [wrap(x) for x in last]),
        formed(forms[1], [wrap(y) for y in found[n:]]),
    )

"""`theano.scan`, as one loop over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...creation import arange, as_tensor
from ...functions import functions as tf
from ...graph.types import Type
from ...static.body import Body
from ...static.symbol import Symbol, replace
from ...tensor import Tensor
from .variable import InputVariable, Variable, float_type


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def scan(
    fn: Callable[..., Any], sequences: Any = None, outputs_info: Any = None,
    non_sequences: Any = None, n_steps: Any = None, truncate_gradient: int = -1,
    go_backwards: bool = False, mode: Any = None, name: str | None = None, profile: bool = False,
    allow_gc: Any = None, strict: bool = False, return_list: bool = False,
) -> tuple[Any, dict[Any, Any]]:  # fmt: skip
    """The results of `fn` at each step, stacked, and an empty dict of updates.

    `fn` is given the sequences' items, the last values of outputs that have an initial value, and
    `non_sequences`. NotImplementedError for taps other than the usual ones, for a truncated
    gradient, and for updates of variables by `fn`. There is no condition to end (`until`).
    """
    rows = [_plain(s, "input", (0, None)) for s in _listed(sequences)]
    initial = [_start(_plain(o, "initial", (-1, None))) for o in _listed(outputs_info)]
    if truncate_gradient != -1:
        raise NotImplementedError("[scan] a truncated gradient is not supported")
    items = [_item(s) for s in rows]
    carried = [_like(o) for o in initial if o is not None]
    others = _listed(non_sequences)
    form: list[Any] = []

    def step(*inputs: Any) -> list[Any]:
        made = fn(*inputs, *others)
        form.append(made)
        if isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], dict):
            if made[1]:  # what is drawn at random keeps its own place, and gives none
                raise NotImplementedError("[scan] updates of variables are not supported")
            made = made[0]
        return _listed(made)

    body = Body(step, [*items, *carried], "scan")
    results = body.results
    if not initial:
        initial = [None] * len(results)
    if len(initial) != len(results):
        raise ValueError(
            f"[scan] outputs_info must say something of each output; got {len(initial)} for "
            f"{len(results)}"
        )
    start = [o for o in initial if o is not None]
    which = [k for k, o in enumerate(initial) if o is not None]
    made = Variable(_run, (body, body.free, rows, start, which, n_steps, go_backwards))
    outputs = [made[k] for k in range(len(results))]
    alone = len(outputs) == 1 and not return_list and not isinstance(form[0], list)
    return (outputs[0] if alone else outputs), {}


def _plain(value: Any, key: str, usual: tuple[Any, ...]) -> Any:
    """A sequence or initial value given with options, without them."""
    if not isinstance(value, dict):
        return value
    taps = value.get("taps")
    taps = taps[0] if isinstance(taps, (list, tuple)) and len(taps) == 1 else taps
    if taps not in usual:
        raise NotImplementedError(
            f"[scan] taps other than {usual[0]} are not supported; got {taps}"
        )
    return value.get(key)


def _item(sequence: Any) -> InputVariable:
    """An input for the items of a sequence."""
    known = sequence.known
    if known is None:
        raise TypeError(f"[scan] the type of a sequence must be known; got {sequence!r}")
    return InputVariable(known[0][1:], known[1], None)


def _start(value: Any) -> Any:
    """An initial value; Python's numbers count as config.floatX."""
    return as_tensor(value, dtype=float_type()) if isinstance(value, (int, float)) else value


def _like(value: Any) -> InputVariable:
    """An input for what is carried on."""
    if isinstance(value, Symbol):
        if value.known is None:
            raise TypeError(f"[scan] the type of an initial value must be known; got {value!r}")
        return InputVariable(*value.known, None)
    node: Type = as_tensor(value)._node().type
    return InputVariable(node.shape, node.dtype, None)


def _run(
    body: Body, free: Sequence[Any], rows: Sequence[Tensor], start: Sequence[Any],
    which: Sequence[int], n_steps: Any, backwards: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    steps = None if n_steps is None else int(n_steps)
    if rows:
        shortest = min(len(r) for r in rows)
        steps = shortest if steps is None else steps
        if steps > shortest:
            raise ValueError(f"[scan] {steps} steps are asked of sequences of {shortest} items")
    if steps is None:
        raise ValueError("[scan] without sequences the number of steps must be given; try n_steps=")
    xs = [r[:steps] for r in rows] or [arange(steps)]
    if backwards:
        xs = [x.flip(0) for x in xs]
    first = [as_tensor(s) for s in start]

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        items = list(x) if rows else []
        made = [as_tensor(m) for m in body.run([*items, *carry], free)]
        return tuple([made[k].to(c.dtype) for k, c in zip(which, carry)]), tuple(made)

    _, outputs = tf["scan"](step, tuple(first), tuple(xs))
    return replace(outputs, lambda y: y)

"""Branches and loops of TensorFlow 1, as the engine's own: `cond`, `while_loop`, `foldl`, ..."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes
from ..functions import functions as tf
from ..tensor import Tensor as Value
from .body import Body
from .graph import Placeholder, Tensor, add, enter, get_default_graph
from .operations import convert_to_tensor, value_of
from .symbol import leaves, replace


def _symbols(result: Any) -> Any:
    """A function's result with tensors for numbers and arrays."""
    return replace(result, convert_to_tensor)


def _unpacked(made: Tensor, results: Any) -> Any:
    """The parts of a tuple of values, in the form of `results`."""
    counter = iter(range(sum(1 for _ in leaves(results))))
    return replace(results, lambda _: made[next(counter)])


def _values(result: Any) -> tuple[Value, ...]:
    return tuple([value_of(x) for x in leaves(result)])


def cond(
    pred: Any, true_fn: Callable[[], Any] | None = None, false_fn: Callable[[], Any] | None = None,
    strict: bool = False, name: str = "cond", fn1: Any = None, fn2: Any = None,
) -> Any:  # fmt: skip
    """true_fn() if pred else false_fn(), decided by each run; a list of one tensor is that tensor,
    unless `strict`. TypeError for another dtype than bool, and where they give different numbers
    of tensors."""
    if isinstance(pred, bool):
        raise TypeError("pred must not be a Python bool")
    if isinstance(pred, Tensor) and pred.dtype not in (None, dtypes.bool_):
        raise TypeError(f"pred must be a bool tensor; got {pred!r}")
    with get_default_graph().name_scope(name):
        branches = [
            Body(lambda f=f: _symbols(f()), [], "cond") for f in (true_fn or fn1, false_fn or fn2)
        ]
        first, second = (list(leaves(b.results)) for b in branches)
        if len(first) != len(second):
            raise TypeError(
                "true_fn and false_fn must return the same number of tensors; got "
                f"{len(first)} and {len(second)}"
            )
        made = add(
            "Merge", _cond, (pred, branches[0], branches[0].free, branches[1], branches[1].free)
        )
    found = _unpacked(made, branches[0].results)
    return (
        found[0] if not strict and isinstance(found, (list, tuple)) and len(found) == 1 else found
    )


def _cond(pred: Any, true: Body, true_free: Any, false: Body, false_free: Any) -> Any:
    return tf["cond"](
        value_of(pred),
        lambda: _values(true.run([], true_free)),
        lambda: _values(false.run([], false_free)),
    )


def case(
    pred_fn_pairs: Any, default: Callable[[], Any] | None = None, exclusive: bool = False,
    strict: bool = False, name: str = "case",
) -> Any:  # fmt: skip
    """The result of the first function whose condition holds, else of `default`; whether others
    hold is not looked at (`exclusive`). ValueError without a default."""
    pairs = list(pred_fn_pairs.items() if isinstance(pred_fn_pairs, dict) else pred_fn_pairs)
    if default is None:
        raise ValueError("[case] a default must be given")
    if not pairs:
        return default()
    pred, first = pairs[0]
    rest = pairs[1:]
    return cond(pred, first, lambda: case(rest, default, exclusive, strict), strict, name)


def _inputs(values: Sequence[Any], where: str) -> list[Tensor]:
    """Inputs of a body for values like these. TypeError where their types are not known."""
    made = []
    for x in values:
        if x.known is None:
            raise TypeError(f"[{where}] the type of a loop variable must be known; got {x!r}")
        made.append(enter(Placeholder(list(x.known[0]), x.known[1]), "Identity"))
    return made


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10, back_prop: bool = True, swap_memory: bool = False,
    name: str = "while", maximum_iterations: int | None = None, return_same_structure: bool = False,
) -> Any:  # fmt: skip
    """loop_vars after `while cond(*vars): vars = body(*vars)`, whose length each run finds out.
    Values keep their shapes and dtypes."""
    with get_default_graph().name_scope(name):
        start = _symbols(list(loop_vars) if isinstance(loop_vars, (list, tuple)) else [loop_vars])
        flat = list(leaves(start))

        def formed(inputs: Sequence[Any]) -> Any:
            given = iter(inputs)
            return replace(start, lambda _: next(given))

        tests = _inputs(flat, "while_loop")
        test = Body(lambda *v: convert_to_tensor(cond(*formed(v))), tests, "while_loop")
        carried = _inputs(flat, "while_loop")
        step = Body(lambda *v: _symbols(body(*formed(v))), carried, "while_loop")
        count = len(list(leaves(step.results)))
        if count != len(flat):
            raise ValueError(
                f"The number of elements differ. {len(flat)} loop variables, {count} from the body"
            )
        made = add("Exit", _while, (flat, test, test.free, step, step.free, maximum_iterations))
    found = _unpacked(made, start)
    return found[0] if len(found) == 1 and not return_same_structure else found


def _kept(made: Sequence[Value], before: Sequence[Value], where: str) -> tuple[Value, ...]:
    """What is carried on, in the dtypes from before. TypeError where that would cut fractions."""
    for new, old in zip(made, before):
        if new.dtype.is_inexact and not old.dtype.is_inexact:
            raise TypeError(
                f"[{where}] a loop variable must keep its dtype; got {new.dtype.name} for "
                f"{old.dtype.name}; try tf.cast"
            )
    return tuple([new.to(old.dtype) for new, old in zip(made, before)])


def _while(
    start: Any, test: Body, test_free: Any, step: Body, step_free: Any, maximum: int | None
) -> Any:
    first = _values(start)

    def body(*values: Any) -> Any:
        return _kept(_values(step.run(values, step_free)), values, "while_loop")

    return tf["while_loop"](
        lambda *values: value_of(test.run(values, test_free)), body, first, maximum
    )


def _over_rows(
    fn: Callable[..., Any], elems: Any, initializer: Any, name: str, kind: str, reverse: bool
) -> Any:
    """A loop over the rows of `elems`: what `kind` says of the carried value."""
    rows = _symbols(elems)
    with get_default_graph().name_scope(name):
        carried = [] if kind == "map" else list(leaves(_symbols(initializer)))
        inputs = _inputs([*carried, *[r[0] for r in leaves(rows)]], kind)
        given = inputs[len(carried) :]

        def call(*values: Any) -> Any:
            items = iter(values[len(carried) :])
            item = replace(rows, lambda _: next(items))
            if kind == "map":
                return _symbols(fn(item))
            state = values[0] if len(carried) == 1 else list(values[: len(carried)])
            return _symbols(fn(state, item))

        step = Body(call, [*inputs[: len(carried)], *given], kind)
        made = add(
            "TensorArrayStack", _rows, (kind, list(leaves(rows)), carried, step, step.free, reverse)
        )
    return _unpacked(made, step.results)


def _rows(kind: str, rows: Any, carried: Any, step: Body, free: Any, reverse: bool) -> Any:
    def one(carry: Any, x: Any) -> Any:
        made = _values(step.run([*carry, *x], free))
        return _kept(made, carry, kind), (None if kind == "foldl" else made)

    last, outputs = tf["scan"](
        one, _values(carried), tuple([value_of(r) for r in rows]), reverse=reverse
    )
    return last if kind == "foldl" else outputs


def _first_row(elems: Any, initializer: Any) -> tuple[Any, Any]:
    """What a loop begins with: the first row, where nothing else is given."""
    if initializer is not None:
        return elems, initializer
    rows = _symbols(elems)
    return replace(rows, lambda r: r[1:]), replace(rows, lambda r: r[0])


def foldl(
    fn: Callable[..., Any], elems: Any, initializer: Any = None, parallel_iterations: int = 10,
    back_prop: bool = True, swap_memory: bool = False, name: str = "foldl",
) -> Any:  # fmt: skip
    """fn(... fn(fn(initializer, e0), e1) ..., en) over the rows of elems."""
    return _over_rows(fn, *_first_row(elems, initializer), name, "foldl", False)


def foldr(
    fn: Callable[..., Any], elems: Any, initializer: Any = None, parallel_iterations: int = 10,
    back_prop: bool = True, swap_memory: bool = False, name: str = "foldr",
) -> Any:  # fmt: skip
    """As foldl, from the last row to the first."""
    if initializer is None:
        rows = _symbols(elems)
        elems, initializer = replace(rows, lambda r: r[:-1]), replace(rows, lambda r: r[-1])
    return _over_rows(fn, elems, initializer, name, "foldl", True)


def scan(
    fn: Callable[..., Any], elems: Any, initializer: Any = None, parallel_iterations: int = 10,
    back_prop: bool = True, swap_memory: bool = False, infer_shape: bool = True,
    reverse: bool = False, name: str = "scan",
) -> Any:  # fmt: skip
    """The carried values of foldl after each row, stacked. ValueError without an initializer."""
    if initializer is None:
        raise ValueError("[scan] an initializer must be given")
    return _over_rows(fn, elems, initializer, name, "scan", reverse)


def map_fn(
    fn: Callable[..., Any], elems: Any, dtype: Any = None, parallel_iterations: int = 10,
    back_prop: bool = True, swap_memory: bool = False, infer_shape: bool = True, name: str = "map",
) -> Any:  # fmt: skip
    """fn of each row, stacked."""
    return _over_rows(fn, elems, None, name, "map", False)

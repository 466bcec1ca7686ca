"""Functions made of symbols: what is given, what is asked for, what is updated.

A call computes what the outputs and updates need as one compiled plan. What only picks a part of a
value that is there (`data[i * 20 : (i + 1) * 20]`, where `i` is an input) is done before, on plain
numbers: the part is a window, not a copy, and another `i` is another window for the same plan.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import engine
from ..autograd_api import no_grad
from ..capture import Captured
from ..creation import as_tensor
from ..graph.storage import Storage
from ..ops.elementwise import detach
from ..tensor import Tensor, from_stored, wrap
from .schedule import Schedule, compute
from .state import Input, State
from .symbol import Symbol, leaves, replace

Givens = Mapping[Symbol, Any] | Iterable[tuple[Symbol, Any]]
Updates = Mapping[State, Any] | Iterable[tuple[State, Any]]


@dataclass(frozen=True)
class In:
    """An input with a default value, or a name to give it by.

    `allow_downcast` lets whole numbers be given with fractions, which are cut off.
    """

    variable: Input
    value: Any = None
    name: str | None = None
    borrow: bool = False
    allow_downcast: bool | None = None
    mutable: bool = False

    @property
    def called(self) -> str | None:
        """The name to give it by."""
        return self.name or self.variable.name


class Function:
    """Computes outputs and updates of symbols; see `function`."""

    def __init__(
        self, inputs: Sequence[Input | In], outputs: Any, updates: Updates | None,
        givens: Givens | None, on_unused_input: str, name: str | None,
    ) -> None:  # fmt: skip
        self.name = name or "function"
        self.inputs = [i if isinstance(i, In) else In(i) for i in inputs]
        self.outputs = outputs
        self.updates = list(updates.items() if isinstance(updates, Mapping) else updates or ())
        self.givens = dict(givens or ())
        for variable, _ in self.updates:
            if not isinstance(variable, State):
                raise TypeError(f"[function] only variables are updated; got {variable!r}")
        for variable, new in self.updates:
            known = new.known if isinstance(new, Symbol) else None
            held_as = variable.known
            if known and held_as and known[1].is_inexact and not held_as[1].is_inexact:
                raise TypeError(
                    f"[function] an update must have the dtype of its variable, {variable!r}; got "
                    f"{new!r}; try a cast"
                )
        if len({id(v) for v, _ in self.updates}) < len(self.updates):
            raise ValueError("[function] a variable is updated twice")
        results = [outputs, [new for _, new in self.updates]]
        inner = Schedule(results, self.givens)
        self._given = [s for s in self.givens if s in set(inner.order)]
        self._sources = [self.givens[s] for s in self._given]
        outer = Schedule(self._sources)
        self._check_inputs([*inner.inputs, *outer.inputs], on_unused_input)
        self._sort_out([*outer.order, *inner.order])
        self._outer = Schedule(self._sources, self._windows)
        self._inner = Schedule(results, [*self.givens, *self._windows])
        late = {*self._outer.inputs, *self._inner.inputs}
        self._late = [k for k, i in enumerate(self.inputs) if i.variable in late]
        # A variable that is asked for is read as it is; what a run gives would be its own memory.
        self._read = [s for s in leaves(outputs) if isinstance(s, State) and s not in self.givens]
        self._captured = Captured(self._compute)
        self._kept: dict[Symbol, tuple[list[tuple[Storage, int]], Any]] = {}

    def _check_inputs(self, needed: Sequence[Input], on_unused_input: str) -> None:
        variables = {i.variable for i in self.inputs}
        for symbol in needed:
            if symbol not in variables and symbol not in self.givens:
                raise ValueError(
                    f"[function] it needs an input that nobody gives: {symbol!r}"
                    f"{place_of(symbol)}; try adding it to inputs, or to givens"
                )
        unused = [i.variable for i in self.inputs if i.variable not in needed]
        if on_unused_input not in ("raise", "warn", "ignore"):
            raise ValueError(f"[function] an unknown on_unused_input; got {on_unused_input!r}")
        if unused and on_unused_input == "warn":
            warnings.warn(f"[function] inputs that nothing needs: {unused}", stacklevel=4)
        elif unused and on_unused_input == "raise":
            raise ValueError(
                f"[function] inputs that nothing needs: {unused}; try leaving them out, or "
                "on_unused_input='ignore'"
            )

    def _sort_out(self, order: Sequence[Symbol]) -> None:
        """Find the windows, and what must be computed for them."""
        changing = {v for v, _ in self.updates}
        numbers: set[Symbol] = {i.variable for i in self.inputs if _is_number(i.variable)}
        fixed: set[Symbol] = set()
        windows = []
        for s in order:
            inputs = set(s.inputs())
            if isinstance(s, State):
                if s not in changing:
                    fixed.add(s)
            elif inputs and inputs <= numbers:
                numbers.add(s)
            elif inputs and inputs <= fixed:
                fixed.add(s)
            elif s.function is operator.getitem and s.args[0] in fixed:
                windows += [s] if inputs - {s.args[0]} <= numbers else []
        self._windows = windows
        self._early = Schedule(windows).order
        self._is_fixed = fixed

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for the values of the inputs, given by position or by name. TypeError for
        inputs that are missing or unknown."""
        given = self._bound(args, kwargs)
        early: dict[int, Any] = {id(i.variable): v for i, v in zip(self.inputs, given)}
        for symbol in self._early:
            if isinstance(symbol, Input):
                early[id(symbol)] = operator.index(early[id(symbol)])
            else:
                early[id(symbol)] = self._before(symbol, early)
        tensors = [_tensor(self.inputs[k], given[k]) for k in self._late]
        before = {id(s): copy_of(held(s)) for s in self._read}
        computed = leaves(self._captured(tensors, [early[id(w)] for w in self._windows]))
        return replace(self.outputs, lambda x: before.get(id(x), next(computed)))

    def _before(self, symbol: Symbol, known: Mapping[int, Any]) -> Any:
        """The value of a symbol that is computed before the plan runs. What depends on variables
        alone is kept until they change."""
        if isinstance(symbol, State):
            return held(symbol)
        kept = self._kept.get(symbol)
        if kept is not None and kept[0] == [(x, x.version) for x, _ in kept[0]]:
            return kept[1]
        with no_grad():
            value = compute(symbol, lambda x: known[id(x)])
        if isinstance(value, Tensor):  # a window is part of what tells calls apart: show none
            value = wrap(value._node())
        if symbol in self._is_fixed:
            storages = [held(s)._storage for s in Schedule([symbol]).order if isinstance(s, State)]
            self._kept[symbol] = ([(x, x.version) for x in storages], value)
        return value

    def _compute(self, tensors: Sequence[Tensor], windows: Sequence[Tensor]) -> Any:
        """What is captured: from the values of inputs and windows to the outputs."""
        values: dict[int, Any] = {
            id(self.inputs[k].variable): x for k, x in zip(self._late, tensors)
        }
        values.update({id(s): x for s, x in zip(self._windows, windows)})
        outer = self._outer.run(dict(values), held)
        for symbol, source in zip(self._given, self._sources):
            values[id(symbol)] = outer[id(source)] if isinstance(source, Symbol) else source
        self._inner.run(values, held)
        read = {id(s) for s in self._read}

        def value(x: Any) -> Any:
            return values[id(x)] if isinstance(x, Symbol) else x

        outputs = replace(self.outputs, lambda x: None if id(x) in read else result(value(x)))
        with no_grad():
            for variable, new in [(v, value(new)) for v, new in self.updates]:
                write(variable, new)
        return outputs

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The values of the inputs, in order."""
        names = [i.called for i in self.inputs]
        given: list[Any] = [*args, *[None] * (len(self.inputs) - len(args))]
        wrong = [n for n in kwargs if n not in names[len(args) :]]
        if wrong or len(args) > len(names):
            raise TypeError(
                f"[{self.name}] takes inputs {names}; got {len(args)} by position and "
                f"{sorted(kwargs)} by name"
            )
        for k, (i, name) in enumerate(zip(self.inputs, names)):
            if name is not None and name in kwargs:
                given[k] = kwargs[name]
            elif given[k] is None:
                given[k] = i.value
            if given[k] is None:
                raise TypeError(f"[{self.name}] input {k} ({name or i.variable!r}) is missing")
        return given


def held(variable: State) -> Tensor:
    """The value of a variable that is one for all. RuntimeError where there is none."""
    if variable.tensor is None:
        raise RuntimeError(f"[function] {variable!r} has no value outside a session")
    return variable.tensor


def write(variable: State, new: Any) -> None:
    """Give a variable its new value, in its place where that has the same shape."""
    old = held(variable)
    new = as_tensor(new)
    if new.shape == old.shape:
        old.copy_(new)
    else:
        old._storage.version += 1
        variable.tensor = new.to(old.dtype)
        variable.held_type = variable.tensor._node().type
        variable.samples = variable._infer()


def place_of(symbol: Symbol) -> str:
    """Where a symbol was made, as a part of a message."""
    if symbol.location is None:
        return ""
    file, line, _ = symbol.location
    return f", made in {file}, line {line}"


def _is_number(variable: Input) -> bool:
    known = variable.known
    return known is not None and known[0] == () and not known[1].is_inexact


def _tensor(taken: In, value: Any) -> Tensor:
    """A given value as a tensor of the input's dtype. TypeError for another shape, and for
    fractions where whole numbers are wanted."""
    variable, x = taken.variable, as_tensor(value)
    if x.dtype.is_inexact and not (variable.given_dtype.is_inexact or taken.allow_downcast):
        raise TypeError(
            f"[function] input {variable!r} takes {variable.given_dtype.name}; got "
            f"{x.dtype.name}; try a cast, or In(..., allow_downcast=True)"
        )
    if x.dtype is not variable.given_dtype:
        x = x.to(variable.given_dtype)
    shape = variable.given_shape
    fits = shape is None or (
        len(shape) == x.dim() and all(m is None or m == n for m, n in zip(shape, x.shape))
    )
    if not fits:
        raise TypeError(
            f"[function] input {variable!r} takes shape {shape}, with None for any size; got "
            f"{tuple(x.shape)}"
        )
    return x


def copy_of(x: Tensor) -> Tensor:
    """The value in memory of its own, which no plan writes to."""
    return from_stored(engine.to_numpy(x._node()).copy(), x.dtype)


def result(value: Any) -> Tensor | None:
    """A value as one that no gradient goes through; None where nothing is asked for."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return wrap(detach(value._node())) if value.requires_grad else value
    return as_tensor(value)


def function(
    inputs: Sequence[Input | In], outputs: Any = None, updates: Updates | None = None,
    givens: Givens | None = None, on_unused_input: str = "raise", name: str | None = None,
) -> Function:  # fmt: skip
    """A function that computes `outputs` from `inputs`, compiled as one plan.

    `updates` are pairs of a shared variable and its new value, which it gets after the outputs are
    computed. `givens` puts other expressions in the place of expressions. `outputs` is an
    expression or a nest of them, and so is the result. ValueError where an input is missing or
    needed by nothing (unless `on_unused_input` is "warn" or "ignore"), or a variable is updated
    twice.

    >>> import twofold as tf
    >>> x = tf.placeholder((None,), name="x")
    >>> total = tf.shared(0.0)
    >>> add = tf.function([x], total, updates=[(total, total + x.sum())])
    >>> add([1.0, 2.0]), add([10.0]), total.get_value()
    (tensor(0.), tensor(3.), array(13., dtype=float32))
    """
    return Function(inputs, outputs, updates, givens, on_unused_input, name)


def values_of(results: Any, given: Mapping[Symbol, Any]) -> Any:
    """The values of symbols, computed at once."""
    found = list({id(s): s for s in leaves(results) if isinstance(s, Symbol)}.values())
    computed = Function(
        [s for s in given if isinstance(s, Input)], found, None, None, "ignore", "eval"
    )(*[given[s] for s in given])
    by_id = {id(s): value for s, value in zip(found, computed)}
    return replace(results, lambda x: by_id.get(id(x), x))

"""What must be computed for some results, in which order, and doing it.

Only what the results need is computed, in the order in which it was defined. A symbol sees the
value of a variable that updates among its own inputs (or what it waits for by `after`) wrote;
otherwise the one from before the run, whatever else the run writes. So results do not depend on
chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..func.derivatives import variable
from ..graph.node import recorder
from ..tensor import Tensor, wrap
from .state import Gradients, Input, State, Update
from .symbol import Symbol, leaves


class Missing(Exception):
    """A value that a run needs is not there."""

    def __init__(self, symbol: Symbol) -> None:
        super().__init__(symbol)
        self.symbol = symbol


class Schedule:
    """The symbols that `results` need, where the values of `given` are known.

    `order` is the order to compute them in, `inputs` and `variables` are what must be there,
    `updates` the last of each variable that is written.
    """

    def __init__(self, results: Iterable[Any], given: Iterable[Symbol] = ()) -> None:
        known = {id(s) for s in given}
        self.order = _needed([r for r in leaves(list(results)) if isinstance(r, Symbol)], known)
        self.inputs = [s for s in self.order if isinstance(s, Input)]
        self.updates: dict[int, Update] = {}
        self._reads: dict[tuple[int, int], Update] = {}
        seen: dict[int, dict[int, Update]] = {}
        variables: list[State] = []
        for symbol in self.order:
            mine = _latest(
                [seen[id(x)] for x in (*symbol.inputs(), *symbol.after) if id(x) in seen]
            )
            if isinstance(symbol, Update):
                at = id(symbol.variable)
                if symbol.accumulates and at in self.updates:
                    mine[at] = self.updates[at]
            for x in symbol.inputs():
                if id(x) in mine:
                    self._reads[id(symbol), id(x)] = mine[id(x)]
            if isinstance(symbol, Update):
                mine[at] = self.updates[at] = symbol
            elif isinstance(symbol, State):
                variables.append(symbol)
            seen[id(symbol)] = mine
        self.variables = [v for v in variables if id(v) not in known]
        gradients = [s for s in self.order if isinstance(s, Gradients)]
        self._wanted = {id(x) for g in gradients for x in g.xs}

    def run(self, values: dict[int, Any], read: Callable[[State], Tensor]) -> dict[int, Any]:
        """Compute all, where `values` has what is given, by id, and `read` gives the values of
        variables. Gives `values` with all that was computed. `Missing` for an input without a
        value."""
        for symbol in self.order:
            if id(symbol) in values:
                value: Any = values[id(symbol)]
            elif isinstance(symbol, Input):
                raise Missing(symbol)
            elif isinstance(symbol, State):
                value = read(symbol)
            else:
                value = self._compute(symbol, values)
            if id(symbol) in self._wanted and isinstance(value, Tensor):
                value = _differentiable(value)
            values[id(symbol)] = value
        return values

    def _compute(self, symbol: Symbol, values: Mapping[int, Any]) -> Any:
        def value_of(x: Symbol) -> Any:
            update = self._reads.get((id(symbol), id(x)))
            return values[id(x if update is None else update)]

        return compute(symbol, value_of)


def compute(symbol: Symbol, value_of: Callable[[Symbol], Any]) -> Any:
    """The value of a symbol. Errors, those that come later too, name the line that made it."""
    before, recorder.site = recorder.site, symbol.location
    try:
        return symbol.compute(value_of)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        if not getattr(error, "names_line", False) and symbol.location is not None:
            file, line, _ = symbol.location
            error.args = (f"{error}; in {symbol!r}, made in {file}, line {line}", *error.args[1:])
            error.names_line = True  # type: ignore[union-attr]
        raise
    finally:
        recorder.site = before


def _latest(seen: Iterable[Mapping[int, Update]]) -> dict[int, Update]:
    """Of each variable the update that was defined last."""
    found: dict[int, Update] = {}
    for updates in seen:
        for at, update in updates.items():
            if at not in found or found[at].serial < update.serial:
                found[at] = update
    return found


def _needed(results: Sequence[Symbol], known: set[int]) -> list[Symbol]:
    """What the results need and nobody gives, in the order of definition."""
    found: dict[int, Symbol] = {}
    stack = list(results)
    while stack:
        symbol = stack.pop()
        if id(symbol) in found:
            continue
        found[id(symbol)] = symbol
        if id(symbol) not in known:
            stack += [*symbol.inputs(), *symbol.after]
    return sorted(found.values(), key=lambda s: s.serial)


def _differentiable(value: Tensor) -> Tensor:
    """The value as one that gradients can be taken for."""
    if value.requires_grad:
        return value
    return wrap(variable(value._node()))

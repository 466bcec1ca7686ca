"""Functions of symbols as values: the bodies of loops and branches.

A body is recorded once, when the graph is defined, by calling the user's function on inputs of its
own. What it reads of the symbols that were there before are its free symbols; they are inputs of
the symbol that runs the body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..tensor import Tensor
from .schedule import Schedule
from .state import State, Update
from .symbol import Symbol, leaves, next_serial, replace


class Body:
    """`function(*inputs)`, recorded. `results` is what it gave, `free` what it reads besides.

    RuntimeError where it updates a variable.
    """

    def __init__(
        self, function: Callable[..., Any], inputs: Sequence[Symbol], name: str = "loop"
    ) -> None:
        self.inputs = list(inputs)
        mark = min([s.serial for s in inputs], default=next_serial())
        self.results = function(*inputs)
        self.free = self._outside(mark, name)
        self._schedule = Schedule([self.results], [*self.inputs, *self.free])

    def _outside(self, mark: int, name: str) -> list[Symbol]:
        """The symbols that are read and were made before `mark`, and variables."""
        own = set(self.inputs)
        found: dict[Symbol, None] = {}
        seen: set[Symbol] = set()
        stack = [s for s in leaves(self.results) if isinstance(s, Symbol)]
        while stack:
            symbol = stack.pop()
            if symbol in seen or symbol in own:
                continue
            seen.add(symbol)
            if symbol.serial < mark or isinstance(symbol, State):
                found[symbol] = None
            elif isinstance(symbol, Update):
                raise RuntimeError(
                    f"[{name}] its body updates a variable ({symbol.variable!r}), which is not "
                    "supported; try making the new value a result"
                )
            else:
                stack += [*symbol.inputs(), *symbol.after]
        return sorted(found, key=lambda s: s.serial)

    def run(self, values: Sequence[Any], free: Sequence[Any]) -> Any:
        """The results for values of the inputs and of the free symbols."""
        known = {id(s): v for s, v in zip(self.inputs, values, strict=True)}
        known.update({id(s): v for s, v in zip(self.free, free, strict=True)})
        self._schedule.run(known, _never)
        return replace(self.results, lambda x: known[id(x)] if isinstance(x, Symbol) else x)


def _never(state: State) -> Tensor:
    raise AssertionError(f"{state!r} is a free symbol of the body")

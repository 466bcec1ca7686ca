"""Symbols that are not plain calls: inputs, variables, their updates, and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..creation import as_tensor, ones_like
from ..dtypes import DType
from ..func.derivatives import pull_back
from ..graph.types import Type
from ..tensor import Tensor, wrap
from .symbol import Symbol, samples_of


class Input(Symbol):
    """A value that is given with each run. `shape` has None for open sizes, and is None where even
    their number is open."""

    def __init__(self, shape: Sequence[int | None] | None, dtype: DType, name: str | None) -> None:
        self.given_shape = None if shape is None else tuple(shape)
        self.given_dtype = dtype
        super().__init__(_not_given, (), None, name)

    @property
    def called(self) -> str:
        """What it is."""
        return "Placeholder"

    def _infer(self) -> tuple[Any, Any] | None:
        return None if self.given_shape is None else samples_of(self.given_shape, self.given_dtype)


def _not_given() -> Any:
    raise RuntimeError("[static] an input has no value of its own; try giving it one")


class State(Symbol):
    """A variable: a value that stays from run to run. `tensor` holds it where it is one for all
    that run the graph; a session may hold it instead."""

    def __init__(self, type_: Type | None, name: str | None, tensor: Tensor | None = None) -> None:
        self.held_type = type_
        self.tensor = tensor
        super().__init__(_not_given, (), None, name)

    @property
    def called(self) -> str:
        """What it is."""
        return "Variable"

    def _infer(self) -> tuple[Any, Any] | None:
        return None if self.held_type is None else (self.held_type, self.held_type)


def _keep(value: Any) -> Any:
    return value


class Update(Symbol):
    """A new value for a variable, which is also this symbol's value. With `function`, the value is
    function(old, value), where old is the last that was written."""

    def __init__(
        self, variable: State, value: Any, name: str | None = None,
        after: Sequence[Symbol] = (), function: Callable[..., Any] = _keep,
    ) -> None:  # fmt: skip
        self.variable = variable
        self.accumulates = function is not _keep
        args = (variable, value) if self.accumulates else (value,)
        super().__init__(function, args, None, name, after)


class Gradients(Symbol):
    """The gradients of the sum of `ys` for `xs`, as a tuple; of `seeds` weighting the ys, where
    they are given. What does not depend on an x has zeros for it."""

    def __init__(
        self, ys: Sequence[Symbol], xs: Sequence[Symbol], seeds: Sequence[Any] | None = None,
        name: str | None = None,
    ) -> None:  # fmt: skip
        self.ys, self.xs = list(ys), list(xs)
        seeds = [None] * len(self.ys) if seeds is None else list(seeds)
        super().__init__(_gradients, (self.ys, self.xs, seeds), None, name)

    def _infer(self) -> tuple[Any, Any] | None:
        known = [x.samples for x in self.xs]
        if any(s is None for s in known):
            return None
        return tuple(s[0] for s in known if s), tuple(s[1] for s in known if s)


def _gradients(ys: list[Tensor], xs: list[Tensor], seeds: list[Any]) -> tuple[Tensor, ...]:
    """The gradients of values."""
    pairs = [
        (y._node(), (ones_like(y) if s is None else as_tensor(s, dtype=y.dtype))._node())
        for y, s in zip(ys, seeds)
        if y.requires_grad
    ]
    nodes = [x._node() for x in xs]
    return tuple(map(wrap, pull_back([y for y, _ in pairs], [s for _, s in pairs], nodes)))


def depends(y: Symbol, x: Symbol, smoothly: bool = False) -> bool:
    """Whether `y` is computed from `x`; `smoothly`: by a way without whole numbers, which carry no
    gradient."""
    seen: set[int] = set()
    stack = [y]
    while stack:
        symbol = stack.pop()
        if smoothly and symbol.known is not None and not symbol.known[1].is_inexact:
            continue
        if symbol is x:
            return True
        if id(symbol) not in seen and symbol.serial >= x.serial:
            seen.add(id(symbol))
            stack += symbol.inputs()
    return False

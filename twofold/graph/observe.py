"""What a captured function needs to know of one run of it, beyond the graph that it recorded.

While `recorder.observer` is an `Observation`, whoever takes a number from the program's state says
so (`live`), and whoever changes such state says how to do it again (`each_call`). Both are kept in
the order in which they happened, and a captured function goes through them at each call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .node import Node, recorder, user_location


class Live(float):
    """A number that is read anew at each call of a captured function. Arithmetic with plain numbers
    gives live numbers."""

    __slots__ = ("read",)

    read: Callable[[], float]

    def __new__(cls, read: Callable[[], float]) -> Live:
        self = float.__new__(cls, read())
        self.read = read
        return self

    def __add__(self, other: Any) -> Any:
        return _combine(self, other, float.__add__)

    def __radd__(self, other: Any) -> Any:
        return _combine(self, other, float.__radd__)

    def __sub__(self, other: Any) -> Any:
        return _combine(self, other, float.__sub__)

    def __rsub__(self, other: Any) -> Any:
        return _combine(self, other, float.__rsub__)

    def __mul__(self, other: Any) -> Any:
        return _combine(self, other, float.__mul__)

    def __rmul__(self, other: Any) -> Any:
        return _combine(self, other, float.__rmul__)

    def __truediv__(self, other: Any) -> Any:
        return _combine(self, other, float.__truediv__)

    def __rtruediv__(self, other: Any) -> Any:
        return _combine(self, other, float.__rtruediv__)

    def __pow__(self, other: Any) -> Any:  # type: ignore[override]
        return _combine(self, other, float.__pow__)

    def __rpow__(self, other: Any) -> Any:  # type: ignore[override]
        return _combine(self, other, float.__rpow__)

    def __neg__(self) -> Any:
        read = self.read
        return Live(lambda: -read())


def _combine(x: Live, other: Any, operation: Callable[[float, float], float]) -> Any:
    """`operation` of a live number and another number; NotImplemented for anything else."""
    first = x.read
    if other.__class__ is Live:
        second = other.read
        return Live(lambda: operation(float(first()), float(second())))
    if not isinstance(other, (int, float)):
        return NotImplemented
    return Live(lambda: operation(float(first()), other))


class Observation:
    """What one run of a function did besides recording.

    `script` holds (leaf or None, callable): a number to read for a leaf, or an action. `grads`
    holds (tensor, whether it had no gradient) for each leaf tensor that a backward added to, at the
    first time. `broken` says where a value was asked for within the function, if it was.
    """

    def __init__(self) -> None:
        self.script: list[tuple[Node | None, Callable[[], Any]]] = []
        self.grads: dict[int, tuple[Any, bool]] = {}
        self.broken: tuple[str, int, str] | None = None
        self.epoch = recorder.epoch
        self.start = recorder.serial

    def looked_at(self, node: Node) -> None:
        """A value that was there before is looked at: it may be another at the next call."""
        if node.serial <= self.start and self.broken is None:
            self.broken = user_location() or ("unknown", 0, "")

    def live(self, node: Node, read: Callable[[], Any]) -> None:
        """The leaf `node` holds what `read` gives, at each call."""
        self.script.append((node, read))

    def each_call(self, action: Callable[[], Any]) -> None:
        """Do `action` at each call."""
        self.script.append((None, action))

    def gradient(self, tensor: Any) -> None:
        """`tensor.grad` is about to be added to."""
        if id(tensor) not in self.grads:
            self.grads[id(tensor)] = (tensor, tensor.grad is None)


def live(read: Callable[[], float]) -> float:
    """The number that `read` gives; within a captured function, at each of its calls.

    >>> rate = {"lr": 0.1}
    >>> live(lambda: rate["lr"]) * 2
    0.2
    """
    return read() if recorder.observer is None else Live(read)


def each_call(action: Callable[[], Any]) -> None:
    """Do `action` now, and at each further call of the captured function that this is part of."""
    action()
    if recorder.observer is not None:
        recorder.observer.each_call(action)

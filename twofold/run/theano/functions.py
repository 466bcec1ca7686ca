"""`theano.function`: what it gives are NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replace_field
from typing import Any

from ...static.function import Function, In
from ...static.symbol import replace
from ...tensor import Tensor


class TheanoFunction:
    """A function of variables; a call gives arrays."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.name = function.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for the values of the inputs."""
        return replace(self.function(*args, **kwargs), _array)


def _array(value: Any) -> Any:
    return value.numpy() if isinstance(value, Tensor) else value


def function(
    inputs: Sequence[Any], outputs: Any = None, mode: Any = None, updates: Any = None,
    givens: Any = None, no_default_updates: bool = False, accept_inplace: bool = False,
    name: str | None = None, rebuild_strict: bool = True, allow_input_downcast: Any = None,
    profile: Any = None, on_unused_input: str | None = None,
) -> TheanoFunction:  # fmt: skip
    """Compile outputs and updates; see `twofold.function`. NotImplementedError for
    `no_default_updates`: random numbers are new ones at each call."""
    if no_default_updates:
        raise NotImplementedError("[function] no_default_updates is not supported")
    if allow_input_downcast:
        taken = [i if isinstance(i, In) else In(i) for i in inputs]
        inputs = [replace_field(i, allow_downcast=True) for i in taken]
    return TheanoFunction(
        Function(inputs, outputs, updates, givens, on_unused_input or "raise", name)
    )

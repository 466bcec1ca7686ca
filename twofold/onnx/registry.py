"""The operators of ONNX: one function each, by its name there.

A function takes the operator's inputs by position, None for those that are left out, and its
attributes by name. Inputs are tensors, save those listed as `host`, which come as NumPy arrays:
shapes, axes, and what else decides what is computed. `opset` may be asked for by name. A function
returns a tensor, or a tuple of them for several outputs.

Source: ONNX operator schemas, https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..creation import from_numpy
from ..dtypes import bfloat16
from ..tensor import Tensor, from_stored

Value = Tensor | np.ndarray | list | None
"""What stands for a value while a model runs: a tensor, an array known beforehand (a shape, an
axis), a sequence of these, or nothing."""


class UnsupportedOperator(NotImplementedError):
    """A model uses an operator, or a form of one, that is not here."""


@dataclass(frozen=True)
class Operator:
    """An operator's function, and which of its inputs are to be arrays."""

    name: str
    function: Callable[..., Any]
    host: tuple[int, ...]
    parameters: dict[str, inspect.Parameter]

    def __call__(self, inputs: list[Value], attributes: dict[str, Any], opset: int) -> Any:
        """The outputs. UnsupportedOperator for attributes that the function does not know."""
        given = [
            x if x is None else as_array(x) if i in self.host else as_tensor(x)
            for i, x in enumerate(inputs)
        ]
        keywords = dict(attributes)
        if "opset" in self.parameters:
            keywords["opset"] = opset
        takes_any = any(p.kind is p.VAR_KEYWORD for p in self.parameters.values())
        unknown = [] if takes_any else [k for k in keywords if k not in self.parameters]
        if unknown:
            raise UnsupportedOperator(
                f"[onnx] {self.name}: attributes {unknown} are not supported; got {attributes}"
            )
        return self.function(*given, **keywords)


operators: dict[str, Operator] = {}
"""Every operator that models may use, by ONNX's name."""


def op(*names: str, host: tuple[int, ...] = ()) -> Callable[[Callable], Callable]:
    """Register a function as the operators of these names."""

    def register(function: Callable) -> Callable:
        parameters = dict(inspect.signature(function).parameters)
        for name in names:
            operators[name] = Operator(name, function, host, parameters)
        return function

    return register


def as_tensor(value: Value) -> Any:
    """A value as a tensor; a sequence of values as a list of them."""
    if isinstance(value, list):
        return [as_tensor(v) for v in value]
    if isinstance(value, np.ndarray) and value.dtype.name == "bfloat16":
        return from_stored(value.view(np.uint16), bfloat16)
    if isinstance(value, np.ndarray):
        return from_numpy(np.asarray(value, order="C"))
    return value


def as_array(value: Value) -> np.ndarray:
    """A value as an array: a tensor is run if need be, one of bfloat16 widened."""
    if isinstance(value, Tensor) and value.dtype is bfloat16:
        return value.detach().float().numpy()
    if isinstance(value, Tensor):
        return value.detach().numpy()
    return np.asarray(value)


def integers(value: np.ndarray | None) -> list[int]:
    """An array of integers as a list."""
    return [] if value is None else [int(v) for v in np.asarray(value).reshape(-1)]

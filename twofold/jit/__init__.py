"""`torch.jit`: scripting gives what it is given, since Twofold compiles what a program does anyway;
tracing gives it as one captured call, which can be saved (as a program: see `twofold.deploy`).

PyTorch's own files of scripted models are not read: they hold another language.
"""

from __future__ import annotations

import copy
import inspect
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any
from typing import Final as Final

from ..capture import compile
from ..deploy import Program, load_program, save_program
from ..nn import Module
from ..tensor import Tensor
from .annotations import BroadcastingList1, BroadcastingList2, BroadcastingList3


class _Saved:
    """What was traced knows the function it came from, and examples of its inputs."""

    _traced: Any
    _examples: Sequence[Tensor] | Mapping[str, Tensor]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a program for `load`, for any number of examples in a batch where that can
        be; else, with a warning, for the shapes that it was traced with."""
        given = self._examples
        named = list(given) if isinstance(given, Mapping) else _names(self._traced, given)
        try:
            save_program(self._traced, path, given, {name: {0: "batch"} for name in named})
        except RuntimeError as error:
            warnings.warn(
                f"[jit.save] the program is for the traced shapes alone: {error}", stacklevel=2
            )
            save_program(self._traced, path, given)


def _names(function: Any, given: Sequence[Tensor]) -> list[str]:
    call = function.forward if isinstance(function, Module) else function
    return list(inspect.signature(call).parameters)[: len(given)]


class ScriptModule(Module):
    """A traced module, or a loaded program."""

    _program: Program

    def forward(self, *args: Any) -> Any:
        """What the program computes."""
        return self._program(*args)


class ScriptFunction(_Saved):
    """A traced function."""

    def __init__(self, function: Any, examples: Any) -> None:
        self._traced, self._examples = function, examples
        self._call = compile(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)


RecursiveScriptModule = ScriptModule


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """`obj` itself."""
    return obj


def trace(
    func: Any, example_inputs: Any = None, *args: Any, example_kwarg_inputs: Any = None,
    **kwargs: Any,
) -> Any:  # fmt: skip
    """`func`, a function or a module, captured. Its branches are followed anew where they depend on
    the types of its inputs; where they depend on values, it runs as it is.

    >>> import twofold as tf
    >>> traced = trace(tf.nn.Linear(2, 1).eval(), tf.ones(3, 2))
    >>> traced(tf.ones(5, 2)).shape
    twofold.Size([5, 1])
    """
    examples = example_kwarg_inputs
    if examples is None:
        examples = [example_inputs] if isinstance(example_inputs, Tensor) else example_inputs
    if not isinstance(func, Module):
        return ScriptFunction(func, examples)
    kind = type(func)
    traced: Any = copy.copy(func)
    traced.__class__ = type(kind.__name__, (_TracedModule, kind), {})
    # Not as attributes of a module, which would make the original a part of its copy.
    traced.__dict__.update(_traced=func, _examples=examples, forward=compile(func.forward))
    return traced


class _TracedModule(_Saved, ScriptModule):
    """The base of traced modules besides their own class."""


def save(m: Any, f: str | os.PathLike[str], _extra_files: Any = None) -> None:
    """Write what was traced to a file. TypeError for what was not: it has no examples of inputs."""
    if not isinstance(m, _Saved):
        raise TypeError(
            f"[jit.save] saves what was traced; got {type(m).__name__}; try "
            "jit.trace(m, example_inputs)"
        )
    m.save(f)


def load(f: str | os.PathLike[str], map_location: Any = None, **kwargs: Any) -> ScriptModule:
    """The program that `save` wrote, as a module. FormatError for other files."""
    loaded = ScriptModule()
    loaded._program = load_program(f)
    return loaded


def freeze(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """`mod` itself."""
    return mod


def optimize_for_inference(mod: Any, *args: Any, **kwargs: Any) -> Any:
    """`mod` itself."""
    return mod


def is_scripting() -> bool:
    """False: programs run as Python."""
    return False


def is_tracing() -> bool:
    """False: programs run as they are."""
    return False


def _marker(fn: Any = None, **kwargs: Any) -> Any:
    """A mark for the script compiler: the function itself."""
    return fn if callable(fn) else lambda f: f


export = _marker
ignore = _marker
interface = _marker
unused = _marker
_script_if_tracing = script_if_tracing = _marker
_overload = _overload_method = _marker


def annotate(the_type: Any, the_value: Any) -> Any:
    """`the_value`."""
    return the_value

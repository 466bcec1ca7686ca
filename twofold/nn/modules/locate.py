"""Where in a model an error arose: a note on the error with the module's path and parameters, and
the user's line. What can fail only when it is run, such as an index, notes the modules at once."""

from __future__ import annotations

import itertools
import linecache
import weakref
from types import CodeType, FrameType
from typing import Any

from ...functions._registry import not_a_tensor
from ...graph import node as graph
from ...graph.node import is_ours, user_location
from ...tensor import Tensor


def locate(error: Exception, module: Any, args: tuple, kwargs: dict[str, Any]) -> Exception:
    """`error`, on its way up through the call of `module`, with a note on which module it came
    from; a TypeError in place of one that says that an argument lacks what only tensors have.

    Each module that it passes adds its own name for the one below, so the note ends as the path
    from the model down, e.g. `encoder.2.fc1`.
    """
    if isinstance(error, AttributeError):
        wrong = not_a_tensor(error, module.forward, args, kwargs)
        if wrong is not None:
            error = wrong.with_traceback(error.__traceback__)
    found = getattr(error, "_twofold_module", None)
    if found is None:
        below, path = module, ""
        text = _described(module, (*args, *kwargs.values())) + _users_line(error)
    else:
        below, path, text = found
        if below is not module:
            name = _name_within(module, below)
            if name is None:  # held elsewhere: the path goes on from here
                return error
            path = f"{name}.{path}" if path else name
    notes = getattr(error, "__notes__", [])
    if found is not None and notes:
        notes.pop()
    error.add_note(f"in {path or 'the model'}: {text}" if path else f"in {text}")
    error._twofold_module = (module, path, text)  # type: ignore[attr-defined]
    return error


def _name_within(module: Any, below: Any) -> str | None:
    """The path of one module in another; None if it is held elsewhere."""
    return next((name for name, m in module.named_modules() if m is below and name), None)


class _InModules(str):
    """The name of a function, shown with the path of the module that was being called."""

    __slots__ = ("calls",)

    calls: tuple[weakref.ref[Any], ...]

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True and self.calls == getattr(other, "calls", None)

    __hash__ = str.__hash__

    def __format__(self, spec: str) -> str:
        modules = [m for m in (call() for call in self.calls) if m is not None]
        if not modules:
            return format(str(self), spec)
        path: list[str] = []
        for outer, inner in itertools.pairwise(modules):
            name = None if outer is inner else _name_within(outer, inner)
            path = [*path, name] if name is not None else path if outer is inner else []
        what = _described(modules[-1], ())
        return f"{self!s}, in {'.'.join(path)}: {what}" if path else f"{self!s}, in {what}"


def note_modules(call: CodeType) -> None:
    """Let places of errors that come later name the modules whose `call` is under way."""

    def describe(innermost: FrameType, name: str) -> str:
        modules = []
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code is call:
                modules.append(weakref.ref(frame.f_locals["self"]))
            frame = frame.f_back
        if not modules:
            return name
        place = _InModules(name)
        place.calls = tuple(reversed(modules))
        return place

    graph.describe_call = describe


def _users_line(error: Exception) -> str:
    """The line of the program, not of Twofold, nearest to where the error was raised."""
    place = None
    trace = error.__traceback__
    while trace is not None:
        if not is_ours(trace.tb_frame):
            place = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    if place is None:
        caller = user_location()
        if caller is None:
            return ""
        place = caller[:2]
    line = linecache.getline(*place).strip()
    return f", at {place[0]}:{place[1]}" + (f": {line}" if line else "")


def _described(module: Any, args: tuple) -> str:
    """The module's own line, the arguments' and the parameters' shapes."""
    text = f"{type(module).__name__}({module.extra_repr()})"
    inputs = [f"{list(x.shape)}" for x in args if isinstance(x, Tensor)]
    if inputs:
        text += f", given {', '.join(inputs)}"
    own = [f"{k} {list(p.shape)}" for k, p in module._parameters.items() if p is not None]
    return text + (f", with {', '.join(own)}" if own else "")

"""Where in a model an error arose: a note on the error with the module's path and parameters, and
the user's line."""

from __future__ import annotations

import linecache
from typing import Any

from ...graph.node import is_ours, user_location
from ...tensor import Tensor


def locate(error: Exception, module: Any, args: tuple, kwargs: dict[str, Any]) -> None:
    """Note on `error`, on its way up through the call of `module`, which module it came from.

    Each module that it passes adds its own name for the one below, so the note ends as the path
    from the model down, e.g. `encoder.2.fc1`.
    """
    found = getattr(error, "_twofold_module", None)
    if found is None:
        below, path = module, ""
        text = _described(module, (*args, *kwargs.values())) + _users_line(error)
    else:
        below, path, text = found
        if below is not module:
            names = (name for name, m in module.named_modules() if m is below and name)
            name = next(names, None)
            if name is None:  # held elsewhere: the path goes on from here
                return
            path = f"{name}.{path}" if path else name
    notes = getattr(error, "__notes__", [])
    if found is not None and notes:
        notes.pop()
    error.add_note(f"in {path or 'the model'}: {text}" if path else f"in {text}")
    error._twofold_module = (module, path, text)  # type: ignore[attr-defined]


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

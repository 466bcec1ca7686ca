"""Where in a model an error arose: a note on the error with the module's path and parameters."""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor


def locate(error: Exception, module: Any, args: tuple) -> None:
    """Note on `error`, on its way up through the call of `module`, which module it came from.

    Each module that it passes adds its own name for the one below, so the note ends as the path
    from the model down, e.g. `encoder.2.fc1`.
    """
    found = getattr(error, "_twofold_module", None)
    if found is None:
        below, path, text = module, "", _described(module, args)
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


def _described(module: Any, args: tuple) -> str:
    """The module's own line, the arguments' and the parameters' shapes."""
    text = f"{type(module).__name__}({module.extra_repr()})"
    inputs = [f"{list(x.shape)}" for x in args if isinstance(x, Tensor)]
    if inputs:
        text += f", given {', '.join(inputs)}"
    own = [f"{k} {list(p.shape)}" for k, p in module._parameters.items() if p is not None]
    return text + (f", with {', '.join(own)}" if own else "")

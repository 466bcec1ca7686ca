"""`torch.jit`: scripting gives what it is given. Twofold compiles what a program does anyway, so
there is no other language to translate it to.

`save` and `load` of scripted models are missing: they would hold that other language.
"""

from __future__ import annotations

from typing import Any
from typing import Final as Final

from .annotations import BroadcastingList1, BroadcastingList2, BroadcastingList3


def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
    """`obj` itself."""
    return obj


def trace(func: Any, *args: Any, **kwargs: Any) -> Any:
    """`func` itself: it follows its own branches, where PyTorch's trace would repeat one."""
    return func


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


class ScriptModule:
    """Never made: modules stay what they are."""


class ScriptFunction:
    """Never made: functions stay what they are."""


RecursiveScriptModule = ScriptModule

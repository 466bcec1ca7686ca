"""state_dict and load_state_dict: how a tree of modules becomes one flat dict, and back."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from ... import dtypes
from ...autograd_api import no_grad
from ...tensor import Tensor
from ..parameter import Parameter, is_lazy

FLOATS = {
    "float": dtypes.float32,
    "double": dtypes.float64,
    "half": dtypes.float16,
    "bfloat16": dtypes.bfloat16,
}
_EXTRA = "_extra_state"


class StateDict(OrderedDict):
    """An ordered dict that also knows the version of each module, as `_metadata`."""

    _metadata: OrderedDict[str, Any]


def collect(module: Any, destination: Any, prefix: str, keep_vars: bool) -> Any:
    """The module's state under `prefix`, added to `destination`."""
    if destination is None:
        destination = StateDict()
        destination._metadata = OrderedDict()
    local = {"version": module._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = local
    for hook in module._state_dict_pre_hooks.values():
        hook(module, prefix, keep_vars)
    module._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(
                destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
            )
    for hook in module._state_dict_hooks.values():
        changed = hook(module, destination, prefix, local)
        if changed is not None and not getattr(hook, "_from_public_api", False):
            destination = changed
        elif changed is not None:
            raise RuntimeError("state_dict post-hook must return None")
    return destination


def _own_tensors(module: Any) -> list[tuple[str, Any]]:
    """The parameters and persistent buffers of one module alone."""
    hidden = module._non_persistent_buffers_set
    buffers = ((k, v) for k, v in module._buffers.items() if k not in hidden)
    return [(k, v) for k, v in itertools.chain(module._parameters.items(), buffers)
            if v is not None]  # fmt: skip


def _has_extra(module: Any, method: str) -> bool:
    """Whether the module's class defines its own extra state."""
    return any(method in c.__dict__ for c in type(module).__mro__ if c.__module__ != _MODULE)


_MODULE = __name__.rpartition(".")[0] + ".module"


def save_own(module: Any, destination: Any, prefix: str, keep_vars: bool) -> None:
    """Add what one module holds itself."""
    for name, value in _own_tensors(module):
        destination[prefix + name] = value if keep_vars else value.detach()
    if _has_extra(module, "get_extra_state"):
        destination[prefix + _EXTRA] = module.get_extra_state()


def load_own(
    module: Any,
    state_dict: Any,
    prefix: str,
    metadata: dict[str, Any],
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Take from the dict what one module holds itself; append what does not fit to the lists."""
    for hook in module._load_state_dict_pre_hooks.values():
        hook(state_dict, prefix, metadata, strict, missing, unexpected, errors)
    assign = metadata.get("assign_to_params_buffers", False)
    for name, value in _own_tensors(module):
        key = prefix + name
        if key in state_dict:
            _load_tensor(module, name, value, key, state_dict[key], assign, errors)
        elif strict:
            missing.append(key)
    extra = prefix + _EXTRA
    if _has_extra(module, "set_extra_state"):
        if extra in state_dict:
            module.set_extra_state(state_dict[extra])
        elif strict:
            missing.append(extra)
    elif strict and extra in state_dict:
        unexpected.append(extra)
    if not strict:
        return
    mine = {name for name, _ in _own_tensors(module)}
    for key in state_dict:
        if key.startswith(prefix) and key != extra:
            parts = key[len(prefix) :].split(".", 1)
            known = len(parts) == 1 and parts[0] in mine
            if not known and (len(parts) == 1 or parts[0] not in module._modules):
                unexpected.append(key)


def _load_tensor(
    module: Any, name: str, mine: Any, key: str, given: Any, assign: bool, errors: list[str]
) -> None:
    if not isinstance(given, Tensor):
        errors.append(
            f'While copying the parameter named "{key}", expected twofold.Tensor or Tensor-like '
            f"object from checkpoint but received {type(given)}"
        )
        return
    if is_lazy(mine):
        mine.materialize(given.shape)
    # Files of PyTorch 0.3 hold one element where a scalar is meant.
    if not mine.shape and tuple(given.shape) == (1,):
        given = given[0]
    if tuple(given.shape) != tuple(mine.shape):
        errors.append(
            f"size mismatch for {key}: copying a param with shape {_shape(given)} from "
            f"checkpoint, the shape in current model is {_shape(mine)}."
        )
        return
    with no_grad():
        if not assign:
            mine.copy_(given)
            return
        if isinstance(mine, Parameter):
            if not isinstance(given, Parameter):
                given = Parameter(given, requires_grad=mine.requires_grad)
            else:
                given.requires_grad_(mine.requires_grad)
        setattr(module, name, given)


def _shape(x: Tensor) -> str:
    return f"twofold.Size({list(x.shape)})"


def load(
    module: Any, state_dict: Any, strict: bool, assign: bool, result: Any
) -> tuple[list[str], list[str]]:
    """Load a whole tree; gives the missing and the unexpected keys."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    metadata = getattr(state_dict, "_metadata", None)
    state_dict = OrderedDict(state_dict)

    def descend(m: Any, found: Any, prefix: str) -> None:
        local = {} if metadata is None else dict(metadata.get(prefix[:-1], {}))
        if assign:
            local["assign_to_params_buffers"] = True
        m._load_from_state_dict(found, prefix, local, True, missing, unexpected, errors)
        for name, child in m._modules.items():
            if child is not None:
                below = f"{prefix}{name}."
                part = OrderedDict((k, v) for k, v in found.items() if k.startswith(below))
                descend(child, part, below)
        keys = result(missing, unexpected)
        for hook in m._load_state_dict_post_hooks.values():
            if hook(m, keys) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not "
                    "expected to return new values, if incompatible_keys need to be modified, it "
                    "should be done inplace."
                )

    descend(module, state_dict, "")
    if strict:
        if unexpected:
            names = ", ".join(f'"{k}"' for k in unexpected)
            errors.insert(0, f"Unexpected key(s) in state_dict: {names}. ")
        if missing:
            names = ", ".join(f'"{k}"' for k in missing)
            errors.insert(0, f"Missing key(s) in state_dict: {names}. ")
    if errors:
        raise RuntimeError(
            f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(errors)
        )
    return missing, unexpected

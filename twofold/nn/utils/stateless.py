"""Calls of a module with other tensors in the place of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..modules.module import Module


@contextmanager
def replaced(module: Module, tensors: dict[str, Any], strict: bool = False) -> Iterator[None]:
    """Within the block, the module's parameters and buffers of these paths are other tensors."""
    known: dict[str, Any] = dict(module.named_parameters(remove_duplicate=False))
    known |= dict(module.named_buffers(remove_duplicate=False))
    if strict and known.keys() != tensors.keys():
        missing, unexpected = known.keys() - tensors.keys(), tensors.keys() - known.keys()
        raise RuntimeError(
            f"Error(s) in reparametrizing for {type(module).__name__}:\n\tMissing key(s): "
            f"{sorted(missing)}.\n\tUnexpected key(s): {sorted(unexpected)}."
        )
    before = []
    try:
        for path, value in tensors.items():
            owner_path, _, name = path.rpartition(".")
            owner = module.get_submodule(owner_path)
            own = owner._parameters if name in owner._parameters else owner._buffers
            before.append((own, name, own.get(name)))
            own[name] = value
        yield
    finally:
        for own, name, value in reversed(before):
            own[name] = value


def functional_call(
    module: Module, parameters_and_buffers: Any, args: Any = None, kwargs: Any = None, *,
    tie_weights: bool = True, strict: bool = False,
) -> Any:  # fmt: skip
    """module(*args) with these tensors in the place of its parameters and buffers.

    >>> import twofold as tf
    >>> net = tf.nn.Linear(2, 1, bias=False)
    >>> functional_call(net, {"weight": tf.ones(1, 2)}, (tf.ones(1, 2),))
    tensor([[2.]])
    """
    if isinstance(parameters_and_buffers, (tuple, list)):
        parameters_and_buffers = {k: v for d in parameters_and_buffers for k, v in d.items()}
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with replaced(module, parameters_and_buffers, strict):
        return module(*args, **(kwargs or {}))

"""Models as functions of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..functions._registry import functions
from ..nn.modules.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from ..nn.utils.stateless import functional_call as functional_call
from ..tensor import Tensor


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of models of one class, each stacked along a new axis 0.

    For `vmap` over an ensemble. RuntimeError if there are none, or they differ in class or mode.
    """
    if not len(models):
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = _stacked([dict(m.named_parameters()) for m in models])
    buffers = _stacked([dict(m.named_buffers()) for m in models])
    return parameters, buffers


def _stacked(each: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    result = {}
    for name in each[0]:
        values = [d[name] for d in each]
        requires = {v.requires_grad for v in values}
        if len(requires) > 1:
            raise RuntimeError(
                f"Expected {name} to have the same requires_grad in all models; got {requires}"
            )
        stacked = functions["stack"]([v.detach() for v in values])
        result[name] = stacked.requires_grad_() if True in requires else stacked
    return result


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Let batch norms anywhere in a model normalise by the batch alone, with no running values
    that `vmap` could not write to."""
    for module in root.modules():
        if isinstance(module, (BatchNorm1d, BatchNorm2d, BatchNorm3d)):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return root


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """`func`: the graph of what it computes holds no writes in any case."""
    return func


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """`tensor`: transforms wrap nothing."""
    return tensor

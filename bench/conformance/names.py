"""PyTorch's documented names, and which of them Twofold has."""

from __future__ import annotations

import inspect
import types
from typing import Any

import torch

import twofold as tf

from .convert import resolve

NAMESPACES = (
    "torch", "Tensor", "nn", "nn.functional", "nn.init", "nn.utils", "optim",
    "optim.lr_scheduler", "linalg", "fft", "special", "autograd", "autograd.functional", "func",
    "utils.data", "distributions", "sparse", "random",
)  # fmt: skip


_INTERNAL = frozenset(
    "AggregationType DispatchKey Tag ScriptClass ScriptFunction factory_kwargs import_ir_module "
    "import_ir_module_from_buffer init_num_threads merge_type_from_type_comment parse_ir "
    "parse_schema parse_type_comment unify_type_list ScalingType SwizzleType NestedIOFunction "
    "hash_tensor thread_safe_generator rearrange debug_unwrap enforce_grad_layout_policy "
    "swap_in_optimizer_params_and_state as_sparse_gradcheck".split()
)
"""Names that Python finds in PyTorch's modules and its documentation does not list."""


def documented(namespace: str) -> list[str]:
    """The public names of a namespace that PyTorch gives a docstring."""
    holder = torch if namespace == "torch" else resolve(namespace, torch)
    listed = dir(holder) if namespace != "torch" else torch.__all__
    listed = getattr(holder, "__all__", listed) if namespace != "nn" else listed
    return sorted(n for n in listed if _is_documented(namespace, holder, n))


def _is_documented(namespace: str, holder: Any, name: str) -> bool:
    if name.startswith("_") or name == "__version__":
        return False
    value = getattr(holder, name, None)
    if isinstance(value, (types.ModuleType, torch.dtype, torch.layout, torch.memory_format)):
        return False
    if namespace == "Tensor":
        return bool(getattr(value, "__doc__", None))
    module = getattr(value, "__module__", None) or "torch"
    if not callable(value) or not module.startswith("torch") or "typing" in module:
        return False
    if isinstance(value, type) and not value.__doc__:
        return False
    if namespace == "torch" and (module.startswith("torch._C") and isinstance(value, type)):
        return name in ("Generator", "Size", "dtype", "device", "finfo", "iinfo")
    if name in _INTERNAL or module.startswith(("torch.overrides", "torch._jit_internal")):
        return False
    if namespace == "torch" and name.startswith(("sym_", "Sym")):
        return False
    return bool(inspect.getdoc(value)) if not isinstance(value, type) else True


def present(namespace: str) -> dict[str, bool]:
    """For each documented name, whether Twofold has it."""
    try:
        holder = tf if namespace == "torch" else resolve(namespace)
    except AttributeError:
        holder = None
    return {n: holder is not None and _has(holder, n) for n in documented(namespace)}


def _has(holder: Any, name: str) -> bool:
    try:
        getattr(holder, name)
    except AttributeError:
        return False
    return True

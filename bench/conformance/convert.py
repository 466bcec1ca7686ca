"""PyTorch's values as Twofold's, and whether two results agree."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import twofold as tf


class NotConvertible(Exception):
    """A sample that has no counterpart: a sparse or quantized tensor, another device."""


def name_of(value: Any) -> str:
    """The last part of the name by which PyTorch prints a dtype, layout or memory format."""
    return str(value).rpartition(".")[2]


def resolve(path: str, root: Any = tf) -> Any:
    """What `path` names below `root`. AttributeError if it is not there."""
    for part in path.split("."):
        root = getattr(root, part)
    return root


def tensor(x: torch.Tensor) -> Any:
    """A Twofold tensor with a copy of x's values."""
    if x.layout is not torch.strided or x.is_quantized:
        raise NotConvertible(f"a tensor of layout {x.layout}")
    if x.device.type != "cpu":
        raise NotConvertible(f"a tensor on {x.device}")
    plain = x.detach().resolve_conj().resolve_neg()
    dtype = getattr(tf, name_of(x.dtype))
    if x.dtype is torch.bfloat16:
        made = tf.tensor(plain.float().numpy(), dtype=dtype)
    else:
        made = tf.tensor(plain.numpy(), dtype=dtype)
    return made.requires_grad_() if x.requires_grad else made


class Converter:
    """Converts nested values; each tensor once, so that what was shared stays shared."""

    def __init__(self) -> None:
        self.pairs: list[tuple[torch.Tensor, Any]] = []
        self._known: dict[int, Any] = {}

    def __call__(self, value: Any) -> Any:
        """The counterpart of `value`."""
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, torch.Size):
            return tf.Size(value)
        if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
            return getattr(tf, name_of(value))
        if isinstance(value, torch.device):
            return tf.device(str(value))
        if isinstance(value, torch.Generator):
            return tf.Generator()
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self, value))
        if isinstance(value, (list, tuple)):
            return type(value)(map(self, value))
        if isinstance(value, dict):
            return {k: self(v) for k, v in value.items()}
        if isinstance(value, torch.nn.Module):
            return self._module(value)
        if callable(value) and not isinstance(value, type):
            return function(value)
        if isinstance(value, type) and value.__module__.startswith("torch"):
            return resolve(value.__module__.removeprefix("torch.") + "." + value.__name__)
        return value

    def _tensor(self, value: torch.Tensor) -> Any:
        found = self._known.get(id(value))
        if found is None:
            found = self._known[id(value)] = tensor(value)
            self.pairs.append((value, found))
        return found

    def _module(self, value: torch.nn.Module) -> Any:
        kind, args = getattr(tf.nn, type(value).__name__), {}
        if isinstance(value, (torch.nn.TransformerEncoderLayer, torch.nn.TransformerDecoderLayer)):
            args = {
                "d_model": value.self_attn.embed_dim, "nhead": value.self_attn.num_heads,
                "dim_feedforward": value.linear1.out_features, "dropout": value.dropout.p,
                "activation": function(value.activation), "norm_first": value.norm_first,
                "batch_first": value.self_attn.batch_first,
                "bias": value.linear1.bias is not None,
            }  # fmt: skip
        made = kind(**args)
        made.load_state_dict({k: self(v) for k, v in value.state_dict().items()})
        return made


def _without_seed(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return f(*args, **kwargs)


def function(f: Any) -> Any:
    """The counterpart of a function of PyTorch's, or of one that its tests wrote around some."""
    module = getattr(f, "__module__", None) or ""
    name = getattr(f, "__name__", "")
    inside = module.startswith("torch.testing")
    if isinstance(f, types.FunctionType) and (inside or name == "<lambda>"):
        swapped = {**f.__globals__, "torch": tf, "wrapper_set_seed": _without_seed}
        swapped["F"] = tf.nn.functional
        closure = tuple(
            types.CellType(function(c.cell_contents) if callable(c.cell_contents) else
                           c.cell_contents)
            for c in f.__closure__ or ()
        )  # fmt: skip
        made = types.FunctionType(f.__code__, swapped, name, f.__defaults__, closure)
        made.__kwdefaults__ = f.__kwdefaults__
        return made
    own = getattr(f, "__objclass__", None)
    if own is not None and issubclass(torch.Tensor, own):
        return getattr(tf.Tensor, name)
    if module.startswith(("torch.nn.functional", "torch._C._nn")) or (
        getattr(torch.nn.functional, name, None) is f
    ):
        return getattr(tf.nn.functional, name)
    if getattr(torch, name, None) is f:
        return getattr(tf, name)
    for part in ("linalg", "fft", "special"):
        if getattr(getattr(torch, part), name, None) is f:
            return resolve(f"{part}.{name}")
    return f


# Comparison.

TOLERANCE = {"float64": 1e-7, "complex128": 1e-7, "float16": 2e-3, "bfloat16": 2e-2}
"""Allowed relative error; 1e-4 where a dtype is not named, as sums are ordered differently."""


def difference(expected: Any, got: Any, values: bool = True) -> str | None:
    """How `got` differs from what PyTorch gave; None if it does not."""
    if isinstance(expected, torch.Tensor):
        return _tensor_difference(expected, got, values)
    if isinstance(expected, (torch.dtype, torch.layout, torch.memory_format)):
        return None if name_of(got) == name_of(expected) else f"{got} for {expected}"
    if isinstance(expected, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(expected):
            return f"{type(got).__name__} for {type(expected).__name__} of {len(expected)}"
        for i, (a, b) in enumerate(zip(expected, got)):
            if (text := difference(a, b, values)) is not None:
                return f"[{i}] {text}"
        return None
    if isinstance(expected, float):
        same = math.isclose(expected, got, rel_tol=1e-4, abs_tol=1e-5) or expected != expected
        return None if same or not values else f"{got} for {expected}"
    if isinstance(expected, (bool, int, str, type(None))):
        return None if got == expected or not values else f"{got!r} for {expected!r}"
    return None


def _tensor_difference(expected: torch.Tensor, got: Any, values: bool) -> str | None:
    if not isinstance(got, tf.Tensor):
        return f"{type(got).__name__} for a tensor"
    if tuple(got.shape) != tuple(expected.shape):
        return f"shape {tuple(got.shape)} for {tuple(expected.shape)}"
    if name_of(got.dtype) != name_of(expected.dtype):
        return f"dtype {name_of(got.dtype)} for {name_of(expected.dtype)}"
    if not values:
        return None
    a, b = as_array(expected), as_array(got)
    tolerance = TOLERANCE.get(name_of(expected.dtype), 1e-4)
    return array_difference(a, b, tolerance)


def as_array(x: Any) -> np.ndarray:
    """A tensor of either side as an array that NumPy computes with."""
    x = x.detach()
    if isinstance(x, tf.Tensor) and x.layout is not tf.strided:
        x = x.to_dense()
    if isinstance(x, torch.Tensor):
        x = x.to_dense() if x.layout is not torch.strided else x
        x = torch.zeros_like(x, memory_format=torch.contiguous_format) if x._is_zerotensor() else x
        x = x.resolve_conj().resolve_neg()
    return (x.float() if name_of(x.dtype) == "bfloat16" else x).numpy()


def array_difference(a: np.ndarray, b: np.ndarray, tolerance: float) -> str | None:
    """Where b lies further from a than the tolerance allows."""
    if a.dtype.kind not in "fc":
        wrong = a != b
    else:
        finite = np.abs(a[np.isfinite(a)])
        scale = max(1.0, float(finite.max())) if finite.size else 1.0
        near = np.isclose(b, a, rtol=tolerance, atol=0.1 * tolerance * scale, equal_nan=True)
        wrong = ~near
    if not wrong.any():
        return None
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {a.size} values; at {place} {b[place]} for {a[place]}"

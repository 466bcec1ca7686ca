"""Pruning: a parameter times a mask, in the parameter's place.

A pruned module keeps the whole parameter as `NAME_orig` and the mask as the buffer `NAME_mask`;
`NAME` is their product, made anew before each forward.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...creation import ones_like
from ...functions.random import rand_like, randperm
from ...functions.shape import cat
from ...tensor import Tensor


class BasePruningMethod:
    """A way to choose a mask. Subclasses give `PRUNING_TYPE` ("unstructured", "structured" or
    "global") and `compute_mask(t, default_mask)`."""

    PRUNING_TYPE = "unstructured"
    _tensor_name: str = ""

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for `t`, in which what `default_mask` has cut stays cut."""
        raise NotImplementedError

    def apply_mask(self, module: Any) -> Tensor:
        """The parameter times its mask."""
        original = getattr(module, self._tensor_name + "_orig")
        return getattr(module, self._tensor_name + "_mask").to(original.dtype) * original

    @classmethod
    def apply(
        cls, module: Any, name: str, *args: Any, importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Prune a module's parameter, on top of what is pruned already."""
        method = cls(*args, **kwargs)
        method._tensor_name = name
        old = _method_of(module, name)
        original = getattr(module, name if old is None else name + "_orig")
        scores = original if importance_scores is None else importance_scores
        if scores.shape != original.shape:
            raise ValueError(
                "importance_scores should have the same shape as parameter "
                f"{name} of {module}; got {scores.shape} and {original.shape}"
            )
        if old is None:
            default = ones_like(original.detach())
            del module._parameters[name]
            module.register_parameter(name + "_orig", original)
        else:
            default = getattr(module, name + "_mask").detach().clone()
            container = PruningContainer(*_parts(old))
            container._tensor_name = name
            container.add_pruning_method(method)
            _forget(module, name)
            method = container
            scores = scores.detach()
        mask = method.compute_mask(scores, default)
        module.register_buffer(name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None
    ) -> Tensor:
        """`t` with what the method chooses at 0."""
        default = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(t if importance_scores is None else importance_scores, default)

    def remove(self, module: Any) -> None:
        """Let the pruned values be the parameter for good."""
        name = self._tensor_name
        pruned = self.apply_mask(module).detach()
        original = module._parameters.pop(name + "_orig")
        original.data = pruned
        del module._buffers[name + "_mask"]
        module.__dict__.pop(name, None)
        module.register_parameter(name, original)


def _method_of(module: Any, name: str) -> Any:
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return hook
    return None


def _forget(module: Any, name: str) -> None:
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            del module._forward_pre_hooks[key]


def _parts(method: Any) -> tuple[Any, ...]:
    return tuple(method) if isinstance(method, PruningContainer) else (method,)


class PruningContainer(BasePruningMethod):
    """Methods one after the other: each chooses among what those before have left."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        for method in args:
            self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """One more method for the same parameter."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._tensor_name and method._tensor_name != self._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, index: int) -> Any:
        return self._pruning_methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """What the last method leaves of what the mask has left."""
        method = self._pruning_methods[-1]
        if method.PRUNING_TYPE == "structured":
            axis = method.dim % t.dim()
            others = [a for a in range(t.dim()) if a != axis]
            kept = (default_mask.sum(others) != 0).nonzero().reshape(-1)
            part = method.compute_mask(
                t.index_select(axis, kept), default_mask.index_select(axis, kept)
            )
            return default_mask.index_copy(axis, kept, part.to(default_mask.dtype))
        left = default_mask.reshape(-1).nonzero().reshape(-1)
        flat = t.reshape(-1).index_select(0, left)
        part = method.compute_mask(flat, ones_like(flat))
        whole = default_mask.reshape(-1).index_copy(0, left, part.to(default_mask.dtype))
        return whole.reshape(default_mask.shape)


class Identity(BasePruningMethod):
    """Prunes nothing, but gives a module the form of a pruned one."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask as it was."""
        return default_mask


def _count(amount: float, size: int) -> int:
    """How many elements an amount, a share or a number, is."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if isinstance(amount, int):
        if amount < 0:
            raise ValueError(f"amount={amount} should either be a float in the range [0.0, 1.0] "
                             "or a non-negative integer")  # fmt: skip
        if amount > size:
            raise ValueError(f"amount={amount} should be smaller than the number of parameters to "
                             f"prune={size}")  # fmt: skip
        return amount
    if not 0 <= amount <= 1:
        raise ValueError(f"amount={amount} should either be a float in the range [0.0, 1.0] or a "
                         "non-negative integer")  # fmt: skip
    return round(amount * size)


class _ByAmount(BasePruningMethod):
    def __init__(self, amount: float) -> None:
        _count(amount, 1 << 62)
        self.amount = amount


class RandomUnstructured(_ByAmount):
    """Prunes elements drawn at random."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask with so many more elements cut."""
        n = _count(self.amount, t.numel())
        if not n:
            return default_mask
        return _cut(default_mask, rand_like(t).reshape(-1).topk(n)[1])


class L1Unstructured(_ByAmount):
    """Prunes the smallest elements."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask with so many more elements cut."""
        n = _count(self.amount, t.numel())
        if not n:
            return default_mask
        return _cut(default_mask, t.detach().abs().reshape(-1).topk(n, largest=False)[1])


def _cut(mask: Tensor, places: Tensor) -> Tensor:
    return mask.clone().reshape(-1).index_fill(0, places, 0).reshape(mask.shape)


class _Structured(_ByAmount):
    PRUNING_TYPE = "structured"
    dim = -1

    def _slices(self, t: Tensor, count: int) -> Tensor:
        """The places along `dim` that are cut."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask with so many more slices cut."""
        if t.dim() < 2:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor "
                f"of shape {t.shape} with {t.dim()} dims"
            )
        n = _count(self.amount, t.shape[self.dim])
        if not n:
            return default_mask
        return default_mask.index_fill(self.dim, self._slices(t, n), 0)


class RandomStructured(_Structured):
    """Prunes slices along `dim` drawn at random."""

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _slices(self, t: Tensor, count: int) -> Tensor:
        return randperm(t.shape[self.dim])[:count]


class LnStructured(_Structured):
    """Prunes the slices along `dim` of the smallest n-norms."""

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount)
        self.n, self.dim = n, dim

    def _slices(self, t: Tensor, count: int) -> Tensor:
        axis = self.dim % t.dim()
        others = [a for a in range(t.dim()) if a != axis]
        return t.detach().norm(self.n, others).topk(count, largest=False)[1]


class CustomFromMask(BasePruningMethod):
    """Prunes what a mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Both masks together."""
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module: Any, name: str) -> Any:
    """Give a module the form of a pruned one."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: float) -> Any:
    """Prune elements of a parameter drawn at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Any, name: str, amount: float, importance_scores: Tensor | None = None
) -> Any:
    """Prune the smallest elements of a parameter."""
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: float, dim: int) -> Any:
    """Prune slices of a parameter drawn at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Any, name: str, amount: float, n: Any, dim: int,
    importance_scores: Tensor | None = None,
) -> Any:  # fmt: skip
    """Prune the slices of a parameter of the smallest n-norms."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Tensor) -> Any:
    """Prune what a mask says."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Any, str]], pruning_method: Any,
    importance_scores: dict[Any, Tensor] | None = None, **kwargs: Any,
) -> None:  # fmt: skip
    """Prune elements of several parameters as if they were one."""
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    pairs = list(parameters)
    if pruning_method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE is supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {pruning_method.PRUNING_TYPE}"
        )
    scores, masks = [], []
    for module, name in pairs:
        own = getattr(module, name).detach()
        given = (importance_scores or {}).get((module, name), own)
        scores.append(given.reshape(-1))
        mask = getattr(module, name + "_mask", None)
        masks.append((ones_like(own) if mask is None else mask).reshape(-1))
    container = PruningContainer()
    method = pruning_method(**kwargs)
    method._tensor_name = container._tensor_name = "temp"
    container.add_pruning_method(method)
    whole = container.compute_mask(cat(scores), cat(masks))
    start = 0
    for module, name in pairs:
        shape = getattr(module, name).shape
        size = shape.numel()
        custom_from_mask(module, name, whole[start : start + size].reshape(shape))
        start += size


def remove(module: Any, name: str) -> Any:
    """Let the pruned values of a parameter be the parameter for good. ValueError if it is not
    pruned."""
    method = _method_of(module, name)
    if method is None:
        raise ValueError(
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
        )
    method.remove(module)
    _forget(module, name)
    return module


def is_pruned(module: Any) -> bool:
    """Whether a parameter of the module, or of one within, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for each in module.modules()
        for hook in each._forward_pre_hooks.values()
    )

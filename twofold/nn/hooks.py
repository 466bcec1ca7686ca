"""What modules' hooks need: handles that take them away, and the backward hooks' two functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from ..custom_function import Function
from ..tensor import Tensor

_keys = itertools.count()


class RemovableHandle:
    """Takes a hook away again, by `remove()` or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Any], *, extra_dict: Any = None) -> None:
        self.hooks = hooks
        self.id = next(_keys)
        if extra_dict is None:
            self.extra: tuple[dict[int, Any], ...] = ()
        else:
            self.extra = (extra_dict,) if isinstance(extra_dict, dict) else tuple(extra_dict)

    def remove(self) -> None:
        """Take the hook away."""
        for hooks in (self.hooks, *self.extra):
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *details: object) -> None:
        self.remove()


def add_hook(hooks: dict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    """Put `hook` last, or first with `prepend`."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)  # type: ignore[attr-defined]
    return handle


class _Watch(Function):
    """Gives its tensors as they are; their gradients, all together, to `seen`, which may change
    them."""

    @staticmethod
    def forward(ctx: Any, seen: Callable[[tuple], tuple], *tensors: Tensor) -> Any:
        ctx.seen = seen
        return tuple(x.view_as(x) for x in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        return (None, *ctx.seen(gradients))


class BackwardHooks:
    """The backward hooks of one call of a module.

    Inputs pass through one `_Watch` and outputs through another. When the gradients of the outputs
    are there, the pre-hooks see them; when those of the inputs are, the hooks see both. Without an
    input that requires a gradient the hooks see Nones in its place, after the outputs' gradients.
    """

    def __init__(self, module: Any, hooks: list[Any], pre_hooks: list[Any]) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.output_gradients: tuple = ()
        self.n_inputs = 0
        self.watches_inputs = False

    def watch_inputs(self, args: tuple) -> tuple:
        """The arguments of forward."""
        self.n_inputs = len(args)

        def seen(gradients: tuple) -> tuple:
            return self._call_hooks(places, gradients)

        result, places = _watch(args, seen)
        self.watches_inputs = bool(places)
        return tuple(result)

    def watch_outputs(self, output: Any) -> Any:
        """What forward gave: a tensor or a tuple of them (anything else is left alone)."""
        several = isinstance(output, (tuple, list))
        outputs = tuple(output) if several else (output,)

        def seen(gradients: tuple) -> tuple:
            whole = _spread(gradients, places, len(outputs))
            for hook in self.pre_hooks:
                changed = hook(self.module, whole)
                if changed is not None:
                    whole = changed if isinstance(changed, tuple) else (changed,)
            self.output_gradients = whole
            if not self.watches_inputs:
                self._call_hooks([], ())
            return tuple(whole[i] for i in places)

        result, places = _watch(outputs, seen)
        if not several:
            return result[0]
        return type(output)(*result) if hasattr(output, "_fields") else type(output)(result)

    def _call_hooks(self, places: list[int], gradients: tuple) -> tuple:
        whole = _spread(gradients, places, self.n_inputs)
        for hook in self.hooks:
            changed = hook(self.module, whole, self.output_gradients)
            if changed is not None:
                whole = changed if isinstance(changed, tuple) else (changed,)
                if len(whole) != self.n_inputs:
                    raise RuntimeError(
                        "Backward hook returned an invalid number of grad_input, got "
                        f"{len(whole)}, but expected {self.n_inputs}"
                    )
        return tuple(whole[i] for i in places)


def _watch(values: tuple, seen: Callable[[tuple], tuple]) -> tuple[list[Any], list[int]]:
    """The values with those that require gradients watched, and their places."""
    places = [i for i, x in enumerate(values) if isinstance(x, Tensor) and x.requires_grad]
    result = list(values)
    if places:
        watched = _Watch.apply(seen, *[values[i] for i in places])
        for i, x in zip(places, watched, strict=True):
            result[i] = x
    return result, places


def _spread(gradients: tuple, places: list[int], n: int) -> tuple:
    whole: list[Any] = [None] * n
    for i, g in zip(places, gradients, strict=True):
        whole[i] = g
    return tuple(whole)

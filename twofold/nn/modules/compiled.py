"""Modules whose calls are captured stay modules."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ... import capture
from .module import Module


class CompiledModule(Module):
    """A module that is called as one plan. What it is asked for besides is the module's, which is
    `_orig_mod`, as in PyTorch, also in the names of its state."""

    def __init__(self, module: Module, options: dict[str, Any]) -> None:
        super().__init__()
        self._orig_mod = module
        self.__dict__["_options"] = options
        self.__dict__["_captured"] = capture.compile(module, **options)
        self.__dict__["training"] = module.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        return self._captured(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules", {})
        if name in modules or "_orig_mod" not in modules:
            return super().__getattr__(name)
        return getattr(modules["_orig_mod"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        modules = self.__dict__.get("_modules", {})
        if name in ("training", "_orig_mod") or "_orig_mod" not in modules:
            super().__setattr__(name, value)
        else:
            setattr(modules["_orig_mod"], name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k != "_captured"}

    def __setstate__(self, found: dict[str, Any]) -> None:
        super().__setstate__(found)
        made = capture.compile(self._modules["_orig_mod"], **self.__dict__["_options"])
        self.__dict__["_captured"] = made


def compile(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`function` run as one plan: graph, gradients, optimizer's update and all.

    Its first calls run as they are; once two of a kind did the same, further ones skip Python. A
    training step (forward, `backward()`, `optimizer.step()`) is captured whole, and parameters,
    optimizer state, gradients and random numbers are as without. Where it decides by a tensor's
    value (`if`, `while`, `for ... in range`), both ways become part of the plan, by its source, if
    they are values and no effects; with `control="dynamic"` it then runs as it is. Python numbers
    that differ between the ways, or from round to round, become tensors, which are no `int` and no
    keys of dicts; numbers of other scopes stay as they were when captured. Functions that
    cannot be replayed run as they are, with a warning that says why and where; with
    `fullgraph=True` that is a RuntimeError. Also a decorator. A module stays a module, with the
    parameters of the one given. PyTorch's other options change nothing. TypeError for arguments
    that are neither tensors nor hashable.

    >>> import twofold as tf
    >>> @tf.compile
    ... def scale(x, factor):
    ...     return x * factor
    >>> [scale(tf.ones(2), 3).tolist() for _ in range(3)][-1]
    [3.0, 3.0]
    >>> net = tf.compile(tf.nn.Linear(3, 2))
    >>> net(tf.ones(4, 3)).shape, [name for name, _ in net.named_parameters()]
    (twofold.Size([4, 2]), ['_orig_mod.weight', '_orig_mod.bias'])
    """
    if function is None:
        return functools.partial(compile, **options)
    if isinstance(function, Module) and not options.get("disable"):
        return CompiledModule(function, options)
    return capture.compile(function, **options)

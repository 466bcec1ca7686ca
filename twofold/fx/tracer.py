"""Calls a module with stand-ins and records what it does."""

from __future__ import annotations

import contextlib
import functools
import inspect
import operator
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..functions import functions
from ..nn import Module, Sequential, functional
from ..tensor import Tensor
from .graph import Graph
from .graph_module import GraphModule
from .node import map_aggregate
from .proxy import OPERATORS, Attribute, Proxy, TracerBase

_PACKAGE = __name__.split(".")[0]
_wrapped: list[tuple[dict[str, Any], str]] = []


def wrap(fn_or_name: Any) -> Any:
    """Record calls of a function of the program's as one node, given itself or its name at the top
    of its module; a decorator too."""
    name = fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__
    frame = sys._getframe(1)
    if frame.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    _wrapped.append((frame.f_globals, name))
    return fn_or_name


class Tracer(TracerBase):
    """Records a module's forward. Modules of `torch.nn` become one node each, others are gone
    through; `is_leaf_module` and `call_module` can be overridden."""

    def __init__(
        self, autowrap_modules: tuple = (), autowrap_functions: tuple = (),
        param_shapes_constant: bool = False,
    ) -> None:  # fmt: skip
        self._autowrap_modules, self._autowrap_functions = autowrap_modules, autowrap_functions
        self.root: Module = Module()
        self._paths: dict[int, str] = {}
        self._attributes: dict[int, str] = {}

    def is_leaf_module(self, m: Module, module_qualified_name: str) -> bool:
        """Whether a module becomes one node."""
        inside = m.__module__.startswith((f"{_PACKAGE}.nn", "torch.nn"))
        return inside and not isinstance(m, Sequential)

    def path_of_module(self, mod: Module) -> str:
        """The path of a module below the root. NameError if it is not there."""
        if id(mod) not in self._paths:
            raise NameError("module is not installed as a submodule")
        return self._paths[id(mod)]

    def call_module(
        self, m: Module, forward: Callable[..., Any], args: tuple, kwargs: dict[str, Any]
    ) -> Any:
        """What a call of module m gives: a node, or what its forward gives."""
        path = self.path_of_module(m)
        if self.is_leaf_module(m, path):
            return self.create_proxy("call_module", path, args, kwargs)
        return forward(*args, **kwargs)

    def create_arg(self, a: Any) -> Any:
        """A value as an argument of a node; tensors as attributes of the root."""
        if isinstance(a, Tensor):
            path = self._attributes.get(id(a))
            if path is None:
                n = sum(name.startswith("_tensor_constant") for name in vars(self.root))
                path = f"_tensor_constant{n}"
                setattr(self.root, path, a)
                self._attributes[id(a)] = path
            return self.create_node("get_attr", path, (), {})
        if isinstance(a, Module):
            return self.create_node("get_attr", self.path_of_module(a), (), {})
        if isinstance(a, (tuple, list, dict, slice)) and type(a) not in (tuple, list, dict, slice):
            return map_aggregate(a, self.create_arg)
        return super().create_arg(a)

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> Graph:
        """The graph of what a module's forward, or a function, does."""
        is_module = isinstance(root, Module)
        self.root = root if is_module else Module()
        forward = type(root).forward if is_module else root
        self.graph = Graph(tracer_cls=type(self))
        self._paths = {id(m): name for name, m in self.root.named_modules()}
        self._attributes = {
            id(x): name for name, x in (*self.root.named_parameters(), *self.root.named_buffers())
        }
        for path, module in self.root.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Tensor):
                    self._attributes.setdefault(id(value), f"{path}.{name}".lstrip("."))
        args, kwargs = self._stand_ins(forward, is_module, concrete_args or {})
        with _recorded(self):
            result = forward(*([root] if is_module else []), *args, **kwargs)
        self.graph.output(map_aggregate(result, self.create_arg))
        return self.graph

    def _stand_ins(
        self, forward: Callable[..., Any], is_module: bool, concrete: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """A placeholder for each parameter of a function."""
        parameters = list(inspect.signature(forward).parameters.values())[1 if is_module else 0 :]
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for p in parameters:
            if p.name in concrete:
                value = concrete[p.name]
            elif p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                continue
            else:
                default = () if p.default is p.empty else (p.default,)
                value = self.create_proxy("placeholder", p.name, default, {})
            if p.kind is p.KEYWORD_ONLY:
                kwargs[p.name] = value
            else:
                args.append(value)
        return args, kwargs


_STAND_INS = frozenset([Proxy, Attribute])


def _tracer_of(values: Iterable[Any]) -> TracerBase | None:
    """The tracer of a stand-in among values and what is in their sequences."""
    for x in values:
        kind = x.__class__
        if kind in _STAND_INS:
            return x.tracer
        if kind is tuple or kind is list:
            found = _tracer_of(x)
            if found is not None:
                return found
    return None


def _recording(
    function: Callable[..., Any], target: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """`function`, whose calls with stand-ins are recorded, as calls of `target` or of itself."""

    @functools.wraps(function)
    def apply(*args: Any, **kwargs: Any) -> Any:
        tracer = _tracer_of(args)
        if tracer is None and kwargs:
            tracer = _tracer_of(kwargs.values())
        if tracer is None:
            return function(*args, **kwargs)
        return tracer.create_proxy("call_function", target or apply, args, kwargs)

    return apply


def _record_functions() -> None:
    """Let public functions record calls with stand-ins, wherever the program has these from."""
    package = sys.modules[_PACKAGE]
    known = {id(f): _recording(f) for name, f in functions.items() if vars(package).get(name) is f}
    for name, f in vars(functional).items():
        if isinstance(f, types.FunctionType) and name[0] != "_" and id(f) not in known:
            known[id(f)] = _recording(f)
    for space in (package, functional, sys.modules.get("torch")):
        for name, f in list(vars(space).items()) if space else ():
            if id(f) in known:
                setattr(space, name, known[id(f)])


_record_functions()


@contextlib.contextmanager
def _recorded(tracer: Tracer) -> Iterator[None]:
    """For the block, operators of tensors and functions of the program's that are wrapped record
    their calls with stand-ins, and calls of modules go through the tracer."""
    undo: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, name: str, value: Any) -> None:
        where = owner if isinstance(owner, dict) else vars(owner)
        undo.append((owner, name, where[name]))
        _put(owner, name, value)

    for name in OPERATORS:
        method, plain = f"__{name.rstrip('_')}__", getattr(operator, name)
        if method in vars(Tensor):
            record = _recording(vars(Tensor)[method], plain)
            replace(Tensor, method, record)
    for space, name in _wrapped:
        replace(space, name, _recording(space[name], space[name]))
    for module in tracer._autowrap_modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, types.BuiltinFunctionType) and name[0] != "_":
                replace(module, name, _recording(value, value))

    call = Module.__call__

    def call_module(self: Module, *args: Any, **kwargs: Any) -> Any:
        forward = functools.partial(call, self)
        return tracer.call_module(self, forward, args, kwargs)

    replace(Module, "__call__", call_module)
    try:
        yield
    finally:
        for owner, name, value in reversed(undo):
            _put(owner, name, value)


def _put(owner: Any, name: str, value: Any) -> None:
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)


def symbolic_trace(root: Any, concrete_args: dict[str, Any] | None = None) -> GraphModule:
    """A module that does what `root`, a module or a function, does, with the graph of it.

    >>> import twofold as tf
    >>> traced = symbolic_trace(lambda x: tf.relu(x) + 1)
    >>> print(traced.code.strip())
    def forward(self, x):
        relu = torch.relu(x)
        add = relu + 1
        return add
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)

"""A module whose forward is made from a graph."""

from __future__ import annotations

import copy
import linecache
import pickle
from typing import Any

from ..nn import Module
from .graph import Graph

_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"


class _CodeOnlyModule(Module):
    """A module that takes over attributes."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.__dict__ = body


def _copy_attr(from_module: Module, to_module: Module, target: str) -> None:
    """Let `to_module` have the attribute at a path of `from_module`, with modules on the way."""
    *path, field = target.split(".")
    for name in path:
        from_module = getattr(from_module, name)
        if not hasattr(to_module, name):
            setattr(to_module, name, Module())
        to_module = getattr(to_module, name)
    value = getattr(from_module, field)
    if field in getattr(from_module, "_buffers", {}) and field not in to_module._buffers:
        to_module.register_buffer(field, value)
    else:
        setattr(to_module, field, value)


class GraphModule(Module):
    """A module that runs `graph`; setting the graph, or `recompile()` after changing it, makes its
    forward anew. It holds what the graph uses of `root`."""

    _graph: Graph
    _code: str

    def __new__(cls, *args: Any, **kwargs: Any) -> GraphModule:
        # Each has a class of its own, since `forward` belongs to the class.
        for base in cls.__mro__:
            if "_is_made" not in vars(base):
                own = base
                break
        return super().__new__(type(own.__name__, (own,), {"_is_made": True}))

    def __init__(self, root: Any, graph: Graph, class_name: str = "GraphModule") -> None:
        super().__init__()
        type(self).__name__ = class_name
        if isinstance(root, Module):
            self.training = root.training
        for node in graph.nodes:
            if node.op in ("get_attr", "call_module"):
                target = str(node.target)
                if isinstance(root, dict):
                    setattr(self, target, root[target])
                else:
                    _copy_attr(root, self, target)
        self._tracer_cls = graph._tracer_cls
        self.meta: dict[str, Any] = {}
        self.graph = graph

    @property
    def graph(self) -> Graph:
        """The calls that forward makes."""
        return self._graph

    @graph.setter
    def graph(self, g: Graph) -> None:
        self._graph = g
        g.owning_module = self
        self.recompile()

    @property
    def code(self) -> str:
        """The forward function as Python."""
        return self._code

    def recompile(self) -> Any:
        """Make forward anew from the graph."""
        made = self._graph.python_code("self")
        self._code = made.src
        file = f"<graph of {id(self)}>"
        linecache.cache[file] = (len(made.src), None, made.src.splitlines(True), file)
        space = dict(made.globals)
        exec(compile(made.src, file, "exec"), space)
        type(self).forward = space["forward"]
        return made

    def print_readable(self, print_output: bool = True, **_: Any) -> str:
        """The forward function as Python, printed too."""
        if print_output:
            print(self._code)
        return self._code

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise pickle.PicklingError(
            f"Can't pickle {type(self).__name__}, a module whose forward is made from a graph; "
            "save its state_dict(), and trace the module anew"
        )

    def __copy__(self) -> GraphModule:
        result = GraphModule(self, self.graph, type(self).__name__)
        result.meta = dict(self.meta)
        return result

    def _deepcopy_init(self) -> Any:
        return GraphModule.__init__

    def __deepcopy__(self, memo: dict[int, Any]) -> GraphModule:
        body = {k: copy.deepcopy(v, memo) for k, v in self.__dict__.items() if k != "_graph"}
        result = type(self).__new__(type(self))
        memo[id(self)] = result
        init = self._deepcopy_init()
        init(result, _CodeOnlyModule(body), copy.deepcopy(self._graph, memo))
        return result

    def delete_submodule(self, target: str) -> bool:
        """Take a module out; whether it was there."""
        *path, field = target.split(".")
        module: Module = self
        for name in path:
            if name not in module._modules:
                return False
            module = getattr(module, name)
        return module._modules.pop(field, None) is not None

    def add_submodule(self, target: str, m: Module) -> bool:
        """Put a module at a path; whether there was room."""
        *path, field = target.split(".")
        module: Module = self
        for name in path:
            if not hasattr(module, name):
                setattr(module, name, Module())
            module = getattr(module, name)
            if not isinstance(module, Module):
                return False
        setattr(module, field, m)
        return True

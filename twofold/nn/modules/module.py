"""Module: the tree of parameters, buffers and submodules that every layer and model is."""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from ...autograd_api import is_grad_enabled, no_grad
from ...capture import compile
from ...devices import usable
from ...dtypes import DType
from ...functions.pointwise import converted
from ...graph.modes import modes
from ...tensor import Device, Tensor
from ..hooks import BackwardHooks, RemovableHandle, add_hook
from ..parameter import Buffer, Parameter, is_lazy
from . import state
from .locate import locate, note_modules

M = TypeVar("M", bound="Module")

_global_forward_hooks: OrderedDict[int, Any] = OrderedDict()
_global_forward_pre_hooks: OrderedDict[int, Any] = OrderedDict()
_global_backward_hooks: OrderedDict[int, Any] = OrderedDict()
_global_backward_pre_hooks: OrderedDict[int, Any] = OrderedDict()


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` did not find in the dict, and what it found no place for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )

    def __str__(self) -> str:
        return repr(self)


def register_module_forward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args, output)` after every module's forward."""
    return add_hook(_global_forward_hooks, hook)


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before every module's forward."""
    return add_hook(_global_forward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` for every module that gradients went through."""
    return add_hook(_global_backward_hooks, hook)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_output)` before gradients go through any module."""
    return add_hook(_global_backward_pre_hooks, hook)


_DICTS = (
    "_parameters", "_buffers", "_modules", "_backward_hooks", "_backward_pre_hooks",
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
    "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip
_PLAIN_DICTS = frozenset(["_parameters", "_buffers", "_modules"])


class Module:
    """Base of all layers and models: set parameters and modules as attributes, define `forward`.

    >>> import twofold as tf
    >>> class Net(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = tf.nn.Linear(3, 2)
    ...     def forward(self, x):
    ...         return self.fc(x).relu()
    >>> net = Net()
    >>> net(tf.ones(4, 3)).shape, sorted(net.state_dict())
    (twofold.Size([4, 2]), ['fc.bias', 'fc.weight'])
    """

    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    dump_patches = False
    _version = 1
    call_super_init = False
    _is_full_backward_hook: bool | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and (args or kwargs):
            what = next(iter(kwargs)) if kwargs else None
            if what is not None:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument '{what}'"
                )
            raise TypeError(
                f"{type(self).__name__}.__init__() takes 1 positional argument but "
                f"{len(args) + 1} were given"
            )
        own = self.__dict__
        own["training"] = True
        own["_non_persistent_buffers_set"] = set()
        for name in _DICTS:
            own[name] = {} if name in _PLAIN_DICTS else OrderedDict()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Subclasses define it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    # Calls.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own = self.__dict__
        hooked = (
            own["_forward_hooks"]
            or own["_forward_pre_hooks"]
            or own["_backward_hooks"]
            or own["_backward_pre_hooks"]
            or _global_forward_hooks
            or _global_forward_pre_hooks
            or _global_backward_hooks
            or _global_backward_pre_hooks
        )
        try:
            return self._call_with_hooks(args, kwargs) if hooked else self.forward(*args, **kwargs)
        except Exception as error:
            placed = locate(error, self, args, kwargs)
            if placed is error:
                raise
            raise placed from None

    def _call_with_hooks(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        for key, hook in [*_global_forward_pre_hooks.items(), *self._forward_pre_hooks.items()]:
            if key in self._forward_pre_hooks_with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not isinstance(changed, tuple) or len(changed) != 2:
                        raise RuntimeError(
                            "forward pre-hook must return None or a tuple of (new_args, "
                            f"new_kwargs), but got {changed}."
                        )
                    args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        watch = None
        hooks = [*_global_backward_hooks.values(), *self._backward_hooks.values()]
        pre_hooks = [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
        if (hooks or pre_hooks) and is_grad_enabled():
            watch = BackwardHooks(self, hooks, pre_hooks)
            args = watch.watch_inputs(args)
        called: set[int] = set()
        try:
            result = self.forward(*args, **kwargs)
            for key, hook in [*_global_forward_hooks.items(), *self._forward_hooks.items()]:
                called.add(key)
                changed = self._call_forward_hook(key, hook, args, kwargs, result)
                if changed is not None:
                    result = changed
        except Exception:
            for key, hook in self._forward_hooks.items():
                if key in self._forward_hooks_always_called and key not in called:
                    self._call_forward_hook(key, hook, args, kwargs, None)
            raise
        return result if watch is None else watch.watch_outputs(result)

    def _call_forward_hook(
        self, key: int, hook: Any, args: tuple, kwargs: dict[str, Any], result: Any
    ) -> Any:
        if key in self._forward_hooks_with_kwargs:
            return hook(self, args, kwargs, result)
        return hook(self, args, result)

    # Hooks.

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns replaces the arguments."""
        handle = add_hook(self._forward_pre_hooks, hook, prepend)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
            handle.extra = (self._forward_pre_hooks_with_kwargs,)
        return handle

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; what it returns replaces the output."""
        handle = add_hook(self._forward_hooks, hook, prepend)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        handle.extra = (self._forward_hooks_with_kwargs, self._forward_hooks_always_called)
        return handle

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when gradients went through the module; what
        it returns replaces grad_input."""
        return add_hook(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """As `register_full_backward_hook`."""
        return add_hook(self._backward_hooks, hook)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` before gradients go through the module; what it returns
        replaces grad_output."""
        return add_hook(self._backward_pre_hooks, hook, prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` collects this module."""
        return add_hook(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after `state_dict` collected this
        module; it may change the dict in place."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return add_hook(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        return add_hook(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before this module is loaded."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        if with_module:
            hook = functools.partial(hook, self)
        return add_hook(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after this module was loaded; it may change the
        keys."""
        return add_hook(self._load_state_dict_post_hooks, hook)

    # Attributes.

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for place in ("_parameters", "_buffers", "_modules"):
            if place in own and name in own[place]:
                return own[place][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        parameters = own.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif parameters is not None and name in parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as parameter '{name}' "
                    "(twofold.nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
        elif isinstance(value, Module):
            if own.get("_modules") is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            own["_modules"][name] = value
        elif own.get("_modules") is not None and name in own["_modules"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as child module '{name}' "
                    "(twofold.nn.Module or None expected)"
                )
            own["_modules"][name] = None
        elif own.get("_buffers") is not None and (
            name in own["_buffers"] or isinstance(value, Buffer)
        ):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{_type_name(value)}' as buffer '{name}' "
                    "(twofold.nn.Buffer, twofold.Tensor or None expected)"
                )
            if name in own["_buffers"] and not isinstance(value, Buffer):
                own["_buffers"][name] = value
            else:
                self._forget(name, "_buffers")
                self.register_buffer(name, value, getattr(value, "persistent", True))
        else:
            object.__setattr__(self, name, value)

    def _forget(self, name: str, kind: str) -> None:
        """Let no attribute of another kind than the one about to be set have this name. One of the
        same kind keeps its place in the order."""
        own = self.__dict__
        own.pop(name, None)
        for place in ("_parameters", "_buffers", "_modules"):
            if place != kind and place in own:
                own[place].pop(name, None)
        own["_non_persistent_buffers_set"].discard(name)

    def __delattr__(self, name: str) -> None:
        for place in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__[place]:
                del self.__dict__[place][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__}
        names |= {*self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[0].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def __setstate__(self, found: dict[str, Any]) -> None:
        self.__dict__.update(found)
        for name in _DICTS:
            if name not in self.__dict__:
                self.__dict__[name] = {} if name in _PLAIN_DICTS else OrderedDict()
        self.__dict__.setdefault("_non_persistent_buffers_set", set())

    # Registering.

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None in the place of one."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_type_name(param)}' object to parameter '{name}' "
                "(twofold.nn.Parameter or None required)"
            )
        if param is not None and not param.is_leaf:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be "
                "created explicitly. To express '{name}' as a function of another Tensor, compute "
                "the value in the forward() method."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the module's state but not a parameter; only persistent ones
        are in the state_dict."""
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(tensor)}' object to buffer '{name}' "
                "(twofold.Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """As `add_module`."""
        self.add_module(name, module)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under a name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_type_name(module)} is not a Module subclass")
        self._check_name("module", name, "_modules")
        self._modules[name] = module

    def _check_name(self, kind: str, name: Any, place: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_type_name(name)}")
        if hasattr(self, name) and name not in self.__dict__[place]:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."' + _got(kind, name))
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')

    # Finding.

    def get_submodule(self, target: str) -> Module:
        """The submodule at a dotted path. AttributeError if there is none."""
        found: Any = self
        for name in target.split(".") if target else []:
            if not hasattr(found, name):
                raise AttributeError(f"{type(found).__name__} has no attribute `{name}`")
            found = getattr(found, name)
            if not isinstance(found, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return found

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module at a dotted path; with `strict` one must be there already."""
        if not target:
            raise ValueError("Cannot set the submodule without a target name!")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{type(parent).__name__} has no attribute `{name}`")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path. AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        found = getattr(self.get_submodule(path), name, None)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path. AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return module._buffers[name]

    # Walking.

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths; each once unless told otherwise."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The submodules of this module alone, with their names."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The submodules of this module alone."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, place: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in modules:
            for name, value in module.__dict__[place].items():
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with their paths."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Parameters of this module and, with `recurse`, of all below it."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with their paths."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Buffers of this module and, with `recurse`, of all below it."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    # State.

    def state_dict(
        self,
        *args: Any,
        destination: Any = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> Any:
        """Parameters and persistent buffers by their paths, detached unless `keep_vars`."""
        for name, value in zip(("destination", "prefix", "keep_vars"), args):
            if name == "destination" and destination is None:
                destination = value
            elif name == "prefix" and prefix == "":
                prefix = value
            elif name == "keep_vars":
                keep_vars = value
        return state.collect(self, destination, prefix, keep_vars)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        state.save_own(self, destination, prefix, keep_vars)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        state.load_own(
            self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
            error_msgs,
        )  # fmt: skip

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the tensors of `state_dict` into this module's, or put them in their places with
        `assign`. RuntimeError that lists all that does not fit (missing and unexpected keys count
        only if `strict`)."""
        missing, unexpected = state.load(self, state_dict, strict, assign, IncompatibleKeys)
        return IncompatibleKeys(missing, unexpected)

    def get_extra_state(self) -> Any:
        """State that is not a tensor, for `state_dict`. Subclasses that have some define it."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called."
        )

    def set_extra_state(self, state: Any) -> None:
        """Take the state that `get_extra_state` gave."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called."
        )

    # Changing all of it.

    def apply(self: M, fn: Callable[[Module], None]) -> M:
        """Call `fn` with every submodule, then with this module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self: M, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> M:
        """Let `fn` give every parameter, gradient and buffer a new value; objects stay the same."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for key, parameter in self._parameters.items():
            if parameter is None or is_lazy(parameter):
                continue
            grad = parameter.grad
            with no_grad():
                new = fn(parameter)
                if new is not parameter:
                    parameter.data = new
                    self._parameters[key] = parameter
                if grad is not None:
                    parameter.grad = fn(grad).requires_grad_(grad.requires_grad)
        for key, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[key] = fn(buffer)
        return self

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Floating-point parameters and buffers in another dtype: to(dtype), to(device),
        to(tensor)."""
        dtype, device = kwargs.get("dtype"), kwargs.get("device")
        for arg in args:
            if isinstance(arg, DType):
                dtype = arg
            elif isinstance(arg, Tensor):
                dtype, device = arg.dtype, arg.device
            elif isinstance(arg, (str, Device)):
                device = arg
        if device is not None:
            usable(device)
        if dtype is None:
            return self
        if not dtype.is_floating_point:
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )
        return self._apply(lambda x: converted(x, dtype) if x.is_floating_point() else x)

    def type(self: M, dst_type: DType) -> M:
        """All parameters and buffers in another dtype."""
        return self._apply(lambda x: converted(x, dst_type))

    def _to_float(self: M, dtype: DType) -> M:
        return self._apply(lambda x: converted(x, dtype) if x.is_floating_point() else x)

    def float(self: M) -> M:
        """Floating-point parameters and buffers as float32."""
        return self._to_float(state.FLOATS["float"])

    def double(self: M) -> M:
        """Floating-point parameters and buffers as float64."""
        return self._to_float(state.FLOATS["double"])

    def half(self: M) -> M:
        """Floating-point parameters and buffers as float16."""
        return self._to_float(state.FLOATS["half"])

    def bfloat16(self: M) -> M:
        """Floating-point parameters and buffers as bfloat16."""
        return self._to_float(state.FLOATS["bfloat16"])

    def cpu(self: M) -> M:
        """This module, which is on the CPU."""
        return self

    def cuda(self: M, device: Any = None) -> M:
        """RuntimeError: there is no GPU here."""
        usable("cuda")
        return self

    def to_empty(self: M, *, device: Any = None, recurse: bool = True) -> M:
        """This module on a device, its values not kept."""
        usable(device or "cpu")
        return self

    def share_memory(self: M) -> M:
        """This module, with a warning: other processes get copies of its parameters."""
        for t in itertools.islice(itertools.chain(self.parameters(), self.buffers()), 1):
            t.share_memory_()
        return self

    def train(self: M, mode: bool = True) -> M:
        """Set `training` on all modules of the tree."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        if self.training != mode:
            self.training = mode
            modes.change()
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: M) -> M:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Say for all parameters whether they require gradients."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them 0."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                parameter.grad = parameter.grad.detach()
                parameter.grad.zero_()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Run calls of this module as captured plans (see `twofold.compile`)."""
        object.__setattr__(self, "forward", compile(self.forward, *args, **kwargs))

    # Text.

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """The module's arguments, for its text. Subclasses define it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        name = self._get_name()
        if not children and len(lines) <= 1:
            return f"{name}({extra})"
        body = "\n  ".join(itertools.chain(lines, children))
        return f"{name}(\n  {body}\n)"


def _got(kind: str, name: str) -> str:
    return f", got: {name}" if kind == "module" else ""


def _type_name(value: Any) -> str:
    """The name that PyTorch's messages give a value's type."""
    kind = type(value)
    module = kind.__module__
    if issubclass(kind, Tensor):
        module = "twofold" if kind is Tensor else "twofold.nn"
        name = "FloatTensor" if kind is Tensor else kind.__name__
        return f"{module}.{name}"
    return kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}"


_IncompatibleKeys = IncompatibleKeys
note_modules(Module.__call__.__code__)

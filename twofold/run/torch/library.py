"""`torch.library` and `torch.ops`: functions registered under `namespace::name`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...custom_function import Function

_functions: dict[str, Callable[..., Any]] = {}
_differentiable: dict[str, type[Function]] = {}  # those with a gradient of their own
_for_autograd: set[str] = set()  # those with a kernel for PyTorch's own dispatch to gradients


class _Op:
    """A registered function, also under the names of its overloads."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.__name__ not in _functions:
            raise RuntimeError(
                f"[torch.ops] no function is registered as {self.__name__!r}; libraries built "
                "against PyTorch cannot be loaded, so what they register is not there"
            )
        for x in args:
            if hasattr(x, "tracer"):  # a stand-in: the call is recorded
                return x.tracer.create_proxy("call_function", self, args, kwargs)
        if self.__name__ in _for_autograd:
            raise NotImplementedError(
                f"[torch.ops] {self.__name__!r} has a kernel for the dispatch key Autograd, which "
                "is not here; try torch.library.register_autograd"
            )
        if self.__name__ in _differentiable:
            return _differentiable[self.__name__].apply(*args, **kwargs)
        return _functions[self.__name__](*args, **kwargs)

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Any = None, **_: Any
    ) -> None:
        """Let `backward(ctx, *gradients)` be the gradient, after
        `setup_context(ctx, inputs, output)`."""
        name = self.__name__
        members = {
            "forward": lambda *args: _functions[name](*args),
            "setup_context": setup_context or (lambda ctx, inputs, output: None),
            "backward": backward,
        }
        static = {key: staticmethod(f) for key, f in members.items()}
        _differentiable[name] = type(name, (Function,), static)

    def register_kernel(self, device_types: Any, func: Callable[..., Any] | None = None, /) -> Any:
        """Register another function where it is for the CPU."""
        return impl(self.__name__, device_types, func)

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """fn: shapes are found by running the function itself."""
        return fn

    def register_vmap(self, func: Callable[..., Any] | None = None, /) -> Any:
        """func: the function itself is batched."""
        return _passed_over(func)

    @property
    def default(self) -> _Op:
        """The function itself."""
        return self


class _Namespace:
    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> _Op:
        if name.startswith("__"):
            raise AttributeError(name)
        op = _Op(f"{self.name}::{name}")
        setattr(self, name, op)
        return op


class _Ops:
    """`torch.ops`: a namespace for each library."""

    def __getattr__(self, name: str) -> _Namespace:
        if name.startswith("__"):
            raise AttributeError(name)
        namespace = _Namespace(name)
        setattr(self, name, namespace)
        return namespace

    def load_library(self, path: str) -> None:
        """OSError: libraries built against PyTorch need PyTorch."""
        raise OSError(f"[torch.ops] a library built against PyTorch cannot be loaded; got {path!r}")


ops = _Ops()


class Library:
    """A namespace to register functions in."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """The name in a schema such as `name(Tensor x) -> Tensor`; types are not checked."""
        return schema.partition("(")[0]

    def impl(self, op_name: Any, fn: Callable[..., Any], dispatch_key: str = "", **_: Any) -> None:
        """Register fn. What is for other devices is passed over; an op that has a function for
        the key Autograd raises when it is called, since that is not what would be run."""
        name = op_name if isinstance(op_name, str) else op_name.__name__.partition("::")[2]
        key = dispatch_key or self.dispatch_key or "CPU"
        if key in ("CPU", "CompositeImplicitAutograd"):
            _functions[f"{self.ns}::{name}"] = fn
        elif key in ("Autograd", "AutogradCPU"):
            _for_autograd.add(f"{self.ns}::{name}")


def define(qualname: str, schema: str, *, lib: Any = None, tags: Any = ()) -> None:
    """Nothing: a function needs no declaration; types are not checked."""


def custom_op(
    name: str, fn: Callable[..., Any] | None = None, *, mutates_args: Any = (),
    device_types: Any = None, schema: str | None = None, tags: Any = (),
) -> Any:  # fmt: skip
    """Register a function as the op `namespace::name`, and give the op."""

    def attach(f: Callable[..., Any]) -> _Op:
        impl(name, device_types, f)
        return _Op(name)

    return attach if fn is None else attach(fn)


def _passed_over(*args: Any, **kwargs: Any) -> Any:
    """A registration that changes nothing here: shapes and batches are found from the function."""
    last = args[-1] if args else None
    return last if callable(last) and not isinstance(last, _Op) else lambda f: f


def register_autograd(
    op: Any, backward: Callable[..., Any], /, *, setup_context: Any = None, lib: Any = None
) -> None:
    """Give an op (or the name of one) a gradient of its own."""
    _Op(op if isinstance(op, str) else op.__name__).register_autograd(
        backward, setup_context=setup_context
    )


register_fake = _passed_over
register_vmap = _passed_over
impl_abstract = _passed_over


def impl(qualname: str, types: Any, func: Callable[..., Any] | None = None, **_: Any) -> Any:
    """Register a function for `namespace::name` where it is for the CPU."""

    def attach(f: Callable[..., Any]) -> Callable[..., Any]:
        if types in (None, "default") or "cpu" in types:
            _functions[qualname] = f
        return f

    return attach if func is None else attach(func)

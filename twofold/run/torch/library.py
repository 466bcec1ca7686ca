"""`torch.library` and `torch.ops`: functions registered under `namespace::name`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_functions: dict[str, Callable[..., Any]] = {}


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
        return _functions[self.__name__](*args, **kwargs)

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
        """Register fn. What is for other devices or for PyTorch's own transforms is passed over."""
        if (dispatch_key or self.dispatch_key or "CPU") in ("CPU", "CompositeImplicitAutograd"):
            name = op_name if isinstance(op_name, str) else op_name.__name__.partition("::")[2]
            _functions[f"{self.ns}::{name}"] = fn


def define(qualname: str, schema: str, *, lib: Any = None, tags: Any = ()) -> None:
    """Nothing: a function needs no declaration; types are not checked."""


def custom_op(
    name: str, fn: Callable[..., Any] | None = None, *, mutates_args: Any = (), **_: Any
) -> Any:
    """Register a function as `namespace::name`; it is given back with `register_*` methods."""

    def attach(f: Callable[..., Any]) -> Any:
        _functions[name] = f
        f.register_fake = f.register_autograd = f.register_kernel = _passed_over  # type: ignore
        return f

    return attach if fn is None else attach(fn)


def _passed_over(*args: Any, **kwargs: Any) -> Any:
    """A registration for PyTorch's own transforms, which have no part here."""
    return args[0] if args and callable(args[0]) else lambda f: f


register_fake = _passed_over
register_autograd = _passed_over
register_vmap = _passed_over
impl_abstract = _passed_over


def impl(qualname: str, types: Any, func: Callable[..., Any] | None = None, **_: Any) -> Any:
    """Register a function for `namespace::name` where it is for the CPU."""

    def attach(f: Callable[..., Any]) -> Callable[..., Any]:
        if types == "cpu" or "cpu" in types:
            _functions[qualname] = f
        return f

    return attach if func is None else attach(func)

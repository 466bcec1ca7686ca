"""torch.autograd.functional: derivatives of functions of tensors, by the transforms of `func`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..autograd_api import enable_grad
from ..autograd_api import grad as gradients
from ..functions._registry import functions
from ..ops.custom import identity
from ..tensor import Tensor, wrap
from .derivatives import jacfwd
from .derivatives import jvp as push


def _tensors(values: Any, what: str) -> tuple[bool, list[Tensor]]:
    """Whether they are a tuple, and the tensors; TypeError for other values."""
    is_tuple = isinstance(values, tuple)
    flat = list(values) if is_tuple else [values]
    for i, x in enumerate(flat):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"The {what} must be either a Tensor or a tuple of Tensors but the value at index "
                f"{i} has type {type(x)}."
            )
    return is_tuple, flat


def _inputs(inputs: Any, name: str, create_graph: bool) -> tuple[bool, list[Tensor]]:
    """Whether they are a tuple, and the inputs as tensors to differentiate with respect to."""
    is_tuple, flat = _tensors(inputs, f"inputs given to {name}")
    fresh = []
    for x in flat:
        if create_graph and x.requires_grad:
            fresh.append(wrap(identity(x._node())))
        else:
            fresh.append(x.detach().clone().requires_grad_())
    return is_tuple, fresh


def _outputs(outputs: Any, name: str) -> tuple[bool, list[Tensor]]:
    return _tensors(outputs, f"outputs of the user-provided function given to {name}")


def _vectors(v: Any, like: Sequence[Tensor], name: str, what: str) -> list[Tensor]:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"The vector v can only be None if {what} and is a single Tensor with a single "
                "element."
            )
        return [functions["ones_like"](like[0])]
    found = list(v) if isinstance(v, tuple) else [v]
    if len(found) != len(like):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(found)}."
        )
    for i, (a, x) in enumerate(zip(found, like)):
        if a.shape != x.shape:
            raise RuntimeError(
                f"v has invalid size: should be {x.shape} but got {a.shape} (entry {i} of {name})."
            )
    return found


def _as_given(values: Sequence[Any], is_tuple: bool, create_graph: bool) -> Any:
    kept = [x if create_graph else x.detach() for x in values]
    return tuple(kept) if is_tuple else kept[0]


def _pulled(
    ys: Sequence[Tensor], xs: Sequence[Tensor], vs: Sequence[Tensor], strict: bool, create: bool
) -> list[Tensor]:
    """The gradients; where an output does not depend on an input, zeros or, if `strict`, an
    error."""
    pairs = [(y, v) for y, v in zip(ys, vs) if y.requires_grad]
    if strict and len(pairs) < len(ys):
        raise RuntimeError(
            "The output of the user-provided function is independent of the inputs. This is not "
            "allowed in strict mode."
        )
    if not pairs:
        return [functions["zeros_like"](x) for x in xs]
    found = gradients(
        [y for y, _ in pairs], xs, [v for _, v in pairs], retain_graph=True, create_graph=create,
        allow_unused=True,
    )  # fmt: skip
    for i, g in enumerate(found):
        if g is None and strict:
            raise RuntimeError(
                f"The output of the user-provided function is independent of input {i}. This is "
                "not allowed in strict mode."
            )
    return [functions["zeros_like"](x) if g is None else g for x, g in zip(xs, found)]


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """func(*inputs), and v times its Jacobian.

    >>> import twofold as tf
    >>> vjp(lambda x: x * x, tf.tensor([1.0, 2.0]), tf.ones(2))[1]
    tensor([2., 4.])
    """
    with enable_grad():
        is_tuple, xs = _inputs(inputs, "vjp", create_graph)
        out_tuple, ys = _outputs(func(*xs), "vjp")
        vs = _vectors(v, ys, "vjp", "the user-provided function returns")
        found = _pulled(ys, xs, vs, strict, create_graph)
    return _as_given(ys, out_tuple, create_graph), _as_given(found, is_tuple, create_graph)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """func(*inputs), and its Jacobian times v."""
    with enable_grad():
        _, xs = _inputs(inputs, "jvp", create_graph)
        vs = _vectors(v, xs, "jvp", "the input to the user-provided function has")
        out_tuple, ys = _outputs(func(*xs), "jvp")
        if strict:
            _pulled(ys, xs, [functions["ones_like"](y) for y in ys], True, False)
        _, found = push(lambda *a: tuple(_outputs(func(*a), "jvp")[1]), tuple(xs), tuple(vs))
    return _as_given(ys, out_tuple, create_graph), _as_given(found, out_tuple, create_graph)


def jacobian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
    vectorize: bool = False, strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The Jacobian of func: for each output and input a tensor (*output, *input).

    One backward pass for each element of the outputs, or, with `strategy` "forward-mode", one
    forward for each of the inputs, all at once.

    >>> import twofold as tf
    >>> jacobian(lambda x: x * x, tf.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    with enable_grad():
        is_tuple, xs = _inputs(inputs, "jacobian", create_graph)
        if strategy == "forward-mode":
            if strict:
                raise RuntimeError(
                    "torch.autograd.functional.jacobian: `strict=True` and "
                    '`strategy="forward-mode"` are not supported together (yet). Please either '
                    'set `strict=False` or `strategy="reverse-mode"`.'
                )
            out_tuple = isinstance(func(*xs), tuple)
            table = jacfwd(lambda *a: _outputs(func(*a), "jacobian")[1], tuple(range(len(xs))))(*xs)
        else:
            out_tuple, ys = _outputs(func(*xs), "jacobian")
            table = [_rows(y, xs, strict, create_graph) for y in ys]
    rows = [_as_given(row, is_tuple, create_graph) for row in table]
    return tuple(rows) if out_tuple else rows[0]


def _rows(y: Tensor, xs: Sequence[Tensor], strict: bool, create: bool) -> list[Tensor]:
    flat = y.reshape(-1)
    if not y.requires_grad:
        _pulled([y], xs, [y], strict, create)
        return [x.new_zeros(*y.shape, *x.shape) for x in xs]
    columns: list[list[Tensor]] = [[] for _ in xs]
    for i in range(flat.numel()):
        found = _pulled([flat[i]], xs, [functions["ones_like"](flat[i])], strict, create)
        for column, g in zip(columns, found):
            column.append(g)
    if not flat.numel():
        return [x.new_zeros(*y.shape, *x.shape) for x in xs]
    return [
        functions["stack"](column).reshape(*y.shape, *x.shape) for column, x in zip(columns, xs)
    ]


def _scalar(func: Callable[..., Any], name: str) -> Callable[..., Tensor]:
    def checked(*xs: Tensor) -> Tensor:
        y = func(*xs)
        if not isinstance(y, Tensor):
            raise RuntimeError(
                f"The function given to {name} should return a single Tensor; got {type(y)}"
            )
        if y.numel() != 1:
            raise RuntimeError(
                f"The Tensor returned by the function given to {name} should contain a single "
                "element"
            )
        return y.squeeze()

    return checked


def hessian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
    vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The second derivatives of a function with one value: for each pair of inputs a tensor
    (*first, *second)."""
    checked = _scalar(func, "hessian")
    is_tuple = isinstance(inputs, tuple)

    def slope(*xs: Tensor) -> Any:
        y = checked(*xs)
        return tuple(_pulled([y], xs, [functions["ones_like"](y)], strict, True))

    result = jacobian(slope, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return result if is_tuple else result[0]


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """The value of a function, and v times its Hessian."""
    checked = _scalar(func, "vhp")
    with enable_grad():
        is_tuple, xs = _inputs(inputs, "vhp", create_graph)
        vs = _vectors(v, xs, "vhp", "the input to the user-provided function has")
        y = checked(*xs)
        slope = _pulled([y], xs, [functions["ones_like"](y)], strict, True)
        found = _pulled(slope, xs, vs, strict, create_graph)
    return y if create_graph else y.detach(), _as_given(found, is_tuple, create_graph)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """The value of a function, and its Hessian times v: it is symmetric, so this is `vhp`."""
    return vhp(func, inputs, v, create_graph, strict)

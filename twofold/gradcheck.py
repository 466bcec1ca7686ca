"""Gradients checked against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .autograd_api import enable_grad, grad, no_grad
from .creation import from_numpy, ones_like, tensor
from .tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient differs from the difference quotient."""


def _outputs(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    result = function(*inputs)
    results = [result] if isinstance(result, Tensor) else list(result)
    return [y for y in results if isinstance(y, Tensor) and y.dtype.is_inexact]


def _numerical(
    function: Callable[..., Any], inputs: Sequence[Any], k: int, eps: float
) -> list[np.ndarray]:
    """d outputs / d inputs[k] by central differences, a matrix (input, output) for each output.
    Complex numbers count as pairs of real ones."""
    x = inputs[k]
    start = np.array(x.detach().numpy())
    columns: list[list[np.ndarray]] = []
    with no_grad():
        for i in range(_parts(start).size):
            sides = []
            for sign in (1, -1):
                moved = start.copy()
                _parts(moved)[i] += sign * eps
                shifted = [tensor(moved) if j == k else v for j, v in enumerate(inputs)]
                sides.append(
                    [_parts(y.detach().numpy()).copy() for y in _outputs(function, shifted)]
                )
            columns.append([(a - b) / (2 * eps) for a, b in zip(*sides, strict=True)])
    n = len(columns[0]) if columns else 0
    return [np.stack([c[o] for c in columns]) for o in range(n)]


def _parts(array: np.ndarray) -> np.ndarray:
    """The elements in a row, complex ones as their two parts; the array's memory if it is dense."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(flat.real.dtype)


def _analytical(y: Tensor, x: Tensor) -> np.ndarray:
    """d y / d x by reverse mode, a matrix (input, output)."""
    rows = []
    size = x.numel() * (1 + x.dtype.is_complex)
    for i in range(y.numel() * (1 + y.dtype.is_complex)):
        weight = np.zeros(tuple(y.shape), y.dtype.storage)
        _parts(weight)[i] = 1
        (g,) = grad(y, x, from_numpy(weight), retain_graph=True, allow_unused=True)
        rows.append(np.zeros(size) if g is None else _parts(g.detach().numpy()).copy())
    return np.stack(rows, 1) if rows else np.zeros((size, 0))


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **options: Any,
) -> bool:
    """Whether the gradients of `func` at `inputs` (float64) agree with central differences.

    GradcheckError, or False without `raise_exception`, if one does not.

    >>> import twofold as tf
    >>> x = tf.tensor([0.5, 2.0], dtype=tf.float64, requires_grad=True)
    >>> gradcheck(lambda x: (x * x).sum(), (x,))
    True
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outputs = _outputs(func, inputs)
    if not any(y.requires_grad for y in outputs):
        raise ValueError("gradcheck expects at least one output to require gradient")
    for k, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            continue
        for o, (y, expected) in enumerate(zip(outputs, _numerical(func, inputs, k, eps))):
            found = _analytical(y, x) if y.requires_grad else np.zeros_like(expected)
            if not np.allclose(found, expected, rtol, atol, equal_nan=True):
                if not raise_exception:
                    return False
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input {k},\n"
                    f"numerical:{expected}\nanalytical:{found}"
                )
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **options: Any,
) -> bool:
    """Whether second derivatives of `func` agree with differences of its gradients."""
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    places = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    outputs = [y for y in _outputs(func, inputs) if y.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        weights = [tensor(_normal(rng, y), dtype=y.dtype, requires_grad=True) for y in outputs]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    n = len(inputs)

    def gradients(*args: Any) -> Any:
        given, ws = list(args[:n]), args[n:]
        for i in places:
            if not given[i].requires_grad:
                given[i] = given[i].detach().requires_grad_()
        with_grad = _enabled_outputs(func, given)
        found = grad(
            with_grad, [given[i] for i in places], list(ws), create_graph=True, allow_unused=True
        )
        return tuple(
            ones_like(given[i]) * 0 if g is None else g for g, i in zip(found, places, strict=True)
        )

    return gradcheck(
        gradients, (*inputs, *weights), eps=eps, atol=atol, rtol=rtol,
        raise_exception=raise_exception,
    )  # fmt: skip


def _normal(rng: np.random.Generator, y: Tensor) -> np.ndarray:
    """Random numbers of y's shape and kind."""
    values = rng.standard_normal(tuple(y.shape))
    return values + 1j * rng.standard_normal(tuple(y.shape)) if y.dtype.is_complex else values


def _enabled_outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    """The differentiable outputs, recorded even where nothing else is."""
    with enable_grad():
        return [y for y in _outputs(func, inputs) if y.requires_grad]

"""Methods for matrices: Adafactor, whose second moments are factored, and Muon, whose updates are
made orthogonal."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..functions.linear import matmul
from ..settings import finfo
from ..tensor import Tensor
from .optimizer import Optimizer, check, check_common, number_of, options, rate, zeros_of


def _beta(group: dict[str, Any], state: dict[str, Any]) -> float:
    return state["step"] ** group["beta2_decay"]


def _relative(group: dict[str, Any], state: dict[str, Any]) -> float:
    return min(number_of(group["lr"]), 1 / math.sqrt(state["step"]))


def _kept(group: dict[str, Any], state: dict[str, Any]) -> float:
    return 1 - number_of(group["lr"]) * group["weight_decay"]


class Adafactor(Optimizer):
    """Steps relative to a parameter's size, divided by the root of second moments that are kept,
    for matrices, as one row and one column (Shazeer and Stern, 2018)."""

    def __init__(
        self, params: Any, lr: Any = 1e-2, beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0,
        *, foreach: bool | None = None, maximize: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay)
        check("beta2_decay", beta2_decay, beta2_decay <= 0)
        check("epsilon1", eps[0], eps[0] is None or eps[0] >= 0)
        check("epsilon2", eps[1], eps[1] >= 0)
        check("clipping threshold d", d, d >= 1)
        super().__init__(params, options(
            lr=lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay,
            foreach=foreach, maximize=maximize,
        ))  # fmt: skip

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        if p.dim() > 1:
            return {"step": 0, "row_var": zeros_of(p[..., :1]), "col_var": zeros_of(p[..., :1, :])}
        return {"step": 0, "variance": zeros_of(p)}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        least, floor = group["eps"]
        least = finfo(p.dtype).eps if least is None else least
        weight = self._scalar(_beta, group, state, p.dtype)
        size = p.norm(2) / math.sqrt(p.numel())
        alpha = size.clamp_min(floor) * self._scalar(_relative, group, state, p.dtype)
        if group["weight_decay"]:
            p.copy_(p * self._scalar(_kept, group, state, p.dtype))
        squares = grad * grad
        if p.dim() > 1:
            row, column = state["row_var"], state["col_var"]
            row.copy_(row + weight * (squares.mean(-1, keepdim=True) - row))
            column.copy_(column + weight * (squares.mean(-2, keepdim=True) - column))
            estimate = row * column / row.mean(-2, keepdim=True).clamp_min(least)
        else:
            estimate = state["variance"]
            estimate.copy_(estimate + weight * (squares - estimate))
        update = estimate.clamp_min(least * least).rsqrt() * grad
        length = update.norm(2) / (math.sqrt(p.numel()) * group["d"])
        p.copy_(p - alpha / length.clamp_min(1.0) * update)


def orthogonalized(
    grad: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """A matrix with singular values near 1 and the singular vectors of `grad`, by a quintic
    Newton-Schulz iteration in bfloat16."""
    a, b, c = coefficients
    tall = grad.size(0) > grad.size(1)
    x = _rounded(grad.t() if tall else grad)
    x = _rounded(x / _rounded(x.norm()).clamp_min(eps))
    for _ in range(steps):
        gram = _rounded(matmul(x, x.t()))
        x = _rounded(a * x + matmul(_rounded(b * gram + c * matmul(gram, gram)), x))
    return x.t() if tall else x


def _rounded(x: Tensor) -> Tensor:
    """x to the precision of bfloat16, in float32: each line above rounds once."""
    return x.to(dtypes.bfloat16).to(dtypes.float32)


class Muon(Optimizer):
    """Momentum, made orthogonal, for matrices (Jordan et al., 2024). ValueError for other
    parameters."""

    def __init__(
        self, params: Any, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
        nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (
            3.4445, -4.775, 2.0315), eps: float = 1e-7, ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay)
        check("momentum value", momentum, momentum >= 0)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        if ns_steps >= 100:
            raise ValueError("Number of steps must be less than 100 for computational efficiency")
        super().__init__(params, options(
            lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov,
            ns_coefficients=ns_coefficients, eps=eps, ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr_fn,
        ))  # fmt: skip
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{p.size()}"
                    )

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"momentum_buffer": zeros_of(p)}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        momentum, buffer = group["momentum"], state["momentum_buffer"]
        buffer.copy_(buffer + (1 - momentum) * (grad - buffer))
        update = grad + momentum * (buffer - grad) if group["nesterov"] else buffer
        update = orthogonalized(
            update, group["ns_coefficients"], group["ns_steps"], group["eps"]
        ).to(p.dtype)
        p.copy_(
            p * self._scalar(_kept, group, state, p.dtype)
            - self._scalar(rate, group, state, p.dtype) * (_ratio(group, p) * update)
        )


def _ratio(group: dict[str, Any], p: Tensor) -> float:
    """What the learning rate is multiplied by for a matrix of p's shape."""
    rows, columns = p.shape
    if group["adjust_lr_fn"] == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))

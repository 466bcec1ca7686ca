"""Methods that scale steps by sums or means of squared gradients: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import (
    Optimizer,
    check,
    check_common,
    decayed,
    full_of,
    number_of,
    options,
    rate,
    zeros_of,
)


def _fading_rate(group: dict[str, Any], state: dict[str, Any]) -> float:
    """lr / (1 + (t - 1) lr_decay)."""
    return number_of(group["lr"]) / (1 + (state["step"] - 1) * group["lr_decay"])


class Adagrad(Optimizer):
    """p - lr' g / (sqrt(s) + eps), s the sum of g^2, lr' = lr / (1 + (t - 1) lr_decay) (Duchi et
    al., 2011)."""

    def __init__(
        self, params: Any, lr: Any = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
        maximize: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay, eps)
        check("lr_decay value", lr_decay, lr_decay >= 0)
        start = initial_accumulator_value
        check("initial_accumulator_value value", start, start >= 0)
        super().__init__(params, options(
            lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay,
            initial_accumulator_value=start, foreach=foreach, maximize=maximize,
            differentiable=differentiable, fused=fused,
        ))  # fmt: skip
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = self._initial_state(group, p)

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "sum": full_of(p, group["initial_accumulator_value"])}

    def _update_sparse(
        self, group: dict[str, Any], p: Tensor, grad: Any, state: dict[str, Any]
    ) -> None:
        if group["weight_decay"]:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        self._update_rows(group, p, grad, state)

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        grad = decayed(grad, p, group["weight_decay"])
        s = state["sum"]
        s.copy_(s + grad * grad)
        fading = self._scalar(_fading_rate, group, state, p.dtype)
        p.copy_(p - fading * (grad / (s.sqrt() + group["eps"])))


class Adadelta(Optimizer):
    """p - lr d, d = g sqrt(a + eps) / sqrt(v + eps), v and a running means of g^2 and d^2 (Zeiler,
    2012)."""

    def __init__(
        self, params: Any, lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6,
        weight_decay: float = 0, foreach: bool | None = None, *, capturable: bool = False,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay, eps)
        check("rho value", rho, 0 <= rho <= 1)
        super().__init__(params, options(
            lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize,
            capturable=capturable, foreach=foreach, differentiable=differentiable,
        ))  # fmt: skip

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "square_avg": zeros_of(p), "acc_delta": zeros_of(p)}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        rho, eps = group["rho"], group["eps"]
        grad = decayed(grad, p, group["weight_decay"])
        v, a = state["square_avg"], state["acc_delta"]
        v.copy_(rho * v + (1 - rho) * grad * grad)
        delta = (a + eps).sqrt() / (v + eps).sqrt() * grad
        a.copy_(rho * a + (1 - rho) * delta * delta)
        p.copy_(p - self._scalar(rate, group, state, p.dtype) * delta)


class RMSprop(Optimizer):
    """p - lr g / (sqrt(v) + eps), v a running mean of g^2 (less the mean of g squared if centered);
    with momentum, steps add up (Hinton, 2012)."""

    def __init__(
        self, params: Any, lr: Any = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0, momentum: float = 0, centered: bool = False,
        capturable: bool = False, foreach: bool | None = None, maximize: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay, eps)
        check("momentum value", momentum, momentum >= 0)
        check("alpha value", alpha, alpha >= 0)
        super().__init__(params, options(
            lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered,
            weight_decay=weight_decay, capturable=capturable, foreach=foreach, maximize=maximize,
            differentiable=differentiable,
        ))  # fmt: skip

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        state = {"step": 0, "square_avg": zeros_of(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_of(p)
        if group["centered"]:
            state["grad_avg"] = zeros_of(p)
        return state

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        alpha = group["alpha"]
        grad = decayed(grad, p, group["weight_decay"])
        v = state["square_avg"]
        v.copy_(alpha * v + (1 - alpha) * grad * grad)
        if group["centered"]:
            mean = state["grad_avg"]
            mean.copy_(mean + (1 - alpha) * (grad - mean))
            root = (v - mean * mean).sqrt() + group["eps"]
        else:
            root = v.sqrt() + group["eps"]
        step = grad / root
        if group["momentum"] > 0:
            buffer = state["momentum_buffer"]
            buffer.copy_(group["momentum"] * buffer + step)
            step = buffer
        p.copy_(p - self._scalar(rate, group, state, p.dtype) * step)

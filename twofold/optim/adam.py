"""Adam and its relatives: steps scaled by running means of gradients and of their squares."""

from __future__ import annotations

import math
from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, check_betas, check_common, decayed, number_of, zeros_of


class Adam(Optimizer):
    """p - lr m' / (sqrt(v') + eps), m and v running means of g and g^2, m' = m / (1 - beta1^t), v' =
    v / (1 - beta2^t) (Kingma and Ba, 2015).

    weight_decay is added to the gradient, or, if decoupled, p is first scaled by 1 - lr weight_decay
    (Loshchilov and Hutter, 2019). amsgrad takes the largest v so far (Reddi et al., 2018).
    """

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False, fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay, eps)
        check_betas(betas)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
            maximize=maximize, foreach=foreach, capturable=capturable,
            differentiable=differentiable, fused=fused,
            decoupled_weight_decay=decoupled_weight_decay,
        ))  # fmt: skip

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        state = {"step": 0, "exp_avg": zeros_of(p), "exp_avg_sq": zeros_of(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_of(p)
        return state

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        state["step"] = t = state["step"] + 1
        beta1, beta2 = (number_of(b) for b in group["betas"])
        lr, decay = number_of(group["lr"]), number_of(group["weight_decay"])
        value = p
        if decay and group["decoupled_weight_decay"]:
            value = p * self._scalar(1 - lr * decay, p.dtype)
        else:
            grad = decayed(grad, p, decay)
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.copy_(m + (1 - beta1) * (grad - m))
        v.copy_(beta2 * v + (1 - beta2) * grad * grad)
        if group["amsgrad"]:
            top = state["max_exp_avg_sq"]
            top.copy_(top.maximum(v))
            v = top
        root = self._scalar(math.sqrt(1 - beta2**t), p.dtype)
        step_size = self._scalar(lr / (1 - beta1**t), p.dtype)
        p.copy_(value - step_size * (m / (v.sqrt() / root + group["eps"])))


class AdamW(Adam):
    """Adam with weight decay apart from the gradient."""

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *,
        maximize: bool = False, foreach: bool | None = None, capturable: bool = False,
        differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
            capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=True,
        )  # fmt: skip


class Adamax(Optimizer):
    """Adam with the largest decayed |g| in place of sqrt(v) (Kingma and Ba, 2015)."""

    def __init__(
        self, params: Any, lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, foreach: bool | None = None, *,
        maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay, eps)
        check_betas(betas)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, foreach=foreach,
            maximize=maximize, differentiable=differentiable, capturable=capturable,
        ))  # fmt: skip

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "exp_avg": zeros_of(p), "exp_inf": zeros_of(p)}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        state["step"] = t = state["step"] + 1
        beta1, beta2 = group["betas"]
        grad = decayed(grad, p, group["weight_decay"])
        m, top = state["exp_avg"], state["exp_inf"]
        m.copy_(m + (1 - beta1) * (grad - m))
        top.copy_((beta2 * top).maximum(grad.abs() + group["eps"]))
        step_size = self._scalar(number_of(group["lr"]) / (1 - beta1**t), p.dtype)
        p.copy_(p - step_size * (m / top))


class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, 2016)."""

    _scalar_state = ("step", "mu_product")

    def __init__(
        self, params: Any, lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False, *, foreach: bool | None = None,
        maximize: bool = False, capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay, eps)
        check_betas(betas)
        if momentum_decay < 0:
            raise ValueError(f"Invalid momentum_decay value: {momentum_decay}")
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
            momentum_decay=momentum_decay, decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize, foreach=foreach, capturable=capturable,
            differentiable=differentiable,
        ))  # fmt: skip

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "mu_product": 1.0, "exp_avg": zeros_of(p), "exp_avg_sq": zeros_of(p)}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        state["step"] = t = state["step"] + 1
        beta1, beta2 = group["betas"]
        lr, decay = number_of(group["lr"]), group["weight_decay"]
        value = p
        if decay and group["decoupled_weight_decay"]:
            value = p * self._scalar(1 - lr * decay, p.dtype)
        else:
            grad = decayed(grad, p, decay)
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"]))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * group["momentum_decay"]))
        state["mu_product"] = product = state["mu_product"] * mu
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.copy_(m + (1 - beta1) * (grad - m))
        v.copy_(beta2 * v + (1 - beta2) * grad * grad)
        correction = self._scalar(1 - beta2**t, p.dtype)
        root = (v / correction).sqrt() + group["eps"]
        by_grad = self._scalar(lr * (1 - mu) / (1 - product), p.dtype)
        by_mean = self._scalar(lr * mu_next / (1 - product * mu_next), p.dtype)
        p.copy_(value - by_grad * (grad / root) - by_mean * (m / root))


class RAdam(Optimizer):
    """Adam that steps without v while the variance of v is too large to be known (Liu et al.,
    2020)."""

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, decoupled_weight_decay: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay, eps)
        check_betas(betas)
        super().__init__(params, dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize,
            foreach=foreach, capturable=capturable,
            decoupled_weight_decay=decoupled_weight_decay, differentiable=differentiable,
        ))  # fmt: skip

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "exp_avg": zeros_of(p), "exp_avg_sq": zeros_of(p)}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        state["step"] = t = state["step"] + 1
        beta1, beta2 = group["betas"]
        lr, decay = number_of(group["lr"]), group["weight_decay"]
        value = p
        if decay and group["decoupled_weight_decay"]:
            value = p * self._scalar(1 - lr * decay, p.dtype)
        else:
            grad = decayed(grad, p, decay)
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.copy_(m + (1 - beta1) * (grad - m))
        v.copy_(beta2 * v + (1 - beta2) * grad * grad)
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * t * beta2**t / (1 - beta2**t)
        step_size = lr / (1 - beta1**t)
        # One formula for both cases, so that the change of case compiles nothing: without v the
        # factors of sqrt(v) and of 1 in the divisor trade places.
        if length > 5:
            share = (length - 4) * (length - 2) * limit
            share = math.sqrt(share / ((limit - 4) * (limit - 2) * length))
            step_size *= share * math.sqrt(1 - beta2**t)
            rooted, constant = 1.0, group["eps"]
        else:
            rooted, constant = 0.0, 1.0
        divisor = v.sqrt() * self._scalar(rooted, p.dtype) + self._scalar(constant, p.dtype)
        p.copy_(value - self._scalar(step_size, p.dtype) * (m / divisor))

"""Adam and its relatives: steps scaled by running means of gradients and of their squares."""

from __future__ import annotations

import math
from typing import Any

from ..functions.updates import running_mean_, running_square_, scaled_step_
from ..tensor import Tensor
from .optimizer import (
    Optimizer,
    check_betas,
    check_common,
    decay_factor,
    decayed,
    number_of,
    options,
    zeros_of,
)

Record = dict[str, Any]


def _step_size(group: Record, state: Record) -> float:
    """lr / (1 - beta1^t)."""
    return number_of(group["lr"]) / (1 - number_of(group["betas"][0]) ** state["step"])


def _correction(group: Record, state: Record) -> float:
    """1 - beta2^t."""
    return 1 - number_of(group["betas"][1]) ** state["step"]


def _root_correction(group: Record, state: Record) -> float:
    """sqrt(1 - beta2^t)."""
    return math.sqrt(_correction(group, state))


def _share_of_new(group: Record, state: Record) -> float:
    """1 - beta1."""
    return 1 - number_of(group["betas"][0])


def _share_of_old_square(group: Record, state: Record) -> float:
    """beta2."""
    return number_of(group["betas"][1])


def _share_of_new_square(group: Record, state: Record) -> float:
    """1 - beta2."""
    return 1 - number_of(group["betas"][1])


# lr m' / (sqrt(v') + eps) with both corrections in the numbers, for one division an element.


def rooted_step_size(group: Record, state: Record) -> float:
    """lr sqrt(1 - beta2^t) / (1 - beta1^t)."""
    return _step_size(group, state) * _root_correction(group, state)


def _rooted_eps(group: Record, state: Record) -> float:
    """eps sqrt(1 - beta2^t)."""
    return number_of(group["eps"]) * _root_correction(group, state)


def _means(
    optimizer: Optimizer, group: Record, p: Tensor, grad: Tensor, state: Record
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The parameter and the gradient with the weight decay in one of them, and the running means
    of the gradient and of its square, brought up to date."""
    decay = number_of(group["weight_decay"])
    value = p
    if decay and group["decoupled_weight_decay"]:
        value = p * optimizer._scalar(decay_factor, group, state, p.dtype)
    else:
        grad = decayed(grad, p, decay)
    m, v = state["exp_avg"], state["exp_avg_sq"]
    new, old_square, new_square = (
        optimizer._scalar(read, group, state, p.dtype)
        for read in (_share_of_new, _share_of_old_square, _share_of_new_square)
    )
    running_mean_(m, grad, new)
    running_square_(v, grad, old_square, new_square)
    return value, grad, m, v


class Adam(Optimizer):
    """p - lr m' / (sqrt(v') + eps), m and v running means of g and g^2, m' = m / (1 - beta1^t),
    v' = v / (1 - beta2^t) (Kingma and Ba, 2015).

    weight_decay is added to the gradient, or, if decoupled, p is first scaled by 1 - lr
    weight_decay (Loshchilov and Hutter, 2019). amsgrad takes the largest v so far (Reddi et al.,
    2018).
    """

    _repeats = True

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False, *,
        foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False, fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay, eps)
        check_betas(betas)
        super().__init__(params, options(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
            maximize=maximize, foreach=foreach, capturable=capturable,
            differentiable=differentiable, fused=fused,
            decoupled_weight_decay=decoupled_weight_decay,
        ))  # fmt: skip

    def _initial_state(self, group: Record, p: Tensor) -> Record:
        state = {"step": 0, "exp_avg": zeros_of(p), "exp_avg_sq": zeros_of(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_of(p)
        return state

    def _update(self, group: Record, p: Tensor, grad: Tensor, state: Record) -> None:
        value, _, m, v = _means(self, group, p, grad, state)
        if group["amsgrad"]:
            top = state["max_exp_avg_sq"]
            top.copy_(top.maximum(v))
            v = top
        step_size = self._scalar(rooted_step_size, group, state, p.dtype)
        eps = self._scalar(_rooted_eps, group, state, p.dtype)
        scaled_step_(p, value, m, v, step_size, eps)


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
        super().__init__(params, options(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, foreach=foreach,
            maximize=maximize, differentiable=differentiable, capturable=capturable,
        ))  # fmt: skip

    def _initial_state(self, group: Record, p: Tensor) -> Record:
        return {"step": 0, "exp_avg": zeros_of(p), "exp_inf": zeros_of(p)}

    def _update(self, group: Record, p: Tensor, grad: Tensor, state: Record) -> None:
        beta1, beta2 = group["betas"]
        grad = decayed(grad, p, group["weight_decay"])
        m, top = state["exp_avg"], state["exp_inf"]
        m.copy_(m + (1 - beta1) * (grad - m))
        top.copy_((beta2 * top).maximum(grad.abs() + group["eps"]))
        step_size = self._scalar(_step_size, group, state, p.dtype)
        p.copy_(p - step_size * (m / top))


def _momentum(group: Record, t: int) -> float:
    """mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)."""
    return group["betas"][0] * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"]))


def _rate_of_gradient(group: Record, state: Record) -> float:
    """lr (1 - mu_t) / (1 - the product of mu up to t)."""
    share = 1 - _momentum(group, state["step"])
    return number_of(group["lr"]) * share / (1 - state["mu_product"])


def _rate_of_mean(group: Record, state: Record) -> float:
    """lr mu_(t+1) / (1 - the product of mu up to t + 1)."""
    ahead = _momentum(group, state["step"] + 1)
    return number_of(group["lr"]) * ahead / (1 - state["mu_product"] * ahead)


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
        super().__init__(params, options(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
            momentum_decay=momentum_decay, decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize, foreach=foreach, capturable=capturable,
            differentiable=differentiable,
        ))  # fmt: skip

    def _initial_state(self, group: Record, p: Tensor) -> Record:
        return {"step": 0, "mu_product": 1.0, "exp_avg": zeros_of(p), "exp_avg_sq": zeros_of(p)}

    def _advance(self, group: Record, state: Record) -> None:
        state["step"] += 1
        state["mu_product"] *= _momentum(group, state["step"])

    def _update(self, group: Record, p: Tensor, grad: Tensor, state: Record) -> None:
        value, grad, m, v = _means(self, group, p, grad, state)
        root = (v / self._scalar(_correction, group, state, p.dtype)).sqrt() + group["eps"]
        by_grad = self._scalar(_rate_of_gradient, group, state, p.dtype)
        by_mean = self._scalar(_rate_of_mean, group, state, p.dtype)
        p.copy_(value - by_grad * (grad / root) - by_mean * (m / root))


def _length(group: Record, state: Record) -> tuple[float, float]:
    """How many gradients v is the mean of, in the limit and now."""
    beta2, t = group["betas"][1], state["step"]
    limit = 2 / (1 - beta2) - 1
    return limit, limit - 2 * t * beta2**t / (1 - beta2**t)


# One formula for both of RAdam's cases, so that passing from one to the other compiles nothing: the
# divisor is a sqrt(v) + b with a = 1, b = eps, or a = 0, b = 1.


def _is_rectified(group: Record, state: Record) -> float:
    return float(_length(group, state)[1] > 5)


def _constant_part(group: Record, state: Record) -> float:
    return group["eps"] if _is_rectified(group, state) else 1.0


def _rectified_rate(group: Record, state: Record) -> float:
    """lr / (1 - beta1^t), in the rectified case times sqrt(1 - beta2^t) and the share of the
    variance that is known."""
    limit, now = _length(group, state)
    if now <= 5:
        return _step_size(group, state)
    share = (now - 4) * (now - 2) * limit / ((limit - 4) * (limit - 2) * now)
    return _step_size(group, state) * math.sqrt(share) * _root_correction(group, state)


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
        super().__init__(params, options(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize,
            foreach=foreach, capturable=capturable,
            decoupled_weight_decay=decoupled_weight_decay, differentiable=differentiable,
        ))  # fmt: skip

    def _initial_state(self, group: Record, p: Tensor) -> Record:
        return {"step": 0, "exp_avg": zeros_of(p), "exp_avg_sq": zeros_of(p)}

    def _update(self, group: Record, p: Tensor, grad: Tensor, state: Record) -> None:
        value, _, m, v = _means(self, group, p, grad, state)
        rooted = self._scalar(_is_rectified, group, state, p.dtype)
        constant = self._scalar(_constant_part, group, state, p.dtype)
        step_size = self._scalar(_rectified_rate, group, state, p.dtype)
        p.copy_(value - step_size * (m / (v.sqrt() * rooted + constant)))

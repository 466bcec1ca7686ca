"""Methods of other kinds: Rprop, by signs alone, and averaged SGD."""

from __future__ import annotations

from typing import Any

from ..functions.pointwise import where
from ..graph.observe import each_call
from ..tensor import Tensor
from .optimizer import (
    Optimizer,
    check,
    check_common,
    decayed,
    full_of,
    number_of,
    options,
    zeros_of,
)


class Rprop(Optimizer):
    """p - sign(g) d; the step d of each element grows by etas[1] while its gradient keeps its sign,
    shrinks by etas[0] and skips once when it changes (Riedmiller and Braun, 1993)."""

    def __init__(
        self, params: Any, lr: Any = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False,
        foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check("learning rate", lr, number_of(lr) >= 0)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, options(
            lr=lr, etas=etas, step_sizes=step_sizes, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable,
        ))  # fmt: skip

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "prev": zeros_of(p), "step_size": full_of(p, number_of(group["lr"]))}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        down, up = group["etas"]
        least, most = group["step_sizes"]
        before, size = state["prev"], state["step_size"]
        agreement = grad * before
        factor = where(agreement > 0, up, where(agreement < 0, down, 1.0)).to(p.dtype)
        size.copy_((size * factor).clamp(least, most))
        used = where(agreement < 0, 0.0, grad)
        before.copy_(used)
        p.copy_(p - used.sign() * size)


def _eta(group: dict[str, Any], state: dict[str, Any]) -> float:
    return state["eta"]


def _kept(group: dict[str, Any], state: dict[str, Any]) -> float:
    return 1 - group["lambd"] * state["eta"]


def _mu(group: dict[str, Any], state: dict[str, Any]) -> float:
    return state["mu"]


def _prepare(group: dict[str, Any], state: dict[str, Any]) -> None:
    """Set eta and mu for the step after step t."""
    t, lr = state["step"], number_of(group["lr"])
    state["eta"] = lr / ((1 + group["lambd"] * lr * t) ** group["alpha"])
    state["mu"] = 1 / max(1, t - group["t0"])


class ASGD(Optimizer):
    """SGD with the rate lr / (1 + lambd lr t)^alpha; the average of p since step t0 is kept in the
    state as "ax" (Polyak and Juditsky, 1992)."""

    _scalar_state = ("step", "eta", "mu")

    def __init__(
        self, params: Any, lr: Any = 1e-2, lambd: float = 1e-4, alpha: float = 0.75,
        t0: float = 1e6, weight_decay: float = 0, foreach: bool | None = None,
        maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, weight_decay)
        super().__init__(params, options(
            lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, foreach=foreach,
            maximize=maximize, differentiable=differentiable, capturable=capturable,
        ))  # fmt: skip

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "eta": number_of(group["lr"]), "mu": 1.0, "ax": zeros_of(p)}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        grad = decayed(grad, p, group["weight_decay"])
        kept = self._scalar(_kept, group, state, p.dtype)
        p.copy_(p * kept - self._scalar(_eta, group, state, p.dtype) * grad)
        mean = state["ax"]
        mean.copy_(mean + self._scalar(_mu, group, state, p.dtype) * (p - mean))
        each_call(lambda: _prepare(group, state))

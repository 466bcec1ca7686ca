"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

from ..functions.updates import running_sum_, step_
from ..tensor import Tensor
from .optimizer import Optimizer, check, check_common, decayed, options, rate, required


class SGD(Optimizer):
    """p - lr v, where v = momentum v + (1 - dampening) g, or p - lr g without momentum.

    With nesterov, p - lr (g + momentum v) (Sutskever et al., 2013). The first v is g.
    """

    _repeats = True

    def __init__(
        self, params: Any, lr: Any = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False,
        foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        if lr is not required:
            check_common(lr, weight_decay)
        check("momentum value", momentum, momentum >= 0)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, options(
            lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
            nesterov=nesterov, maximize=maximize, foreach=foreach, differentiable=differentiable,
            fused=fused,
        ))  # fmt: skip

    def _update_sparse(
        self, group: dict[str, Any], p: Tensor, grad: Any, state: dict[str, Any]
    ) -> None:
        if group["momentum"] or group["weight_decay"]:  # which move all rows
            self._update(group, p, grad.to_dense(), state)
        else:
            self._update_rows(group, p, grad, state)

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        grad = decayed(grad, p, group["weight_decay"])
        momentum = group["momentum"]
        if momentum:
            v = state.get("momentum_buffer")
            if v is None:
                v = grad.clone()
                self.state[p] = {"momentum_buffer": v}
            else:
                new = grad if not group["dampening"] else (1 - group["dampening"]) * grad
                running_sum_(v, new, momentum)
            grad = grad + momentum * v if group["nesterov"] else v
        step_(p, grad, self._scalar(rate, group, state, p.dtype))

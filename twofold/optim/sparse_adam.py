"""Adam for embeddings, of which few rows are used in a step."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .adam import rooted_step_size
from .optimizer import Optimizer, check, check_common, options, zeros_of


class SparseAdam(Optimizer):
    """Adam in which rows that sparse gradients leave out keep their moments and values.

    RuntimeError for dense gradients.
    """

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, maximize: bool = False,
    ) -> None:  # fmt: skip
        check_common(lr, 0)
        check("epsilon value", eps, eps > 0)
        for i, beta in enumerate(betas):
            check(f"beta parameter at index {i}", beta, 0 <= beta < 1)
        super().__init__(params, options(lr=lr, betas=betas, eps=eps, maximize=maximize))

    def _initial_state(self, group: dict[str, Any], p: Tensor) -> dict[str, Any]:
        return {"step": 0, "exp_avg": zeros_of(p), "exp_avg_sq": zeros_of(p)}

    def _update(
        self, group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]
    ) -> None:
        raise RuntimeError(
            "SparseAdam does not support dense gradients, please consider Adam instead"
        )

    def _update_sparse(
        self, group: dict[str, Any], p: Tensor, grad: Any, state: dict[str, Any]
    ) -> None:
        def update(group: dict[str, Any], p: Tensor, grad: Tensor, state: dict[str, Any]) -> None:
            first, second = group["betas"]
            mean, squares = state["exp_avg"], state["exp_avg_sq"]
            mean.copy_(mean + (1 - first) * (grad - mean))
            squares.copy_(squares + (1 - second) * (grad * grad - squares))
            step = self._scalar(rooted_step_size, group, state, p.dtype)
            p.copy_(p - step * (mean / (squares.sqrt() + group["eps"])))

        self._update_rows(group, p, grad, state, update)

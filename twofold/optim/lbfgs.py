"""L-BFGS: steps along an estimate of Newton's direction, from the last few gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd_api import enable_grad, no_grad
from ..functions.shape import cat
from ..graph.modes import modes
from ..tensor import Tensor
from .optimizer import Optimizer, check, number_of, options


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal, 1980) with one group of parameters; `step` needs a closure that
    computes the loss and the gradients, and calls it several times.

    `line_search_fn` is None (steps of length lr) or "strong_wolfe" (Nocedal and Wright, 2006, 3.5).
    """

    _scalar_state = ()

    def __init__(
        self, params: Any, lr: Any = 1, max_iter: int = 20, max_eval: int | None = None,
        tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        check("learning rate", lr, number_of(lr) >= 0)
        super().__init__(params, options(
            lr=lr, max_iter=max_iter, max_eval=max_iter * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad, tolerance_change=tolerance_change,
            history_size=history_size, line_search_fn=line_search_fn,
        ))  # fmt: skip
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def _imported(self, state: Any, p: Tensor) -> Any:
        return dict(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._params = self.param_groups[0]["params"]

    def _flat_gradient(self) -> Tensor:
        parts = []
        for p in self._params:
            g = p.new_zeros(p.numel()) if p.grad is None else p.grad.reshape(-1)
            parts.append(g)
        return cat(parts)

    def _move(self, length: float, direction: Tensor) -> None:
        """p + length * direction, for all parameters."""
        start = 0
        for p in self._params:
            n = p.numel()
            p.copy_(p + length * direction[start : start + n].reshape(p.shape))
            start += n

    def _evaluate(
        self, closure: Callable[[], Any], x: list[Tensor], length: float, direction: Tensor
    ) -> tuple[float, Tensor]:
        """Loss and gradient at x + length * direction; the parameters come back to x."""
        self._move(length, direction)
        loss = float(closure())
        gradient = self._flat_gradient()
        for p, before in zip(self._params, x):
            p.copy_(before)
        return loss, gradient

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to max_iter steps; gives the loss before the first."""
        if closure is None:
            raise TypeError("LBFGS.step() missing 1 required positional argument: 'closure'")
        modes.change()
        evaluate = enable_grad()(closure)
        group = self.param_groups[0]
        lr = number_of(group["lr"])
        wolfe = group["line_search_fn"]
        if wolfe not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = evaluate()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        gradient = self._flat_gradient()
        if float(gradient.abs().max()) <= group["tolerance_grad"]:
            return first_loss

        memory = _Memory(state, group["history_size"])
        length = state.get("t")
        iterations = 0
        while iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            direction = memory.direction(gradient, state["n_iter"] == 1, length)
            before, loss_before = gradient, loss
            state["prev_flat_grad"], state["prev_loss"] = before, loss_before
            if state["n_iter"] == 1:
                length = min(1.0, 1.0 / float(gradient.abs().sum())) * lr
            else:
                length = lr
            slope = float((gradient * direction).sum())
            state["d"], state["t"] = direction, length
            if slope > -group["tolerance_change"]:
                break
            used = 0
            if wolfe is None:
                self._move(length, direction)
                if iterations != group["max_iter"]:
                    loss = float(evaluate())
                    gradient = self._flat_gradient()
                    used = 1
            else:
                x = [p.clone() for p in self._params]

                def at(t: float, x: Any = x, d: Tensor = direction) -> tuple[float, Tensor]:
                    return self._evaluate(evaluate, x, t, d)

                loss, gradient, length, used = strong_wolfe(
                    at, length, direction, loss, gradient, slope
                )
                self._move(length, direction)
                state["t"] = length
            evaluations += used
            state["func_evals"] += used
            if iterations == group["max_iter"] or evaluations >= group["max_eval"]:
                break
            if float(gradient.abs().max()) <= group["tolerance_grad"]:
                break
            if float((direction * length).abs().max()) <= group["tolerance_change"]:
                break
            if abs(loss - loss_before) < group["tolerance_change"]:
                break
        return first_loss


class _Memory:
    """The last changes of position and gradient, in an optimizer's state."""

    def __init__(self, state: dict[str, Any], size: int) -> None:
        self.state = state
        self.size = size
        for name, start in (("old_dirs", []), ("old_stps", []), ("ro", []), ("H_diag", 1)):
            state.setdefault(name, start)

    def direction(self, gradient: Tensor, first: bool, length: float | None) -> Tensor:
        """-H g by the two-loop recursion, the last step first noted in the memory."""
        s = self.state
        if first:
            s["old_dirs"], s["old_stps"], s["ro"], s["H_diag"] = [], [], [], 1
            return -gradient
        y = gradient - s["prev_flat_grad"]
        step = s["d"] * length
        curvature = float((y * step).sum())
        if curvature > 1e-10:
            if len(s["old_dirs"]) == self.size:
                for name in ("old_dirs", "old_stps", "ro"):
                    s[name].pop(0)
            s["old_dirs"].append(y)
            s["old_stps"].append(step)
            s["ro"].append(1.0 / curvature)
            s["H_diag"] = curvature / float((y * y).sum())
        q = -gradient
        weights = []
        for y, step, ro in zip(reversed(s["old_dirs"]), reversed(s["old_stps"]), reversed(s["ro"])):
            weight = (step * q).sum() * ro
            weights.append(weight)
            q = q - weight * y
        r = q * s["H_diag"]
        for y, step, ro, weight in zip(s["old_dirs"], s["old_stps"], s["ro"], reversed(weights)):
            r = r + step * (weight - (y * r).sum() * ro)
        return r


def _cubic_minimum(
    x1: float, f1: float, g1: float, x2: float, f2: float, g2: float,
    bounds: tuple[float, float] | None = None,
) -> float:  # fmt: skip
    """Where the cubic with these values and slopes at x1 and x2 is least, within bounds."""
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if square < 0:
        return (low + high) / 2
    d2 = square**0.5
    if x1 <= x2:
        least = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        least = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(least, low), high)


Probe = tuple[float, float, Tensor, float]  # length, loss, gradient, slope


def strong_wolfe(
    at: Callable[[float], tuple[float, Tensor]], t: float, direction: Tensor, loss: float,
    gradient: Tensor, slope: float, c1: float = 1e-4, c2: float = 0.9,
    tolerance: float = 1e-9, most: int = 25,
) -> tuple[float, Tensor, float, int]:  # fmt: skip
    """(loss, gradient, length, evaluations) at a length that satisfies the strong Wolfe conditions:
    the loss falls by c1 of what the slope promises, and the slope by 1 - c2."""
    largest = float(direction.abs().max())

    def probe(length: float) -> Probe:
        value, g = at(length)
        return length, value, g, float((g * direction).sum())

    start: Probe = (0.0, loss, gradient, slope)
    now = probe(t)
    evaluations = 1
    previous = start
    bracket: list[Probe] = []
    for i in range(most):
        length, value, _, here = now
        if value > loss + c1 * length * slope or (i > 0 and value >= previous[1]):
            bracket = [previous, now]
        elif abs(here) <= -c2 * slope:
            return now[1], now[2], now[0], evaluations
        elif here >= 0:
            bracket = [previous, now]
        if bracket:
            break
        # Farther out: between just beyond here and ten times as far.
        bounds = (length + 0.01 * (length - previous[0]), length * 10)
        farther = _cubic_minimum(previous[0], previous[1], previous[3], length, value, here, bounds)
        previous, now = now, probe(farther)
        evaluations += 1
    rounds = evaluations
    bracket = sorted(bracket or [start, now], key=lambda found: found[1])
    low, high = bracket
    stuck = False
    while rounds < most and abs(high[0] - low[0]) * largest >= tolerance:
        left, right = sorted((low[0], high[0]))
        length = _cubic_minimum(low[0], low[1], low[3], high[0], high[1], high[3])
        # Twice in a row near an end is no progress: then a tenth of the way in.
        margin = 0.1 * (right - left)
        if min(right - length, length - left) < margin:
            if stuck or length >= right or length <= left:
                nearer_right = abs(length - right) < abs(length - left)
                length = right - margin if nearer_right else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        now = probe(length)
        evaluations += 1
        rounds += 1
        if now[1] > loss + c1 * length * slope or now[1] >= low[1]:
            low, high = sorted((low, now), key=lambda found: found[1])
            continue
        if abs(now[3]) <= -c2 * slope:
            low = now
            break
        if now[3] * (high[0] - low[0]) >= 0:
            high = low
        low = now
    return low[1], low[2], low[0], evaluations

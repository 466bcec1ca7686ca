"""Scaling of losses, so that gradients of few bits do not vanish."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from .. import dtypes
from ..functions import functions
from ..tensor import Tensor

_isfinite = functions["isfinite"]


class GradScaler:
    """Multiplies a loss by a factor, divides the gradients by it, and leaves out steps with
    gradients that are not finite.

    The factor grows by `growth_factor` after `growth_interval` steps without one, and shrinks by
    `backoff_factor` after each. With `device="cuda"` and no GPU it does nothing, and warns, as
    PyTorch's.

    >>> GradScaler("cpu", init_scale=4.0).get_scale()
    4.0
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and device == "cuda":
            warnings.warn("[GradScaler] there is no GPU: it does nothing", stacklevel=2)
            enabled = False
        self._enabled = enabled
        if enabled and growth_factor <= 1.0:
            raise AssertionError(f"[GradScaler] growth_factor must be above 1; got {growth_factor}")
        if enabled and backoff_factor >= 1.0:
            raise AssertionError(
                f"[GradScaler] backoff_factor must be below 1; got {backoff_factor}"
            )
        self._scale = float(init_scale)
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._good_steps = 0
        self._bad: dict[int, bool] = {}  # by optimizer, once unscaled since the last update
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """A tensor, or each of a sequence of tensors, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if not isinstance(outputs, Iterable):
            raise ValueError("outputs must be a Tensor or an iterable of Tensors")
        scaled = map(self.scale, outputs)
        return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the factor.

        RuntimeError if that was done since the last update, ValueError for float16 gradients: the
        parameters would be kept in float32.
        """
        if not self._enabled:
            return
        if id(optimizer) in self._stepped:
            raise RuntimeError("unscale_() is being called after step().")
        if id(optimizer) in self._bad:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        found = [p.grad for group in optimizer.param_groups for p in group["params"]]
        gradients = [g.detach() for g in found if g is not None]
        if any(g.dtype is dtypes.float16 for g in gradients):
            raise ValueError("Attempting to unscale FP16 gradients.")
        bad = False
        for gradient in gradients:
            gradient.mul_(1.0 / self._scale)
            bad = bad or not bool(_isfinite(gradient).all())
        self._bad[id(optimizer)] = bad

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step(), unless a gradient is not finite.

        RuntimeError if that was done since the last update, or with a closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        if id(optimizer) in self._stepped:
            raise RuntimeError("step() has already been called since the last update().")
        if id(optimizer) not in self._bad:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return None if self._bad[id(optimizer)] else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Change the factor by what the steps since the last update met."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._bad:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(self._bad.values()):
            self._scale *= self._backoff_factor
            self._good_steps = 0
        else:
            self._good_steps += 1
            if self._good_steps == self._growth_interval:
                self._scale *= self._growth_factor
                self._good_steps = 0
        self._bad.clear()
        self._stepped.clear()

    def is_enabled(self) -> bool:
        """Whether losses are scaled."""
        return self._enabled

    def get_scale(self) -> float:
        """The factor."""
        return self._scale if self._enabled else 1.0

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good_steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state that `state_dict` gave."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("[GradScaler] the state is that of a scaler that was not enabled")
        self._scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._good_steps = state_dict["_growth_tracker"]

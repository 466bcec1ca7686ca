"""Ready parametrizations: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

from typing import Any

from ...autograd_api import no_grad
from ...functions.linear import matmul
from ...functions.random import randn
from ...tensor import Tensor
from ..functional.normalization import normalize
from ..modules.module import Module
from . import parametrize


def norm_except(v: Tensor, dim: int) -> Tensor:
    """The 2-norm over all axes but `dim` (over all with -1), axes kept."""
    if dim == -1:
        return v.norm(2)
    axes = tuple(a for a in range(v.dim()) if a != dim % v.dim())
    return v.norm(2, axes, keepdim=True) if axes else v.abs()


class _WeightNorm(Module):
    """g v / |v| (Salimans and Kingma, 2016)."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """The weight of size g and direction v."""
        return weight_v * (weight_g / norm_except(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Size and direction of a weight."""
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Let a weight be size times direction, each a parameter."""
    made = parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def from_old(
        module: Any, state_dict: Any, prefix: str, metadata: Any, strict: Any, missing: Any,
        unexpected: Any, errors: Any,
    ) -> None:  # fmt: skip
        """State saved by the older `weight_norm` had other names."""
        g, v = f"{prefix}{name}_g", f"{prefix}{name}_v"
        if g in state_dict and v in state_dict:
            state_dict[f"{prefix}parametrizations.{name}.original0"] = state_dict.pop(g)
            state_dict[f"{prefix}parametrizations.{name}.original1"] = state_dict.pop(v)

    made.register_load_state_dict_pre_hook(from_old)
    return made


class _SpectralNorm(Module):
    """W / sigma, sigma the largest singular value by power iteration (Miyato et al., 2018)."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % weight.dim()
        self.eps = eps
        if weight.dim() > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight.detach())
            self.register_buffer("_u", normalize(randn(matrix.size(0)), dim=0, eps=eps))
            self.register_buffer("_v", normalize(randn(matrix.size(1)), dim=0, eps=eps))
            self._iterate(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).reshape(weight.size(self.dim), -1)

    @no_grad()
    def _iterate(self, matrix: Tensor, times: int) -> None:
        for _ in range(times):
            self._u.copy_(normalize(matmul(matrix, self._v), dim=0, eps=self.eps))
            self._v.copy_(normalize(matmul(matrix.t(), self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with largest singular value 1."""
        if weight.dim() == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()
        sigma = (u * matmul(matrix, v)).sum()
        return weight / sigma

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself, which has been normalised already or will be."""
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
    dim: int | None = None,
) -> Module:  # fmt: skip
    """Let a weight be divided by its largest singular value."""
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    made = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return parametrize.register_parametrization(module, name, made)

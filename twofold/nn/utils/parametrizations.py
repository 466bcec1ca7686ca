"""Ready parametrizations: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

from typing import Any

from ...autograd_api import no_grad
from ...creation import eye
from ...functions.linear import matmul
from ...functions.pointwise import where
from ...functions.random import randn
from ...functions.shape import cat
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
            self.register_buffer(
                "_u", normalize(randn(matrix.size(0), dtype=weight.dtype), dim=0, eps=eps)
            )
            self.register_buffer(
                "_v", normalize(randn(matrix.size(1), dtype=weight.dtype), dim=0, eps=eps)
            )
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


class _Orthogonal(Module):
    """A matrix with orthonormal columns (or rows, if it is wide), as a function of a free one."""

    base: Tensor | None

    def __init__(self, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        """The orthogonal matrix of the free one."""
        wide = X.size(-2) < X.size(-1)
        x = X.mT if wide else X
        n, k = x.size(-2), x.size(-1)
        if self.orthogonal_map == "householder":
            below = x.tril(-1)
            tau = 2.0 / (1.0 + (below * below).sum(-2))
            q = below.orgqr(tau)
            q = q * x.diagonal(0, -2, -1).int().to(q.dtype).unsqueeze(-2)
        else:
            square = x.tril()
            if n != k:
                square = cat([square, square.new_zeros(*square.shape[:-1], n - k)], -1)
            skew = square - square.mT
            if self.orthogonal_map == "matrix_exp":
                q = skew.matrix_exp()
            else:
                one = eye(n, dtype=x.dtype)
                q = matmul((one - 0.5 * skew).inverse(), one + 0.5 * skew)
            q = q[..., :k] if n != k else q
        if self.use_trivialization and self.base is not None:
            q = matmul(self.base, q)
        return q.mT if wide else q

    @no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:
        """A free matrix whose orthogonal one is Q, or near it."""
        wide = Q.size(-2) < Q.size(-1)
        q = Q.mT if wide else Q
        n, k = q.size(-2), q.size(-1)
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley "
                    "parametrizations when use_trivialization=False."
                )
            a, tau = q.geqrf()
            signs = a.diagonal(0, -2, -1).sign()
            signs = where(tau == 0, -signs, signs)
            a = a - a.diagonal(0, -2, -1).diag_embed() if n == k else _without_diagonal(a)
            a = a + _diagonal_of(signs, n)
            return a.mT if wide else a
        if n != k:
            q = cat([q, randn(*q.shape[:-1], n - k, dtype=q.dtype)], -1)
        a, tau = q.geqrf()
        self.base = a.orgqr(tau) * a.diagonal(0, -2, -1).sign().unsqueeze(-2)
        return -(eye(Q.size(-2), Q.size(-1), dtype=Q.dtype).expand(Q.shape).clone())


def _diagonal_of(values: Tensor, rows: int) -> Tensor:
    """(..., k) on the diagonal of (..., rows, k)."""
    square = values.diag_embed()
    missing = rows - values.size(-1)
    if not missing:
        return square
    return cat([square, square.new_zeros(*square.shape[:-2], missing, square.size(-1))], -2)


def _without_diagonal(a: Tensor) -> Tensor:
    return a - _diagonal_of(a.diagonal(0, -2, -1), a.size(-2))


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *,
    use_trivialization: bool = True,
) -> Module:  # fmt: skip
    """Let a weight be a matrix with orthonormal columns (or rows), as a function of a free one.

    `orthogonal_map` is "matrix_exp", "cayley" or "householder" (which is the default of matrices
    that are not square).
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.dim() < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: '
            f"{orthogonal_map}"
        )
    made = _Orthogonal(orthogonal_map, use_trivialization)
    return parametrize.register_parametrization(module, name, made, unsafe=True)

"""Methods of `Tensor` whose modules are loaded when they are first called, so that `import twofold`
takes little time."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from ..tensor import Tensor
from ._registry import in_place, method

_PACKAGE = __name__.rsplit(".", 2)[0]

LATER = {
    "fft.spectrogram": "stft istft",
    "special.aliases": "mvlgamma i0 igamma igammac",
    "linalg.aliases": (
        "cholesky cholesky_inverse cholesky_solve det geqrf inverse logdet lu lu_solve matrix_exp "
        "orgqr ormqr pinverse qr slogdet svd triangular_solve"
    ),
}
"""Names by the module, in the package, that has the function."""


def _later(module: str, name: str) -> Callable[..., Any]:
    def apply(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(f"{_PACKAGE}.{module}"), name)(self, *args, **kwargs)

    apply.__name__ = name
    apply.__doc__ = f"See `twofold.{name}`."
    return apply


for _module, _names in LATER.items():
    for _name in _names.split():
        method(_name)(_later(_module, _name))
for _name in LATER["special.aliases"].split():
    method(f"{_name}_")(in_place(getattr(Tensor, _name), f"{_name}_"))


@method()
def polygamma(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma at this tensor."""
    return _later("special.gamma", "polygamma")(n, self)


method("polygamma_")(in_place(polygamma, "polygamma_"))

"""torch.special: functions of mathematical physics and statistics.

Composites of the primitives, computed in float64 and rounded to the input's dtype, but for those
that are primitives themselves.
"""

from ..errors import explain_missing as _explain_missing
from ..functions import functions as _functions
from ..functions._registry import with_out as _with_out
from . import bessel, gamma, normal, polynomials

_ELSEWHERE = {
    "digamma": "digamma", "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "exp2": "exp2",
    "expit": "sigmoid", "expm1": "expm1", "gammaln": "lgamma", "log1p": "log1p", "logit": "logit",
    "logsumexp": "logsumexp", "psi": "digamma", "round": "round", "sinc": "sinc", "xlogy": "xlogy",
}  # fmt: skip
for _name, _source in _ELSEWHERE.items():
    globals()[_name] = _functions[_source]

for _module, _names in (
    (
        bessel,
        "airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 i0 i0e i1 i1e modified_bessel_i0 "
        "modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0 "
        "scaled_modified_bessel_k1 spherical_bessel_j0",
    ),
    (gamma, "gammainc gammaincc multigammaln polygamma zeta"),
    (normal, "entr erfcx log_ndtr log_softmax ndtr ndtri softmax xlog1py"),
    (
        polynomials,
        " ".join(
            f"{shifted}chebyshev_polynomial_{kind}"
            for shifted in ("", "shifted_")
            for kind in "tuvw"
        )
        + " hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p",
    ),
):
    for _name in _names.split():
        globals()[_name] = _with_out(getattr(_module, _name))

__getattr__ = _explain_missing(__name__, dir())

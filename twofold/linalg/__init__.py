"""torch.linalg: decompositions, solvers, norms and products of matrices.

Work of LAPACK's class is NumPy's (`ops/call.py`), done between the kernels of a plan; a matrix that
a function cannot work with raises `LinAlgError` when the value is asked for.
"""

from numpy.linalg import LinAlgError

from ..errors import explain_missing as _explain_missing
from ..functions._registry import with_out as _with_out
from ..functions.casting import in_float32 as _in_float32
from .decompositions import (
    cholesky,
    cholesky_ex,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    lu,
    lu_factor,
    lu_factor_ex,
    qr,
    svd,
    svdvals,
)
from .indefinite import ldl_factor, ldl_factor_ex, ldl_solve
from .norms import cond, matrix_norm, norm, vector_norm
from .products import (
    cross,
    diagonal,
    householder_product,
    matmul,
    matrix_exp,
    matrix_power,
    multi_dot,
    vander,
    vecdot,
)
from .solvers import (
    det,
    inv,
    inv_ex,
    lstsq,
    lu_solve,
    matrix_rank,
    pinv,
    slogdet,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)

_AS_GIVEN = (
    "LinAlgError cross diagonal matmul matrix_norm matrix_power multi_dot norm vander vecdot "
    "vector_norm"
)
"""Functions that compute in the dtypes they are given within `autocast`, or by products."""

for _name, _value in list(globals().items()):
    if callable(_value) and not _name.startswith("_") and _name != "LinAlgError":
        globals()[_name] = _with_out(_value if _name in _AS_GIVEN.split() else _in_float32(_value))

__getattr__ = _explain_missing(__name__, dir())

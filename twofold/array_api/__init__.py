"""The Python array API standard (https://data-apis.org/array-api): what `x.__array_namespace__()`
gives.

The arrays are tensors; names, arguments and promotion are the standard's, so an array without axes
counts as much as any other, and a Python number takes the dtype of what it is combined with.

>>> import twofold as tf
>>> xp = tf.ones(2).__array_namespace__()
>>> xp.add(xp.asarray([1, 2], dtype=xp.int8), xp.asarray(1, dtype=xp.int16)).dtype
twofold.int16
"""

from math import e, inf, nan, pi

from ..dtypes import (
    bool_,
    complex64,
    complex128,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from . import fft, linalg
from .creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from .elementwise import elementwise as _elementwise
from .info import Info as __array_namespace_info__
from .manipulation import (
    concat,
    expand_dims,
    flip,
    matmul,
    matrix_transpose,
    meshgrid,
    moveaxis,
    permute_dims,
    repeat,
    reshape,
    roll,
    squeeze,
    stack,
    take,
    take_along_axis,
    tensordot,
    tile,
    unstack,
    vecdot,
)
from .reduce import (
    all,
    any,
    argmax,
    argmin,
    argsort,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    diff,
    isin,
    max,
    mean,
    min,
    nonzero,
    prod,
    searchsorted,
    sort,
    std,
    sum,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    var,
    where,
)
from .types import (
    astype,
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    can_cast,
    finfo,
    iinfo,
    isdtype,
    result_type,
)

__array_api_version__ = "2024.12"
newaxis = None
bool = bool_
globals().update(_elementwise)

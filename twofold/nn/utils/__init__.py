"""Tools for models: clipping of gradients, vectors of parameters."""

from ...errors import explain_missing as _explain_missing
from .clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from .convert_parameters import parameters_to_vector, vector_to_parameters

__getattr__ = _explain_missing(__name__, dir())

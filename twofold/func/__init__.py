"""torch.func: transforms of functions: derivatives and batches, which can be nested."""

from ..errors import explain_missing as _explain_missing
from .batching import vmap
from .derivatives import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, linearize, vjp
from .modules import (
    debug_unwrap,
    functional_call,
    functionalize,
    replace_all_batch_norm_modules_,
    stack_module_state,
)

__getattr__ = _explain_missing(__name__, dir())
